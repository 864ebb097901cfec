"""Chunks: ranges of frames, the unit of work that is either finished or absent."""

import re
from dataclasses import dataclass

from backend.project.errors import InputError

NAME = re.compile(r"^frames_(\d+)_(\d+)\.parquet$")


@dataclass(frozen=True, order=True)
class Chunk:
    """The frames ``from_frame, from_frame + stride, ...`` below ``to_frame``; 0-based, display order."""

    from_frame: int
    to_frame: int
    stride: int = 1

    @property
    def frames(self) -> range:
        """The frames that are analysed."""
        return range(self.from_frame, self.to_frame, self.stride)

    @property
    def frames_file(self) -> str:
        """Name of the table of analysed frames. It is written last: a chunk is finished when this file exists."""
        return f"frames_{self.from_frame:08d}_{self.to_frame:08d}.parquet"

    @property
    def detections_file(self) -> str:
        """Name of the table of detections."""
        return f"detections_{self.from_frame:08d}_{self.to_frame:08d}.parquet"

    def batches(self, size: int) -> list[tuple[int, ...]]:
        """Return the frames in groups of ``size``, the last one smaller. No group crosses the chunk's border."""
        frames = self.frames
        return [tuple(frames[start : start + size]) for start in range(0, len(frames), size)]

    @classmethod
    def of_name(cls, name: str, stride: int) -> "Chunk | None":
        """Return the chunk whose ``frames_file`` is ``name``; None for any other file."""
        found = NAME.match(name)
        return cls(int(found[1]), int(found[2]), stride) if found else None


def plan_chunks(from_frame: int, to_frame: int, length: int, stride: int = 1) -> list[Chunk]:
    """Cut ``[from_frame, to_frame)`` into chunks of ``length`` analysed frames each.

    The plan depends on nothing else, so every resume and every number of workers has the same chunks.
    """
    if not 0 <= from_frame < to_frame:
        raise InputError(f"frames {from_frame} to {to_frame} are not a range: 0 <= first < end is needed")
    if length < 1 or stride < 1:
        raise InputError(f"chunk length {length} and stride {stride} must both be at least 1")
    starts = range(from_frame, to_frame, length * stride)
    return [Chunk(start, min(start + length * stride, to_frame), stride) for start in starts]
