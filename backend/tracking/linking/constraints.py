"""Turn reviewers' edits into must-link constraints and identity labels (constrained clustering)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backend.tracking.linking.gibbs_moves import UNASSIGNED
from backend.tracking.linking.link_cost import Endpoints
from backend.tracking.linking.linking_input import LinkingInput
from backend.tracking.tracks.edits import Anchor, Draw, Edit, Keep, Link, Merge, Name, Rename, Swap, active_edits

MERGE_GAP_S = 5.0  # a merged track continues directly in the other one if it ended no longer before


@dataclass(frozen=True)
class Constraints:
    """What reviewers decided.

    Attributes
    ----------
    labels
        (M,) int64, the animal that each segment must be; -1: free. Two labels that differ are a cannot-link constraint.
    must_link
        (n, 2) int64, pairs of segments of which the second directly follows the first.
    names
        Names that reviewers gave, by animal.
    """

    labels: np.ndarray
    must_link: np.ndarray
    names: tuple[str, ...] = ()

    @classmethod
    def none(cls, m: int) -> "Constraints":
        """Return no constraints on ``m`` segments."""
        return cls(np.full(m, UNASSIGNED), np.zeros((0, 2), np.int64))

    def on_order(self, endpoints: Endpoints) -> Endpoints:
        """Return ``endpoints`` with the only segment before and after each, as the must-links say."""
        before, after = endpoints.before.copy(), endpoints.after.copy()
        before[self.must_link[:, 1]], after[self.must_link[:, 0]] = self.must_link[:, 0], self.must_link[:, 1]
        return endpoints._replace(before=before, after=after)


def constraints_of(inputs: LinkingInput, acts: Sequence[Edit], n_birds: int | None) -> Constraints:
    """Return the constraints that ``acts`` (a log of edits, oldest first) put on the segments of a run.

    At most ``n_birds`` names are used; None: any number.

    A label holds for the segment it was given to and for segments merged with it. An animal that came back (`Link`) or
    was confirmed after a doubt (`Keep`) gives a must-link, unless a segment of one of its tracklets lies between; so
    does a merge where no other segment can lie between. Other pairs constrain nothing here, as any number of segments
    may lie between; nor do pairs of a `Keep` that are not in order of time, as older logs have where a tracklet passes
    through a doubt. Later edits win over earlier ones.
    All edits are applied to the finished tracks once more (`corrections.replay`), so those that constrain nothing
    here, or concern detections in no segment, hold as well.
    """
    names: list[str] = []
    labels = np.full(len(inputs.segments), UNASSIGNED)
    must_link: list[tuple[int, int]] = []
    merged: list[tuple[int, int]] = []
    for act in active_edits(acts):
        if isinstance(act, Rename) and act.identity in names and act.new not in names:
            names[names.index(act.identity)] = act.new
        for anchor, name in _named(act):
            segment = _segment_of(inputs, anchor)
            if segment is None or (name not in names and len(names) == n_birds):
                continue
            if name not in names:
                names.append(name)
            labels[segment] = names.index(name)
        for before, after in _joined(act):
            pair = _segment_of(inputs, before), _segment_of(inputs, after)
            if None in pair or pair[0] == pair[1]:
                continue
            first, last = min(pair), max(pair)  # segments are sorted by first frame
            if isinstance(act, Merge):
                merged.append(pair)
            directly = _continues_in if isinstance(act, Merge) else _nothing_between
            if directly(inputs, first, last):
                must_link.append((first, last))
    for segment, other in merged:
        if labels[other] < 0 or labels[segment] < 0:
            labels[[segment, other]] = max(labels[segment], labels[other])
    return Constraints(labels, _consistent(inputs, must_link, labels), tuple(names))


def edited_segments(inputs: LinkingInput, acts: Sequence[Edit]) -> np.ndarray:
    """Return (M,) bool: segments that one of ``acts`` (a log of edits) concerns."""
    edited = np.zeros(len(inputs.segments), bool)
    for act in active_edits(acts):
        anchors = [getattr(act, "anchor", None), *(anchor for anchor, _ in _named(act))]
        for anchor in [*anchors, *(anchor for pair in _joined(act) for anchor in pair)]:
            segment = _segment_of(inputs, anchor)
            if segment is not None:
                edited[segment] = True
    return edited


def _continues_in(inputs: LinkingInput, first: int, last: int) -> bool:
    """Tell whether a segment can continue directly in a later one: its tracklet ended shortly before."""
    gap_s = inputs.segments.begin_s[last] - inputs.segments.end_s[first]
    own = inputs.parent == inputs.parent[first]
    return gap_s <= MERGE_GAP_S and not np.any(own & (inputs.segments.begin_s > inputs.segments.begin_s[first]))


def _nothing_between(inputs: LinkingInput, first: int, last: int) -> bool:
    """Tell whether no segment of either one's tracklet lies between two segments."""
    own = (inputs.parent == inputs.parent[first]) | (inputs.parent == inputs.parent[last])
    segments = inputs.segments
    return not np.any(own & (segments.first > segments.last[first]) & (segments.last < segments.first[last]))


def _named(act: Edit) -> list[tuple[Anchor | None, str]]:
    match act:
        case Name() | Draw():
            return [(act.anchor, act.identity)]
        case Rename() if act.anchor is not None:
            return [(act.anchor, act.new)]
        case Swap():
            return [(act.first, act.first_identity), (act.second, act.second_identity)]
    return []


def _joined(act: Edit) -> list[tuple[Anchor, Anchor]]:
    match act:
        case Link():
            return [(act.before, act.after)]
        case Merge():
            return [(act.anchor, act.other)]
        case Keep():
            return [(before, after) for before, after in act.pairs if before.frame < after.frame]
    return []


def _segment_of(inputs: LinkingInput, anchor: Anchor | None) -> int | None:
    if anchor is None or anchor.detection is None:
        return None
    sightings = inputs.sightings
    rows = np.flatnonzero((sightings.frame == anchor.frame) & (sightings.detection == anchor.detection))
    return int(sightings.tracklet[rows[0]]) if len(rows) else None


def _consistent(inputs: LinkingInput, pairs: Sequence[tuple[int, int]], labels: np.ndarray) -> np.ndarray:
    """Return the (n, 2) pairs that can hold together: one before and one after each, one label, no overlap in time."""
    before: dict[int, int] = {}
    after: dict[int, int] = {}
    for a, b in pairs:
        labels_differ = labels[a] >= 0 and labels[b] >= 0 and labels[a] != labels[b]
        if inputs.endpoints.last[a] < inputs.endpoints.overlap_end[b] and not labels_differ:
            if a in after:
                before.pop(after[a])
            if b in before:
                after.pop(before[b])
            after[a], before[b] = b, a
    return np.array(sorted(after.items()), np.int64).reshape(-1, 2)


def bird_names(given: Sequence[str], n_birds: int) -> tuple[str, ...]:
    """Return a name for each bird: those ``given`` by reviewers first, then ``bird 01`` and so on, each name once."""
    digits = max(2, len(str(n_birds)))
    free = (name for k in range(1, 2 * n_birds + 1) if (name := f"bird {k:0{digits}d}") not in given)
    return (*given, *(next(free) for _ in range(n_birds - len(given))))
