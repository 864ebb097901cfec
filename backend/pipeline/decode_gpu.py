"""Decoding on an NVIDIA GPU: frames are decoded, converted, cropped and resized there, never copied to the host."""

from collections.abc import Sequence

import torch

from backend.pipeline.chunk_plan import VideoPlan
from backend.video import VideoReader
from backend.video.resize import resize_torch


class GpuBatches:
    """Slots on a GPU; see `SharedBatches`."""

    def __init__(self, n_slots: int, shapes: Sequence[tuple[int, ...]], device: str):
        size = max(torch.Size(shape).numel() for shape in shapes)
        self._memory = torch.empty((n_slots, size), dtype=torch.uint8, device=device)

    def slot(self, number: int, shape: tuple[int, ...]) -> torch.Tensor:
        """Return slot ``number`` as a tensor of ``shape``, uint8, without copying."""
        return self._memory[number, : torch.Size(shape).numel()].view(shape)


class GpuCutter:
    """Reads and resizes on the GPU; see `HostCutter`."""

    def __init__(self, device: str):
        self._device = device

    def open(self, video: VideoPlan) -> VideoReader:
        """Open a video, to be decoded on this very GPU."""
        decoder = f"nvdec:{torch.device(self._device).index or 0}" if video.decoder == "nvdec" else video.decoder
        return VideoReader(video.path, decoder, video.index_folder)

    def read(self, reader: VideoReader, frame: int) -> torch.Tensor:
        """Return (H, W, 3) uint8 RGB."""
        return next(reader.stream(frame, frame + 1, 1, device=self._device))[0]

    def resize(self, picture: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Return the picture at (width, height)."""
        return resize_torch(picture, size)
