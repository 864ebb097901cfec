"""Moves of the search for who is who: exact redistribution of the tracklets of two birds, or of one bird and nobody.

Both are dynamic programmes over the tracklets in order of time. Forward they sum (or maximise) over all ways to
share them out; backward one way is drawn with its probability (or the best one is taken).
"""

import math

import numpy as np

from backend.project.kernels import kernel
from backend.tracking.linking.motion_model import linked

NOBODY = -1
HOPE_NATS = 25.0  # what is less likely than the best by more than this is given up
LINK_MOST = 15.0  # nats, more than any link is worth


@kernel(nogil=True)
def add_logs(a, b):
    """Return log(exp(a) + exp(b))."""
    if a == -np.inf:
        return b
    if b == -np.inf:
        return a
    return max(a, b) + math.log1p(math.exp(-abs(a - b)))


@kernel(nogil=True)
def share_between(items, birds, before, after, fit, ends, cold, best, chance, who):
    """Share the tracklets ``items`` (by first frame) of two birds out between them anew.

    Parameters
    ----------
    items
        (K,) int64.
    birds
        (2,) int64.
    before, after
        (2,) int64, the tracklets of the two birds before and after ``items``, which stay; -1: none.
    fit
        (M, N + 1) float64, log likelihood of each tracklet's appearance for each bird.
    ends
        `Ends`.
    cold
        Inverse temperature.
    best
        Whether the best way is taken instead of drawing one.
    chance
        (K + 1,) float64 uniform in [0, 1).
    who
        (M,) int64, changed in place: the bird of each tracklet.

    Returns
    -------
    bool
        Whether anything changed.
    """
    # reach[s, k, j]: item k goes to bird s, and the other bird was last seen as item j - 1 (j = 0: before them all)
    reach, low = share_forward(items, birds, before, fit, ends, cold, best)
    k = len(items) - 1
    for s in range(2):
        for j in range(low[k], k + 1):
            other = items[j - 1] if j > 0 else before[1 - s]
            reach[s, k, j] += cold * (linked(ends, items[k], after[s]) + linked(ends, other, after[1 - s]))
    s, j = pick_last(reach, k, best, chance[k + 1])
    if s < 0:
        return False
    changed = False
    while k >= 0:
        changed = changed or who[items[k]] != birds[s]
        who[items[k]] = birds[s]
        if j == k and k > 0:  # the other bird holds item k - 1: choose where this one was last
            j = pick_change(reach[1 - s, k - 1], low[k], k, items, before[s], ends, cold, best, chance[k])
            s = 1 - s
        k -= 1
    return changed


@kernel(nogil=True)
def share_forward(items, birds, before, fit, ends, cold, best):
    """Return ``reach`` (2, K, K + 1) of `share_between` and the first column of each row that was looked at, (K,)."""
    count = len(items)
    reach = np.full((2, count, count + 1), -np.inf)
    low = np.zeros(count, np.int64)
    for s in range(2):
        reach[s, 0, 0] = cold * (linked(ends, before[s], items[0]) + fit[items[0], birds[s]])
    start = 0
    for k in range(1, count):
        item = items[k]
        same = cold * linked(ends, items[k - 1], item)
        for s in range(2):
            own = cold * fit[item, birds[s]]
            change = -np.inf
            for j in range(start, k):
                reach[s, k, j] = reach[s, k - 1, j] + same + own
                value = reach[1 - s, k - 1, j]
                if value > -np.inf:
                    value += cold * linked(ends, items[j - 1] if j > 0 else before[s], item)
                    change = max(change, value) if best else add_logs(change, value)
            reach[s, k, k] = change + own
        low[k] = start
        start = forget(reach, k, start)
    return reach, low


@kernel(nogil=True)
def forget(reach, k, start):
    """Drop what is beyond hope in row k; return the first column that is left."""
    top = -np.inf
    for s in range(2):
        for j in range(start, k + 1):
            top = max(top, reach[s, k, j])
    first = k
    for j in range(k, start - 1, -1):
        for s in range(2):
            if reach[s, k, j] < top - HOPE_NATS:
                reach[s, k, j] = -np.inf
            else:
                first = j
    return first


@kernel(nogil=True)
def pick_last(reach, k, best, left):
    """Return side and column of row k, the best or drawn by weight; -1 and -1 where there is no way."""
    total, top = -np.inf, -np.inf
    top_s, top_j = -1, -1
    for s in range(2):
        for j in range(k + 1):
            total = add_logs(total, reach[s, k, j])
            if reach[s, k, j] > top:
                top, top_s, top_j = reach[s, k, j], s, j
    if best or top_s < 0:
        return top_s, top_j
    for s in range(2):
        for j in range(k + 1):
            left -= math.exp(reach[s, k, j] - total)
            if left < 0.0:
                return s, j
    return top_s, top_j


@kernel(nogil=True)
def pick_change(row, low, k, items, before, ends, cold, best, left):
    """Return the column of ``row`` from which item k is reached by the bird that was last seen there."""
    total, top, pick = -np.inf, -np.inf, -1
    for j in range(low, k):
        if row[j] > -np.inf:
            value = row[j] + cold * linked(ends, items[j - 1] if j > 0 else before, items[k])
            total = add_logs(total, value)
            if value > top:
                top, pick = value, j
    if best:
        return pick
    for j in range(low, k):
        if row[j] > -np.inf:
            value = row[j] + cold * linked(ends, items[j - 1] if j > 0 else before, items[k])
            left -= math.exp(value - total)
            if left < 0.0:
                return j
    return pick


@kernel(nogil=True)
def take_or_leave(items, bird, before, after, fit, ends, cold, best, chance, who):
    """Let ``bird`` choose anew among ``items``, its own tracklets and those of nobody; see `share_between`.

    The fit of a tracklet that is left is in the last column of ``fit``.
    """
    count, nobody = len(items), fit.shape[1] - 1
    reach = np.full(count + 1, -np.inf)  # reach[k]: item k is taken; at the end: what comes after
    for k in range(count + 1):
        item = after if k == count else items[k]
        gain = 0.0 if k == count else cold * (fit[item, bird] - fit[item, nobody])
        total = cold * linked(ends, before, item)
        for i in range(k - 1, -1, -1):
            if reach[i] > total - HOPE_NATS - cold * LINK_MOST:
                value = reach[i] + cold * linked(ends, items[i], item)
                total = max(total, value) if best else add_logs(total, value)
        reach[k] = total + gain
    changed = False
    k = count
    while k >= 0:
        pick = pick_before(reach, k, items, before, after if k == count else items[k], ends, cold, best, chance[k])
        for i in range(pick + 1, k):
            changed = changed or who[items[i]] != NOBODY
            who[items[i]] = NOBODY
        if pick >= 0:
            changed = changed or who[items[pick]] != bird
            who[items[pick]] = bird
        k = pick
    return changed


@kernel(nogil=True)
def pick_before(reach, k, items, before, item, ends, cold, best, left):
    """Return the item that is taken last before item k, -1 for none of them."""
    none = cold * linked(ends, before, item)
    total, top, pick = none, none, -1
    for i in range(k - 1, -1, -1):
        if reach[i] > total - HOPE_NATS - cold * LINK_MOST:
            value = reach[i] + cold * linked(ends, items[i], item)
            total = add_logs(total, value)
            if value > top:
                top, pick = value, i
    if best:
        return pick
    left -= math.exp(none - total)
    if left < 0.0:
        return -1
    for i in range(k - 1, -1, -1):
        if reach[i] > total - HOPE_NATS - cold * LINK_MOST:
            left -= math.exp(reach[i] + cold * linked(ends, items[i], item) - total)
            if left < 0.0:
                return i
    return pick


@kernel(nogil=True)
def neighbours(who, items, begin, end, bird):
    """Return the last tracklet of ``bird`` in ``items`` before ``begin`` and the first from ``end`` on; -1: none."""
    before = after = -1
    for k in range(begin - 1, -1, -1):
        if who[items[k]] == bird:
            before = items[k]
            break
    for k in range(end, len(items)):
        if who[items[k]] == bird:
            after = items[k]
            break
    return before, after


@kernel(nogil=True)
def sweep(order, fit, ends, cold, best, window, offsets, chance, who):
    """Do the moves ``order`` (n, 2) int64: pairs of birds, the second -1 for one bird and nobody.

    Tracklets are numbered by first frame. A move looks at ``window`` tracklets at a time, the first window beginning
    at a share ``offsets`` (n,) of a window. ``chance`` is (M + 1,) uniform, used from a shifting place.
    """
    at, size = 0, len(chance)
    before, after = np.empty(2, np.int64), np.empty(2, np.int64)
    for move in range(len(order)):
        a, b = order[move]
        items = np.flatnonzero((who == a) | (who == b))
        begin = 0
        end = max(1, int(window * offsets[move])) if len(items) > window else window
        while begin < len(items):
            end = min(end, len(items))
            part = items[begin:end]
            before[0], after[0] = neighbours(who, items, begin, end, a)
            before[1], after[1] = neighbours(who, items, begin, end, b)
            numbers = np.empty(len(part) + 1)
            for k in range(len(numbers)):
                numbers[k] = chance[(at + k) % size]
            at += len(numbers)
            if b == NOBODY:
                take_or_leave(part, a, before[0], after[0], fit, ends, cold, best, numbers, who)
            else:
                share_between(part, order[move], before, after, fit, ends, cold, best, numbers, who)
            begin, end = end, end + window
