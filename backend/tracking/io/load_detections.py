"""Load detections of other programs (MOT text, COCO results); settings that imports of detections and tracks share."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from backend.jobs.script import Option, ScriptSettings
from backend.lek.lek_settings import parse_size
from backend.masks import rle
from backend.pipeline.chunk_tables import Instances
from backend.project.errors import InputError
from backend.project.paths import slug
from backend.tracking.io.check_boxes import check_boxes
from backend.tracking.io.mot import LIMIT, read_mot
from backend.video import VideoReader


class ImportSettings(ScriptSettings):
    """The settings that imports of detections and of tracks share."""

    source: Annotated[Path, Option(name="--from")] = Field(description="file to import")
    out: Path = Field(description="folder to write, VIDEO/RUN of a project")
    video_path: Path | None = Field(default=None, description="the video: its size, times and name are taken from it")
    size: str | None = Field(default=None, description="width x height of the frames, where there is no --video-path")
    fps: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="frames per second, where there is no --video-path"
    )
    frames: int | None = Field(
        default=None, ge=1, description="number of frames; by default the video's, or up to the last frame in the file"
    )


@dataclass(frozen=True)
class LoadedDetections:
    """Detections sorted by frame, then falling score. Arrays of one length."""

    frame: np.ndarray  # (N,) int32, 0-based
    score: np.ndarray  # (N,) float32
    boxes: np.ndarray  # (N, 4) float32 x1 y1 x2 y2, px
    masks: list[bytes | None]  # COCO compressed counts

    def __len__(self) -> int:
        return len(self.frame)

    def take(self, rows: slice) -> "LoadedDetections":
        """Return some of the rows."""
        return LoadedDetections(self.frame[rows], self.score[rows], self.boxes[rows], self.masks[rows])

    def instances(self) -> Instances:
        """Return the rows as they stand in a detections run. The area of one without a mask is that of its box."""
        number = (np.arange(len(self)) - np.searchsorted(self.frame, self.frame)).astype(np.int32)
        sides = np.maximum(0, self.boxes[:, 2:] - self.boxes[:, :2])
        area = np.round(sides[:, 0] * sides[:, 1]).astype(np.int32)
        for k, mask in enumerate(self.masks):
            if mask is not None:
                area[k] = rle.area(mask)
        masks = pa.array(self.masks, pa.binary())
        return Instances(self.frame, number, np.ones(len(self), np.int32), self.score, self.boxes, area, masks)


@dataclass(frozen=True, eq=False)
class AboutVideo:
    """What is known of the video that detections or tracks belong to. ``times`` (F,) s, None where unknown."""

    name: str
    file: dict[str, Any]  # path and identity, as a manifest's inputs tell them; empty where there is no video
    size: tuple[int, int]  # width, height, px
    fps: float
    times: np.ndarray | None


def about_video(settings: ImportSettings) -> AboutVideo:
    """Read the video's size, fps and times, or take ``size`` (such as 2688x1520) and ``fps``; InputError without."""
    if settings.video_path is not None:
        with VideoReader(settings.video_path, threads=1) as reader:
            file = {"video_path": str(settings.video_path.resolve()), "video_identity": reader.index.identity}
            name, times = slug(settings.video_path.stem), np.asarray(reader.times)
            return AboutVideo(name, file, reader.size, float(reader.fps), times)
    if settings.size is None or settings.fps is None:
        raise InputError("give --video-path, or --size and --fps")
    return AboutVideo(slug(settings.source.stem), {}, parse_size(settings.size), settings.fps, None)


def check_frames_option(settings: ImportSettings, about: AboutVideo) -> None:
    """Raise InputError where ``--frames`` is more than the video has."""
    if about.times is not None and settings.frames is not None and settings.frames > len(about.times):
        raise InputError(f"--frames is {settings.frames}; {settings.video_path} has {len(about.times)} frames")


def read_detections(path: Path, size: tuple[int, int], category: int | None = None) -> LoadedDetections:
    """Read MOT text (.txt) or COCO results (.json); boxes are clipped to the image ``size`` (width, height).

    ``category``: only COCO's detections of this ``category_id``.

    Raises
    ------
    InputError
        If the file cannot be read, holds none, holds several categories and ``category`` is None, or a detection is
        invalid; the message names the first.
    """
    if path.suffix.lower() == ".json":
        frame, score, boxes, masks, row_numbers = _coco(path, size, category)
        locations = [f"{path}, detection {number}" for number in row_numbers]
    else:
        rows = read_mot(path)
        frame, score, boxes, masks = rows.frame, rows.score, rows.boxes, [None] * len(rows.frame)
        locations = [f"{path}, line {number}" for number in rows.line.tolist()]
    if not len(frame):
        raise InputError(f"{path} holds no detections" + ("" if category is None else f" of category {category}"))
    boxes = boxes.astype(np.float32)
    check_boxes(path, boxes, size, lambda row: locations[row])
    _check(locations, frame, score, boxes, masks)
    boxes = np.clip(boxes, 0, np.tile(np.array(size, np.float32), 2))
    order = np.lexsort((-score, frame))
    return LoadedDetections(
        frame[order].astype(np.int32),
        score[order].astype(np.float32),
        boxes[order],
        [masks[k] for k in order.tolist()],
    )


def _check(locations: list[str], frame: np.ndarray, score: np.ndarray, boxes: np.ndarray, masks: list) -> None:
    odd = np.flatnonzero((score < 0) | (score > 1))
    if len(odd):
        words = "scores from 0 to 1 are needed (-1 in every line of MOT text: no scores, taken as 1); scale them"
        raise InputError(f"{locations[odd[0]]} has the score {score[odd[0]]:g}; {words}")
    first: dict[tuple, int] = {}
    for k, row in enumerate(zip(frame.tolist(), score.tolist(), *boxes.T.tolist(), masks, strict=True)):
        if first.setdefault(row, k) != k:
            raise InputError(f"{locations[k]} is the same detection as that of {locations[first[row]].split(', ')[-1]}")


def _coco(
    path: Path, size: tuple[int, int], category: int | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[bytes | None], list[int]]:
    """Return frame (N,), score (N,), boxes (N, 4) float64 px, masks, and the number of each detection in the file."""
    try:
        rows = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(rows, list):
        raise InputError(f"{path} holds no COCO results: a list of detections is needed, not a {type(rows).__name__}")
    table, masks, categories, kept = np.zeros((len(rows), 6)), [], set(), []
    for k, row in enumerate(rows):
        try:
            row_category = row.get("category_id")
            if category is not None and row_category != category:
                continue
            image, box, score = float(row["image_id"]), np.array(row["bbox"], float), float(row["score"])
            if not 1 <= image < LIMIT or image != int(image):
                raise ValueError(f"image_id must be at least 1, whole and below {LIMIT}")
            if box.shape != (4,) or not np.isfinite([*box, score]).all() or min(box[2:]) < 0:
                raise ValueError("bbox must be x, y, width, height, and score a number")
            masks.append(_mask(row.get("segmentation"), size))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{path}, detection {k}: {type(error).__name__}: {error}") from error
        categories.add(row_category)
        kept.append(k)
        table[k] = image - 1, score, box[0], box[1], box[0] + box[2], box[1] + box[3]
    if len(categories) > 1:
        some = ", ".join(sorted(map(str, categories)))
        raise InputError(f"{path} holds detections of several categories ({some}); choose one with --category")
    table = table[kept]
    return table[:, 0].astype(np.int32), table[:, 1], table[:, 2:], masks, kept


def _mask(segmentation: Any, size: tuple[int, int]) -> bytes | None:
    if segmentation is None:
        return None
    if not isinstance(segmentation, dict):
        raise ValueError("segmentation must be run lengths (size and counts), as COCO results have them")
    width, height = size
    if list(segmentation["size"]) != [height, width]:
        raise ValueError(f"its mask is {segmentation['size'][::-1]} px large, the picture {[width, height]}")
    return rle.checked(segmentation["counts"], height, width)
