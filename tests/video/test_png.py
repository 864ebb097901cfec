"""The PNG writer is lossless, its files are plain PNG, and a torn file is noticed wherever it is torn."""

from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import pytest
from PIL import Image

from backend.video.png import PngEncoder, is_whole_png

SIZES = [(160, 96), (161, 97), (1, 1), (2, 300), (1030, 5)]
PICTURES = {
    "noise": lambda shape: np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8),
    "black": lambda shape: np.zeros(shape, np.uint8),
    "white": lambda shape: np.full(shape, 255, np.uint8),
    "ramps": lambda shape: np.fromfunction(lambda y, x, c: (3 * y + 5 * x + c) % 256, shape).astype(np.uint8),
}


@pytest.mark.parametrize("picture", PICTURES, ids=str)
@pytest.mark.parametrize("size", SIZES, ids="{0[0]}x{0[1]}".format)
def test_three_other_readers_see_the_same_pixels(tmp_path, picture, size):
    rgb = PICTURES[picture]((size[1], size[0], 3))
    path = tmp_path / "frame.png"
    path.write_bytes(b"".join(PngEncoder(size).encode(rgb)))
    np.testing.assert_array_equal(cv2.imread(str(path))[..., ::-1], rgb)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), rgb)
    np.testing.assert_array_equal(imagecodecs.imread(path), rgb)
    assert is_whole_png(path, size)


def test_one_encoder_writes_the_same_bytes_again():
    first, second = (PICTURES["noise"]((96, 160, 3)), PICTURES["ramps"]((96, 160, 3)))
    encoder = PngEncoder((160, 96))
    pieces = [b"".join(encoder.encode(picture)) for picture in (first, second, first)]
    assert pieces[0] == pieces[2] != pieces[1]


def test_a_file_torn_anywhere_is_not_whole(tmp_path):
    whole = b"".join(PngEncoder((16, 9)).encode(PICTURES["ramps"]((9, 16, 3))))
    path = tmp_path / "frame.png"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert not is_whole_png(path, (16, 9)), length
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert not is_whole_png(path, (16, 9)), place
    path.write_bytes(whole + b"more")
    assert not is_whole_png(path, (16, 9))
    path.write_bytes(whole)
    assert is_whole_png(path, (16, 9))
    assert not is_whole_png(path, (9, 16))
    assert not is_whole_png(tmp_path / "nothing.png", (16, 9))


def test_a_png_of_another_kind_is_not_one_of_ours(tmp_path: Path):
    Image.new("L", (16, 9)).save(tmp_path / "grey.png", dpi=(72, 72))
    assert not is_whole_png(tmp_path / "grey.png", (16, 9))
