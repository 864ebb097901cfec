import multiprocessing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.pipeline.chunk_plan import VideoPlan, Work
from backend.pipeline.chunks import Chunk
from backend.pipeline.decode import AHEAD, Decoders, stretches
from backend.pipeline.regions import Region
from backend.pipeline.ring import SharedBatches
from backend.project.errors import InputError
from backend.video import VideoReader
from backend.video.resize import resize
from tests.inference_runs import wait_until
from tests.videos import number_of, write_video

SIZE = (160, 96)


@given(st.integers(1, 300), st.integers(1, 20), st.integers(1, 60), st.integers(1, 8))
def test_stretches_cover_all_batches_in_order(count, batch, gop, decoders):
    borders = stretches([k * batch for k in range(count)], np.arange(0, count * batch + gop, gop), decoders)
    assert (borders[0], borders[-1], len(borders)) == (0, count, decoders + 1)
    assert borders == sorted(borders)


def test_stretches_begin_at_key_frames_where_they_can():
    assert stretches(list(range(0, 400, 4)), np.arange(0, 400, 100), 4) == [0, 25, 50, 75, 100]


def all_batches(decoders, works):
    """Take the batches of each chunk as a worker does."""
    got = []
    for work in works:
        left = decoders.add(work)
        while left:
            decoders.receive()
            batch = decoders.next_of(work)
            if batch is None:
                multiprocessing.connection.wait(decoders.connections, 20)
                continue
            got.append((work, batch.number, batch.decoded.frames, np.asarray(batch.pictures).copy()))
            decoders.release(batch)
            left -= 1
    return got


@pytest.fixture
def plan(tmp_path, monkeypatch):
    monkeypatch.setenv("LEKTRACK_STATE", str(tmp_path / "state"))
    video = write_video(tmp_path / "lek.mp4", 90, gop=12)
    return VideoPlan("lek", video, tmp_path, SIZE, (Region(0, 0, *SIZE),), SIZE, 4)


def test_batches_hold_the_frames_they_name_with_several_decoders_and_a_stride(plan):
    decoders = Decoders([plan], 2, 1)
    works = [Work(0, Chunk(0, 60, 2)), Work(0, Chunk(60, 90, 2))]
    got = all_batches(decoders, works)
    decoders.close()
    for work in works:
        own = sorted((number, frames) for each, number, frames, _ in got if each == work)
        assert [frame for _, frames in own for frame in frames] == list(work.chunk.frames)
    for _, _, frames, pictures in got:
        assert [number_of(picture) for picture in pictures[: len(frames)]] == list(frames)
        assert not pictures[len(frames) :].any()


def test_regions_are_cut_before_they_are_resized(plan):
    regions = (Region(0, 0, 80, 48), Region(80, 48, 160, 96))
    parts = VideoPlan("lek", plan.path, plan.folder, SIZE, regions, (40, 24), 2)
    decoders = Decoders([parts], 1, 1)
    (_, _, frames, pictures), *_ = all_batches(decoders, [Work(0, Chunk(5, 7))])
    decoders.close()
    with VideoReader(plan.path) as reader:
        for k, frame in enumerate(frames):
            whole = reader.read([frame])[0]
            for r, region in enumerate(regions):
                expected = resize(whole[region.y1 : region.y2, region.x1 : region.x2], (40, 24))
                assert (pictures[2 * k + r] == expected).all()


def test_decoding_in_threads_on_a_device_gives_the_same_batches(plan):
    device = VideoPlan("lek", plan.path, plan.folder, SIZE, (Region(8, 6, 152, 90),), (72, 42), 4)
    works = [Work(0, Chunk(0, 30))]
    got = {}
    for where in (None, "cpu:0"):  # a device of torch, though no GPU
        decoders = Decoders([device], 2, 1, where)
        got[where] = {number: (frames, pictures) for _, number, frames, pictures in all_batches(decoders, works)}
        decoders.close()
    assert got[None].keys() == got["cpu:0"].keys()
    for number, (frames, pictures) in got[None].items():
        assert frames == got["cpu:0"][number][0]
        assert np.abs(pictures.astype(int) - got["cpu:0"][number][1].astype(int)).max() <= 1


def test_a_decoder_runs_ahead_by_its_slots_and_no_farther(plan):
    decoders = Decoders([plan], 1, 1)
    decoders.add(Work(0, Chunk(0, 90)))
    wait_until(lambda: decoders.receive() or len(decoders._ready) == AHEAD, 20)
    decoders.receive()
    assert len(decoders._ready) == AHEAD
    decoders.close()


def test_a_video_that_vanished_is_named(plan):
    decoders = Decoders([plan], 1, 1)
    plan.path.unlink()
    decoders.add(Work(0, Chunk(0, 8)))
    with pytest.raises(InputError, match=str(plan.path)):
        wait_until(lambda: decoders.receive(), 20)
    decoders.close()


def test_shared_batches_are_one_memory_without_a_name():
    batches = SharedBatches(2, [(2, 3, 4, 3), (1, 5, 5, 3)])
    batches.slot(1, (2, 3, 4, 3))[:] = 7
    assert batches.slot(1, (72,)).tolist() == [7] * 72
    assert not batches.slot(0, (72,)).any()
    batches.close()
