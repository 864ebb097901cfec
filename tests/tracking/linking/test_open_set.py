import numpy as np
import pytest

from backend.tracking.linking.gibbs_moves import NOBODY
from backend.tracking.linking.link import Known
from backend.tracking.linking.open_set import link_open, probabilities
from tests.tracking.linking_cases import sightings_of

NEAR, FAR = np.array([100.0, 100.0]), np.array([500.0, 400.0])


def nothing_said(gathered):
    return Known(np.full(len(gathered.parts), NOBODY), np.zeros((0, 2), np.int64))


def test_a_short_gap_is_linked_and_a_long_one_is_not():
    paths = [(0, 0, 99, NEAR), (1, 0, 599, FAR), (0, 112, 199, NEAR + 2), (0, 500, 599, NEAR)]
    gathered, _ = sightings_of(paths, 600, None)
    found = link_open(gathered, nothing_said(gathered), 0)
    one, two, three = np.flatnonzero(gathered.parts.begin_xy[:, 0] < 200)
    assert found.chain[one] == found.chain[two] != found.chain[three]
    assert found.bird[one] == found.bird[two] != NOBODY == found.bird[three]


def test_birds_that_are_never_there_together_are_not_counted_apart():
    """Two birds at once, then a third where one of them was long before: it may be either, and gets no identity."""
    paths = [(0, 0, 299, NEAR), (1, 0, 299, FAR), (2, 600, 699, NEAR)]
    gathered, _ = sightings_of(paths, 700, None)
    found = link_open(gathered, nothing_said(gathered), 0)
    late = gathered.parts.first >= 600
    assert sorted(set(found.bird[~late])) == [0, 1]
    assert (found.bird[late] == NOBODY).all() and (found.p[late, -1] == 1).all()


def test_where_two_birds_vanish_and_one_appears_between_them_nothing_is_linked():
    middle = np.array([300.0, 200.0])
    paths = [(0, 0, 99, middle - [30, 0]), (1, 0, 99, middle + [30, 0]), (2, 110, 199, middle)]
    gathered, _ = sightings_of(paths, 200, None)
    found = link_open(gathered, nothing_said(gathered), 0)
    assert len(set(found.chain.tolist())) == 3


def test_what_people_said_holds_in_an_open_set():
    paths = [(0, 0, 99, NEAR), (1, 0, 599, FAR), (0, 112, 199, NEAR + 2), (0, 500, 599, NEAR)]
    gathered, _ = sightings_of(paths, 600, None)
    parts = [int(np.flatnonzero(gathered.parts.first == at)[0]) for at in (112, 500)]
    pins = np.full(len(gathered.parts), NOBODY)
    pins[parts] = 0, 1
    found = link_open(gathered, Known(pins, np.zeros((0, 2), np.int64)), 2)
    assert found.bird[parts].tolist() == [0, 1]
    follow = np.array([parts])
    joined = link_open(gathered, Known(np.full(len(pins), NOBODY), follow), 0)
    assert joined.chain[parts[0]] == joined.chain[parts[1]]


def test_no_parts_at_all():
    gathered, _ = sightings_of([(0, 0, 2, NEAR)], 100, None)
    assert len(gathered.parts) == 0
    assert link_open(gathered, nothing_said(gathered), 0).bird.shape == (0,)


@pytest.mark.parametrize("seed", range(3))
def test_probabilities_are_those_of_all_ways_to_link(seed):
    """Links 0-2, 0-3 and 1-3: none, one of them, or 0-2 and 1-3. Exact, because there is no cycle."""
    rng = np.random.default_rng(seed)
    i, j = np.array([0, 0, 1]), np.array([2, 3, 3])
    weight = np.exp(rng.normal(0, 2, 3))
    a, b, c = weight
    total = 1 + a + b + c + a * c
    assert probabilities(i, j, weight, 4) == pytest.approx(np.array([a + a * c, b, c + a * c]) / total, abs=1e-6)
