"""Affinity of two detections: log-likelihood ratio, nats, that they show one bird rather than two neighbours.

A logistic model of the distance between the second detection and the predicted position, the overlap of its mask with
the predicted mask, and the similarity of their shapes. Its coefficients depend on the time between the two;
`python benchmarks/tracking_fit.py` fits them to rendered leks, from pairs less than two body sizes apart. What differs
between videos, how far birds move and boxes jitter from frame to frame, is the ``scale``, learnt from each video.
"""

import math

import numpy as np

from backend.project.kernels import kernel

GAPS_S = np.array([0.04, 0.08, 0.16, 0.32, 0.6, 1.0, 2.0])
# constant, IoU of masks, IoU of centred masks, log distance
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
# constant, IoU of boxes, squared log ratio of areas (at most 1.5 squared), log distance
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
GAP_EXPONENT = 0.6  # the scale of displacements grows with the gap to this power
DEGREES_OF_FREEDOM = 1.6  # of the Student t distribution of distances
DEFAULT_SCALE = 0.027  # of displacements, body sizes in 1/25 s
GATED = -10.0  # nats, affinity of a pair outside the gate, and the lowest of any pair
SHAPE_MIN_GAP_S = 0.1  # shapes are compared from this gap on


@kernel(nogil=True)
def displacement_scale(gap_s, scale):
    """Return the scale of displacements, body sizes, over a gap; ``scale`` is that over ``GAPS_S[0]``."""
    return scale * (gap_s / GAPS_S[0]) ** GAP_EXPONENT


@kernel(nogil=True)
def interpolate_coefficients(gap_s, coefficients):
    """Write the coefficients for a gap into ``coefficients`` (2, 4): with boxes, with masks. Linear in log time."""
    position = math.log(max(gap_s, GAPS_S[0]) / GAPS_S[0])
    low = 0
    while low < len(GAPS_S) - 2 and gap_s > GAPS_S[low + 1]:
        low += 1
    from_, to = math.log(GAPS_S[low] / GAPS_S[0]), math.log(GAPS_S[low + 1] / GAPS_S[0])
    share = min(1.0, max(0.0, (position - from_) / (to - from_)))
    for k in range(4):
        coefficients[0, k] = (1.0 - share) * WITH_BOXES[low, k] + share * WITH_BOXES[low + 1, k]
        coefficients[1, k] = (1.0 - share) * WITH_MASKS[low, k] + share * WITH_MASKS[low + 1, k]


@kernel(nogil=True)
def log_likelihood_ratio(coefficients, scale, distance2, overlap, shape, masks):
    """Return the log-likelihood ratio, nats, that two detections show one bird.

    Parameters
    ----------
    coefficients
        (2, 4) of `interpolate_coefficients` for the time between them.
    scale
        `displacement_scale` of that time, body sizes.
    distance2
        Squared distance from the predicted position, body sizes.
    overlap
        IoU of the predicted and the detected mask (without masks: box).
    shape
        IoU of the masks with their boxes' centres aligned (without masks: log ratio of the areas).
    masks
        Whether there are masks.
    """
    far = math.log1p(distance2 / (DEGREES_OF_FREEDOM * scale * scale))
    values = (1.0, overlap, shape if masks else min(2.25, shape * shape), far)
    total = 0.0
    for k in range(4):
        total += coefficients[int(masks), k] * values[k]
    return total
