"""One image with its annotations on the way from a worker to the files, and the temporary file where all of them wait.

The split needs to know all images before the first can be written, and memory must not grow with their number. So
records wait in a file without a name (the kernel removes it when the process ends, however it ends); what stays in
memory is a few dozen bytes an image.
"""

import json
import tempfile
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import IO

import numpy as np


class Flag(StrEnum):
    """What makes a label worth a second look."""

    BORDER = "border"
    TWIN = "twin"
    PARTS = "parts"
    JUMP = "jump"


FLAG_TEXTS = {
    Flag.BORDER: "touches the border of the image",
    Flag.TWIN: "in the same place as another object",
    Flag.PARTS: "in many parts",
    Flag.JUMP: "suddenly larger or smaller than a moment before",
}


class Dropped(StrEnum):
    """Why a mask did not become an annotation."""

    SMALL = "under the smallest area"
    THIN = "only one pixel wide or high"
    BOX_ONLY = "a box without a mask"


@dataclass
class Record:
    """One image with its annotations.

    ``objects`` (N,) int64 ids in the video, 0 where unknown; ``categories`` (N,) int64; ``areas`` (N,) int64 px;
    ``boxes`` (N, 4) float64 ``x1 y1 x2 y2`` px; ``flags``: a list of `Flag` for each; ``bodies``: each annotation as
    JSON members without id, image_id and flags.
    """

    video: int
    number: int
    image: str
    width: int
    height: int
    file_bytes: int
    objects: np.ndarray
    categories: np.ndarray
    areas: np.ndarray
    boxes: np.ndarray
    flags: list[list[Flag]]
    bodies: list[bytes]
    dropped: dict[Dropped, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.bodies)


class Spool:
    """Records waiting on the disk, in the order they came. Use it as a context manager."""

    def __init__(self, folder: Path):
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder, prefix=".spool-")  # noqa: SIM115 - closed on exit
        self._offsets = array("Q")

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._offsets)

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        return self._file.seek(0, 2)

    def append(self, record: Record) -> None:
        """Write a record behind the others."""
        self._offsets.append(self._file.seek(0, 2))
        head = {
            "video": record.video,
            "number": record.number,
            "image": record.image,
            "size": [record.width, record.height, record.file_bytes],
            "objects": record.objects.tolist(),
            "categories": record.categories.tolist(),
            "areas": record.areas.tolist(),
            "boxes": record.boxes.tolist(),
            "flags": record.flags,
            "lengths": [len(body) for body in record.bodies],
        }
        self._file.write(json.dumps(head).encode() + b"\n" + b"".join(record.bodies))

    def read(self, indices: Iterable[int], bodies: bool = True) -> Iterator[Record]:
        """Yield the records at ``indices``, without their annotations' texts if those are not wanted."""
        for index in indices:
            self._file.seek(self._offsets[index])
            head = json.loads(self._file.readline())
            texts = [self._file.read(length) for length in head["lengths"]] if bodies else []
            width, height, file_bytes = head["size"]
            yield Record(
                head["video"],
                head["number"],
                head["image"],
                width,
                height,
                file_bytes,
                np.array(head["objects"], np.int64),
                np.array(head["categories"], np.int64),
                np.array(head["areas"], np.int64),
                np.array(head["boxes"], float).reshape(-1, 4),
                [[Flag(flag) for flag in flags] for flags in head["flags"]],
                texts,
            )
