"""What must hold for any tracks: parts sum to the whole, names are only names, halves add up."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from backend.zones.bird_sequences import recording_from_tracks
from backend.zones.measures import measure
from backend.zones.settings import StatisticsSettings, VideoFacts
from tests.zones.made import rectangle, tracks_of, zones_of

ZONES = zones_of(
    {"name": "left", "shape": rectangle(0, 0, 50, 100), "min_stay_s": 0.2},
    {"name": "overlapping", "shape": rectangle(30, 0, 120, 100)},
    {"name": "door", "kind": "entry", "group": "box", "shape": rectangle(150, 0, 170, 100)},
    {"name": "box", "kind": "hidden", "group": "box", "shape": rectangle(170, 0, 200, 100)},
)
PLAIN = zones_of(
    {"name": "left", "shape": rectangle(0, 0, 50, 100)}, {"name": "right", "shape": rectangle(120, 0, 200, 100)}
)
SUMS = ["time_s", "seen_s", "interpolated_s", "missing_s", "distance", "rest_s", "moving_s", "visits", "watched_s"]

spot = st.one_of(st.none(), st.floats(0, 199), st.floats(0, 199).map(complex))
stretch = st.tuples(spot, st.integers(1, 8)).map(lambda each: [each[0]] * each[1])
path = st.lists(stretch, min_size=3, max_size=10).map(lambda parts: sum(parts, [])[:40] + [25.0])
birds = st.lists(path, min_size=2, max_size=4).map(
    lambda paths: {f"bird {k}": [*each, *[None] * (41 - len(each))] for k, each in enumerate(paths)}
)
few = settings(max_examples=20, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate])


def tables_of(paths, zones=ZONES, **options):
    return measure(
        recording_from_tracks(tracks_of(paths, p=dict.fromkeys(paths, 0.9))),
        zones,
        VideoFacts("made"),
        StatisticsSettings(**{"smooth_s": 0.0, "bin_s": 1.3, "draws": 20, **options}),
    )


@few
@given(birds)
def test_parts_sum_to_the_whole(paths):
    found = tables_of(paths)
    for table in (found["birds"], found["birds_by_time"]):
        evidence = table[["seen_s", "interpolated_s", "missing_s"]].sum(axis=1)
        assert evidence.to_numpy() == pytest.approx(table.time_s.to_numpy())
        keys = [name for name in ("bird", "start_s") if name in table]
        whole = table[table.zone.isin(["any zone", "outside", "lost"])].groupby(keys)
        assert whole.time_s.sum().to_numpy() == pytest.approx(whole.watched_s.first().to_numpy())
        assert (table.time_s <= table.most_s + 1e-9).all() and (table.least_s <= table.time_s + 1e-9).all()
        assert ((table.rest_s + table.moving_s) <= table.time_s + 1e-9).all()
    by_time = found["birds_by_time"].groupby(["bird", "zone"])[SUMS].sum()
    birds = found["birds"].set_index(["bird", "zone"])[SUMS]
    assert by_time.loc[birds.index].to_numpy() == pytest.approx(birds.to_numpy())
    stays = found["bouts"].groupby(["bird", "zone"]).duration_s.agg(["sum", "size"])
    assert stays["sum"].to_numpy() == pytest.approx(birds.loc[stays.index].time_s.to_numpy())
    assert (stays["size"] == birds.loc[stays.index].visits).all()
    counts = found["counts"].set_index("zone").birds * 4.1
    per_bird = found["birds"].groupby("zone").time_s.sum()
    assert counts.loc[per_bird.index].to_numpy() == pytest.approx(per_bird.to_numpy())
    drawn = found["birds"][["identity_low_s", "identity_high_s"]]
    assert (drawn.identity_low_s <= drawn.identity_high_s).all()


@few
@given(birds, st.randoms(use_true_random=False))
def test_other_names_change_nothing_but_names(paths, random):
    names = list(paths)
    others = [f"ruff {k}" for k in range(len(names))]
    random.shuffle(others)
    renamed = dict(zip(names, others, strict=True))
    before = tables_of(paths, draws=0)
    after = tables_of({renamed[name]: paths[name] for name in names}, draws=0)
    assert before.keys() == after.keys()
    for name, table in before.items():
        columns = [column for column in ("bird", "other", "came") if column in table]
        if name in ("contacts", "displacements"):  # who is named first follows the order of the tracks
            assert len(table) == len(after[name])
            continue
        expected = table.assign(**{column: table[column].map(renamed) for column in columns})
        keys = [*columns, *(key for key in ("zone", "start_s", "time_s") if key in table)]
        same = (
            each.sort_values(keys, kind="stable", ignore_index=True) if keys else each
            for each in (expected, after[name])
        )
        pd.testing.assert_frame_equal(*same, check_dtype=False)


@few
@given(birds, st.integers(2, 39))
def test_two_ranges_of_a_video_add_up_to_the_whole(paths, cut):
    whole = tables_of(paths)["birds"].set_index(["bird", "zone"])
    first = tables_of(paths, to_s=cut / 10)["birds"].set_index(["bird", "zone"])
    second = tables_of(paths, from_s=cut / 10)["birds"].set_index(["bird", "zone"])
    sums = [name for name in SUMS if name != "visits"]
    assert (first[sums] + second[sums]).loc[whole.index].to_numpy() == pytest.approx(whole[sums].to_numpy())
    twice = (first.visits + second.visits).loc[whole.index] - whole.visits  # a stay over the cut counts in both
    assert twice.between(0, 1).all()


@few
@given(birds, st.integers(2, 39))
def test_a_video_cut_in_two_files_gives_the_same_times(paths, cut):
    """With points and no least stay, nothing but a gap over the cut depends on what was before."""
    seen = {name: [25.0 if x is None else x for x in each] for name, each in paths.items()}
    whole = tables_of(seen, PLAIN)["birds"].set_index(["bird", "zone"]).time_s
    halves = [tables_of({name: part(each) for name, each in seen.items()}, PLAIN)["birds"] for part in (
        lambda each: each[:cut], lambda each: each[cut:])]  # fmt: skip
    first, second = (half.set_index(["bird", "zone"]).time_s for half in halves)
    assert (first + second).loc[whole.index].to_numpy() == pytest.approx(whole.to_numpy())
    assert np.isfinite(whole).all()
