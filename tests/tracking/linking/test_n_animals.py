import numpy as np

from backend.tracking.linking.appearance_model import fit_appearance, mean_embeddings
from backend.tracking.linking.link import link
from backend.tracking.linking.n_animals import EntryExit, cost_of_birds, merge_birds
from backend.tracking.linking.search import LinkingProblem
from tests.tracking.linking_cases import sightings_of, well_separated

HERE = np.array([100.0, 100.0])
PAIRS = ((0, 1), (2, 1), (0, 2))  # two at once, in turn
POSITIONS = np.random.default_rng(3).uniform(50, 400, (12, 2, 2))  # of the birds of each turn
COME_AND_GO = [
    (bird, 800 * turn, 800 * turn + 399, where)
    for turn in range(12)
    for bird, where in zip(PAIRS[turn % 3], POSITIONS[turn], strict=True)
]
N_FRAMES = 9600
MOST = 20


def _entry_exit(inputs, known: bool = True) -> EntryExit:
    return EntryExit(np.full(len(inputs.segments), known), np.full(len(inputs.segments), known))


def _found(inputs, n_birds: int, known: bool = True):
    return link(inputs, n_birds, 0, None, entry_exit=_entry_exit(inputs, known), max_birds=MOST)


def test_a_bird_with_another_appearance_than_those_seen_at_once_is_one_more():
    inputs, bird = sightings_of(COME_AND_GO, N_FRAMES, well_separated(3))
    found = _found(inputs, 2)
    assert found.p.shape[1] - 1 == 3
    names = [set(found.bird[bird == k].tolist()) for k in range(3)]
    assert all(len(name) == 1 for name in names) and len(set.union(*names)) == 3


def test_birds_that_come_back_are_re_identified():
    again = [(k % 2, *where) for k, (_, *where) in enumerate(COME_AND_GO)]
    inputs, bird = sightings_of(again, N_FRAMES, well_separated(3))
    found = _found(inputs, 2)
    assert len(set(found.bird.tolist())) == 2
    assert all(len(set(found.bird[bird == k].tolist())) == 1 for k in range(2))


def test_no_more_than_max_birds_are_estimated():
    inputs, _ = sightings_of(COME_AND_GO, N_FRAMES, well_separated(3))
    found = link(inputs, 2, 0, None, entry_exit=_entry_exit(inputs), max_birds=2)
    assert found.p.shape[1] - 1 <= 2


def test_two_birds_that_look_alike_and_never_meet_are_merged_unless_they_have_labels():
    inputs, bird = sightings_of([(0, 0, 399, HERE), (1, 450, 899, HERE)], 900, np.zeros((2, 6)))
    mean = mean_embeddings(inputs.embeddings)
    m = len(inputs.segments)
    problem = LinkingProblem(
        inputs.endpoints, mean, fit_appearance(inputs.embeddings, mean), np.full(m, 6.0), np.full(m, -1), 2
    )
    rng = np.random.default_rng(0)
    merged, ids = merge_birds(problem, bird, _entry_exit(inputs), rng, n_labelled=0)
    assert merged.n_birds == 1 and (ids == 0).all()
    kept, ids = merge_birds(problem, bird, _entry_exit(inputs), rng, n_labelled=2)
    assert kept.n_birds == 2 and (ids == bird).all()


def test_a_bird_costs_more_where_it_can_neither_enter_nor_leave():
    ids = np.array([0, 1, 0, 1])
    usual = EntryExit(np.array([True, True, False, False]), np.array([False, False, True, True]))
    no_entry = EntryExit(np.array([True, False, True, True]), usual.can_leave)
    assert cost_of_birds(ids, 2, usual) < cost_of_birds(ids, 2, no_entry)
    assert cost_of_birds(ids, 3, usual) == cost_of_birds(ids, 2, usual), "a bird without segments costs nothing"
