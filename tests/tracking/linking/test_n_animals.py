import numpy as np

from backend.tracking.linking.appearance_model import learn, means
from backend.tracking.linking.link import link
from backend.tracking.linking.n_animals import Doors, cost_of_birds, fewer_birds
from backend.tracking.linking.search import Problem
from tests.tracking.linking_cases import sightings_of, well_separated

HERE = np.array([100.0, 100.0])
PAIRS = ((0, 1), (2, 1), (0, 2))  # two at once, in turn
PLACES = np.random.default_rng(3).uniform(50, 400, (12, 2, 2))  # of the birds of each turn
COME_AND_GO = [
    (bird, 800 * turn, 800 * turn + 399, where)
    for turn in range(12)
    for bird, where in zip(PAIRS[turn % 3], PLACES[turn], strict=True)
]
N_FRAMES = 9600
MOST = 20


def _doors(gathered, known: bool = True) -> Doors:
    return Doors(np.full(len(gathered.parts), known), np.full(len(gathered.parts), known))


def _found(gathered, n_birds: int, known: bool = True):
    return link(gathered, n_birds, 0, None, doors=_doors(gathered, known), most=MOST)


def test_a_bird_that_looks_like_none_of_those_seen_at_once_is_one_more():
    gathered, bird = sightings_of(COME_AND_GO, N_FRAMES, well_separated(3))
    found = _found(gathered, 2)
    assert found.p.shape[1] - 1 == 3
    names = [set(found.bird[bird == each].tolist()) for each in range(3)]
    assert all(len(name) == 1 for name in names) and len(set.union(*names)) == 3


def test_birds_that_come_back_are_no_new_ones():
    again = [(k % 2, *where) for k, (_, *where) in enumerate(COME_AND_GO)]
    gathered, bird = sightings_of(again, N_FRAMES, well_separated(3))
    found = _found(gathered, 2)
    assert len(set(found.bird.tolist())) == 2
    assert all(len(set(found.bird[bird == each].tolist())) == 1 for each in range(2))


def test_more_birds_than_there_may_be_are_not_made():
    gathered, _ = sightings_of(COME_AND_GO, N_FRAMES, well_separated(3))
    found = link(gathered, 2, 0, None, doors=_doors(gathered), most=2)
    assert found.p.shape[1] - 1 <= 2


def test_two_birds_that_look_alike_and_never_meet_are_one_but_not_two_that_people_named():
    gathered, bird = sightings_of([(0, 0, 399, HERE), (1, 450, 899, HERE)], 900, np.zeros((2, 6)))
    mean = means(gathered.look)
    m = len(gathered.parts)
    problem = Problem(gathered.ends, mean, learn(gathered.look, mean), np.full(m, 6.0), np.full(m, -1), 2)
    rng = np.random.default_rng(0)
    fewer, who = fewer_birds(problem, bird, _doors(gathered), rng, named=0)
    assert fewer.n_birds == 1 and (who == 0).all()
    kept, who = fewer_birds(problem, bird, _doors(gathered), rng, named=2)
    assert kept.n_birds == 2 and (who == bird).all()


def test_a_bird_costs_more_where_there_is_no_way_in_or_out():
    who = np.array([0, 1, 0, 1])
    inside = Doors(np.array([True, True, False, False]), np.array([False, False, True, True]))
    nowhere = Doors(np.array([True, False, True, True]), inside.leaves)
    assert cost_of_birds(who, 2, inside) < cost_of_birds(who, 2, nowhere)
    assert cost_of_birds(who, 3, inside) == cost_of_birds(who, 2, inside), "a bird without parts is none"
