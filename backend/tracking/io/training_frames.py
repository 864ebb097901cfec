"""Training frames from reviewed tracks: which frames to choose, and their birds as label maps."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from backend.masks import rle
from backend.pipeline.frame_views import NO_TRACK, FrameView
from backend.tracking.tracks.corrections import END_OF_VIDEO
from backend.tracking.tracks.edits import Draw, Edit, Keep, Reviewed, Unsure, active_edits
from backend.tracking.tracks.tracks import Tracks

MIN_GAP_S = 1.0  # of frames that are chosen: nearer ones look alike


def drawn_frames(acts: Sequence[Edit]) -> set[int]:
    """Return the frames in which a reviewer drew a bird."""
    return {act.frame for act in active_edits(acts) if isinstance(act, Draw)}


def reviewed_frames(acts: Sequence[Edit], frames: np.ndarray) -> np.ndarray:
    """Return those of ``frames`` in a range that a reviewer watched and confirmed."""
    watched = np.zeros(len(frames), bool)
    for act in active_edits(acts):
        if isinstance(act, Reviewed):
            watched |= (frames >= act.from_frame) & (frames < (END_OF_VIDEO if act.to_frame is None else act.to_frame))
    return frames[watched]


def choose_frames(tracks: Tracks, acts: Sequence[Edit], most: int) -> list[int]:
    """Return at most ``most`` frames, ascending: first those drawn in, then corrected, then reviewed ones.

    All frames with a drawing are taken before others; the rest are at least `MIN_GAP_S` apart, reviewed ones evenly
    spaced. Empty where nothing was drawn, corrected or reviewed.
    """
    drawn = sorted(drawn_frames(acts) & set(tracks.frames.tolist()))
    corrected = sorted(
        {act.from_frame for act in active_edits(acts) if _changes_tracks(act)} & set(tracks.frames.tolist())
    )
    chosen = drawn[:most]
    min_gap = MIN_GAP_S * tracks.fps
    for candidates in (corrected, reviewed_frames(acts, tracks.frames).tolist()):
        free = [frame for frame in candidates if all(abs(frame - other) >= min_gap for other in chosen)]
        _spread(free, most - len(chosen), min_gap, chosen)
    return sorted(chosen)


def _changes_tracks(act: Edit) -> bool:
    return hasattr(act, "from_frame") and not isinstance(act, Reviewed | Keep | Unsure)


def _spread(free: list[int], wanted: int, min_gap: float, chosen: list[int]) -> None:
    """Add up to ``wanted`` of the ``free`` frames to ``chosen``, evenly spaced and ``min_gap`` from each other."""
    spaced: list[int] = []
    for frame in free:
        if not spaced or frame - spaced[-1] >= min_gap:
            spaced.append(frame)
    if wanted > 0 and spaced:
        chosen_indices = np.unique(np.linspace(0, len(spaced) - 1, min(wanted, len(spaced))).round().astype(int))
        chosen += [spaced[index] for index in chosen_indices]


@dataclass(frozen=True, eq=False)
class LabelMap:
    """A frame as a label map, (H, W) uint8 with ``k + 1`` for the bird ``names[k]`` ("": unassigned)."""

    labels: np.ndarray
    names: tuple[str, ...]
    class_ids: tuple[int, ...]


def birds_without_mask(view: FrameView) -> list[str]:
    """Return the birds of a frame with a box and no mask; training would take them for background."""
    pairs = zip(view.names, view.track.tolist(), view.masks, strict=True)
    return [name or f"track {track}" for name, track, mask in pairs if mask is None and track != NO_TRACK]


def label_map(view: FrameView, size: tuple[int, int], front: Iterable[int] = ()) -> LabelMap:
    """Return the masks of a frame of ``size`` (width, height) as one label map.

    Where masks overlap, the one with the higher score is in front, and those of the tracks ``front`` before all others.

    Raises
    ------
    ValueError
        If masks are of another size, or there are more than 255.
    """
    in_front = np.isin(view.track, list(front))
    order = np.lexsort((np.nan_to_num(view.score), in_front))
    order = order[[view.masks[k] is not None for k in order]]
    labels = rle.paint([view.masks[k] for k in order], size[1], size[0])
    return LabelMap(labels, tuple(view.names[k] for k in order), tuple(int(view.class_id[k]) for k in order))
