"""The Annotation page: starting, the list of projects, and two jobs that make a training set of one."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from backend.jobs import JobStore
from backend.jobs.job_states import Slot
from backend.masks.indexed import write_labels
from backend.masks.objects import LabelledObject, MaskOrigin, write_frames, write_objects
from backend.project.paths import Project
from backend.video.library import add_video
from gui.widgets.annotation_jobs import frame_list
from tests.gui.pages import button, opened
from tests.videos import write_video


@pytest.fixture
def project(installed: Project, tmp_path: Path) -> Project:
    """A project with two videos, one of them labelled in part."""
    videos = tmp_path / "videos"
    for name in ("north", "south"):
        add_video(installed, write_video(videos / f"{name}.mp4", 30), [videos])
    folder = installed.segannot("north")
    folder.mkdir(parents=True)
    labels = np.zeros((96, 160), np.uint8)
    labels[20:40, 20:60] = 1
    origins = {2: MaskOrigin.HAND_MADE, 3: MaskOrigin.PROPAGATED, 4: MaskOrigin.REVIEWED, 9: MaskOrigin.PROPAGATED}
    for frame in origins:
        write_labels(folder / f"{frame:06d}.png", labels)
    write_frames(folder, origins)
    write_objects(folder, [LabelledObject(id=1, name="Rufus", class_name="ruff")])
    return installed


def press(app: AppTest, label: str) -> AppTest:
    button(app, label).click().run()
    assert not app.exception, app.exception
    return app


def test_several_videos_are_started_each_once(project):
    app = opened("annotation")
    app.multiselect[0].set_value(["north", "south"]).run()
    press(app, "Start")
    jobs = JobStore().list(kind="segannot")
    assert {job.videos for job in jobs} == {("north",), ("south",)}
    assert all(job.service and job.slot is Slot.NONE and "--half_precision" not in job.command for job in jobs)
    press(app, "Start")
    assert len(JobStore().list(kind="segannot")) == 2
    assert any("is already open" in error.value for error in app.error)
    for job in jobs:
        JobStore().stop(job.id)


def test_one_click_queues_export_and_after_it_the_training_set(project):
    press(opened("annotation"), "Create training set")
    (export,), (convert,) = JobStore().list(kind="export_frames"), JobStore().list(kind="mask2coco")
    assert convert.after == (export.id,)
    assert export.output == project.exported_frames("north") and export.command[-1] == "2,4"
    assert "--reviewed-only" in convert.command and str(project.segannot("north")) in convert.command
    for job in (convert, export):
        JobStore().stop(job.id)


def test_the_list_says_how_far_a_video_is(project):
    texts = [str(each.proto) for each in opened("annotation").get("progress")]
    assert any("4 frames, 2 drawn or accepted" in text and "ruff" in text for text in texts)


def test_frames_in_a_row_become_ranges():
    assert frame_list((1, 5, 9, 10, 11)) == "1,5,9-11"


def test_a_second_training_set_does_not_hide_the_jobs_of_the_first(project):
    shutil.copytree(project.segannot("north"), project.segannot("south"))
    app = opened("annotation")
    for video in ("north", "south"):
        next(each for each in app.button if each.key == f"set-{video}").click().run()
        assert not app.exception, app.exception
    shown = "\n".join(each.value for each in app.markdown).replace("\\", "")
    assert all(f"outlined frames of {video}" in shown and f"data set {video}" in shown for video in ("north", "south"))
