"""Pair affinity without embeddings: motion, box sizes, and how often birds are new."""

import numpy as np
import pytest

from backend.tracking.linking.constraints import Constraints
from backend.tracking.linking.gibbs_moves import UNASSIGNED
from backend.tracking.linking.open_set import link_open_set, link_probabilities
from backend.tracking.linking.pair_affinity import pair_affinity
from tests.tracking.linking_cases import sightings_of

POSITION = np.array([300.0, 200.0])


def meeting(sides):
    """Two birds side by side that vanish together and appear again half way between; others stand about."""
    paths = [(0, 0, 99, POSITION - [15, 0]), (1, 0, 99, POSITION + [15, 0])]
    paths += [(0, 112, 211, POSITION), (1, 112, 211, POSITION)]
    paths += [(2 + k, 0, 211, np.array([80.0 + 120 * k, 400.0])) for k in range(4)]
    return sightings_of(paths, 212, None, sides=sides)


def test_birds_of_different_size_are_linked_by_size():
    inputs, bird = meeting([40, 60, 40, 60, 45, 50, 55, 42])
    chain = link_open_set(inputs, Constraints.none(len(inputs.segments))).chain
    assert all(len(set(chain[bird == k].tolist())) == 1 for k in range(6))
    assert len(set(chain.tolist())) == 6


def test_sizes_that_change_as_much_within_birds_as_between_say_nothing():
    rng = np.random.default_rng(0)
    sizes = 40 * np.exp(0.4 * rng.standard_normal((8, 43)))
    restless = [np.repeat(sizes[k], 5)[: 100 if k < 4 else 212] for k in range(8)]
    inputs, bird = meeting(restless)
    first = np.flatnonzero(inputs.segments.last < 105)
    later = np.flatnonzero(inputs.segments.first > 105)
    i, j = np.repeat(first, 2), np.tile(later, 2)
    nats = pair_affinity(inputs, i, j)
    same = bird[i] == bird[j]
    assert nats[same].sum() == pytest.approx(nats[~same].sum(), abs=1.0)
    assert (link_open_set(inputs, Constraints.none(len(inputs.segments))).bird[first] != UNASSIGNED).all()


def test_a_lasting_velocity_identifies_birds_after_a_meeting():
    """Both are at one place when they are seen again, and walk on from there: only their velocities differ."""

    def walk(first, last, px_s):
        seconds = np.arange(first, last + 1) / 25
        return np.column_stack([300 + px_s * (seconds - 4.2), np.full(len(seconds), 200.0)])

    paths = [(bird, a, b, walk(a, b, v)) for a, b in ((0, 99), (108, 207)) for bird, v in enumerate((60.0, -60.0))]
    others = [(2 + k, 0, 207, walk(0, 207, 30.0) + [0, 80 + 60 * k]) for k in range(3)]
    inputs, bird = sightings_of(paths + others, 208, None)
    chain = link_open_set(inputs, Constraints.none(len(inputs.segments))).chain
    assert all(len(set(chain[bird == k].tolist())) == 1 for k in range(5))


def test_a_link_over_a_gap_is_less_probable_where_more_birds_are_new():
    gap = [(0, 0, 99, POSITION), (0, 150, 249, POSITION + [25, 0])]
    spots = [np.array([60.0 + 90 * k, 60.0 + 330 * row]) for row in range(2) for k in range(6)]
    stay = [(1 + k, a, b, spot) for k, spot in enumerate(spots) for a, b in ((0, 99), (105, 249))]
    come = [(1 + k, 30 + 5 * k, 249, spot) for k, spot in enumerate(spots)]
    sure = []
    for others in (stay, come):
        inputs, _ = sightings_of(gap + others, 250, None)
        before, p = link_probabilities(inputs, Constraints.none(len(inputs.segments)))
        own = np.flatnonzero((inputs.segments.first == 150) & (np.abs(inputs.segments.begin_xy[:, 0] - 325) < 5))[0]
        sure.append(p[own] if before[own] != UNASSIGNED else 0.0)
    assert sure[0] > 0.5 and sure[0] > sure[1] + 0.15


def test_segments_that_overlap_are_never_linked():
    inputs, _ = sightings_of([(0, 0, 99, POSITION), (1, 40, 149, POSITION + [5, 0])], 150, None)
    assert (pair_affinity(inputs, np.array([0, 1]), np.array([1, 0])) == -np.inf).all()
