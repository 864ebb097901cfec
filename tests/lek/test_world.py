import hashlib

import numpy as np
import pytest

from backend.lek.bird import Behaviour
from backend.lek.lek_settings import PRESETS, LekSettings, difficulty
from backend.lek.world import found, live
from backend.project.errors import InputError


def lived(**settings):
    return np.concatenate([states for _, states in live(found(LekSettings(**settings)))])


@pytest.fixture(scope="module")
def hard():
    return lived(birds=16, seconds=600, seed=2, difficulty=difficulty("hard"))


def test_the_same_seed_gives_the_same_lives_and_another_gives_others():
    first, again, other = (lived(birds=5, seconds=30, seed=seed) for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes()
    assert not np.array_equal(first["x"], other["x"])


def test_a_shorter_film_is_the_beginning_of_a_longer_one():
    long, short = lived(birds=5, seconds=50, seed=3), lived(birds=5, seconds=21, seed=3)
    assert long[: len(short)].tobytes() == short.tobytes()


def test_the_hard_preset_is_the_one_trackers_were_measured_on(hard):
    millimetres = np.round(1000 * np.stack([hard["x"], hard["y"], hard["z"]], -1)).astype(np.int64)
    assert hashlib.sha256(millimetres.tobytes()).hexdigest()[:16] == "22243ef0f6febc2b"


def test_every_behaviour_happens_on_a_hard_lek(hard):
    assert set(np.unique(hard["behaviour"])) == {int(behaviour) for behaviour in Behaviour}


def test_no_bird_jumps_from_one_place_to_another_while_it_can_be_seen(hard):
    there = (hard["behaviour"] != Behaviour.AWAY) & (hard["behaviour"] != Behaviour.FLY_IN)
    step = np.hypot(np.diff(hard["x"], axis=0), np.diff(hard["y"], axis=0))
    assert step[there[1:] & there[:-1]].max() < 4.5 / 25


def test_those_who_fight_fight_each_other(hard):
    frame, bird = np.nonzero(hard["behaviour"] == Behaviour.FIGHT)
    other = hard["partner"][frame, bird]
    assert (hard["behaviour"][frame, other] == Behaviour.FIGHT).all()
    assert (hard["partner"][frame, other] == bird).all()


def test_the_box_holds_no_more_birds_than_it_has_room_for(hard):
    users = np.isin(hard["behaviour"], [Behaviour.TO_BOX, Behaviour.IN_BOX, Behaviour.FROM_BOX]).sum(axis=1)
    assert users.max() == PRESETS["hard"].box_room


def test_on_an_easy_lek_nobody_leaves_or_hides():
    easy = lived(birds=8, seconds=300, seed=6, difficulty=difficulty("easy"))
    gone = [Behaviour.AWAY, Behaviour.FLY_OUT, Behaviour.FLY_IN, Behaviour.TO_BOX, Behaviour.IN_BOX]
    assert not np.isin(easy["behaviour"], gone).any()


def test_birds_differ_in_where_they_are(hard):
    place = np.stack([hard["x"], hard["y"]], -1)
    place[hard["behaviour"] == Behaviour.AWAY] = np.nan
    middle = np.nanmedian(place, axis=0)
    spread = np.nanmedian(np.linalg.norm(place - middle, axis=2), axis=0)
    apart = np.linalg.norm(middle[:, None] - middle[None], axis=2)[np.triu_indices(len(middle), 1)]
    assert np.median(apart) > 1.5 * np.median(spread)


@pytest.mark.parametrize("fps", [10, 25, 50])
def test_rates_are_per_second_whatever_the_frame_rate(fps):
    states = lived(birds=12, seconds=900, seed=4, fps=fps, difficulty=difficulty("hard"))
    fighting = (states["behaviour"] == Behaviour.FIGHT).mean()
    assert 0.03 < fighting < 0.12


@pytest.mark.parametrize(
    ("field", "value"),
    [("birds", 0), ("birds", 256), ("seconds", 0.0), ("seconds", 1e9), ("seed", -1), ("size", (961, 544)),
     ("size", (64, 64)), ("size", (960, 9000)), ("fps", 0)],
    ids=lambda value: str(value),
)  # fmt: skip
def test_a_lek_that_cannot_be_is_refused_with_the_value(field, value):
    given = {"birds": 3, "seconds": 1.0, "seed": 1} | {field: value}
    shown = value[0] if isinstance(value, tuple) and value[0] in (961, 64) else value
    with pytest.raises(InputError, match=str(max(value) if shown == (960, 9000) else shown)):
        LekSettings(**given)
