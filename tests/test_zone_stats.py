"""The script of the statistics: real runs in, every file out, and what it refuses."""

import dataclasses
import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pyarrow.parquet as pq
import pytest

from backend.lek.lek_settings import LekSettings
from backend.lek.recording import ZONES, record
from backend.lek.truth_tracks import truth_tracks, write_truth_tracks
from backend.project.errors import InputError
from backend.project.manifest import verify
from backend.project.paths import Project
from backend.project.settings import Settings, save_settings
from backend.tracking.tracks.schemas import State
from backend.tracking.tracks.track_folder import corrections_log, track_manifest
from backend.zone_stats import main
from backend.zones.columns import COLUMNS
from backend.zones.geometry import join_polygons, points_inside
from backend.zones.inputs import open_source
from backend.zones.table_files import write_tables
from tests.detection_runs import make_run
from tests.tracking.track_samples import write_run
from tests.zones.made import left_and_right, tracks_of

PATHS = {"a": [20, 20, 100, 170, 170, None, None, None, 170, 20] * 5, "b": [60] * 50}
START = datetime(2026, 5, 9, 5, 40, tzinfo=UTC)


@pytest.fixture
def project(tmp_path) -> Project:
    """A project with tracks of two videos of one camera at different frame rates, detections of a third, and zones."""
    project = Project(tmp_path / "project")
    write_run(project.track_output("north", "run"), tracks_of(PATHS))
    write_run(project.track_output("south", "run"), tracks_of(PATHS, fps=5))
    make_run(project.inference_output("east", "run"), {0: [(15, 30, 25, 50)]}, 20, size=(200, 100), fps=10)
    folder = project.root / "zones"
    folder.mkdir()
    for camera in ("north", "south", "east"):
        (folder / f"{camera}.json").write_text(left_and_right().model_dump_json(exclude_none=True))
    return project


def run(project: Project, *arguments: str, out: str = "made") -> Path:
    target = project.root / "statistics" / out
    main([*arguments, "--out", str(target)])
    return target


def tracks(project: Project, *videos: str) -> list[str]:
    return ["--tracks", *(str(project.track_output(video, "run")) for video in videos)]


class Links(HTMLParser):
    """Collects what a page would load from elsewhere."""

    def __init__(self):
        super().__init__()
        self.outside: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.outside += [v for k, v in attrs if k in ("src", "href") and not str(v).startswith("data:")]
        assert tag not in ("script", "link", "iframe")


def test_two_videos_of_different_frame_rates_give_every_file(project):
    out = run(project, *tracks(project, "north", "south"), "--bin-s", "2", "--together", "sides=left+right")
    manifest = verify(out)
    assert manifest.counts["videos"] == 2
    birds = pd.read_parquet(out / "birds.parquet").set_index(["video", "bird", "zone"])
    assert birds.loc[("north", "a", "left"), "time_s"] == pytest.approx(1.5)
    assert birds.loc[("south", "a", "left"), "time_s"] == pytest.approx(3.0)  # the same samples at half the rate
    assert birds.loc[("north", "a", "sides"), "kind"] == "union"
    pooled = pd.read_csv(out / "birds_pooled.csv", keep_default_na=False)
    assert pooled.query("by == 'camera' and bird == 'a' and zone == 'left'").time_s.tolist() == [1.5, 3.0]
    for name in manifest.counts.keys() - {"videos"}:
        table = pd.read_csv(out / f"{name}.csv")
        assert len(table) == manifest.counts[name] and set(table.columns) <= set(COLUMNS)
    book = openpyxl.load_workbook(out / "statistics.xlsx", read_only=True)
    assert book.sheetnames[0] == "about" and len(list(book["birds"].rows)) == len(birds) + 1
    plots = {path.name for path in (out / "plots").iterdir()}
    assert {"occupancy.png", "occupancy.svg", "time_budgets.png", "transitions.svg", "heat_map_1.png"} <= plots
    page = (out / "report.html").read_text()
    links = Links()
    links.feed(page)
    assert links.outside == [] and page.count("data:image/png;base64,") == len(plots) // 2
    text = (out / "methods.txt").read_text()
    assert "5, 10 frames/s" in text and "north.json version 0" in text and "Politis and White" in text


def test_the_same_run_again_changes_nothing_and_other_settings_are_refused(project, capsys):
    out = run(project, *tracks(project, "north"))
    before = (out / "manifest.json").read_bytes()
    run(project, *tracks(project, "north"))
    assert "nothing to do" in capsys.readouterr().out and (out / "manifest.json").read_bytes() == before
    with pytest.raises(InputError, match="bin_s"):
        run(project, *tracks(project, "north"), "--bin-s", "7")


def test_clock_times_are_those_of_the_settings_or_of_the_option(project, tmp_path, monkeypatch):
    """Also on the night on which the clocks are changed: the plots are drawn then."""
    monkeypatch.setenv("LEKTRACK_STATE", str(tmp_path / "state"))
    save_settings(Settings(project_folder=project.root, time_zone="Europe/Budapest"))
    night = ["--start-time", "2026-10-25T00:59:57+00:00", "--bin-s", "2"]
    out = run(project, *tracks(project, "north"), *night)
    table = pd.read_csv(out / "counts_by_time.csv").query("zone == 'left'")
    assert table.clock.tolist()[:3] == [f"2026-10-25T02:{end}" for end in ("59:57+02:00", "59:59+02:00", "00:01+01:00")]
    assert set(table.hour) == {2} and set(table.day) == {"2026-10-25"}
    assert verify(out).settings["time_zone"] == "Europe/Budapest"
    assert "Days and hours are those of Europe/Budapest." in (out / "methods.txt").read_text()
    assert "time_zone Europe/Budapest" in (out / "report.html").read_text()
    other = run(project, *tracks(project, "north"), *night, "--time-zone", "Asia/Kolkata", out="other")
    assert set(pd.read_csv(other / "counts_by_time.csv").hour) == {6}
    without = run(project, *tracks(project, "north"), out="without")
    assert "Days and hours" not in (without / "methods.txt").read_text()


@pytest.mark.parametrize("what", ["zones", "corrections"])
def test_inputs_that_change_while_they_are_measured_are_refused(project, monkeypatch, what):
    """Somebody saves zones or a correction after the manifest has named the old ones."""
    zones = project.root / "zones" / "north.json"
    folder = project.track_output("north", "run")
    changed = zones if what == "zones" else corrections_log(folder, track_manifest(folder))

    def meanwhile(*arguments):
        opened = open_source(*arguments)
        if what == "zones":
            zones.write_text(json.dumps({**json.loads(zones.read_text()), "version": 4}))
        else:
            changed.parent.mkdir(parents=True, exist_ok=True)
            changed.write_text("")
        return opened

    monkeypatch.setattr("backend.zone_stats.open_source", meanwhile)
    with pytest.raises(InputError, match=f"north was changed while it was measured .*{what}_sha256"):
        run(project, *tracks(project, "north"))
    assert not (project.root / "statistics" / "made" / "report.html").exists()


def test_shares_are_means_of_the_videos_where_they_are_known(project):
    """A second video, of bare detections, of the same length has no names and nothing to review."""
    half = {"a": [20] * 50, "b": [60] * 25 + [None] * 25}
    write_run(project.track_output("west", "run"), tracks_of(half, p={"a": 0.9, "b": 0.9}))
    make_run(project.inference_output("east", "long"), {0: [(15, 30, 25, 50)]}, 50, size=(200, 100), fps=10)
    given = [*tracks(project, "west"), "--detections", str(project.inference_output("east", "long"))]
    out = run(project, *given, "--zones", str(project.root / "zones" / "north.json"))
    page, text = (out / "report.html").read_text(), (out / "methods.txt").read_text()
    for number, what in (("25.0%", "of their time not seen"), ("10.00%", "expected under a wrong name")):
        assert f"<b>{number}</b><span>{what}</span>" in page and number in text
    videos = pd.read_csv(out / "videos.csv").set_index("video")
    assert videos.reviewed_share["west"] == 0 and np.isnan(videos.reviewed_share["east"])


def test_times_of_a_long_recording_keep_their_digits_in_csv(tmp_path):
    times = [43_200.04, 100_000.4, 86_399.96]
    write_tables(tmp_path, {"bouts": pd.DataFrame({"start_s": times})})
    assert pd.read_csv(tmp_path / "bouts.csv").start_s.tolist() == times


def test_changed_zones_are_another_run(project):
    run(project, *tracks(project, "north"))
    path = project.root / "zones" / "north.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "version": 4}))
    with pytest.raises(InputError, match="holds another run"):
        run(project, *tracks(project, "north"))
    out = run(project, *tracks(project, "north"), out="second")
    assert pd.read_parquet(out / "videos.parquet").zones_version.tolist() == [4]


def test_bare_detections_give_counts_only(project):
    out = run(project, "--detections", str(project.inference_output("east", "run")), "--birds", "3")
    assert not (out / "birds.csv").exists()
    counts = pd.read_parquet(out / "counts.parquet").set_index("zone").birds
    assert counts["left"] == pytest.approx(1 / 20) and counts["lost"] == pytest.approx(3 - 1 / 20)


@pytest.mark.parametrize("by", ["ground-point", "mask"])
def test_without_names_and_number_nobody_is_said_to_be_lost(project, by):
    out = run(project, "--detections", str(project.inference_output("east", "run")), "--by", by)
    counts = pd.read_parquet(out / "counts.parquet").set_index("zone").birds
    assert counts.to_dict() == {"left": 1 / 20, "right": 0, "any zone": 1 / 20, "outside": 0}
    assert (out / "report.html").stat().st_size > 20_000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tracks", "PROJECT/track_output/none/run"], "holds no tracks and no detections that Lektrack made"),
        ([], "give --tracks or --detections"),
        (["--tracks", "PROJECT/track_output/north/run", "--by", "mask"], "needs the inference run"),
        (["--tracks", "PROJECT/track_output/north/run", "--from-s", "9", "--to-s", "3"], "must be later"),
        (["--tracks", "PROJECT/track_output/north/run", "--together", "x"], "must be NAME=ZONE"),
        (["--tracks", "PROJECT/inference_output/east/run"], "belongs to --detections"),
        (["--tracks", *["PROJECT/track_output/north/run"] * 2], "given twice"),
        (["--tracks", "PROJECT/track_output/north/run", "--camera", "west"], "camera 'west' has no zones"),
        (["--tracks", "PROJECT/track_output/north/run", "--lost-after", "0"], "--lost-after"),
        (["--tracks", "PROJECT/track_output/north/run", "--time-zone", "Mars"], "'Mars' is not a time zone"),
    ],
)
def test_bad_input_is_one_line(project, arguments, words):
    with pytest.raises(InputError, match=words):
        run(project, *(argument.replace("PROJECT", str(project.root)) for argument in arguments))


def test_zones_that_cannot_be_counted_in_are_refused_by_the_process(project):
    path = project.root / "zones" / "north.json"
    content = json.loads(path.read_text())
    content["zones"][0]["shape"] = [[0, 0], [50, 100], [50, 0], [0, 100]]
    path.write_text(json.dumps(content))
    command = [sys.executable, "-m", "backend.zone_stats", *tracks(project, "north"), "--out", str(project.root / "x")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "crosses itself" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.fixture(scope="module")
def lek(tmp_path_factory) -> Path:
    """Two minutes of a lek of eight birds, not rendered; some of them go into the nest box."""
    folder = tmp_path_factory.mktemp("lek") / "lek"
    record(folder, LekSettings(birds=8, seconds=120, seed=5, start_time=START), video=False)
    return folder


def times_in_zones(lek: Path) -> tuple[pd.DataFrame, pd.DataFrame, dict]:
    """Return the lek's truth, seconds by bird (1 to 8) and zone where it is seen there, and its zones."""
    content = json.loads((lek / ZONES).read_text())
    columns = ["frame", "bird", "foot_x", "foot_y", "in_box", "x1"]
    truth = pq.read_table(lek / "truth.parquet", columns=columns).to_pandas()
    corners, ends = join_polygons([np.array(zone["shape"]) for zone in content["zones"]])
    inside = points_inside(truth[["foot_x", "foot_y"]].to_numpy(), corners, ends).astype(bool)
    inside &= np.isfinite(truth[["x1"]].to_numpy())
    names = [zone["name"] for zone in content["zones"]]
    return truth, pd.DataFrame(inside, columns=names).groupby(truth["bird"].to_numpy()).sum() / 25, content


def test_true_ground_points_give_the_true_times(lek, tmp_path):
    """Boxes that stand on the true ground points, every stay counted: equal to the frame."""
    truth, true_s, content = times_in_zones(lek)
    tracks = truth_tracks(lek, 25)
    foot = truth[["foot_x", "foot_y"]].to_numpy(np.float32)
    boxes = np.column_stack([foot[:, 0] - 8, foot[:, 1] - 16, foot[:, 0] + 8, foot[:, 1]])
    boxes[tracks.state == State.LOST] = np.nan
    write_run(tmp_path / "tracks", dataclasses.replace(tracks, boxes=boxes))
    zones = tmp_path / "zones.json"
    zones.write_text(json.dumps({**content, "zones": [{**zone, "min_stay_s": 0} for zone in content["zones"]]}))
    out = tmp_path / "out"
    main(["--tracks", str(tmp_path / "tracks"), "--zones", str(zones), "--out", str(out), "--lost-after", "1"])
    told = pd.read_parquet(out / "birds.parquet").pivot(index="bird", columns="zone", values="time_s")
    for zone in content["zones"]:
        if zone["kind"] != "hidden":
            assert told[zone["name"]].to_numpy() == pytest.approx(true_s[zone["name"]].to_numpy())
    boxed = truth[truth["in_box"]].groupby("bird").size() / 25
    for bird, seconds in boxed.items():  # it is hidden for a moment longer than it is in
        assert told.loc[f"bird {bird:02d}", "nest box"] == pytest.approx(seconds, abs=3)
    assert len(boxed) > 0


def test_boxes_of_a_faultless_tracker_give_nearly_the_true_numbers(lek, tmp_path):
    """The lower side of a box is not quite where a bird stands; birds at a border may be taken for outside."""
    _, true_s, content = times_in_zones(lek)
    write_truth_tracks(lek, tmp_path / "tracks")
    out = tmp_path / "out"
    main(["--tracks", str(tmp_path / "tracks"), "--zones", str(lek / ZONES), "--out", str(out)])
    counts = pd.read_parquet(out / "counts.parquet").set_index("zone").birds
    for zone in content["zones"]:
        if zone["kind"] == "open":
            assert counts[zone["name"]] == pytest.approx(true_s[zone["name"]].sum() / 120, abs=0.2)


@pytest.mark.parametrize(
    ("second", "is_refused"),
    [("2026-05-09T05:40:00+00:00", True), ("2026-05-09T05:40:02+00:00", False), ("2026-05-09T07:40:20+02:00", False)],
)
def test_recordings_of_one_camera_that_overlap_are_refused_by_name(project, second, is_refused):
    """The first lasts 60 s at 1 frame a second; the second begins with it, or after it."""
    for video in ("early", "late"):
        write_run(project.track_output(video, "run"), tracks_of(PATHS, fps=50 / 60 if is_refused else 10))
    zones = ["--zones", str(project.root / "zones" / "north.json"), "--camera", "lek", "lek"]
    first = "2026-05-09T05:39:50+00:00" if is_refused else "2026-05-09T05:39:57+00:00"
    arguments = [*tracks(project, "early", "late"), *zones, "--start-time", first, second]
    if is_refused:
        with pytest.raises(InputError, match=r"recordings of camera lek overlap: early from .* and late from"):
            run(project, *arguments)
    else:
        run(project, *arguments)


def test_a_killed_run_is_completed_by_the_next(project):
    out = run(project, *tracks(project, "north"))
    whole = {path.name: path.read_bytes() for path in out.glob("*.csv")}
    manifest = json.loads((out / "manifest.json").read_text())
    shutil.rmtree(out / "plots")
    (out / "manifest.json").write_text(json.dumps({**manifest, "complete": False, "files": {}}))
    run(project, *tracks(project, "north"))
    assert {path.name: path.read_bytes() for path in out.glob("*.csv")} == whole
    verify(out)
