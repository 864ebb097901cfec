import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.pipeline.chunks import Chunk, plan_chunks
from backend.project.errors import InputError


@given(st.integers(0, 500), st.integers(1, 2000), st.integers(1, 300), st.integers(1, 40), st.integers(1, 17))
def test_every_frame_of_the_stride_is_in_exactly_one_batch_of_one_chunk(start, count, length, stride, batch):
    plan = plan_chunks(start, start + count, length, stride)
    batches = [group for chunk in plan for group in chunk.batches(batch)]
    assert [frame for group in batches for frame in group] == list(range(start, start + count, stride))
    assert all(len(chunk.frames) == length for chunk in plan[:-1])
    assert all(len(group) == batch for chunk in plan for group in chunk.batches(batch)[:-1])


def test_a_chunk_is_found_again_by_the_name_of_its_commit_mark():
    chunk = Chunk(3000, 4500, 3)
    assert Chunk.of_name(chunk.frames_file, 3) == chunk
    assert Chunk.of_name(chunk.detections_file, 3) is None
    assert Chunk.of_name(f".{chunk.frames_file}.123-0011aabb.tmp", 3) is None


@pytest.mark.parametrize(
    ("start", "end", "length", "stride"), [(5, 5, 10, 1), (-1, 5, 10, 1), (0, 5, 0, 1), (0, 5, 1, 0)]
)
def test_an_impossible_plan_is_refused(start, end, length, stride):
    with pytest.raises(InputError):
        plan_chunks(start, end, length, stride)
