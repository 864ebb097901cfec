import numpy as np

from backend.tracking.linking.appearance_model import fit_appearance, mean_embeddings
from backend.tracking.linking.initialise import initialise
from tests.tracking.linking_cases import agrees, sightings_of, well_separated

BIRDS, TURNS = 4, 10


def initial_ids(labels=None):
    """Four birds, each seen ten times for three seconds, in another order each time."""
    rng = np.random.default_rng(3)
    paths = []
    for turn in range(TURNS):
        spots = rng.permutation(BIRDS)
        paths += [(k, 100 * turn, 100 * turn + 75, np.array([80.0 + 120 * spots[k], 200.0])) for k in range(BIRDS)]
    inputs, truth = sightings_of(paths, 100 * TURNS, well_separated(BIRDS))
    mean = mean_embeddings(inputs.embeddings)
    model = fit_appearance(inputs.embeddings, mean)
    labels = np.full(len(truth), -1) if labels is None else labels
    return initialise(model, mean, inputs.endpoints, inputs.parent, labels, BIRDS), truth


def test_identities_are_initialised_by_appearance_and_exclusion():
    ids, truth = initial_ids()
    assert len(truth) == BIRDS * TURNS
    assert agrees(ids, truth)


def test_labels_are_kept():
    _, truth = initial_ids()
    labels = np.full(len(truth), -1)
    labels[[0, -1]] = (truth[[0, -1]] + 1) % BIRDS
    ids, _ = initial_ids(labels)
    assert agrees(ids, truth)
    assert np.array_equal(ids[[0, -1]], labels[[0, -1]])
