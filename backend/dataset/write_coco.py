"""Write the training and the validation COCO JSON, streamed from the waiting records; ids start at 1."""

import hashlib
import json
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import IO

import numpy as np

from backend.dataset.image_records import Record, Spool
from backend.dataset.set_statistics import Statistics
from backend.dataset.split import Side
from backend.jobs.progress import Progress
from backend.project.manifest import FinishedFile


class CountedFile:
    """A file being written, with its size and SHA-256 so far."""

    def __init__(self, file: IO[bytes]):
        self._file = file
        self._digest = hashlib.sha256()
        self._size = 0

    def write(self, data: bytes) -> None:
        """Append ``data``."""
        self._file.write(data)
        self._digest.update(data)
        self._size += len(data)

    def finished(self) -> FinishedFile:
        """Return size and checksum of what was written."""
        return FinishedFile(size=self._size, sha256=self._digest.hexdigest())

    def to_disk(self) -> None:
        """Flush it all to the disk now, so that nothing slow is left when the file takes its name."""
        self._file.flush()
        os.fsync(self._file.fileno())


class CocoWriter:
    """Writes the files of one set one after the other; ids go on from file to file, beginning with 1."""

    def __init__(self, spool: Spool, statistics: Statistics, supercategory: str, progress: Progress):
        self._spool, self._statistics, self._progress = spool, statistics, progress
        self._categories = [
            {"id": number, "name": name, "supercategory": supercategory}
            for number, name in enumerate(statistics.classes, 1)
        ]
        self._image_id, self._annotation_id = 1, 1
        self._written = 0

    def write(self, file: CountedFile, path: Path, indices: np.ndarray, side: Side) -> None:
        """Write the records at ``indices`` (N,) as one COCO JSON and count them.

        ``path`` is the name that ``file`` will have: image paths are relative to its folder.
        """
        # no date and no version of ours: the same input gives the same bytes, and the manifest knows the rest
        info = {"description": f"Lektrack {path.stem}", "version": "1.0", "contributor": "", "url": ""}
        licences = [{"id": 1, "name": "unknown", "url": ""}]
        head = {"info": info, "licenses": licences, "categories": self._categories}
        file.write(_json(head)[:-1] + b',\n"images":[')
        first_image, first_annotation = self._image_id, self._annotation_id
        for record in self._spool.read(indices.tolist(), bodies=False):
            name = relative(record.image, path.parent)
            entry = _image(record, self._image_id, name, self._statistics.videos)
            file.write((b",\n" if self._image_id > first_image else b"\n") + _json(entry))
            self._statistics.add(record, side, self._image_id, self._annotation_id, name)
            self._image_id += 1
            self._annotation_id += len(record.areas)
        file.write(b'\n],\n"annotations":[')
        self._annotate(file, indices, first_image, first_annotation)
        file.write(b"\n]}\n")

    def _annotate(self, file: CountedFile, indices: np.ndarray, image_id: int, annotation_id: int) -> None:
        comma = b"\n"
        for record in self._spool.read(indices.tolist()):
            for body, flags in zip(record.bodies, record.flags, strict=True):
                more = b',"flags":' + _json(flags) if flags else b""
                file.write(b'%s{"id":%d,"image_id":%d,%s%s}' % (comma, annotation_id, image_id, body, more))
                annotation_id += 1
                comma = b",\n"
            image_id += 1
            self._written += 1
            self._progress.update(self._written)


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def relative(image: str, folder: Path) -> str:
    """Return the path of an image relative to the JSON's folder, after all links are followed."""
    real = os.path.join(_real(os.path.dirname(image)), os.path.basename(image))
    return os.path.relpath(real, _real(str(folder)))


@lru_cache(maxsize=64)
def _real(folder: str) -> str:
    return os.path.realpath(folder)


def _image(record: Record, image_id: int, name: str, videos: Sequence[str]) -> dict[str, object]:
    return {
        "id": image_id,
        "file_name": name,
        "width": record.width,
        "height": record.height,
        "license": 1,
        "video": videos[record.video],
        "frame": record.number,
    }
