"""Who follows whom where nothing tells birds apart and their number is not known: links over short gaps, by motion.

Each part of a tracklet follows at most one other, and is followed by at most one. How likely each link is, given all
that compete with it, is found by belief propagation (Williams and Lau 2014, doi 10.1109/TAES.2014.120568); how often a
part is a new bird is learnt from the video meanwhile. What is more likely than not is linked, so no two links are in
conflict; the chains are tracks. Those that are seen together at one moment are different birds for sure: they get
identities, whose probability falls with every link. All others may be any of them, and get none.
"""

from dataclasses import replace

import numpy as np

from backend.tracking.linking.gibbs_moves import NOBODY
from backend.tracking.linking.link import SHORT_S, Known, Linked, count_birds, with_order
from backend.tracking.linking.linking_input import Gathered
from backend.tracking.linking.pair_affinity import between

REACH_S, OVERLAP_S = 4.0, 0.5  # of links: longest gap, longest time in which both are seen
FOLLOWED_NATS = 2.0  # for a link within a tracklet of stage 1
KNOWN_OF = 8.0  # parts that are known to be new, and as many that go on, before the video is looked at
SAID_NATS = 20.0  # for a link that people made; no other has more
LEAST_NATS = -10.0  # what is less likely is not looked at
TURNS, ROUNDS = 30, 8  # of belief propagation, and of learning how many parts are new birds


def link_open(gathered: Gathered, known: Known, n_said: int) -> Linked:
    """Link parts to chains; see the module's text. The first ``n_said`` birds are those that people named."""
    m = len(gathered.parts)
    before, p_link = links(gathered, known)
    chain = chain_of(before)
    together = np.unique(chain[_together(gathered, chain)])
    members = np.split(np.argsort(chain, kind="stable"), np.flatnonzero(np.diff(np.sort(chain))) + 1) if m else []
    bird, p, n = np.full(m, NOBODY), np.ones(m), n_said
    for number, own in enumerate(members):
        said = np.flatnonzero(known.pins[own] >= 0)
        if len(said):
            latest = np.maximum(np.searchsorted(said, np.arange(len(own)), side="right") - 1, 0)
            bird[own] = known.pins[own[said[latest]]]
            p[own] = _along(p_link[own], said[latest])
        elif number in together:
            bird[own], n = n, n + 1
            seen = np.array([_along(p_link[own], np.array([k])) @ gathered.parts.n[own] for k in range(len(own))])
            p[own] = _along(p_link[own], seen.argmax())
    share = np.zeros((m, n + 1))
    share[np.arange(m), bird] = p  # nobody is the last column
    share[:, n] = np.where(bird == NOBODY, 1.0, 1.0 - p)
    return Linked(bird, bird[None].astype(np.int16), share, None, chain)


def links(gathered: Gathered, known: Known) -> tuple[np.ndarray, np.ndarray]:
    """Return the part that comes before each part, (M,) int64, -1: none, and the probability of the link, (M,)."""
    m, pins, parent = len(gathered.parts), known.pins, gathered.parent
    ends = with_order(gathered, known)
    first = np.searchsorted(ends.begin_s, ends.end_s - OVERLAP_S)
    last = np.searchsorted(ends.begin_s, ends.end_s + REACH_S)
    number = np.maximum(last - first, 0)
    i = np.repeat(np.arange(m), number)
    j = np.arange(len(i)) - np.repeat(np.cumsum(number) - number, number) + np.repeat(first, number)
    score = between(replace(gathered, ends=ends), i, j) + FOLLOWED_NATS * (parent[i] == parent[j])
    score[(pins[i] >= 0) & (pins[j] >= 0) & (pins[i] != pins[j])] = -np.inf
    kept = (score > LEAST_NATS) & (ends.after[i] != j)
    i, j = np.append(i[kept], known.follow[:, 0]), np.append(j[kept], known.follow[:, 1])
    said = np.full(len(known.follow), SAID_NATS)
    later = ends.begin_s > gathered.times[0] + OVERLAP_S  # what is there from the beginning has nothing before it
    on, new = KNOWN_OF, KNOWN_OF
    for _ in range(ROUNDS):
        nats = np.append(np.minimum(score[kept] + np.log(on / new), SAID_NATS), said)
        p = probabilities(i, j, np.exp(nats), m)
        follows = np.bincount(j, p, m)[later]
        on, new = KNOWN_OF + follows.sum(), KNOWN_OF + (1 - follows).sum()
    before, sure, linked = np.full(m, NOBODY), np.ones(m), p > 0.5
    before[j[linked]], sure[j[linked]] = i[linked], p[linked]
    return before, sure


def probabilities(i: np.ndarray, j: np.ndarray, weight: np.ndarray, m: int) -> np.ndarray:
    """Return (L,) how likely it is that ``j`` (L,) follows ``i``; each follows, and is followed by, one at most.

    ``weight`` (L,) are likelihood ratios against neither having a link.
    """
    back = np.ones(len(i))
    for _ in range(TURNS):
        given = weight * back
        there = weight / np.maximum(1, 1 + np.bincount(i, given, m)[i] - given)
        back = 1 / np.maximum(1, 1 + np.bincount(j, there, m)[j] - there)
    given = weight * back
    return given / (1 + np.bincount(i, given, m)[i])


def chain_of(before: np.ndarray) -> np.ndarray:
    """Return (M,) int64 from 0 without holes, the chain of each part, by the part that each one follows."""
    chain = np.arange(len(before))
    for k in np.flatnonzero(before >= 0):  # what is followed comes first
        chain[k] = chain[before[k]]
    return np.unique(chain, return_inverse=True)[1]


def _together(gathered: Gathered, chain: np.ndarray) -> np.ndarray:
    """Return the parts at the moment when as many birds as there are, are seen; that with the longest chains."""
    parts = gathered.parts
    long = np.flatnonzero(parts.n * gathered.frame_s >= SHORT_S)
    if not len(long):
        long = np.arange(len(parts))
    n, worth = np.zeros(len(gathered.frames) + 1), np.zeros(len(gathered.frames) + 1)
    length = np.bincount(chain, parts.n)[chain]
    for at, sign in ((parts.first[long], 1), (parts.last[long] + 1, -1)):
        np.add.at(n, at, sign)
        np.add.at(worth, at, sign * length[long])
    right = np.cumsum(n) == count_birds(gathered)
    at = int(np.argmax(np.where(right, np.cumsum(worth), -1.0)))
    return long[(parts.first[long] <= at) & (parts.last[long] >= at)]


def _along(p_link: np.ndarray, root: np.ndarray) -> np.ndarray:
    """Return (n,) the probability of all links of a chain from its part ``root`` (n,) or () to each part."""
    logs = np.cumsum(np.log(np.append(1.0, p_link[1:])))
    return np.exp(-np.abs(logs - logs[root]))
