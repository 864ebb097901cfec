"""How likely it is that a bird that was last seen here is the one that appears there some time later.

Learnt from the video at hand: within a tracklet it is the same bird, so how far it strays from where it was expected
after a gap can be measured there. The score of a link is a log likelihood ratio against a bird that appears anywhere.
"""

import math
from typing import NamedTuple

import numpy as np

from backend.project.kernels import kernel
from backend.tracking.linking.learn_motion import LAGS_S, Ways, glide

FLOWN, FLOWN_S = 0.02, 90.0  # share of birds that come back anywhere at once, and how fast that share grows
GAP_S = 0.5  # a gap is as likely as (1 + gap / GAP_S)^-GAP_POWER
GAP_POWER = 1.2
SURE_S = 0.4  # a shorter gap says no more than this one: where tracklets end something is unusual
HIDDEN_SHARE = 0.5  # of birds that vanish at a hidden zone and come out of it again
REFUSED_NATS = 1e4  # against what people said
TWICE_NATS, TWICE_NATS_S = 2.0, 8.0  # against a bird that is in two places, and for each second of it


class Ends(NamedTuple):
    """Where and when tracklets begin and end; frames are indices, both included. A NamedTuple for compiled code."""

    first: np.ndarray  # (M,) int64, ascending
    last: np.ndarray  # (M,) int64
    core: np.ndarray  # (M,) int64, the first frame in which the bird may not be seen in the tracklet before
    begin_s: np.ndarray  # (M,) float64
    end_s: np.ndarray  # (M,)
    begin_xy: np.ndarray  # (M, 2) float64 px
    end_xy: np.ndarray  # (M, 2)
    end_v: np.ndarray  # (M, 2) px/s
    size: np.ndarray  # (M, 2) body size at begin and end, px
    zone: np.ndarray  # (M, 2) int64, hidden zone at which it begins and ends; 0: none
    zone_room: np.ndarray  # (zones + 1,) float64 px^2
    before: np.ndarray  # (M,) int64, the only tracklet that may come before it, as people said; -1: any
    after: np.ndarray  # (M,) int64, likewise after it
    ways: Ways
    room: float  # px^2 in which a bird may appear


@kernel(nogil=True)
def link_score(ends, i, j, near=-1.0):
    """Return the log likelihood ratio, nats, that the bird of tracklet i is next seen as j; -inf: it cannot.

    ``near`` is how much likelier the place is than any other, where `linking_between` says it; below 0: told by places.
    """
    if ends.last[i] >= ends.core[j]:
        return -np.inf
    if ends.first[i] >= ends.first[j] or ends.last[i] >= ends.last[j]:
        return -np.inf
    gap = ends.begin_s[j] - ends.end_s[i]
    twice = 0.0 if gap > 0.0 else TWICE_NATS - TWICE_NATS_S * gap
    lasts = glide(max(0.0, gap), ends.ways.damping_s)
    gap = max(SURE_S, gap)
    if near < 0.0:
        off_x = ends.begin_xy[j, 0] - ends.end_xy[i, 0] - lasts * ends.end_v[i, 0]
        off_y = ends.begin_xy[j, 1] - ends.end_xy[i, 1] - lasts * ends.end_v[i, 1]
        area = ends.size[i, 1] * ends.size[j, 0]
        spread = spread_at(ends.ways.spread, gap)
        near = (1.0 + (off_x * off_x + off_y * off_y) / (2.0 * area * spread * spread)) ** -2
        near *= ends.room / (2.0 * math.pi * area * spread * spread)
    anywhere = 1.0 - (1.0 - FLOWN) * math.exp(-gap / FLOWN_S)
    if ends.zone[i, 1] > 0 and ends.zone[i, 1] == ends.zone[j, 0]:
        near = max(near, HIDDEN_SHARE * ends.room / ends.zone_room[ends.zone[i, 1]])
    if (ends.after[i] >= 0 and ends.after[i] != j) or (ends.before[j] >= 0 and ends.before[j] != i):
        twice += REFUSED_NATS
    return math.log((1.0 - anywhere) * near + anywhere) - GAP_POWER * math.log1p(gap / GAP_S) - twice


@kernel(nogil=True)
def linked(ends, i, j):
    """Return `link_score`, where i = -1 is before a bird's first tracklet and j = -1 after its last."""
    if i >= 0 and j >= 0:
        return link_score(ends, i, j)
    refused = (j >= 0 and ends.before[j] >= 0) or (i >= 0 and ends.after[i] >= 0)
    return -REFUSED_NATS if refused else 0.0


@kernel(nogil=True)
def spread_at(spread, gap):
    """Return the scale of distances after a gap, body sizes: straight lines between `LAGS_S` on log scales."""
    k = 0
    while k < len(LAGS_S) - 2 and gap > LAGS_S[k + 1]:
        k += 1
    share = math.log(max(gap, LAGS_S[0]) / LAGS_S[k]) / math.log(LAGS_S[k + 1] / LAGS_S[k])
    share = min(1.0, share)
    return math.exp((1.0 - share) * math.log(spread[k]) + share * math.log(spread[k + 1]))


@kernel(nogil=True)
def chain_score(ends, chain):
    """Return the sum of the links of a bird with these tracklets, (n,) int64 by first frame."""
    total = 0.0
    for k in range(len(chain) - 1):
        total += link_score(ends, chain[k], chain[k + 1])
    return total
