from pathlib import Path

import numpy as np
import pytest

from backend.masks.rle import decode
from backend.pipeline.chunk_plan import VideoPlan
from backend.pipeline.decode import BatchDecoded
from backend.pipeline.network import NetworkDetections
from backend.pipeline.regions import Region
from backend.pipeline.rows import join_batches, rows_of_batch
from tests.pasting import counts, paste, random_masks

SIZE = (320, 240)
WHOLE = (Region(0, 0, *SIZE),)


def plan(regions=WHOLE, input_size=SIZE):
    return VideoPlan("lek", Path("lek.mp4"), Path("out"), SIZE, regions, input_size, 4)


def found(picture, scores, boxes, masks=None):
    masks = np.ones((len(picture), 28, 28), np.float32) if masks is None else masks
    return NetworkDetections(
        np.array(picture, np.int64),
        np.ones(len(picture), np.int64),
        np.array(scores, np.float32),
        np.array(boxes, np.float32).reshape(-1, 4),
        masks,
    )


def test_rows_are_sorted_by_frame_and_falling_score_and_numbered_within_each_frame():
    boxes = [[0, 0, 9, 9], [20, 20, 40, 40], [1, 1, 8, 8]]
    seen, rows = rows_of_batch(
        found([2, 2, 0], [0.5, 0.9, 0.7], boxes), BatchDecoded((10, 11, 15), (0.4, 0.44, 0.6)), plan()
    )
    assert seen.frame.tolist() == [10, 11, 15]
    assert seen.n.tolist() == [1, 0, 2]
    assert rows.frame.tolist() == [10, 15, 15]
    assert rows.detection.tolist() == [0, 0, 1]
    assert rows.score.tolist() == pytest.approx([0.7, 0.9, 0.5])


def test_masks_equal_those_pasted_at_the_place_in_the_frame():
    region = Region(30, 20, 290, 220)
    masks, _ = random_masks(1, 6, SIZE, (20, 60))
    boxes = np.array([[x, 10, x + 60, 90] for x in range(0, 300, 50)], np.float32)
    _, rows = rows_of_batch(
        found([0] * 6, [0.9] * 6, boxes, masks), BatchDecoded((0,), (0.0,)), plan((region,), (520, 400))
    )
    for k in range(6):
        assert rows.boxes[k].tolist() == region.to_frame(boxes[k : k + 1], (520, 400))[0].tolist()
        assert rows.counts(k) == counts(paste(masks[k], rows.boxes[k], SIZE))


def test_pictures_beyond_the_decoded_ones_and_boxes_without_area_are_left_out():
    boxes = [[0, 0, 9, 9], [5, 5, 5, 9], [0, 0, 9, 9]]
    seen, rows = rows_of_batch(found([0, 0, 1], [0.9, 0.8, 0.7], boxes), BatchDecoded((3,), (0.1,), (4,)), plan())
    assert seen.n.tolist() == [1]
    assert len(rows) == 1


def test_a_batch_without_a_frame_or_a_bird_gives_tables_without_rows():
    nothing = found([], [], [])
    for decoded in (BatchDecoded((), (), (1, 2)), BatchDecoded((1,), (0.0,))):
        seen, rows = rows_of_batch(nothing, decoded, plan())
        assert (len(seen), len(rows)) == (len(decoded.frames), 0)


def test_tiles_of_one_frame_are_merged_and_those_of_another_are_not():
    left, right = Region(0, 0, 200, 240), Region(120, 0, 320, 240)
    boxes = [[130, 50, 170, 90], [10, 50, 50, 90], [130, 50, 170, 90]]  # pictures 0 and 1 are tiles of one frame
    _, rows = rows_of_batch(
        found([0, 1, 2], [0.9, 0.8, 0.7], boxes), BatchDecoded((5, 6), (0.2, 0.24)), plan((left, right), (200, 240))
    )
    assert rows.frame.tolist() == [5, 6]
    assert rows.boxes.tolist() == [[130, 50, 170, 90]] * 2


def test_batches_join_to_one_table_with_their_masks():
    parts = [
        rows_of_batch(found([0], [0.9], [[x, 5, x + 20, 30]]), BatchDecoded((frame,), (frame / 25,)), plan())
        for frame, x in ((0, 10), (1, 60))
    ]
    seen, rows = join_batches(parts)
    assert seen.frame.tolist() == rows.frame.tolist() == [0, 1]
    assert [decode(rows.counts(k), SIZE[1], SIZE[0]).any(0).argmax() for k in range(2)] == [10, 60]
