"""Stated intervals against the truth, over 200 seeded repeats; nothing is rendered."""

import numpy as np
import pytest

from backend.tracking.tracks.schemas import State
from backend.zones.bird_sequences import Recording
from backend.zones.membership import find_membership
from backend.zones.time_budgets import make_bins
from backend.zones.uncertainty import autocorrelation, block_bootstrap, block_length, identity_draws, identity_interval
from tests.zones.made import left_and_right

REPEATS = 200


def stays(rng: np.random.Generator, n: int, mean_in: float, mean_out: float) -> np.ndarray:
    """Return (n,) int64: a bird that is in for ``mean_in`` samples on average and out for ``mean_out``."""
    series, k, inside = np.zeros(n, int), 0, rng.random() < mean_in / (mean_in + mean_out)
    while k < n:
        length = int(np.ceil(rng.exponential(mean_in if inside else mean_out)))
        series[k : k + length] = inside
        k, inside = k + length, not inside
    return series


@pytest.mark.parametrize(
    ("birds", "minutes", "widest"), [(20, 60, 0.50), (20, 10, 1.25), (1, 60, 0.11)], ids=["hour", "10 min", "one bird"]
)
def test_the_sampling_interval_holds_the_long_run_mean(birds, minutes, widest):
    """Stays of 20 s in the zone and 60 s out of it on average: a quarter of the birds is in it in the long run."""
    rate, truth = 5, birds / 4
    held, widths = 0, []
    for seed in range(REPEATS):
        rng = np.random.default_rng(seed)
        series = sum(stays(rng, minutes * 60 * rate, 20 * rate, 60 * rate) for _ in range(birds))
        found = block_bootstrap(series)
        held += found.low <= truth <= found.high
        widths.append((found.high - found.low) / 2)
    assert 0.90 <= held / REPEATS <= 0.99
    assert np.mean(widths) < widest


def test_an_interval_that_took_samples_for_independent_would_be_wrong():
    """What the blocks are for: without them the interval holds the truth far too seldom."""
    held = 0
    for seed in range(REPEATS):
        series = stays(np.random.default_rng(seed), 18_000, 100, 300)
        held += abs(series.mean() - 0.25) < 1.96 * series.std() / np.sqrt(len(series))
    assert held / REPEATS < 0.5


def test_block_length_grows_with_autocorrelation():
    rng = np.random.default_rng(0)
    white = rng.normal(size=4000)
    slow = np.convolve(rng.normal(size=4049), np.ones(50) / 50, "valid")
    assert block_length(white)[0] < 8 < block_length(slow)[0]
    assert block_length(slow)[1] == pytest.approx(50, rel=0.3)  # a moving average of 50 has that autocorrelation time
    assert autocorrelation(slow)[:3] == pytest.approx([1, 0.98, 0.96], abs=0.02)


@pytest.mark.parametrize("series", [np.zeros(500), np.arange(6.0), np.zeros(0)], ids=["constant", "short", "empty"])
def test_a_series_that_says_nothing_has_no_interval(series):
    found = block_bootstrap(series)
    assert np.isnan([found.se, found.low, found.high]).all()


def mixed_up(seed: int, p: float = 0.9, birds: int = 6, frames: int = 3000, stretch: int = 50):
    """Return time in the zone per bird as it was, and a recording in which names were exchanged as ``p`` says."""
    rng = np.random.default_rng(seed)
    tastes = rng.uniform(0.2, 3, birds)
    true = np.stack([stays(rng, frames, 30 * taste, 60) for taste in tastes])
    told = true.copy()
    p_identity = np.ones((birds, frames), np.float32)
    begins = range(0, frames, stretch)
    for bird in range(birds):
        for number, first in enumerate(begins):
            part = slice(first, first + stretch)
            p_identity[bird, part] = p + 1e-4 * (number % 2)  # neighbouring stretches differ
            if rng.random() < (1 - p) / 2:  # an exchange puts two names wrong
                other = (bird + rng.integers(1, birds)) % birds
                told[[bird, other], part] = told[[other, bird], part]
    x = np.where(told == 1, 25.0, 100.0).astype(np.float32).ravel()
    recording = Recording(
        names=tuple(f"bird {k}" for k in range(birds)),
        times=np.arange(frames) / 10,
        frames=np.arange(frames, dtype=np.int32),
        starts=np.arange(birds + 1, dtype=np.int64) * frames,
        frame_index=np.tile(np.arange(frames, dtype=np.int32), birds),
        state=np.full(birds * frames, State.DETECTED, np.int8),
        p_identity=p_identity.ravel(),
        boxes=np.column_stack([x - 5, x * 0 + 30, x + 5, x * 0 + 50]),
        detection=np.full(birds * frames, -1, np.int32),
    )
    return true.sum(axis=1) / 10, recording


@pytest.mark.parametrize(("p", "widest"), [(0.9, 14), (0.97, 8)])
def test_the_identity_interval_holds_the_time_of_the_true_bird(p, widest):
    held, widths = [], []
    for seed in range(REPEATS):
        truth, recording = mixed_up(seed, p)
        membership = find_membership(recording, left_and_right())
        ((_, draws),) = identity_draws(recording, membership, make_bins(recording, None), draws=200, seed=seed)
        told = membership.inside[:, :1].reshape(len(truth), -1, 1).sum(axis=1) / 10
        low, high = (bound[:, 0] for bound in identity_interval(told, draws[:, :, 0], np.full_like(told, 300)))
        held += ((low <= truth) & (truth <= high)).tolist()
        widths += ((high - low) / 2).tolist()
    assert 0.90 <= np.mean(held) <= 0.99, np.mean(held)
    assert np.mean(widths) < widest  # s, of about 110 s in the zone


def test_drawing_keeps_the_sums_in_blocks_of_any_size(monkeypatch):
    _, recording = mixed_up(1)
    membership = find_membership(recording, left_and_right())
    bins = make_bins(recording, 7, from_s=13, to_s=200)
    ((block, draws),) = identity_draws(recording, membership, bins, draws=20, seed=0)
    assert block == slice(0, len(bins))
    rows = bins.of_frame[recording.frame_index] >= 0
    whole = np.stack([membership.inside[rows, location].sum() for location in range(len(membership.locations))]) / 10
    assert draws.sum(axis=(1, 3)) == pytest.approx(np.tile(whole, (20, 1)))
    monkeypatch.setattr("backend.zones.uncertainty.MAX_VALUES", 20 * 6 * len(membership.locations) * 4)
    parts = list(identity_draws(recording, membership, bins, draws=20, seed=0))
    assert [(part.start, part.stop) for part, _ in parts][:2] == [(0, 4), (4, 8)]
    assert np.concatenate([found for _, found in parts], axis=3) == pytest.approx(draws)


def test_nothing_is_drawn_where_nothing_is_in_doubt():
    _, recording = mixed_up(1)
    recording.p_identity[:] = 1
    membership = find_membership(recording, left_and_right())
    assert list(identity_draws(recording, membership, make_bins(recording, 60), draws=20, seed=0)) == []
