"""Appearance as a network would describe it: a vector a detection, moved by view, light and noise.

What moves it is not white noise, which tracking could average away: the side that is seen, the pose, drifting light, a
neighbour in front, and an error that stays for a second or two.
"""

from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.signal import lfilter

from backend.lek.world import Lek, stream
from backend.project.kernels import kernel

SIZE = 16  # numbers a vector
SEEN_AT_LEAST_PX2 = 12  # no camera describes less
VIEW_SHARE, LIGHT_SHARE, OCCLUSION_SHARE = 0.5, 0.4, 0.7
ERROR_S, LIGHT_S = 1.5, 60.0  # how long an error, and the light, stay alike

SCHEMA = pa.schema(
    [
        pa.field("frame", pa.int32()),
        pa.field("bird", pa.uint8()),
        pa.field("vector", pa.list_(pa.float32(), SIZE)),
    ]
)


class AppearanceWriter:
    """Streams descriptors of what is visible to an open binary file; use it as a context manager."""

    def __init__(self, file: IO[bytes], lek: Lek):
        self._writer = pq.ParquetWriter(
            file, SCHEMA, compression="zstd", use_byte_stream_split=["vector.list.element"], use_dictionary=False
        )
        self._model = AppearanceModel(lek)

    def __enter__(self) -> "AppearanceWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def write(self, first: int, states: np.ndarray, views: np.ndarray) -> None:
        """Append the descriptors of (frames, n) BIRD states from frame ``first`` and what was seen of them."""
        vectors = self._model.describe(states, views)
        frame, bird = np.nonzero(views["area"] >= SEEN_AT_LEAST_PX2)
        columns = [
            pa.array((first + frame).astype(np.int32)),
            pa.array((bird + 1).astype(np.uint8)),
            pa.FixedSizeListArray.from_arrays(pa.array(vectors[frame, bird].ravel()), SIZE),
        ]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=SCHEMA))


class AppearanceModel:
    """The descriptors of one lek, chunk by chunk."""

    def __init__(self, lek: Lek):
        hardness = lek.settings.difficulty
        rng = stream(lek.settings, "appearance")
        self.own = latents(lek)
        self._view_all = VIEW_SHARE * rng.standard_normal((6, SIZE)) / np.sqrt(3)
        shape = (lek.settings.birds, 6, SIZE)
        self._view_own = 0.5 * (1 - hardness.likeness) * VIEW_SHARE * rng.standard_normal(shape) / np.sqrt(3)
        self._light = rng.standard_normal(SIZE)
        self._drift = LIGHT_SHARE * min(1.0, 5 * hardness.light_drift)
        self._noise = hardness.appearance_noise
        self._fps = lek.settings.fps
        self._rng = rng
        self._light_now = np.zeros((1, 1))
        self._error_now = rng.standard_normal((1, lek.settings.birds, SIZE))

    def describe(self, states: np.ndarray, views: np.ndarray) -> np.ndarray:
        """Return (frames, n, SIZE) float32 for a chunk that follows the one before."""
        angle = states["heading"] - np.arctan2(states["y"], states["x"])  # 0: seen from behind
        cues = np.stack(
            [np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle), states["ruff"], states["crouch"]], -1
        )
        vectors = self.own + cues @ self._view_all + np.einsum("fnc,ncd->fnd", cues, self._view_own)
        vectors += self._walk_light(len(states))[:, None] * self._light
        hidden = 1 - views["area"] / np.maximum(views["whole"], 1)
        vectors += (OCCLUSION_SHARE * hidden)[..., None] * (self._neighbours(states) - self.own)
        grain = np.sqrt(1500 / np.clip(views["area"], 150, 6000))  # a small bird is described worse
        vectors += self._noise * grain[..., None] * self._walk_error(len(states))
        return vectors.astype(np.float32)

    def _neighbours(self, states: np.ndarray) -> np.ndarray:
        """Return (frames, n, SIZE): the own vector of the nearest other bird."""
        if states.shape[1] == 1:
            return np.broadcast_to(self.own, (*states.shape, SIZE))
        return self.own[_nearest(states["x"], states["y"])]

    def _walk_light(self, frames: int) -> np.ndarray:
        walked, self._light_now = _slow_noise(
            self._rng.standard_normal((frames, 1)), self._light_now, LIGHT_S * self._fps
        )
        return self._drift * walked

    def _walk_error(self, frames: int) -> np.ndarray:
        fresh = self._rng.standard_normal((2, frames, *self.own.shape), dtype=np.float32)
        walked, self._error_now = _slow_noise(fresh[0], self._error_now, ERROR_S * self._fps)
        return 0.8 * walked + 0.6 * fresh[1]


def latents(lek: Lek) -> np.ndarray:
    """Return (n, SIZE) float64, what each bird looks like; unit variance at likeness 0, all the same at 1."""
    rng = stream(lek.settings, "latent")
    common, own = rng.standard_normal(SIZE), rng.standard_normal((lek.settings.birds, SIZE))
    likeness = lek.settings.difficulty.likeness
    return likeness * common + (1 - likeness) * own


@kernel
def _nearest(x, y):
    frames, n = x.shape
    nearest = np.zeros((frames, n), np.int64)
    for frame in range(frames):
        for i in range(n):
            best = np.inf
            for j in range(n):
                apart = (x[frame, i] - x[frame, j]) ** 2 + (y[frame, i] - y[frame, j]) ** 2
                if j != i and apart < best:
                    best, nearest[frame, i] = apart, j
    return nearest


def _slow_noise(fresh: np.ndarray, last: np.ndarray, length: float) -> tuple[np.ndarray, np.ndarray]:
    """Return unit noise that forgets over ``length`` steps of axis 0, going on from ``last``, and its new last row."""
    keep = np.exp(-1 / length)
    walked, _ = lfilter([np.sqrt(1 - keep**2)], [1, -keep], fresh, axis=0, zi=keep * last)
    return walked, walked[-1:]
