"""`VideoReader`: random access to the frames of a video. It returns exactly the requested frame, or raises."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from backend.project.errors import InputError
from backend.video.colour import Planes, yuv_to_rgb
from backend.video.decode_av import AvDecoder
from backend.video.frame_errors import DamagedFrameError
from backend.video.index import PacketIndex, load_index
from backend.video.packet_decoder import PacketDecoder
from backend.video.resize import resize, resize_torch
from backend.video.seeking import FrameFinder

if TYPE_CHECKING:
    import torch


class VideoReader:
    """One open video.

    Frames are numbered from 0 in display order. Pictures are upright: a rotation in the file is applied, so ``size``
    is what a player shows. Pixels that are not square stay as they are stored. Memory does not grow with the number of
    frames read. Not for use from several threads at once; open one reader a thread.

    Parameters
    ----------
    path
        The video file.
    decoder
        ``"pyav"`` (default, any machine) or ``"nvdec"`` (NVIDIA GPU 0; ``"nvdec:1"`` for the next).
    cache_folder
        Where packet indexes are kept; see `load_index`.
    index
        The file's index, if the caller has it already (another process made it).
    threads
        Decoding threads; 0 lets FFmpeg choose, 1 suits one process a core.

    Raises
    ------
    InputError
        If the file is not a video that can be read frame by frame; the message gives the reason.

    Examples
    --------
    >>> with VideoReader("lek.mp4") as video:                          # doctest: +SKIP
    ...     first, last = video.read([0, len(video) - 1])
    ...     for pictures in video.stream(0, 500, batch=16, size=(1344, 760)):
    ...         ...
    """

    def __init__(
        self,
        path: Path | str,
        decoder: str = "pyav",
        cache_folder: Path | None = None,
        index: PacketIndex | None = None,
        threads: int = 0,
    ):
        self.path = Path(os.path.realpath(path))
        self.index = index or load_index(self.path, cache_folder)
        self._decoder = open_decoder(decoder, self.path, self.index, threads)
        self._finder = FrameFinder(self.path, self.index, self._decoder)

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.index.pts)

    @property
    def fps(self) -> float:
        """Mean frame rate, Hz; where the rate varies, use `times`."""
        return self.index.fps

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px, upright."""
        return self.index.size

    @property
    def times(self) -> np.ndarray:
        """(N,) float64: seconds from the first frame to each frame, from the file's display times."""
        return self.index.times

    def close(self) -> None:
        """Close the file and the decoder. Reading afterwards raises ValueError."""
        self._decoder.close()

    def read(
        self,
        indices: Sequence[int] | np.ndarray,
        size: tuple[int, int] | None = None,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return (N, H, W, 3) uint8 RGB, one picture for each of ``indices``, in that order, repeats included.

        Parameters
        ----------
        indices
            Frame numbers, in any order.
        size
            (width, height) in px to bring every picture to (`resize`), None for the video's own.
        out
            Array for the result, to be reused; None allocates a new one.

        Raises
        ------
        IndexError
            For a number below 0 or not below ``len``.
        DamagedFrameError
            For a frame that cannot be decoded right.
        """
        wanted = np.asarray(indices, dtype=np.int64).reshape(-1)
        outside = wanted[(wanted < 0) | (wanted >= len(self))]
        if len(outside):
            raise IndexError(f"{self.path} has frames 0 to {len(self) - 1}; frame {outside[0]} is not one of them")
        size = size or self.size
        pictures = np.empty((len(wanted), size[1], size[0], 3), np.uint8) if out is None else out
        before: int | None = None
        for place in np.argsort(wanted, kind="stable").tolist():
            if before is not None and wanted[place] == wanted[before]:
                pictures[place] = pictures[before]
            else:
                self._draw(int(wanted[place]), pictures[place], size)
            before = place
        return pictures

    def stream(
        self,
        from_frame: int,
        to_frame: int,
        batch: int = 16,
        size: tuple[int, int] | None = None,
        device: str = "cpu",
    ) -> "Iterator[np.ndarray | torch.Tensor]":
        """Decode ``[from_frame, to_frame)`` in order and yield (n, H, W, 3) uint8 RGB, n = ``batch`` but for the last.

        Parameters
        ----------
        from_frame, to_frame
            The range, 0-based, display order.
        batch
            Frames a yield, at least 1.
        size
            (width, height) in px to bring every picture to (`resize`), None for the video's own.
        device
            ``"cpu"`` yields numpy arrays; a torch device (``"cuda:0"``) yields tensors that were coloured and resized
            there.

        Raises
        ------
        IndexError
            If the range is empty or not inside the video.
        DamagedFrameError
            At the first frame that cannot be decoded right; the batches before its own were yielded.
        """
        if not 0 <= from_frame < to_frame <= len(self):
            raise IndexError(f"{self.path} has {len(self)} frames; [{from_frame}, {to_frame}) is no range inside them")
        if batch < 1:
            raise ValueError(f"batch {batch} must be at least 1")
        make = self._batch_here if device == "cpu" else self._batch_there
        starts = range(from_frame, to_frame, batch)
        return (make(range(start, min(start + batch, to_frame)), size or self.size, device) for start in starts)

    def _batch_here(self, frames: range, size: tuple[int, int], _: str) -> np.ndarray:
        pictures = np.empty((len(frames), size[1], size[0], 3), np.uint8)
        for place, frame in enumerate(frames):
            self._draw(frame, pictures[place], size)
        return pictures

    def _batch_there(self, frames: range, size: tuple[int, int], device: str) -> "torch.Tensor":
        import torch

        pictures = torch.empty((len(frames), size[1], size[0], 3), dtype=torch.uint8, device=device)
        for place, frame in enumerate(frames):
            rgb = _on_device(self._picture(frame), device)
            pictures[place] = resize_torch(torch.rot90(rgb, self.index.rotation // 90), size)
        return pictures

    def _draw(self, frame: int, room: np.ndarray, size: tuple[int, int]) -> None:
        """Write (H, W, 3) uint8 RGB of ``frame``, upright and of ``size``, into ``room``."""
        picture = self._picture(frame)
        turns = self.index.rotation // 90
        if not isinstance(picture, Planes):
            rgb = picture
        elif not isinstance(picture.y, np.ndarray):
            rgb = _on_device(picture, picture.y.device).cpu().numpy()
        elif turns or size != self.size:
            rgb = yuv_to_rgb(picture)
        else:
            yuv_to_rgb(picture, room)
            return
        room[:] = resize(np.rot90(rgb, turns), size)

    def _picture(self, frame: int) -> Planes | np.ndarray:
        decoded = self._finder.fetch(frame)
        picture = self._decoder.picture(decoded)
        shape = (picture.y.shape[0], picture.width) if isinstance(picture, Planes) else picture.shape[:2]
        if shape != (self.index.height, self.index.width):
            raise DamagedFrameError(self.path, frame, f"it is {shape[1]}x{shape[0]} px, the first is not")
        return picture


def open_decoder(name: str, path: Path, index: PacketIndex, threads: int) -> PacketDecoder:
    """Open ``path`` with decoder ``pyav`` (CPU) or ``nvdec`` (GPU 0; ``nvdec:1`` for GPU 1).

    Raises
    ------
    InputError
        If there is no such decoder, or it cannot be used on this machine.
    """
    kind, _, gpu = name.partition(":")
    if name == "pyav":
        return AvDecoder(path, index, threads)
    if kind == "nvdec" and (gpu.isdigit() or not gpu):
        from backend.video.decode_nv import NvDecoder  # imports torch

        return NvDecoder(path, index, int(gpu or 0))
    raise InputError(f"decoder {name!r} is not known; use pyav, nvdec or nvdec:GPU")


def _on_device(picture: Planes | np.ndarray, device: "str | torch.device") -> "torch.Tensor":
    """Return (H, W, 3) uint8 RGB on a torch device, coloured there."""
    import torch

    from backend.video.colour_torch import yuv_to_rgb_torch

    return yuv_to_rgb_torch(picture.to(device)) if isinstance(picture, Planes) else torch.from_numpy(picture).to(device)
