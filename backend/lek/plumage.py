"""What birds look like."""

import colorsys

GOLDEN = 0.618034


def colours(n: int) -> list[str]:
    """Return ``n`` clearly different drawing colours as ``#rrggbb``."""
    found = []
    for i in range(n):
        value = colorsys.hsv_to_rgb((i * GOLDEN) % 1.0, (0.85, 0.6, 0.95)[i % 3], (0.95, 1.0, 0.7)[i % 3])
        found.append("#" + "".join(f"{round(255 * part):02x}" for part in value))
    return found
