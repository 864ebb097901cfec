import numpy as np
import pytest

from backend.tracking.linking.gibbs_moves import NOBODY
from backend.tracking.linking.learn_motion import LAGS_S, USUAL_SPREAD
from backend.tracking.linking.link import Known
from backend.tracking.linking.open_set import link_open
from backend.tracking.online.motion import DAMPING_S
from tests.tracking.linking_cases import FRAME_S, sightings_of


def walk(first: int, last: int, start: tuple[float, float], px_s: float) -> np.ndarray:
    """Return (n, 2) places from frame ``first`` to ``last`` of somebody who is at ``start`` in frame 0 and walks on."""
    seconds = np.arange(first, last + 1) * FRAME_S
    return np.column_stack([start[0] + px_s * seconds, np.full(len(seconds), start[1])])


def nothing_said(gathered):
    return Known(np.full(len(gathered.parts), NOBODY), np.zeros((0, 2), np.int64))


def test_what_walks_on_steadily_is_told_from_what_stops_again_and_again():
    walkers = [(k, 0, 299, walk(0, 299, (50, 100 * k), speed)) for k, speed in enumerate((30.0, -40.0, 50.0))]
    steady, _ = sightings_of(walkers, 300, None)
    assert steady.ends.ways.damping_s >= 8 * DAMPING_S
    rng, stops = np.random.default_rng(1), []
    for k in range(3):
        v, places = np.zeros(2), [np.array([300.0, 100.0 * k])]
        for _ in range(999):
            v = np.exp(-FRAME_S / 0.2) * v + rng.normal(0, 15, 2)
            places.append(places[-1] + FRAME_S * v)
        stops.append((k, 0, 999, np.array(places)))
    restless, _ = sightings_of(stops, 1000, None)
    assert restless.ends.ways.damping_s == DAMPING_S


def test_where_there_is_little_to_learn_from_the_usual_holds():
    gathered, _ = sightings_of([(0, 0, 9, np.array([100.0, 100.0]))], 10, None)
    assert gathered.ends.ways.damping_s == DAMPING_S
    assert gathered.ends.ways.spread[LAGS_S > 1] == pytest.approx(USUAL_SPREAD[LAGS_S > 1])


def test_two_who_walk_through_each_other_unseen_are_linked_along_their_ways():
    """Nearest places would exchange them: each appears where the other vanished."""
    right, left = ((100.0, 200.0), 50.0), ((415.0, 205.0), -50.0)
    paths = [(bird, a, b, walk(a, b, *way)) for a, b in ((0, 60), (95, 155)) for bird, way in enumerate((right, left))]
    others = [(2 + k, 0, 155, walk(0, 155, (50.0, 60.0 * k), 40.0)) for k in range(2)]
    gathered, birds = sightings_of(paths + others, 156, None)
    chain = link_open(gathered, nothing_said(gathered), 0).chain
    assert all(len(set(chain[birds == bird].tolist())) == 1 for bird in range(4))
    assert len(set(chain.tolist())) == 4
