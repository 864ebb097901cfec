"""Colour casts along the Planckian locus: what a camera shows when it takes the light for warmer or colder than it is.

Chromaticity of a black body: Kim et al., "Design of advanced color temperature control system for HDTV applications"
(2002), the cubic approximation for 1667 to 25000 K. Temperatures are given in mired (a million by kelvin), in which
equal steps look equal.
"""

import numpy as np

NEUTRAL_MIRED = 1e6 / 6504  # daylight, the white of sRGB
LIMITS_MIRED = (40.0, 590.0)
FROM_XYZ = np.array(  # to linear sRGB, IEC 61966-2-1
    [[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]]
)
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


def cast_tables(mired: float) -> np.ndarray:
    """Return a table for `cv2.LUT` on RGB, (256, 1, 3) uint8: light of ``mired`` seen by a camera set to daylight."""
    linear = _to_linear(np.arange(256) / 255)
    cast = _from_linear(np.clip(linear[:, None] * channel_gains(mired), 0, 1))
    return np.round(cast * 255).astype(np.uint8)[:, None]


def channel_gains(mired: float) -> np.ndarray:
    """Return the factors of linear red, green and blue, (3,) float64; a grey keeps its luminance."""
    rgb = _linear_rgb(float(np.clip(mired, *LIMITS_MIRED))) / _linear_rgb(NEUTRAL_MIRED)
    return rgb / (rgb @ LUMINANCE)


def _linear_rgb(mired: float) -> np.ndarray:
    x, y = chromaticity(1e6 / mired)
    return np.clip(FROM_XYZ @ np.array([x / y, 1, (1 - x - y) / y]), 0.01, None)


def chromaticity(kelvin: float) -> tuple[float, float]:
    """Return CIE x and y of a black body of 1667 to 25000 K."""
    inverse = 1e3 / kelvin
    if kelvin <= 4000:
        x = ((-0.2661239 * inverse - 0.2343589) * inverse + 0.8776956) * inverse + 0.179910
    else:
        x = ((-3.0258469 * inverse + 2.1070379) * inverse + 0.2226347) * inverse + 0.240390
    if kelvin <= 2222:
        y = ((-1.1063814 * x - 1.34811020) * x + 2.18555832) * x - 0.20219683
    elif kelvin <= 4000:
        y = ((-0.9549476 * x - 1.37418593) * x + 2.09137015) * x - 0.16748867
    else:
        y = ((3.0817580 * x - 5.87338670) * x + 3.75112997) * x - 0.37001483
    return x, y


def _to_linear(value: np.ndarray) -> np.ndarray:
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def _from_linear(value: np.ndarray) -> np.ndarray:
    return np.where(value <= 0.0031308, value * 12.92, 1.055 * value ** (1 / 2.4) - 0.055)
