from dataclasses import replace

import numpy as np
import pytest

from backend.tracking.linking.appearance_model import (
    PAIR_GAP_S,
    MeanEmbeddings,
    bird_posteriors,
    fit_appearance,
    mean_embeddings,
    pair_gap,
    refit_appearance,
)
from tests.tracking.linking_cases import FRAME_S, sightings_of, well_separated

HERE = np.array([100.0, 100.0])


def _fitted():
    appearances = well_separated(3)
    paths = [(k, at, at + 300, HERE * (k + 1)) for at in (0, 350, 700) for k in range(3)]
    inputs, bird = sightings_of(paths, 1001, appearances)
    mean = mean_embeddings(inputs.embeddings)
    return fit_appearance(inputs.embeddings, mean), mean, bird


def test_the_evidence_weight_scales_every_precision():
    model, mean, _ = _fitted()
    half = replace(model, evidence_weight=0.5).precisions(mean.seconds)
    assert model.evidence_weight == 1.0
    np.testing.assert_allclose(half, 0.5 * model.precisions(mean.seconds))
    assert (replace(model, evidence_weight=0.5).precisions(np.zeros(2)) == 0).all()


def test_the_posterior_of_a_bird_is_wider_with_a_smaller_evidence_weight():
    model, mean, bird = _fitted()
    _, sure = bird_posteriors(model, mean.x, model.precisions(mean.seconds), bird, 3)
    less = replace(model, evidence_weight=0.3)
    _, unsure = bird_posteriors(less, mean.x, less.precisions(mean.seconds), bird, 3)
    for one, other in zip(sure, unsure, strict=True):
        assert np.linalg.eigvalsh(other - one).min() > 0
        assert np.trace(other) < 1.01 * np.trace(one) / 0.3


def test_refitting_keeps_the_evidence_weight():
    model, mean, bird = _fitted()
    again = refit_appearance(replace(model, evidence_weight=0.3), mean, bird, 3, np.ones(len(bird), bool))
    assert again.evidence_weight == 0.3
    assert not np.allclose(again.between, model.between)
    nothing = MeanEmbeddings(mean.x, np.zeros_like(mean.seconds))
    assert (
        refit_appearance(
            replace(model, evidence_weight=0.3), nothing, bird, 3, np.ones(len(bird), bool)
        ).evidence_weight
        == 0.3
    )


def test_embeddings_of_every_fifth_frame_cover_as_much_time():
    paths = [(k, 0, 499, HERE * (k + 1)) for k in range(3)]
    every, _ = sightings_of(paths, 500, well_separated(3))
    some, _ = sightings_of(paths, 500, well_separated(3), embedding_every=5)
    assert some.embeddings.step_s == pytest.approx(5 * FRAME_S) and every.embeddings.step_s == pytest.approx(FRAME_S)
    np.testing.assert_allclose(mean_embeddings(some.embeddings).seconds, mean_embeddings(every.embeddings).seconds)
    assert pair_gap(some.embeddings, 6) == pair_gap(every.embeddings, 6) == PAIR_GAP_S


def test_in_short_tracklets_stretches_with_a_shorter_gap_are_compared():
    paths = [(k % 3, 60 * k, 60 * k + 55, HERE * (k % 3 + 1)) for k in range(12)]  # 2.2 s each
    inputs, _ = sightings_of(paths, 720, well_separated(3))
    assert 0.5 <= pair_gap(inputs.embeddings, 10) <= 2.0
    model = fit_appearance(inputs.embeddings, mean_embeddings(inputs.embeddings))
    guessed = 0.5 * inputs.embeddings.x.var(axis=0)  # if no two stretches could be compared
    assert (np.diag(model.within[1]) < 0.5 * guessed).all()


def test_the_scale_of_a_dimension_does_not_matter():
    paths = [(k, at, at + 300, HERE * (k + 1)) for at in (0, 350, 700) for k in range(3)]
    inputs, _ = sightings_of(paths, 1001, well_separated(3))
    unit = np.array([1, 1000, 1, 0.01, 1, 1])
    embeddings = replace(inputs.embeddings, x=inputs.embeddings.x * unit)
    one, other = mean_embeddings(inputs.embeddings), mean_embeddings(embeddings)
    precisions, scaled = (
        fit_appearance(inputs.embeddings, one).precisions(one.seconds),
        fit_appearance(embeddings, other).precisions(other.seconds),
    )
    np.testing.assert_allclose(
        scaled * unit[:, None] * unit, precisions, rtol=1e-3, atol=1e-6 * np.abs(precisions).max()
    )
