"""Huffman-only streams are what zlib and others read back, whatever the bytes."""

import zlib

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from backend.video.deflate import END, LONGEST, _code_lengths, huffman_only

GENERATOR = np.random.default_rng(0)
DATA = {
    "one byte": np.array([7], np.uint8),
    "two bytes": np.array([7, 255], np.uint8),
    "every byte": np.arange(256, dtype=np.uint8),
    "all the same": np.zeros(100_001, np.uint8),
    "noise": GENERATOR.integers(0, 256, 200_000, dtype=np.uint8),
    "what a picture leaves": GENERATOR.normal(0, 3, 1_000_003).astype(np.int64).astype(np.uint8),
    "bytes that were not in the sample": np.concatenate([np.zeros(8192, np.uint8), np.full(20_000, 201, np.uint8)]),
    "rarer and rarer": np.minimum(GENERATOR.geometric(0.5, 3_000_000) - 1, 255).astype(np.uint8),
}


@pytest.mark.parametrize("name", DATA, ids=str)
def test_comes_back_through_zlib_and_libdeflate(name):
    stream = b"".join(huffman_only(DATA[name]))
    assert zlib.decompress(stream) == DATA[name].tobytes()
    assert imagecodecs.zlib_decode(stream) == DATA[name].tobytes()
    assert imagecodecs.deflate_decode(stream) == DATA[name].tobytes()
    assert stream == b"".join(huffman_only(DATA[name]))


@settings(max_examples=200, deadline=None)
@given(arrays(np.uint8, st.integers(1, 600)))
def test_comes_back_whatever_it_is(data):
    assert zlib.decompress(b"".join(huffman_only(data))) == data.tobytes()


@settings(max_examples=100, deadline=None)
@given(arrays(np.int64, END + 1, elements=st.integers(1, 2**40)))
def test_code_lengths_are_a_whole_code_and_never_too_long(counts):
    lengths = _code_lengths(counts, LONGEST)
    assert lengths.min() >= 1 and lengths.max() <= LONGEST
    assert sum(2.0**-length for length in lengths) == 1


def test_frequent_bytes_take_few_bits():
    data = DATA["what a picture leaves"]
    share = np.bincount(data, minlength=256) / len(data)
    entropy = -(share[share > 0] * np.log2(share[share > 0])).sum()
    assert 8 * len(b"".join(huffman_only(data))) / len(data) < entropy + 0.2
