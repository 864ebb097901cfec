import time
from datetime import UTC, datetime

import numpy as np
import pyarrow.parquet as pq
import pytest

from backend.project.errors import InputError
from backend.project.manifest import read_manifest
from backend.tracking.tracks.edits import Anchor, Name, edit_line
from backend.tracking.tracks.schemas import State
from backend.tracking.tracks.track_folder import corrections_log, open_tracks, track_manifest
from backend.tracking.tracks.tracks import sorted_tracks
from tests.tracking.track_samples import same, two_birds, write_run


def test_tracks_come_back_as_they_were_written(tmp_path):
    tracks = two_birds(lost=(3, 4))
    write_run(tmp_path / "run", tracks)
    assert same(open_tracks(tmp_path / "run"), tracks)


def test_a_lost_bird_has_a_row_without_box_detection_and_probability(tmp_path):
    write_run(tmp_path / "run", two_birds(lost=(3,)))
    rows = pq.read_table(tmp_path / "run" / "tracks.parquet").to_pylist()
    row = next(row for row in rows if row["frame"] == 3 and row["identity"] == "bird 02")
    assert row == {
        "frame": 3, "detection": None, "track_id": 2, "identity": "bird 02", "state": "lost",
        "p_identity": None, "x1": None, "y1": None, "x2": None, "y2": None,
    }  # fmt: skip


def test_rows_are_found_by_frame_and_by_track():
    tracks = two_birds(lost=(3,))
    assert tracks.track_id[tracks.rows_at(3)].tolist() == [1, 2]
    assert tracks.frame[tracks.rows_of(2)].tolist() == list(range(10))
    assert tracks.rows_at(10) == tracks.rows_at(-1) == slice(0, 0)
    assert len(tracks.rows_of(7)) == 0


def test_no_birds_at_all_is_a_result(tmp_path):
    whole = two_birds()
    empty = whole.select(np.zeros(len(whole), bool))
    write_run(tmp_path / "run", empty)
    tracks = open_tracks(tmp_path / "run")
    assert (len(tracks), tracks.n_frames, tracks.fps) == (0, 10, pytest.approx(25))


def test_the_corrections_of_a_project_lie_beside_its_videos(tmp_path):
    folder = tmp_path / "track_output" / "lek-1" / "t1"
    write_run(folder, two_birds(), "night-1")
    expected = tmp_path / "corrections" / "lek-1" / "night-1.jsonl"
    assert corrections_log(folder, track_manifest(folder)) == expected


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), "holds no tracks"),
        (lambda folder: (folder / "tracks.parquet").unlink(), "is not there"),
        (lambda folder: (folder / "tracks.parquet").write_bytes(b"PAR1"), "cannot be read as Parquet"),
        (lambda folder: (folder / "frames.parquet").replace(folder / "tracks.parquet"), "has no column detection"),
    ],
    ids=["no manifest", "no tracks", "torn file", "another table"],
)
def test_what_is_no_track_folder_is_refused_in_one_line(tmp_path, spoil, message):
    write_run(tmp_path / "run", two_birds())
    spoil(tmp_path / "run")
    with pytest.raises(InputError, match=message):
        open_tracks(tmp_path / "run")


def test_a_million_rows_open_in_three_seconds(tmp_path):
    n_frames, birds = 50_000, 20
    frame = np.repeat(np.arange(n_frames, dtype=np.int32), birds)
    bird = np.tile(np.arange(birds, dtype=np.int32), n_frames)
    rng = np.random.default_rng(0)
    tracks = sorted_tracks(
        frame=frame,
        detection=bird,
        track_id=bird + 1,
        identity=bird.astype(np.int16),
        state=np.full(len(frame), State.DETECTED, np.int8),
        p_identity=rng.random(len(frame), dtype=np.float32),
        boxes=rng.random((len(frame), 4), dtype=np.float32),
        names=tuple(f"bird {k + 1:02d}" for k in range(birds)),
        frames=np.arange(n_frames, dtype=np.int32),
        times=np.arange(n_frames) / 25,
    )
    write_run(tmp_path / "run", tracks)
    start = time.perf_counter()
    found = open_tracks(tmp_path / "run")
    assert time.perf_counter() - start < 3
    assert same(found, tracks)


def test_a_run_of_one_frame_has_the_rate_of_its_video(tmp_path):
    """Its times say nothing; a corrected name does not change that."""
    write_run(tmp_path / "run", two_birds(1))
    manifest = read_manifest(tmp_path / "run")
    manifest.settings["fps"] = 50.0
    manifest.write(tmp_path / "run")
    common = {"id": 1, "when": datetime(2026, 5, 1, tzinfo=UTC), "who": "Ada", "version": 0, "from_frame": 0}
    act = Name(anchor=Anchor(frame=0, detection=0), identity="Hugo", **common)
    (tmp_path / "run" / "corrections.jsonl").write_bytes(edit_line(act))
    assert open_tracks(tmp_path / "run", corrections=False).fps == 50
    corrected = open_tracks(tmp_path / "run")
    assert "Hugo" in corrected.names and corrected.fps == 50
