import errno
from pathlib import Path

import numpy as np
import pytest

from backend.pipeline.chunk_plan import VideoPlan, Work
from backend.pipeline.chunks import Chunk
from backend.pipeline.decode import Batch, BatchDecoded
from backend.pipeline.detections import finished_chunks
from backend.pipeline.network import NetworkDetections
from backend.pipeline.regions import Region
from backend.pipeline.save import ChunkError, Savers

NOTHING = NetworkDetections(
    np.zeros(0, np.int64),
    np.zeros(0, np.int64),
    np.zeros(0, np.float32),
    np.zeros((0, 4), np.float32),
    np.zeros((0, 28, 28)),
)


def batches(work, size):
    for number, frames in enumerate(work.chunk.batches(size)):
        yield Batch(work, number, BatchDecoded(frames, tuple(frame / 25 for frame in frames)), None, 0, 0)


@pytest.fixture
def plan(tmp_path):
    return VideoPlan("lek", Path("lek.mp4"), tmp_path, (32, 32), (Region(0, 0, 32, 32),), (32, 32), 4)


def test_a_chunk_is_written_once_its_batches_are_there_in_whatever_order(plan):
    saved = []
    savers = Savers([plan], 3, 0.5, saved.append)
    works = [Work(0, Chunk(0, 30)), Work(0, Chunk(30, 41))]
    for work in works:
        todo = list(batches(work, 4))
        savers.begin(work, len(todo))
        for batch in reversed(todo):
            savers.put(batch, NOTHING)
        savers.wait_for(work)
        assert saved[-1] == work
    savers.close()
    assert finished_chunks(plan.folder, 1) == [work.chunk for work in works]


def test_an_error_of_the_disk_comes_out_with_its_chunk_and_file(plan, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", str(plan.folder / "detections_x"))

    monkeypatch.setattr("backend.pipeline.save.write_chunk", full)
    savers = Savers([plan], 2, 0.5, lambda work: None)
    work = Work(0, Chunk(0, 4))
    savers.begin(work, 1)
    with pytest.raises(ChunkError) as met:
        savers.put(next(batches(work, 4)), NOTHING)
        savers.wait_for(work)
    assert (met.value.work, met.value.cause.errno) == (work, errno.ENOSPC)
    assert met.value.path == str(plan.folder / "detections_x")
    for _ in range(20):  # whoever goes on putting is not left waiting
        with pytest.raises(ChunkError):
            savers.put(next(batches(work, 4)), NOTHING)
    savers.close()
