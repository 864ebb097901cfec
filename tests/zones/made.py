"""Zones and recordings written by hand, so that every number can be checked with a pencil."""

from collections.abc import Mapping, Sequence

import numpy as np

from backend.tracking.tracks.schemas import State
from backend.tracking.tracks.tracks import Tracks, lost_rows, sorted_tracks
from backend.zones.zone_file import Zones, parse_zones

SIZE = (200, 100)
SQUARE = ((0.0, 0.0), (50.0, 0.0), (50.0, 100.0), (0.0, 100.0))


def rectangle(x1: float, y1: float, x2: float, y2: float) -> list[list[float]]:
    """Return a rectangle's corners."""
    return [[x1, y1], [x2, y1], [x2, y2], [x1, y2]]


def zones_of(*zones: Mapping, scale: Mapping | None = None, size: tuple[int, int] = SIZE) -> Zones:
    """Return zones; each needs a name and a shape, and stays of any length count unless it says otherwise."""
    whole = [{"id": k + 1, "min_stay_s": 0.0, **zone} for k, zone in enumerate(zones)]
    return parse_zones({"image_size": list(size), "scale": scale, "zones": whole})


def left_and_right(**options) -> Zones:
    """Return two zones: x below 50, and x from 150 to 200; what lies between is outside."""
    return zones_of(
        {"name": "left", "shape": rectangle(0, 0, 50, 100)},
        {"name": "right", "shape": rectangle(150, 0, 200, 100)},
        **options,
    )


def tracks_of(
    paths: Mapping[str, Sequence[float | None]],
    fps: float = 10.0,
    y: float = 50.0,
    p: Mapping[str, float] | None = None,
) -> Tracks:
    """Return tracks of birds that are at x (ground point; y is fixed) in each frame; None: lost, a complex: guessed.

    Names that begin with ``?`` are tracks that were not told apart.
    """
    n = max(len(path) for path in paths.values())
    names = tuple(name for name in paths if not name.startswith("?"))
    rows: dict[str, list] = {key: [] for key in ("frame", "track_id", "identity", "state", "p_identity", "x")}
    for track, (name, path) in enumerate(paths.items(), 1):
        code = names.index(name) if name in names else -1
        for frame, x in enumerate(path):
            if x is None:
                continue
            guessed = isinstance(x, complex)
            rows["frame"].append(frame)
            rows["track_id"].append(track)
            rows["identity"].append(code)
            rows["state"].append(State.INTERPOLATED if guessed else State.DETECTED)
            rows["p_identity"].append((p or {}).get(name, 1.0) if code >= 0 else np.nan)
            rows["x"].append(x.real)
    x = np.array(rows["x"], np.float32)
    seen = {
        "frame": np.array(rows["frame"], np.int32),
        "detection": np.zeros(len(x), np.int32),
        "track_id": np.array(rows["track_id"], np.int32),
        "identity": np.array(rows["identity"], np.int16),
        "state": np.array(rows["state"], np.int8),
        "p_identity": np.array(rows["p_identity"], np.float32),
        "boxes": np.column_stack([x - 5, x * 0 + y - 20, x + 5, x * 0 + y]).astype(np.float32),
    }
    frames = np.arange(n, dtype=np.int32)
    track_of = {code: list(paths).index(name) + 1 for code, name in enumerate(names)}
    lost = lost_rows(seen, frames, track_of, dict.fromkeys(track_of, (0, n - 1)))
    columns = {key: np.concatenate([seen[key], lost[key]]) for key in seen}
    return sorted_tracks(**columns, names=names, frames=frames, times=frames / fps)
