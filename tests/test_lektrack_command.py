"""The command lektrack: the same scripts under one name, from any folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from backend.__main__ import COMMANDS, command_list, main, summary
from backend.project.errors import InputError

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def command(tmp_path: Path) -> Path:
    """The command as setup.sh writes it, in an environment of its own whose python is this one."""
    folder = tmp_path / "an environment ä" / "bin"
    folder.mkdir(parents=True)
    (folder / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (folder / "python").chmod(0o755)
    write = re.search(r"^write_command\(\) \{.*?^\}", (ROOT / "setup.sh").read_text(), re.M | re.S)[0]
    subprocess.run(["bash", "-euc", f"VENV=$1\n{write}\nwrite_command", "-", folder.parent], cwd=ROOT, check=True)
    return folder / "lektrack"


def run(command: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    return subprocess.run([command, *arguments], cwd=cwd, capture_output=True, text=True)


def test_it_runs_a_script_from_any_folder_with_paths_meant_from_there(command, tmp_path):
    (tmp_path / "backend.py").write_text("raise SystemExit('not ours')")
    options = ["--birds", "2", "--seconds", "0.2", "--size", "128x128", "--no-video"]
    ended = run(command, "simulate", "--out", "lek", *options, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "lek" / "truth.parquet").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "last"),
    [
        (["simulat"], 2, "lektrack: error: unknown command 'simulat'; lektrack alone lists them"),
        (["track"], 2, "required: --detections"),
        (["export_frames", "--src", "none.mp4", "--dest", "out"], 2, "/none.mp4 cannot be opened: No such file"),
        ([], 2, ""),
        (["--help"], 0, ""),
    ],
)
def test_exit_codes_and_refusals_are_those_of_the_scripts(command, tmp_path, arguments, code, last):
    ended = run(command, *arguments, cwd=tmp_path)
    assert ended.returncode == code
    assert last in (ended.stderr.splitlines() or [""])[-1]


def test_every_script_is_a_command_with_a_line(capsys):
    scripts = {path.stem for path in (ROOT / "backend").glob("*.py") if not path.stem.startswith("__")}
    assert {f"backend.{name}" for name in scripts} <= {module for module, *_ in COMMANDS.values()}
    for name, module in COMMANDS.items():
        assert len(summary(*module)) > 10
        assert re.search(rf"^  {name} ", command_list(), re.M)


def test_a_state_folder_is_meant_from_where_it_was_typed(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr("runpy.run_module", lambda name, **_: seen.append((name, sys.argv[1:])))
    monkeypatch.setattr(sys, "argv", ["lektrack"])
    monkeypatch.setenv("LEKTRACK_STATE", "state")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["app", "--port", "9000"])
    assert (ended.value.code, seen) == (0, [("gui", ["--port", "9000"])])
    assert os.environ["LEKTRACK_STATE"] == str(tmp_path / "state")


def test_an_unknown_command_is_refused_in_one_line():
    with pytest.raises(InputError, match="unknown command 'x'"):
        main(["x"])
