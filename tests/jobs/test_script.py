"""What every script shares: exit codes, refusals of one line, and an order to stop."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from backend.jobs.script import Option, ScriptParser, ScriptSettings
from backend.project.errors import InputError

HEAD = "from backend.jobs.script import *\nfrom backend.project.errors import InputError\n"


def run(body: str, **options: object) -> subprocess.CompletedProcess:
    """Run a script whose ``main`` has one line."""
    code = f"{HEAD}def main(argv):\n    {body}\nrun_script('name', main)"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, **options)


@pytest.mark.parametrize(
    ("body", "code", "last"),
    [
        ("print('done')", 0, ""),
        (
            "raise InputError('range 0 to 900 is outside\\n  the video')",
            2,
            "name: error: range 0 to 900 is outside the video",
        ),
        ("raise StopRequested", 130, "name: stopped on request"),
        ("raise KeyError('x')", 1, "name: error: KeyError: 'x'"),
        ("raise MemoryError", 1, "name: error: out of memory"),
        ("open('/dev/full', 'w').write('x' * 99999)", 1, "name: error: No space left on device"),
        ("open('/none/x')", 1, "name: error: No such file or directory: /none/x"),
        ("raise SystemExit(7)", 7, ""),
        ("import signal, os; os.kill(os.getpid(), signal.SIGTERM)", 130, "name: stopped on request"),
        ("import signal, os; os.kill(os.getpid(), signal.SIGINT)", 130, "name: stopped on request"),
    ],
)
def test_an_end_has_its_exit_code_and_its_line(body, code, last):
    ended = run(body)
    assert ended.returncode == code
    assert (ended.stderr.splitlines() or [""])[-1] == last


def test_a_refusal_shows_no_traceback_but_a_bug_does():
    assert "Traceback" not in run("raise InputError('x')").stderr
    assert "Traceback" in run("1 / 0").stderr


def test_a_reader_that_goes_away_is_no_traceback():
    code = f"{HEAD}def main(argv):\n    while True: print('x' * 1000)\nrun_script('name', main)"
    script = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    script.stdout.close()
    assert script.wait(10) == 1
    assert script.stderr.read() == b""
    script.stderr.close()


def test_a_second_signal_does_not_cut_the_clean_up_short(tmp_path):
    body = (
        f"import time, pathlib\n    place = pathlib.Path({str(tmp_path)!r})\n    try:\n"
        "        (place / 'up').touch(); time.sleep(100)\n    finally:\n"
        "        (place / 'cleaning').touch(); time.sleep(0.5); (place / 'clean').touch()"
    )
    code = f"{HEAD}def main(argv):\n    {body}\nrun_script('name', main)"
    script = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    for name in ("up", "cleaning"):
        wait_for_file(tmp_path / name)
        os.kill(script.pid, signal.SIGTERM)
    assert script.wait(10) == 130
    assert (tmp_path / "clean").exists()


def wait_for_file(path: Path) -> None:
    """Poll for a file, at most ten seconds."""
    end = time.monotonic() + 10
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.01)


class TestParser:
    class Settings(ScriptSettings):
        src: Path = Field(description="100 % of the video")
        to_frame: Annotated[int, Option(also_called="--frame-end")] = Field(default=5, ge=1, description="last frame")
        kinds: tuple[Literal["csv", "mot"], ...] = Field(default=(), description="formats")
        source: Annotated[Path | None, Option(name="--from", metavar="FILE")] = None
        tile: tuple[int, int] | None = None
        quick: bool = False
        masks: bool = Field(default=True, description="without masks")

    @pytest.fixture
    def parser(self) -> ScriptParser:
        return ScriptParser("backend.name", "text")

    def test_arguments_become_settings(self, parser):
        assert parser.settings(self.Settings, ["--src", "/a", "--to-frame", "7"]) == self.Settings(src="/a", to_frame=7)

    @pytest.mark.parametrize(
        ("argv", "words"),
        [
            ([], "required: --src"),
            (["--src", "/a", "--to-frame", "x"], r"--to-frame: .*\(given: 'x'\)"),
            (["--src", "/a", "--sr", "b"], "unrecognized arguments: --sr b"),
            (["--src", "/a", "extra"], "unrecognized arguments: extra"),
            (["--src", "/a", "--frame-end", "0"], r"^--frame-end: .*greater than or equal to 1 \(given: 0\)"),
            (["--src", "/a", "--to-frame=0"], r"^--to-frame: "),
            (["--src", "/a", "--from"], "argument --from: expected one argument"),
            (["--src", "/a", "--kinds", "mot", "mp4"], r"^--kinds: .*'csv' or 'mot' \(given: 'mp4'\)"),
            (["--src", "/a", "--tile", "7"], r"^--tile: .*\(given: '7'\)"),
        ],
    )
    def test_a_refusal_names_option_and_value(self, parser, argv, words):
        with pytest.raises(InputError, match=words):
            parser.settings(self.Settings, argv)

    def test_a_value_that_looks_like_an_option_can_be_given(self, parser):
        assert parser.settings(self.Settings, ["--src=-rf"]).src == Path("-rf")

    def test_what_is_not_given_has_the_default_of_its_field(self, parser):
        assert parser.settings(self.Settings, ["--src", "/a"]) == self.Settings(src="/a")

    def test_names_lists_and_flags(self, parser):
        argv = ["--src", "/a", "--from", "/b", "--kinds", "mot", "csv", "--quick", "--no-masks", "--frame-end", "9"]
        assert parser.settings(self.Settings, argv) == self.Settings(
            src="/a", source="/b", kinds=("mot", "csv"), quick=True, masks=False, to_frame=9
        )

    def test_help_says_what_the_fields_say(self, parser):
        parser.add_options(self.Settings)
        words = " ".join(parser.format_help().split())
        for expected in (
            "--src SRC 100 % of the video --to-frame TO_FRAME last frame (default: 5)",
            "--frame-end TO_FRAME the same as --to-frame",
            "formats: csv, mot --from FILE --tile TILE --quick --no-masks without masks",
        ):
            assert expected in words

    def test_a_name_without_dashes_is_a_position(self, parser):
        class Pair(ScriptSettings):
            model: Annotated[Path, Option(name="model")]
            n: int = Field(default=0)

        assert parser.settings(Pair, ["--n", "3", "/m"]) == Pair(model="/m", n=3)
