"""Reviewers' edits constrain the next tracking run where nothing else can decide."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from backend.tracking.linking.constraints import constraints_of
from backend.tracking.linking.link import link
from backend.tracking.tracks.edits import Anchor, Draw, Keep, Link, Merge, Name, Rename, Undo
from tests.tracking.linking_cases import sightings_of, well_separated

HERE, THERE = np.array([200.0, 200.0]), np.array([210.0, 200.0])
COMMON = {"when": datetime(2026, 5, 1, tzinfo=UTC), "who": "Ada", "version": 0}
RANGE = {"from_frame": 0, **COMMON}


def look_alikes(gap=30):
    """Two birds that nothing tells apart stand together, are not seen for a while, and stand there again."""
    late = 100 + gap
    paths = [(0, 0, 99, HERE), (1, 0, 99, THERE), (0, late, late + 99, HERE), (1, late, late + 99, THERE)]
    return sightings_of(paths, late + 100, np.zeros((2, 6)))[0]


def seen(inputs, segment, last=False):
    """Return the anchor of a segment's first or last sighting."""
    row = inputs.sightings.starts[segment + 1] - 1 if last else inputs.sightings.starts[segment]
    return Anchor(frame=int(inputs.sightings.frame[row]), detection=int(inputs.sightings.detection[row]))


def birds_of(inputs, acts, n_birds=2):
    """Return the bird of each segment, and the names that reviewers gave."""
    constraints = constraints_of(inputs, acts, n_birds)
    return link(inputs, n_birds, constraints=constraints).bird.tolist(), constraints.names


@pytest.mark.parametrize("crossed", [False, True])
@pytest.mark.parametrize("how", ["keep", "link", "merge"])
def test_must_linked_segments_are_one_bird_whatever_the_other_evidence(how, crossed):
    inputs = look_alikes()
    pairs = [(0, 3), (1, 2)] if crossed else [(0, 2), (1, 3)]
    anchors = [(seen(inputs, a, last=True), seen(inputs, b)) for a, b in pairs]
    match how:
        case "keep":
            acts = [Keep(id=1, pairs=tuple(anchors), **RANGE)]
        case "link":
            acts = [Link(id=k, before=a, after=b, **RANGE) for k, (a, b) in enumerate(anchors, 1)]
        case "merge":
            acts = [Merge(id=k, anchor=a, other=b, **RANGE) for k, (a, b) in enumerate(anchors, 1)]
    bird, _ = birds_of(inputs, acts)
    assert all(bird[a] == bird[b] >= 0 for a, b in pairs) and bird[0] != bird[1]


@pytest.mark.parametrize("first", [2, 3])
def test_a_drawn_bird_keeps_the_identity_it_was_drawn_with(first):
    inputs = look_alikes()
    other = 5 - first
    box = (190.0, 190.0, 220.0, 220.0)
    named = [Name(id=k + 1, anchor=seen(inputs, k), identity=name, **RANGE) for k, name in enumerate(("Ann", "Bo"))]
    drawn = [
        Draw(id=3, frame=150, identity="Ann", box=box, anchor=seen(inputs, first), **COMMON),
        Draw(id=4, frame=150, identity="Bo", box=box, anchor=seen(inputs, other), **COMMON),
    ]
    bird, names = birds_of(inputs, [*named, *drawn])
    assert names == ("Ann", "Bo")
    assert [bird[k] for k in (0, 1, first, other)] == [0, 1, 0, 1]


def one_bird_in_four_segments():
    """A bird of four segments, the last of them far away, and another bird that is seen all the time."""
    paths = [(0, 0, 99, HERE), (1, 0, 699, np.array([500.0, 100.0]))]
    paths += [(0, 110, 199, HERE), (0, 210, 299, HERE), (0, 600, 699, np.array([600.0, 400.0]))]
    inputs, _ = sightings_of(paths, 700, well_separated(2))
    own = np.flatnonzero(np.abs(inputs.segments.begin_xy[:, 0] - 500) > 50)
    return inputs, own


def test_a_track_that_another_is_merged_with_keeps_all_its_stretches():
    """The board anchors a merge to the first sighting of the track: what lies between must stay the bird's."""
    inputs, own = one_bird_in_four_segments()
    acts = [Merge(id=1, anchor=seen(inputs, own[0]), other=seen(inputs, own[-1]), **RANGE)]
    assert len(constraints_of(inputs, acts, 2).must_link) == 0
    bird, _ = birds_of(inputs, acts)
    assert len({bird[k] for k in own}) == 1


def test_a_label_holds_for_merged_segments():
    inputs = look_alikes(gap=400)  # far too long for a must-link
    acts = [
        Merge(id=1, anchor=seen(inputs, 0), other=seen(inputs, 3), **RANGE),
        Name(id=2, anchor=seen(inputs, 0), identity="Ann", **RANGE),
        Rename(id=3, identity="Ann", new="Eva", **COMMON),
    ]
    bird, names = birds_of(inputs, acts)
    assert names == ("Eva",) and bird[0] == bird[3] == 0
    assert constraints_of(inputs, [*acts, Undo(id=4, target=1, **COMMON)], 2).labels.tolist() == [0, -1, -1, -1]


def test_a_bird_that_was_renamed_is_that_bird_when_it_is_tracked_again():
    inputs = look_alikes()
    acts = [
        Name(id=1, anchor=seen(inputs, 1), identity="Ann", **RANGE),
        Rename(id=2, identity="bird 02", new="Eva", anchor=seen(inputs, 0), **COMMON),
        Rename(id=3, identity="Ann", new="Mia", anchor=seen(inputs, 1), **COMMON),
    ]
    constraints = constraints_of(inputs, acts, 2)
    assert constraints.names == ("Mia", "Eva")
    assert constraints.labels[[0, 1]].tolist() == [1, 0]


def test_of_edits_that_contradict_each_other_the_later_one_holds():
    inputs = look_alikes()
    pairs = [(seen(inputs, 0, last=True), seen(inputs, k)) for k in (2, 3)]
    acts = [Keep(id=k, pairs=(pair,), **RANGE) for k, pair in enumerate(pairs, 1)]
    assert constraints_of(inputs, acts, 2).must_link.tolist() == [[0, 3]]
    nowhere = Keep(id=3, pairs=((Anchor(frame=5, detection=70), Anchor(frame=150, detection=0)),), **RANGE)
    assert constraints_of(inputs, [*acts, nowhere], 2).must_link.tolist() == [[0, 3]]


def test_a_confirmed_pair_in_the_wrong_order_of_time_constrains_nothing():
    """Logs of earlier versions have such pairs, of a tracklet that passes through a doubt."""
    inputs = look_alikes()
    late, early = seen(inputs, 2), seen(inputs, 0, last=True)
    assert len(constraints_of(inputs, [Keep(id=1, pairs=((late, early),), **RANGE)], 2).must_link) == 0
    assert constraints_of(inputs, [Keep(id=1, pairs=((early, late),), **RANGE)], 2).must_link.tolist() == [[0, 2]]


def test_a_confirmed_pair_does_not_empty_the_tracklet_between_the_two():
    """A tracklet of three segments: that its ends are one bird does not say that its middle is another one."""
    inputs = look_alikes()
    inputs = replace(inputs, parent=np.zeros(4, np.int64))
    first, last = 0, 2
    middle = inputs.segments.first.copy()
    middle[1], ends = inputs.segments.last[first] + 1, inputs.segments.last.copy()
    ends[1] = inputs.segments.first[last] - 1
    inputs = replace(inputs, segments=replace(inputs.segments, first=middle, last=ends))
    act = Keep(id=1, pairs=((seen(inputs, first, last=True), seen(inputs, last)),), **RANGE)
    assert len(constraints_of(inputs, [act], 2).must_link) == 0
