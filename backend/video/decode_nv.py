"""Decoder ``nvdec``: NVIDIA GPU (NVDEC) through PyNvVideoCodec; the pictures stay on the GPU.

Packets, seeking and numbering are those of the CPU decoder: FFmpeg reads the file, NVDEC only decodes, and every
picture comes back with the display time its packet went in with. H.264 and H.265 in 4:2:0, 8 to 12 bit. NVDEC does not
report damaged pictures: only a missing one is noticed.
"""

from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from av.bitstream import BitStreamFilterContext

from backend.project.errors import InputError
from backend.video.colour import Colour, Planes, matrix_name
from backend.video.index import PacketIndex
from backend.video.packet_decoder import Decoded, DecodingError, PacketDecoder

CODECS = {"h264": ("H264", "h264_mp4toannexb"), "hevc": ("HEVC", "hevc_mp4toannexb")}
LAG = 4  # packets that NVDEC holds before it gives out the first picture
JPEG_RANGE = 2  # AVCOL_RANGE_JPEG
SUPPORTED = {"yuv420p": 8, "yuvj420p": 8, "yuv420p10le": 10, "yuv420p12le": 12}  # pixel format: bits


class NvDecoder(PacketDecoder):
    """Decodes on GPU number ``gpu``."""

    def __init__(self, path: Path, index: PacketIndex, gpu: int = 0):
        try:
            import PyNvVideoCodec as nvc  # noqa: N813 - the name its own documentation uses
        except (ImportError, OSError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"decoder nvdec is not usable here ({reason}); use pyav") from error
        self._nvc = nvc
        self._gpu = gpu
        super().__init__(path, index)

    def start(self) -> None:
        """See `PacketDecoder.start`."""
        codec = self.stream.codec_context
        if codec.name not in CODECS or codec.pix_fmt not in SUPPORTED:
            raise InputError(f"{self.path}: nvdec cannot decode {codec.name} in {codec.pix_fmt}; use decoder pyav")
        nv_name, filter_name = CODECS[codec.name]
        full = codec.pix_fmt.startswith("yuvj") or codec.color_range == JPEG_RANGE
        matrix = matrix_name(int(codec.colorspace), self.index.width, self.index.height)
        self._colour = Colour(matrix, full, SUPPORTED[codec.pix_fmt])
        try:
            self._decoder: Any = self._nvc.CreateDecoder(
                gpuid=self._gpu, codec=getattr(self._nvc.cudaVideoCodec, nv_name), usedevicememory=True
            )
        except Exception as error:  # the library's own types differ from version to version
            raise InputError(f"{self.path}: nvdec cannot be started ({error}); use decoder pyav") from error
        self._filter = BitStreamFilterContext(filter_name, self.stream)
        self._parameter_sets = annex_b(codec.name, bytes(codec.extradata or b""))
        self._fresh = True  # no parameter sets were given yet

    def decode(self, packet: av.Packet) -> list[Decoded]:
        """See `PacketDecoder.decode`."""
        content = self._parameter_sets if self._fresh else b""
        self._fresh, pts = False, packet.pts
        return self._give(content + b"".join(bytes(part) for part in self._filter.filter(packet)), pts)

    def drain(self) -> list[Decoded]:
        """See `PacketDecoder.drain`."""
        self._filter.flush()
        self._fresh = True
        return self._give(b"", 0)

    def picture(self, frame: Decoded) -> Planes:
        """Return the planes of ``frame``, torch tensors on the GPU."""
        both = frame.payload  # 3/2 H x W: luma, then rows of u v u v ...
        height = self.index.height
        chroma = both[both.shape[0] * 2 // 3 :]
        return Planes(both[:height], chroma[:, 0::2], chroma[:, 1::2], self.index.width, self._colour)

    def close(self) -> None:
        """Close the file and the decoding session."""
        self._decoder = None
        super().close()

    def _give(self, content: bytes, pts: int) -> list[Decoded]:
        """Send NVDEC a packet (empty: flush it); return copies of the frames that are ready, for it reuses memory."""
        data = self._nvc.PacketData()
        samples = np.frombuffer(content, np.uint8)
        data.bsl_data, data.bsl, data.pts = (samples.ctypes.data if content else 0), len(content), pts
        try:
            frames = self._decoder.Decode(data)
        except Exception as error:  # the library's own types differ from version to version
            raise DecodingError(f"NVDEC: {error}", pts, LAG) from error
        return [Decoded(frame.getPTS(), False, self._samples(frame)) for frame in frames]

    def _samples(self, frame: Any) -> torch.Tensor:
        samples = torch.from_dlpack(frame).clone()
        if self._colour.bits > 8:  # P016: samples are in the high bits
            samples = (samples.view(torch.int16).int() & 0xFFFF) >> (16 - self._colour.bits)
        return samples


def annex_b(codec: str, extradata: bytes) -> bytes:
    """Return a file's H.264 or H.265 parameter sets with start codes, to be sent before the first packet after a seek.

    mp4 and mkv keep them beside the packets, and FFmpeg's filter repeats them before IDR pictures only: a key frame of
    an open GOP would come without.
    """
    if extradata.startswith((b"\0\0\1", b"\0\0\0\1")) or len(extradata) < 23:
        return extradata
    units: list[bytes] = []
    if codec == "h264":  # one count of sequence sets, then one of picture sets
        offset = _take(extradata, 6, extradata[5] & 0x1F, units)
        _take(extradata, offset + 1, extradata[offset], units)
    else:  # groups: a byte of type, a count of two bytes
        offset = 23
        for _ in range(extradata[22]):
            offset = _take(extradata, offset + 3, int.from_bytes(extradata[offset + 1 : offset + 3], "big"), units)
    return b"".join(b"\0\0\0\1" + unit for unit in units)


def _take(extradata: bytes, offset: int, count: int, units: list[bytes]) -> int:
    """Add ``count`` units, each after its length in two bytes, and return the offset after them."""
    for _ in range(count):
        end = offset + 2 + int.from_bytes(extradata[offset : offset + 2], "big")
        units.append(extradata[offset + 2 : end])
        offset = end
    return offset
