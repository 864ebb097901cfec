"""The learning rate follows from the step alone."""

from pathlib import Path

import pytest
import torch
from torch import nn

from backend.training.optimiser import build_optimiser, learning_rate, warmup_steps
from backend.training.settings import TrainSettings


def settings_of(**given):
    return TrainSettings(train_annot=Path("a.json"), out_dir=Path("out"), lr=0.1, **given)


@pytest.mark.parametrize("schedule", ["cosine", "step", "constant"])
def test_it_rises_in_the_warm_up_to_its_full_value(schedule):
    settings = settings_of(schedule=schedule, warmup_steps=10)
    rates = [learning_rate(settings, step, 100) for step in range(11)]
    assert rates == sorted(rates)
    assert rates[0] == pytest.approx(0.0001)
    assert rates[10] == pytest.approx(0.1)


def test_the_cosine_falls_to_a_hundredth_and_the_steps_divide_by_ten():
    assert learning_rate(settings_of(warmup_steps=0), 1000, 1000) == pytest.approx(0.001)
    steps = [learning_rate(settings_of(schedule="step", warmup_steps=0), step, 900) for step in (599, 600, 799, 800)]
    assert steps == pytest.approx([0.1, 0.01, 0.01, 0.001])


def test_the_warm_up_takes_a_tenth_and_at_most_a_thousand_steps():
    assert [warmup_steps(settings_of(), n) for n in (5, 100, 50_000)] == [0, 10, 1000]


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_biases_and_norms_are_not_decayed_and_frozen_weights_not_touched(name):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.Conv2d(4, 4, 3))
    network[2].requires_grad_(False)
    decayed, plain = build_optimiser(network, settings_of(optimiser=name)).param_groups
    assert [tuple(each.shape) for each in decayed["params"]] == [(4, 3, 3, 3)]
    assert len(plain["params"]) == 3
    assert plain["weight_decay"] == 0
    assert isinstance(build_optimiser(network, settings_of(optimiser=name)), torch.optim.Optimizer)
