import itertools
from dataclasses import replace

import numpy as np
import pytest

from backend.tracking.linking.constraints import Constraints
from backend.tracking.linking.entry_exit import with_hidden_zones
from backend.tracking.linking.false_positives import FALSE_NATS, false_positive_log_odds
from backend.tracking.linking.gibbs_moves import UNASSIGNED, resample_bird, resample_pair
from backend.tracking.linking.link import link
from backend.tracking.linking.link_cost import link_score, transition_score
from backend.tracking.linking.linking_input import select_segments, unused_detections
from backend.tracking.linking.n_animals import max_simultaneous
from backend.zones.zone_file import parse_zones
from tests.tracking.linking_cases import agrees, sightings_of, well_separated

BOTH, NONE = np.array([0, 1]), np.array([-1, -1])


def crossing(appearances):
    """Two birds that run towards each other, are not seen for half a second, and come out on either side."""
    path = np.linspace(0, 200, 100)
    right = np.column_stack([100 + path, np.full(100, 200.0)])
    left = np.column_stack([540 - path, np.full(100, 200.0)])
    back = np.column_stack([320 - path, np.full(100, 200.0)])
    on = np.column_stack([320 + path, np.full(100, 200.0)])
    return sightings_of([(0, 0, 99, right), (1, 0, 99, left), (1, 112, 211, back), (0, 112, 211, on)], 212, appearances)


def test_birds_that_cross_keep_their_identities_by_appearance():
    inputs, truth = crossing(well_separated(2))
    found = link(inputs, 2)
    assert agrees(found.bird, truth)
    assert (found.p[np.arange(4), found.bird] > 0.9).all()


def test_without_descriptors_a_crossing_is_a_doubt():
    """Both come to rest at the same place: motion cannot tell which one leaves where."""
    here = np.array([300.0, 200.0])
    paths = [
        (0, 0, 99, np.linspace([100, 200], here - [3, 0], 100)),
        (1, 0, 99, np.linspace([500, 200], here + [3, 0], 100)),
        (0, 130, 229, np.linspace(here + [0, 3], [300, 50], 100)),
        (1, 130, 229, np.linspace(here - [0, 3], [300, 350], 100)),
    ]
    inputs, _ = sightings_of(paths, 230, None)
    found = link(inputs, 2)
    assert set(found.bird[:2]) == set(found.bird[2:]) == {0, 1}
    own = found.p[np.arange(4), found.bird]
    assert (own > 0.4).all() and own.min() < 0.9


def test_a_bird_that_flew_out_is_re_identified_by_appearance():
    paths = [
        (0, 0, 100, np.array([100.0, 100.0])),
        (1, 0, 600, np.array([320.0, 400.0])),
        (2, 0, 300, np.array([500.0, 100.0])),
        (2, 420, 600, np.array([120.0, 100.0])),
        (0, 450, 600, np.array([480.0, 120.0])),
    ]
    inputs, truth = sightings_of(paths, 601, well_separated(3))
    assert agrees(link(inputs, 3).bird, truth)


def test_a_gap_is_bridged_by_motion_alone():
    paths = [(0, 0, 99, np.array([100.0, 100.0])), (1, 0, 199, np.array([400.0, 300.0]))]
    paths.append((0, 120, 199, np.array([104.0, 101.0])))
    inputs, truth = sightings_of(paths, 200, None)
    assert agrees(link(inputs, 2).bird, truth)


def test_a_bird_is_never_in_two_places():
    inputs, _ = sightings_of([(k, 0, 99, np.array([100.0 + 120 * k, 200.0])) for k in range(4)], 100, None)
    found = link(inputs, 3).bird
    assert sorted(found[found >= 0]) == [0, 1, 2]
    assert (found == UNASSIGNED).sum() == 1


def test_false_positives_with_low_scores_are_unassigned():
    """A bird that is seen again after a while, and shadows that look a little like it, here and there in between."""
    places = np.random.default_rng(2).permutation([(x, y) for x in (200.0, 320.0, 600.0) for y in (30.0, 230.0, 450.0)])
    paths = [(0, 0, 930, np.array([100.0, 100.0])), (1, 0, 300, np.array([500.0, 400.0]))]
    paths += [(2, 350 + 60 * k, 370 + 60 * k, place) for k, place in enumerate(places)]
    paths.append((1, 880, 930, np.array([300.0, 100.0])))
    inputs, truth = sightings_of(paths, 931, np.array([[3.0, 0, 0], [-3.0, 0, 0], [-2.8, 0.3, 0]]))
    assert (link(inputs, 2).bird[truth == 2] != UNASSIGNED).any()
    scores = np.where(truth == 2, 0.55, 0.9).astype(np.float32)
    found = link(replace(inputs, segments=replace(inputs.segments, score=scores)), 2).bird
    assert (found[truth == 2] == UNASSIGNED).all()
    assert agrees(found[truth < 2], truth[truth < 2])


def with_scores(scores, frames):
    """Segments of these lengths, frames, and mean scores, one after the other."""
    ends = np.cumsum(frames)
    paths = [(0, end - n, end - 1, np.array([100.0, 100.0])) for end, n in zip(ends, frames, strict=True)]
    inputs, _ = sightings_of(paths, int(ends[-1]), None)
    return replace(inputs, segments=replace(inputs.segments, score=np.array(scores, np.float32)))


def test_equal_scores_say_nothing_about_false_positives():
    assert (false_positive_log_odds(with_scores([0.9] * 4, [5, 25, 125, 225])) == 0).all()


def test_log_odds_of_a_false_positive_grow_with_the_distance_of_its_score():
    scores = [0.90, 0.92, 0.94, 0.96, 0.98, 0.5, 0.7, 0.93, 0.99]
    against = false_positive_log_odds(with_scores(scores, [125] * 5 + [12] * 4))
    assert FALSE_NATS >= against[5] > against[6] > 2
    assert (against[[0, 1, 2, 3, 4, 7, 8]] == 0).all()


def test_selected_segments_are_unchanged():
    inputs = with_scores([0.9] * 4, [5, 25, 125, 225])
    left = select_segments(inputs, np.array([True, False, True, False]))
    assert left.segments.n.tolist() == [5, 125] and left.endpoints.first.tolist() == [0, 30]
    assert left.sightings.starts.tolist() == [0, 5, 130] and len(left.sightings) == len(left.rows) == 130
    assert np.array_equal(left.detections.at[left.rows], left.sightings.at)
    assert np.array_equal(np.unique(left.sightings.at), [*range(5), *range(30, 155)])
    assert unused_detections(left).sum() == 25 + 225


@pytest.mark.parametrize("seed", [1, 2])
def test_a_seed_gives_the_same_result_and_other_seeds_the_same_birds(seed):
    inputs, truth = crossing(well_separated(2))
    one, two = link(inputs, 2, seed), link(inputs, 2, seed)
    assert np.array_equal(one.bird, two.bird) and np.array_equal(one.samples, two.samples)
    assert agrees(one.bird, truth)


def test_numbers_of_birds_do_not_matter():
    """The same video with the birds numbered the other way round gives the same partition."""
    appearances = well_separated(2)
    first, _ = crossing(appearances)
    second, _ = crossing(appearances[::-1])
    assert agrees(link(first, 2).bird, link(second, 2).bird)


def test_the_number_of_birds_seen_at_once():
    paths = [(k, 50 * j, 50 * j + 45, np.array([100.0 + 100 * k, 80.0 + 30 * j])) for k in range(4) for j in range(8)]
    inputs, _ = sightings_of(paths, 400, well_separated(4))
    assert max_simultaneous(inputs) == 4
    alone, _ = sightings_of(paths, 400, None)
    assert max_simultaneous(alone) == 4


def test_a_hidden_zone_gives_back_the_bird_that_went_in():
    """After a minute of absence; without the zone a bird is as likely to appear anywhere."""
    paths = [(0, 0, 99, np.array([100.0, 100.0])), (0, 1600, 1700, np.array([108.0, 100.0]))]
    inputs, _ = sightings_of(paths, 1701, None)
    shape = [[80, 80], [125, 80], [125, 125], [80, 125]]
    box = {"id": 1, "name": "box", "kind": "hidden", "group": "g", "shape": shape}
    door = {**box, "id": 2, "name": "door", "kind": "entry"}
    zoned = with_hidden_zones(inputs, parse_zones({"format": 1, "image_size": [640, 480], "zones": [box, door]}))
    assert zoned.endpoints.zone.tolist() == [[1, 1], [1, 1]]
    assert link_score(zoned.endpoints, 0, 1) > link_score(inputs.endpoints, 0, 1) + 1


def test_constraints_hold():
    """Two look-alikes: a name and a join decide what nothing else can."""
    appearances = np.zeros((2, 6))
    inputs, truth = crossing(appearances)
    for must_link in ([[0, 2]], [[0, 3]]):
        constraints = Constraints(np.array([1, UNASSIGNED, UNASSIGNED, UNASSIGNED]), np.array(must_link))
        found = link(inputs, 2, constraints=constraints).bird
        assert found[0] == 1
        assert found[must_link[0][1]] == 1
        assert sorted(found) == [0, 0, 1, 1]


def test_no_detections_at_all():
    inputs, _ = crossing(None)
    empty = inputs.__class__(**{**inputs.__dict__, "segments": inputs.segments.__class__(*[
        column[:0] for column in inputs.segments.__dict__.values()
    ])})  # fmt: skip
    found = link(empty, 2)
    assert found.bird.shape == (0,) and found.p.shape == (0, 3)


def all_assignments(inputs, items, fit, birds):
    """Return the log weight of every way to give ``items`` to one of ``birds``."""
    weights = {}
    for assignment in itertools.product(birds, repeat=len(items)):
        total = 0.0
        for bird in set(birds) - {UNASSIGNED}:
            own = [item for item, mine in zip(items, assignment, strict=True) if mine == bird]
            total += sum(transition_score(inputs.endpoints, i, j) for i, j in itertools.pairwise([-1, *own, -1]))
        weights[assignment] = total + sum(fit[item, bird] for item, bird in zip(items, assignment, strict=True))
    return weights


def small_graph(seed):
    rng = np.random.default_rng(seed)
    firsts = np.sort(rng.integers(0, 300, 7))
    paths = [(0, int(f), int(f) + int(rng.integers(20, 90)), rng.uniform(100, 400, 2)) for f in firsts]
    inputs, _ = sightings_of(paths, 420, None)
    return inputs, np.arange(len(inputs.segments)), rng.normal(0, 3, (len(inputs.segments), 3)), rng


@pytest.mark.parametrize("seed", range(6))
def test_maximising_moves_find_the_best_assignment(seed):
    inputs, items, fit, rng = small_graph(seed)
    weights = all_assignments(inputs, items, fit, (0, 1))
    best = max(weights.values())
    ids = np.zeros(len(items), np.int64)
    resample_pair(items, BOTH, NONE, NONE, fit, inputs.endpoints, 1.0, True, rng.random(len(items) + 1), ids)
    if best == -np.inf:  # three at once: no way at all, nothing is touched
        assert not ids.any()
    else:
        assert weights[tuple(ids)] == pytest.approx(best)
    chosen = all_assignments(inputs, items, fit, (0, UNASSIGNED))
    ids = np.full(len(items), UNASSIGNED)
    resample_bird(items, 0, -1, -1, fit, inputs.endpoints, 1.0, True, rng.random(len(items) + 1), ids)
    assert chosen[tuple(ids)] == pytest.approx(max(chosen.values()))


@pytest.mark.parametrize("seed", [0, 3])
def test_assignments_of_one_bird_are_drawn_from_the_posterior(seed):
    inputs, items, fit, rng = small_graph(seed)
    weights = all_assignments(inputs, items, fit, (0, UNASSIGNED))
    total = np.logaddexp.reduce(list(weights.values()))
    seen = dict.fromkeys(weights, 0)
    draws = 4000
    for _ in range(draws):
        ids = np.full(len(items), UNASSIGNED)
        resample_bird(items, 0, -1, -1, fit, inputs.endpoints, 1.0, False, rng.random(len(items) + 1), ids)
        seen[tuple(ids)] += 1
    for assignment, weight in weights.items():
        p = float(np.exp(weight - total))
        assert abs(seen[assignment] / draws - p) < 5 * np.sqrt(p * (1 - p) / draws) + 2e-3


def test_assignments_of_two_birds_are_drawn_from_the_posterior():
    inputs, items, fit, rng = small_graph(1)
    pairs = all_assignments(inputs, items, fit, (0, 1))
    assert max(pairs.values()) > -np.inf
    total = np.logaddexp.reduce(list(pairs.values()))
    seen = dict.fromkeys(pairs, 0)
    for _ in range(4000):
        ids = np.zeros(len(items), np.int64)
        resample_pair(items, BOTH, NONE, NONE, fit, inputs.endpoints, 1.0, False, rng.random(len(items) + 1), ids)
        seen[tuple(ids)] += 1
    for assignment, weight in pairs.items():
        p = float(np.exp(weight - total))
        assert abs(seen[assignment] / 4000 - p) < 5 * np.sqrt(p * (1 - p) / 4000) + 2e-3
