"""From what a reviewer decided to acts of the log: anchored to sightings, with the range they change, in words."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from backend.project.errors import InputError
from backend.tracking.tracks.corrections import END, DoesNotApplyError, Replaying
from backend.tracking.tracks.edits import Anchor
from backend.tracking.tracks.schemas import DoubtKind, State
from backend.tracking.tracks.tracks import NONE, Tracks
from board.anchored_doubts import Doubt, rows_of
from board.requests import ActRequest


@dataclass(frozen=True)
class Decision:
    """Acts without number, name and time; and one sentence for each change, said before it is made."""

    acts: tuple[dict[str, Any], ...]
    words: tuple[str, ...]


@dataclass(frozen=True)
class Moment:
    """What is decided on: the corrected tracks, the way to their anchors, and the doubts that are open."""

    tracks: Tracks
    replaying: Replaying
    doubts: dict[int, Doubt]
    open: tuple[Doubt, ...]
    tracks_of: Callable[[Doubt], set[int]]  # the tracks that its sightings are in now


def decide(request: ActRequest, moment: Moment) -> Decision:
    """Return the acts for a request.

    Raises
    ------
    InputError
        If a field is missing, or what it names is not there.
    """
    try:
        return _DECIDE[request.kind](request, moment)
    except DoesNotApplyError as error:
        raise InputError(str(error)) from error


def _name(request: ActRequest, moment: Moment) -> Decision:
    track, frame, identity = _need(request, "track", "frame", "identity")
    end = _end(request, moment, [track])
    return _renamed(moment, track, identity, frame, end, request.exchange)


def _renamed(moment: Moment, track: int, identity: str, frame: int, end: int | None, exchange: bool) -> Decision:
    now = _name_of(moment.tracks, track)
    if now == identity:
        raise InputError(f"frame {frame}: this is {identity} already")
    holder = _holder(moment, identity, frame, end) if exchange else None
    if holder is None:
        act = {"act": "name", "anchor": _anchor(moment, track, frame, end), "identity": identity, **_range(frame, end)}
        return Decision((act,), (_words(moment, track, frame, end, f"becomes {identity}"),))
    if now is None:
        acts = (
            {"act": "unlink", "anchor": _anchor(moment, holder, frame, end), **_range(frame, end)},
            {"act": "name", "anchor": _anchor(moment, track, frame, end), "identity": identity, **_range(frame, end)},
        )
        words = (_words(moment, holder, frame, end, "is not told apart"),)
        return Decision(acts, (*words, _words(moment, track, frame, end, f"becomes {identity}")))
    return _exchanged(moment, track, holder, frame, end)


def _swap(request: ActRequest, moment: Moment) -> Decision:
    track, other, frame = _need(request, "track", "other", "frame")
    if track == other:
        raise InputError("choose two birds to swap")
    return _exchanged(moment, track, other, frame, _end(request, moment, [track, other]))


def _exchanged(moment: Moment, track: int, other: int, frame: int, end: int | None) -> Decision:
    names = [_name_of(moment.tracks, each) for each in (track, other)]
    if None in names:
        raise InputError(f"frame {frame}: both birds need a name to be swapped; name the other one instead")
    act = {
        "act": "swap",
        "first": _anchor(moment, track, frame, end), "first_identity": names[1],
        "second": _anchor(moment, other, frame, end), "second_identity": names[0],
        **_range(frame, end),
    }  # fmt: skip
    words = (_words(moment, track, frame, end, f"becomes {names[1]}"),)
    return Decision((act,), (*words, _words(moment, other, frame, end, f"becomes {names[0]}")))


def _one_track(act: str, what: str) -> Callable[[ActRequest, Moment], Decision]:
    def decided(request: ActRequest, moment: Moment) -> Decision:
        track, frame = _need(request, "track", "frame")
        end = None if request.kind == "split" else _end(request, moment, [track])
        made = {"act": act, "anchor": _anchor(moment, track, frame, end), **_range(frame, end)}
        return Decision((made,), (_words(moment, track, frame, end, what),))

    return decided


def _merge(request: ActRequest, moment: Moment) -> Decision:
    track, other = _need(request, "track", "other")
    if track == other:
        raise InputError("choose two tracks to merge")
    frame = request.frame or 0
    end = None if request.to == "doubt" else _end(request, moment, [other])
    act = {
        "act": "merge",
        "anchor": _anchor(moment, track, 0, None),
        "other": _anchor(moment, other, frame, end),
        **_range(frame, end),
    }
    return Decision((act,), (_words(moment, other, frame, end, f"becomes {_called(moment.tracks, track)}"),))


def _link(request: ActRequest, moment: Moment) -> Decision:
    track, other, frame = _need(request, "track", "other", "frame")
    after = _anchor(moment, other, frame, None)
    rows = _sighted(moment.tracks, track)
    rows = rows[moment.tracks.frame[rows] < after["frame"]]
    if not len(rows):
        raise InputError(f"frame {after['frame']}: the first bird is not seen before this frame")
    last = rows[-1]
    before = {"frame": int(moment.tracks.frame[last]), "detection": int(moment.tracks.detection[last])}
    end = _end(request, moment, [other])
    act = {"act": "link", "before": before, "after": after, **_range(after["frame"], end)}
    gap = after["frame"] - before["frame"] - 1
    words = (_words(moment, other, after["frame"], end, f"is {_called(moment.tracks, track)} that came back"),)
    return Decision((act,), (*words, f"{gap} frames between the two are interpolated"))


def _draw(request: ActRequest, moment: Moment) -> Decision:
    frame, identity, box = _need(request, "frame", "identity", "box")
    act: dict[str, Any] = {"act": "draw", "frame": frame, "identity": identity, "box": box, "rle": request.rle}
    if request.track is not None:
        anchor = _anchor(moment, request.track, frame, frame + 1)
        if anchor["frame"] != frame:
            raise InputError(f"frame {frame}: this bird's box is a guess; draw the bird without choosing it")
        act["anchor"] = anchor
    what = "with this mask" if request.rle is not None else "as a box without a mask"
    return Decision((act,), (f"{identity} is drawn in frame {frame} {what}, 1 frame",))


def _reviewed(request: ActRequest, moment: Moment) -> Decision:
    (frame,) = _need(request, "frame")
    end = END if request.to in ("end", "doubt", "crossing") else int(request.to)
    act = {"act": "reviewed", **_range(frame, None if end == END else end)}
    till = int(moment.tracks.frames[-1]) + 1 if end == END else end
    return Decision((act,), (f"frames {frame} to {till - 1} count as watched; {till - frame} frames",))


def _rename(request: ActRequest, moment: Moment) -> Decision:
    identity, new = _need(request, "identity", "new")
    act = {"act": "rename", "identity": identity, "new": new, **_surest_anchor(moment, identity)}
    return Decision((act,), (f"{identity} is called {new} in all frames",))


def _answer(request: ActRequest, moment: Moment) -> Decision:
    """Who is who after a doubt: ``assignment[k]`` is the place in ``before`` of the bird ``after[k]``, -1: another."""
    doubt = _doubt(request, moment)
    wanted = list(doubt.followed if request.assignment is None else request.assignment)
    if len(wanted) != len(doubt.after) or any(i >= len(doubt.before) for i in wanted):
        raise InputError(f"doubt {doubt.number} has {len(doubt.before)} birds before and {len(doubt.after)} after")
    known = [i for i in wanted if i != NONE]
    if len(set(known)) < len(known):
        raise InputError("two birds after the moment cannot be the same bird before it")
    scope = "end" if request.to == "doubt" else request.to
    acts, words = _rearranged(doubt, wanted, moment, scope)
    first, last = doubt.range
    pairs = doubt.pairs(wanted)
    keep = {"act": "keep", "pairs": [[_plain(a), _plain(b)] for a, b in pairs], "from_frame": first, "to_frame": last}
    return Decision((*acts, keep), tuple(words) or ("the names stay as they are; the moment counts as looked at",))


def _rearranged(doubt: Doubt, wanted: list[int], moment: Moment, scope: str | int) -> tuple[list, list]:
    """Return the changes, and their words, that give each bird after a doubt the name it should have."""
    tracks = moment.tracks
    before = [_track_at(tracks, row) for row in rows_of(tracks, doubt.before)]
    now = [_track_at(tracks, row) for row in rows_of(tracks, doubt.after)]
    frame = doubt.to_frame
    acts, words = [], []
    for k, i in enumerate(wanted):
        frame_k = min(frame, doubt.after[k].frame)
        if i == NONE and now[k] is not None and now[k] in before:  # it is none of them: who it is, is not known
            end = _scope(scope, moment, [now[k]], doubt.to_frame)
            acts.append({"act": "unlink", "anchor": _plain(doubt.after[k]), **_range(frame_k, end)})
            words.append(_words(moment, now[k], frame_k, end, "is not told apart from the others"))
            now[k] = None
        if i == NONE or before[i] is None or now[k] is None or now[k] == before[i]:
            continue
        end = _scope(scope, moment, [now[k], before[i]], doubt.to_frame)
        name = _name_of(tracks, before[i])
        if name is None:
            acts.append({"act": "merge", "anchor": _plain(doubt.before[i]), "other": _plain(doubt.after[k]),
                         **_range(frame_k, end)})  # fmt: skip
            words.append(_words(moment, now[k], frame_k, end, f"becomes {_called(tracks, before[i])}"))
            continue
        if before[i] in now:  # two of these birds exchange their names, and with them their tracks
            other, end_name = now.index(before[i]), _name_of(tracks, now[k])
            if end_name is not None:
                acts.append({
                    "act": "swap", "first": _plain(doubt.after[k]), "first_identity": name,
                    "second": _plain(doubt.after[other]), "second_identity": end_name, **_range(frame_k, end),
                })  # fmt: skip
                words += [_words(moment, now[k], frame_k, end, f"becomes {name}"),
                          _words(moment, before[i], frame_k, end, f"becomes {end_name}")]  # fmt: skip
                now[other], now[k] = now[k], before[i]
                continue
        made = _renamed(moment, now[k], name, frame_k, end, exchange=True)
        acts += made.acts
        words += made.words
        now[k] = before[i]
    return acts, words


def _unsure(request: ActRequest, moment: Moment) -> Decision:
    doubt = _doubt(request, moment)
    first, last = doubt.range
    pairs = [[_plain(a), _plain(b)] for a, b in doubt.pairs(doubt.followed)]
    act = {"act": "unsure", "pairs": pairs, "from_frame": first, "to_frame": last}
    return Decision((act,), ("the names stay as they are; the moment is noted as one that cannot be told",))


def _audit(request: ActRequest, moment: Moment) -> Decision:
    track, frame, verdict = _need(request, "track", "frame", "verdict")
    anchor, name = _anchor(moment, track, frame, frame + 1), _name_of(moment.tracks, track)
    if anchor["frame"] != frame or name is None:
        raise InputError(f"frame {frame}: no named bird is seen there")
    act = {"act": "audit", "anchor": anchor, "identity": name, "verdict": verdict}
    return Decision((act,), (f"{name} in frame {frame}: {verdict}",))


_DECIDE: dict[str, Callable[[ActRequest, Moment], Decision]] = {
    "name": _name,
    "swap": _swap,
    "split": _one_track("unlink", "is not told apart from the others"),
    "unlink": _one_track("unlink", "is not told apart from the others"),
    "merge": _merge,
    "link": _link,
    "lost": _one_track("lost", "counts as not seen"),
    "not_a_bird": _one_track("not_a_bird", "is no bird and vanishes"),
    "draw": _draw,
    "reviewed": _reviewed,
    "rename": _rename,
    "answer": _answer,
    "unsure": _unsure,
    "audit": _audit,
}


def _need(request: ActRequest, *names: str) -> list[Any]:
    missing = [name for name in names if getattr(request, name) is None]
    if missing:
        raise InputError(f"{request.kind}: {', '.join(missing)} is missing")
    return [getattr(request, name) for name in names]


def _doubt(request: ActRequest, moment: Moment) -> Doubt:
    (number,) = _need(request, "doubt")
    if number not in moment.doubts:
        raise InputError(f"there is no doubt {number}")
    return moment.doubts[number]


def _end(request: ActRequest, moment: Moment, involved: list[int]) -> int | None:
    (frame,) = _need(request, "frame")
    return _scope(request.to, moment, involved, frame)


def _scope(to: str | int, moment: Moment, involved: Iterable[int], frame: int) -> int | None:
    """Return the frame (not included) at which a change ends; None for the end of the video."""
    if isinstance(to, int):
        return to
    if to == "end":
        return None
    among = moment.open if to == "doubt" else moment.doubts.values()
    ends = [
        doubt.to_frame
        for doubt in among
        if doubt.to_frame > frame
        and (to == "doubt" or doubt.kind == DoubtKind.CROSSING)
        and moment.tracks_of(doubt) & set(involved)
    ]
    return min(ends, default=None)


def _range(frame: int, end: int | None) -> dict[str, int | None]:
    return {"from_frame": frame, "to_frame": end}


def _anchor(moment: Moment, track: int, frame: int, end: int | None) -> dict[str, int]:
    return _plain(moment.replaying.anchor(track, frame, END if end is None else end))


def _surest_anchor(moment: Moment, identity: str) -> dict[str, Any]:
    """Return the anchor of an identity in its surest sighting, of several the middle one; nothing if it has none."""
    tracks = moment.tracks
    if identity not in tracks.names:
        return {}
    rows = np.flatnonzero((tracks.identity == tracks.names.index(identity)) & (tracks.detection != NONE))
    p = np.nan_to_num(tracks.p_identity[rows])
    rows = rows[p == p.max(initial=0.0)]
    if not len(rows):
        return {}
    row = rows[len(rows) // 2]
    return {"anchor": {"frame": int(tracks.frame[row]), "detection": int(tracks.detection[row])}}


def _plain(anchor: Anchor) -> dict[str, int]:
    return anchor.model_dump(exclude_none=True)


def _track_at(tracks: Tracks, row: int) -> int | None:
    return None if row == NONE else int(tracks.track_id[row])


def _sighted(tracks: Tracks, track: int) -> np.ndarray:
    rows = tracks.rows_of(track)
    return rows[tracks.detection[rows] != NONE]


def _holder(moment: Moment, identity: str, frame: int, end: int | None) -> int | None:
    """Return the track that is called ``identity`` if it is seen in the range."""
    tracks = moment.tracks
    if identity not in tracks.names:
        return None
    track = tracks.track_of_name[tracks.names.index(identity)]
    frames = tracks.frame[_sighted(tracks, track)]
    first, last = np.searchsorted(frames, [frame, END if end is None else end])
    return track if last > first else None


def _name_of(tracks: Tracks, track: int) -> str | None:
    rows = tracks.rows_of(track)
    if not len(rows):
        raise InputError(f"there is no track {track}")
    code = int(tracks.identity[rows[0]])
    return None if code == NONE else tracks.names[code]


def _called(tracks: Tracks, track: int) -> str:
    return _name_of(tracks, track) or f"track {track} (not told apart)"


def _words(moment: Moment, track: int, frame: int, end: int | None, what: str) -> str:
    tracks = moment.tracks
    rows = tracks.rows_of(track)
    frames = tracks.frame[rows[tracks.state[rows] != State.LOST]]
    first, last = np.searchsorted(frames, [frame, END if end is None else end])
    if first == last:
        return f"{_called(tracks, track)} {what}: it is seen in no frame from {frame} on"
    to = "to the end" if end is None else f"to {frames[last - 1]}"
    return f"{_called(tracks, track)} {what} in {last - first} frames, {frames[first]} {to}"
