"""Small runs of detections for tests: boxes given by hand, masks that fill their boxes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from backend.masks.rle import encode
from backend.pipeline.chunk_tables import AnalysedFrames, Instances, write_chunk
from backend.pipeline.chunks import plan_chunks
from backend.pipeline.detections import DetectionsRun, open_detections
from backend.project.manifest import begin_manifest, finished_file

Box = tuple[float, float, float, float]


def make_run(
    folder: Path,
    boxes: Mapping[int, Sequence[Box]],
    n_frames: int,
    *,
    size: tuple[int, int] = (160, 96),
    fps: float = 25.0,
    chunk_frames: int = 20,
    stride: int = 1,
    video: str = "lek",
    class_names: Sequence[str] = ("bird",),
    scores: Mapping[int, Sequence[float]] | None = None,
    complete: bool = True,
) -> DetectionsRun:
    """Write a run over frames 0 to ``n_frames`` with the boxes of each frame, in falling score, and open it."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        **{"video": video, "width": size[0], "height": size[1], "fps": fps, "class_names": list(class_names)},
        **{"frame_start": 0, "frame_end": n_frames, "stride": stride, "chunk_frames": chunk_frames},
    }
    manifest = begin_manifest(folder, "inference", {"video_identity": {"size": 1}}, settings)
    for chunk in plan_chunks(0, n_frames, chunk_frames, stride):
        seen, found = _rows(chunk.frames, boxes, scores or {}, size, fps)
        write_chunk(folder, chunk, seen, found)
        for name in (chunk.detections_file, chunk.frames_file):
            manifest.files[name] = finished_file(folder / name)
    manifest.complete = complete
    manifest.write(folder)
    return open_detections(folder)


def _rows(
    frames: range,
    boxes: Mapping[int, Sequence[Box]],
    scores: Mapping[int, Sequence[float]],
    size: tuple[int, int],
    fps: float,
) -> tuple[AnalysedFrames, Instances]:
    n = np.array([len(boxes.get(frame, ())) for frame in frames], np.int32)
    shown = np.array(frames, np.int32)
    corners = np.array([box for frame in frames for box in boxes.get(frame, ())], np.float32).reshape(-1, 4)
    masks = [_box_mask(box, size) for box in corners]
    found = Instances(
        frame=np.repeat(shown, n),
        detection=np.concatenate([np.arange(k, dtype=np.int32) for k in n]),
        class_id=np.ones(len(corners), np.int32),
        score=np.array(
            [score for frame in frames for score in scores.get(frame, [0.9] * len(boxes.get(frame, ())))], np.float32
        ),
        boxes=corners,
        area_px2=np.array([mask.sum() for mask in masks], np.int32),
        rle=pa.array([encode(mask) for mask in masks], pa.binary()),
    )
    return AnalysedFrames(shown, shown / fps, n), found


def _box_mask(box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    mask = np.zeros((size[1], size[0]), bool)
    x1, y1, x2, y2 = box.round().astype(int).clip(0)
    mask[y1:y2, x1:x2] = True
    return mask
