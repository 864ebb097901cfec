"""Gibbs moves of linking: resample the segments of two birds jointly, or those of one bird and the unassigned ones.

Both moves are forward filtering, backward sampling (Carter and Kohn 1994, doi 10.1093/biomet/81.3.541) over the
segments in order of time. The forward pass sums over all assignments, the backward pass draws one with its posterior
probability; with ``maximise`` they take the best one instead (Viterbi).
"""

import math

import numpy as np

from backend.project.kernels import kernel
from backend.tracking.linking.link_cost import transition_score

UNASSIGNED = -1
PRUNE_NATS = 25.0  # states less likely than the best by more than this are pruned
MAX_LINK_NATS = 15.0  # more than any link score


@kernel(nogil=True)
def add_logs(a, b):
    """Return log(exp(a) + exp(b))."""
    if a == -np.inf:
        return b
    if b == -np.inf:
        return a
    return max(a, b) + math.log1p(math.exp(-abs(a - b)))


@kernel(nogil=True)
def resample_pair(items, birds, before, after, loglik, endpoints, beta, maximise, uniforms, ids):
    """Assign the segments ``items`` (by first frame) of two birds to these two anew.

    Parameters
    ----------
    items
        (K,) int64.
    birds
        (2,) int64.
    before, after
        (2,) int64, the segments of the two birds before and after ``items``, which stay; -1: none.
    loglik
        (M, N + 1) float64, log-likelihood, nats, of each segment's embedding for each bird; last column: unassigned.
    endpoints
        `Endpoints`.
    beta
        Inverse temperature: all nats are multiplied by it; 1 samples the posterior.
    maximise
        Whether to take the best assignment instead of drawing one.
    uniforms
        (K + 1,) float64, uniform random numbers in [0, 1).
    ids
        (M,) int64, changed in place: the bird of each segment.

    Returns
    -------
    bool
        Whether anything changed.
    """
    # forward[s, k, j]: item k is bird s; the last item of the other bird is j - 1 (j = 0: none of them)
    forward, low = forward_pass(items, birds, before, loglik, endpoints, beta, maximise)
    k = len(items) - 1
    for s in range(2):
        for j in range(low[k], k + 1):
            other = items[j - 1] if j > 0 else before[1 - s]
            forward[s, k, j] += beta * (
                transition_score(endpoints, items[k], after[s]) + transition_score(endpoints, other, after[1 - s])
            )
    s, j = choose_last(forward, k, maximise, uniforms[k + 1])
    if s < 0:
        return False
    changed = False
    while k >= 0:
        changed = changed or ids[items[k]] != birds[s]
        ids[items[k]] = birds[s]
        if j == k and k > 0:  # the other bird has item k - 1: choose this bird's previous item
            j = choose_switch(
                forward[1 - s, k - 1], low[k], k, items, before[s], endpoints, beta, maximise, uniforms[k]
            )
            s = 1 - s
        k -= 1
    return changed


@kernel(nogil=True)
def forward_pass(items, birds, before, loglik, endpoints, beta, maximise):
    """Return ``forward`` (2, K, K + 1) of `resample_pair` and the first column of each row that is not pruned, (K,)."""
    count = len(items)
    forward = np.full((2, count, count + 1), -np.inf)
    low = np.zeros(count, np.int64)
    for s in range(2):
        forward[s, 0, 0] = beta * (transition_score(endpoints, before[s], items[0]) + loglik[items[0], birds[s]])
    start = 0
    for k in range(1, count):
        item = items[k]
        same = beta * transition_score(endpoints, items[k - 1], item)
        for s in range(2):
            own = beta * loglik[item, birds[s]]
            change = -np.inf
            for j in range(start, k):
                forward[s, k, j] = forward[s, k - 1, j] + same + own
                value = forward[1 - s, k - 1, j]
                if value > -np.inf:
                    value += beta * transition_score(endpoints, items[j - 1] if j > 0 else before[s], item)
                    change = max(change, value) if maximise else add_logs(change, value)
            forward[s, k, k] = change + own
        low[k] = start
        start = prune(forward, k, start)
    return forward, low


@kernel(nogil=True)
def prune(forward, k, start):
    """Prune states of row k that are less likely by `PRUNE_NATS`; return the first column that is left."""
    top = -np.inf
    for s in range(2):
        for j in range(start, k + 1):
            top = max(top, forward[s, k, j])
    first = k
    for j in range(k, start - 1, -1):
        for s in range(2):
            if forward[s, k, j] < top - PRUNE_NATS:
                forward[s, k, j] = -np.inf
            else:
                first = j
    return first


@kernel(nogil=True)
def choose_last(forward, k, maximise, uniform):
    """Return bird (0 or 1) and column of row k, the best or drawn by weight; -1 and -1 if none is possible."""
    total, top = -np.inf, -np.inf
    top_s, top_j = -1, -1
    for s in range(2):
        for j in range(k + 1):
            total = add_logs(total, forward[s, k, j])
            if forward[s, k, j] > top:
                top, top_s, top_j = forward[s, k, j], s, j
    if maximise or top_s < 0:
        return top_s, top_j
    for s in range(2):
        for j in range(k + 1):
            uniform -= math.exp(forward[s, k, j] - total)
            if uniform < 0.0:
                return s, j
    return top_s, top_j


@kernel(nogil=True)
def choose_switch(row, low, k, items, before, endpoints, beta, maximise, uniform):
    """Return the column of ``row`` from which item k is reached: it tells the previous item of the same bird."""
    total, top, pick = -np.inf, -np.inf, -1
    for j in range(low, k):
        if row[j] > -np.inf:
            value = row[j] + beta * transition_score(endpoints, items[j - 1] if j > 0 else before, items[k])
            total = add_logs(total, value)
            if value > top:
                top, pick = value, j
    if maximise:
        return pick
    for j in range(low, k):
        if row[j] > -np.inf:
            value = row[j] + beta * transition_score(endpoints, items[j - 1] if j > 0 else before, items[k])
            uniform -= math.exp(value - total)
            if uniform < 0.0:
                return j
    return pick


@kernel(nogil=True)
def resample_bird(items, bird, before, after, loglik, endpoints, beta, maximise, uniforms, ids):
    """Assign ``items``, the segments of ``bird`` and the unassigned ones, to it or to none; see `resample_pair`.

    The log-likelihood of an unassigned segment is in the last column of ``loglik``.
    """
    count, unassigned_column = len(items), loglik.shape[1] - 1
    forward = np.full(count + 1, -np.inf)  # forward[k]: item k is the bird's; forward[count]: ``after``
    for k in range(count + 1):
        item = after if k == count else items[k]
        gain = 0.0 if k == count else beta * (loglik[item, bird] - loglik[item, unassigned_column])
        total = beta * transition_score(endpoints, before, item)
        for i in range(k - 1, -1, -1):
            if forward[i] > total - PRUNE_NATS - beta * MAX_LINK_NATS:
                value = forward[i] + beta * transition_score(endpoints, items[i], item)
                total = max(total, value) if maximise else add_logs(total, value)
        forward[k] = total + gain
    changed = False
    k = count
    while k >= 0:
        pick = choose_predecessor(
            forward, k, items, before, after if k == count else items[k], endpoints, beta, maximise, uniforms[k]
        )
        for i in range(pick + 1, k):
            changed = changed or ids[items[i]] != UNASSIGNED
            ids[items[i]] = UNASSIGNED
        if pick >= 0:
            changed = changed or ids[items[pick]] != bird
            ids[items[pick]] = bird
        k = pick
    return changed


@kernel(nogil=True)
def choose_predecessor(forward, k, items, before, item, endpoints, beta, maximise, uniform):
    """Return the bird's previous item before item k, the best or drawn by weight; -1 for none of them."""
    first_score = beta * transition_score(endpoints, before, item)
    total, top, pick = first_score, first_score, -1
    for i in range(k - 1, -1, -1):
        if forward[i] > total - PRUNE_NATS - beta * MAX_LINK_NATS:
            value = forward[i] + beta * transition_score(endpoints, items[i], item)
            total = add_logs(total, value)
            if value > top:
                top, pick = value, i
    if maximise:
        return pick
    uniform -= math.exp(first_score - total)
    if uniform < 0.0:
        return -1
    for i in range(k - 1, -1, -1):
        if forward[i] > total - PRUNE_NATS - beta * MAX_LINK_NATS:
            uniform -= math.exp(forward[i] + beta * transition_score(endpoints, items[i], item) - total)
            if uniform < 0.0:
                return i
    return pick


@kernel(nogil=True)
def neighbours(ids, items, begin, end, bird):
    """Return the last segment of ``bird`` in ``items`` before ``begin`` and its first from ``end`` on; -1: none."""
    before = after = -1
    for k in range(begin - 1, -1, -1):
        if ids[items[k]] == bird:
            before = items[k]
            break
    for k in range(end, len(items)):
        if ids[items[k]] == bird:
            after = items[k]
            break
    return before, after


@kernel(nogil=True)
def gibbs_sweep(order, loglik, endpoints, beta, maximise, window, offsets, uniforms, ids):
    """Make the moves ``order`` (n, 2) int64: pairs of birds, the second -1 for one bird and the unassigned segments.

    Segments are sorted by first frame. A move takes ``window`` of them at a time; the first window is a share
    ``offsets`` (n,) of that long, so that limits differ from sweep to sweep. ``uniforms`` (M + 1,) are used in turn.
    """
    at, size = 0, len(uniforms)
    before, after = np.empty(2, np.int64), np.empty(2, np.int64)
    for move in range(len(order)):
        a, b = order[move]
        items = np.flatnonzero((ids == a) | (ids == b))
        begin = 0
        end = max(1, int(window * offsets[move])) if len(items) > window else window
        while begin < len(items):
            end = min(end, len(items))
            block = items[begin:end]
            before[0], after[0] = neighbours(ids, items, begin, end, a)
            before[1], after[1] = neighbours(ids, items, begin, end, b)
            own_uniforms = np.empty(len(block) + 1)
            for k in range(len(own_uniforms)):
                own_uniforms[k] = uniforms[(at + k) % size]
            at += len(own_uniforms)
            if b == UNASSIGNED:
                resample_bird(block, a, before[0], after[0], loglik, endpoints, beta, maximise, own_uniforms, ids)
            else:
                resample_pair(block, order[move], before, after, loglik, endpoints, beta, maximise, own_uniforms, ids)
            begin, end = end, end + window
