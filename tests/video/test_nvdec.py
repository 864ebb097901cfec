"""The GPU decoder's own code, run against a stand-in for PyNvVideoCodec that decodes on the CPU.

The stand-in keeps the library's contract: packets come as an address, a length and a time; pictures go out in display
order, several packets late, as NV12 or P016 in memory that the next call uses again.
"""

import ctypes
import sys
from types import SimpleNamespace

import av
import numpy as np
import pytest

from backend.project.errors import InputError
from backend.video import VideoReader
from tests.video_cases import CASES
from tests.videos import write_video

READABLE = [name for name in CASES if name.startswith(("GOP", "short", "open", "edit", "H.265", "MPEG-TS"))]


class Picture:
    """A decoded picture, its time and its memory."""

    def __init__(self, frame: av.VideoFrame, memory: np.ndarray):
        self.pts, self._memory = frame.pts, memory

    def getPTS(self) -> int:  # noqa: N802 - the library's name
        return self.pts

    def __dlpack__(self, **options):
        return self._memory.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._memory.__dlpack_device__()


class Decoder:
    """Decodes Annex B packets on the CPU."""

    def __init__(self, codec: str):
        self._codec = av.CodecContext.create(codec, "r")
        self._memory: list[np.ndarray] = []

    def Decode(self, data) -> list[Picture]:  # noqa: N802 - the library's name
        for memory in self._memory:
            memory[:] = 0
        if data.bsl:
            packet = av.Packet(ctypes.string_at(data.bsl_data, data.bsl))
            packet.pts = data.pts
            try:
                frames = self._codec.decode(packet)
            except av.error.InvalidDataError:  # a leading picture without its references: NVDEC passes over it
                frames = []
        else:
            frames = self._codec.decode(None)
            self._codec.flush_buffers()
        self._memory = [semi_planar(frame) for frame in frames]
        return [Picture(frame, memory) for frame, memory in zip(frames, self._memory, strict=True)]


def semi_planar(frame: av.VideoFrame) -> np.ndarray:
    """Return NV12, or P016 with the samples in the high bits."""
    deep = "10" in frame.format.name
    dtype = np.uint16 if deep else np.uint8
    planes = []
    for plane in frame.planes:
        rows = np.frombuffer(plane, dtype).reshape(-1, plane.line_size // np.dtype(dtype).itemsize)
        planes.append(rows[: plane.height, : plane.width])
    chroma = np.stack(planes[1:], -1).reshape(planes[1].shape[0], -1)
    both = np.concatenate([planes[0], chroma])
    return both << 6 if deep else both


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the stand-in where the library would be."""
    library = SimpleNamespace(
        PacketData=SimpleNamespace,
        cudaVideoCodec=SimpleNamespace(H264="h264", HEVC="hevc"),
        CreateDecoder=lambda gpuid, codec, usedevicememory: Decoder(codec),
    )
    monkeypatch.setitem(sys.modules, "PyNvVideoCodec", library)


@pytest.mark.parametrize("name", READABLE)
def test_every_frame_equals_the_cpu_decoder_s(stand_in, tmp_path, name):
    path, numbers = CASES[name](tmp_path)
    places = np.random.default_rng(3).permutation(len(numbers))[:15]
    with VideoReader(path) as here, VideoReader(path, "nvdec") as there:
        for mine, its in zip(here.stream(0, len(here), 9), there.stream(0, len(there), 9), strict=True):
            np.testing.assert_array_equal(mine, its)
        np.testing.assert_array_equal(here.read(places), there.read(places))
        (tensor,) = there.stream(3, 5, 2, device="cpu:0")
        np.testing.assert_array_equal(tensor.numpy(), here.read([3, 4]))


def test_what_it_cannot_read_is_refused_with_the_way_out(stand_in, tmp_path):
    path = write_video(tmp_path / "mpeg4.avi", 5, codec="mpeg4")
    with pytest.raises(InputError, match="cannot decode mpeg4 in yuv420p; use decoder pyav"):
        VideoReader(path, "nvdec")


def test_a_machine_without_it_says_so(monkeypatch, barcode_video):
    monkeypatch.setitem(sys.modules, "PyNvVideoCodec", None)
    with pytest.raises(InputError, match="nvdec is not usable here .*; use pyav"):
        VideoReader(barcode_video, "nvdec:1")


@pytest.mark.parametrize("name", ["decord", "nvdec:x", "PYAV", ""], ids=repr)
def test_an_unknown_decoder_is_refused(barcode_video, name):
    with pytest.raises(InputError, match="use pyav, nvdec or nvdec:GPU"):
        VideoReader(barcode_video, name)
