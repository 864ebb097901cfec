"""Two kinds of error, kept apart by name.

*Sampling error* (time): a recording is a piece of what could have been recorded. Its size follows from the recording
itself, by a block bootstrap that allows for autocorrelation.

*Identity error*: some stretches carry a wrong name. Its size follows from ``p_identity``, by drawing assignments.

Errors of the detector (missed and false birds) are neither of the two; see `backend.zones.tables`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import stats

from backend.project.kernels import kernel
from backend.zones.bird_sequences import Recording
from backend.zones.cells import Bins
from backend.zones.membership import Membership

CONFIDENCE = 0.95
MOST_POINTS = 4096  # longer series are averaged down: what lies closer than that is nearly the same value again
MOST_VALUES = 10_000_000  # drawn times in memory at once
LEAST_BLOCKS = 4  # with fewer independent stretches a recording says nothing about its own error


@dataclass(frozen=True)
class Mean:
    """A mean over time with its sampling error; NaN where the series is too short to tell.

    ``block`` is the length of the blocks in samples, ``low`` and ``high`` bound the 95 % interval.
    """

    mean: float
    se: float
    low: float
    high: float
    block: float


def block_bootstrap(series: np.ndarray, lowest: float = 0.0, highest: float = np.inf) -> Mean:
    """Return the mean of an evenly sampled series, (N,), with the standard error of a circular block bootstrap.

    The bootstrap variance of a mean needs no drawing: it is the variance of the means of all N circular blocks, divided
    by the number of blocks in the series. The block length is that of Politis and White (2004, doi
    10.1081/ETR-120028836, corrected by Patton, Politis and White 2009), from the autocorrelation of the series. Short
    blocks underestimate the variance; with b the block length and t the integrated autocorrelation time it is divided
    by 1 - t / b. The interval uses Student's t with one degree of freedom less than there are blocks.
    """
    series = np.asarray(series, float)
    n = len(series)
    if n == 0:
        return Mean(*[np.nan] * 5)
    mean = float(series.mean())
    thin = max(1, -(-n // MOST_POINTS))
    short = series[: n // thin * thin].reshape(-1, thin).mean(axis=1)
    size = len(short)
    if size < 2 * LEAST_BLOCKS or np.ptp(short) == 0:
        return Mean(mean, np.nan, np.nan, np.nan, np.nan)
    block, tau = block_length(short)
    if size / block < LEAST_BLOCKS:
        return Mean(mean, np.nan, np.nan, np.nan, block * thin)
    length = int(np.ceil(block))
    sums = np.concatenate([[0.0], np.cumsum(np.concatenate([short, short[: length - 1]]))])
    blocks = size / length
    means = (sums[length:] - sums[:-length]) / length
    variance = means.var() / blocks / max(0.5, 1 - tau / length)
    se = float(np.sqrt(variance * blocks / max(blocks - 1, 1)))
    reach = stats.t.ppf(0.5 + CONFIDENCE / 2, max(1.0, blocks - 1)) * se
    return Mean(mean, se, max(lowest, mean - reach), min(highest, mean + reach), float(length * thin))


def block_length(series: np.ndarray) -> tuple[float, float]:
    """Return the block length for a mean, in samples, and the integrated autocorrelation time, both at least 1."""
    n = len(series)
    rho = autocorrelation(series)
    enough = max(5, int(np.ceil(np.sqrt(np.log10(n)))))
    limit = 2 * np.sqrt(np.log10(n) / n)
    small = np.abs(rho[1:]) < limit
    runs = np.convolve(small, np.ones(enough), "valid") == enough
    first = int(np.argmax(runs)) if runs.any() else len(rho) // 2
    reach = min(2 * max(first, 1), len(rho) - 1)
    lags = np.arange(1, reach + 1)
    window = np.clip(2 * (1 - lags / reach), 0, 1)  # flat top
    g = 2 * np.sum(window * lags * rho[1 : reach + 1])
    spectrum = 1 + 2 * np.sum(window * rho[1 : reach + 1])
    spectrum = max(spectrum, 1e-3)
    block = (2 * g**2 / (4 / 3 * spectrum**2)) ** (1 / 3) * n ** (1 / 3)
    return float(np.clip(block, 1, n)), float(max(1.0, spectrum))


def autocorrelation(series: np.ndarray) -> np.ndarray:
    """Return (N // 2,) float64: the autocorrelation from lag 0 on."""
    n = len(series)
    centred = np.fft.rfft(series - series.mean(), 2 * n)
    found = np.fft.irfft(centred * centred.conj())[: max(2, n // 2)]
    return found / found[0]


def identity_interval(time_s: np.ndarray, draws: np.ndarray, longest_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the bounds of the 95 % interval of times, (B, P, K) s, from ``draws`` (D, B, P, K) of `identity_draws`.

    Errors make birds look alike, and drawn errors do so once more. So what they change on average is what the real
    ones have changed already, the other way round, and the interval is that of the basic bootstrap: from twice the
    time minus the upper quantile to twice the time minus the lower one, within 0 and ``longest_s``.
    """
    lower, upper = np.quantile(draws, (0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2), axis=0)
    return np.clip(2 * time_s - upper, 0, longest_s), np.clip(2 * time_s - lower, 0, longest_s)


def identity_draws(
    recording: Recording, membership: Membership, bins: Bins, draws: int, seed: int
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield bins and (D, B, P, k) float64: time in each cell, s, with ``draws`` times the errors of names expected.

    Some bins at a time, so that memory does not grow with the recording. Nothing is yielded where nothing is in doubt.

    The model: a stretch is a time in which a bird is followed without a break and with one ``p_identity``. In it the
    bird and one of the others, each equally likely, have each other's names with probability (1 - p_identity) / 2,
    independently of all other stretches: an exchange puts two birds wrong, so half as many exchanges as wrong names are
    expected. Lost time of the other bird is exchanged, too.
    """
    n, frames, places = len(recording.names), len(recording.times), len(membership.places)
    p = recording.p_identity[: n * frames].reshape(n, frames)
    bird, first, last, wrong = _stretches(p)
    if n < 2 or not len(bird):
        return
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(draws):
        chosen = np.flatnonzero(rng.random(len(wrong)) < wrong)
        drawn.append((chosen, (bird[chosen] + rng.integers(1, n, len(chosen))) % n))
    inside = membership.inside[: n * frames].reshape(n, frames, places)
    size = max(1, MOST_VALUES // (draws * n * places))
    for block in (slice(k, min(k + size, len(bins))) for k in range(0, len(bins), size)):
        within = np.flatnonzero((bins.of_frame >= block.start) & (bins.of_frame < block.stop))
        begin, end = (within[0], within[-1] + 1) if len(within) else (0, 0)
        of_frame = bins.of_frame[begin:end] - block.start
        ends = (np.clip(first, begin, end) - begin, np.clip(last + 1, begin, end) - begin)
        cuts = np.unique(np.concatenate([[0, end - begin], *ends, np.flatnonzero(np.diff(of_frame)) + 1]))
        times = _by_segment(inside[:, begin:end], recording.seconds[begin:end], cuts)
        start, stop = (np.searchsorted(cuts, each) for each in ends)
        found = np.zeros((draws, n, places, block.stop - block.start))
        for draw, (chosen, others) in zip(found, drawn, strict=True):
            _assign(times, of_frame[cuts[:-1]], bird[chosen], others, start[chosen], stop[chosen], draw)
        yield block, found


def _stretches(p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return bird, first, last frame place and probability of an exchange of each stretch that is in doubt."""
    n, frames = p.shape
    value = np.where(np.isnan(p), np.float32(2), p)
    change = np.ones((n, frames), bool)
    change[:, 1:] = value[:, 1:] != value[:, :-1]
    bird, first = np.nonzero(change)
    flat = bird * frames + first
    last = np.append(flat[1:], n * frames) - 1 - bird * frames
    doubted = value[bird, first] < 1
    keep = np.flatnonzero(doubted)
    return bird[keep], first[keep], last[keep], (1 - value[bird[keep], first[keep]].astype(float)) / 2


@kernel
def _by_segment(inside, weight, cuts):
    """Return (S, B, P): seconds of each bird in each place between two cuts."""
    found = np.zeros((len(cuts) - 1, inside.shape[0], inside.shape[2]))
    for segment in range(len(cuts) - 1):
        for bird in range(inside.shape[0]):
            for frame in range(cuts[segment], cuts[segment + 1]):
                for place in range(inside.shape[2]):
                    if inside[bird, frame, place]:
                        found[segment, bird, place] += weight[frame]
    return found


@kernel
def _assign(times, bin_of, birds, others, begin, end, found):
    """Add the times of all segments to the names they have after the exchanges, in ``found`` (B, P, K)."""
    segments, n, places = times.shape
    name = np.empty((segments, n), np.int64)
    for segment in range(segments):
        for bird in range(n):
            name[segment, bird] = bird
    for k in range(len(birds)):
        for segment in range(begin[k], end[k]):
            a, b = birds[k], others[k]
            kept = name[segment, a]
            name[segment, a] = name[segment, b]
            name[segment, b] = kept
    for segment in range(segments):
        for bird in range(n):
            for place in range(places):
                found[name[segment, bird], place, bin_of[segment]] += times[segment, bird, place]
