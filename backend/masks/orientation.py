"""The EXIF orientation of image files: 1 is upright. Programs do not agree on whether to turn the others upright.

PNG keeps it in an ``eXIf`` chunk (PNG specification, third edition, 11.3.4.7), which may stand behind the pixels.
"""

import io
import struct
from typing import IO

from PIL import Image

ORIENTATION = 274
UPRIGHT = 1
PNG = b"\x89PNG\r\n\x1a\n"
LARGEST_EXIF = 1 << 20  # bytes


def orientation(file: IO[bytes]) -> int:
    """Return the EXIF orientation of an image file open for reading, 1 if it has none; pixels are not decoded.

    Raises
    ------
    OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError
        If it is no image.
    """
    body = _png_exif(file)
    file.seek(0)
    try:
        if body is not None:
            return exif_orientation(body)
        with Image.open(file) as image:
            return _of(Image.Image.getexif(image))  # of the base class: that of PNG decodes the whole image
    except struct.error as error:
        raise ValueError("its EXIF is damaged") from error


def orientation_of_bytes(data: bytes) -> int:
    """Return the EXIF orientation of an image file's bytes; see `orientation`."""
    return orientation(io.BytesIO(data))


def exif_orientation(body: bytes) -> int:
    """Return the orientation in the body of a PNG's ``eXIf`` chunk; 1 where it cannot be read."""
    exif = Image.Exif()
    try:
        exif.load(b"Exif\x00\x00" + body)
    except (struct.error, SyntaxError, ValueError, OSError):
        return UPRIGHT
    return _of(exif)


def _of(exif: Image.Exif) -> int:
    value = exif.get(ORIENTATION, UPRIGHT)
    return value if value in range(1, 9) else UPRIGHT  # other values mean nothing; viewers ignore them


def _png_exif(file: IO[bytes]) -> bytes | None:
    """Return the body of the ``eXIf`` chunk; None where there is none, or the file is no PNG."""
    if file.read(len(PNG)) != PNG:
        return None
    while len(head := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", head)
        if name == b"eXIf" and length <= LARGEST_EXIF:
            return file.read(length)
        if name == b"IEND":
            return None
        file.seek(length + 4, io.SEEK_CUR)
    return None
