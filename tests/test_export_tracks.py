"""Corrected tracks in the formats of other programs: what is read back is what was written."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy.io import netcdf_file

from backend.export_tracks import main
from backend.project.errors import InputError
from backend.project.manifest import verify
from backend.tracking.acts import act_line, parse_act
from backend.tracking.export_formats import FORMATS, read_mot_tracks
from backend.tracking.schemas import TRACK_COLUMNS, State
from backend.tracking.tracks import Tracks, open_tracks
from tests.tracking.track_samples import two_birds, write_run

SWAP = {
    "id": 1, "when": "2026-05-01T12:00:00Z", "who": "Ann", "version": 0, "act": "swap",
    "from_frame": 5, "to_frame": None,
    "first": {"frame": 5, "detection": 0}, "first_identity": "bird 02",
    "second": {"frame": 5, "detection": 1}, "second_identity": "bird 01",
}  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of two birds, one of them lost in two frames, that were exchanged at frame 5 and put right."""
    folder = tmp_path / "run"
    write_run(folder, two_birds(10, lost=(2, 3)))
    (folder / "corrections.jsonl").write_bytes(act_line(parse_act(SWAP)))
    return folder


def export(run: Path, out: Path, *options: str) -> Tracks:
    """Write all formats and return the corrected tracks."""
    main(["--tracks", str(run), "--to", *FORMATS, "--out", str(out), *options])
    verify(out)
    return open_tracks(run)


def test_csv_and_parquet_have_every_row_with_its_time(run: Path, tmp_path: Path) -> None:
    tracks = export(run, tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "tracks.csv")
    assert len(table) == len(tracks) and np.allclose(table["time_s"], table["frame"] / 25)
    lost = table[table["state"] == "lost"]
    assert sorted(zip(lost["frame"], lost["identity"], strict=True)) == [(2, "bird 02"), (3, "bird 02")]
    assert lost["x1"].isna().all()
    swapped = table[(table["frame"] == 5) & (table["detection"] == 0)]
    assert swapped["identity"].item() == "bird 02"
    assert pq.read_schema(tmp_path / "out" / "tracks_corrected.parquet").equals(TRACK_COLUMNS)


def test_without_corrections_the_automatic_tracks_are_written(run: Path, tmp_path: Path) -> None:
    export(run, tmp_path / "out", "--automatic")
    table = pd.read_csv(tmp_path / "out" / "tracks.csv")
    assert table[(table["frame"] == 5) & (table["detection"] == 0)]["identity"].item() == "bird 01"


def test_mot_comes_back_as_it_was(run: Path, tmp_path: Path) -> None:
    tracks = export(run, tmp_path / "out")
    again = read_mot_tracks(tmp_path / "out" / "tracks_mot.txt", fps=25)
    seen, seen_again = tracks.state != State.LOST, again.state != State.LOST
    for name in ("frame", "track_id", "identity", "state", "boxes"):
        assert np.array_equal(getattr(tracks, name)[seen], getattr(again, name)[seen_again]), name
    assert again.names == ("track 1", "track 2") and np.allclose(again.times, tracks.times)


def test_trajectories_are_as_idtracker_has_them(run: Path, tmp_path: Path) -> None:
    tracks = export(run, tmp_path / "out")
    content = np.load(tmp_path / "out" / "trajectories.npy", allow_pickle=True).item()
    assert content["trajectories"].shape == (10, 2, 2) and content["id_probabilities"].shape == (10, 2, 1)
    assert np.isnan(content["trajectories"][2:4, 1]).all()
    assert content["trajectories"][0].tolist() == [[10, 20], [110, 20]]
    assert content["trajectories"][6].tolist() == [[116, 20], [16, 20]]
    assert content["frames_per_second"] == pytest.approx(tracks.fps)


def test_netcdf_has_what_movement_asks_for(run: Path, tmp_path: Path) -> None:
    export(run, tmp_path / "out")
    with netcdf_file(tmp_path / "out" / "tracks_movement.nc", mmap=False) as data:
        assert data.variables["position"].dimensions == ("time", "space", "individuals")
        position, shape = data.variables["position"][:], data.variables["shape"][:]
        names = [b"".join(row).rstrip(b"\0").decode() for row in data.variables["individuals"][:]]
        assert names == ["bird 01", "bird 02"] and data.ds_type == b"bboxes"
        assert position[6].tolist() == [[116, 16], [20, 20]] and (shape[6] == 20).all()
        assert np.isnan(position[2:4, :, 1]).all() and np.allclose(data.variables["time"][:], np.arange(10) / 25)


def test_an_export_is_made_anew_when_corrections_have_grown(run: Path, tmp_path: Path) -> None:
    export(run, tmp_path / "out", "--automatic")
    export(run, tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "tracks.csv")
    assert table[(table["frame"] == 5) & (table["detection"] == 0)]["identity"].item() == "bird 02"


@pytest.mark.parametrize(
    ("lines", "reason"),
    [("1,-1,0,0,5,5,1\n", "detections, not tracks"), ("1,3,0,0,5,5,1\n1,3,9,9,5,5,1\n", "track 3 is twice in frame 1")],
)
def test_mot_that_is_no_tracks_is_refused(tmp_path: Path, lines: str, reason: str) -> None:
    (tmp_path / "file.txt").write_text(lines)
    with pytest.raises(InputError, match=reason):
        read_mot_tracks(tmp_path / "file.txt", fps=25)
