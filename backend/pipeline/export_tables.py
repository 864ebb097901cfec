"""Export of detections or tracks in formats of other programs: COCO, MOT, CSV, YOLO. Every writer streams frames.

- ``coco``: COCO results JSON; ``image_id`` is the frame's number + 1, because COCO counts from 1.
- ``mot``: MOTChallenge text, ``frame, id, left, top, width, height, score, -1, -1, -1``; frames from 1, px from 0,
  id -1 without tracks.
- ``csv``: one row a bird, with a heading.
- ``yolo``: ``labels/%06d.txt``, a row a bird: class from 0, centre x and y, width, height as shares of the frame,
  score; and ``classes.txt``.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from backend.pipeline.detections import RunFacts
from backend.pipeline.frame_views import NO_TRACK, FrameView
from backend.project.atomic import atomic_file, atomic_write

CSV_HEADING = (
    "frame", "time_s", "detection", "track", "identity", "class", "score", "x1", "y1", "x2", "y2", "area_px2",
)  # fmt: skip


def write_coco(folder: Path, views: Iterable[FrameView], facts: RunFacts) -> list[str]:
    """Write ``coco_results.json``; birds without a mask or score (interpolated ones) are left out."""
    rows = (
        json.dumps(
            {
                "image_id": view.frame + 1,
                "category_id": int(view.class_id[k]),
                "bbox": _xywh(view.boxes[k]),
                "score": round(float(view.score[k]), 6),
                "segmentation": {"size": [facts.height, facts.width], "counts": mask.decode()},
            }
        )
        for view in views
        for k, mask in enumerate(view.masks)
        if mask is not None
    )
    return _write_text(folder / "coco_results.json", _joined(rows, "[\n", ",\n", "\n]\n"))


def write_mot(folder: Path, views: Iterable[FrameView], facts: RunFacts) -> list[str]:
    """Write ``mot.txt``; birds that were followed without being detected have the score 0."""
    lines = (
        ",".join(
            [
                str(view.frame + 1),
                str(view.track[k] if view.track[k] != NO_TRACK else -1),
                *(f"{value:.2f}" for value in _xywh(view.boxes[k])),
                f"{np.nan_to_num(view.score[k]):.4f}",
                "-1,-1,-1\n",
            ]
        )
        for view in views
        for k in range(len(view))
    )
    return _write_text(folder / "mot.txt", lines)


def write_csv(folder: Path, views: Iterable[FrameView], facts: RunFacts) -> list[str]:
    """Write ``detections.csv``; a number that is not known is empty."""
    return _write_text(folder / "detections.csv", _csv_lines(views, facts.class_names))


def write_yolo(folder: Path, views: Iterable[FrameView], facts: RunFacts) -> list[str]:
    """Write one text file a frame, empty where there is no bird."""
    (folder / "labels").mkdir(exist_ok=True)
    atomic_write(folder / "classes.txt", "".join(f"{name}\n" for name in facts.class_names))
    names = ["classes.txt"]
    for view in views:
        x1, y1, x2, y2 = (view.boxes / np.array([facts.width, facts.height] * 2)).T
        columns = (view.class_id - 1, (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, view.score)
        seen = np.flatnonzero(view.class_id > 0).tolist()
        lines = (" ".join([str(columns[0][k]), *(f"{column[k]:.6f}" for column in columns[1:])]) for k in seen)
        names.append(f"labels/{view.frame:06d}.txt")
        atomic_write(folder / names[-1], "".join(f"{line}\n" for line in lines), durable=False)
    return names


WRITERS: dict[str, Callable[[Path, Iterable[FrameView], RunFacts], list[str]]] = {
    "coco": write_coco,
    "mot": write_mot,
    "csv": write_csv,
    "yolo": write_yolo,
}


def _csv_lines(views: Iterable[FrameView], class_names: tuple[str, ...]) -> Iterator[str]:
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="\n")
    writer.writerow(CSV_HEADING)
    for view in views:
        for k in range(len(view)):
            detected = view.class_id[k] > 0
            bird = [
                view.frame,
                f"{view.time_s:.6f}",
                view.detection[k] if view.detection[k] >= 0 else "",
                view.track[k] if view.track[k] != NO_TRACK else "",
                view.names[k],
                class_names[view.class_id[k] - 1] if detected else "",
                f"{view.score[k]:.6f}" if detected else "",
                *(f"{value:.2f}" for value in view.boxes[k]),
                view.area_px2[k] if detected else "",
            ]
            writer.writerow(bird)
        yield line.getvalue()
        line.seek(0)
        line.truncate()


def _joined(rows: Iterable[str], begin: str, between: str, end: str) -> Iterator[str]:
    yield begin
    for number, row in enumerate(rows):
        yield f"{between}{row}" if number else row
    yield end


def _write_text(path: Path, pieces: Iterable[str]) -> list[str]:
    with atomic_file(path) as file:
        for piece in pieces:
            file.write(piece.encode())
    return [path.name]


def _xywh(box: np.ndarray) -> list[float]:
    x1, y1, x2, y2 = box.tolist()
    return [round(value, 3) for value in (x1, y1, x2 - x1, y2 - y1)]
