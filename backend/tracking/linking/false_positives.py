"""How likely a segment is a false positive of the detector (clutter, as in multiple hypothesis tracking)."""

import math

import numpy as np

from backend.tracking.linking.linking_input import LinkingInput
from backend.tracking.linking.pair_affinity import T3_MEDIAN
from backend.tracking.linking.segments import SHORT_S

FALSE_NATS, FALSE_SHORT_NATS = 6.0, 2.0  # prior log odds against a segment being unassigned, and a short one
FALSE_POSITIVE_NATS = 3.0  # an unassigned segment with larger log odds is dropped instead of kept as an unnamed track
MIN_SCALE = 0.02  # of scores


def false_positive_log_odds(inputs: LinkingInput) -> np.ndarray:
    """Log-likelihood ratio (M,), nats, clipped to 0-6, that a segment is a false positive.

    Scores of true detections follow a Student t with three degrees of freedom about the median score of long segments;
    those of false positives are uniform from the lowest score to that median.
    """
    score, long = inputs.segments.score.astype(np.float64), inputs.segments.n * inputs.frame_s >= SHORT_S
    if not len(score):
        return np.zeros(0)
    usual = score[long] if long.any() else score
    middle = np.median(usual)
    scale = max(MIN_SCALE, float(np.median(np.abs(usual - middle))) / T3_MEDIAN)
    true = -2.0 * np.log1p(((score - middle) / scale) ** 2 / 3) - math.log(scale * math.pi * math.sqrt(3) / 2)
    false = -math.log(max(scale, float(middle - score.min())))
    return np.where(score < middle, np.clip(false - true, 0.0, FALSE_NATS), 0.0)


def unassigned_cost(inputs: LinkingInput) -> np.ndarray:
    """Return (M,) nats that it costs to leave a segment unassigned: less for short ones and for likely false ones."""
    seconds = inputs.segments.n * inputs.frame_s
    return np.where(seconds < SHORT_S, FALSE_SHORT_NATS, FALSE_NATS) - false_positive_log_odds(inputs)
