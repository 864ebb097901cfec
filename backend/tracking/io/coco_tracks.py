"""Export corrected tracks as one COCO file with identities: ``track_id`` of an annotation, as in TAO and similar sets.

Read it with pycocotools. ``image_id`` is the frame's number + 1. ``tracks`` lists the birds; each annotation has its
``state`` (detected, interpolated) and ``p_identity``. A bird without a mask has ``segmentation: []`` and the area of
its box. One image or annotation is written at a time, and one chunk of detections is in memory.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from backend.pipeline.chunk_tables import Instances
from backend.pipeline.detections import DetectionsRun
from backend.pipeline.frame_views import FIRST_CLASS, FrameView, frame_views, view_of
from backend.project.atomic import atomic_file
from backend.project.errors import InputError
from backend.tracking.tracks.schemas import STATE_NAMES, State
from backend.tracking.tracks.tracks import NONE, Tracks


def write_coco_tracks(
    path: Path, tracks: Tracks, video: str, size: tuple[int, int] | None, run: DetectionsRun | None
) -> None:
    """Write the tracks of ``video``; masks come from ``run`` (None: boxes only) and from what people drew.

    Raises
    ------
    InputError
        If the size (width, height) of the pictures is not known.
    """
    if size is None and run is not None:
        size = run.facts.width, run.facts.height
    if size is None:
        raise InputError(f"COCO needs the size of the pictures of {video}, which is neither in the run nor the project")
    classes = run.facts.class_names if run is not None else ("bird",)
    heading = {
        "info": {"description": f"tracks of {video}, by Lektrack"},
        "licenses": [],
        "videos": [{"id": 1, "name": video, "width": size[0], "height": size[1], "fps": tracks.fps}],
        "categories": [{"id": number, "name": name} for number, name in enumerate(classes, 1)],
        "tracks": list(_tracks(tracks)),
    }
    with atomic_file(path) as file:
        for name, value in heading.items():
            file.write(f"{'{' if name == 'info' else ','}\n{json.dumps(name)}: {json.dumps(value)}".encode())
        for name, rows in (("images", _images(tracks, video, size)), ("annotations", _annotations(tracks, size, run))):
            file.write(f',\n"{name}": ['.encode())
            for number, row in enumerate(rows):
                file.write(f"{',' if number else ''}\n{json.dumps(row)}".encode())
            file.write(b"\n]")
        file.write(b"\n}\n")


def _tracks(tracks: Tracks) -> Iterator[dict[str, Any]]:
    rows = np.flatnonzero(tracks.state != State.LOST)
    for number, row in zip(*np.unique(tracks.track_id[rows], return_index=True), strict=True):
        code = tracks.identity[rows[row]]
        yield {"id": int(number), "video_id": 1, "name": tracks.names[code] if code != NONE else None}


def _images(tracks: Tracks, video: str, size: tuple[int, int]) -> Iterator[dict[str, Any]]:
    for frame, time_s in zip(tracks.frames.tolist(), tracks.times.tolist(), strict=True):
        yield {
            **{"id": frame + 1, "video_id": 1, "frame_index": frame, "time_s": time_s},
            **{"file_name": f"{video}/{frame:06d}.png", "width": size[0], "height": size[1]},
        }


def _annotations(tracks: Tracks, size: tuple[int, int], run: DetectionsRun | None) -> Iterator[dict[str, Any]]:
    number = 0
    for view in _views(tracks, run):
        rows = np.arange(len(tracks))[tracks.rows_at(view.frame)]
        rows = rows[tracks.state[rows] != State.LOST]
        for k, row in enumerate(rows.tolist()):
            number += 1
            x1, y1, x2, y2 = view.boxes[k].astype(np.float64).tolist()
            mask, p = view.masks[k], float(tracks.p_identity[row])
            yield {
                "id": number,
                "image_id": view.frame + 1,
                "track_id": int(view.track[k]),
                "category_id": max(int(view.class_id[k]), FIRST_CLASS),
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": int(view.area_px2[k]) if mask is not None else (x2 - x1) * (y2 - y1),
                "segmentation": {"size": [size[1], size[0]], "counts": mask.decode()} if mask is not None else [],
                "iscrowd": 0,
                "state": STATE_NAMES[tracks.state[row]],
                "p_identity": None if np.isnan(p) else p,
            }


def _views(tracks: Tracks, run: DetectionsRun | None) -> Iterator[FrameView]:
    if run is not None:
        return frame_views(run, tracks=tracks)
    columns = (np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.float32))
    nothing = Instances(*columns, np.zeros((0, 4), np.float32), np.zeros(0, np.int32), pa.nulls(0, pa.binary()))
    pairs = zip(tracks.frames.tolist(), tracks.times.tolist(), strict=True)
    return (view_of(frame, time_s, nothing, tracks) for frame, time_s in pairs)
