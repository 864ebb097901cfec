import numpy as np
import pytest

from backend.lek.bird import Behaviour
from backend.lek.film import Studio
from backend.lek.outlines import Outliner
from backend.lek.visible import VIEW, RunLengths, measure, scratch
from backend.lek.world import found
from backend.masks.rle import decode


def look(way, birds):
    """Film one frame with an `Outliner` or a `Studio`; return views and the map of owners."""
    views = np.zeros(len(birds), VIEW)
    if isinstance(way, Studio):
        _, owner, regions = way.shoot(0, birds, views)
        measure(owner, regions, views, scratch((1, 1), masks=False), np.empty(0, np.uint8), 0)
        return views, owner
    codes = RunLengths()
    codes.append(lambda out, at: way._frame(birds, views, out, at))
    return views, way._owner.copy()


@pytest.fixture(params=[Outliner, Studio])
def way(request, still_lek):
    return request.param(found(still_lek))


def test_the_nearer_bird_hides_what_it_covers_of_the_farther(way, put):
    lek = way._lek
    behind, front = (480, 300, Behaviour.STAND), (487, 322, Behaviour.STAND)
    _, alone = look(way, put(lek, behind))
    _, cover = look(way, put(lek, (100, 500, Behaviour.AWAY), front))
    views, owner = look(way, put(lek, behind, front))
    hidden = (alone == 1) & (cover == 2)
    on_the_edge = 0.05 * hidden.sum()  # a pixel that both birds share goes to one of them
    assert np.sum((owner == 2) != (cover == 2)) <= on_the_edge
    assert np.sum((owner == 1) != ((alone == 1) & ~hidden)) <= on_the_edge
    share = views["area"] / views["whole"]
    assert share[0] == pytest.approx(1 - hidden.sum() / (alone == 1).sum(), abs=0.06)
    assert 0.1 < share[0] < 0.9 < share[1]


def test_a_bird_half_out_of_the_picture_is_about_half_visible(way, put):
    views, _ = look(way, put(way._lek, (3, 400, Behaviour.STAND)))
    assert 0.3 < views["inside"][0] / views["whole"][0] < 0.75
    assert views["x1"][0] == 0


def test_birds_in_the_box_or_away_are_not_seen_but_have_a_ground_point(way, put):
    views, owner = look(way, put(way._lek, (480, 300, Behaviour.IN_BOX), (300, 300, Behaviour.AWAY)))
    assert not owner.any() and not views["area"].any() and np.isnan(views["x1"]).all()
    assert views["foot_x"] == pytest.approx([480, 300], abs=0.01)


def test_a_bird_behind_the_box_is_hidden_by_it(way, put):
    lek = way._lek
    birds = put(lek, (480, 300, Behaviour.STAND))
    birds["x"], birds["y"] = lek.arena.box_x, lek.arena.box_y + 0.55
    views, _ = look(way, birds)
    assert views["area"][0] < 0.35 * views["whole"][0]


def test_outlines_lie_where_the_rendered_birds_are(still_lek, put):
    lek = found(still_lek)
    outliner, studio = Outliner(lek), Studio(lek)
    behaviours = [Behaviour.STAND, Behaviour.WALK, Behaviour.FEED, Behaviour.PREEN, Behaviour.REST, Behaviour.DISPLAY]
    overlaps, off = [], []
    for k, behaviour in enumerate(behaviours * 2):
        birds = put(lek, (250 + 40 * k, 250 + 15 * k, behaviour))
        birds["heading"] = 0.55 * k
        (drawn, mask), (rendered, picture) = look(outliner, birds), look(studio, birds)
        overlaps.append(np.sum(mask & picture) / np.sum(mask | picture))
        off += [abs(float(drawn[side][0] - rendered[side][0])) for side in ("x1", "y1", "x2", "y2")]
    assert np.mean(overlaps) > 0.8 and np.mean(off) < 3


def test_run_lengths_give_back_the_masks(still_lek, put):
    outliner = Outliner(found(still_lek))
    birds = put(outliner._lek, (480, 300, Behaviour.STAND), (487, 322, Behaviour.DISPLAY))
    views, codes = outliner.film(0, birds[None])
    starts = np.concatenate([[0], views["code_end"][0]])
    for bird in range(2):
        mask = decode(codes[starts[bird] : starts[bird + 1]].tobytes(), 544, 960)
        assert np.array_equal(mask, outliner._owner == bird + 1)


def test_a_chunk_that_outgrows_the_buffer_is_written_whole(still_lek, put):
    outliner = Outliner(found(still_lek))
    states = np.stack([put(outliner._lek, (480, 300, Behaviour.STAND), (300, 322, Behaviour.DISPLAY))] * 40)
    _, expected = outliner.film(0, states)
    outliner._codes._data = np.empty(16, np.uint8)
    _, codes = outliner.film(0, states)
    assert np.array_equal(codes, expected)
