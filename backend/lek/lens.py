"""From light to the 8-bit picture of a cheap outdoor camera: exposure, white balance, vignette, tone curve, noise."""

import numpy as np

from backend.project.kernels import kernel

CURVE = 4096  # steps of the tone curve
OVER = 1.6  # linear light at which the sensor clips
NOISE_BANK = 1 << 16


def tone_curve() -> np.ndarray:
    """Return (CURVE + 1,) float32: grey levels 0 to 255 for linear light 0 to `OVER`, with a soft shoulder."""
    light = np.linspace(0, OVER, CURVE + 1)
    shoulder = light * (1 + light / 3.2) / (1 + 0.75 * light)
    return (255 * np.clip(shoulder / shoulder[int(CURVE * 0.86)], 0, 1) ** (1 / 2.2)).astype(np.float32)


def vignette(size: tuple[int, int]) -> np.ndarray:
    """Return (H, W) float32: the corners of the picture get less light."""
    width, height = size
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height) * height / width)
    return (1 - 0.20 * (x**2 + y**2) ** 1.2).astype(np.float32)


def noise_bank(rng: np.random.Generator) -> np.ndarray:
    """Return (NOISE_BANK,) float32 normal numbers; rows of a frame start anywhere in it."""
    return rng.standard_normal(NOISE_BANK, dtype=np.float32)


@kernel
def develop(picture, gain, vignette, curve, noise, starts, strength, out):
    """Turn ``picture`` (H, W, 3) float32 linear light into ``out`` (H, W, 3) uint8 RGB.

    ``gain`` (3,) float64 is for red, green and blue; ``starts`` (H,) int64 says where each row begins in the ``noise``
    bank; ``strength`` is the noise's standard deviation at mid grey, in grey levels.
    """
    height, width = vignette.shape
    to_step = CURVE / OVER
    for y in range(height):
        at = starts[y]
        for x in range(width):
            for k in range(3):
                step = min(picture[y, x, k] * gain[k] * vignette[y, x] * to_step, CURVE - 1.0)
                level = curve[int(step)]
                grain = strength * (1.25 - 0.0045 * abs(level - 90.0))
                level += grain * noise[at & (NOISE_BANK - 1)] + 0.5
                at += 1
                out[y, x, k] = 0 if level < 0.0 else (255 if level > 255.0 else int(level))
