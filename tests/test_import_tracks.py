"""Tracks of other programs become a run that opens like our own, and ours come back as they were."""

import json
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from backend.export_tracks import main as export_tracks
from backend.import_tracks import main
from backend.project.errors import InputError
from backend.project.manifest import verify
from backend.tracking.io.export import FORMATS
from backend.tracking.io.sleap import FRAME, INSTANCE, POINT, PREDICTED_POINT
from backend.tracking.tracks.schemas import State
from backend.tracking.tracks.track_folder import open_tracks, read_doubts
from backend.tracking.tracks.tracks import NONE, Tracks
from board.load_board import open_board
from board.requests import ActRequest
from tests.board.boards import N_FRAMES, small_project
from tests.tracking.track_samples import two_birds, write_run

SLEAP = Path(os.environ.get("LEKTRACK_TEST_DATA", "no-such-folder")) / "sleap"
HALF = 0.5  # SLEAP counts from the middle of the first pixel


def imported(source: Path, out: Path, *options: str) -> Tracks:
    main(["--from", str(source), "--size", "320x240", "--fps", "25", "--out", str(out), *options])
    verify(out)
    return open_tracks(out)


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """A run of two birds: one is lost for two frames and interpolated in the frame after."""
    tracks = two_birds(10, lost=(2, 3))
    guess = np.flatnonzero((tracks.frame == 4) & (tracks.identity == 1))
    tracks.state[guess], tracks.detection[guess] = State.INTERPOLATED, NONE
    write_run(tmp_path / "ours", tracks)
    return tmp_path / "ours"


@pytest.mark.parametrize("name", ["mot", "slp", "sleap_h5"])
def test_what_we_export_comes_back(ours: Path, tmp_path: Path, name: str) -> None:
    export_tracks(["--tracks", str(ours), "--to", name, "--out", str(tmp_path / "out")])
    one, other = open_tracks(ours), imported(tmp_path / "out" / FORMATS[name].file, tmp_path / "back")
    for column in ("frame", "track_id", "identity", "state", "boxes", "detection"):
        assert np.array_equal(getattr(one, column), getattr(other, column), equal_nan=column == "boxes"), column
    assert other.names == (("track 1", "track 2") if name == "mot" else ("bird 01", "bird 02"))
    if name != "mot":  # it has no place for the probability
        assert np.array_equal(one.p_identity, other.p_identity, equal_nan=True)
    assert np.allclose(one.times, other.times) and len(read_doubts(tmp_path / "back")) == 0


@pytest.mark.parametrize("name", ["slp", "sleap_h5"])
def test_sleap_io_reads_what_we_write(ours: Path, tmp_path: Path, name: str) -> None:
    sleap_io = pytest.importorskip("sleap_io", reason="sleap-io is not installed; it is no part of the project")
    export_tracks(["--tracks", str(ours), "--to", name, "--out", str(tmp_path / "out")])
    read = {"slp": sleap_io.load_slp, "sleap_h5": sleap_io.load_analysis_h5}[name]
    labels = read(str(tmp_path / "out" / FORMATS[name].file))
    assert [track.name for track in labels.tracks] == ["bird 01", "bird 02"]
    points = labels.numpy()
    assert points.shape == (10, 2, 3, 2) and np.isnan(points[2:4, 1]).all()
    assert points[5, 0].tolist() == [[15 - HALF, 20 - HALF], [5 - HALF, 10 - HALF], [25 - HALF, 30 - HALF]]


def test_a_board_opens_on_imported_tracks_and_corrects_them(tmp_path: Path) -> None:
    project = small_project(tmp_path / "project")
    export_tracks(["--tracks", str(project.track_output("lek", "tracks-a")), "--to", "slp", "--out", str(tmp_path)])
    run = project.track_output("lek", "sleap")
    main(["--from", str(tmp_path / "tracks.slp"), "--video-path", str(tmp_path / "project/lek.mp4"), "--out", str(run)])
    with open_board(project, run, 1.0) as board:
        act = ActRequest(version=0, kind="name", track=1, frame=5, identity="Bruno", to="end")
        board.session.act(act, "Ann")
    assert (project.root / "corrections" / "lek" / "sleap-imported.jsonl").exists()
    assert "Bruno" in open_tracks(run).names and open_tracks(run).n_frames == N_FRAMES


def write_labels(path: Path, instances: list[tuple], points: dict[str, list[tuple]], names: list[str], **more) -> None:
    """Write a file as SLEAP does. Instances: (type, frame, track, first point, last point)."""
    frames = sorted({row[1] for row in instances})
    with h5py.File(path, "w") as data:
        about = data.create_group("metadata")
        about.attrs["format_id"] = more.get("format_id", 1.2)
        about.attrs["json"] = json.dumps({"nodes": [{"name": "head"}, {"name": "tail"}], "skeletons": []})
        videos = more.get("videos", ["lek.mp4"])
        data["videos_json"] = np.array([json.dumps({"backend": {"filename": name}}) for name in videos], "S")
        data["tracks_json"] = np.array([json.dumps([0, name]) for name in names], "S")
        table = np.zeros(len(frames), FRAME)
        table["frame_id"], table["frame_idx"] = np.arange(len(frames)), frames
        data["frames"] = table
        rows = np.zeros(len(instances), INSTANCE)
        for k, (kind, frame, track, first, last) in enumerate(instances):
            rows[k] = (k, kind, frames.index(frame), 0, track, -1, 39.0, first, last, 0)
        data["instances"] = rows
        data["points"] = np.array(points.get("points", []), POINT)
        data["pred_points"] = np.array(points.get("pred_points", []), PREDICTED_POINT)


def test_a_box_holds_the_visible_points_and_a_person_overrules_the_network(tmp_path: Path) -> None:
    seen = [
        (10, 20, True, False, 0.9),
        (30, 26, True, False, 0.9),
        (300, 300, False, False, 0),
        (40, 40, True, False, 1),
    ]
    placed = [(50, 60, True, True), (70, 64, True, True)]
    rows = [(1, 3, 0, 0, 3), (1, 3, 1, 3, 4), (0, 3, 1, 0, 2), (1, 3, -1, 0, 2), (1, 5, 0, 2, 3)]
    write_labels(tmp_path / "a.slp", rows, {"points": placed, "pred_points": seen}, ["Rosa", "Rosa"])
    tracks = imported(tmp_path / "a.slp", tmp_path / "run", "--margin-px", "4")
    assert tracks.names == ("Rosa", "Rosa (2)") and tracks.frame.tolist() == [3, 3]
    assert tracks.boxes.tolist() == [[6.5, 16.5, 34.5, 30.5], [46.5, 56.5, 74.5, 68.5]]
    assert tracks.state.tolist() == [State.DETECTED] * 2


def test_files_of_the_first_format_count_pixels_from_the_corner(tmp_path: Path) -> None:
    write_labels(
        tmp_path / "a.slp", [(1, 0, 0, 0, 1)], {"pred_points": [(10, 20, True, False, 1)]}, ["x"], format_id=1.0
    )
    assert imported(tmp_path / "a.slp", tmp_path / "run", "--margin-px", "5").boxes.tolist() == [[5, 15, 15, 25]]


def refused(source: Path, out: Path, *options: str) -> str:
    with pytest.raises(InputError) as error:
        imported(source, out, *options)
    assert not out.exists()
    return str(error.value)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("1,-1,0,0,5,5,1\n", "detections, not tracks"),
        ("1,3,0,0,5,5,1\n1,3,9,9,5,5,1\n", "track 3 is twice in frame 0"),
        ("12,3,0,0,5,5,1\n", "a bird in frame 11; the video has 10 frames"),
        ("1,3000000000,0,0,5,5,1\n", "track number 3000000000 is too large"),
    ],
)
def test_mot_that_is_no_tracks_is_refused(tmp_path: Path, lines: str, reason: str) -> None:
    (tmp_path / "file.txt").write_text(lines)
    assert reason in refused(tmp_path / "file.txt", tmp_path / "run", "--frames", "10")


def test_sleap_files_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    path, out, point = tmp_path / "a.slp", tmp_path / "run", {"pred_points": [(10, 20, True, False, 1)]}
    path.write_bytes(b"no HDF5 at all")
    assert "cannot be read as a SLEAP file" in refused(path, out)
    write_labels(path, [(1, 0, -1, 0, 1)], point, ["x"])
    assert "no instance with a track" in refused(path, out)
    write_labels(path, [(1, 0, 0, 0, 7)], point, ["x"])
    assert "points that are not there" in refused(path, out)
    write_labels(path, [(1, 0, 4, 0, 1)], point, ["x"])
    assert "tracks that are not there" in refused(path, out)
    write_labels(path, [(1, 0, 0, 0, 1)], point, ["x"], videos=["north.mp4", "south.mp4"])
    assert "holds 2 videos (north.mp4, south.mp4)" in refused(path, out)
    write_labels(path, [(1, 0, 0, 0, 1)], point, ["x"])
    assert "has no area; give a larger --margin-px" in refused(path, out, "--margin-px", "0")
    assert "is not there" in refused(tmp_path / "none.slp", out)
    assert "is not known; .txt, .slp and .h5 are" in refused(Path(__file__), out)


@pytest.mark.skipif(not SLEAP.is_dir(), reason="$LEKTRACK_TEST_DATA holds no folder sleap with files of SLEAP")
@pytest.mark.parametrize(
    ("name", "tracks", "rows"), [("predictions", 2, 6000), ("centered_pair_predictions", 27, 2274)]
)
def test_files_that_sleap_itself_wrote(tmp_path: Path, name: str, tracks: int, rows: int) -> None:
    found = imported(SLEAP / f"{name}.slp", tmp_path / "run", "--size", "1280x1024")
    assert len(found.names) == tracks and np.sum(found.state == State.DETECTED) == rows
    for kind in ("slp", "sleap_h5"):
        export_tracks(["--tracks", str(tmp_path / "run"), "--to", kind, "--out", str(tmp_path / kind)])
        again = imported(tmp_path / kind / FORMATS[kind].file, tmp_path / f"run-{kind}", "--size", "1280x1024")
        assert again.names == found.names
        assert np.array_equal(seen_boxes(again), seen_boxes(found)), kind


def seen_boxes(tracks: Tracks) -> np.ndarray:
    """Return (n, 6) frame, bird and box of what is seen, by frame and bird: track numbers are the file's own."""
    seen = np.flatnonzero(tracks.state == State.DETECTED)
    seen = seen[np.lexsort((tracks.identity[seen], tracks.frame[seen]))]
    return np.column_stack([tracks.frame[seen], tracks.identity[seen], tracks.boxes[seen]])


def moving(n: int, step: float) -> np.ndarray:
    """Return (n, 4) x y w h of a bird of 20 x 16 px that moves down to the right by ``step`` px a frame."""
    at = np.arange(n) * step
    return np.column_stack([30 + at, 12 + at / 2, np.full(n, 20), np.full(n, 16)])


def mot_file(path: Path, boxes: np.ndarray) -> Path:
    """Write ``boxes`` (N, 4), as the columns three to six, of track 1 from the first frame on."""
    rows = [",".join(map(repr, [k, 1, *box, 0.9])) for k, box in enumerate(boxes.astype(float).tolist(), 1)]
    path.write_text("\n".join(rows))
    return path


def test_tracks_of_the_large_original_are_refused_for_its_small_copy(tmp_path: Path) -> None:
    right = moving(20, 10)
    assert imported(mot_file(tmp_path / "a.txt", right), tmp_path / "run").boxes[-1].tolist() == [220, 107, 240, 123]
    told = refused(mot_file(tmp_path / "b.txt", 4 * right), tmp_path / "other")
    assert "track 1 in frame 5: the box [320.0, 148.0, 400.0, 212.0] lies outside of the picture, 320x240 px" in told
    assert "15 of 20 boxes do" in told and "was it made on a larger picture" in told


def test_a_box_partly_outside_of_the_picture_is_kept(tmp_path: Path) -> None:
    source = mot_file(tmp_path / "a.txt", np.array([[310, -8, 20, 16], [-19, 230, 20, 16]]))
    assert imported(source, tmp_path / "run").boxes.tolist() == [[310, -8, 330, 8], [-19, 230, 1, 246]]


def test_tracks_in_shares_of_the_picture_are_refused(tmp_path: Path) -> None:
    told = refused(mot_file(tmp_path / "a.txt", moving(20, 10) / [320, 240, 320, 240]), tmp_path / "run")
    assert "between 0 and 1, so they are shares of the picture" in told and "Multiply x and width by 320" in told


@pytest.mark.parametrize(("step", "size"), [(10, "320x240"), (10, "1920x1080")])
def test_corners_in_place_of_sizes_are_refused(tmp_path: Path, step: float, size: str) -> None:
    """In the small picture most would end outside; in the large one their spread tells."""
    corners = moving(20, step)
    corners[:, 2:] += corners[:, :2]
    assert "its boxes are corners" in refused(mot_file(tmp_path / "a.txt", corners), tmp_path / "run", "--size", size)


def test_a_bird_that_walks_in_the_corner_is_no_corner_box(tmp_path: Path) -> None:
    """Each of its boxes is wider than it is far from the edge, as corners are."""
    boxes = np.column_stack([np.arange(40), np.arange(40) / 2, 60 + np.arange(40) % 3, np.full(40, 50)])
    assert len(imported(mot_file(tmp_path / "a.txt", boxes), tmp_path / "run")) == 40


@pytest.mark.parametrize(
    ("point", "reason"),
    [
        ((5000, 20), "the points within [5000.5, 20.5, 5000.5, 20.5] lie outside of the picture, 320x240 px"),
        ((10, -40), "lie outside of the picture"),
        ((0.25, 0.5), None),
    ],
)
def test_points_that_are_not_in_the_picture_are_refused(tmp_path: Path, point: tuple, reason: str | None) -> None:
    (x, y), path = point, tmp_path / "a.slp"
    write_labels(path, [(1, 0, 0, 0, 1)], {"pred_points": [(x, y, True, False, 1)]}, ["x"], format_id=1.2)
    if reason is None:  # half a pixel is added: no share of the picture can be less than that
        write_labels(path, [(1, 0, 0, 0, 1)], {"pred_points": [(x, y, True, False, 1)]}, ["x"], format_id=1.0)
        reason = "shares of the picture"
    assert reason in refused(path, tmp_path / "run")
    with h5py.File(tmp_path / "a.h5", "w") as data:
        data["tracks"] = np.full((1, 2, 1, 3), np.array([x, y], float)[None, :, None, None])
        data["track_names"], data["node_names"] = [b"x"], [b"head"]
    assert "outside of the picture" in (told := refused(tmp_path / "a.h5", tmp_path / "run")) or "shares" in told


def test_points_a_little_outside_of_the_picture_are_taken(tmp_path: Path) -> None:
    write_labels(tmp_path / "a.slp", [(1, 0, 0, 0, 1)], {"pred_points": [(324, -4, True, False, 1)]}, ["x"])
    assert imported(tmp_path / "a.slp", tmp_path / "run").boxes.tolist() == [[314.5, -13.5, 334.5, 6.5]]


def test_a_sleap_file_of_a_video_of_another_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.slp"
    write_labels(path, [(1, 0, 0, 0, 1)], {"pred_points": [(10, 20, True, False, 1)]}, ["x"])
    with h5py.File(path, "a") as data:
        del data["videos_json"]
        video = {"backend": {"filename": "lek.mp4", "shape": [100, 480, 640, 1]}}
        data["videos_json"] = np.array([json.dumps(video)], "S")
    assert "was made on a video of 640x480 px; this one has 320x240 px" in refused(path, tmp_path / "run")
    assert len(imported(path, tmp_path / "run", "--size", "640x480")) == 1


def test_a_file_of_a_longer_video_is_refused_with_both_numbers(tmp_path: Path) -> None:
    project = small_project(tmp_path / "project")
    video = ("--video-path", str(tmp_path / "project" / "lek.mp4"))
    source = mot_file(tmp_path / "a.txt", moving(N_FRAMES + 1, 0))
    assert f"in frame {N_FRAMES}; the video has {N_FRAMES} frames" in refused(source, tmp_path / "run", *video)
    source = mot_file(tmp_path / "a.txt", moving(3, 0))
    told = refused(source, tmp_path / "run", *video, "--frames", str(N_FRAMES + 5))
    assert f"--frames is {N_FRAMES + 5}" in told and f"has {N_FRAMES} frames" in told
    points = np.full((1, 2, 1, N_FRAMES + 50), np.nan)
    points[..., :2] = 20
    with h5py.File(tmp_path / "a.h5", "w") as data:
        data["tracks"], data["track_names"], data["node_names"] = points, [b"x"], [b"head"]
    told = refused(tmp_path / "a.h5", tmp_path / "run", *video)
    assert f"of a video of {N_FRAMES + 50} frames; this one has {N_FRAMES} frames" in told
    assert project.root.is_dir()


def test_a_file_of_another_program_gets_one_message(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as data:
        data["df_with_missing"] = np.zeros(3)
    told = refused(tmp_path / "a.h5", tmp_path / "run")
    assert "has no tracks" in told and "cannot be read" not in told
