"""A project as version 0.1.0 wrote it, one small file of each kind: all of it loads, and work on it goes on."""

import json
import shutil
from pathlib import Path

import pytest

from backend.detectors.detector_settings import DetectorSettings
from backend.jobs import JobState, JobStore
from backend.masks.objects import MaskOrigin
from backend.pipeline.detections import open_detections
from backend.project.manifest import read_manifest, verify
from backend.project.paths import Project
from backend.track import main as track
from backend.tracking.tracks.track_folder import open_tracks
from backend.tracking.tracks.tracks import Tracks
from backend.training.history import read_history
from backend.training.model_folder import read_model
from backend.training.settings import TrainSettings
from backend.video.library import get_video
from backend.zone_stats import main as zone_stats
from backend.zones.zone_file import read_zones
from segannot.store import AnnotationStore

WRITTEN = Path(__file__).parent / "formats" / "project-1"
SIZE = (160, 96)


@pytest.fixture
def old(tmp_path: Path) -> Project:
    """Return a copy of the project, moved to another folder than it was made in."""
    shutil.copytree(WRITTEN, tmp_path / "project")
    return Project(tmp_path / "project")


def names(tracks: Tracks) -> dict[int, dict[int, str]]:
    """Return the name of each detection in each frame."""
    named: dict[int, dict[int, str]] = {}
    for frame, detection, identity in zip(tracks.frame, tracks.detection, tracks.identity, strict=True):
        if detection >= 0:
            named.setdefault(int(frame), {})[int(detection)] = tracks.names[identity]
    return named


def test_the_record_of_a_video(old):
    video = get_video(old, "lek")
    assert (video.camera, video.info.size, video.info.n_frames) == ("north", SIZE, 20)


def test_frames_and_training_sets_verify(old):
    assert verify(old.root / "exported_frames" / "lek").counts["frames"] == 3
    assert verify(old.root / "COCO_jsons" / "set.manifest.json").complete


def test_detections(old):
    run = open_detections(old.root / "inference_output" / "lek" / "run-1")
    assert verify(run.folder).complete
    assert sum(len(chunk.detections.frame) for chunk in run) == 40


def test_tracks_and_the_corrections_of_a_person(old):
    folder = old.root / "track_output" / "lek" / "run-1"
    before, after = open_tracks(folder, corrections=False), open_tracks(folder)
    exchanged = {frame for frame, detection in names(before).items() if names(after)[frame] != detection}
    assert exchanged == set(range(12, 20))


def test_the_same_tracking_again_finds_its_work_done(old, capsys):
    detections = old.root / "inference_output" / "lek" / "run-1"
    command = ["--detections", str(detections), "--n-birds", "2", "--no-appearance"]
    written = (old.root / "track_output" / "lek" / "run-1" / "tracks.parquet").read_bytes()
    track([*command, "--no-corrections", "--run", "anew"])
    assert (old.root / "track_output" / "lek" / "anew" / "tracks.parquet").read_bytes() == written
    kept = read_manifest(old.root / "track_output" / "lek" / "run-1")
    anew = read_manifest(old.root / "track_output" / "lek" / "anew")
    assert kept.settings == anew.settings


def test_statistics_of_old_tracks_and_zones_have_the_old_settings_and_numbers(old):
    assert [zone.name for zone in read_zones(old.root / "zones" / "north.json").zones] == ["left", "right"]
    tracks = old.root / "track_output" / "lek" / "run-1"
    first, second = old.root / "statistics" / "first", old.root / "statistics" / "second"
    zone_stats(["--tracks", str(tracks), "--out", str(second), "--draws", "0"])
    assert (second / "birds.csv").read_bytes() == (first / "birds.csv").read_bytes()
    assert set(read_manifest(first).settings) <= set(read_manifest(second).settings)


def test_an_annotation_with_its_log_is_opened_and_undone_and_redone(old):
    folder = old.root / "segannot" / "lek"
    store = AnnotationStore(folder, SIZE)
    assert [each.class_name for each in store.objects] == ["ruff"]
    assert sorted(store.origins.items()) == [(0, MaskOrigin.HAND_MADE), (1, MaskOrigin.HAND_MADE)]
    store.redo()
    assert sorted(store.origins) == [0, 1, 2] and store.labels(2).any()
    store.undo()
    store.close()
    assert not (folder / "000002.png").exists()


def test_the_settings_of_a_model_and_of_its_training(old):
    folder = old.root / "training" / "tiny"
    detector = DetectorSettings.model_validate_json((folder / "detector.json").read_bytes())
    assert detector.class_names == ("ruff",)
    assert TrainSettings.model_validate(json.loads((folder / "training.json").read_bytes())).n_epoch == 1
    assert read_model(folder).name == "tiny"
    assert read_history(folder)


def test_a_job_folder_becomes_a_row_that_can_be_read(tmp_path):
    state = tmp_path / "state"
    shutil.copytree(WRITTEN / "jobs", state / "jobs")
    (state / "jobs.sqlite").write_bytes(b"not a table")
    job = JobStore(state).get(1)
    assert (job.title, job.state) == ("Export 3 frames of lek", JobState.SUCCEEDED)
