"""Motion of one bird between frames: constant-velocity Kalman filters of centre and sides. Compiled.

Lengths are px, times seconds. Process and measurement noise scale with the size of the bird, so that near and far
birds, 2688 and 640 px wide pictures, 10 and 60 frames/s need no settings of their own.
"""

import math

import numpy as np

from backend.project.kernels import kernel

ACCELERATION = 6.0  # body sizes / s^2, standard deviation
GROWTH = 2.0  # of the sides, likewise
JITTER = 0.06  # of a box's edges, body sizes
SINGLE, SEVERAL, PERHAPS_SEVERAL = range(3)
DAMPING_S = 0.35  # in which a velocity that is no longer observed dies away, where nothing is known

# One bird that is being followed.
FOLLOWED = np.dtype(
    [
        ("tracklet", "i8"),  # 0: the slot is free
        ("hits", "i8"),  # detections so far
        ("merged", "i8"),  # `SINGLE`, `SEVERAL` or `PERHAPS_SEVERAL` birds
        ("whole_time", "f8"),  # s, of the last detection that showed it in one piece
        ("partner", "i8"),  # tracklet of the bird that the doubt, or the shared mask, was about
        ("pieces", "i8"),  # detections that showed it in two pieces
        ("doubt_time", "f8"),  # s, of the last match that could as well have been another
        ("shared_time", "f8"),  # s, of the last mask that it shared with another bird
        ("first", "i8"),  # index of the frame of its first detection
        ("last", "i8"),  # of its last one
        ("time", "f8"),  # s, that the state belongs to
        ("seen_time", "f8"),  # s, of the last detection
        ("x", "f8"),
        ("y", "f8"),
        ("w", "f8"),
        ("h", "f8"),
        ("vx", "f8"),
        ("vy", "f8"),
        ("vw", "f8"),
        ("vh", "f8"),
        ("p", "f8", (3,)),  # covariance of centre: position, position-velocity, velocity; in body sizes
        ("q", "f8", (3,)),  # of the sides
        ("x1", "f8"),  # last box
        ("y1", "f8"),
        ("x2", "f8"),
        ("y2", "f8"),
        ("area", "i8"),  # px of the sampled columns of its last mask
        ("runs", "i8"),  # runs of it, 0: no mask
        ("usual", "f8"),  # area it has when nothing hides it, as `area` or, without masks, px of the box; of a group
        # that of its largest bird
    ],
    align=True,
)


@kernel(nogil=True)
def size_of(bird):
    """Return the body size, px: geometric mean of the sides."""
    return math.sqrt(max(1.0, bird.w * bird.h))


@kernel(nogil=True)
def start(bird, tracklet, index, time, box):
    """Begin to follow a bird at its first ``box`` (4,)."""
    bird.tracklet, bird.hits, bird.merged, bird.first, bird.last = tracklet, 1, 0, index, index
    bird.pieces = bird.partner = 0
    bird.time = bird.seen_time = bird.whole_time = time
    bird.shared_time = bird.doubt_time = -1e9
    bird.x, bird.y = 0.5 * (box[0] + box[2]), 0.5 * (box[1] + box[3])
    bird.w, bird.h = max(1.0, box[2] - box[0]), max(1.0, box[3] - box[1])
    bird.vx = bird.vy = bird.vw = bird.vh = 0.0
    bird.p[0] = bird.q[0] = JITTER**2
    bird.p[1] = bird.q[1] = 0.0
    bird.p[2], bird.q[2] = 1.5**2, 0.3**2
    bird.x1, bird.y1, bird.x2, bird.y2 = box[0], box[1], box[2], box[3]


@kernel(nogil=True)
def predict(bird, time, damping_s):
    """Move the state on to ``time``; velocities die away within ``damping_s``.

    What lasts long changes slowly: the noise of velocities falls with the root of ``damping_s``.
    """
    dt = time - bird.time
    if dt <= 0.0:
        return
    keep = math.exp(-dt / damping_s)
    way = damping_s * (1.0 - keep)
    calm = math.sqrt(DAMPING_S / damping_s)
    bird.x += way * bird.vx
    bird.y += way * bird.vy
    bird.w = max(1.0, bird.w + way * bird.vw)
    bird.h = max(1.0, bird.h + way * bird.vh)
    bird.vx, bird.vy, bird.vw, bird.vh = keep * bird.vx, keep * bird.vy, keep * bird.vw, keep * bird.vh
    spread(bird.p, dt, calm * ACCELERATION)
    spread(bird.q, dt, calm * GROWTH)
    bird.time = time


@kernel(nogil=True)
def spread(p, dt, noise):
    """Let a covariance (3,) grow over ``dt``."""
    n = noise * noise
    p[0] += 2.0 * dt * p[1] + dt * dt * p[2] + n * dt**4 / 4.0
    p[1] += dt * p[2] + n * dt**3 / 2.0
    p[2] = min(9.0, p[2] + n * dt * dt)


@kernel(nogil=True)
def correct(bird, box):
    """Take in an observed ``box`` (4,) at the time of the state."""
    gain_p, gain_v = gains(bird.p)
    off_x, off_y = 0.5 * (box[0] + box[2]) - bird.x, 0.5 * (box[1] + box[3]) - bird.y
    bird.x += gain_p * off_x
    bird.y += gain_p * off_y
    bird.vx += gain_v * off_x
    bird.vy += gain_v * off_y
    gain_p, gain_v = gains(bird.q)
    off_w, off_h = box[2] - box[0] - bird.w, box[3] - box[1] - bird.h
    bird.w = max(1.0, bird.w + gain_p * off_w)
    bird.h = max(1.0, bird.h + gain_p * off_h)
    bird.vw += gain_v * off_w
    bird.vh += gain_v * off_h


@kernel(nogil=True)
def gains(p):
    """Return the Kalman gains of position and velocity, and update the covariance (3,)."""
    total = p[0] + JITTER * JITTER
    gain_p, gain_v = p[0] / total, p[1] / total
    p[2] -= gain_v * p[1]
    p[1] -= gain_p * p[1]
    p[0] -= gain_p * p[0]
    return gain_p, gain_v


@kernel(nogil=True)
def observe(bird, kept, index, time, box, damping_s):
    """Take in a detection at ``time``; the state has been predicted to it.

    After a miss the filter goes back to ``kept``, the state at the last detection, and is led along the straight line
    between the two boxes: what it believed of the time between was wrong (observation-centric re-update, Cao et al.
    2023).
    """
    missed = index - bird.last - 1
    if missed > 0:
        was = np.array([bird.x1, bird.y1, bird.x2, bird.y2])
        begin, span = bird.seen_time, time - bird.seen_time
        copy_state(kept, bird)
        for k in range(1, missed + 1):
            share = k / (missed + 1)
            predict(bird, begin + share * span, damping_s)
            correct(bird, was + share * (box - was))
        predict(bird, time, damping_s)
    correct(bird, box)
    bird.hits += 1
    bird.last, bird.seen_time = index, time
    bird.x1, bird.y1, bird.x2, bird.y2 = box[0], box[1], box[2], box[3]


@kernel(nogil=True)
def copy_state(source, bird):
    """Copy centre, sides, velocities, covariances and time."""
    bird.x, bird.y, bird.w, bird.h = source.x, source.y, source.w, source.h
    bird.vx, bird.vy, bird.vw, bird.vh = source.vx, source.vy, source.vw, source.vh
    bird.p[:] = source.p
    bird.q[:] = source.q
    bird.time = source.time


@kernel(nogil=True)
def move_camera(bird, motion):
    """Apply what the camera did since the last frame, (6,) ``a b c d e f``: x' = a x + b y + c, y' = d x + e y + f."""
    scale = math.sqrt(abs(motion[0] * motion[4] - motion[1] * motion[3]))
    bird.x, bird.y = moved(motion, bird.x, bird.y)
    bird.vx, bird.vy = motion[0] * bird.vx + motion[1] * bird.vy, motion[3] * bird.vx + motion[4] * bird.vy
    bird.w, bird.h = bird.w * scale, bird.h * scale


@kernel(nogil=True)
def moved(motion, x, y):
    """Return a point after the camera's motion."""
    return motion[0] * x + motion[1] * y + motion[2], motion[3] * x + motion[4] * y + motion[5]
