"""Every kind of doubt is found, with the frames, tracks and probability that belong to it."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from backend.masks.rle import encode
from backend.pipeline.chunk_tables import AnalysedFrames, Instances, write_chunk
from backend.pipeline.chunks import Chunk
from backend.pipeline.detections import DetectionsRun, open_detections
from backend.project.manifest import begin_manifest
from backend.tracking.evaluation.correspondence import Annotations, compare, matches
from backend.tracking.evaluation.metrics import doubt_recall
from backend.tracking.linking.result import Identities
from backend.tracking.review.doubts import doubt_table, find_doubts
from backend.tracking.review.duplicate_tracks import Duplicate, find_duplicates
from backend.tracking.tracks.schemas import DOUBT_COLUMNS, DoubtKind, State
from backend.tracking.tracks.tracks import Tracks, sorted_tracks
from tests.tracking.linking_cases import sightings_of

HERE, NEAR, THERE = np.array([100.0, 100.0]), np.array([106.0, 100.0]), np.array([500.0, 400.0])
NAMES = ("bird 01", "bird 02")
SIZE = (160, 96)


def doubts_of(paths, bird, p=None, second=None, begins=None, p_bird=None, duplicates=()):
    """Return the doubts about segments at these paths when they are assigned to these birds."""
    m, n_frames = len(bird), 1 + max(last for _, _, last, _ in paths)
    inputs, _ = sightings_of(paths, n_frames, None)
    assert len(inputs.segments) == m
    bird, p = np.array(bird), np.ones(m) if p is None else np.array(p)
    second = np.full(m, -1) if second is None else np.array(second)
    identities = Identities(bird, p, second, np.where(second >= 0, 1 - p, 0), NAMES)
    begins = np.array(begins or ["gap"] * m, object)
    found = find_doubts(inputs, identities, begins, np.ones(m) if p_bird is None else np.array(p_bird), duplicates)
    assert len(doubt_table(inputs, identities, found)) == len(found)
    return found


def test_a_bird_that_came_back_after_an_absence():
    paths = [(1, 0, 249, THERE), (0, 0, 99, HERE), (0, 150, 249, NEAR)]
    (found,) = doubts_of(paths, [1, 0, 0], [1, 1, 0.6], [-1, -1, 1])
    assert found.kind is DoubtKind.GAP and found.tracks == (1, 2)
    assert (found.from_at, found.to_at, found.until_at) == (99, 151, 250)
    assert (found.before, found.after, found.p_error) == ((1,), (2,), pytest.approx(0.4))


def test_two_birds_that_met_are_one_doubt():
    paths = [(0, 0, 99, HERE), (1, 0, 99, NEAR + 30), (0, 105, 199, HERE), (1, 105, 199, NEAR + 30)]
    begins = ["start", "start", "crossing", "crossing"]
    (found,) = doubts_of(paths, [0, 1, 0, 1], [1, 1, 0.7, 0.8], [-1, -1, 1, 0], begins)
    assert found.kind is DoubtKind.CROSSING and sorted(found.tracks) == [1, 2]
    assert sorted(found.before) == [0, 1] and sorted(found.after) == [2, 3]
    assert found.p_error == pytest.approx(0.3)


def test_a_step_that_is_too_long():
    (found,) = doubts_of([(0, 0, 99, HERE), (0, 105, 199, THERE)], [0, 0], [1, 0.99])
    assert found.kind is DoubtKind.JUMP and found.tracks == (1,)


def test_an_appearance_that_fits_another_bird():
    (found,) = doubts_of([(0, 0, 99, HERE), (0, 102, 199, NEAR)], [0, 0], [1, 0.5], [-1, 1])
    assert found.kind is DoubtKind.LOW_IDENTITY and found.tracks == (1, 2)


def test_a_stretch_without_identity_that_is_probably_a_bird():
    paths = [(0, 0, 199, HERE), (1, 50, 149, THERE), (1, 160, 170, THERE), (1, 172, 199, THERE)]
    (found,) = doubts_of(paths, [0, -1, -1, -1], [1, 0, 0, 0], [-1, 1, 1, -1], p_bird=[1, 0.9, 0.9, 0.01])
    assert found.kind is DoubtKind.LOW_IDENTITY and found.tracks == (
        4,
        2,
    )  # birds first, then unassigned
    assert (found.from_at, found.until_at, found.p_error) == (50, 150, 0.9)


def test_what_is_sure_is_no_doubt_and_what_costs_most_comes_first():
    paths = [(0, 0, 99, HERE), (1, 0, 299, THERE), (0, 102, 120, NEAR), (0, 122, 299, HERE)]
    assert not doubts_of(paths, [0, 1, 0, 0])
    twice = [Duplicate((1, 2), 10, 40, 0.8)]
    found = doubts_of(paths, [0, 1, 0, 0], [1, 1, 0.2, 1], duplicates=twice)
    assert [each.kind for each in found] == [DoubtKind.DUPLICATE, DoubtKind.LOW_IDENTITY]
    assert (found[0].tracks, found[0].until_at, found[0].p_error) == ((1, 2), 40, 0.8)


def two_on_one(folder: Path, with_masks: bool) -> tuple[DetectionsRun, Tracks]:
    """Return a run of three tracks: from frame 20 to 39 the second lies in the first; the third only in its box."""
    n_frames = 60
    x1, y1 = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    whole = (x1 >= 20) & (x1 < 60) & (y1 >= 20) & (y1 < 60)
    below = whole & (y1 - 20 >= x1 - 20)
    inside, away = below & (y1 < 58), (x1 >= 100) & (x1 < 130) & (y1 >= 20) & (y1 < 60)
    rows, codes = [], []
    for frame in range(n_frames):
        for bird, mask in enumerate((below, inside if 20 <= frame < 40 else away, whole & ~below)):
            ys, xs = np.nonzero(mask)
            rows.append((frame, bird, xs.min(), ys.min(), xs.max() + 1, ys.max() + 1))
            codes.append(encode(mask) if with_masks else None)
    rows = np.array(rows)
    frame, bird, boxes = rows[:, 0].astype(np.int32), rows[:, 1].astype(np.int32), rows[:, 2:].astype(np.float32)
    n = len(rows)
    found = Instances(
        frame, bird, np.ones(n, np.int32), np.full(n, 0.9, np.float32), boxes, np.full(n, 700, np.int32),
        pa.array(codes, pa.binary()),
    )  # fmt: skip
    frames = np.arange(n_frames, dtype=np.int32)
    facts = {
        "video": "lek", "width": SIZE[0], "height": SIZE[1], "fps": 25.0, "frame_start": 0, "frame_end": n_frames,
        "chunk_frames": n_frames, "class_names": ["bird"],
    }  # fmt: skip
    manifest = begin_manifest(folder, "inference", {}, facts)
    seen = AnalysedFrames(frames, frames / 25, np.full(n_frames, 3, np.int32))
    write_chunk(folder, Chunk(0, n_frames, 1), seen, found)
    manifest.complete = True
    manifest.write(folder)
    tracks = sorted_tracks(
        frame=frame, detection=bird, track_id=bird + 1, identity=bird.astype(np.int16),
        state=np.full(n, State.DETECTED, np.int8), p_identity=np.full(n, 0.9, np.float32), boxes=boxes,
        names=("bird 01", "bird 02", "bird 03"), frames=frames, times=frames / 25,
    )  # fmt: skip
    return open_detections(folder), tracks


def test_one_bird_in_two_tracks_is_found_by_masks_and_two_that_touch_are_not(tmp_path):
    (found,) = find_duplicates(*two_on_one(tmp_path, True))
    assert (found.tracks, found.from_at, found.to_at) == ((1, 2), 20, 40)
    assert found.share == pytest.approx(1.0)


def test_without_masks_boxes_must_be_nearly_the_same(tmp_path):
    found = find_duplicates(*two_on_one(tmp_path, False))
    assert sorted(each.tracks for each in found) == [(1, 2), (1, 3), (2, 3)]
    by_tracks = {each.tracks: (each.from_at, each.to_at) for each in found}
    assert by_tracks[1, 2] == (20, 40) and by_tracks[1, 3] == (0, 60)


def test_true_errors_that_doubts_point_to_are_counted():
    """Of two birds, both wrong in the last 10 of 40 s, one is in a doubt in all of them."""
    frame = np.repeat(np.arange(1000, dtype=np.int32), 2)
    bird = np.tile([0, 1], 1000)
    boxes = np.column_stack([100 * bird, 0 * bird, 100 * bird + 40, 0 * bird + 40]).astype(float)
    name = np.where(frame >= 750, 1 - bird, bird)
    truth = Annotations(frame, bird, boxes, np.full(2000, -1), np.full(2000, np.nan))
    correspondence = compare(
        truth, Annotations(frame, name + 1, boxes, name, np.full(2000, 0.9)), np.arange(1000, dtype=np.int32), 25
    )
    row = {"doubt": 1, "kind": "gap", "from_frame": 745, "to_frame": 760, "tracks": [1], "before": [], "after": []}
    doubts = pa.Table.from_pylist([row | {"p_error": 0.3, "until_frame": 1000}], DOUBT_COLUMNS)
    told = doubt_recall(correspondence, *matches(correspondence), doubts)
    assert told["wrong_time"] == pytest.approx(0.25) and told["wrong_time_at_doubts"] == pytest.approx(0.5)
    assert (told["errors"], told["long_errors"], told["long_errors_at_doubts"]) == (2, 2, 1)
    assert told["right_time_at_doubts"] == pytest.approx(5 / 1500)
