"""The form of the Track page: detections, number of birds, hidden zones, appearance; and the jobs for it."""

from pathlib import Path

import streamlit as st

from backend.jobs import Job, JobSpec, Slot
from backend.pipeline.inference_runs import RunRecord, list_runs
from backend.project.errors import InputError
from backend.project.manifest import read_manifest
from backend.tracking.appearance.store import EMBEDDINGS_MANIFEST
from backend.video.library import list_videos
from backend.zones.video_zones import zones_of_video
from gui.widgets.context import active_jobs, project, submit

KIND, DESCRIBE = "track", "describe"
OPEN, KNOWN = "Unknown", "Known"


def choose_detections() -> list[RunRecord]:
    """Let the user choose finished inference runs; show what to do if there are none."""
    runs = {}
    for record in list_videos(project()):
        for run in list_runs(project(), record.slug):
            if run.complete and not run.problem:
                runs[f"{record.name} · {run.name}"] = run
    if not runs:
        st.info("Run inference on a video first.", icon=":material/frame_inspect:")
        st.page_link(st.session_state["pages"]["inference"], label="Go to Inference", icon=":material/frame_inspect:")
        return []
    slug = st.query_params.get("video")
    preselected = next((label for label, run in runs.items() if run.video == slug), next(iter(runs)))
    return [runs[label] for label in st.multiselect("Detections", list(runs), default=[preselected])]


def choose_birds() -> tuple[int | None, bool]:
    """Let the user enter the number of birds; return it, None if unknown, and whether that is decided."""
    how = st.segmented_control("Number of birds", [KNOWN, OPEN], default=KNOWN) or KNOWN
    if how == OPEN:
        st.caption("The number is estimated from the tracks. Identities are better if you know it.")
        return None, True
    number = st.number_input(
        "Birds in the video, including those that come and go", 1, 200, None, placeholder="Type the number you counted"
    )
    return (None if number is None else int(number)), number is not None


def choose_zones(runs: list[RunRecord]) -> dict[str, Path]:
    """Let the user choose whether zones are used; return the zone file of each video that has one."""
    records = {record.slug: record for record in list_videos(project())}
    files = {run.video: zones_of_video(project(), records[run.video]) for run in runs if run.video in records}
    files = {video: path for video, path in files.items() if path.is_file()}
    if not files:
        st.caption("No zones for this camera, so hiding places such as nest boxes are unknown.")
        return {}
    return files if st.checkbox("Birds may disappear into hidden zones", value=True) else {}


def choose_appearance() -> bool:
    """Let the user choose whether the appearance of the birds is learnt first."""
    return st.toggle(
        "Learn the appearance of each bird first",
        value=True,
        help="A small network learns from this video, without labels, to tell its birds apart. Without it, tracking "
        "uses motion alone and cannot re-identify birds after contacts or absences. Fast on a GPU, slow on a CPU; "
        "done once for each inference run.",
    )


def choose_camera() -> bool:
    """Let the user choose whether camera motion is estimated."""
    return st.toggle(
        "The camera shakes or moves",
        help="For a pole in the wind or a panning camera. Camera motion is estimated from the background, so that a "
        "jolt is not mistaken for jumping birds. Reads the whole video once. Not needed for a fixed camera.",
    )


def submit_tracking(
    runs: list[RunRecord], birds: int | None, zones: dict[str, Path], name: str, describe: bool, camera_moves: bool
) -> None:
    """Queue the jobs of each run."""
    for run in runs:
        out = project().track_output(run.video, name or run.name)
        submit_track_jobs(run.video, run.video, run.folder, out, birds, zones.get(run.video), describe, camera_moves)


def submit_track_jobs(
    video: str,
    title: str,
    detections: Path,
    out: Path,
    birds: int | None = None,
    zones: Path | None = None,
    describe: bool = True,
    camera_moves: bool = False,
    after: Job | None = None,
) -> list[Job]:
    """Queue the tracking of one inference run, preceded with ``describe`` by its appearance job; return the jobs.

    The appearance of a run is not computed again if it exists or is being computed.
    """
    command = ["-m", "backend.track", "--detections", str(detections), "--out", str(out)]
    command += [] if birds is None else ["--n-birds", str(birds)]
    command += [] if zones is None else ["--zones", str(zones)]
    command += ["--camera-motion", "estimate"] if camera_moves else []
    before, jobs = after, []
    described = detections / EMBEDDINGS_MANIFEST
    if describe:
        before = next((job for job in active_jobs(DESCRIBE) if job.output == described.resolve()), None)
        if before is None and not _is_whole(described):
            learn = ("-m", "backend.describe", "--detections", str(detections), "--if-possible")
            words = f"Learn the appearance of the birds in {title}"
            before = submit(_spec(DESCRIBE, words, learn, described, video, Slot.GPU, after))
            jobs.append(before)
    track = _spec(KIND, f"Track the birds in {title}", tuple(command), out, video, Slot.CPU, before or after)
    return [*jobs, submit(track)]


def _spec(
    kind: str, title: str, command: tuple[str, ...], output: Path, video: str, slot: Slot, after: Job | None
) -> JobSpec:
    return JobSpec(
        kind=kind,
        title=title,
        command=command,
        output=output,
        project=project().root,
        videos=(video,),
        slot=slot,
        after=() if after is None else (after.id,),
        resumable=True,
    )


def _is_whole(manifest: Path) -> bool:
    try:
        found = read_manifest(manifest)
    except InputError:
        return False
    return found is not None and found.complete
