"""Build a COCO data set: convert the masks, find duplicates, write the files."""

import json
from array import array
from collections import Counter
from contextlib import closing
from functools import partial
from typing import Any

import numpy as np

from backend.dataset.convert_mask import Conversion, Refused
from backend.dataset.duplicate_images import FIELDS, fingerprint, layout, same_images, suspects
from backend.dataset.image_list import Plan, convert
from backend.dataset.image_records import Dropped, Record, Spool
from backend.dataset.label_checks import JumpFinder
from backend.dataset.outputs import Outputs
from backend.dataset.pool import map_in_order, worker_count
from backend.dataset.problems import Problems
from backend.dataset.report import Facts, make_report
from backend.dataset.report_html import as_html
from backend.dataset.split import Side
from backend.dataset.write_coco import CocoWriter
from backend.jobs.progress import Progress
from backend.project.manifest import Manifest

MASKS_WORTHWHILE, IMAGES_WORTHWHILE = 400, 40  # as long as starting a worker: masks read, images decoded
WRITE_LIMIT_S = 1800.0  # a large set on a slow network disk


class Index:
    """What stays in memory of every image: about a kilobyte, most of it the layout of its labels."""

    def __init__(self) -> None:
        self._columns = {name: array("q") for name in ("videos", "numbers", "birds", "file_bytes")}
        self._layouts = bytearray()
        self.dropped: Counter[Dropped] = Counter()

    def __len__(self) -> int:
        return len(self._columns["videos"])

    def add(self, record: Record) -> None:
        """Remember a record that went into the spool."""
        values = (record.video, record.number, len(record), record.file_bytes)
        for column, value in zip(self._columns.values(), values, strict=True):
            column.append(value)
        self._layouts += layout(record.boxes, record.width, record.height).tobytes()
        self.dropped.update(record.dropped)

    videos = property(lambda self: self._column("videos"), doc="(N,) int64: number of the video.")
    numbers = property(lambda self: self._column("numbers"), doc="(N,) int64: frame number in the video.")
    birds = property(lambda self: self._column("birds"), doc="(N,) int64: instances in the image.")
    file_bytes = property(lambda self: self._column("file_bytes"), doc="(N,) int64: size of the image file.")

    @property
    def layouts(self) -> np.ndarray:
        """(N, 1024) uint8, see `backend.dataset.duplicate_images.layout`."""
        return np.frombuffer(self._layouts, np.uint8).reshape(-1, FIELDS * FIELDS)

    def _column(self, name: str) -> np.ndarray:
        return np.frombuffer(self._columns[name], np.int64)


def fill_spool(
    plan: Plan, conversion: Conversion, workers: int, spool: Spool, problems: Problems, progress: Progress
) -> Index:
    """Convert every task and let the records wait in ``spool``; what cannot be used goes to ``problems``."""
    index, jumps = Index(), JumpFinder()
    progress.stage("reading masks", len(plan))
    workers = worker_count(workers, len(plan), MASKS_WORTHWHILE)
    with closing(map_in_order(partial(convert, conversion), plan.tasks(), workers)) as results:
        for done, result in enumerate(results, 1):
            if isinstance(result, Refused):
                problems.add(result.kind, result.example)
            else:
                jumps.flag(result)
                spool.append(result)
                index.add(result)
            progress.update(done)
    return index


def find_duplicates(spool: Spool, index: Index, workers: int, progress: Progress) -> np.ndarray:
    """Return the group of every image, (N,) int64: images with the same number show the same."""
    progress.stage("comparing images")
    indices = suspects(index.layouts, index.file_bytes)
    progress.stage("comparing images", len(indices))
    paths = (record.image for record in spool.read(indices.tolist(), bodies=False))
    prints = []
    workers = worker_count(workers, len(indices), IMAGES_WORTHWHILE)
    with closing(map_in_order(fingerprint, paths, workers)) as results:
        for result in results:
            prints.append(result)
            progress.update(len(prints))
    return same_images(index.layouts, indices, prints)


def write_set(
    outputs: Outputs, manifest: Manifest, writer: CocoWriter, facts: Facts, progress: Progress
) -> dict[str, Any]:
    """Write all files of the set and return the report."""
    sides = facts.sides
    progress.stage("writing", int((sides != Side.LEFT_OUT).sum()), WRITE_LIMIT_S)
    with outputs.written(manifest) as files:
        writer.write(files[outputs.train], outputs.train, np.flatnonzero(sides == Side.TRAIN), Side.TRAIN)
        if outputs.val is not None:
            writer.write(files[outputs.val], outputs.val, np.flatnonzero(sides == Side.VAL), Side.VAL)
        report = make_report(outputs.name, outputs.folder, manifest, facts)
        files[outputs.report_json].write(json.dumps(report, indent=1, ensure_ascii=False).encode() + b"\n")
        files[outputs.report_html].write(as_html(report).encode())
        manifest.counts = {"images": report["images"], "instances": report["instances"]}
    return report
