import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from backend.import_detections import main as import_detections
from backend.lek.lek_settings import LekSettings, difficulty
from backend.lek.recording import record
from backend.lek.simulated_run import detect
from backend.pipeline.detections import open_detections
from backend.project.errors import InputError
from backend.project.manifest import read_manifest, verify
from backend.track import main
from backend.tracking.appearance.store import write_embeddings
from backend.tracking.evaluation.correspondence import compare, read_tracks, read_truth
from backend.tracking.evaluation.metrics import tracking_metrics
from backend.tracking.tracks.edits import Anchor, Name, Swap, Unlink, edit_line
from backend.tracking.tracks.schemas import State
from backend.tracking.tracks.track_folder import open_tracks, read_doubts, read_tracklets
from backend.tracking.tracks.tracks import NONE

ROOT = Path(__file__).resolve().parents[1]
BIRDS, SECONDS = 6, 60.0


@pytest.fixture(scope="module")
def lek(tmp_path_factory):
    """A minute of six birds, and a detections run of it in a project."""
    root = tmp_path_factory.mktemp("project")
    settings = LekSettings(birds=BIRDS, seconds=SECONDS, seed=11, size=(640, 384), difficulty=difficulty("normal"))
    record(root / "lek", settings, video=False)
    run = root / "inference_output" / "lek" / "night"
    run.mkdir(parents=True)
    detect(root / "lek", run, "normal")
    return root


@pytest.fixture(scope="module")
def tracked(lek):
    """The folder of its tracks."""
    main(["--detections", str(lek / "inference_output/lek/night"), "--n-birds", str(BIRDS)])
    return lek / "track_output" / "lek" / "night"


def figures(lek, folder):
    tracks, frames, fps = read_tracks(folder, None, False)
    return tracking_metrics(compare(read_truth(lek / "lek"), tracks, frames, fps))


def test_birds_of_a_rendered_lek_keep_their_identity(lek, tracked):
    """Measured 0.97; motion alone reaches less."""
    assert figures(lek, tracked)["IDF1"] > 0.93


def test_the_files_say_what_they_promise(tracked):
    manifest = verify(tracked)
    tracks = open_tracks(tracked)
    assert manifest.inputs["detections_run"] == "night"
    assert tracks.names == tuple(f"bird {k:02d}" for k in range(1, BIRDS + 1))
    for code in range(BIRDS):  # the number is known: a row in every frame
        rows = np.flatnonzero(tracks.identity == code)
        assert np.array_equal(tracks.frame[rows], tracks.frames)
        assert np.array_equal(np.unique(tracks.track_id[rows]), [code + 1])
    seen = tracks.detection != NONE
    key = tracks.frame[seen].astype(np.int64) << 32 | tracks.detection[seen]
    assert len(np.unique(key)) == len(key), "a detection is given to one track only"
    assert np.array_equal(tracks.state == State.LOST, np.isnan(tracks.boxes[:, 0]))
    tracklets, doubts = read_tracklets(tracked), read_doubts(tracked)
    assert set(tracklets["begins"].to_pylist()) <= {"start", "entry", "hidden_zone", "crossing", "gap"}
    assert set(tracklets["ends"].to_pylist()) <= {"end", "exit", "hidden_zone", "crossing", "gap"}
    numbers = set(tracklets["tracklet"].to_pylist())
    for row in doubts.to_pylist():
        assert set(row["before"] + row["after"]) <= numbers
        assert row["from_frame"] < row["to_frame"] and row["from_frame"] < row["until_frame"]
        assert 0 <= row["p_error"] <= 1 and len(row["tracks"]) in (1, 2)
    cost = [r["p_error"] * (r["until_frame"] - r["from_frame"]) * len(r["tracks"]) for r in doubts.to_pylist()]
    assert cost == sorted(cost, reverse=True)


def test_again_is_nothing_to_do_and_elsewhere_the_same(lek, tracked, tmp_path, capsys):
    arguments = ["--detections", str(lek / "inference_output/lek/night"), "--n-birds", str(BIRDS)]
    main(arguments)
    assert "nothing to do" in capsys.readouterr().out
    main([*arguments, "--out", str(tmp_path / "again")])
    for name in ("tracks.parquet", "tracklets.parquet", "doubts.parquet"):
        assert (tmp_path / "again" / name).read_bytes() == (tracked / name).read_bytes()
    with pytest.raises(InputError, match="n_birds"):
        main([*arguments[:-1], "7"])


def test_without_descriptors_it_still_runs(lek, tmp_path, capsys):
    arguments = ["--detections", str(lek / "inference_output/lek/night"), "--n-birds", str(BIRDS), "--no-appearance"]
    main([*arguments, "--out", str(tmp_path / "motion")])
    assert "by motion alone" in capsys.readouterr().out
    assert not (tmp_path / "motion" / "birds.npz").exists()
    assert figures(lek, tmp_path / "motion")["HOTA"] > 0.4


def test_an_identity_that_is_not_likely_enough_is_not_given(lek, tmp_path):
    arguments = ["--detections", str(lek / "inference_output/lek/night"), "--n-birds", str(BIRDS), "--no-appearance"]
    least, lost = {}, {}
    for wanted in ("0", "0.9"):
        main([*arguments, "--out", str(tmp_path / wanted), "--least-probability", wanted])
        tracks = open_tracks(tmp_path / wanted)
        told = (tracks.identity != NONE) & (tracks.state == State.DETECTED)
        least[wanted] = tracks.p_identity[told].min()
        lost[wanted] = int((tracks.state == State.LOST).sum())
        assert np.isnan(tracks.p_identity[tracks.identity == NONE]).all()
    assert least["0"] < 0.9 <= least["0.9"]
    assert lost["0.9"] > lost["0"]
    unnamed = [row for row in read_doubts(tmp_path / "0.9").to_pylist() if max(row["tracks"]) > BIRDS]
    assert unnamed and all(row["kind"] == "low_identity" for row in unnamed), "a person can still give them a name"


def test_an_unknown_number_of_birds(lek, tmp_path):
    main(["--detections", str(lek / "inference_output/lek/night"), "--out", str(tmp_path / "open")])
    tracks = open_tracks(tmp_path / "open")
    assert BIRDS - 1 <= len(tracks.names) <= BIRDS + 1
    assert figures(lek, tmp_path / "open")["IDF1"] > 0.85


def act(kind, number, tracks, **values):
    first = int(tracks.frames[0])
    return kind(id=number, when=datetime(2026, 5, 1, tzinfo=UTC), who="Ada", version=0, from_frame=first, **values)


def test_corrections_hold_when_tracked_again(lek, tracked, tmp_path, capsys):
    """Two birds are given each other's names, a third a name of its own; what cannot be is said."""
    tracks = open_tracks(tracked)
    rows = [tracks.rows_of(k) for k in (1, 2, 3)]
    rows = [own[tracks.state[own] == State.DETECTED][50] for own in rows]
    anchors = [Anchor(frame=int(tracks.frame[row]), detection=int(tracks.detection[row])) for row in rows]
    acts = [
        act(Swap, 1, tracks, first=anchors[0], first_identity="bird 02", second=anchors[1], second_identity="bird 01"),
        act(Name, 2, tracks, anchor=anchors[2], identity="Herbert"),
        act(Name, 3, tracks, anchor=Anchor(frame=3, detection=900), identity="Nobody"),
    ]
    log = tmp_path / "log.jsonl"
    log.write_bytes(b"".join(map(edit_line, acts)))
    out = tmp_path / "again"
    arguments = ["--detections", str(lek / "inference_output/lek/night"), "--n-birds", str(BIRDS)]
    main([*arguments, "--out", str(out), "--corrections", str(log)])
    again = open_tracks(out, corrections=False)
    for anchor, name in zip(anchors, ("bird 02", "bird 01", "Herbert"), strict=True):
        row = np.flatnonzero((again.frame == anchor.frame) & (again.detection == anchor.detection))
        assert again.names[again.identity[row[0]]] == name
        assert again.p_identity[row[0]] == 1
    assert "Herbert" in again.names and len(again.names) == BIRDS
    assert "act 3" in capsys.readouterr().out
    assert len(json.loads((out / "summary.json").read_text())["corrections_that_do_not_apply"]) == 1
    plain = tmp_path / "plain"
    main([*arguments, "--out", str(plain), "--corrections", str(log), "--no-corrections"])
    assert (plain / "tracks.parquet").read_bytes() == (tracked / "tracks.parquet").read_bytes()


def two_lanes(tmp_path, n_frames=100, score=0.9):
    """A detections run of two birds that stand apart, in two stretches with a long time between."""
    source = tmp_path / "det.txt"
    frames = [*range(1, n_frames + 1), *range(5 * n_frames, 6 * n_frames)]
    source.write_text("".join(f"{frame},-1,{x},100,40,40,{score}\n" for frame in frames for x in (100, 400)))
    import_detections(["--from", str(source), "--size", "640x360", "--fps", "25", "--out", str(tmp_path / "run")])
    return tmp_path / "run"


@pytest.mark.parametrize("names", [("Hugo",), ("Hugo", "Ida", "Karl")])
def test_with_an_open_number_people_may_name_more_birds_than_are_seen_together(tmp_path, names):
    run, log = two_lanes(tmp_path), tmp_path / "log.jsonl"
    given = zip(names, ((550, 0), (550, 1), (50, 0)), strict=False)
    anchors = {name: Anchor(frame=frame, detection=detection) for name, (frame, detection) in given}
    common = {"when": datetime(2026, 5, 1, tzinfo=UTC), "who": "Ada", "version": 0, "from_frame": 0}
    acts = [Name(id=k, anchor=at, identity=name, **common) for k, (name, at) in enumerate(anchors.items(), 1)]
    log.write_bytes(b"".join(map(edit_line, acts)))
    main(["--detections", str(run), "--corrections", str(log), "--out", str(tmp_path / "tracks")])
    tracks = open_tracks(tmp_path / "tracks", corrections=False)
    for name, anchor in anchors.items():
        (row,) = np.flatnonzero((tracks.frame == anchor.frame) & (tracks.detection == anchor.detection))
        assert tracks.names[tracks.identity[row]] == name
    assert len(set(tracks.names)) == len(tracks.names) >= max(2, len(names))


def test_what_the_scores_call_no_bird_is_in_no_track_unless_a_person_spoke_of_it(tmp_path):
    """A bird, and a stretch that the detector is far less sure of, while the number of birds is known to be one."""
    rows = [f"{frame},-1,100,100,40,40,{0.90 + 0.01 * (frame % 7)}" for frame in range(1, 301)]
    rows += [f"{frame},-1,400,100,40,40,0.5" for frame in range(101, 121)]
    (tmp_path / "det.txt").write_text("\n".join(rows))
    given = ["--size", "640x360", "--fps", "25", "--out", str(tmp_path / "run")]
    import_detections(["--from", str(tmp_path / "det.txt"), *given])
    arguments = ["--detections", str(tmp_path / "run"), "--n-birds", "1"]
    main([*arguments, "--out", str(tmp_path / "alone")])
    assert set(open_tracks(tmp_path / "alone").boxes[:, 0].tolist()) == {100.0}
    unsure = Anchor(frame=110, detection=1)
    common = {"when": datetime(2026, 5, 1, tzinfo=UTC), "who": "Ada", "version": 0, "from_frame": 0}
    (tmp_path / "log.jsonl").write_bytes(edit_line(Unlink(id=1, anchor=unsure, **common)))
    main([*arguments, "--out", str(tmp_path / "tracks"), "--corrections", str(tmp_path / "log.jsonl")])
    tracks = open_tracks(tmp_path / "tracks", corrections=False)
    assert ((tracks.frame == unsure.frame) & (tracks.detection == unsure.detection)).sum() == 1
    assert json.loads((tmp_path / "tracks/summary.json").read_text())["corrections_that_do_not_apply"] == []


def test_tracks_are_there_already_also_where_the_project_was_moved(tmp_path, capsys):
    """As after a restore to another folder."""
    run, out = tmp_path / "a" / "inference_output" / "lek" / "run", tmp_path / "a" / "track_output" / "lek" / "run"
    run.parent.mkdir(parents=True)
    two_lanes(tmp_path).rename(run)
    main(["--detections", str(run), "--n-birds", "2"])
    assert read_manifest(out).inputs["detections"] == str(run), "readers find masks by it"
    (tmp_path / "a").rename(tmp_path / "b")
    main(["--detections", str(tmp_path / "b" / "inference_output" / "lek" / "run"), "--n-birds", "2"])
    assert "these tracks are there already" in capsys.readouterr().out


def test_tracks_of_birds_that_were_described_since_are_other_tracks(tmp_path):
    """What was tracked by motion alone is not said to be done where the birds have been described meanwhile."""
    run, out = two_lanes(tmp_path), tmp_path / "tracks"
    arguments = ["--detections", str(run), "--n-birds", "2", "--out"]
    main([*arguments, str(out)])
    opened = open_detections(run)
    for seed in (0, 1):
        rng = np.random.default_rng(seed)
        for part in opened:
            found = part.detections
            vectors = found.boxes[:, :1] / 100 + rng.normal(size=(len(found), 4)).astype(np.float32)
            write_embeddings(run, part.chunk, found.frame, found.detection, vectors)
        with pytest.raises(InputError, match="differs in descriptors"):
            main([*arguments, str(out)])
        out = tmp_path / f"tracks-{seed}"
        main([*arguments, str(out)])
        assert json.loads((out / "summary.json").read_text())["described"]
    main([*arguments, str(tmp_path / "motion"), "--no-appearance"])
    assert read_manifest(tmp_path / "motion").inputs["descriptors"] is None


def test_tracking_that_used_nothing_does_not_call_that_right(tmp_path, capsys):
    """Detections of no confidence begin no track: nothing is known of the error then, and the words say so."""
    run = two_lanes(tmp_path, score=0.01)
    capsys.readouterr()
    main(["--detections", str(run), "--out", str(tmp_path / "tracks")])
    said = capsys.readouterr().out
    assert "0 birds, expected identity error not known: no bird has an identity" in said
    assert "0 % of detections in tracks" in said
    facts = json.loads((tmp_path / "tracks" / "summary.json").read_text())
    assert facts["expected_error"] is None and facts["in_tracks"] == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--n-birds", "0"], "n-birds"),
        (["--n-birds", "many"], "n-birds"),
        (["--seed", "-1"], "seed"),
        (["--least-probability", "1.5"], "least-probability"),
        (["--zones", "/no/such/zones.json"], "zones"),
        (["--detections", "/no/such/run"], "is not an inference run"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(lek, arguments, says):
    with pytest.raises(InputError, match=says):
        main(["--detections", str(lek / "inference_output/lek/night"), *arguments])


def test_a_run_that_is_not_finished_is_refused(lek, tmp_path):
    copy = tmp_path / "inference_output" / "lek" / "night"
    shutil.copytree(lek / "inference_output/lek/night", copy)
    manifest = read_manifest(copy)
    manifest.complete = False
    manifest.write(copy)
    with pytest.raises(InputError, match="not finished"):
        main(["--detections", str(copy)])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_what_was_killed_is_finished_by_running_it_again(lek, tracked, tmp_path, number):
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "backend.track", "--detections", str(lek / "inference_output/lek/night")]
    command += ["--n-birds", str(BIRDS), "--out", str(out)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not (out / "manifest.json").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, number)
    process.communicate(timeout=30)
    assert process.returncode == (130 if number == signal.SIGTERM else -signal.SIGKILL)
    assert not read_manifest(out).complete
    main(command[3:])
    assert (out / "tracks.parquet").read_bytes() == (tracked / "tracks.parquet").read_bytes()


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("preset", "likeness", "least"), [("normal", None, 0.96), ("hard", 0.5, 0.9), ("hard", None, 0.93)]
)
def test_ten_minutes_of_twenty_birds(tmp_path, preset, likeness, least):
    """The goal on hard is 0.95 (docs/benchmarks.md has what is measured); these bounds keep what was reached."""
    seed = {None: 7, 0.5: 103}[likeness] if preset == "hard" else 101
    settings = LekSettings(birds=20, seconds=600.0, seed=seed, difficulty=difficulty(preset, likeness))
    record(tmp_path / "lek", settings, video=False)
    detect(tmp_path / "lek", tmp_path / "run", preset)
    main(["--detections", str(tmp_path / "run"), "--out", str(tmp_path / "tracks"), "--n-birds", "20"])
    assert figures(tmp_path, tmp_path / "tracks")["IDF1"] > least
