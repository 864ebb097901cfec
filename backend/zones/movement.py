"""Movement on the ground: positions, steps, speed. In metres where the camera has a scale, else in px."""

from dataclasses import dataclass

import numpy as np

from backend.project.kernels import kernel
from backend.zones.bird_sequences import Recording
from backend.zones.geometry import distance_to_outlines, join_polygons
from backend.zones.scale import to_ground
from backend.zones.zone_file import ZoneKind, Zones


@dataclass(frozen=True, eq=False)
class Movement:
    """Movement of all rows of a recording. A row without a position has NaN.

    ``positions`` (N, 2) float64, smoothed ground points; ``step`` (N,) float32, distance from the previous row;
    ``step_s`` (N,) float32, s of that step; ``speed`` (N,) float32, units/s, of the step that ends here;
    ``unit``: ``m`` or ``px``; ``body``: median body size in that unit.
    """

    positions: np.ndarray
    step: np.ndarray
    step_s: np.ndarray
    speed: np.ndarray
    unit: str
    body: float


def find_movement(recording: Recording, zones: Zones, smooth_s: float) -> Movement:
    """Return positions on the ground, averaged over ``smooth_s`` (centred), and the steps between them.

    Neither bridges a time that was not observed. The box of a bird that stands still jitters by a pixel or two;
    without smoothing that jitter would add up to a path length.
    """
    ground = to_ground(zones.scale, recording.ground_points)
    # by each frame's own interval: with a rate that falls, as many seconds are averaged, not as many frames
    half = np.rint(smooth_s / np.round(recording.interval_s, 6) / 2).astype(np.int64)[recording.frame_index]
    known = np.isfinite(ground[:, 0])
    parts = np.union1d(recording.starts, np.flatnonzero(recording.after_gap[recording.frame_index]))
    positions = _smooth(ground, known, parts, half)
    path_length = np.full(len(ground), np.nan)
    path_length[1:] = np.hypot(*(positions[1:] - positions[:-1]).T)
    seconds = np.full(len(ground), np.nan)
    seconds[1:] = np.diff(recording.times[recording.frame_index])
    path_length[parts[parts < len(path_length)]] = np.nan
    seconds = np.where(np.isnan(path_length), np.nan, seconds)
    with np.errstate(invalid="ignore", divide="ignore"):
        speed = path_length / seconds
    return Movement(
        positions,
        *(values.astype(np.float32) for values in (path_length, seconds, speed)),
        zones.unit,
        _body(recording, zones),
    )


def zone_distances(movement: Movement, zones: Zones, inside: np.ndarray) -> np.ndarray:
    """Return (N, Z) float32: distance to each zone, 0 where ``inside`` (N, Z) bool, NaN without a position."""
    distances = distance_to_outlines(movement.positions, *_ground_polygons(zones))
    distances[inside & np.isfinite(distances)] = 0
    return distances


def border_distances(movement: Movement, zones: Zones) -> np.ndarray:
    """Return (N,) float32: distance to the outline of the nearest border zone; NaN where there is none."""
    borders = [k for k, zone in enumerate(zones.zones) if zone.kind is ZoneKind.BORDER]
    if not borders:
        return np.full(len(movement.positions), np.nan, np.float32)
    return distance_to_outlines(movement.positions, *_ground_polygons(zones, borders)).min(axis=1)


def _ground_polygons(zones: Zones, which: list[int] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the zones on the ground. A homography keeps straight lines straight, so corners suffice."""
    chosen = range(len(zones.zones)) if which is None else which
    polygons = [to_ground(zones.scale, zones.zones[k].polygon) for k in chosen]
    return join_polygons(
        [np.nan_to_num(polygon, nan=1e9) for polygon in polygons]
    )  # corners beyond the horizon are far


def _body(recording: Recording, zones: Zones) -> float:
    if zones.scale is None:
        return recording.body_px
    rows = np.flatnonzero(recording.seen)
    rows = rows[:: max(1, len(rows) // 5000)]
    boxes = recording.boxes[rows]
    left = to_ground(zones.scale, boxes[:, [0, 3]])
    right = to_ground(zones.scale, boxes[:, [2, 3]])
    return float(np.nanmedian(np.hypot(*(right - left).T)))


@kernel
def _smooth(points, known, starts, half):
    """Return (N, 2): centred moving average over up to ``half`` (N,) neighbours a side; unknown points end it."""
    smoothed = np.full(points.shape, np.nan)
    for sequence in range(len(starts) - 1):
        row, end = starts[sequence], starts[sequence + 1]
        while row < end:
            if not known[row]:
                row += 1
                continue
            stop = row
            while stop < end and known[stop]:
                stop += 1
            length = stop - row
            sums = np.zeros((length + 1, 2))
            for k in range(length):  # relative to the first point, so that no digits are lost
                sums[k + 1, 0] = sums[k, 0] + points[row + k, 0] - points[row, 0]
                sums[k + 1, 1] = sums[k, 1] + points[row + k, 1] - points[row, 1]
            for k in range(length):
                reach = min(half[row + k], k, length - 1 - k)
                n = 2 * reach + 1
                for axis in range(2):
                    mean = (sums[k + reach + 1, axis] - sums[k - reach, axis]) / n
                    smoothed[row + k, axis] = points[row, axis] + mean
            row = stop
    return smoothed
