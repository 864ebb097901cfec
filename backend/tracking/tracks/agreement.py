"""Inter-rater agreement, and confidence intervals of an audit's error rate."""

from collections import Counter
from collections.abc import Hashable, Sequence
from math import sqrt

Z95 = 1.959963984540054  # two-sided 95 % of the normal distribution


def wilson(wrong: int, n: int, z: float = Z95) -> tuple[float, float]:
    """Return the Wilson score interval of the proportion ``wrong / n``; (0, 1) for an empty sample.

    Wilson (1927), doi 10.1080/01621459.1927.10502953. Unlike the normal approximation it keeps its coverage for
    few or no errors, the usual case in an audit.
    """
    if n == 0:
        return 0.0, 1.0
    share, spread = wrong / n, z * z / n
    middle = (share + spread / 2) / (1 + spread)
    half = z * sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    return (0.0 if wrong == 0 else max(0.0, middle - half)), (1.0 if wrong == n else min(1.0, middle + half))


def kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float | None:
    """Return Cohen's kappa of two raters; None without answers or where both always give the same one.

    Cohen (1960), doi 10.1177/001316446002000104.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} answers; both must answer the same questions")
    n = len(first)
    if n == 0:
        return None
    observed = sum(a == b for a, b in zip(first, second, strict=True)) / n
    shares = Counter(first), Counter(second)
    by_chance = sum(shares[0][answer] * shares[1][answer] for answer in shares[0]) / n**2
    return None if by_chance == 1 else (observed - by_chance) / (1 - by_chance)
