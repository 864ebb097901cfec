"""What every script shares: exit codes, refusals of one line, and an order to stop."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from backend.jobs.script import ScriptParser, ScriptSettings
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
        src: Path
        to_frame: int = 5

    @pytest.fixture
    def parser(self) -> ScriptParser:
        parser = ScriptParser("backend.name", "text")
        parser.add_argument("--src", required=True)
        parser.add_argument("--to-frame", default="5")
        return parser

    def test_arguments_become_settings(self, parser):
        assert parser.settings(self.Settings, ["--src", "/a", "--to-frame", "7"]) == self.Settings(src="/a", to_frame=7)

    @pytest.mark.parametrize(
        ("argv", "words"),
        [
            ([], "required: --src"),
            (["--src", "/a", "--to-frame", "x"], r"--to-frame: .*\(given: 'x'\)"),
            (["--src", "/a", "--sr", "b"], "unrecognized arguments: --sr b"),
            (["--src", "/a", "extra"], "unrecognized arguments: extra"),
        ],
    )
    def test_a_refusal_names_option_and_value(self, parser, argv, words):
        with pytest.raises(InputError, match=words):
            parser.settings(self.Settings, argv)

    def test_a_value_that_looks_like_an_option_can_be_given(self, parser):
        assert parser.settings(self.Settings, ["--src=-rf"]).src == Path("-rf")
