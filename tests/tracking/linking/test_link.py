import itertools
from dataclasses import replace

import numpy as np
import pytest

from backend.tracking.linking.entry_exit import with_zones
from backend.tracking.linking.gibbs_moves import NOBODY, share_between, take_or_leave
from backend.tracking.linking.link import FALSE_NATS, Known, count_birds, link, said_false
from backend.tracking.linking.linking_input import free_rows, only_parts
from backend.tracking.linking.motion_model import link_score, linked
from backend.zones.zone_file import parse_zones
from tests.tracking.linking_cases import agrees, sightings_of, well_separated

BOTH, NONE = np.array([0, 1]), np.array([-1, -1])


def crossing(looks):
    """Two birds that run towards each other, are not seen for half a second, and come out on either side."""
    way = np.linspace(0, 200, 100)
    right = np.column_stack([100 + way, np.full(100, 200.0)])
    left = np.column_stack([540 - way, np.full(100, 200.0)])
    back = np.column_stack([320 - way, np.full(100, 200.0)])
    on = np.column_stack([320 + way, np.full(100, 200.0)])
    return sightings_of([(0, 0, 99, right), (1, 0, 99, left), (1, 112, 211, back), (0, 112, 211, on)], 212, looks)


def test_birds_that_cross_keep_their_looks():
    gathered, truth = crossing(well_separated(2))
    found = link(gathered, 2)
    assert agrees(found.bird, truth)
    assert (found.p[np.arange(4), found.bird] > 0.9).all()


def test_without_descriptors_a_crossing_is_a_doubt():
    """Both come to rest at the same place: motion cannot tell who leaves as whom."""
    here = np.array([300.0, 200.0])
    paths = [
        (0, 0, 99, np.linspace([100, 200], here - [3, 0], 100)),
        (1, 0, 99, np.linspace([500, 200], here + [3, 0], 100)),
        (0, 130, 229, np.linspace(here + [0, 3], [300, 50], 100)),
        (1, 130, 229, np.linspace(here - [0, 3], [300, 350], 100)),
    ]
    gathered, _ = sightings_of(paths, 230, None)
    found = link(gathered, 2)
    assert set(found.bird[:2]) == set(found.bird[2:]) == {0, 1}
    own = found.p[np.arange(4), found.bird]
    assert (own > 0.4).all() and own.min() < 0.9


def test_a_bird_that_flew_out_comes_back_by_its_looks():
    paths = [
        (0, 0, 100, np.array([100.0, 100.0])),
        (1, 0, 600, np.array([320.0, 400.0])),
        (2, 0, 300, np.array([500.0, 100.0])),
        (2, 420, 600, np.array([120.0, 100.0])),
        (0, 450, 600, np.array([480.0, 120.0])),
    ]
    gathered, truth = sightings_of(paths, 601, well_separated(3))
    assert agrees(link(gathered, 3).bird, truth)


def test_a_gap_is_bridged_by_motion_alone():
    paths = [(0, 0, 99, np.array([100.0, 100.0])), (1, 0, 199, np.array([400.0, 300.0]))]
    paths.append((0, 120, 199, np.array([104.0, 101.0])))
    gathered, truth = sightings_of(paths, 200, None)
    assert agrees(link(gathered, 2).bird, truth)


def test_a_bird_in_two_places_is_never_claimed():
    gathered, _ = sightings_of([(k, 0, 99, np.array([100.0 + 120 * k, 200.0])) for k in range(4)], 100, None)
    found = link(gathered, 3).bird
    assert sorted(found[found >= 0]) == [0, 1, 2]
    assert (found == NOBODY).sum() == 1


def test_what_the_detector_is_less_sure_of_than_of_any_bird_is_nobody():
    """A bird that is seen again after a while, and shadows that look a little like it, here and there in between."""
    places = np.random.default_rng(2).permutation([(x, y) for x in (200.0, 320.0, 600.0) for y in (30.0, 230.0, 450.0)])
    paths = [(0, 0, 930, np.array([100.0, 100.0])), (1, 0, 300, np.array([500.0, 400.0]))]
    paths += [(2, 350 + 60 * k, 370 + 60 * k, place) for k, place in enumerate(places)]
    paths.append((1, 880, 930, np.array([300.0, 100.0])))
    gathered, truth = sightings_of(paths, 931, np.array([[3.0, 0, 0], [-3.0, 0, 0], [-2.8, 0.3, 0]]))
    assert (link(gathered, 2).bird[truth == 2] != NOBODY).any()
    scores = np.where(truth == 2, 0.55, 0.9).astype(np.float32)
    found = link(replace(gathered, parts=replace(gathered.parts, score=scores)), 2).bird
    assert (found[truth == 2] == NOBODY).all()
    assert agrees(found[truth < 2], truth[truth < 2])


def with_scores(scores, frames):
    """Parts of so many ``frames`` with these mean scores, one after the other."""
    ends = np.cumsum(frames)
    paths = [(0, end - n, end - 1, np.array([100.0, 100.0])) for end, n in zip(ends, frames, strict=True)]
    gathered, _ = sightings_of(paths, int(ends[-1]), None)
    return replace(gathered, parts=replace(gathered.parts, score=np.array(scores, np.float32)))


def test_where_all_scores_are_alike_they_say_nothing():
    assert (said_false(with_scores([0.9] * 4, [5, 25, 125, 225])) == 0).all()


def test_scores_speak_against_a_part_by_how_far_they_are_from_those_of_birds():
    scores = [0.90, 0.92, 0.94, 0.96, 0.98, 0.5, 0.7, 0.93, 0.99]
    against = said_false(with_scores(scores, [125] * 5 + [12] * 4))
    assert FALSE_NATS >= against[5] > against[6] > 2
    assert (against[[0, 1, 2, 3, 4, 7, 8]] == 0).all()


def test_parts_that_are_left_are_what_they_were():
    gathered = with_scores([0.9] * 4, [5, 25, 125, 225])
    left = only_parts(gathered, np.array([True, False, True, False]))
    assert left.parts.n.tolist() == [5, 125] and left.ends.first.tolist() == [0, 30]
    assert left.sightings.starts.tolist() == [0, 5, 130] and len(left.sightings) == len(left.rows) == 130
    assert np.array_equal(left.detections.at[left.rows], left.sightings.at)
    assert np.array_equal(np.unique(left.sightings.at), [*range(5), *range(30, 155)])
    assert free_rows(left).sum() == 25 + 225


@pytest.mark.parametrize("seed", [1, 2])
def test_a_seed_gives_the_same_result_and_other_seeds_the_same_birds(seed):
    gathered, truth = crossing(well_separated(2))
    one, two = link(gathered, 2, seed), link(gathered, 2, seed)
    assert np.array_equal(one.bird, two.bird) and np.array_equal(one.states, two.states)
    assert agrees(one.bird, truth)


def test_names_of_birds_do_not_matter():
    """The same video with the birds numbered the other way round gives the same partition."""
    looks = well_separated(2)
    first, _ = crossing(looks)
    second, _ = crossing(looks[::-1])
    assert agrees(link(first, 2).bird, link(second, 2).bird)


def test_the_number_of_birds_is_found():
    paths = [(k, 50 * j, 50 * j + 45, np.array([100.0 + 100 * k, 80.0 + 30 * j])) for k in range(4) for j in range(8)]
    gathered, _ = sightings_of(paths, 400, well_separated(4))
    assert count_birds(gathered) == 4
    alone, _ = sightings_of(paths, 400, None)
    assert count_birds(alone) == 4


def test_a_hidden_zone_gives_back_the_bird_that_went_in():
    """After a minute of absence; without the zone a bird is as likely to appear anywhere."""
    paths = [(0, 0, 99, np.array([100.0, 100.0])), (0, 1600, 1700, np.array([108.0, 100.0]))]
    gathered, _ = sightings_of(paths, 1701, None)
    shape = [[80, 80], [125, 80], [125, 125], [80, 125]]
    box = {"id": 1, "name": "box", "kind": "hidden", "group": "g", "shape": shape}
    door = {**box, "id": 2, "name": "door", "kind": "entry"}
    zoned = with_zones(gathered, parse_zones({"format": 1, "image_size": [640, 480], "zones": [box, door]}))
    assert zoned.ends.zone.tolist() == [[1, 1], [1, 1]]
    assert link_score(zoned.ends, 0, 1) > link_score(gathered.ends, 0, 1) + 1


def test_what_people_said_holds():
    """Two look-alikes: a name and a join decide what nothing else can."""
    looks = np.zeros((2, 6))
    gathered, truth = crossing(looks)
    for follow in ([[0, 2]], [[0, 3]]):
        known = Known(np.array([1, NOBODY, NOBODY, NOBODY]), np.array(follow))
        found = link(gathered, 2, known=known).bird
        assert found[0] == 1
        assert found[follow[0][1]] == 1
        assert sorted(found) == [0, 0, 1, 1]


def test_no_detections_at_all():
    gathered, _ = crossing(None)
    empty = gathered.__class__(**{**gathered.__dict__, "parts": gathered.parts.__class__(*[
        column[:0] for column in gathered.parts.__dict__.values()
    ])})  # fmt: skip
    found = link(empty, 2)
    assert found.bird.shape == (0,) and found.p.shape == (0, 3)


def every_way(gathered, items, fit, birds):
    """Return the log weight of every way to give ``items`` to one of ``birds``."""
    weights = {}
    for way in itertools.product(birds, repeat=len(items)):
        total = 0.0
        for bird in set(birds) - {NOBODY}:
            own = [item for item, mine in zip(items, way, strict=True) if mine == bird]
            total += sum(linked(gathered.ends, i, j) for i, j in itertools.pairwise([-1, *own, -1]))
        weights[way] = total + sum(fit[item, bird] for item, bird in zip(items, way, strict=True))
    return weights


def small_graph(seed):
    rng = np.random.default_rng(seed)
    firsts = np.sort(rng.integers(0, 300, 7))
    paths = [(0, int(f), int(f) + int(rng.integers(20, 90)), rng.uniform(100, 400, 2)) for f in firsts]
    gathered, _ = sightings_of(paths, 420, None)
    return gathered, np.arange(len(gathered.parts)), rng.normal(0, 3, (len(gathered.parts), 3)), rng


@pytest.mark.parametrize("seed", range(6))
def test_the_best_way_to_share_out_is_found(seed):
    gathered, items, fit, rng = small_graph(seed)
    weights = every_way(gathered, items, fit, (0, 1))
    best = max(weights.values())
    who = np.zeros(len(items), np.int64)
    share_between(items, BOTH, NONE, NONE, fit, gathered.ends, 1.0, True, rng.random(len(items) + 1), who)
    if best == -np.inf:  # three at once: no way at all, nothing is touched
        assert not who.any()
    else:
        assert weights[tuple(who)] == pytest.approx(best)
    chosen = every_way(gathered, items, fit, (0, NOBODY))
    who = np.full(len(items), NOBODY)
    take_or_leave(items, 0, -1, -1, fit, gathered.ends, 1.0, True, rng.random(len(items) + 1), who)
    assert chosen[tuple(who)] == pytest.approx(max(chosen.values()))


@pytest.mark.parametrize("seed", [0, 3])
def test_ways_are_drawn_with_their_probability(seed):
    gathered, items, fit, rng = small_graph(seed)
    weights = every_way(gathered, items, fit, (0, NOBODY))
    total = np.logaddexp.reduce(list(weights.values()))
    seen = dict.fromkeys(weights, 0)
    draws = 4000
    for _ in range(draws):
        who = np.full(len(items), NOBODY)
        take_or_leave(items, 0, -1, -1, fit, gathered.ends, 1.0, False, rng.random(len(items) + 1), who)
        seen[tuple(who)] += 1
    for way, weight in weights.items():
        p = float(np.exp(weight - total))
        assert abs(seen[way] / draws - p) < 5 * np.sqrt(p * (1 - p) / draws) + 2e-3


def test_shares_of_two_birds_are_drawn_with_their_probability():
    gathered, items, fit, rng = small_graph(1)
    pairs = every_way(gathered, items, fit, (0, 1))
    assert max(pairs.values()) > -np.inf
    total = np.logaddexp.reduce(list(pairs.values()))
    seen = dict.fromkeys(pairs, 0)
    for _ in range(4000):
        who = np.zeros(len(items), np.int64)
        share_between(items, BOTH, NONE, NONE, fit, gathered.ends, 1.0, False, rng.random(len(items) + 1), who)
        seen[tuple(who)] += 1
    for way, weight in pairs.items():
        p = float(np.exp(weight - total))
        assert abs(seen[way] / 4000 - p) < 5 * np.sqrt(p * (1 - p) / 4000) + 2e-3
