"""Optimal assignment (linear sum assignment) of tracks to detections, for small matrices. Compiled."""

import numpy as np

from backend.project.kernels import kernel

UNASSIGNED = -1


@kernel(nogil=True)
def assign(similarity, minimum):
    """Match rows with columns one to one so that the sum of similarities is largest.

    Parameters
    ----------
    similarity
        (n, m) float64, not negative.
    minimum
        Pairs below it are not matched; above 0.

    Returns
    -------
    (n,) int64
        The column of each row, `UNASSIGNED` for none.
    """
    n, m = similarity.shape
    column_of = np.full(n, UNASSIGNED, np.int64)
    row_of = np.full(m, UNASSIGNED, np.int64)
    open_rows = _match_uncontested(similarity, minimum, column_of, row_of)
    if open_rows.any():
        _augment(similarity, minimum, column_of, row_of, open_rows)
    return column_of


@kernel(nogil=True)
def _match_uncontested(similarity, minimum, column_of, row_of):
    """Match pairs without a competing pair; return (n,) bool, the rows that remain to be matched."""
    n, m = similarity.shape
    column, in_row, in_column = np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(m, np.int64)
    for i in range(n):
        for j in range(m):
            if similarity[i, j] >= minimum:
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
def _augment(similarity, minimum, column_of, row_of, open_rows):
    """Complete a matching with one shortest augmenting path for each open row (Jonker and Volgenant 1987).

    Each row has a column of its own for "no match", at the cost of a similarity of 0.
    """
    n, m = similarity.shape
    width = m + n
    u, v = np.zeros(n), np.zeros(width)
    row_of_all = np.full(width, UNASSIGNED, np.int64)
    for start in np.flatnonzero(open_rows):
        predecessor = np.full(width, UNASSIGNED, np.int64)
        last = _shortest_path(similarity, minimum, start, u, v, row_of, row_of_all, predecessor)
        while last != UNASSIGNED:
            row = predecessor[last]
            previous = column_of[row]
            row_of_all[last], column_of[row] = row, last
            last = previous if row != start else UNASSIGNED
    for i in range(n):
        if column_of[i] >= m:
            column_of[i] = UNASSIGNED


@kernel(nogil=True)
def _shortest_path(similarity, minimum, start, u, v, row_of, row_of_all, predecessor):
    """Find the shortest augmenting path from a row to a free column; update the potentials ``u`` and ``v``.

    Returns
    -------
    int
        The free column; ``predecessor`` holds the row before each column of the path.
    """
    m, width = similarity.shape[1], len(v)
    distance = np.full(width, np.inf)
    done = np.zeros(width, np.bool_)
    row, base, last = start, 0.0, UNASSIGNED
    while last == UNASSIGNED or row_of_all[last] != UNASSIGNED:
        nearest = UNASSIGNED
        for j in range(width):
            if done[j] or (j < m and row_of[j] != UNASSIGNED):
                continue
            reduced = base + _cost(similarity, minimum, row, j, m) - u[row] - v[j]
            if reduced < distance[j] - 1e-12:
                distance[j], predecessor[j] = reduced, row
            if distance[j] < np.inf and (nearest == UNASSIGNED or distance[j] < distance[nearest]):
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
def _cost(similarity, minimum, row, column, m):
    if column >= m:
        return 0.0 if column - m == row else np.inf
    value = similarity[row, column]
    return -value if value >= minimum else np.inf
