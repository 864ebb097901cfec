"""Linking with an unknown number of animals and without embeddings: links over short gaps, by motion.

Each segment follows at most one other, and is followed by at most one. The probability of a link, given all links that
compete with it, comes from belief propagation on the graph of links (Williams and Lau 2014, doi
10.1109/TAES.2014.120568); the share of segments that are new animals is estimated from the video at the same time.
Links of a probability above 0.5 are made, so no two are in conflict; the chains are tracks. Tracks seen together at one
moment are certainly different animals: they get identities, whose probability falls with every link. All others may be
any of them, and stay unassigned.
"""

from dataclasses import replace

import numpy as np

from backend.tracking.linking.constraints import Constraints
from backend.tracking.linking.gibbs_moves import UNASSIGNED
from backend.tracking.linking.linking_input import LinkingInput
from backend.tracking.linking.n_animals import max_simultaneous
from backend.tracking.linking.pair_affinity import pair_affinity
from backend.tracking.linking.result import LinkingResult
from backend.tracking.linking.segments import SHORT_S

MAX_GAP_S, MAX_OVERLAP_S = 4.0, 0.5  # of links: longest gap, longest overlap in time
SAME_TRACKLET_NATS = 2.0  # for a link within a tracklet of the online tracker
PRIOR_COUNT = 8.0  # pseudo-counts of segments that are new animals, and of those that continue one
MAX_NATS = 20.0  # of a must-link; no other link has more
MIN_NATS = -10.0  # less likely links are dropped
BP_ITERATIONS, EM_ITERATIONS = 30, 8  # of belief propagation; of estimating the share of segments that are new


def link_open_set(inputs: LinkingInput, constraints: Constraints) -> LinkingResult:
    """Link segments to chains; the first birds are those that reviewers named."""
    m = len(inputs.segments)
    predecessor, p_link = link_probabilities(inputs, constraints)
    chain = chains(predecessor)
    simultaneous = np.unique(chain[_most_simultaneous(inputs, chain)])
    members = np.split(np.argsort(chain, kind="stable"), np.flatnonzero(np.diff(np.sort(chain))) + 1) if m else []
    bird, p, n = np.full(m, UNASSIGNED), np.ones(m), len(constraints.names)
    for number, own in enumerate(members):
        labelled = np.flatnonzero(constraints.labels[own] >= 0)
        if len(labelled):
            latest = np.maximum(np.searchsorted(labelled, np.arange(len(own)), side="right") - 1, 0)
            bird[own] = constraints.labels[own[labelled[latest]]]
            p[own] = _p_along_chain(p_link[own], labelled[latest])
        elif number in simultaneous:
            bird[own], n = n, n + 1
            roots = (_p_along_chain(p_link[own], np.array([k])) for k in range(len(own)))
            expected_detections = np.array([p_root @ inputs.segments.n[own] for p_root in roots])
            p[own] = _p_along_chain(p_link[own], expected_detections.argmax())
    share = np.zeros((m, n + 1))
    share[np.arange(m), bird] = p  # the last column is for unassigned segments
    share[:, n] = np.where(bird == UNASSIGNED, 1.0, 1.0 - p)
    return LinkingResult(bird, bird[None].astype(np.int16), share, None, chain)


def link_probabilities(inputs: LinkingInput, constraints: Constraints) -> tuple[np.ndarray, np.ndarray]:
    """Return the predecessor of each segment, (M,) int64, -1: none, and the probability of that link, (M,)."""
    m, labels, parent = len(inputs.segments), constraints.labels, inputs.parent
    endpoints = constraints.on_order(inputs.endpoints)
    first = np.searchsorted(endpoints.begin_s, endpoints.end_s - MAX_OVERLAP_S)
    last = np.searchsorted(endpoints.begin_s, endpoints.end_s + MAX_GAP_S)
    number = np.maximum(last - first, 0)
    i = np.repeat(np.arange(m), number)
    j = np.arange(len(i)) - np.repeat(np.cumsum(number) - number, number) + np.repeat(first, number)
    score = pair_affinity(replace(inputs, endpoints=endpoints), i, j) + SAME_TRACKLET_NATS * (parent[i] == parent[j])
    score[(labels[i] >= 0) & (labels[j] >= 0) & (labels[i] != labels[j])] = -np.inf
    kept = (score > MIN_NATS) & (endpoints.after[i] != j)
    i, j = np.append(i[kept], constraints.must_link[:, 0]), np.append(j[kept], constraints.must_link[:, 1])
    must_link = np.full(len(constraints.must_link), MAX_NATS)
    after_start = endpoints.begin_s > inputs.times[0] + MAX_OVERLAP_S  # segments that may have a predecessor
    n_continuing, n_new = PRIOR_COUNT, PRIOR_COUNT
    for _ in range(EM_ITERATIONS):
        nats = np.append(np.minimum(score[kept] + np.log(n_continuing / n_new), MAX_NATS), must_link)
        p = belief_propagation(i, j, np.exp(nats), m)
        p_continues = np.bincount(j, p, m)[after_start]
        n_continuing, n_new = PRIOR_COUNT + p_continues.sum(), PRIOR_COUNT + (1 - p_continues).sum()
    predecessor, p_of_predecessor, linked = np.full(m, UNASSIGNED), np.ones(m), p > 0.5
    predecessor[j[linked]], p_of_predecessor[j[linked]] = i[linked], p[linked]
    return predecessor, p_of_predecessor


def belief_propagation(i: np.ndarray, j: np.ndarray, weight: np.ndarray, m: int) -> np.ndarray:
    """Return (L,) probabilities that segment ``j`` (L,) follows ``i`` (L,), where each has one link at most per side.

    ``weight`` (L,) are likelihood ratios against neither having a link; ``m`` is the number of segments. Marginals of
    loopy sum-product belief propagation; exact where the graph has no cycle.
    """
    to_i = np.ones(len(i))
    for _ in range(BP_ITERATIONS):
        from_i = weight * to_i
        to_j = weight / np.maximum(1, 1 + np.bincount(i, from_i, m)[i] - from_i)
        to_i = 1 / np.maximum(1, 1 + np.bincount(j, to_j, m)[j] - to_j)
    from_i = weight * to_i
    return from_i / (1 + np.bincount(i, from_i, m)[i])


def chains(predecessor: np.ndarray) -> np.ndarray:
    """Return (M,) int64 from 0 without holes, the chain of each segment, from the ``predecessor`` (M,) of each."""
    chain = np.arange(len(predecessor))
    for k in np.flatnonzero(predecessor >= 0):  # predecessors come first
        chain[k] = chain[predecessor[k]]
    return np.unique(chain, return_inverse=True)[1]


def _most_simultaneous(inputs: LinkingInput, chain: np.ndarray) -> np.ndarray:
    """Return the segments at the moment when most are seen; of several such moments, that with the longest chains."""
    segments = inputs.segments
    long = np.flatnonzero(segments.n * inputs.frame_s >= SHORT_S)
    if not len(long):
        long = np.arange(len(segments))
    n, weight = np.zeros(len(inputs.frames) + 1), np.zeros(len(inputs.frames) + 1)
    length = np.bincount(chain, segments.n)[chain]
    for at, sign in ((segments.first[long], 1), (segments.last[long] + 1, -1)):
        np.add.at(n, at, sign)
        np.add.at(weight, at, sign * length[long])
    at_maximum = np.cumsum(n) == max_simultaneous(inputs)
    at = int(np.argmax(np.where(at_maximum, np.cumsum(weight), -1.0)))
    return long[(segments.first[long] <= at) & (segments.last[long] >= at)]


def _p_along_chain(p_link: np.ndarray, root: np.ndarray) -> np.ndarray:
    """Return (n,) the probability of all links of a chain between its segment ``root`` and each segment."""
    logs = np.cumsum(np.log(np.append(1.0, p_link[1:])))
    return np.exp(-np.abs(logs - logs[root]))
