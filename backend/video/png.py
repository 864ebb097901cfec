"""Fast lossless PNG encoder: filter ``average`` (byte less the mean of left and upper neighbours), then Huffman.

About five times faster than OpenCV's default, at its size (docs/decisions.md, PNG encoder). The files are plain PNG:
8 bit RGB, one IDAT chunk.
"""

import struct
from pathlib import Path

import numpy as np
from imagecodecs import deflate_crc32

from backend.project.kernels import kernel
from backend.video.deflate import huffman_only

SIGNATURE = b"\x89PNG\r\n\x1a\n"
AVERAGE = 3  # PNG's number of the filter


class PngEncoder:
    """Encoder for pictures of one size (width, height). The same picture always gives the same bytes."""

    def __init__(self, size: tuple[int, int]):
        width, height = size
        self.rows = np.empty((height, 1 + 3 * width), np.uint8)
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bit, colour type RGB
        self._start = SIGNATURE + b"".join(_chunk(b"IHDR", header))

    def encode(self, rgb: np.ndarray) -> list[bytes]:
        """Return the content of the PNG file, in pieces, for ``rgb`` (H, W, 3) uint8, C-contiguous."""
        self.filter(rgb)
        return [self._start, *_chunk(b"IDAT", *huffman_only(self.rows.reshape(-1))), *_chunk(b"IEND")]

    def filter(self, rgb: np.ndarray) -> None:
        """Fill ``rows`` (H, 1 + 3 W) uint8 with the filtered rows."""
        height, length = self.rows.shape
        _filter_rows(rgb.reshape(height, length - 1), self.rows)


def is_whole_png(path: Path, size: tuple[int, int]) -> bool:
    """Whether ``path`` is one of our PNGs of ``size`` = (width, height) px and whole, by the checksums in it."""
    try:
        content = path.read_bytes()
    except OSError:
        return False
    offset, names = len(SIGNATURE), []
    if content[:offset] != SIGNATURE or content[16:24] != struct.pack(">II", *size):
        return False
    while offset + 12 <= len(content):
        length = int.from_bytes(content[offset : offset + 4], "big")
        end = offset + 8 + length
        if content[end : end + 4] != deflate_crc32(content[offset + 4 : end]).to_bytes(4, "big"):
            return False
        names.append(content[offset + 4 : offset + 8])
        offset = end + 4
    return offset == len(content) and names == [b"IHDR", b"IDAT", b"IEND"]


def _chunk(name: bytes, *pieces: bytes) -> tuple[bytes, ...]:
    check = deflate_crc32(name)
    for piece in pieces:
        check = deflate_crc32(piece, check)
    return sum(map(len, pieces)).to_bytes(4, "big"), name, *pieces, check.to_bytes(4, "big")


@kernel(nogil=True)
def _filter_rows(picture, out):  # pragma: no cover
    """Fill ``out`` (H, 1 + 3 W) with PNG rows: the filter's number, then each byte less the mean of left and upper."""
    height, width = picture.shape
    for row in range(height):
        out[row, 0] = AVERAGE
        for offset in range(width):
            left = np.int32(picture[row, offset - 3]) if offset >= 3 else np.int32(0)
            above = np.int32(picture[row - 1, offset]) if row > 0 else np.int32(0)
            out[row, 1 + offset] = np.uint8(picture[row, offset] - ((left + above) >> 1))
