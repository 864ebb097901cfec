import os

import pytest

from backend.lek import sample as module
from backend.lek.sample import CLIPS, sample
from backend.masks.objects import MaskOrigin, read_frames, read_objects
from backend.project.paths import Project
from backend.video.library import get_video, list_videos


def everything(folder):
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.stat().st_size)
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Return a sample project with clips of two seconds."""
    folder = tmp_path_factory.mktemp("sample")
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(module, "SECONDS", 2)
        assert sample(folder)
    return Project(folder)


def test_both_clips_are_in_the_project_with_camera_and_time(project):
    assert [record.slug for record in list_videos(project)] == ["lek-north", "lek-south"]
    for clip in CLIPS:
        record = get_video(project, clip.name)
        assert record.camera == clip.name and not record.problem and record.info.n_frames == 50
        assert record.start_time.isoformat().replace("Z", "+00:00") == clip.start_time


def test_masks_lie_as_the_annotation_tool_leaves_them(project):
    for clip in CLIPS:
        folder = project.segannot(clip.name)
        assert len(read_objects(folder)) == clip.birds
        assert read_frames(folder) == {0: MaskOrigin.HAND_MADE, 20: MaskOrigin.REVIEWED, 40: MaskOrigin.REVIEWED}
        assert sorted(path.name for path in folder.glob("*.png")) == ["000000.png", "000020.png", "000040.png"]
        assert (project.root / "zones" / f"{clip.name}.json").exists()
        assert (project.root / "sample_truth" / clip.name / "truth.parquet").exists()


def test_a_second_run_changes_nothing_not_even_what_people_deleted(project):
    mask = project.segannot("lek-north") / "000020.png"
    mask.unlink()
    before = everything(project.root)
    assert not sample(project.root)
    assert everything(project.root) == before


def test_what_was_cut_off_is_completed_and_what_is_there_is_kept(project, monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 2)
    truth = project.root / "sample_truth"
    (truth / "sample.json").unlink()
    (project.root / "zones" / "lek-south.json").unlink()
    os.unlink(project.root / "sample_videos" / "lek-south.mp4")
    kept = (project.root / "sample_videos" / "lek-north.mp4").stat().st_mtime_ns
    assert sample(project.root)
    assert (project.root / "zones" / "lek-south.json").exists()
    assert (project.root / "sample_videos" / "lek-south.mp4").exists()
    assert (project.root / "sample_videos" / "lek-north.mp4").stat().st_mtime_ns == kept
    assert len(list_videos(project)) == 2
