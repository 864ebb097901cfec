"""The compiled parts of stage 1 against plain numpy and scipy."""

import math

import numpy as np
import pytest
from pycocotools import mask as coco
from scipy.optimize import linear_sum_assignment

from backend.tracking.online.assignment import UNASSIGNED, assign
from backend.tracking.online.motion import (
    ACCELERATION,
    BOX_NOISE,
    DAMPING_S,
    correct,
    initialise,
    move_with_camera,
    predict,
)
from backend.tracking.online.overlap import MAX_RUNS, box_iou, column_runs, common_pixels, join_runs
from backend.tracking.online.track_state import TRACK_STATE

HEIGHT, WIDTH = 90, 120


@pytest.mark.parametrize("shape", [(1, 1), (5, 5), (8, 3), (3, 8), (20, 20), (40, 37)])
def test_assignment_is_as_good_as_the_optimum(shape):
    rng = np.random.default_rng(shape[0] * 100 + shape[1])
    for density in (0.1, 0.4, 1.0):
        for _ in range(30):
            similarity = np.where(rng.random(shape) < density, rng.random(shape), 0.0)
            match = assign(similarity, 0.05)
            allowed = np.where(similarity >= 0.05, similarity, 0.0)
            best = allowed[linear_sum_assignment(-allowed)].sum()
            rows = np.flatnonzero(match != UNASSIGNED)
            assert len(set(match[rows])) == len(rows)
            assert (similarity[rows, match[rows]] >= 0.05).all()
            assert similarity[rows, match[rows]].sum() == pytest.approx(best)


def blob(rng: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    cx, cy = rng.uniform(30, 90), rng.uniform(25, 65)
    mask = ((x - cx) / rng.uniform(5, 25)) ** 2 + ((y - cy) / rng.uniform(5, 20)) ** 2 < 1
    return mask & ~((x - cx) ** 2 + (y - cy) ** 2 < rng.uniform(0, 30))  # some have a hole


def runs_of(mask: np.ndarray, step: int = 1) -> tuple[np.ndarray, int, int]:
    code = np.frombuffer(coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"], np.uint8)
    out = np.zeros((MAX_RUNS, 3), np.int32)
    return out, *column_runs(code, 0, len(code), len(mask), step, out)


def test_runs_are_the_mask():
    rng = np.random.default_rng(1)
    for _ in range(20):
        mask = blob(rng)
        out, n, area = runs_of(mask)
        drawn = np.zeros_like(mask)
        for column, first, last in out[:n]:
            drawn[first:last, column] = True
        assert area == mask.sum()
        assert (drawn == mask).all()


def test_common_pixels_of_moved_masks():
    rng = np.random.default_rng(2)
    for step in (1, 3):
        for _ in range(40):
            a, b = blob(rng), blob(rng)
            dx, dy = int(rng.integers(-4, 5)) * step, int(rng.integers(-9, 10))
            seen = np.arange(WIDTH) % step == 0
            moved = np.zeros_like(a)
            ys, xs = np.nonzero(a)
            inside = (ys + dy >= 0) & (ys + dy < HEIGHT) & (xs + dx >= 0) & (xs + dx < WIDTH)
            moved[ys[inside] + dy, xs[inside] + dx] = True
            (runs_a, n_a, _), (runs_b, n_b, _) = runs_of(a, step), runs_of(b, step)
            assert common_pixels(runs_a, n_a, dx, dy, runs_b, n_b) == (moved & b)[:, seen].sum()


def test_a_mask_of_too_many_runs_is_told():
    stripes = np.zeros((HEIGHT, WIDTH), bool)
    stripes[::2] = True
    assert runs_of(stripes)[1:] == (0, 0)


def test_joined_runs_are_sorted_and_complete():
    rng = np.random.default_rng(3)
    a, b = blob(rng), blob(rng)
    (runs_a, n_a, _), (runs_b, n_b, _) = runs_of(a), runs_of(b)
    out = np.zeros((MAX_RUNS, 3), np.int32)
    n = join_runs(runs_a, n_a, runs_b, n_b, out)
    assert n == n_a + n_b
    expected = sorted(map(tuple, np.concatenate([runs_a[:n_a], runs_b[:n_b]])))
    assert sorted(map(tuple, out[:n])) == expected
    assert (np.diff(out[:n, 0]) >= 0).all()


def test_iou_of_boxes():
    assert box_iou(0, 0, 10, 10, 5, 0, 15, 10) == pytest.approx(50 / 150)
    assert box_iou(0, 0, 10, 10, 10, 0, 20, 10) == 0


def test_filter_of_the_centre_is_a_kalman_filter():
    rng = np.random.default_rng(4)
    bird = np.zeros(1, TRACK_STATE)
    side = 40.0
    initialise(bird[0], 1, 0, 0.0, np.array([0.0, 0.0, side, side]))
    state, p = np.array([side / 2, 0.0]), np.array([[BOX_NOISE**2, 0], [0, 1.5**2]])
    dt = 0.04
    keep = math.exp(-dt / DAMPING_S)
    for k in range(1, 40):
        predict(bird[0], k * dt, DAMPING_S)
        state = np.array([state[0] + DAMPING_S * (1 - keep) * state[1], keep * state[1]])
        move = np.array([[1, dt], [0, 1]])
        p = move @ p @ move.T + ACCELERATION**2 * np.array([[dt**4 / 4, dt**3 / 2], [dt**3 / 2, dt**2]])
        p[1, 1] = min(9.0, p[1, 1])
        seen = side / 2 + 60 * k * dt + rng.normal(0, 2)
        correct(bird[0], np.array([seen - side / 2, 0.0, seen + side / 2, side]))
        gain = p[:, 0] / (p[0, 0] + BOX_NOISE**2)
        state = state + gain * (seen - state[0])
        p = p - np.outer(gain, p[0])
        assert bird["x"][0] == pytest.approx(state[0])
        assert bird["vx"][0] == pytest.approx(state[1])
        assert bird["centre_cov"][0] == pytest.approx([p[0, 0], p[0, 1], p[1, 1]])


def test_a_camera_that_zooms_moves_the_bird_along():
    bird = np.zeros(1, TRACK_STATE)
    initialise(bird[0], 1, 0, 0.0, np.array([10.0, 20.0, 30.0, 60.0]))
    move_with_camera(bird[0], np.array([2.0, 0.0, 5.0, 0.0, 2.0, -3.0]))
    assert [float(bird[name][0]) for name in ("x", "y", "w", "h")] == pytest.approx([45.0, 77.0, 40.0, 80.0])
