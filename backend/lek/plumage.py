"""What birds look like: the plumage each has from its own vector of appearance, painted as textures of its parts.

Ruffs differ from bird to bird like no other species: ruff and head tufts from black over chestnut to white, plain,
barred or flecked. `--likeness` pulls all of it, colours as well as the place of every fleck, towards one common bird.
"""

import math
from dataclasses import dataclass

import numpy as np

from backend.lek.body import BILL, BODY, LEG, N_MATERIALS, RUFF, RUFF_GRID, TAIL_FAN, TUFT, WING
from backend.lek.noise import fractal, mix, palette, smooth_step
from backend.lek.simulated_embeddings import latents
from backend.lek.world import Lek, stream

HEIGHT, WIDTH = 128, 256  # v around or across x u along

FEATHER = [  # of ruff and tufts, dark to light
    (0.075, 0.065, 0.075),
    (0.16, 0.10, 0.08),
    (0.36, 0.17, 0.085),
    (0.55, 0.31, 0.13),
    (0.74, 0.56, 0.34),
    (0.86, 0.79, 0.67),
    (0.93, 0.92, 0.89),
]
BACK = [(0.19, 0.145, 0.115), (0.30, 0.215, 0.145), (0.38, 0.29, 0.20), (0.36, 0.33, 0.29)]
FRINGE = [(0.52, 0.40, 0.26), (0.70, 0.56, 0.38), (0.80, 0.74, 0.62)]
BARE = [(0.62, 0.24, 0.10), (0.80, 0.50, 0.16), (0.47, 0.45, 0.24)]  # bill and legs
WHITE, BLACK = np.array([0.90, 0.885, 0.85]), np.array([0.06, 0.055, 0.06])


@dataclass(frozen=True)
class Plumage:
    """The looks of one bird."""

    atlas: np.ndarray  # (N_MATERIALS, HEIGHT, WIDTH, 3) uint8 sRGB
    ragged: np.ndarray  # (RUFF columns,) float64, length of the ruff's feathers, about 1


@dataclass(frozen=True)
class _Genes:
    """One number from 0 to 1 for each trait, and textures that are partly common to all, partly the bird's own."""

    trait: np.ndarray  # (16,)
    fields: np.ndarray  # (4, HEIGHT, WIDTH) float32, standard deviation about 1
    cell: np.ndarray  # (64, 64) float32 uniform: differs from feather to feather
    length: np.ndarray  # (RUFF columns - 1,) float64 normal


def plumages(lek: Lek) -> list[Plumage]:
    """Return the plumage of every bird."""
    likeness = lek.settings.difficulty.likeness
    common = _own_textures(stream(lek.settings, "plumage of all"))
    found = []
    for bird, latent in enumerate(latents(lek)):
        own = _own_textures(stream(lek.settings, f"plumage of {bird}"))
        blended = [likeness * ours + (1 - likeness) * its for ours, its in zip(common, own, strict=True)]
        norm = math.hypot(likeness, 1 - likeness)
        trait = np.array([0.5 + 0.5 * math.erf(value / math.sqrt(2)) for value in latent])
        found.append(paint(_Genes(trait, blended[0] / norm, blended[1], blended[2] / norm)))
    return found


def paint(genes: _Genes) -> Plumage:
    """Paint one bird."""
    u, v = np.meshgrid((np.arange(WIDTH) + 0.5) / WIDTH, (np.arange(HEIGHT) + 0.5) / HEIGHT)
    atlas = np.zeros((N_MATERIALS, HEIGHT, WIDTH, 3))
    atlas[BODY] = _body(genes, u, v)
    atlas[RUFF] = _ruff(genes, u, v)
    atlas[WING] = _wing(genes, u, v)
    atlas[TAIL_FAN] = _tail(genes, u, v)
    atlas[TUFT] = _streaked(genes, _tuft_colour(genes), u, v, 0.5)
    bare = palette(BARE, genes.trait[7])
    atlas[BILL] = mix(bare, BLACK, smooth_step(u, 0.35 + 0.5 * genes.trait[6], 1.0) * 0.85)
    atlas[LEG] = mix(palette(BARE, genes.trait[8]), _belly_colour(genes) * 0.8, smooth_step(-u, -0.35, -0.2))
    lengths = 1 + 0.075 * np.clip(genes.length, -2, 2)
    lengths *= 1 + 0.05 * np.where(np.arange(len(lengths)) % 2, 1, -1)
    return Plumage(np.round(255 * np.clip(atlas, 0, 1)).astype(np.uint8), np.append(lengths, lengths[0]))


def _own_textures(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    fields = np.stack([fractal(rng, HEIGHT, WIDTH, slope) for slope in (1.0, 1.4, 0.8, 1.0)])
    return fields, rng.random((64, 64)).astype(np.float32), rng.standard_normal(RUFF_GRID[1] - 1)


def _ruff_colour(genes: _Genes) -> np.ndarray:
    return palette(FEATHER, genes.trait[0])


def _tuft_colour(genes: _Genes) -> np.ndarray:
    return palette(FEATHER, genes.trait[2])


def _belly_colour(genes: _Genes) -> np.ndarray:
    return WHITE * (0.75 + 0.25 * genes.trait[5])


def _scales(genes: _Genes, u: np.ndarray, v: np.ndarray, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Return how far each texel is down its feather (0 base, 1 tip) and a number that differs between feathers.

    Feathers point to the tail (small u) and lie in staggered rows, as roof tiles do.
    """
    along = (1 - u) * rows
    row = np.floor(along)
    across = v * columns + 0.5 * (row % 2)
    column = np.floor(across)
    b = across - column - 0.5
    down = along - row + 1.5 * b * b
    over = down > 1.0  # behind the rounded tip the next row shows
    row, down = np.where(over, row + 1, row), np.where(over, down - 1.0, down)
    return down, genes.cell[row.astype(int) % 64, (column.astype(int) + 7 * row.astype(int)) % 64]


def _mantle(genes: _Genes, u: np.ndarray, v: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Return back and wing feathers: dark in the middle, fringed with light."""
    u, v = u + 0.15 / rows * genes.fields[1], v + 0.15 / columns * genes.fields[3]
    down, each = _scales(genes, u, v, rows, columns)
    base = palette(BACK, genes.trait[3]) * (0.72 + 0.4 * each + 0.12 * genes.fields[1])[..., None]
    dark = mix(base, BLACK + 0.03, (0.3 + 0.6 * genes.trait[9]) * smooth_step(-np.abs(down - 0.45), -0.42, -0.05))
    fringe = palette(FRINGE, genes.trait[4]) * (0.8 + 0.3 * genes.fields[0])[..., None]
    return mix(dark, fringe, smooth_step(down, 0.62, 1.0) * (0.05 + 0.6 * each**1.5))


def _streaked(genes: _Genes, colour: np.ndarray, u: np.ndarray, v: np.ndarray, strength: float) -> np.ndarray:
    """Return feathers of one colour with shafts along u."""
    shafts = genes.fields[0][(np.arange(HEIGHT) * 3) % HEIGHT][:, (np.arange(WIDTH) // 8) % WIDTH]
    return np.clip(colour * (1 + 0.22 * strength * shafts[..., None]) + 0.03 * shafts[..., None], 0, 1)


def _ruff(genes: _Genes, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    plain = _streaked(genes, _ruff_colour(genes), u, v, 1.0)
    other = palette(FEATHER, (genes.trait[0] + 0.25 + 0.5 * genes.trait[10]) % 1.0)
    bars = np.sin(2 * np.pi * (u * (7 + 6 * genes.trait[11])) + 1.6 * genes.fields[1])
    flecks = genes.fields[2] + 0.6 * genes.fields[1]
    barred = smooth_step(bars, 0.1, 0.6) * np.clip(2.4 * genes.trait[1] - 1.2, 0, 1)
    flecked = smooth_step(flecks, 0.5, 0.9) * np.clip(2.4 * (1 - genes.trait[12]) - 0.9, 0, 1)
    patched = smooth_step(genes.fields[1], 0.9, 1.1) * (genes.trait[13] > 0.6)
    coloured = mix(plain, other, np.clip(0.85 * np.maximum(np.maximum(barred, flecked), patched), 0, 1))
    return coloured * (1 - 0.35 * smooth_step(-np.abs(u - 0.62), -0.06, 0))[..., None]


def _wing(genes: _Genes, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Coverts in front, dark flight feathers towards the tip; u from shoulder to tip, v from the upper edge down."""
    coverts = _mantle(genes, 1 - u, v, 17, 6)
    edge = np.abs(((v * 9 + 0.35 * u) % 1.0) - 0.5)
    flight = mix(
        palette(BACK, genes.trait[3]) * 0.75, palette(FRINGE, genes.trait[4]) * 0.8, smooth_step(edge, 0.40, 0.5)
    )
    tip = mix(flight, BLACK + 0.05, 0.7 * smooth_step(u, 0.7, 0.95))
    return mix(coverts, tip, smooth_step(u + 0.08 * genes.fields[1], 0.52, 0.66))


def _tail(genes: _Genes, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    feather = np.abs(((v * 8) % 1.0) - 0.5)
    base = palette(BACK, genes.trait[3]) * (0.85 + 0.25 * np.sin(u * 26))[..., None]
    return mix(base, palette(FRINGE, genes.trait[4]), 0.6 * smooth_step(feather, 0.38, 0.5))


def _body(genes: _Genes, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Paint the trunk: u from tail to forehead, v around, 0 and 1 the belly, 0.5 the back."""
    top = 1 - 2 * np.abs(v - 0.5)  # 0 belly, 1 back
    wobble = 0.10 * genes.fields[1]
    skin = _mantle(genes, u, v, 26, 28)
    blotch = smooth_step(genes.fields[2] + genes.fields[1], 0.6, 1.4) * (0.25 + 0.65 * genes.trait[14])
    flank = mix(_belly_colour(genes), palette(BACK, genes.trait[3]), blotch * smooth_step(top, 0.1, 0.4))
    skin = mix(flank, skin, smooth_step(top + wobble, 0.36, 0.52))
    breast = _streaked(genes, _ruff_colour(genes), u, v, 0.8)
    breast = mix(breast, _belly_colour(genes), smooth_step(genes.fields[0], 0.4, 1.2) * 0.5)
    skin = mix(skin, breast, smooth_step(u + 0.5 * wobble, 0.46, 0.58) * smooth_step(-top, -0.85, -0.5))
    skin = mix(skin, _streaked(genes, _tuft_colour(genes), u, v, 0.7), smooth_step(u, 0.64, 0.70))
    crown = _mantle(genes, u, v, 60, 19) * 0.9
    skin = mix(skin, crown, smooth_step(u, 0.76, 0.82) * smooth_step(top + 0.5 * wobble, 0.55, 0.75))
    face = palette(BARE, genes.trait[6]) * 0.85
    around_bill = smooth_step(u + 0.02 * genes.fields[0], 0.952, 0.975)
    skin = mix(skin, mix(face, _belly_colour(genes), 1 - genes.trait[6]), around_bill * smooth_step(-top, -0.8, -0.5))
    return _eyes(skin, u, v)


def _eyes(skin: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    for side in (0.335, 0.665):
        far = np.hypot((u - 0.915) / 0.0105, (v - side) / 0.034)
        skin = mix(skin, WHITE * 0.8, 0.6 * (1 - smooth_step(far, 1.15, 1.45)))
        skin = mix(skin, BLACK * 0.6, 1 - smooth_step(far, 0.75, 1.0))
        glint = np.hypot((u - 0.918) / 0.004, (v - 0.5 - (side - 0.5) * 0.93) / 0.011)
        skin = mix(skin, WHITE, 0.9 * (1 - smooth_step(glint, 0.6, 1.0)))
    return skin
