"""Optimal assignment of tracks to detections for small matrices, compiled."""

import numpy as np

from backend.project.kernels import kernel

NOBODY = -1


@kernel(nogil=True)
def assign(similarity, least):
    """Match rows with columns so that the sum of similarities is largest.

    Parameters
    ----------
    similarity
        (n, m) float64, not negative.
    least
        Pairs below it are not matched; it must be above 0.

    Returns
    -------
    (n,) int64
        The column of each row, -1 for none.
    """
    n, m = similarity.shape
    column_of = np.full(n, NOBODY, np.int64)
    row_of = np.full(m, NOBODY, np.int64)
    open_rows = _lonely_pairs(similarity, least, column_of, row_of)
    if open_rows.any():
        _augment(similarity, least, column_of, row_of, open_rows)
    return column_of


@kernel(nogil=True)
def _lonely_pairs(similarity, least, column_of, row_of):
    """Match pairs that nobody else competes for; return (n,) which rows have others."""
    n, m = similarity.shape
    column, in_row, in_column = np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(m, np.int64)
    for i in range(n):
        for j in range(m):
            if similarity[i, j] >= least:
                column[i] = j
                in_row[i] += 1
                in_column[j] += 1
    open_rows = in_row > 0
    for i in range(n):
        if in_row[i] == 1 and in_column[column[i]] == 1:
            column_of[i], row_of[column[i]] = column[i], i
            open_rows[i] = False
    return open_rows


@kernel(nogil=True)
def _augment(similarity, least, column_of, row_of, open_rows):
    """Complete a matching by one shortest augmenting path an open row (Jonker and Volgenant 1987).

    A row may always take a column of its own that stands for "no match" and costs as much as a similarity of 0.
    """
    n, m = similarity.shape
    width = m + n
    u, v = np.zeros(n), np.zeros(width)
    row_of_all = np.full(width, NOBODY, np.int64)
    for start in np.flatnonzero(open_rows):
        came_from = np.full(width, NOBODY, np.int64)
        last = _shortest_path(similarity, least, start, u, v, row_of, row_of_all, came_from)
        while last != NOBODY:
            row = came_from[last]
            before = column_of[row]
            row_of_all[last], column_of[row] = row, last
            last = before if row != start else NOBODY
    for i in range(n):
        if column_of[i] >= m:
            column_of[i] = NOBODY


@kernel(nogil=True)
def _shortest_path(similarity, least, start, u, v, row_of, row_of_all, came_from):
    """Find the cheapest free column for a row, the matched rows moving on; update the potentials ``u`` and ``v``.

    Returns
    -------
    int
        The column; ``came_from`` leads back from there.
    """
    m, width = similarity.shape[1], len(v)
    distance = np.full(width, np.inf)
    done = np.zeros(width, np.bool_)
    row, base, last = start, 0.0, NOBODY
    while last == NOBODY or row_of_all[last] != NOBODY:
        nearest = NOBODY
        for j in range(width):
            if done[j] or (j < m and row_of[j] != NOBODY):
                continue
            reduced = base + _cost(similarity, least, row, j, m) - u[row] - v[j]
            if reduced < distance[j] - 1e-12:
                distance[j], came_from[j] = reduced, row
            if distance[j] < np.inf and (nearest == NOBODY or distance[j] < distance[nearest]):
                nearest = j
        done[nearest] = True
        base, last = distance[nearest], nearest
        row = row_of_all[last]
    u[start] += base
    for j in range(width):
        if done[j] and j != last:
            u[row_of_all[j]] += base - distance[j]
            v[j] -= base - distance[j]
    return last


@kernel(nogil=True)
def _cost(similarity, least, row, column, m):
    if column >= m:
        return 0.0 if column - m == row else np.inf
    value = similarity[row, column]
    return -value if value >= least else np.inf
