"""What curves say, in words."""

import pytest

from backend.training.history import rises, training_warnings


def evaluation(loss=1.0, ap=0.5, **more):
    """Return one entry of the history."""
    return {"losses": {"loss": loss}, "metrics": {"mask": {"ap": ap}}, **more}


def point(loss=1.0, waiting=0.0):
    """Return one point of the training curve."""
    return {"loss": loss, "waiting_for_data": waiting}


def words(points=(), evaluations=()):
    """Return all advice as one text."""
    return " ".join(training_warnings({"points": list(points), "evaluations": list(evaluations)}))


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], 0), ([1], 0), ([1, 2], 1), ([3, 1, 2, 3], 2), ([1, 2, 3, 4], 3), ([1, 2, 2], 0), ([5, 4, 3], 0)],
)
def test_rises_are_counted_from_the_end(values, expected):
    assert rises(values) == expected


def test_a_validation_loss_that_rises_three_times_is_likely_overfitting():
    losses = [3.0, 2.0, 2.1, 2.2, 2.3]
    aps = [0.1, 0.2, 0.3, 0.4, 0.5]
    assert "risen for 3 evaluations: likely overfitting" in words(
        evaluations=[evaluation(loss, ap) for loss, ap in zip(losses, aps, strict=True)]
    )
    assert not words(evaluations=[evaluation(loss, ap) for loss, ap in zip(losses[:4], aps, strict=False)])


def test_a_training_loss_that_shoots_up_means_too_high_a_rate():
    falling = [point(2.0 - 0.1 * k) for k in range(10)]
    assert not words(points=falling)
    assert "learning rate is likely too high" in words(points=[*falling, point(8.0), point(9.0), point(9.0)])


def test_a_network_of_dead_channels_has_collapsed():
    assert "layer2 90 %" in words(evaluations=[evaluation(dead_relu={"layer1": 0.1, "layer2": 0.9})])


def test_one_class_for_everything_is_told():
    assert "same class" in words(evaluations=[evaluation(share_of_commonest_class=0.995)])


def test_nothing_found_and_no_more_progress_are_told():
    assert "Nothing was found in 3 evaluations" in words(evaluations=[evaluation(ap=0.0)] * 3)
    assert "has not risen" in words(evaluations=[evaluation(1.0 - 0.01 * k, 0.5) for k in range(5)])


def test_waiting_for_images_is_told():
    assert "60 % of the time" in words(points=[point(2.0 - 0.1 * k, 0.6) for k in range(6)])


def test_a_healthy_training_gets_no_warning():
    healthy = [evaluation(1.0 / (k + 1), 0.1 * k + 0.05, dead_relu={"layer1": 0.01}) for k in range(6)]
    assert training_warnings({"points": [point(1.0 / (k + 1)) for k in range(20)], "evaluations": healthy}) == []
    assert training_warnings({"points": [], "evaluations": []}) == []
