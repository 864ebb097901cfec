"""Behaviour of the birds: choice of the next behaviour, fights and displacements. Compiled."""

import math
from typing import NamedTuple

from backend.lek.arena import BOX_DEPTH_M
from backend.lek.bird import N_CHOICES, Behaviour
from backend.lek.camera import project
from backend.project.kernels import kernel


class Rates(NamedTuple):
    """The part of `Difficulty` that birds live by."""

    fight: float  # per second of a pair within reach
    displace: float
    approach: float
    flight: float
    away_mean_s: float
    box: float
    box_room: int


# One uniform number for each use a step can have for one bird.
CHOICE, DURATION, PLACE_A, PLACE_B, MEET_A, MEET_B, OUTCOME, GLANCE = range(8)
DRAWS = 8

FLY_HEIGHT_M, WING_M = 0.55, 0.35
TERRITORY_M = 0.9  # a bird goes to meet others that come so near to its home
REACH_M = 0.45  # birds closer than this may fight or give way
LONGEST_WALK_S = 8.0
BOX_STAY_S = 12.0
BASE_WEIGHTS = (3.0, 4.5, 1.5, 1.2, 0.5, 2.2, 0.6)  # STAND to FLUTTER
MEAN_S = (2.5, LONGEST_WALK_S, 4.0, 5.0, 10.0, 4.0, 1.3)


@kernel
def begin(bird, behaviour, seconds, partner=-1):
    """Let ``bird`` start something."""
    bird.behaviour = behaviour
    bird.timer = seconds
    bird.since = 0.0
    bird.partner = partner


@kernel
def choose(i, birds, temperament, arena, camera, rates, draw):
    """Let bird ``i``, which is free, choose among STAND to FLY_OUT."""
    me = temperament[i]
    room = rates.box_room - box_users(birds)
    total = 0.0
    for pick in range(N_CHOICES):
        total += me.taste[pick] * weight(pick, rates, room)
    left = draw[CHOICE] * total
    chosen = Behaviour.STAND
    for pick in range(N_CHOICES):
        left -= me.taste[pick] * weight(pick, rates, room)
        if left <= 0.0:
            chosen = pick
            break
    if chosen == Behaviour.TO_BOX:
        begin(birds[i], chosen, 25.0)
        birds[i].target_x, birds[i].target_y = ahead_of_box(arena, BOX_DEPTH_M / 2 + 0.22)
    elif chosen == Behaviour.FLY_OUT:
        begin(birds[i], chosen, 30.0)
        birds[i].target_x, birds[i].target_y = beyond_picture(birds[i], camera, draw)
    elif chosen == Behaviour.WALK:
        begin(birds[i], chosen, LONGEST_WALK_S)
        walk_target(i, birds, temperament, arena, rates, draw)
    else:
        begin(birds[i], chosen, MEAN_S[chosen] * (0.4 + 1.2 * draw[DURATION]))
    birds[i].spin = 1.0 if draw[OUTCOME] < 0.5 else -1.0


@kernel
def weight(pick, rates, room):
    """Return how likely a behaviour is chosen, before taste."""
    if pick == Behaviour.TO_BOX:
        return rates.box * 14.0 if room > 0 else 0.0
    if pick == Behaviour.FLY_OUT:
        return rates.flight * 14.0
    return BASE_WEIGHTS[pick]


@kernel
def box_users(birds):
    """Return how many birds are in the box or on their way in or out."""
    users = 0
    for bird in birds:
        inside = bird.behaviour == Behaviour.IN_BOX or bird.behaviour == Behaviour.FROM_BOX
        users += inside or bird.behaviour == Behaviour.TO_BOX
    return users


@kernel
def ahead_of_box(arena, metres):
    """Return the ground point ``metres`` out of the door from the centre of the box."""
    return arena.box_x + arena.box_dx * metres, arena.box_y + arena.box_dy * metres


@kernel
def walk_target(i, birds, temperament, arena, rates, draw):
    """Choose where bird ``i`` walks: to one that came near its home, across the lek, or about its home."""
    me, bird = temperament[i], birds[i]
    angle = 2.0 * math.pi * draw[PLACE_A]
    if draw[OUTCOME] < rates.approach * me.boldness:
        other = nearest_free(i, birds, me.home_x, me.home_y, TERRITORY_M)
        if other >= 0:
            bird.target_x = birds[other].x + 0.22 * math.cos(angle)
            bird.target_y = birds[other].y + 0.22 * math.sin(angle)
            return
    if draw[DURATION] < me.wander:
        radius = 0.95 * math.sqrt(draw[PLACE_B])
        bird.target_x = arena.x + arena.half_x * radius * math.cos(angle)
        bird.target_y = arena.y + arena.half_y * radius * math.sin(angle)
    else:
        radius = me.home_radius * (0.2 + 1.3 * draw[PLACE_B])
        bird.target_x = me.home_x + radius * math.cos(angle)
        bird.target_y = me.home_y + radius * math.sin(angle)


@kernel
def beyond_picture(bird, camera, draw):
    """Return a ground point outside the picture, on a straight way from the bird that favours the sides."""
    angle = math.pi * (2.0 * draw[PLACE_A])
    dx, dy = math.cos(angle), 0.6 * math.sin(angle)
    reach = 0.0
    for _ in range(200):
        reach += 0.15
        x, y = bird.x + dx * reach, bird.y + dy * reach
        column, bottom, distance = project(camera, x, y, FLY_HEIGHT_M - 0.1)
        top = project(camera, x, y + WING_M, FLY_HEIGHT_M + WING_M)[1]  # of a wing that reaches into the picture
        margin = 1.3 * WING_M * camera.focal / distance
        if column < -margin or column > camera.width + margin or bottom < 0.0 or top > camera.height:
            break
    return bird.x + dx * reach, bird.y + dy * reach


@kernel
def is_free(bird):
    """Return whether the bird can be met: on the ground, in sight, not bound to another."""
    return bird.behaviour <= Behaviour.DISPLAY and bird.z == 0.0


@kernel
def nearest_free(i, birds, x, y, within_m):
    """Return the bird, other than ``i``, that is nearest to a point and can be met; -1 where there is none."""
    best, found = within_m * within_m, -1
    for j in range(len(birds)):
        if j != i and is_free(birds[j]):
            apart = (birds[j].x - x) ** 2 + (birds[j].y - y) ** 2
            if apart < best:
                best, found = apart, j
    return found


@kernel
def meet(birds, temperament, arena, rates, dt, draws):
    """Let pairs within reach fight, or one give way to the other."""
    for i in range(len(birds)):
        for j in range(i + 1, len(birds)):
            if abs(birds[i].x - birds[j].x) > REACH_M or abs(birds[i].y - birds[j].y) > REACH_M:
                continue
            if not (is_free(birds[i]) and is_free(birds[j])) or birds[i].cooldown > 0 or birds[j].cooldown > 0:
                continue
            chance = (draws[i, MEET_A] + draws[j, MEET_B]) % 1.0
            keen = 0.5 * (temperament[i].boldness + temperament[j].boldness) * dt
            if chance < rates.fight * keen:
                start_fight(i, j, birds, draws)
            elif chance < (rates.fight + rates.displace) * keen:
                winner = stronger(i, j, birds, temperament, draws)
                give_way(i + j - winner, winner, birds, arena, draws)


@kernel
def start_fight(i, j, birds, draws):
    """Let two birds fight around the point between them for one to seven seconds."""
    seconds = 1.0 + 6.0 * draws[i, DURATION]
    x, y = 0.5 * (birds[i].x + birds[j].x), 0.5 * (birds[i].y + birds[j].y)
    spin = 1.0 if draws[i, OUTCOME] < 0.5 else -1.0
    for one, other in ((i, j), (j, i)):
        begin(birds[one], Behaviour.FIGHT, seconds, other)
        birds[one].target_x, birds[one].target_y, birds[one].spin = x, y, spin


@kernel
def stronger(i, j, birds, temperament, draws):
    """Return which of two birds wins: rank counts, and so does being at home."""
    edge = temperament[i].rank - temperament[j].rank
    for one, sign in ((i, 1.0), (j, -1.0)):
        me = temperament[one]
        away = math.sqrt((birds[one].x - me.home_x) ** 2 + (birds[one].y - me.home_y) ** 2)
        edge -= sign * 0.5 * away
    return i if draws[i, OUTCOME] < 1.0 / (1.0 + math.exp(-3.0 * edge)) else j


@kernel
def give_way(loser, winner, birds, arena, draws):
    """Let ``loser`` run from ``winner``, who follows it, takes its place or displays."""
    lost, won = birds[loser], birds[winner]
    angle = math.atan2(lost.y - won.y, lost.x - won.x) + 1.6 * (draws[loser, PLACE_A] - 0.5)
    run_m = 0.7 + 0.9 * draws[loser, PLACE_B]
    place_x, place_y = lost.x, lost.y
    begin(lost, Behaviour.FLEE, 2.5, winner)
    lost.target_x, lost.target_y = into_lek(arena, lost.x + run_m * math.cos(angle), lost.y + run_m * math.sin(angle))
    if draws[winner, CHOICE] < 0.4:
        begin(won, Behaviour.CHASE, 0.6 + 1.4 * draws[winner, DURATION], loser)
    elif draws[winner, CHOICE] < 0.8:
        begin(won, Behaviour.WALK, LONGEST_WALK_S)
        won.target_x, won.target_y = place_x, place_y
    else:
        begin(won, Behaviour.DISPLAY, 2.0 + 3.0 * draws[winner, DURATION])
    lost.cooldown = won.cooldown = 6.0


@kernel
def into_lek(arena, x, y):
    """Return the point, drawn in to the rim of the lek where it lies outside."""
    u, v = (x - arena.x) / arena.half_x, (y - arena.y) / arena.half_y
    reach = math.sqrt(u * u + v * v)
    if reach <= 1.0:
        return x, y
    return arena.x + (x - arena.x) / reach, arena.y + (y - arena.y) / reach
