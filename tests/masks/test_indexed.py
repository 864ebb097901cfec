"""Indexed PNGs: every kind of picture that tools write gives ids; everything else is refused in one line."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from backend.masks import indexed
from backend.masks.colours import PALETTE, colour_of
from backend.project.errors import InputError

LABELS = np.random.default_rng(0).integers(0, 200, (37, 53)).astype(np.uint8)


def png(picture: Image.Image, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", **options)
    return buffer.getvalue()


def with_palette(labels: np.ndarray, colours: int = 256) -> Image.Image:
    picture = Image.fromarray(labels)
    picture.putpalette(PALETTE[:colours].tobytes())
    return picture


def test_what_is_written_is_an_indexed_png_for_every_reader(tmp_path):
    indexed.write_labels(tmp_path / "000001.png", LABELS)
    with Image.open(tmp_path / "000001.png") as picture:
        assert picture.mode == "P"
        assert (np.array(picture) == LABELS).all()
        assert picture.convert("RGB").getpixel((0, 0)) == colour_of(int(LABELS[0, 0]))
    assert [path.name for path in tmp_path.iterdir()] == ["000001.png"]


@settings(deadline=None, max_examples=60)
@given(arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20))))
def test_what_is_written_is_read_back(labels):
    assert (indexed.decode_labels(indexed.encode_labels(labels)) == labels).all()


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palettes_of_any_depth_give_the_index(bits):
    labels = LABELS & np.uint8(2**bits - 1)
    data = png(with_palette(labels, 2**bits), bits=bits)
    assert data[24] == bits
    assert (indexed.decode_labels(data) == labels).all()


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_greyscale_gives_the_value(depth):
    assert (indexed.decode_labels(png(Image.fromarray(LABELS.astype(depth)))) == LABELS).all()


@pytest.mark.parametrize("brightest", [True, 255, 65535])
def test_a_binary_mask_is_object_1(brightest):
    mask = LABELS > 100
    picture = {True: mask, 255: mask * np.uint8(255), 65535: mask * np.uint16(65535)}[brightest]
    assert (indexed.decode_labels(png(Image.fromarray(picture))) == mask).all()


def test_index_255_of_a_palette_stays_255():
    labels = (LABELS > 100) * np.uint8(255)
    assert (indexed.decode_labels(png(with_palette(labels))) == labels).all()


def test_grey_saved_as_colour_gives_the_value():
    assert (indexed.decode_labels(png(Image.fromarray(np.dstack([LABELS] * 3)))) == LABELS).all()


@pytest.mark.parametrize("row_filter", [0x08, 0x10, 0x20, 0x40, 0x80, 0xF8])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_every_row_filter_is_undone(row_filter, depth):
    labels = (np.add.outer(np.arange(60), np.arange(90)) % 256).astype(depth)
    _, data = cv2.imencode(".png", labels, [cv2.IMWRITE_PNG_FILTER, row_filter])
    assert (indexed.decode_labels(data.tobytes()) == labels).all()


def interlaced(labels: np.ndarray) -> bytes:
    """Return a greyscale PNG of 8 bits in the seven passes of Adam7."""
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    parts = [labels[top::down, left::right] for top, left, down, right in passes]
    rows = b"".join(b"\0" + row.tobytes() for part in parts if part.size for row in part)
    header = struct.pack(">IIBBBBB", labels.shape[1], labels.shape[0], 8, 0, 0, 0, 1)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return indexed.SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


def test_interlaced_pictures_are_read():
    assert (indexed.decode_labels(interlaced(LABELS)) == LABELS).all()


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "no PNG"),
        (b"\xff\xd8\xff\xe0 JPEG", "no PNG"),
        (png(Image.fromarray(np.dstack([LABELS, LABELS, 255 - LABELS]))), "colour picture"),
        (png(Image.fromarray(LABELS).convert("LA")), "transparency"),
        (png(Image.fromarray(LABELS).convert("RGBA")), "transparency"),
        (png(Image.fromarray(LABELS.astype(np.uint16) + 200)), "object ids go from 1 to 255"),
        (indexed.encode_labels(LABELS)[:-30], "damaged or cut off"),
        (indexed.encode_labels(LABELS)[:40], "damaged or cut off"),
        (indexed.encode_labels(LABELS).replace(b"IDAT", b"IDAX"), "damaged or cut off"),
    ],
)
def test_everything_else_is_refused_with_path_and_reason(tmp_path, data, complaint):
    path = tmp_path / "000007.png"
    path.write_bytes(data)
    with pytest.raises(InputError, match=complaint) as refusal:
        indexed.read_labels(path)
    assert str(path) in str(refusal.value)


def test_a_missing_mask_is_refused_with_its_path(tmp_path):
    with pytest.raises(InputError, match=r"000009\.png.*No such file"):
        indexed.read_labels(tmp_path / "000009.png")


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 2**31), st.integers(1, 12))
def test_damaged_bytes_are_refused_or_read_but_never_crash(seed, errors):
    rng = np.random.default_rng(seed)
    data = bytearray(indexed.encode_labels(LABELS))
    for place in rng.integers(8, len(data), errors):
        data[place] = rng.integers(0, 256)
    try:
        assert indexed.decode_labels(bytes(data)).dtype == np.uint8
    except ValueError as error:
        assert str(error)


def test_a_header_that_promises_a_giant_is_refused_before_memory_is_taken():
    data = bytearray(indexed.encode_labels(LABELS))
    data[16:24] = (100_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    with pytest.raises(ValueError, match="damaged"):
        indexed.decode_labels(bytes(data))


def test_what_is_no_label_map_is_not_written():
    with pytest.raises(TypeError, match="uint16"):
        indexed.encode_labels(LABELS.astype(np.uint16))


def test_the_first_21_colours_are_all_different():
    assert len({colour_of(number) for number in range(1, 22)}) == 21
    assert colour_of(256) == colour_of(1)
