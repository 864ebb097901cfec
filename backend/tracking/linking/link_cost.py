"""The cost of linking two segments: of the gap between them, of the path across it, and of an overlap in time.

A link is scored by the log-likelihood ratio, nats, that the animal last seen in one segment is the next one seen in the
other, against one that appears anywhere in the image; its cost is the negative of that. Distances from the position
that the motion model predicts follow a bivariate Student t with two degrees of freedom. What a long gap costs is
``GAP_COST_POWER * log(1 + gap / GAP_COST_S)``.
"""

import math
from typing import NamedTuple

import numpy as np

from backend.project.kernels import kernel
from backend.tracking.linking.motion_model import MotionModel, effective_gap, spread_at

GAP_COST_S, GAP_COST_POWER = 0.5, 1.2  # a gap is as likely as (1 + gap / GAP_COST_S)^-GAP_COST_POWER
MIN_GAP_S = 0.4  # a shorter gap counts as this one: where a tracklet ends, something unusual happened
ELSEWHERE_SHARE, ELSEWHERE_S = 0.02, 90.0  # share that reappears anywhere at once; time constant of its growth with gap
SAME_ZONE_SHARE = 0.5  # of the animals that vanish at a hidden zone and come out of it again
OVERLAP_NATS, OVERLAP_NATS_PER_S = 2.0, 8.0  # against an animal in two segments at once, and for each second of that
CONSTRAINT_NATS = 1e4  # against a link that breaks a must-link constraint


class Endpoints(NamedTuple):
    """Where and when segments begin and end. Frames are indices, both included. A NamedTuple for compiled code."""

    first: np.ndarray  # (M,) int64, ascending
    last: np.ndarray  # (M,) int64
    overlap_end: np.ndarray  # (M,) int64, first frame in which the animal may not be in the segment before any more
    begin_s: np.ndarray  # (M,) float64
    end_s: np.ndarray  # (M,)
    begin_xy: np.ndarray  # (M, 2) float64 px
    end_xy: np.ndarray  # (M, 2)
    end_v: np.ndarray  # (M, 2) px/s
    size: np.ndarray  # (M, 2) body size at begin and end, px
    zone: np.ndarray  # (M, 2) int64, hidden zone at which it begins and ends; 0: none
    zone_area: np.ndarray  # (zones + 1,) float64 px^2
    before: np.ndarray  # (M,) int64, the only segment that may come before (must-link constraint); -1: any
    after: np.ndarray  # (M,) int64, the only segment that may come after; -1: any
    motion: MotionModel
    image_area: float  # px^2, in which an animal may appear


@kernel(nogil=True)
def link_score(endpoints, i, j, position_ratio=-1.0):
    """Return the log-likelihood ratio, nats, that the animal of segment i is next seen in segment j; -inf: impossible.

    ``position_ratio`` is the likelihood ratio of the position where `pair_affinity` has computed it; below 0 it comes
    from the distance to the predicted position.
    """
    if endpoints.last[i] >= endpoints.overlap_end[j]:
        return -np.inf
    if endpoints.first[i] >= endpoints.first[j] or endpoints.last[i] >= endpoints.last[j]:
        return -np.inf
    gap = endpoints.begin_s[j] - endpoints.end_s[i]
    penalty = 0.0 if gap > 0.0 else OVERLAP_NATS - OVERLAP_NATS_PER_S * gap
    moving_s = effective_gap(max(0.0, gap), endpoints.motion.damping_s)
    gap = max(MIN_GAP_S, gap)
    if position_ratio < 0.0:
        off_x = endpoints.begin_xy[j, 0] - endpoints.end_xy[i, 0] - moving_s * endpoints.end_v[i, 0]
        off_y = endpoints.begin_xy[j, 1] - endpoints.end_xy[i, 1] - moving_s * endpoints.end_v[i, 1]
        area = endpoints.size[i, 1] * endpoints.size[j, 0]
        spread = spread_at(endpoints.motion.spread, gap)
        position_ratio = (1.0 + (off_x * off_x + off_y * off_y) / (2.0 * area * spread * spread)) ** -2
        position_ratio *= endpoints.image_area / (2.0 * math.pi * area * spread * spread)
    anywhere = 1.0 - (1.0 - ELSEWHERE_SHARE) * math.exp(-gap / ELSEWHERE_S)
    if endpoints.zone[i, 1] > 0 and endpoints.zone[i, 1] == endpoints.zone[j, 0]:
        zone_area = endpoints.zone_area[endpoints.zone[i, 1]]
        position_ratio = max(position_ratio, SAME_ZONE_SHARE * endpoints.image_area / zone_area)
    if (endpoints.after[i] >= 0 and endpoints.after[i] != j) or (endpoints.before[j] >= 0 and endpoints.before[j] != i):
        penalty += CONSTRAINT_NATS
    gap_cost = GAP_COST_POWER * math.log1p(gap / GAP_COST_S)
    return math.log((1.0 - anywhere) * position_ratio + anywhere) - gap_cost - penalty


@kernel(nogil=True)
def transition_score(endpoints, i, j):
    """Return `link_score`, where i = -1 is before an animal's first segment and j = -1 after its last."""
    if i >= 0 and j >= 0:
        return link_score(endpoints, i, j)
    forbidden = (j >= 0 and endpoints.before[j] >= 0) or (i >= 0 and endpoints.after[i] >= 0)
    return -CONSTRAINT_NATS if forbidden else 0.0


@kernel(nogil=True)
def chain_score(endpoints, chain):
    """Return the sum of the link scores, nats, along one animal's segments ``chain``, (n,) int64 by first frame."""
    total = 0.0
    for k in range(len(chain) - 1):
        total += link_score(endpoints, chain[k], chain[k + 1])
    return total
