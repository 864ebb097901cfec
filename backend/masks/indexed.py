"""Label maps as indexed PNG: the value of a pixel is the id of its object, 1 to 255, and 0 is background.

What is read, and how:

- palette pictures: the index, never the colour;
- greyscale of 1, 2, 4, 8 or 16 bits: the value. A 16-bit picture may hold values up to 255;
- a greyscale picture with nothing but 0 and the brightest value: a binary mask, object 1;
- colour pictures whose three channels are equal: as greyscale;
- colour, transparency, other formats (JPEG above all, which blurs ids): refused.

The usual picture, not interlaced, is unpacked here: libdeflate and rows without filters take a fifth of the time that
general readers need.
"""

import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image

from backend.masks.colours import PALETTE
from backend.masks.orientation import UPRIGHT, exif_orientation
from backend.project.atomic import atomic_write
from backend.project.errors import InputError
from backend.project.kernels import kernel

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, COLOUR, INDEXED = 0, 2, 3
DEPTHS = {GREY: (1, 2, 4, 8, 16), COLOUR: (8,), INDEXED: (1, 2, 4, 8)}
MAX_PIXELS = 2**28  # 16384 x 16384: more is a damaged header or an attack on the memory
LEVEL = 6  # of libdeflate: higher ones take twice as long for label maps and save nothing


@dataclass(frozen=True)
class Header:
    """What a PNG says of itself before its pixels."""

    width: int
    height: int
    depth: int
    kind: int
    interlaced: bool


def read_labels(path: Path | str) -> np.ndarray:
    """Return the label map of a PNG, (H, W) uint8; the module says what each kind of picture means.

    Raises
    ------
    InputError
        With the path, if the file is missing, damaged, or holds something else than object ids.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"mask {str(path)!r} cannot be read: {error.strerror}") from error
    try:
        return decode_labels(data)
    except ValueError as error:
        raise InputError(f"mask {str(path)!r} {error}") from error


def write_labels(path: Path | str, labels: np.ndarray, palette: np.ndarray = PALETTE) -> None:
    """Write a label map, (H, W) uint8, in one step; ``palette`` (256, 3) uint8 RGB is for the eye only."""
    atomic_write(path, encode_labels(labels, palette))


def encode_labels(labels: np.ndarray, palette: np.ndarray = PALETTE) -> bytes:
    """Return a label map, (H, W) uint8, as the bytes of an indexed PNG."""
    if labels.dtype != np.uint8 or labels.ndim != 2 or not labels.size:
        raise TypeError(f"a label map is (H, W) uint8 and not empty, not {labels.shape} {labels.dtype}")
    height, width = labels.shape
    rows = np.zeros((height, width + 1), np.uint8)  # each row begins with its filter, 0: none
    rows[:, 1:] = labels
    header = struct.pack(">IIBBBBB", width, height, 8, INDEXED, 0, 0, 0)
    pixels = bytes(imagecodecs.deflate_encode(rows.tobytes(), LEVEL))
    chunks = ((b"IHDR", header), (b"PLTE", palette.tobytes()), (b"IDAT", pixels), (b"IEND", b""))
    return SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


def decode_labels(data: bytes) -> np.ndarray:
    """Return the label map of a PNG's bytes, (H, W) uint8; ValueError says what is wrong with them."""
    header, pixels = _chunks(data)
    if header.kind not in DEPTHS or header.depth not in DEPTHS[header.kind]:
        raise ValueError("is a picture with transparency or 48-bit colour, not a label map; save it as indexed PNG")
    if header.interlaced or header.kind == COLOUR:
        values = _through_pillow(data, header)
    else:
        values = _unpack(_rows(pixels, header), header)
    return values if header.kind == INDEXED else _grey_ids(values, 2**header.depth - 1)


def _chunks(data: bytes) -> tuple[Header, bytes]:
    if not data.startswith(SIGNATURE):
        raise ValueError("is no PNG; masks are indexed PNG, other formats change or blur the ids")
    header, pixels, place = None, [], len(SIGNATURE)
    while place + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        body = data[place + 8 : place + 8 + length]
        if len(data) < place + 12 + length or zlib.crc32(name + body) != _number(data, place + 8 + length):
            raise ValueError("is damaged or cut off")
        if name == b"IHDR" and length == 13:
            width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", body)
            header = Header(width, height, depth, kind, bool(interlaced))
        elif name == b"IDAT":
            pixels.append(body)
        elif name == b"eXIf" and (turned := exif_orientation(body)) != UPRIGHT:
            raise ValueError(f"is stored turned (EXIF orientation {turned}); save it upright")
        elif name == b"IEND":
            break
        place += 12 + length
    if header is None or not pixels or not 0 < header.width * header.height <= MAX_PIXELS:
        raise ValueError("is damaged or cut off")
    return header, b"".join(pixels)


def _number(data: bytes, place: int) -> int:
    return struct.unpack_from(">I", data, place)[0]


def _rows(pixels: bytes, header: Header) -> np.ndarray:
    """Return the packed rows, (H, bytes a row) uint8, with PNG's filters undone."""
    length = -(-header.width * header.depth // 8)
    try:
        raw = imagecodecs.deflate_decode(pixels, out=header.height * (length + 1))
    except imagecodecs.DeflateError as error:
        raise ValueError("is damaged or cut off") from error
    if len(raw) != header.height * (length + 1):
        raise ValueError("is damaged or cut off")
    rows = np.frombuffer(raw, np.uint8).reshape(header.height, length + 1)
    if rows[:, 0].any():
        if rows[:, 0].max() > 4:
            raise ValueError("is damaged: there is no such filter")
        return _unfilter(rows, max(1, header.depth // 8))
    return rows[:, 1:]


def _unpack(rows: np.ndarray, header: Header) -> np.ndarray:
    """Return the values, (H, W) uint8 or uint16, of packed rows."""
    if header.depth == 8:
        return np.ascontiguousarray(rows)
    if header.depth == 16:
        return np.ascontiguousarray(rows).view(">u2").astype(np.uint16)
    per_byte = 8 // header.depth
    shifts = np.arange(per_byte - 1, -1, -1, dtype=np.uint8) * header.depth
    values = (rows[:, :, None] >> shifts) & (2**header.depth - 1)
    return np.ascontiguousarray(values.reshape(header.height, -1)[:, : header.width])


def _grey_ids(values: np.ndarray, brightest: int) -> np.ndarray:
    top = int(values.max())
    if top == brightest and not np.any((values != 0) & (values != top)):
        return (values != 0).astype(np.uint8)
    if top > 255:
        raise ValueError(f"holds the value {top}; object ids go from 1 to 255")
    return values.astype(np.uint8, copy=False)


def _through_pillow(data: bytes, header: Header) -> np.ndarray:
    if header.kind == GREY and header.depth in (2, 4):
        raise ValueError(f"is an interlaced greyscale picture of {header.depth} bits; save it without interlacing")
    try:
        with Image.open(io.BytesIO(data)) as picture:
            picture.load()
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError("is damaged or cut off") from error
    values = np.array(picture)
    if header.kind == COLOUR:
        if values.ndim != 3 or (values != values[:, :, :1]).any():
            raise ValueError("is a colour picture; a mask must be indexed: pixel value = object id")
        return np.ascontiguousarray(values[:, :, 0])
    return values.astype(np.uint8 if header.depth <= 8 else np.uint16)


@kernel(nogil=True)
def _unfilter(rows: np.ndarray, step: int) -> np.ndarray:
    """Undo the filters of the PNG standard, section 9; ``step`` is the number of bytes a pixel, at least one."""
    height, length = rows.shape[0], rows.shape[1] - 1
    plain = np.empty((height, length), np.uint8)
    nothing = np.zeros(length, np.uint8)
    for y in range(height):
        kind, row, here = rows[y, 0], rows[y, 1:], plain[y]
        above = plain[y - 1] if y else nothing
        if kind == 0:
            here[:] = row
        elif kind == 2:
            for x in range(length):
                here[x] = row[x] + above[x]
        else:
            for x in range(length):
                before = np.int64(here[x - step]) if x >= step else 0
                corner = np.int64(above[x - step]) if x >= step else 0
                guess = before
                if kind == 3:
                    guess = (before + above[x]) // 2
                elif kind == 4:
                    guess = _paeth(before, np.int64(above[x]), corner)
                here[x] = row[x] + guess
    return plain


@kernel(nogil=True)
def _paeth(before: int, above: int, corner: int) -> int:
    to_before, to_above, to_corner = abs(above - corner), abs(before - corner), abs(before + above - 2 * corner)
    if to_before <= to_above and to_before <= to_corner:
        return before
    return above if to_above <= to_corner else corner
