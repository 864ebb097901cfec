import cv2
import numpy as np
import pytest

from backend.pipeline.chunk_tables import AnalysedFrames
from backend.pipeline.detections import open_detections
from backend.pipeline.gpus import list_gpus
from backend.pipeline.inference_runs import counts_over_time, frame_jpeg, latest_frame, list_runs, unusual_frames
from backend.project.errors import InputError
from backend.project.paths import Project
from backend.project.settings import Settings
from tests.detection_runs import make_run
from tests.videos import write_video

BOXES = {0: [(10, 10, 30, 40), (50, 20, 60, 30)], 7: [(100, 50, 140, 90)]}
SCORES = {0: [0.9, 0.4], 7: [0.8]}


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path)
    make_run(project.inference_output("lek", "night-1"), BOXES, 40, scores=SCORES)
    make_run(project.inference_output("lek", "night-2"), BOXES, 40, scores=SCORES, complete=False)
    (project.inference_output("lek", "broken")).mkdir()
    return project


def test_runs_are_listed_with_what_is_wrong_with_them(project):
    runs = {run.name: run for run in list_runs(project, "lek")}
    assert set(runs) == {"night-1", "night-2", "broken"}
    assert (runs["night-1"].complete, runs["night-1"].problem) == (True, "")
    assert (runs["night-2"].complete, runs["night-2"].problem) == (False, "")
    assert "is not an inference run" in runs["broken"].problem
    assert list_runs(project, "other") == []


def test_counts_follow_the_threshold_and_the_latest_frame_is_the_last_one_looked_at(project):
    run = open_detections(project.inference_output("lek", "night-1"))
    assert counts_over_time(run, 0.0).n[0] == 2
    assert counts_over_time(run, 0.5).n.tolist() == [1] + [0] * 6 + [1] + [0] * 32
    assert latest_frame(run) == 39
    for path in run.folder.glob("frames_*"):
        path.unlink()
    empty = open_detections(run.folder)
    assert latest_frame(empty) is None
    assert len(counts_over_time(empty, 0.5)) == 0


def test_a_frame_is_drawn_with_the_birds_above_the_threshold(project, tmp_path):
    video = write_video(tmp_path / "lek.mp4", 40)
    run = open_detections(project.inference_output("lek", "night-1"))
    shown = {
        score: cv2.imdecode(np.frombuffer(frame_jpeg(run, video, 0, score, 320, tmp_path), np.uint8), 1)
        for score in (0.3, 0.5, 0.95)
    }
    assert shown[0.3].shape == (96, 160, 3)
    for score, boxes in ((0.3, 2), (0.5, 1)):
        changed = np.abs(shown[score].astype(int) - shown[0.95]).max(-1) > 30
        assert changed[15:35, 12:28].any()
        assert changed[22:28, 52:58].any() == (boxes == 2)
    with pytest.raises(InputError, match="was not analysed"):
        frame_jpeg(run, video, 40, 0.5, 320, tmp_path)


def test_unusual_moments_are_those_that_differ_from_their_neighbours_each_once():
    n = np.full(400, 12, np.int32)
    n[100], n[101] = 3, 5
    n[300:] = 15  # birds arrive: a lasting change is no odd moment
    n[200] = 20
    seen = AnalysedFrames(np.arange(400, dtype=np.int32), np.arange(400) / 25, n)
    assert unusual_frames(seen)[:2] == [100, 200]
    assert 101 not in unusual_frames(seen)
    assert unusual_frames(AnalysedFrames(*(np.zeros(0, kind) for kind in (np.int32, float, np.int32)))) == []
    assert unusual_frames(AnalysedFrames(np.arange(5, dtype=np.int32), np.arange(5) / 25, np.ones(5, np.int32))) == []


def test_without_a_driver_there_are_no_gpus(monkeypatch):
    monkeypatch.setattr("backend.jobs.slots._gpus", lambda: ())
    assert list_gpus(Settings()) == []
