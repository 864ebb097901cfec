"""How much more likely two sightings are of one bird than of two neighbours: the one measure that both stages go by.

The log likelihood ratio (nats) is a logistic model of how far the second sighting lies from where the first bird was
expected, how much its mask covers the expected one, and how alike the shapes are when laid on each other. Its
coefficients depend on the time between the two; they are what `python benchmarks/tracking_fit.py` prints, from rendered
leks and pairs less than two body sizes apart. What differs between videos, how far birds move and boxes jump from frame
to frame, is not in the coefficients but in ``scale``, which is learnt from the video at hand.
"""

import math

import numpy as np

from backend.project.kernels import kernel

GAPS_S = np.array([0.04, 0.08, 0.16, 0.32, 0.6, 1.0, 2.0])
# constant, overlap of masks, likeness of shapes, log distance
WITH_MASKS = np.array(
    [
        [3.96, 26.73, 0.00, -1.47],
        [2.28, 22.13, 0.00, -1.19],
        [1.92, 12.52, 3.18, -1.29],
        [0.70, 8.89, 3.40, -1.04],
        [-0.67, 11.44, 4.71, -0.97],
        [-0.85, 5.66, 6.68, -1.11],
        [-2.03, 6.09, 5.61, -0.54],
    ]
)
# constant, overlap of boxes, squared log ratio of areas (at most 1.5 squared), log distance
WITH_BOXES = np.array(
    [
        [0.05, 14.20, -0.35, -0.88],
        [0.26, 12.65, -0.42, -0.90],
        [0.98, 9.96, -0.40, -0.93],
        [1.20, 7.37, -0.17, -0.89],
        [-0.33, 10.39, -0.17, -0.61],
        [0.67, 7.25, -0.40, -0.68],
        [-0.51, 6.37, -0.49, -0.18],
    ]
)
GROWTH = 0.6  # the scale grows with the gap to this power
TAIL = 1.6  # of the distance's distribution, a Student t
USUAL_SCALE = 0.027  # body sizes in 1/25 s
WORST = -10.0  # nats, of a pair that is not compared
SHAPES_FROM_S = 0.1  # shapes are compared from this gap on


@kernel(nogil=True)
def spread_after(gap_s, scale):
    """Return the scale of distances, body sizes, after a gap."""
    return scale * (gap_s / GAPS_S[0]) ** GROWTH


@kernel(nogil=True)
def weigh(gap_s, weights):
    """Write the coefficients for sightings ``gap_s`` apart into ``weights``, (2, 4): with boxes, with masks."""
    place = math.log(max(gap_s, GAPS_S[0]) / GAPS_S[0])
    low = 0
    while low < len(GAPS_S) - 2 and gap_s > GAPS_S[low + 1]:
        low += 1
    from_, to = math.log(GAPS_S[low] / GAPS_S[0]), math.log(GAPS_S[low + 1] / GAPS_S[0])
    share = min(1.0, max(0.0, (place - from_) / (to - from_)))
    for k in range(4):
        weights[0, k] = (1.0 - share) * WITH_BOXES[low, k] + share * WITH_BOXES[low + 1, k]
        weights[1, k] = (1.0 - share) * WITH_MASKS[low, k] + share * WITH_MASKS[low + 1, k]


@kernel(nogil=True)
def evidence(weights, spread, distance2, overlap, other, masks):
    """Return the log likelihood ratio, nats, that two sightings are of one bird.

    Parameters
    ----------
    weights
        (2, 4) of `weigh` for the time between them.
    spread
        What `spread_after` says of it, body sizes, with the scale of distances between frames of this video.
    distance2
        Squared distance from the expected place, body sizes.
    overlap
        IoU of the expected and the seen mask (without masks: box).
    other
        IoU of the masks with their boxes' centres laid on each other (without masks: log ratio of the areas).
    masks
        Whether there are masks.
    """
    far = math.log1p(distance2 / (TAIL * spread * spread))
    values = (1.0, overlap, other if masks else min(2.25, other * other), far)
    total = 0.0
    for k in range(4):
        total += weights[int(masks), k] * values[k]
    return total
