"""Sampling error and identity error of the statistics.

*Sampling error*: a recording is a sample in time. Estimated from the recording itself by a block bootstrap, which
allows for autocorrelation.

*Identity error*: some stretches of a track carry a wrong identity. Estimated from ``p_identity`` by drawing exchanges.

Detection error (missed birds, false positives) is neither of the two; see `backend.zones.measures`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import stats

from backend.project.kernels import kernel
from backend.zones.bird_sequences import Recording
from backend.zones.membership import Membership
from backend.zones.time_budgets import Bins

CONFIDENCE = 0.95
MAX_POINTS = 4096  # longer series are averaged down to this many points
MAX_VALUES = 10_000_000  # drawn times in memory at once
MIN_BLOCKS = 4  # with fewer independent blocks the error cannot be estimated


@dataclass(frozen=True)
class Mean:
    """A mean over time with its sampling error; NaN where the series is too short to estimate it.

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
    thin = max(1, -(-n // MAX_POINTS))
    short = series[: n // thin * thin].reshape(-1, thin).mean(axis=1)
    size = len(short)
    if size < 2 * MIN_BLOCKS or np.ptp(short) == 0:
        return Mean(mean, np.nan, np.nan, np.nan, np.nan)
    block, tau = block_length(short)
    if size / block < MIN_BLOCKS:
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
    correlation = np.fft.irfft(centred * centred.conj())[: max(2, n // 2)]
    return correlation / correlation[0]


def identity_interval(time_s: np.ndarray, draws: np.ndarray, longest_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return lower and upper bound, (B, P, K) s, of the 95 % interval of times, from `identity_draws` (D, B, P, K).

    Identity errors level out the differences between birds, and drawn errors do so once more. The mean change by the
    drawn errors estimates the bias of the real ones, so the interval is that of the basic bootstrap: from twice the
    time minus the upper quantile to twice the time minus the lower one, clipped to 0 and ``longest_s``.
    """
    lower, upper = np.quantile(draws, (0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2), axis=0)
    return np.clip(2 * time_s - upper, 0, longest_s), np.clip(2 * time_s - lower, 0, longest_s)


def identity_draws(
    recording: Recording, membership: Membership, bins: Bins, draws: int, seed: int
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield a slice of bins and (D, B, P, k) float64, s: times after random exchanges of identities, D draws.

    Yields some bins at a time, so that memory does not grow with the recording; nothing where every identity is sure.

    The model: a stretch is a time in which a bird has one ``p_identity`` without a break. In it the bird has exchanged
    identities with one of the others, all equally likely, with probability (1 - p_identity) / 2, independently of all
    other stretches: an exchange makes two identities wrong, so half as many exchanges as wrong identities are
    expected. Lost time of the other bird is exchanged, too.
    """
    n, frames, n_locations = len(recording.names), len(recording.times), len(membership.locations)
    p = recording.p_identity[: n * frames].reshape(n, frames)
    bird, first, last, wrong = _stretches(p)
    if n < 2 or not len(bird):
        return
    rng = np.random.default_rng(seed)
    exchanges = []
    for _ in range(draws):
        chosen = np.flatnonzero(rng.random(len(wrong)) < wrong)
        exchanges.append((chosen, (bird[chosen] + rng.integers(1, n, len(chosen))) % n))
    inside = membership.inside[: n * frames].reshape(n, frames, n_locations)
    size = max(1, MAX_VALUES // (draws * n * n_locations))
    for block in (slice(k, min(k + size, len(bins))) for k in range(0, len(bins), size)):
        within = np.flatnonzero((bins.of_frame >= block.start) & (bins.of_frame < block.stop))
        begin, end = (within[0], within[-1] + 1) if len(within) else (0, 0)
        of_frame = bins.of_frame[begin:end] - block.start
        ends = (np.clip(first, begin, end) - begin, np.clip(last + 1, begin, end) - begin)
        cuts = np.unique(np.concatenate([[0, end - begin], *ends, np.flatnonzero(np.diff(of_frame)) + 1]))
        times = _by_segment(inside[:, begin:end], recording.seconds[begin:end], cuts)
        start, stop = (np.searchsorted(cuts, frames_at) for frames_at in ends)
        drawn_s = np.zeros((draws, n, n_locations, block.stop - block.start))
        for draw, (chosen, partners) in zip(drawn_s, exchanges, strict=True):
            _assign(times, of_frame[cuts[:-1]], bird[chosen], partners, start[chosen], stop[chosen], draw)
        yield block, drawn_s


def _stretches(p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return bird, first and last frame index, and exchange probability (S,) of all stretches with p_identity < 1."""
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
    """Return (S, B, P) float64: seconds of each bird at each location between two cuts."""
    seconds = np.zeros((len(cuts) - 1, inside.shape[0], inside.shape[2]))
    for segment in range(len(cuts) - 1):
        for bird in range(inside.shape[0]):
            for frame in range(cuts[segment], cuts[segment + 1]):
                for location in range(inside.shape[2]):
                    if inside[bird, frame, location]:
                        seconds[segment, bird, location] += weight[frame]
    return seconds


@kernel
def _assign(times, bin_of, birds, partners, begin, end, drawn_s):
    """Add the times of all segments to the identities they have after the exchanges, in ``drawn_s`` (B, P, K)."""
    segments, n, n_locations = times.shape
    name = np.empty((segments, n), np.int64)
    for segment in range(segments):
        for bird in range(n):
            name[segment, bird] = bird
    for k in range(len(birds)):
        for segment in range(begin[k], end[k]):
            a, b = birds[k], partners[k]
            kept = name[segment, a]
            name[segment, a] = name[segment, b]
            name[segment, b] = kept
    for segment in range(segments):
        for bird in range(n):
            for location in range(n_locations):
                drawn_s[name[segment, bird], location, bin_of[segment]] += times[segment, bird, location]
