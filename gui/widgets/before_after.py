"""What a new model changed on one video: the choice of two track runs, and the newest comparison."""

from pathlib import Path

import streamlit as st

from backend.jobs import Job, JobSpec, JobState
from backend.pipeline.detections import model_of_tracks
from backend.project.errors import InputError
from backend.project.manifest import read_manifest
from backend.tracking.review.views import TrackRun, list_track_runs
from backend.tracking.tracks.track_folder import track_manifest
from backend.video.library import list_videos
from gui.widgets.context import active_jobs, fresh_folder, job_store, project, refusals, submit
from gui.widgets.job_view import show_job

KIND, CARD = "before_after", "README.md"


def choose_runs() -> None:
    """Let the user choose two track runs of one video, and start."""
    found = {record.slug: finished_runs(record.slug) for record in list_videos(project())}
    videos = [video for video, runs in found.items() if len(runs) > 1]
    if not videos:
        st.info("You need two track runs of the same video, one from each model.", icon=":material/timeline:")
        return
    first, second, third = st.columns(3)
    video = first.selectbox("Video", videos, key="before-after-video")
    runs = {run.name: run for run in found[video]}
    before = runs[second.selectbox("Before", list(runs), len(runs) - 1)]
    after = runs[third.selectbox("After", [name for name in runs if name != before.name])]
    if st.button("Compare the two runs", icon=":material/difference:", disabled=bool(active_jobs(KIND))):
        with refusals():
            submit_before_after(video, before, after)
            st.rerun()


def finished_runs(video: str) -> list[TrackRun]:
    """Return the finished track runs of a video, newest first."""
    return [run for run in list_track_runs(project(), video) if run.complete]


def submit_before_after(video: str, before: TrackRun, after: TrackRun) -> Job:
    """Queue the comparison; with AP where the two models were compared, with HOTA where the video is of the sample."""
    output = fresh_folder(project().cache / KIND / f"{video}--{before.name}--{after.name}")
    command = ["-m", "backend.before_after", "--before", str(before.folder), "--after", str(after.folder)]
    command += ["--out", str(output)]
    compared, truth = comparison_of(before.folder, after.folder), project().root / "sample_truth" / video
    command += ["--compared", str(compared)] if compared is not None else []
    command += ["--truth", str(truth)] if truth.is_dir() else []
    return submit(
        JobSpec(
            kind=KIND,
            title=f"Before and after on {video}: {before.name}, {after.name}",
            command=tuple(command),
            output=output,
            project=project().root,
            videos=(video,),
        )
    )


def comparison_of(before: Path, after: Path) -> Path | None:
    """Return the newest comparison of the models behind two runs that is there, None without."""
    models = [model_of_tracks(folder, track_manifest(folder)) for folder in (before, after)]
    names = f"{'--'.join(models)}--*"
    folders = sorted((project().cache / "compare").glob(names), key=lambda path: path.stat().st_mtime, reverse=True)
    return next((folder for folder in folders if _is_whole(folder)), None)


def show_before_after() -> bool:
    """Draw the newest result; return whether a comparison is running."""
    for job in job_store().list(kind=KIND, project=project().root, limit=1):
        show_job(job, KIND, log=False)
        if job.state is JobState.SUCCEEDED and job.output is not None:
            st.markdown((job.output / CARD).read_text())
            st.caption("Automatic tracks of both runs. *Corrected* is the first run with your corrections.")
    return bool(active_jobs(KIND))


def _is_whole(folder: Path) -> bool:
    try:
        manifest = read_manifest(folder)
    except InputError:
        return False
    return manifest is not None and manifest.complete
