"""Colours of objects, safe for colour blindness; the same in files, pages and reports."""

import numpy as np

# Okabe and Ito, "Color universal design" (2008), without black, which is the background.
BASE = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
TOWARDS = ((0, 0.0), (255, 0.55), (0, 0.45))  # as they are, then lighter, then darker: 21 different ones, then again


def _palette() -> np.ndarray:
    base = np.array(BASE, float)
    shades = [base + (goal - base) * share for goal, share in TOWARDS]
    series = np.concatenate(shades).round().astype(np.uint8)
    return np.concatenate([np.zeros((1, 3), np.uint8), np.resize(series, (255, 3))])


PALETTE = _palette()  # (256, 3) uint8 RGB; object id -> colour, 0 is black
PALETTE.flags.writeable = False


def colour_of(object_id: int) -> tuple[int, int, int]:
    """Return the colour of an object as red, green, blue, 0 to 255; ids above 255 go round."""
    red, green, blue = PALETTE[1 + (object_id - 1) % 255]
    return int(red), int(green), int(blue)


def as_hex(colour: tuple[int, int, int]) -> str:
    """Return ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*colour)
