"""Agreement and intervals, against published figures."""

import pytest

from backend.tracking.tracks.agreement import kappa, wilson


def test_kappa_of_a_published_table() -> None:
    # Wikipedia's and many textbooks' example: 20 both yes, 5, 10, 15 both no: kappa 0.4
    first = ["y"] * 25 + ["n"] * 25
    second = ["y"] * 20 + ["n"] * 5 + ["y"] * 10 + ["n"] * 15
    assert kappa(first, second) == pytest.approx(0.4)


def test_kappa_where_everybody_always_says_the_same_is_not_a_number() -> None:
    assert kappa(["a", "a"], ["a", "a"]) is None
    assert kappa([], []) is None


@pytest.mark.parametrize(
    ("wrong", "n", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (1, 29, 0.0061, 0.1718), (81, 263, 0.2553, 0.3662)],
)  # the last two from Newcombe (1998), doi 10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E
def test_wilson_intervals_of_newcombe(wrong: int, n: int, low: float, high: float) -> None:
    assert wilson(wrong, n) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_no_sample_says_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
