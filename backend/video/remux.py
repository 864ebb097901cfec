"""Remuxing: the same video stream in another container (mkv, mp4), copied without decoding."""

from collections.abc import Callable
from pathlib import Path

import av

from backend.project.atomic import atomic_file
from backend.project.errors import InputError
from backend.video.containers import open_video_file

FORMATS = {".mkv": "matroska", ".mp4": "mp4"}


def remux(source: Path | str, target: Path, progress: Callable[[int], None] = lambda frames: None) -> None:
    """Copy the video stream of ``source`` into ``target`` (``.mkv`` or ``.mp4``), packet by packet, sound left out.

    Frames stay bit for bit the same. ``target`` is there whole or not at all; an older file of that name is replaced.

    Parameters
    ----------
    source, target
        Video file and the new file, in a folder that exists.
    progress
        Called with the number of packets written, every 1,000 packets and at the end.

    Raises
    ------
    InputError
        If ``source`` cannot be read, or its packets carry no times.
    """
    target = Path(target)
    if target.suffix not in FORMATS:
        raise InputError(f"the target {target} must end in {' or '.join(FORMATS)}")
    container, stream = open_video_file(source)
    with container, atomic_file(target) as file, av.open(file, "w", format=FORMATS[target.suffix]) as output:
        copy = output.add_stream_from_template(stream)
        count = 0
        for packet in container.demux(stream):
            if not packet.size:
                continue
            if packet.dts is None or packet.pts is None:
                raise InputError(f"{source}: packet {count} carries no time; convert it with a video tool")
            packet.stream = copy
            output.mux(packet)
            count += 1
            if count % 1000 == 0:
                progress(count)
    progress(count)
