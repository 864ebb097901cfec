from dataclasses import replace

import numpy as np

from backend.tracking.linking_appearance import Means, birds, learn, means, relearn
from tests.tracking.linking_cases import FRAME_S, sightings_of, well_separated

HERE = np.array([100.0, 100.0])


def _learnt():
    looks = well_separated(3)
    paths = [(k, at, at + 300, HERE * (k + 1)) for at in (0, 350, 700) for k in range(3)]
    gathered, bird = sightings_of(paths, 1001, looks)
    mean = means(gathered.look, FRAME_S)
    return learn(gathered.look, mean, FRAME_S), mean, bird


def test_what_counts_for_less_says_as_much_less_of_every_stretch():
    model, mean, _ = _learnt()
    half = replace(model, counts=0.5).precisions(mean.seconds)
    assert model.counts == 1.0
    np.testing.assert_allclose(half, 0.5 * model.precisions(mean.seconds))
    assert (replace(model, counts=0.5).precisions(np.zeros(2)) == 0).all()


def test_what_a_bird_looks_like_is_less_sure_where_its_stretches_err_alike():
    model, mean, bird = _learnt()
    _, sure = birds(model, mean.x, model.precisions(mean.seconds), bird, 3)
    less = replace(model, counts=0.3)
    _, unsure = birds(less, mean.x, less.precisions(mean.seconds), bird, 3)
    for one, other in zip(sure, unsure, strict=True):
        assert np.linalg.eigvalsh(other - one).min() > 0
        assert np.trace(other) < 1.01 * np.trace(one) / 0.3


def test_a_model_that_is_learnt_again_counts_as_much_as_before():
    model, mean, bird = _learnt()
    again = relearn(replace(model, counts=0.3), mean, bird, 3, np.ones(len(bird), bool))
    assert again.counts == 0.3
    assert not np.allclose(again.between, model.between)
    nothing = Means(mean.x, np.zeros_like(mean.seconds))
    assert relearn(replace(model, counts=0.3), nothing, bird, 3, np.ones(len(bird), bool)).counts == 0.3
