"""Before and after on the page Models: two runs of a video are compared, with what is known of their models."""

import pytest

from backend.jobs import JobStore
from backend.project.manifest import begin_manifest, read_manifest
from backend.project.paths import Project
from backend.tracking.review.views import list_track_runs
from backend.training.model_folder import ModelRecord
from gui.widgets.before_after import submit_before_after
from gui.widgets.models_view import submit_comparison
from tests.board.boards import DETECTIONS_RUN, small_project, tracked
from tests.tracking.track_samples import write_run


@pytest.fixture
def project(installed: Project) -> Project:
    """A tracked project with a second run of the same video."""
    found = small_project(installed.root)
    write_run(found.track_output("lek", "tracks-b"), tracked(), "gone")
    return found


def test_it_finds_the_comparison_of_the_models_behind_the_runs(project: Project) -> None:
    runs = {run.name: run for run in list_track_runs(project, "lek")}
    submit_before_after("lek", runs["tracks-a"], runs["tracks-b"])
    (job,) = JobStore().list(kind="before_after")
    assert job.output == project.cache / "before_after" / "lek--tracks-a--tracks-b"
    assert job.command[:2] == ("-m", "backend.before_after") and "--compared" not in job.command
    JobStore().stop(job.id)

    manifest = read_manifest(project.inference_output("lek", DETECTIONS_RUN))
    manifest.inputs["model"] = "training/ruffs"
    manifest.write(project.inference_output("lek", DETECTIONS_RUN))
    whole = project.cache / "compare" / "ruffs--ruffs--set"
    for folder, complete in ((whole, True), (project.cache / "compare" / "ruffs--ruffs--set-2", False)):
        folder.mkdir(parents=True)
        comparison = begin_manifest(folder, "compare", {}, {})
        comparison.complete = complete
        comparison.write(folder)
    (project.root / "sample_truth" / "lek").mkdir(parents=True)
    job = submit_before_after("lek", runs["tracks-a"], runs["tracks-a"])
    options = dict(zip(job.command[2::2], job.command[3::2], strict=True))
    assert options["--compared"] == str(whole)
    assert options["--truth"] == str(project.root / "sample_truth" / "lek")


def test_a_second_comparison_of_the_same_runs_has_a_folder_of_its_own(project: Project) -> None:
    """The models may have been compared since, or a truth have come: the script refuses a folder of other inputs."""
    runs = {run.name: run for run in list_track_runs(project, "lek")}
    names = []
    for _ in range(3):
        job = submit_before_after("lek", runs["tracks-a"], runs["tracks-b"])
        JobStore().stop(job.id)
        job.output.mkdir(parents=True)
        names.append(job.output.name)
    assert names == ["lek--tracks-a--tracks-b", "lek--tracks-a--tracks-b-2", "lek--tracks-a--tracks-b-3"]


def test_models_are_compared_again_after_one_of_them_was_trained_on(installed: Project) -> None:
    one, other = (ModelRecord(name, installed.training(name), "", None, None, None, None) for name in ("a", "b"))
    folders = []
    for _ in range(2):
        job = submit_comparison(one, other, "lek", installed.coco_jsons / "lek_val.json")
        JobStore().stop(job.id)
        assert job.command[job.command.index("--out-dir") + 1] == str(job.output)
        job.output.mkdir(parents=True)
        folders.append(job.output)
    assert folders == [installed.cache / "compare" / name for name in ("a--b--lek", "a--b--lek-2")]
