"""Stage 1 on rendered leks: a tracklet is one bird, wherever chunks begin and end."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from backend.lek.lek_settings import LekSettings
from backend.lek.recording import record
from backend.lek.simulated_run import ORIGIN, detect
from backend.pipeline.detections import ChunkDetections, DetectionsRun, open_detections
from backend.tracking.online.association import OnlineTracker, chunk_arrays, default_settings
from backend.tracking.online.track_state import SINGLE, ChunkArrays
from backend.tracking.online.tracklets import Sightings, Tracklets, build_tracklets

SECONDS, FPS = 60, 25


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> DetectionsRun:
    """Return what a detector of normal noise sees of a minute of 10 birds."""
    folder = tmp_path_factory.mktemp("lek")
    assert record(folder / "lek", LekSettings(birds=10, seconds=SECONDS, seed=5, fps=FPS), video=False)
    detect(folder / "lek", folder / "run", "normal")
    return open_detections(folder / "run")


def settings_for(run: DetectionsRun):
    widths = next(iter(run)).detections.boxes
    return default_settings(run.facts.height, 1 / run.facts.fps, widths[:, 2] - widths[:, 0])


def follow(run: DetectionsRun, lengths: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return tracklet, kind and endings, following in chunks of so many frames."""
    whole = chunk_arrays(next(iter(run)))
    assert len(run.chunks) == 1
    tracker = OnlineTracker(settings_for(run))
    parts = []
    for first in range(0, len(whole.times), lengths):
        last = min(first + lengths, len(whole.times))
        parts.append(tracker.update(frames_of(whole, first, last)))
    return tuple(np.concatenate([getattr(part, name) for part in parts]) for name in ("tracklet", "kind", "endings"))


def frames_of(chunk: ChunkArrays, first: int, last: int) -> ChunkArrays:
    a, b = chunk.starts[first], chunk.starts[last]
    return chunk._replace(
        starts=chunk.starts[first : last + 1] - a,
        times=chunk.times[first:last],
        boxes=chunk.boxes[a:b],
        scores=chunk.scores[a:b],
        offsets=chunk.offsets[a : b + 1],
    )


def tables(run: DetectionsRun) -> tuple[ChunkDetections, Sightings, Tracklets]:
    part = next(iter(run))
    tracklet, kind, endings = follow(run, len(part.seen))
    at, found = np.repeat(np.arange(len(part.seen)), part.seen.n), part.detections
    made = build_tracklets(
        at, found.frame, found.detection, found.boxes, found.score, tracklet, kind, endings, part.seen.time_s
    )
    return part, *made


def test_chunk_borders_change_nothing(run):
    whole = follow(run, 10_000)
    for length in (1, 7, 400):
        for one, other in zip(whole, follow(run, length), strict=True):
            assert np.array_equal(one, other)


def test_a_tracklet_is_one_bird(run):
    part, sightings, tracklets = tables(run)
    origin = pq.read_table(run.folder / ORIGIN)
    place = {
        key: k
        for k, key in enumerate(zip(part.detections.frame.tolist(), part.detections.detection.tolist(), strict=True))
    }
    rows = [place[key] for key in zip(sightings.frame.tolist(), sightings.detection.tolist(), strict=True)]
    first, second = (origin[name].to_numpy().astype(int)[rows] for name in ("bird", "second"))
    right = seen = 0
    for k in np.flatnonzero(tracklets.crowd == SINGLE):
        own = slice(sightings.starts[k], sightings.starts[k + 1])
        bird = np.bincount(first[own]).argmax()
        if bird > 0:
            right += int(((first[own] == bird) | (second[own] == bird)).sum())
            seen += own.stop - own.start
    there = int((origin["bird"].to_numpy() > 0).sum())
    assert right / seen >= 0.995
    assert seen / there >= 0.9
    assert len(tracklets) <= 15 * 10 * SECONDS / 60


def test_tables_of_stage_2_are_sorted_and_complete(run):
    _, sightings, tracklets = tables(run)
    assert len(sightings.starts) == len(tracklets) + 1
    assert (np.diff(tracklets.first) >= 0).all()
    assert (np.diff(sightings.starts) == tracklets.n).all()
    for k in range(len(tracklets)):
        at = sightings.at[sightings.starts[k] : sightings.starts[k + 1]]
        assert (np.diff(at) > 0).all()
        assert (at[0], at[-1]) == (tracklets.first[k], tracklets.last[k])
    assert np.isfinite(tracklets.end_v).all()


def walk(n: int, frames: int, step: tuple[float, float], gap: tuple[int, int] = (0, 0)) -> ChunkArrays:
    """Return boxes of birds in a row, 100 px apart, that walk; the first is not seen in the frames of ``gap``."""
    boxes, counts = [], []
    for frame in range(frames):
        there = [k for k in range(n) if not (k == 0 and gap[0] <= frame < gap[1])]
        counts.append(len(there))
        boxes += [
            (20 + 100 * k + frame * step[0], 50 + frame * step[1], 50 + 100 * k + frame * step[0], 80 + frame * step[1])
            for k in there
        ]
    total = len(boxes)
    return ChunkArrays(
        0,
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.arange(frames) / 25,
        np.array(boxes, np.float64),
        np.full(total, 0.9),
        np.zeros(total + 1, np.int64),
        np.zeros(1, np.uint8),
        np.zeros((0, 6)),
    )


WALK_SETTINGS = default_settings(400, 1 / 25, np.full(10, 30.0))


def test_boxes_without_masks_are_followed():
    followed = OnlineTracker(WALK_SETTINGS).update(walk(5, 60, (3.0, 1.0)))
    assert followed.tracklet.tolist() == [1, 2, 3, 4, 5] * 60
    assert not len(followed.endings)


def test_a_short_miss_is_bridged_and_a_long_one_ends_the_tracklet():
    short = OnlineTracker(WALK_SETTINGS).update(walk(3, 80, (2.0, 0.0), (30, 40)))
    assert set(short.tracklet) == {1, 2, 3}
    long = OnlineTracker(WALK_SETTINGS).update(walk(3, 120, (2.0, 0.0), (30, 80)))
    assert set(long.tracklet) == {1, 2, 3, 4}
    assert long.endings[:, 0].tolist() == [1]


def test_more_birds_than_slots():
    followed = OnlineTracker(WALK_SETTINGS, slots=4).update(walk(90, 10, (1.0, 0.0)))
    assert followed.tracklet.tolist() == list(range(1, 91)) * 10


def test_a_camera_that_jumps_loses_nobody_when_its_motion_is_given():
    chunk = walk(4, 60, (0.5, 0.0))
    jump = np.zeros((60, 2))
    jump[20:] += (37.0, -21.0)
    jump[40:] += (-60.0, 15.0)
    moved = chunk._replace(boxes=chunk.boxes + np.tile(np.repeat(jump, 4, axis=0), 2))
    motion = np.tile([1.0, 0.0, 0.0, 0.0, 1.0, 0.0], (60, 1))
    motion[1:, [2, 5]] = np.diff(jump, axis=0)
    steady = OnlineTracker(WALK_SETTINGS).update(moved._replace(motion=motion))
    assert steady.tracklet.tolist() == [1, 2, 3, 4] * 60
    assert set(OnlineTracker(WALK_SETTINGS).update(moved).tracklet) != {1, 2, 3, 4}


def test_memory_of_a_tracker_does_not_grow_with_the_video():
    tracker, sizes = OnlineTracker(WALK_SETTINGS), []
    chunk = walk(20, 50, (1.0, 0.0))
    for part in range(20):
        tracker.update(
            chunk._replace(times=chunk.times + 2.0 * part, boxes=chunk.boxes + 50.0 * part * np.array([1, 0, 1, 0]))
        )
        sizes.append(sum(value.nbytes for value in (*tracker._states, tracker._runs)))
    assert len(set(sizes)) == 1
