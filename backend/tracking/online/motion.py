"""Motion of one track: constant-velocity Kalman filters of the box's centre and sides. Compiled.

Lengths are px, times s. Process and measurement noise scale with the body size, so that near and far birds, frames 2688
and 640 px wide, 10 and 60 frames/s need no settings of their own. Covariances (3,) are position, position-velocity and
velocity of one coordinate, in body sizes and s.
"""

import math

import numpy as np

from backend.project.kernels import kernel

ACCELERATION = 6.0  # body sizes / s^2, standard deviation
SIZE_ACCELERATION = 2.0  # of the sides, likewise
BOX_NOISE = 0.06  # of the measured centre and sides, body sizes, standard deviation
DAMPING_S = 0.35  # default time constant with which an unobserved velocity decays


@kernel(nogil=True)
def body_size(track):
    """Return the body size, px: geometric mean of the sides."""
    return math.sqrt(max(1.0, track.w * track.h))


@kernel(nogil=True)
def initialise(track, tracklet, index, time, box):
    """Begin a track at its first ``box`` (4,)."""
    track.tracklet, track.hits, track.crowd, track.first_index, track.last_index = tracklet, 1, 0, index, index
    track.n_fragmented = track.partner = 0
    track.time = track.observed_time = track.intact_time = time
    track.merged_time = track.ambiguous_time = -1e9
    track.x, track.y = 0.5 * (box[0] + box[2]), 0.5 * (box[1] + box[3])
    track.w, track.h = max(1.0, box[2] - box[0]), max(1.0, box[3] - box[1])
    track.vx = track.vy = track.vw = track.vh = 0.0
    track.centre_cov[0] = track.size_cov[0] = BOX_NOISE**2
    track.centre_cov[1] = track.size_cov[1] = 0.0
    track.centre_cov[2], track.size_cov[2] = 1.5**2, 0.3**2
    track.x1, track.y1, track.x2, track.y2 = box[0], box[1], box[2], box[3]


@kernel(nogil=True)
def predict(track, time, damping_s):
    """Predict the state at ``time``; velocities decay with the time constant ``damping_s``.

    Motion that lasts long changes slowly: the noise of velocities falls with the square root of ``damping_s``.
    """
    dt = time - track.time
    if dt <= 0.0:
        return
    keep = math.exp(-dt / damping_s)
    integral = damping_s * (1.0 - keep)  # of the decaying velocity
    calm = math.sqrt(DAMPING_S / damping_s)
    track.x += integral * track.vx
    track.y += integral * track.vy
    track.w = max(1.0, track.w + integral * track.vw)
    track.h = max(1.0, track.h + integral * track.vh)
    track.vx, track.vy, track.vw, track.vh = keep * track.vx, keep * track.vy, keep * track.vw, keep * track.vh
    predict_covariance(track.centre_cov, dt, calm * ACCELERATION)
    predict_covariance(track.size_cov, dt, calm * SIZE_ACCELERATION)
    track.time = time


@kernel(nogil=True)
def predict_covariance(covariance, dt, acceleration):
    """Let a covariance (3,) grow over ``dt`` s, in place; ``acceleration`` is the standard deviation of the noise."""
    n = acceleration * acceleration
    covariance[0] += 2.0 * dt * covariance[1] + dt * dt * covariance[2] + n * dt**4 / 4.0
    covariance[1] += dt * covariance[2] + n * dt**3 / 2.0
    covariance[2] = min(9.0, covariance[2] + n * dt * dt)


@kernel(nogil=True)
def correct(track, box):
    """Correct the state by a measured ``box`` (4,) at its time."""
    gain_p, gain_v = kalman_gains(track.centre_cov)
    off_x, off_y = 0.5 * (box[0] + box[2]) - track.x, 0.5 * (box[1] + box[3]) - track.y
    track.x += gain_p * off_x
    track.y += gain_p * off_y
    track.vx += gain_v * off_x
    track.vy += gain_v * off_y
    gain_p, gain_v = kalman_gains(track.size_cov)
    off_w, off_h = box[2] - box[0] - track.w, box[3] - box[1] - track.h
    track.w = max(1.0, track.w + gain_p * off_w)
    track.h = max(1.0, track.h + gain_p * off_h)
    track.vw += gain_v * off_w
    track.vh += gain_v * off_h


@kernel(nogil=True)
def kalman_gains(covariance):
    """Return the Kalman gains of position and velocity; the covariance (3,) is corrected in place."""
    total = covariance[0] + BOX_NOISE * BOX_NOISE
    gain_p, gain_v = covariance[0] / total, covariance[1] / total
    covariance[2] -= gain_v * covariance[1]
    covariance[1] -= gain_p * covariance[1]
    covariance[0] -= gain_p * covariance[0]
    return gain_p, gain_v


@kernel(nogil=True)
def observe(track, observed, index, time, box, damping_s):
    """Update a track with the box of a detection at ``time``, to which its state has been predicted.

    After missed frames the filter goes back to ``observed``, the state at the last detection, and is updated with boxes
    interpolated between the two detections (observation-centric re-update, Cao et al. 2023, OC-SORT).
    """
    missed = index - track.last_index - 1
    if missed > 0:
        last = np.array([track.x1, track.y1, track.x2, track.y2])
        begin, span = track.observed_time, time - track.observed_time
        copy_filter(observed, track)
        for k in range(1, missed + 1):
            share = k / (missed + 1)
            predict(track, begin + share * span, damping_s)
            correct(track, last + share * (box - last))
        predict(track, time, damping_s)
    correct(track, box)
    track.hits += 1
    track.last_index, track.observed_time = index, time
    track.x1, track.y1, track.x2, track.y2 = box[0], box[1], box[2], box[3]


@kernel(nogil=True)
def copy_filter(source, target):
    """Copy centre, sides, velocities, covariances and time."""
    target.x, target.y, target.w, target.h = source.x, source.y, source.w, source.h
    target.vx, target.vy, target.vw, target.vh = source.vx, source.vy, source.vw, source.vh
    target.centre_cov[:] = source.centre_cov
    target.size_cov[:] = source.size_cov
    target.time = source.time


@kernel(nogil=True)
def move_with_camera(track, motion):
    """Move centre, velocities and sides by the camera's motion (6,) ``a b c d e f`` (see `camera_motion`)."""
    scale = math.sqrt(abs(motion[0] * motion[4] - motion[1] * motion[3]))
    track.x, track.y = transform_point(motion, track.x, track.y)
    track.vx, track.vy = motion[0] * track.vx + motion[1] * track.vy, motion[3] * track.vx + motion[4] * track.vy
    track.w, track.h = track.w * scale, track.h * scale


@kernel(nogil=True)
def transform_point(motion, x, y):
    """Return the point x' = a x + b y + c, y' = d x + e y + f."""
    return motion[0] * x + motion[1] * y + motion[2], motion[3] * x + motion[4] * y + motion[5]
