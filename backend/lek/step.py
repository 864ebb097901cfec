"""One step of the world: clocks, decisions, moves and poses of all birds. Compiled."""

import math

from backend.lek.arena import BOX_DEPTH_M
from backend.lek.behaviour import (
    BOX_STAY_S,
    DURATION,
    FLY_HEIGHT_M,
    GLANCE,
    PLACE_B,
    ahead_of_box,
    begin,
    beyond_picture,
    choose,
    give_way,
    meet,
    stronger,
)
from backend.lek.bird import POSES, Behaviour
from backend.project.kernels import kernel

GRID = 2.0**20  # the state is rounded to a millionth of its unit
WALK_MPS, RUN_MPS, FLY_MPS = 0.30, 1.15, 4.2
ARRIVED_M = 0.06
PERSONAL_M = 0.27  # birds that do not fight keep about this far apart
FIGHT_RADIUS_M = 0.115
STRIDE_M = 0.085


@kernel
def run(birds, temperament, arena, camera, rates, dt, draws, states):
    """Step ``birds`` (n,) BIRD once for each row of ``draws`` (frames, n, DRAWS), and keep each state in ``states``."""
    for frame in range(len(draws)):
        states[frame] = birds
        step(birds, temperament, arena, camera, rates, dt, draws[frame])


@kernel
def step(birds, temperament, arena, camera, rates, dt, draws):
    """Move the world on by ``dt`` seconds."""
    for bird in birds:
        bird.timer -= dt
        bird.since += dt
        bird.cooldown = max(0.0, bird.cooldown - dt)
    meet(birds, temperament, arena, rates, dt, draws)
    for i in range(len(birds)):
        if birds[i].timer <= 0.0:
            go_on(i, birds, temperament, arena, camera, rates, draws)
    for i in range(len(birds)):
        move(i, birds, arena, dt)
        hold(birds[i], dt, draws[i])
        snap(birds[i])


@kernel
def go_on(i, birds, temperament, arena, camera, rates, draws):
    """Let bird ``i`` end what it was doing and start what follows."""
    bird, draw = birds[i], draws[i]
    if bird.behaviour == Behaviour.FIGHT:
        winner = stronger(i, bird.partner, birds, temperament, draws)
        give_way(i + bird.partner - winner, winner, birds, arena, draws)
    elif bird.behaviour == Behaviour.TO_BOX and is_in_box(bird, arena):
        begin(bird, Behaviour.IN_BOX, BOX_STAY_S * (0.3 + 1.4 * draw[DURATION]))
    elif bird.behaviour == Behaviour.IN_BOX:
        begin(bird, Behaviour.FROM_BOX, 15.0)
        bird.target_x, bird.target_y = ahead_of_box(arena, BOX_DEPTH_M / 2 + 0.30)
    elif bird.behaviour == Behaviour.FLY_OUT:
        begin(bird, Behaviour.AWAY, -rates.away_mean_s * math.log(1.0 - draw[DURATION]))
    elif bird.behaviour == Behaviour.AWAY:
        come_back(i, birds, temperament, camera, draw)
    else:
        choose(i, birds, temperament, arena, camera, rates, draw)


@kernel
def come_back(i, birds, temperament, camera, draw):
    """Let bird ``i`` fly in from outside the picture to a spot near its home."""
    bird, me = birds[i], temperament[i]
    bird.x, bird.y = me.home_x, me.home_y
    start_x, start_y = beyond_picture(bird, camera, draw)
    angle, radius = 2.0 * math.pi * draw[DURATION], me.home_radius * draw[PLACE_B]
    begin(bird, Behaviour.FLY_IN, 30.0)
    bird.target_x, bird.target_y = me.home_x + radius * math.cos(angle), me.home_y + radius * math.sin(angle)
    bird.x, bird.y, bird.z, bird.speed = start_x, start_y, FLY_HEIGHT_M, FLY_MPS
    bird.heading = math.atan2(bird.target_y - start_y, bird.target_x - start_x)


@kernel
def move(i, birds, arena, dt):
    """Move bird ``i`` as its behaviour asks."""
    bird = birds[i]
    what = bird.behaviour
    if what == Behaviour.FIGHT:
        circle(bird, birds[bird.partner], i < bird.partner, dt)
    elif what == Behaviour.FLY_OUT or what == Behaviour.FLY_IN:
        fly(bird, dt)
    elif what == Behaviour.FLUTTER:
        bird.speed = 0.0
        bird.z = 0.22 * hop(bird.since, 0.62)
    elif what == Behaviour.AWAY or what == Behaviour.IN_BOX:
        bird.speed = 0.0
    else:
        bird.z = max(0.0, bird.z - 1.2 * dt)
        walk(i, birds, arena, dt)


@kernel
def walk(i, birds, arena, dt):
    """Walk or run towards the target, if there is one, and keep off others and the box."""
    bird = birds[i]
    what = bird.behaviour
    wanted = 0.0
    if what == Behaviour.WALK or what == Behaviour.TO_BOX or what == Behaviour.FROM_BOX:
        wanted = WALK_MPS
    elif what == Behaviour.CHASE:
        bird.target_x, bird.target_y = birds[bird.partner].x, birds[bird.partner].y
        wanted = RUN_MPS
    elif what == Behaviour.FLEE:
        wanted = 1.05 * RUN_MPS
    elif what == Behaviour.DISPLAY:
        bird.heading += 0.5 * bird.spin * dt * max(0.0, math.sin(2.1 * bird.since))
    dx, dy = bird.target_x - bird.x, bird.target_y - bird.y
    apart = math.sqrt(dx * dx + dy * dy)
    if wanted > 0.0:
        if apart < ARRIVED_M + 0.1 * (wanted > WALK_MPS):
            arrive(bird, arena)
            wanted = 0.0
        else:
            off = turn_to(bird, math.atan2(dy, dx), (4.0 if wanted == WALK_MPS else 10.0) * dt)
            wanted *= max(0.1, math.cos(min(off, 1.5))) * min(1.0, 0.35 + apart / 0.3)
    bird.speed += (wanted - bird.speed) * min(1.0, 8.0 * dt)
    if bird.speed < 0.01 and wanted == 0.0:
        bird.speed = 0.0
    pulse = 1.0 + 0.35 * math.sin(2.0 * bird.gait)  # a bird walks in pulses, one a step
    push_x, push_y = pressure(i, birds, arena)
    bird.x += (bird.speed * pulse * math.cos(bird.heading) + push_x) * dt
    bird.y += (bird.speed * pulse * math.sin(bird.heading) + push_y) * dt
    going = bird.speed + 0.7 * math.sqrt(push_x * push_x + push_y * push_y)
    bird.gait += math.pi * going / STRIDE_M * dt


@kernel
def arrive(bird, arena):
    """End a walk at its target: a box visit goes on through the door, everything else is over."""
    if bird.behaviour == Behaviour.TO_BOX and not is_in_box(bird, arena):
        bird.target_x, bird.target_y = arena.box_x, arena.box_y
    else:
        bird.timer = 0.0


@kernel
def is_in_box(bird, arena):
    """Return whether the bird has come to the middle of the nest box."""
    return abs(bird.x - arena.box_x) < 0.1 and abs(bird.y - arena.box_y) < 0.1


@kernel
def pressure(i, birds, arena):
    """Return the push, m/s, that keeps bird ``i`` off its neighbours and out of the box."""
    bird = birds[i]
    push_x = push_y = 0.0
    for j in range(len(birds)):
        other = birds[j]
        hidden = other.behaviour == Behaviour.AWAY or other.behaviour == Behaviour.IN_BOX
        if j == i or hidden or other.z > 0.2 or j == bird.partner:
            continue
        dx, dy = bird.x - other.x, bird.y - other.y
        apart = math.sqrt(dx * dx + dy * dy) + 1e-6
        if apart < PERSONAL_M:
            strength = 0.9 * (PERSONAL_M - apart) / PERSONAL_M
            push_x += strength * dx / apart
            push_y += strength * dy / apart
    what = bird.behaviour
    if not (what == Behaviour.TO_BOX or what == Behaviour.FROM_BOX):
        dx, dy = bird.x - arena.box_x, bird.y - arena.box_y
        apart = math.sqrt(dx * dx + dy * dy) + 1e-6
        if apart < 0.46:
            push_x += 1.6 * (0.46 - apart) / 0.46 * dx / apart
            push_y += 1.6 * (0.46 - apart) / 0.46 * dy / apart
    return push_x, push_y


@kernel
def circle(bird, other, leads, dt):
    """Circle around the middle of a fight, breast to breast, with jumps; the leader's angle decides for both."""
    angle = math.atan2(bird.y - bird.target_y, bird.x - bird.target_x)
    if not leads:
        angle = math.atan2(other.y - other.target_y, other.x - other.target_x) + math.pi
    angle += bird.spin * 1.4 * dt
    radius = FIGHT_RADIUS_M * (1.0 + 0.35 * math.sin(6.5 * bird.since))
    pull = min(1.0, 7.0 * dt)
    bird.x += (bird.target_x + radius * math.cos(angle) - bird.x) * pull
    bird.y += (bird.target_y + radius * math.sin(angle) - bird.y) * pull
    turn_to(bird, math.atan2(other.y - bird.y, other.x - bird.x), 9.0 * dt)
    bird.speed = 0.0
    bird.gait += 9.0 * dt
    bird.z = 0.16 * hop(bird.since + (0.0 if leads else 0.35), 0.8)
    if bird.timer < 0.25:
        bird.z = max(0.0, min(bird.z, bird.timer))


@kernel
def hop(seconds, period_s):
    """Return the height, 0 to 1, of a bird that jumps once a period and stands in between."""
    share = (seconds / period_s) % 1.0 / 0.7
    return max(0.0, 4.0 * share * (1.0 - share))


@kernel
def fly(bird, dt):
    """Fly to the target: crouch, climb and leave, or come in, sink and land."""
    dx, dy = bird.target_x - bird.x, bird.target_y - bird.y
    apart = math.sqrt(dx * dx + dy * dy)
    turn_to(bird, math.atan2(dy, dx), 7.0 * dt)
    if bird.behaviour == Behaviour.FLY_OUT:
        ready = bird.since > 0.3
        bird.speed = min(FLY_MPS, bird.speed + 5.0 * dt) if ready else 0.0
        bird.z = min(FLY_HEIGHT_M, bird.z + (1.0 * dt if ready else 0.0))
    else:
        bird.speed = min(FLY_MPS, 0.5 + 2.6 * apart)
        bird.z = min(bird.z, 0.02 + 0.42 * apart)
    bird.x += bird.speed * dt * math.cos(bird.heading)
    bird.y += bird.speed * dt * math.sin(bird.heading)
    if apart < max(ARRIVED_M, 1.2 * bird.speed * dt):
        bird.timer = 0.0
        bird.speed = 0.0
        bird.z = 0.0


@kernel
def turn_to(bird, heading, most):
    """Turn towards ``heading`` by at most ``most`` and return how far off it was."""
    off = (heading - bird.heading + math.pi) % (2.0 * math.pi) - math.pi
    bird.heading = (bird.heading + max(-most, min(most, off))) % (2.0 * math.pi)
    return abs(off)


@kernel
def hold(bird, dt, draw):
    """Let the pose follow the behaviour, with what makes it alive: glances, pecks, strokes, shivers, wing beats."""
    what = bird.behaviour
    pose = POSES[what]
    if draw[GLANCE] < 0.9 * dt:
        bird.glance = 2.2 * (draw[GLANCE] / (0.9 * dt) - 0.5)
    lean, bill, turn, wings, pitch = pose[3], pose[4], pose[5] + bird.glance, pose[7], pose[1]
    if what == Behaviour.FEED:
        dip = math.sin(6.5 * bird.since)
        lean, bill, turn = lean + 0.35 * dip, bill + 0.15 * dip, 0.3 * bird.glance
    elif what == Behaviour.PREEN:
        turn = pose[5] * bird.spin + 0.25 * math.sin(5.0 * bird.since)
        bill += 0.2 * math.sin(11.0 * bird.since)
    elif what == Behaviour.DISPLAY:
        turn = 0.15 * bird.glance
        pitch += 0.05 * math.sin(19.0 * bird.since) * (math.sin(1.3 * bird.since) > 0.3)
    elif what == Behaviour.FLUTTER or what == Behaviour.FIGHT:
        turn = 0.2 * bird.glance
        wings = wings if bird.z > 0.02 else 0.35 * wings
    elif what >= Behaviour.TO_BOX:
        turn = 0.2 * bird.glance
    slow, fast = min(1.0, 5.0 * dt), min(1.0, 11.0 * dt)
    bird.crouch += (pose[0] - bird.crouch) * slow
    bird.pitch += (pitch - bird.pitch) * slow
    bird.neck += (pose[2] - bird.neck) * slow
    bird.lean += (lean - bird.lean) * fast
    bird.bill += (bill - bird.bill) * fast
    bird.head_turn += (turn - bird.head_turn) * fast
    bird.ruff += (pose[6] - bird.ruff) * slow
    bird.wings += (wings - bird.wings) * fast
    bird.tail += (pose[8] - bird.tail) * slow
    bird.flap = (bird.flap + 2.0 * math.pi * 7.3 * dt) % (2.0 * math.pi)


@kernel
def snap(bird):
    """Round what carries on from step to step, so that rounding errors of a machine's sines do not."""
    bird.x = round(bird.x * GRID) / GRID
    bird.y = round(bird.y * GRID) / GRID
    bird.z = round(bird.z * GRID) / GRID
    bird.heading = round(bird.heading * GRID) / GRID
    bird.speed = round(bird.speed * GRID) / GRID
    bird.gait = round((bird.gait % (2.0 * math.pi)) * GRID) / GRID
    bird.timer = round(bird.timer * GRID) / GRID
    bird.since = round(bird.since * GRID) / GRID
