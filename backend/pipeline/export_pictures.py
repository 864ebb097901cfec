"""Export of detections or tracks as pictures: a video with birds drawn in, and 16-bit masks."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import imagecodecs
import numpy as np

from backend.pipeline.detections import RunFacts
from backend.pipeline.draw_frame import draw_birds, label_map
from backend.pipeline.frame_views import NO_TRACK, FrameView
from backend.project.atomic import atomic_file, atomic_write
from backend.video import VideoReader
from backend.video.encode import bt709_frame, tag_bt709

VIDEO_NAME = "birds.mp4"
ENCODER = {"preset": "veryfast", "crf": "23"}
TIME_BASE = Fraction(1, 90_000)


def write_video(
    folder: Path,
    views: Iterable[FrameView],
    facts: RunFacts,
    reader: VideoReader,
    width: int | None = None,
    zones: Sequence[np.ndarray] = (),
) -> list[str]:
    """Write ``birds.mp4`` (H.264) with the frames of ``views`` and return the names of the files written.

    Times are those of the original. Frames that cannot be decoded have no view, so they are missing here too.

    Parameters
    ----------
    folder
        Where to.
    views
        Frames in ascending order.
    facts
        Of the run: frame size and class names.
    reader
        The video they were found in.
    width
        px of the result, by default that of the original.
    zones
        Polygons, each (V, 2) px of the frame.
    """
    size = _even(width or facts.width, facts.width, facts.height)
    with atomic_file(folder / VIDEO_NAME) as file, av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(facts.fps).limit_denominator(1001), options=ENCODER)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.time_base = TIME_BASE
        tag_bt709(stream)
        begin: float | None = None
        for view in views:
            picture = next(reader.stream(view.frame, view.frame + 1, 1))[0]
            drawn = draw_birds(picture, view, facts.class_names, zones, size)
            begin = view.time_s if begin is None else begin
            frame = bt709_frame(drawn)
            frame.pts, frame.time_base = round((view.time_s - begin) / TIME_BASE), TIME_BASE
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return [VIDEO_NAME]


def write_masks(folder: Path, views: Iterable[FrameView], facts: RunFacts) -> list[str]:
    """Write ``masks/%06d.png``, 16-bit grey, and return the names of the files written.

    The value of a pixel is the track's number, without tracks the detection's + 1; where birds overlap it is the one of
    the higher score.
    """
    (folder / "masks").mkdir(exist_ok=True)
    names = []
    for view in views:
        places = label_map(view.masks, (facts.width, facts.height), np.uint16)
        values = np.where(view.track != NO_TRACK, view.track, view.detection + 1)
        table = np.concatenate(([0], values)).astype(np.uint16)
        png = imagecodecs.png_encode(table[places], level=1)
        names.append(f"masks/{view.frame:06d}.png")
        atomic_write(folder / names[-1], png, durable=False)
    return names


def _even(width: int, full_width: int, full_height: int) -> tuple[int, int]:
    """Return the size for ``width`` that keeps the shape; H.264 needs even sides."""
    height = round(full_height * width / full_width)
    return max(2, width - width % 2), max(2, height - height % 2)
