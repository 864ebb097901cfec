"""Conversion from YUV to RGB, the same for every decoder.

Decoders return planes; this module interprets them. Integer arithmetic throughout, so that the CPU (here,
numba) and the GPU (`colour_torch`) give the same numbers.

- Matrix and range come from the file. Where the file does not say: BT.709 above 1279 px wide or 576 px high, else
  BT.601 (what players do), and limited range unless the pixel format says full.
- Chroma is brought to full size by linear interpolation: vertically the chroma sample lies between two luma rows,
  horizontally on the even luma column (the default of H.264 and H.265), or between two columns for MJPEG and MPEG-1.
- One rounding, at the very end.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from backend.project.errors import InputError
from backend.project.kernels import kernel

SHIFT = 20  # fractional bits of the sum
CHROMA_SCALE = 16  # interpolated chroma is 16 times the sample: 4 down, 4 across
KR_KB = {  # luma weights of red and blue, ITU-T H.273 matrix coefficients
    "bt709": (0.2126, 0.0722),
    "bt601": (0.299, 0.114),
    "bt2020": (0.2627, 0.0593),
    "fcc": (0.30, 0.11),
    "smpte240m": (0.212, 0.087),
}
H273_MATRIX = {1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020", 10: "bt2020"}
H273_UNKNOWN = 2


@dataclass(frozen=True)
class Colour:
    """Colour format of YUV planes: matrix, range, bit depth, chroma subsampling.

    Attributes
    ----------
    matrix
        A key of `KR_KB`.
    full_range
        True where 0 is black and the largest value white; False for 16 and 235 (times ``2 ** (bits - 8)``).
    bits
        Bits a sample, 8 to 12, in the low bits.
    half_width, half_height
        Whether chroma has half the columns or rows (4:2:0 both, 4:2:2 columns only, 4:4:4 neither).
    centred
        Whether chroma lies between two luma columns instead of on the even one.
    """

    matrix: str
    full_range: bool
    bits: int = 8
    half_width: bool = True
    half_height: bool = True
    centred: bool = False


@dataclass
class Planes:
    """One decoded picture: ``y`` (H, >=W), ``u`` and ``v`` (chroma height, >= chroma width), uint8 or uint16.

    Rows may be padded at the right; the picture is ``width`` px wide. Grey pictures have no ``u`` and ``v``.
    numpy arrays, or torch tensors for `colour_torch`.
    """

    y: Any
    u: Any
    v: Any
    width: int
    colour: Colour

    def to(self, device: Any) -> "Planes":
        """Return the planes as torch tensors on ``device``."""
        import torch

        moved = [None if plane is None else torch.as_tensor(plane).to(device) for plane in (self.y, self.u, self.v)]
        return Planes(*moved, self.width, self.colour)


def matrix_name(h273: int, width: int, height: int) -> str:
    """Return the `KR_KB` key for a file's H.273 matrix code, guessed from the size where the file does not say."""
    if h273 in H273_MATRIX:
        return H273_MATRIX[h273]
    if h273 not in (0, H273_UNKNOWN):
        raise InputError(f"colour matrix {h273} (ITU-T H.273) is not supported; allowed: {sorted(H273_MATRIX)}")
    return "bt709" if width >= 1280 or height > 576 else "bt601"


@cache
def coefficients(colour: Colour) -> np.ndarray:
    """Return (9,) int32 ``c``: red ``c0 Y + c1 V + c5``, green ``c0 Y - c2 U - c3 V + c6``, blue ``c0 Y + c4 U + c7``.

    ``Y`` is the luma sample, ``U`` and ``V`` the interpolated chroma times `CHROMA_SCALE`. A picture without chroma is
    ``c0 Y + c8``. Every sum is shifted right by `SHIFT` and clamped to 0 to 255.
    """
    kr, kb = KR_KB[colour.matrix]
    kg = 1 - kr - kb
    unit = 2 ** (colour.bits - 8)
    black, luma_span, chroma_span = (0, 256 * unit - 1, 256 * unit - 1)
    if not colour.full_range:
        black, luma_span, chroma_span = (16 * unit, 219 * unit, 224 * unit)
    luma = 255 / luma_span * 2**SHIFT
    chroma = 255 / chroma_span * 2**SHIFT / CHROMA_SCALE
    c = np.array(
        [
            luma,
            chroma * 2 * (1 - kr),
            chroma * 2 * (1 - kb) * kb / kg,
            chroma * 2 * (1 - kr) * kr / kg,
            chroma * 2 * (1 - kb),
        ]
    ).round()
    half = 2 ** (SHIFT - 1) - c[0] * black
    centre = 128 * unit * CHROMA_SCALE
    offsets = (half - c[1] * centre, half + (c[2] + c[3]) * centre, half - c[4] * centre, half)
    return np.array([*c, *offsets], np.int32)


def yuv_to_rgb(planes: Planes, out: np.ndarray | None = None) -> np.ndarray:
    """Return (H, W, 3) uint8 RGB of ``planes``, written into ``out`` if it is given (C-contiguous).

    Releases the GIL, one thread: callers convert different frames in different threads or processes.
    """
    height = planes.y.shape[0]
    if out is None:
        out = np.empty((height, planes.width, 3), np.uint8)
    flat = out.reshape(height, planes.width * 3)
    colour = planes.colour
    if planes.u is None:
        _grey(planes.y, flat, planes.width, coefficients(colour))
    else:
        layout = (colour.half_width, colour.half_height, colour.centred)
        _convert(planes.y, planes.u, planes.v, flat, planes.width, *layout, coefficients(colour))
    return out


@kernel(nogil=True)
def _chroma_row(plane, row, height, columns, half_width, half_height, centred, narrow, wide):  # pragma: no cover
    """Fill ``wide`` with chroma times 16 for luma row ``row``; ``narrow`` is room for one row of samples times 4."""
    near = far = row
    if half_height:
        near = row >> 1
        far = min(max(near - 1 + 2 * (row & 1), 0), height - 1)
    for column in range(columns):
        narrow[column] = np.int32(3) * np.int32(plane[near, column]) + np.int32(plane[far, column])
    if not half_width:
        for column in range(columns):
            wide[column] = narrow[column] * np.int32(4)
    elif centred:
        for column in range(columns):
            here = narrow[column] * np.int32(3)
            wide[2 * column] = here + narrow[max(column - 1, 0)]
            wide[2 * column + 1] = here + narrow[min(column + 1, columns - 1)]
    else:
        narrow[columns] = narrow[columns - 1]
        for column in range(columns):
            wide[2 * column] = narrow[column] * np.int32(4)
            wide[2 * column + 1] = (narrow[column] + narrow[column + 1]) * np.int32(2)


@kernel(nogil=True)
def _rgb_row(y, u, v, out, width, c):  # pragma: no cover
    low, high, shift = np.int32(0), np.int32(255), np.int32(SHIFT)
    c0, c1, c2, c3, c4, c5, c6, c7 = c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7]
    for x in range(width):
        luma = np.int32(y[x]) * c0
        red = (luma + v[x] * c1 + c5) >> shift
        green = (luma - u[x] * c2 - v[x] * c3 + c6) >> shift
        blue = (luma + u[x] * c4 + c7) >> shift
        out[3 * x] = np.uint8(min(max(red, low), high))
        out[3 * x + 1] = np.uint8(min(max(green, low), high))
        out[3 * x + 2] = np.uint8(min(max(blue, low), high))


@kernel(nogil=True)
def _convert(y, u, v, out, width, half_width, half_height, centred, c):  # pragma: no cover
    columns = (width + 1) >> 1 if half_width else width
    narrow = np.empty(columns + 1, np.int32)
    wide_u = np.empty(2 * columns, np.int32)
    wide_v = np.empty(2 * columns, np.int32)
    for row in range(out.shape[0]):
        _chroma_row(u, row, u.shape[0], columns, half_width, half_height, centred, narrow, wide_u)
        _chroma_row(v, row, v.shape[0], columns, half_width, half_height, centred, narrow, wide_v)
        _rgb_row(y[row], wide_u, wide_v, out[row], width, c)


@kernel(nogil=True)
def _grey(y, out, width, c):  # pragma: no cover
    for row in range(out.shape[0]):
        for x in range(width):
            value = (np.int32(y[row, x]) * c[0] + c[8]) >> np.int32(SHIFT)
            for channel in range(3):
                out[row, 3 * x + channel] = np.uint8(min(max(value, 0), 255))
