"""Video files: containers, packet index, decoders, colour conversion, and the list of a project's videos."""

from backend.video.frame_errors import DamagedFrameError
from backend.video.index import PacketIndex, load_index
from backend.video.reader import VideoReader

__all__ = ["DamagedFrameError", "PacketIndex", "VideoReader", "load_index"]
