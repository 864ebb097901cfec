import numpy as np
import pytest

from backend.tracking.linking.constraints import Constraints
from backend.tracking.linking.gibbs_moves import UNASSIGNED
from backend.tracking.linking.open_set import belief_propagation, link_open_set
from tests.tracking.linking_cases import sightings_of

NEAR, FAR = np.array([100.0, 100.0]), np.array([500.0, 400.0])


def test_a_short_gap_is_linked_and_a_long_one_is_not():
    paths = [(0, 0, 99, NEAR), (1, 0, 599, FAR), (0, 112, 199, NEAR + 2), (0, 500, 599, NEAR)]
    inputs, _ = sightings_of(paths, 600, None)
    found = link_open_set(inputs, Constraints.none(len(inputs.segments)))
    one, two, three = np.flatnonzero(inputs.segments.begin_xy[:, 0] < 200)
    assert found.chain[one] == found.chain[two] != found.chain[three]
    assert found.bird[one] == found.bird[two] != UNASSIGNED == found.bird[three]


def test_birds_never_seen_at_once_get_no_further_identity():
    """Two birds at once, then a third where one of them was long before: it may be either, and gets no identity."""
    paths = [(0, 0, 299, NEAR), (1, 0, 299, FAR), (2, 600, 699, NEAR)]
    inputs, _ = sightings_of(paths, 700, None)
    found = link_open_set(inputs, Constraints.none(len(inputs.segments)))
    late = inputs.segments.first >= 600
    assert sorted(set(found.bird[~late])) == [0, 1]
    assert (found.bird[late] == UNASSIGNED).all() and (found.p[late, -1] == 1).all()


def test_where_two_birds_vanish_and_one_appears_between_them_nothing_is_linked():
    middle = np.array([300.0, 200.0])
    paths = [(0, 0, 99, middle - [30, 0]), (1, 0, 99, middle + [30, 0]), (2, 110, 199, middle)]
    inputs, _ = sightings_of(paths, 200, None)
    found = link_open_set(inputs, Constraints.none(len(inputs.segments)))
    assert len(set(found.chain.tolist())) == 3


def test_constraints_hold_in_an_open_set():
    paths = [(0, 0, 99, NEAR), (1, 0, 599, FAR), (0, 112, 199, NEAR + 2), (0, 500, 599, NEAR)]
    inputs, _ = sightings_of(paths, 600, None)
    pair = [int(np.flatnonzero(inputs.segments.first == at)[0]) for at in (112, 500)]
    labels = np.full(len(inputs.segments), UNASSIGNED)
    labels[pair] = 0, 1
    found = link_open_set(inputs, Constraints(labels, np.zeros((0, 2), np.int64), ("Ann", "Bo")))
    assert found.bird[pair].tolist() == [0, 1]
    must_link = np.array([pair])
    joined = link_open_set(inputs, Constraints(np.full(len(labels), UNASSIGNED), must_link))
    assert joined.chain[pair[0]] == joined.chain[pair[1]]


def test_no_segments_at_all():
    inputs, _ = sightings_of([(0, 0, 2, NEAR)], 100, None)
    assert len(inputs.segments) == 0
    assert link_open_set(inputs, Constraints.none(len(inputs.segments))).bird.shape == (0,)


@pytest.mark.parametrize("seed", range(3))
def test_belief_propagation_is_exact_on_a_tree(seed):
    """Links 0-2, 0-3 and 1-3: none, one of them, or 0-2 and 1-3. Exact, because there is no cycle."""
    rng = np.random.default_rng(seed)
    i, j = np.array([0, 0, 1]), np.array([2, 3, 3])
    weight = np.exp(rng.normal(0, 2, 3))
    a, b, c = weight
    total = 1 + a + b + c + a * c
    assert belief_propagation(i, j, weight, 4) == pytest.approx(np.array([a + a * c, b, c + a * c]) / total, abs=1e-6)
