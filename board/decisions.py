"""Turn a reviewer's decision into acts of the corrections log: anchored to detections, with range and description."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from backend.project.errors import InputError
from backend.tracking.tracks.corrections import END_OF_VIDEO, EditDoesNotApplyError, Replay
from backend.tracking.tracks.edits import Anchor
from backend.tracking.tracks.schemas import DoubtKind, State
from backend.tracking.tracks.tracks import NONE, Tracks
from board.anchored_doubts import Doubt, rows_of
from board.requests import ActRequest


@dataclass(frozen=True)
class Decision:
    """Acts without number, reviewer and time; ``words``: a sentence for each change, shown before it is applied."""

    acts: tuple[dict[str, Any], ...]
    words: tuple[str, ...]


@dataclass(frozen=True)
class Context:
    """What a decision is about: the corrected tracks, the replay that anchors them, all doubts and the open ones."""

    tracks: Tracks
    replaying: Replay
    doubts: dict[int, Doubt]
    open: tuple[Doubt, ...]
    tracks_of: Callable[[Doubt], set[int]]  # the tracks that its anchors are in now


def decide(request: ActRequest, context: Context) -> Decision:
    """Return the acts for a request.

    Raises
    ------
    InputError
        If a field is missing, or names a bird, frame or doubt that does not exist.
    """
    try:
        return _HANDLERS[request.kind](request, context)
    except EditDoesNotApplyError as error:
        raise InputError(str(error)) from error


def _name(request: ActRequest, context: Context) -> Decision:
    track, frame, identity = _required(request, "track", "frame", "identity")
    end = _end(request, context, [track])
    return _named(context, track, identity, frame, end, request.exchange)


def _named(context: Context, track: int, identity: str, frame: int, end: int | None, exchange: bool) -> Decision:
    now = _name_of(context.tracks, track)
    if now == identity:
        raise InputError(f"frame {frame}: this is {identity} already")
    holder = _holder(context, identity, frame, end) if exchange else None
    if holder is None:
        act = {"act": "name", "anchor": _anchor(context, track, frame, end), "identity": identity, **_range(frame, end)}
        return Decision((act,), (_describe(context, track, frame, end, f"becomes {identity}"),))
    if now is None:
        acts = (
            {"act": "unlink", "anchor": _anchor(context, holder, frame, end), **_range(frame, end)},
            {"act": "name", "anchor": _anchor(context, track, frame, end), "identity": identity, **_range(frame, end)},
        )
        words = (_describe(context, holder, frame, end, "becomes unassigned"),)
        return Decision(acts, (*words, _describe(context, track, frame, end, f"becomes {identity}")))
    return _swapped(context, track, holder, frame, end)


def _swap(request: ActRequest, context: Context) -> Decision:
    track, other, frame = _required(request, "track", "other", "frame")
    if track == other:
        raise InputError("choose two birds to swap")
    return _swapped(context, track, other, frame, _end(request, context, [track, other]))


def _swapped(context: Context, track: int, other: int, frame: int, end: int | None) -> Decision:
    names = [_name_of(context.tracks, each) for each in (track, other)]
    if None in names:
        raise InputError(f"frame {frame}: only birds with names can be swapped; name the other one instead")
    act = {
        "act": "swap",
        "first": _anchor(context, track, frame, end), "first_identity": names[1],
        "second": _anchor(context, other, frame, end), "second_identity": names[0],
        **_range(frame, end),
    }  # fmt: skip
    words = (_describe(context, track, frame, end, f"becomes {names[1]}"),)
    return Decision((act,), (*words, _describe(context, other, frame, end, f"becomes {names[0]}")))


def _one_track(act: str, what: str) -> Callable[[ActRequest, Context], Decision]:
    """Return the handler of an act on one track; ``what`` describes its effect."""

    def handler(request: ActRequest, context: Context) -> Decision:
        track, frame = _required(request, "track", "frame")
        end = None if request.kind == "split" else _end(request, context, [track])
        entry = {"act": act, "anchor": _anchor(context, track, frame, end), **_range(frame, end)}
        return Decision((entry,), (_describe(context, track, frame, end, what),))

    return handler


def _merge(request: ActRequest, context: Context) -> Decision:
    track, other = _required(request, "track", "other")
    if track == other:
        raise InputError("choose two tracks to merge")
    frame = request.frame or 0
    end = None if request.to == "doubt" else _end(request, context, [other])
    act = {
        "act": "merge",
        "anchor": _anchor(context, track, 0, None),
        "other": _anchor(context, other, frame, end),
        **_range(frame, end),
    }
    return Decision((act,), (_describe(context, other, frame, end, f"becomes {_label(context.tracks, track)}"),))


def _link(request: ActRequest, context: Context) -> Decision:
    track, other, frame = _required(request, "track", "other", "frame")
    after = _anchor(context, other, frame, None)
    rows = _detected_rows(context.tracks, track)
    rows = rows[context.tracks.frame[rows] < after["frame"]]
    if not len(rows):
        raise InputError(f"frame {after['frame']}: the selected bird is not detected before this frame")
    last = rows[-1]
    before = {"frame": int(context.tracks.frame[last]), "detection": int(context.tracks.detection[last])}
    end = _end(request, context, [other])
    act = {"act": "link", "before": before, "after": after, **_range(after["frame"], end)}
    gap = after["frame"] - before["frame"] - 1
    words = (_describe(context, other, after["frame"], end, f"is {_label(context.tracks, track)} come back"),)
    return Decision((act,), (*words, f"{gap} frames between them are interpolated"))


def _draw(request: ActRequest, context: Context) -> Decision:
    frame, identity, box = _required(request, "frame", "identity", "box")
    act: dict[str, Any] = {"act": "draw", "frame": frame, "identity": identity, "box": box, "rle": request.rle}
    if request.track is not None:
        anchor = _anchor(context, request.track, frame, frame + 1)
        if anchor["frame"] != frame:
            raise InputError(f"frame {frame}: this bird's box is interpolated; draw the bird without selecting it")
        act["anchor"] = anchor
    what = "with this mask" if request.rle is not None else "as a box without a mask"
    return Decision((act,), (f"{identity} is drawn in frame {frame} {what}, 1 frame",))


def _reviewed(request: ActRequest, context: Context) -> Decision:
    (frame,) = _required(request, "frame")
    end = END_OF_VIDEO if request.to in ("end", "doubt", "crossing") else int(request.to)
    act = {"act": "reviewed", **_range(frame, None if end == END_OF_VIDEO else end)}
    stop = int(context.tracks.frames[-1]) + 1 if end == END_OF_VIDEO else end
    return Decision((act,), (f"frames {frame} to {stop - 1} are marked as reviewed, {stop - frame} frames",))


def _rename(request: ActRequest, context: Context) -> Decision:
    identity, new = _required(request, "identity", "new")
    act = {"act": "rename", "identity": identity, "new": new, **_most_certain_anchor(context, identity)}
    return Decision((act,), (f"{identity} is renamed {new} in all frames",))


def _answer(request: ActRequest, context: Context) -> Decision:
    """Assign birds after a doubt: ``assignment[k]`` is the index in ``before`` of bird ``after[k]``, -1: another."""
    doubt = _doubt(request, context)
    assignment = list(doubt.followed if request.assignment is None else request.assignment)
    if len(assignment) != len(doubt.after) or any(i >= len(doubt.before) for i in assignment):
        raise InputError(f"doubt {doubt.number} has {len(doubt.before)} birds before and {len(doubt.after)} after")
    known = [i for i in assignment if i != NONE]
    if len(set(known)) < len(known):
        raise InputError("two birds after the doubt cannot be the same bird before it")
    scope = "end" if request.to == "doubt" else request.to
    acts, words = _reassigned(doubt, assignment, context, scope)
    first, last = doubt.range
    pairs = doubt.pairs(assignment)
    keep = {
        "act": "keep",
        "pairs": [[_as_dict(a), _as_dict(b)] for a, b in pairs],
        "from_frame": first,
        "to_frame": last,
    }
    return Decision((*acts, keep), tuple(words) or ("the names stay the same; the doubt is marked as answered",))


def _reassigned(doubt: Doubt, assignment: list[int], context: Context, scope: str | int) -> tuple[list, list]:
    """Return acts, and their descriptions, that give each bird after a doubt the name of its bird before it."""
    tracks = context.tracks
    before = [_track_at(tracks, row) for row in rows_of(tracks, doubt.before)]
    now = [_track_at(tracks, row) for row in rows_of(tracks, doubt.after)]
    frame = doubt.to_frame
    acts, words = [], []
    for k, i in enumerate(assignment):
        frame_k = min(frame, doubt.after[k].frame)
        if i == NONE and now[k] is not None and now[k] in before:  # none of them: its name is unknown
            end = _scope(scope, context, [now[k]], doubt.to_frame)
            acts.append({"act": "unlink", "anchor": _as_dict(doubt.after[k]), **_range(frame_k, end)})
            words.append(_describe(context, now[k], frame_k, end, "becomes unassigned"))
            now[k] = None
        if i == NONE or before[i] is None or now[k] is None or now[k] == before[i]:
            continue
        end = _scope(scope, context, [now[k], before[i]], doubt.to_frame)
        name = _name_of(tracks, before[i])
        if name is None:
            acts.append({"act": "merge", "anchor": _as_dict(doubt.before[i]), "other": _as_dict(doubt.after[k]),
                         **_range(frame_k, end)})  # fmt: skip
            words.append(_describe(context, now[k], frame_k, end, f"becomes {_label(tracks, before[i])}"))
            continue
        if before[i] in now:  # two of the doubt's birds exchange names, and with them tracks
            other, end_name = now.index(before[i]), _name_of(tracks, now[k])
            if end_name is not None:
                acts.append({
                    "act": "swap", "first": _as_dict(doubt.after[k]), "first_identity": name,
                    "second": _as_dict(doubt.after[other]), "second_identity": end_name, **_range(frame_k, end),
                })  # fmt: skip
                words += [_describe(context, now[k], frame_k, end, f"becomes {name}"),
                          _describe(context, before[i], frame_k, end, f"becomes {end_name}")]  # fmt: skip
                now[other], now[k] = now[k], before[i]
                continue
        renaming = _named(context, now[k], name, frame_k, end, exchange=True)
        acts += renaming.acts
        words += renaming.words
        now[k] = before[i]
    return acts, words


def _unsure(request: ActRequest, context: Context) -> Decision:
    doubt = _doubt(request, context)
    first, last = doubt.range
    pairs = [[_as_dict(a), _as_dict(b)] for a, b in doubt.pairs(doubt.followed)]
    act = {"act": "unsure", "pairs": pairs, "from_frame": first, "to_frame": last}
    return Decision((act,), ("the names stay the same; the doubt is marked as undecidable",))


def _audit(request: ActRequest, context: Context) -> Decision:
    track, frame, verdict = _required(request, "track", "frame", "verdict")
    anchor, name = _anchor(context, track, frame, frame + 1), _name_of(context.tracks, track)
    if anchor["frame"] != frame or name is None:
        raise InputError(f"frame {frame}: no named bird is detected there")
    act = {"act": "audit", "anchor": anchor, "identity": name, "verdict": verdict}
    return Decision((act,), (f"{name} in frame {frame}: {verdict}",))


_HANDLERS: dict[str, Callable[[ActRequest, Context], Decision]] = {
    "name": _name,
    "swap": _swap,
    "split": _one_track("unlink", "becomes unassigned"),
    "unlink": _one_track("unlink", "becomes unassigned"),
    "merge": _merge,
    "link": _link,
    "lost": _one_track("lost", "is marked as not visible"),
    "not_a_bird": _one_track("not_a_bird", "is not a bird and is removed"),
    "draw": _draw,
    "reviewed": _reviewed,
    "rename": _rename,
    "answer": _answer,
    "unsure": _unsure,
    "audit": _audit,
}


def _required(request: ActRequest, *names: str) -> list[Any]:
    missing = [name for name in names if getattr(request, name) is None]
    if missing:
        raise InputError(f"{request.kind}: {', '.join(missing)} is missing")
    return [getattr(request, name) for name in names]


def _doubt(request: ActRequest, context: Context) -> Doubt:
    (number,) = _required(request, "doubt")
    if number not in context.doubts:
        raise InputError(f"there is no doubt {number}")
    return context.doubts[number]


def _end(request: ActRequest, context: Context, involved: list[int]) -> int | None:
    (frame,) = _required(request, "frame")
    return _scope(request.to, context, involved, frame)


def _scope(to: str | int, context: Context, involved: Iterable[int], frame: int) -> int | None:
    """Return the frame at which a change ends (excluded); None for the end of the video."""
    if isinstance(to, int):
        return to
    if to == "end":
        return None
    doubts = context.open if to == "doubt" else context.doubts.values()
    ends = [
        doubt.to_frame
        for doubt in doubts
        if doubt.to_frame > frame
        and (to == "doubt" or doubt.kind == DoubtKind.CROSSING)
        and context.tracks_of(doubt) & set(involved)
    ]
    return min(ends, default=None)


def _range(frame: int, end: int | None) -> dict[str, int | None]:
    return {"from_frame": frame, "to_frame": end}


def _anchor(context: Context, track: int, frame: int, end: int | None) -> dict[str, int]:
    return _as_dict(context.replaying.anchor(track, frame, END_OF_VIDEO if end is None else end))


def _most_certain_anchor(context: Context, identity: str) -> dict[str, Any]:
    """Return an anchor: the most certain detection of an identity, the middle one of several; {} if there is none."""
    tracks = context.tracks
    if identity not in tracks.names:
        return {}
    rows = np.flatnonzero((tracks.identity == tracks.names.index(identity)) & (tracks.detection != NONE))
    p = np.nan_to_num(tracks.p_identity[rows])
    rows = rows[p == p.max(initial=0.0)]
    if not len(rows):
        return {}
    row = rows[len(rows) // 2]
    return {"anchor": {"frame": int(tracks.frame[row]), "detection": int(tracks.detection[row])}}


def _as_dict(anchor: Anchor) -> dict[str, int]:
    return anchor.model_dump(exclude_none=True)


def _track_at(tracks: Tracks, row: int) -> int | None:
    return None if row == NONE else int(tracks.track_id[row])


def _detected_rows(tracks: Tracks, track: int) -> np.ndarray:
    rows = tracks.rows_of(track)
    return rows[tracks.detection[rows] != NONE]


def _holder(context: Context, identity: str, frame: int, end: int | None) -> int | None:
    """Return the track named ``identity`` if it is detected in the range; else None."""
    tracks = context.tracks
    if identity not in tracks.names:
        return None
    track = tracks.track_of_name[tracks.names.index(identity)]
    frames = tracks.frame[_detected_rows(tracks, track)]
    first, last = np.searchsorted(frames, [frame, END_OF_VIDEO if end is None else end])
    return track if last > first else None


def _name_of(tracks: Tracks, track: int) -> str | None:
    rows = tracks.rows_of(track)
    if not len(rows):
        raise InputError(f"there is no track {track}")
    code = int(tracks.identity[rows[0]])
    return None if code == NONE else tracks.names[code]


def _label(tracks: Tracks, track: int) -> str:
    return _name_of(tracks, track) or f"track {track} (unassigned)"


def _describe(context: Context, track: int, frame: int, end: int | None, what: str) -> str:
    tracks = context.tracks
    rows = tracks.rows_of(track)
    frames = tracks.frame[rows[tracks.state[rows] != State.LOST]]
    first, last = np.searchsorted(frames, [frame, END_OF_VIDEO if end is None else end])
    if first == last:
        return f"{_label(tracks, track)} {what}: not visible from frame {frame} on"
    to = "to the end" if end is None else f"to {frames[last - 1]}"
    return f"{_label(tracks, track)} {what} in {last - first} frames, {frames[first]} {to}"
