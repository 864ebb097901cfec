import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backend.masks.rle import decode
from backend.pipeline.chunk_tables import DETECTIONS, FRAMES, AnalysedFrames, Instances, write_chunk
from backend.pipeline.chunks import Chunk
from backend.pipeline.detections import open_detections
from backend.project.errors import InputError
from tests.detection_runs import make_run

BOXES = {0: [(10, 10, 30, 40), (50, 20, 60, 30)], 7: [(1, 2, 3, 4)], 21: [(100, 50, 140, 90)]}
SCORES = {0: [0.9, 0.4], 7: [0.3], 21: [0.8]}


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "run", BOXES, 50, scores=SCORES)


def test_files_have_the_columns_of_the_contract(run):
    chunk = run.chunks[0]
    assert (chunk.detections_file, chunk.frames_file) == (
        "detections_00000000_00000020.parquet",
        "frames_00000000_00000020.parquet",
    )
    assert pq.read_schema(run.folder / chunk.detections_file).remove_metadata() == DETECTIONS
    assert pq.read_schema(run.folder / chunk.frames_file).remove_metadata() == FRAMES


def test_every_frame_comes_out_in_order_with_its_own_detections_and_empty_ones_too(run):
    got = [(frame, time_s, birds) for part in run for frame, time_s, birds in part.by_frame()]
    assert [frame for frame, _, _ in got] == list(range(50))
    assert [time_s for _, time_s, _ in got] == pytest.approx(np.arange(50) / 25)
    assert {frame: birds.boxes.tolist() for frame, _, birds in got if len(birds)} == {
        frame: [list(map(float, box)) for box in boxes] for frame, boxes in BOXES.items()
    }


def test_a_mask_has_the_area_that_stands_beside_it(run):
    birds = run.at(0)
    assert [decode(birds.counts(k), 96, 160).sum() for k in range(2)] == birds.area_px2.tolist() == [600, 100]


def test_one_frame_can_be_asked_for_and_empty_differs_from_not_looked_at(tmp_path):
    run = make_run(tmp_path / "run", {0: BOXES[0]}, 50, stride=5)
    assert len(run.at(0)) == 2
    assert len(run.at(5)) == 0
    assert run.at(6) is None
    assert run.at(50) is None


def test_a_threshold_keeps_frames_and_the_numbers_of_detections(run):
    part = run.load(run.chunks[0]).at_least(0.5)
    assert len(part.seen) == 20
    assert part.seen.n.tolist() == [1] + [0] * 19
    assert part.detections.detection.tolist() == [0]
    assert part.detections.counts(0) == run.at(0).counts(0)


def test_without_masks_the_rle_column_is_not_read(run):
    assert all(part.detections.rle.null_count == len(part.detections) for part in run.without_masks())


def test_frames_of_all_chunks_come_as_one_table(run):
    frames = run.frames()
    assert frames.frame.tolist() == list(range(50))
    assert frames.n.sum() == 4


def test_a_run_that_is_still_going_on_shows_what_is_finished_and_what_is_missing(tmp_path):
    run = make_run(tmp_path / "run", BOXES, 50, complete=False)
    (run.folder / run.chunks[1].frames_file).unlink()
    run = open_detections(run.folder)
    assert [chunk.from_frame for chunk in run.chunks] == [0, 40]
    assert run.missing() == [Chunk(20, 40)]
    assert not run.complete


def test_the_same_rows_give_the_same_bytes(tmp_path):
    first, second = (make_run(tmp_path / name, BOXES, 50) for name in "ab")
    for path in first.folder.glob("*.parquet"):
        assert path.read_bytes() == (second.folder / path.name).read_bytes()


@pytest.mark.parametrize("name", ["empty", "other"])
def test_a_folder_without_detections_is_refused(tmp_path, name):
    (tmp_path / name).mkdir()
    if name == "other":
        (tmp_path / name / "manifest.json").write_text("{}")
    with pytest.raises(InputError, match=name):
        open_detections(tmp_path / name)


def test_a_damaged_table_is_named(run):
    path = run.folder / run.chunks[0].detections_file
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=path.name):
        run.load(run.chunks[0])


@pytest.mark.parametrize(
    ("frame", "detection", "n"),
    [([0, 0], [1, 0], [2]), ([1, 0], [0, 0], [1, 1]), ([0], [0], [0]), ([9], [0], [1])],
    ids=["detections out of order", "frames out of order", "a detection that no frame counts", "outside the chunk"],
)
def test_rows_that_break_the_contract_are_not_written(tmp_path, frame, detection, n):
    rows = len(frame)
    found = Instances(
        np.array(frame, np.int32),
        np.array(detection, np.int32),
        np.ones(rows, np.int32),
        np.ones(rows, np.float32),
        np.zeros((rows, 4), np.float32),
        np.zeros(rows, np.int32),
        pa.array([b"0"] * rows, pa.binary()),
    )
    seen = AnalysedFrames(np.arange(len(n), dtype=np.int32), np.arange(len(n)) / 25, np.array(n, np.int32))
    with pytest.raises(ValueError, match="Chunk"):
        write_chunk(tmp_path, Chunk(0, 5), seen, found)
    assert not list(tmp_path.iterdir())
