"""Figures of tracks against truth, on tracks whose errors were made by hand."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backend.evaluate_tracking import main
from backend.lek.lek_settings import LekSettings
from backend.lek.recording import record
from backend.lek.simulated_run import ORIGIN, detect
from backend.pipeline.detections import open_detections
from backend.project.errors import InputError
from backend.project.manifest import begin_manifest, now
from backend.tracking.evaluation.correspondence import Annotations, compare, matches, read_truth, with_masks
from backend.tracking.evaluation.metrics import calibration, tracking_metrics
from backend.tracking.evaluation.simulated_reviewer import required_edits, review, review_doubts
from backend.tracking.io.mot import read_mot
from backend.tracking.tracks.schemas import DOUBT_COLUMNS, DOUBTS
from backend.tracking.tracks.track_folder import write_table, write_tracks
from backend.tracking.tracks.tracks import sorted_tracks

FRAMES, BIRDS = 100, 3


def mot(path: Path, who) -> Path:
    """Write birds in a row, standing; ``who(frame, bird)`` is the id, 0: not there."""
    lines = [
        f"{frame + 1},{who(frame, bird)},{10 + 50 * bird},20,30,40,1,-1,-1,-1"
        for frame in range(FRAMES)
        for bird in range(BIRDS)
        if who(frame, bird)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    return mot(tmp_path / "gt.txt", lambda frame, bird: bird + 1)


def figures(truth: Path, tracks: Path, *more: str) -> dict:
    out = tracks.parent / f"out-{tracks.stem}"
    main(["--truth", str(truth), "--tracks", str(tracks), "--out", str(out), *more])
    assert (out / "evaluation.csv").read_text().startswith("figure,boxes,masks\nHOTA,")
    return json.loads((out / "evaluation.json").read_text())


def test_right_tracks_are_right(truth, tmp_path):
    found = figures(truth, mot(tmp_path / "right.txt", lambda frame, bird: 7 - bird))
    assert found["boxes"]["HOTA"] == found["boxes"]["IDF1"] == found["boxes"]["MOTA"] == 1
    assert found["boxes"]["mostly_tracked"] == BIRDS
    assert found["review"]["corrections"] == 0


def test_one_swap_is_two_switches_and_one_correction(truth, tmp_path):
    def swapped(frame: int, bird: int) -> int:
        return bird + 1 if frame < 50 or bird == 2 else 2 - bird

    found = figures(truth, mot(tmp_path / "swap.txt", swapped))
    assert found["boxes"]["identity_switches"] == 2
    assert found["boxes"]["IDF1"] == pytest.approx(2 / 3)
    assert found["review"]["corrections"] == 1
    assert found["review"]["corrections_per_1000_frames"] == pytest.approx(10)
    assert found["review"]["wrong_before"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(("frames", "corrections"), [(24, 0), (25, 2)])
def test_only_what_lasts_a_second_is_corrected(truth, tmp_path, frames, corrections):
    def exchanged(frame: int, bird: int) -> int:
        return 2 - bird if 30 <= frame < 30 + frames and bird < 2 else bird + 1

    found = figures(truth, mot(tmp_path / "short.txt", exchanged))
    assert found["review"]["corrections"] == corrections
    assert found["boxes"]["identity_switches"] == 4


def test_a_broken_track_is_one_correction_a_piece(truth, tmp_path):
    found = figures(truth, mot(tmp_path / "pieces.txt", lambda frame, bird: bird + 1 if bird else 10 + frame // 25))
    assert found["review"]["corrections"] == 3
    assert found["boxes"]["tracks"] == BIRDS + 3


def test_two_tracks_that_show_a_bird_in_turn_are_one_correction(truth, tmp_path):
    found = figures(truth, mot(tmp_path / "turns.txt", lambda frame, bird: bird + 1 if bird or frame % 3 else 10))
    assert found["review"]["corrections"] == 1
    assert found["boxes"]["identity_switches"] == 66


def test_windows_forgive_what_happens_between_them(tmp_path):
    truth = mot(tmp_path / "gt.txt", lambda frame, bird: bird + 1)
    tracks = mot(tmp_path / "minutes.txt", lambda frame, bird: bird + 1 + BIRDS * (frame // 50))
    found = figures(truth, tracks, "--fps", str(50 / 60))["boxes"]
    assert found["IDF1"] == pytest.approx(0.5)
    assert found["IDF1_1min"] == 1
    assert found["IDF1_10min"] is None


def test_what_is_missed_costs_no_correction_but_shows(truth, tmp_path):
    found = figures(
        truth, mot(tmp_path / "missed.txt", lambda frame, bird: 0 if bird == 1 and frame > 49 else bird + 1)
    )
    assert found["review"]["corrections"] == 0
    assert found["boxes"]["matched_share"] == pytest.approx(5 / 6)


@pytest.mark.parametrize("seed", range(5))
def test_all_acts_leave_nothing_wrong(seed):
    rng = np.random.default_rng(seed)
    at = np.repeat(np.arange(200), 4)
    bird = np.tile(np.arange(4), 200)
    label = np.arange(4)
    track = np.empty_like(bird)
    for k in range(200):
        if rng.random() < 0.1:
            a, b = rng.choice(4, 2, replace=False)
            label[[a, b]] = label[[b, a]]
        if rng.random() < 0.05:
            label[rng.integers(4)] = label.max() + 1
        track[4 * k : 4 * k + 4] = label
    acts = required_edits(at, bird, track)
    everywhere = pa.Table.from_pylist(
        [
            {
                **{"doubt": 1, "kind": "gap", "from_frame": 0, "to_frame": 200, "tracks": list(range(label.max() + 1))},
                **{"before": [], "after": [], "p_error": 0.5, "until_frame": 200},
            }
        ],
        DOUBT_COLUMNS,
    )
    found = review_doubts(at, bird, track, np.arange(label.max() + 1), everywhere, np.arange(200), 25.0)
    assert found["corrections_at_doubts"] == acts.number > 0
    assert found["curve"][0] == [0, review(at, bird, track, 200)["wrong_before"]]
    assert found["curve"][0][1] > 0
    assert found["curve"][-1] == [1, 0.0]


def test_calibration_compares_what_is_said_with_what_is():
    n = 1000
    right = np.arange(n) % 10 < 8  # 80 % of the second bird's rows are claimed for it
    frames = np.arange(n, dtype=np.int32)
    boxes = np.tile([0.0, 0.0, 9.0, 9.0], (n, 1))
    none = np.full(n, -1), np.full(n, np.nan, np.float32)
    truth = Annotations(
        np.repeat(frames, 2),
        np.tile([1, 2], n),
        np.concatenate([boxes, boxes + 50]).reshape(2, n, 4).transpose(1, 0, 2).reshape(-1, 4),
        *[np.repeat(x, 2) for x in none],
    )
    claimed = np.column_stack([np.zeros(n, int), np.where(right, 1, 0)]).ravel()
    p = np.column_stack([np.full(n, 0.95), np.full(n, 0.85)]).ravel().astype(np.float32)
    correspondence = compare(truth, Annotations(truth.frame, truth.ids, truth.boxes, claimed, p), frames, 25.0)
    found = calibration(correspondence, *matches(correspondence))
    assert found["right"] == pytest.approx(0.9)
    assert found["expected_calibration_error"] == pytest.approx(0.05, abs=1e-6)
    assert [row["right"] for row in found["bins"]] == pytest.approx([0.8, 1.0])


@pytest.fixture(scope="module")
def lek(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lek")
    assert record(folder / "lek", LekSettings(birds=5, seconds=8, seed=3), video=False)
    detect(folder / "lek", folder / "run", "normal")
    return folder


def test_masks_and_doubts_of_a_rendered_lek(lek, tmp_path):
    run = open_detections(lek / "run")
    found, origin = run.load(run.chunks[0]).detections, pq.read_table(lek / "run" / ORIGIN)
    bird = origin["bird"].to_numpy()[: len(found)].astype(np.int32)
    keep = bird > 0
    swapped = np.where(found.frame > 100, np.array([0, 2, 1, 3, 4, 5])[bird], bird)[keep].astype(np.int32)
    annotations = Annotations(
        found.frame[keep], swapped, found.boxes[keep].astype(float), *([np.zeros(keep.sum())] * 2)
    )
    truth = read_truth(lek / "lek", masks=True)
    masked = compare(
        truth, with_masks(annotations, found.detection[keep], lek / "run"), run.frames().frame, 25.0, masks=True
    )
    assert 0.5 < tracking_metrics(masked)["DetA"] < 0.98
    assert tracking_metrics(masked)["IDF1"] < 0.9

    out = tmp_path / "tracks"
    names = tuple(f"bird {k}" for k in range(1, 6))
    out.mkdir()
    write_tracks(
        out,
        sorted_tracks(
            frame=found.frame[keep],
            detection=found.detection[keep],
            track_id=swapped,
            identity=(swapped - 1).astype(np.int16),
            state=np.zeros(keep.sum(), np.int8),
            p_identity=np.full(keep.sum(), 0.9, np.float32),
            boxes=found.boxes[keep],
            names=names,
            frames=run.frames().frame,
            times=run.frames().time_s,
        ),
    )
    doubt = {"doubt": 1, "kind": "crossing", "from_frame": 95, "to_frame": 105, "tracks": [1, 2], "before": [1]}
    doubt |= {"after": [2], "p_error": 0.4, "until_frame": 200}
    write_table(out / DOUBTS, pa.Table.from_pylist([doubt], DOUBT_COLUMNS))
    manifest = begin_manifest(out, "track", {}, {})
    manifest.complete, manifest.finished = True, now()
    manifest.write(out)
    told = figures(lek / "lek", out, "--detections", str(lek / "run"))
    assert told["masks"]["DetA"] == pytest.approx(tracking_metrics(masked)["DetA"])
    assert told["review"]["corrections"] >= 1
    assert told["review"]["corrections_at_doubts"] >= 1
    assert told["review"]["curve"][-1][1] < told["review"]["wrong_before"]
    assert {path.name for path in (tmp_path / "out-tracks").glob("*.png")} == {"reliability.png", "review.png"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1,2,3", "line 1: 3 columns"),
        ("1,1,0,0,5,x", "not all numbers"),
        ("0,1,0,0,5,5", "a frame from 1"),
        ("3000000001,1,0,0,5,5", "line 1: a frame from 1 to 2147483647"),
        ("4294967297,1,0,0,5,5", "line 1: a frame from 1 to 2147483647"),
        ("1,1.2,0,0,5,5", "line 1: track number 1.2 is too large, below -1 or not whole"),
        (
            "1,4611686018427387904,0,0,5,5",
            "line 1: track number 4611686018427387904 is too large, below -1 or not whole",
        ),
        ("1,-2,0,0,5,5", "line 1: track number -2 is too large, below -1 or not whole"),
    ],
)
def test_bad_lines_are_named(tmp_path, line, said):
    path = tmp_path / "bad.txt"
    path.write_text(line)
    with pytest.raises(InputError, match=said):
        read_mot(path)


def test_what_is_not_there_is_said(tmp_path, truth):
    with pytest.raises(InputError, match="is not there"):
        figures(truth, tmp_path / "none.txt")


@pytest.mark.parametrize("side", ["truth", "tracks"])
@pytest.mark.parametrize(
    ("number", "said"),
    [
        (lambda frame, bird: -1, "bad.txt, line 1 has the track number -1: it holds detections, not tracks"),
        (lambda frame, bird: min(bird + 1, 2), "bad.txt, line 3: track 2 is twice in frame 0"),
    ],
)
def test_detections_and_doubled_numbers_are_no_tracks(tmp_path, truth, side, number, said):
    """Compared as if they were tracks, they would get figures that mean nothing."""
    bad = mot(tmp_path / "bad.txt", number)
    with pytest.raises(InputError, match=said):
        figures(*((bad, truth) if side == "truth" else (truth, bad)))
