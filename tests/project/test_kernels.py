import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from backend.project.kernels import kernel, kernel_stamp

ROOT = Path(__file__).resolve().parents[2]
KERNEL = """
from parts import PART, twice
from backend.project.kernels import kernel

@kernel
def answer():
    return twice(PART)
"""
PARTS = """
from backend.project.kernels import kernel

PART = {part}

@kernel
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


NAMED = """
from backend.project.kernels import kernel
from parts import Pair

@kernel
def high(pair):
    return pair.high

def answer():
    return high(Pair(high=1, low=2))

answer.stats = high.stats
"""
UNKNOWN = [1, 2, 3]
ENCODE = """
import sys
import numpy
from backend.masks.from_network import encode_masks
made = encode_masks(numpy.ones((1, 28, 28), "f4"), numpy.array([[3, 4, 20, 30]], "f4"), (64, 48))
sys.stdout.buffer.write(made.data.tobytes())
"""


def encoded(folder: Path) -> bytes:
    """Return the run lengths that the code in ``folder`` makes of one mask."""
    run = subprocess.run([sys.executable, "-c", ENCODE], cwd=folder, capture_output=True, check=True)
    return run.stdout


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


def test_a_mask_encoder_in_a_copy_of_the_code_follows_a_change_of_what_it_calls_in_another_file(tmp_path):
    """The encoder of network masks (masks/from_network.py) writes its counts by a function of masks/rle.py."""
    shutil.copytree(ROOT / "backend", tmp_path / "backend", ignore=shutil.ignore_patterns("__pycache__"))
    before = encoded(tmp_path)
    assert encoded(tmp_path) == before == encoded(ROOT)
    called = tmp_path / "backend" / "masks" / "rle.py"
    source = called.read_text()
    assert source.count("out[size] = 48 +") == 1
    called.write_text(source.replace("out[size] = 48 +", "out[size] = 49 +"))
    assert encoded(tmp_path) == bytes(byte + 1 for byte in before)


def test_a_kernel_that_uses_what_its_cache_cannot_follow_is_refused():
    made = kernel(lambda value: value in UNKNOWN)
    with pytest.raises(TypeError, match="uses UNKNOWN, a list"):
        kernel_stamp(made)


def test_every_kernel_of_the_project_has_a_stamp():
    """None is compiled past the decorator, and none uses what its cache could not follow."""
    code = """
import importlib, pkgutil
import numpy, numba.core.dispatcher as numba
from backend.project.kernels import KernelCache, kernel_stamp
count = 0
for room in ("masks", "video", "dataset", "tracking", "zones", "lek"):
    package = importlib.import_module(f"backend.{room}")
    for found in pkgutil.walk_packages(package.__path__, f"backend.{room}."):
        for value in vars(importlib.import_module(found.name)).values():
            if isinstance(value, numba.Dispatcher):
                assert isinstance(value._cache, KernelCache), value
                count += len(kernel_stamp(value)) > 0
assert count > 100, count
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_the_order_of_fields_of_a_named_tuple_that_is_given_is_part_of_what_compiled_code_is_kept_for(tmp_path):
    pair = "from typing import NamedTuple\nclass Pair(NamedTuple):\n    {}: int\n    {}: int\n"
    (tmp_path / "parts.py").write_text(pair.format("high", "low"))
    (tmp_path / "answers.py").write_text(NAMED)
    assert ask(tmp_path)[0] == 1
    (tmp_path / "parts.py").write_text(pair.format("low", "high"))
    assert ask(tmp_path)[0] == 1
