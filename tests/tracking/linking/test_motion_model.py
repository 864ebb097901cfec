import numpy as np
import pytest

from backend.tracking.linking.constraints import Constraints
from backend.tracking.linking.motion_model import LAGS_S, PRIOR_SPREAD
from backend.tracking.linking.open_set import link_open_set
from backend.tracking.online.motion import DAMPING_S
from tests.tracking.linking_cases import FRAME_S, sightings_of


def walk(first: int, last: int, start: tuple[float, float], px_s: float) -> np.ndarray:
    """Return (n, 2) positions from frame ``first`` to ``last`` of a walker at ``start`` in frame 0."""
    seconds = np.arange(first, last + 1) * FRAME_S
    return np.column_stack([start[0] + px_s * seconds, np.full(len(seconds), start[1])])


def test_steady_walkers_have_a_longer_damping_time_than_birds_that_stop_often():
    walkers = [(k, 0, 299, walk(0, 299, (50, 100 * k), speed)) for k, speed in enumerate((30.0, -40.0, 50.0))]
    steady, _ = sightings_of(walkers, 300, None)
    assert steady.endpoints.motion.damping_s >= 8 * DAMPING_S
    rng, stops = np.random.default_rng(1), []
    for k in range(3):
        v, positions = np.zeros(2), [np.array([300.0, 100.0 * k])]
        for _ in range(999):
            v = np.exp(-FRAME_S / 0.2) * v + rng.normal(0, 15, 2)
            positions.append(positions[-1] + FRAME_S * v)
        stops.append((k, 0, 999, np.array(positions)))
    restless, _ = sightings_of(stops, 1000, None)
    assert restless.endpoints.motion.damping_s == DAMPING_S


def test_with_few_samples_the_prior_holds():
    inputs, _ = sightings_of([(0, 0, 9, np.array([100.0, 100.0]))], 10, None)
    assert inputs.endpoints.motion.damping_s == DAMPING_S
    assert inputs.endpoints.motion.spread[LAGS_S > 1] == pytest.approx(PRIOR_SPREAD[LAGS_S > 1])


def test_two_animals_that_pass_each_other_unseen_are_linked_along_their_paths():
    """The nearest position would exchange them: each appears where the other vanished."""
    right, left = ((100.0, 200.0), 50.0), ((415.0, 205.0), -50.0)
    paths = [
        (bird, a, b, walk(a, b, *start_and_speed))
        for a, b in ((0, 60), (95, 155))
        for bird, start_and_speed in enumerate((right, left))
    ]
    others = [(2 + k, 0, 155, walk(0, 155, (50.0, 60.0 * k), 40.0)) for k in range(2)]
    inputs, birds = sightings_of(paths + others, 156, None)
    chain = link_open_set(inputs, Constraints.none(len(inputs.segments))).chain
    assert all(len(set(chain[birds == bird].tolist())) == 1 for bird in range(4))
    assert len(set(chain.tolist())) == 4
