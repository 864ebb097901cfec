import numpy as np

from backend.tracking.linking.appearance_model import learn, means
from backend.tracking.linking.initialise import first_guess
from tests.tracking.linking_cases import agrees, sightings_of, well_separated

BIRDS, TURNS = 4, 10


def guess(pins=None):
    """Four birds, each seen ten times for three seconds, in another order each time."""
    rng = np.random.default_rng(3)
    paths = []
    for turn in range(TURNS):
        places = rng.permutation(BIRDS)
        paths += [(k, 100 * turn, 100 * turn + 75, np.array([80.0 + 120 * places[k], 200.0])) for k in range(BIRDS)]
    gathered, truth = sightings_of(paths, 100 * TURNS, well_separated(BIRDS))
    mean = means(gathered.look)
    model = learn(gathered.look, mean)
    pins = np.full(len(truth), -1) if pins is None else pins
    return first_guess(model, mean, gathered.ends, gathered.parent, pins, BIRDS), truth


def test_birds_are_guessed_by_looks_and_exclusion():
    who, truth = guess()
    assert len(truth) == BIRDS * TURNS
    assert agrees(who, truth)


def test_what_people_named_keeps_its_name():
    _, truth = guess()
    pins = np.full(len(truth), -1)
    pins[[0, -1]] = (truth[[0, -1]] + 1) % BIRDS
    who, _ = guess(pins)
    assert agrees(who, truth)
    assert np.array_equal(who[[0, -1]], pins[[0, -1]])
