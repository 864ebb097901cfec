"""The plan that workers receive: the videos of a run, and the chunks to process."""

from dataclasses import dataclass
from pathlib import Path

from backend.pipeline.chunks import Chunk
from backend.pipeline.regions import Region


@dataclass(frozen=True)
class VideoPlan:
    """One video and how it is processed. Everything here follows from the run's settings, not from the machine.

    ``size`` is width and height of the frame, ``input_size`` those of the network's input; every frame gives one
    picture for each of ``regions``; ``batch_frames`` frames go through the network together.
    """

    name: str
    path: Path
    folder: Path
    size: tuple[int, int]
    regions: tuple[Region, ...]
    input_size: tuple[int, int]
    batch_frames: int
    decoder: str = "pyav"
    index_folder: Path | None = None  # where the video's index is kept; None: in the state folder

    @property
    def batch_shape(self) -> tuple[int, int, int, int]:
        """Shape of a full batch of pictures, (N, H, W, 3)."""
        width, height = self.input_size
        return self.batch_frames * len(self.regions), height, width, 3


@dataclass(frozen=True)
class Work:
    """One chunk of one video; ``video`` is the index into the list of `VideoPlan`."""

    video: int
    chunk: Chunk
