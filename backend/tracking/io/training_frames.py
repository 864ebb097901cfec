"""Frames of corrected tracks that are worth learning from, and their birds as label maps."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from backend.masks import rle
from backend.pipeline.frame_views import NO_TRACK, FrameView
from backend.tracking.tracks.corrections import END_OF_VIDEO
from backend.tracking.tracks.edits import Draw, Edit, Keep, Reviewed, Unsure, active_edits
from backend.tracking.tracks.tracks import Tracks

APART_S = 1.0  # of frames that are chosen: nearer ones look alike
MOST_OBJECTS = 255


def frames_people_drew(acts: Sequence[Edit]) -> set[int]:
    """Return the frames in which a person drew a bird."""
    return {act.frame for act in active_edits(acts) if isinstance(act, Draw)}


def frames_people_watched(acts: Sequence[Edit], frames: np.ndarray) -> np.ndarray:
    """Return those of ``frames`` that lie in a range which a person watched and found right."""
    watched = np.zeros(len(frames), bool)
    for act in active_edits(acts):
        if isinstance(act, Reviewed):
            watched |= (frames >= act.from_frame) & (frames < (END_OF_VIDEO if act.to_frame is None else act.to_frame))
    return frames[watched]


def choose_frames(tracks: Tracks, acts: Sequence[Edit], most: int) -> list[int]:
    """Return at most ``most`` frames, ascending: drawn in, then where something was corrected, then watched ones.

    Frames in which a person drew are all taken before others; the rest is at least `APART_S` apart, watched ones evenly
    spaced. Empty where nothing was drawn, corrected or watched.
    """
    drawn = sorted(frames_people_drew(acts) & set(tracks.frames.tolist()))
    corrected = sorted(
        {act.from_frame for act in active_edits(acts) if _changes_tracks(act)} & set(tracks.frames.tolist())
    )
    chosen = drawn[:most]
    apart = APART_S * tracks.fps
    for candidates in (corrected, frames_people_watched(acts, tracks.frames).tolist()):
        free = [frame for frame in candidates if all(abs(frame - other) >= apart for other in chosen)]
        _spread(free, most - len(chosen), apart, chosen)
    return sorted(chosen)


def _changes_tracks(act: Edit) -> bool:
    return hasattr(act, "from_frame") and not isinstance(act, Reviewed | Keep | Unsure)


def _spread(free: list[int], wanted: int, apart: float, chosen: list[int]) -> None:
    """Add up to ``wanted`` of the ``free`` frames to ``chosen``, evenly spaced and ``apart`` from each other."""
    loose: list[int] = []
    for frame in free:
        if not loose or frame - loose[-1] >= apart:
            loose.append(frame)
    if wanted > 0 and loose:
        places = np.unique(np.linspace(0, len(loose) - 1, min(wanted, len(loose))).round().astype(int))
        chosen += [loose[place] for place in places]


@dataclass(frozen=True, eq=False)
class Labelled:
    """A frame as a label map, (H, W) uint8 with the value ``k + 1`` for the bird ``names[k]`` ("": not told apart)."""

    labels: np.ndarray
    names: tuple[str, ...]
    class_ids: tuple[int, ...]


def without_mask(view: FrameView) -> list[str]:
    """Return the birds of a frame that have a box and no mask; a network would learn that they are not there."""
    pairs = zip(view.names, view.track.tolist(), view.masks, strict=True)
    return [name or f"track {track}" for name, track, mask in pairs if mask is None and track != NO_TRACK]


def labelled(view: FrameView, size: tuple[int, int], front: Iterable[int] = ()) -> Labelled:
    """Return the masks of a frame of ``size`` (width, height) in one label map.

    Where masks overlap the one with the higher score is in front, and before all those of the tracks ``front``.

    Raises
    ------
    ValueError
        If masks are of another size, or there are more than 255.
    """
    in_front = np.isin(view.track, list(front))
    order = np.lexsort((np.nan_to_num(view.score), in_front))
    order = order[[view.masks[k] is not None for k in order]]
    labels = rle.paint([view.masks[k] for k in order], size[1], size[0])
    return Labelled(labels, tuple(view.names[k] for k in order), tuple(int(view.class_id[k]) for k in order))
