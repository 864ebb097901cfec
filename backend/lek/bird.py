"""State of one bird: behaviour, position, pose. Plain records for the kernels."""

from enum import IntEnum
from typing import NamedTuple

import numpy as np


class Behaviour(IntEnum):
    """What a bird is doing; exactly one at a time."""

    STAND = 0
    WALK = 1
    FEED = 2
    PREEN = 3
    REST = 4
    DISPLAY = 5  # squatting, ruff spread, bill down
    FLUTTER = 6  # jump with beating wings
    TO_BOX = 7
    FLY_OUT = 8
    IN_BOX = 9
    FROM_BOX = 10
    AWAY = 11  # outside the picture
    FLY_IN = 12
    FIGHT = 13
    CHASE = 14
    FLEE = 15


N_CHOICES = 9  # STAND to FLY_OUT are chosen, the others follow from something

# Moves and pose of one bird. Angles in radians; lengths in metres; shares from 0 to 1.
BIRD = np.dtype(
    [
        ("x", "f8"),  # ground point
        ("y", "f8"),
        ("z", "f8"),  # height of the feet above the ground
        ("heading", "f8"),  # 0 towards +x, counter-clockwise seen from above
        ("speed", "f8"),
        ("behaviour", "i8"),
        ("partner", "i8"),  # index of the other bird in FIGHT, CHASE, FLEE; -1: none
        ("timer", "f8"),  # s until the behaviour ends
        ("since", "f8"),  # s since it began
        ("cooldown", "f8"),  # s until it may fight again
        ("target_x", "f8"),
        ("target_y", "f8"),
        ("spin", "f8"),  # +1 or -1: the way it circles in a fight, or turns in display
        ("gait", "f8"),  # angle of the step cycle
        ("flap", "f8"),  # angle of the wing beat
        ("glance", "f8"),  # where the head wants to turn
        ("crouch", "f8"),  # 0 legs straight, 1 belly on the ground
        ("pitch", "f8"),  # of the body axis, breast up is positive
        ("neck", "f8"),  # 0 drawn in, 1 stretched
        ("lean", "f8"),  # of the neck above the horizontal
        ("bill", "f8"),  # of the bill above the horizontal
        ("head_turn", "f8"),  # to the left of the body axis
        ("ruff", "f8"),  # 0 flat, 1 fully spread
        ("wings", "f8"),  # 0 folded, 1 open
        ("tail", "f8"),  # 0 closed, 1 fanned
    ],
    align=True,
)

# What stays with a bird for life.
TEMPERAMENT = np.dtype(
    [
        ("home_x", "f8"),
        ("home_y", "f8"),
        ("home_radius", "f8"),
        ("size", "f8"),  # 1 = 30 cm from bill to tail
        ("rank", "f8"),  # the higher wins more often
        ("boldness", "f8"),  # factor on approaching others
        ("wander", "f8"),  # share of walks across the whole lek
        ("taste", "f8", (N_CHOICES,)),  # factor on each behaviour that is chosen
    ],
    align=True,
)


class Pose(NamedTuple):
    """What a behaviour pulls the pose towards; the units of `BIRD`."""

    crouch: float
    pitch: float
    neck: float
    lean: float
    bill: float
    head_turn: float
    ruff: float
    wings: float
    tail: float


_POSES = {
    Behaviour.STAND: Pose(0.00, 0.22, 0.55, 1.15, -0.10, 0.0, 0.22, 0.0, 0.0),
    Behaviour.WALK: Pose(0.00, 0.08, 0.40, 0.95, -0.10, 0.0, 0.18, 0.0, 0.0),
    Behaviour.FEED: Pose(0.12, -0.30, 0.75, -0.55, -1.15, 0.0, 0.10, 0.0, 0.0),
    Behaviour.PREEN: Pose(0.10, 0.10, 0.35, 1.05, -0.75, 2.2, 0.15, 0.0, 0.2),
    Behaviour.REST: Pose(0.95, 0.08, 0.00, 1.00, -0.05, 0.0, 0.18, 0.0, 0.0),
    Behaviour.DISPLAY: Pose(0.72, -0.16, 0.20, 0.15, -0.95, 0.0, 1.00, 0.06, 0.8),
    Behaviour.FLUTTER: Pose(0.00, 0.55, 0.50, 0.90, 0.05, 0.0, 0.85, 1.0, 0.8),
    Behaviour.TO_BOX: Pose(0.10, 0.02, 0.40, 0.80, -0.10, 0.0, 0.12, 0.0, 0.0),
    Behaviour.FLY_OUT: Pose(0.00, 0.14, 0.25, 0.25, -0.05, 0.0, 0.05, 1.0, 0.4),
    Behaviour.IN_BOX: Pose(0.60, 0.05, 0.20, 0.90, -0.10, 0.0, 0.12, 0.0, 0.0),
    Behaviour.FROM_BOX: Pose(0.10, 0.02, 0.40, 0.80, -0.10, 0.0, 0.12, 0.0, 0.0),
    Behaviour.AWAY: Pose(0.00, 0.10, 0.30, 0.50, -0.10, 0.0, 0.05, 1.0, 0.4),
    Behaviour.FLY_IN: Pose(0.00, 0.25, 0.25, 0.35, -0.15, 0.0, 0.05, 1.0, 0.7),
    Behaviour.FIGHT: Pose(0.08, 0.42, 0.60, 0.85, -0.10, 0.0, 0.95, 0.85, 0.6),
    Behaviour.CHASE: Pose(0.10, -0.12, 0.75, 0.25, 0.00, 0.0, 0.80, 0.05, 0.2),
    Behaviour.FLEE: Pose(0.12, -0.06, 0.55, 0.55, 0.00, 0.0, 0.05, 0.10, 0.1),
}
POSES = np.array([_POSES[behaviour] for behaviour in Behaviour])  # (16, 9) float64
