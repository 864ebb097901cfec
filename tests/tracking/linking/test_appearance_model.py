from dataclasses import replace

import numpy as np
import pytest

from backend.tracking.linking.appearance_model import APART_S, Means, birds, learn, means, relearn, usual_distance
from tests.tracking.linking_cases import FRAME_S, sightings_of, well_separated

HERE = np.array([100.0, 100.0])


def _learnt():
    looks = well_separated(3)
    paths = [(k, at, at + 300, HERE * (k + 1)) for at in (0, 350, 700) for k in range(3)]
    gathered, bird = sightings_of(paths, 1001, looks)
    mean = means(gathered.look)
    return learn(gathered.look, mean), mean, bird


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


def test_birds_that_are_described_now_and_then_were_seen_as_long():
    paths = [(k, 0, 499, HERE * (k + 1)) for k in range(3)]
    every, _ = sightings_of(paths, 500, well_separated(3))
    some, _ = sightings_of(paths, 500, well_separated(3), described_every=5)
    assert some.look.step_s == pytest.approx(5 * FRAME_S) and every.look.step_s == pytest.approx(FRAME_S)
    np.testing.assert_allclose(means(some.look).seconds, means(every.look).seconds)
    assert usual_distance(some.look, 6) == usual_distance(every.look, 6) == APART_S


def test_in_short_tracklets_stretches_are_compared_that_are_nearer_to_each_other():
    paths = [(k % 3, 60 * k, 60 * k + 55, HERE * (k % 3 + 1)) for k in range(12)]  # 2.2 s each
    gathered, _ = sightings_of(paths, 720, well_separated(3))
    assert 0.5 <= usual_distance(gathered.look, 10) <= 2.0
    model = learn(gathered.look, means(gathered.look))
    guessed = 0.5 * gathered.look.x.var(axis=0)  # where nothing can be compared
    assert (np.diag(model.within[1]) < 0.5 * guessed).all()


def test_the_unit_of_a_number_does_not_matter():
    paths = [(k, at, at + 300, HERE * (k + 1)) for at in (0, 350, 700) for k in range(3)]
    gathered, _ = sightings_of(paths, 1001, well_separated(3))
    unit = np.array([1, 1000, 1, 0.01, 1, 1])
    look = replace(gathered.look, x=gathered.look.x * unit)
    one, other = means(gathered.look), means(look)
    told, told_in_units = (
        learn(gathered.look, one).precisions(one.seconds),
        learn(look, other).precisions(other.seconds),
    )
    np.testing.assert_allclose(told_in_units * unit[:, None] * unit, told, rtol=1e-3, atol=1e-6 * np.abs(told).max())
