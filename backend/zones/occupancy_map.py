"""Occupancy maps: time that birds spent in each cell of a grid over the frame, one map per camera."""

from dataclasses import dataclass, field

import cv2
import numpy as np

from backend.project.errors import InputError
from backend.video.library import open_video
from backend.zones.inputs import Source, SourceData
from backend.zones.time_budgets import Bins
from backend.zones.zone_file import Zones

COLUMNS = 112  # of the grid; rows by the shape of the frame
PICTURE_PX = 1344


@dataclass(eq=False)
class OccupancyMap:
    """Map of one camera. ``seconds`` (rows, columns) float64, s; ``picture`` (H, W, 3) uint8 RGB or None."""

    zones: Zones
    seconds: np.ndarray
    picture: np.ndarray | None


@dataclass(eq=False)
class OccupancyMaps:
    """Occupancy maps by camera."""

    maps: dict[str, OccupancyMap] = field(default_factory=dict)

    def add(self, source: Source, opened: SourceData, bins: Bins) -> None:
        """Add the ground points of one video within the time range of ``bins``."""
        width, height = opened.zones.image_size
        rows = max(1, round(COLUMNS * height / width))
        recording = opened.recording
        seen = recording.seen & (bins.of_frame[recording.frame_index] >= 0)
        points = recording.ground_points[seen]
        seconds, _, _ = np.histogram2d(
            points[:, 1], points[:, 0], (rows, COLUMNS), ((0, height), (0, width)),
            weights=recording.seconds[recording.frame_index[seen]],
        )  # fmt: skip
        if source.camera not in self.maps:
            self.maps[source.camera] = OccupancyMap(opened.zones, np.zeros_like(seconds), _picture(source))
        known = self.maps[source.camera]
        if known.seconds.shape == seconds.shape:
            known.seconds += seconds


def _picture(source: Source) -> np.ndarray | None:
    """Return the middle frame of the video, small; None where it cannot be read."""
    if source.project is None or source.record is None:
        return None
    try:
        with open_video(source.project, source.video, threads=1) as reader:
            picture = reader.read([len(reader) // 2])[0]
    except (InputError, OSError):
        return None
    width = min(PICTURE_PX, picture.shape[1])
    return cv2.resize(
        picture, (width, round(picture.shape[0] * width / picture.shape[1])), interpolation=cv2.INTER_AREA
    )
