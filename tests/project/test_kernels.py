import importlib
import os
import subprocess
import sys
from pathlib import Path

import numba

import backend.lek.camera

ROOT = Path(__file__).resolve().parents[2]
KERNEL = """
from parts import PART, twice
from backend.project.kernels import kernel

@kernel
def answer():
    return twice(PART)
"""
PARTS = """
from numba import njit

PART = {part}

@njit
def twice(value):
    return {factor} * value
"""
RUN = "from answers import answer; hits = answer() and sum(answer.stats.cache_hits.values()); print(answer(), hits)"


def ask(folder: Path) -> tuple[int, int]:
    """Return the answer, and how often compiled code was found, of a fresh process."""
    environment = os.environ | {"PYTHONPATH": f"{folder}:{ROOT}"}
    run = subprocess.run([sys.executable, "-c", RUN], env=environment, capture_output=True, text=True, check=True)
    answer, hits = run.stdout.split()
    return int(answer), int(hits)


def test_compiled_code_is_kept_until_anything_it_is_made_from_changes(tmp_path):
    (tmp_path / "answers.py").write_text(KERNEL)
    (tmp_path / "parts.py").write_text(PARTS.format(part=20, factor=2))
    assert ask(tmp_path) == (40, 0)
    assert ask(tmp_path) == (40, 1)
    (tmp_path / "parts.py").write_text(PARTS.format(part=21, factor=2))
    assert ask(tmp_path) == (42, 0)  # a constant of a neighbour
    (tmp_path / "parts.py").write_text(PARTS.format(part=21, factor=3))
    assert ask(tmp_path) == (63, 0)  # a function of a neighbour
    assert ask(tmp_path) == (63, 1)


def test_other_kernels_of_the_process_keep_their_own_cache():
    before = numba.config.CACHE_LOCATOR_CLASSES
    importlib.reload(backend.lek.camera)
    assert before == numba.config.CACHE_LOCATOR_CLASSES == ""
