"""``python -m benchmarks``: every benchmark is in the list, what it prints becomes Markdown, and it still runs."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import BENCHMARKS, as_markdown

ROOT = Path(__file__).parents[1]
FITS = {"tracking_fit"}  # prints tables of the program, not figures


def command(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *map(str, words)], cwd=ROOT, capture_output=True, text=True
    )


def test_every_benchmark_is_run_by_the_one_command():
    modules = {path.stem for path in (ROOT / "benchmarks").glob("[a-z]*.py")}
    assert modules - FITS == {benchmark.module for benchmark in BENCHMARKS}


def test_tables_stay_tables_and_lines_stay_lines():
    said = ["", "opened in 1 s", "", "| a | b |", "|---|---|", "| 1 | 2 |", "", "peak 3 MB", ""]
    shown = ["```", "opened in 1 s", "```", "", "| a | b |\n|---|---|\n| 1 | 2 |", "", "```", "peak 3 MB", "```", ""]
    assert list(as_markdown(said)) == shown


def test_what_cannot_be_run_here_is_named_and_what_is_unknown_refused(tmp_path):
    done = command("segannot", "inference_gpu", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "segannot: left out: needs --data" in done.stdout
    assert "inference_gpu: left out: needs a GPU (--gpu)" in done.stdout
    refused = command("sorting", "--out", tmp_path)
    assert refused.returncode == 2 and "sorting: not known; there are decoders, " in refused.stderr


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", [each.name for each in BENCHMARKS if each.small is not None])
def test_it_still_runs(name, tmp_path):
    done = command(name, "--small", "--out", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    written = (tmp_path / f"{name}.md").read_text()
    assert "`python -m benchmarks." in written and "load " in written
    assert (tmp_path / "all.md").read_text() == written
