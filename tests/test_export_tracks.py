"""Corrected tracks in the formats of other programs: what is read back is what was written."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from pycocotools.coco import COCO
from scipy.io import netcdf_file

from backend.export_tracks import main
from backend.masks import rle
from backend.pipeline.detections import open_detections
from backend.project.errors import InputError
from backend.project.manifest import verify
from backend.tracking.io.export import FORMATS
from backend.tracking.tracks.edits import edit_line, parse_edit
from backend.tracking.tracks.schemas import TRACK_COLUMNS, State
from backend.tracking.tracks.track_folder import open_tracks
from backend.tracking.tracks.tracks import Tracks
from tests.board.boards import DETECTIONS_RUN, small_project
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
    (folder / "corrections.jsonl").write_bytes(edit_line(parse_edit(SWAP)))
    return folder


def export(run: Path, out: Path, *options: str) -> Tracks:
    """Write all formats, COCO only where the size of the pictures is known, and return the corrected tracks."""
    formats = [name for name in FORMATS if name != "coco" or "track_output" in run.parts]
    main(["--tracks", str(run), "--to", *formats, "--out", str(out), *options])
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


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # in pycocotools
def test_coco_names_who_is_who_and_where_the_masks_are(tmp_path: Path) -> None:
    project = small_project(tmp_path / "project")
    folder = project.track_output("lek", "tracks-a")
    drawn = np.zeros((96, 160), np.uint8)
    drawn[60:90, 50:80] = 1
    detections = project.inference_output("lek", DETECTIONS_RUN)
    tracks = export(folder, tmp_path / "out")
    name = tracks.names[0]
    own = np.flatnonzero((tracks.identity == 0) & (tracks.detection >= 0))[0]
    frame, number = int(tracks.frame[own]), int(tracks.detection[own])
    anchor = {"frame": frame, "detection": number}
    draw = {"act": "draw", "frame": frame, "identity": name, "box": [50, 60, 80, 90], "anchor": anchor}
    who = {"id": 1, "when": "2026-05-01T12:00:00Z", "who": "Ann", "version": 0}
    log = project.root / "corrections" / "lek" / f"{DETECTIONS_RUN}.jsonl"
    log.parent.mkdir(parents=True)
    log.write_bytes(edit_line(parse_edit({**who, **draw, "rle": rle.encode(drawn).decode()})))
    tracks = export(folder, tmp_path / "out")
    coco = COCO(str(tmp_path / "out" / "tracks_coco.json"))
    assert {each["name"] for each in coco.dataset["tracks"]} >= set(tracks.names)
    assert len(coco.imgs) == tracks.n_frames and len(coco.anns) == np.sum(tracks.state != State.LOST)
    found = open_detections(detections).at(frame)
    for each in coco.loadAnns(coco.getAnnIds(imgIds=[frame + 1])):
        row = np.flatnonzero((tracks.frame == frame) & (tracks.track_id == each["track_id"]))[0]
        x, y, width, height = each["bbox"]
        assert np.allclose([x, y, x + width, y + height], tracks.boxes[row])
        counts = found.counts(int(tracks.detection[row]))
        shown = drawn if row == own else rle.decode(counts, 96, 160)
        assert np.array_equal(coco.annToMask(each), shown) and each["area"] == shown.sum()


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


def test_coco_without_the_size_of_the_pictures_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="COCO needs the size"):
        main(["--tracks", str(run), "--to", "coco", "--out", str(tmp_path / "out")])
