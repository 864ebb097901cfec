"""The form of the Track page: which detections, how many birds, where they may hide; and the jobs for it."""

from pathlib import Path

import streamlit as st

from backend.jobs import Job, JobSpec, Slot
from backend.pipeline.inference_runs import RunRecord, list_runs
from backend.project.errors import InputError
from backend.project.manifest import read_manifest
from backend.tracking.appearance.store import EMBEDDINGS_MANIFEST
from backend.video.library import list_videos
from backend.zones.zone_file import zones_path
from gui.widgets.context import active_jobs, project, submit

KIND, DESCRIBE = "track", "describe"
OPEN, KNOWN = "Open", "Known"


def choose_detections() -> list[RunRecord]:
    """Let the user choose finished detections runs; say what to do where there is none."""
    found = {}
    for record in list_videos(project()):
        for run in list_runs(project(), record.slug):
            if run.complete and not run.problem:
                found[f"{record.name} · {run.name}"] = run
    if not found:
        st.info("Find the birds in a video first.", icon=":material/frame_inspect:")
        st.page_link(st.session_state["pages"]["inference"], label="Go to Inference", icon=":material/frame_inspect:")
        return []
    asked = st.query_params.get("video")
    usual = next((label for label, run in found.items() if run.video == asked), next(iter(found)))
    return [found[label] for label in st.multiselect("Detections", list(found), default=[usual])]


def choose_birds() -> int | None:
    """Let the user say how many birds there are; None: nobody knows."""
    how = st.segmented_control("Number of birds", [KNOWN, OPEN], default=KNOWN) or KNOWN
    if how == OPEN:
        st.caption("As many as are seen at once, and, if looks are learnt, those that come and go. Known is better.")
        return None
    return int(st.number_input("Birds in the video, those that come and go included", 1, 200, 20))


def choose_zones(runs: list[RunRecord]) -> dict[str, Path]:
    """Let the user say whether zones are used; return the zones file of each video that has one."""
    cameras = {record.slug: record.camera for record in list_videos(project())}
    files = {run.video: zones_path(project(), cameras[run.video]) for run in runs if cameras.get(run.video)}
    files = {video: path for video, path in files.items() if path.is_file()}
    if not files:
        st.caption("No zones are drawn for this camera: nest boxes are not known as places to hide.")
        return {}
    return files if st.checkbox("Birds may hide in the hidden zones of the camera", value=True) else {}


def choose_description() -> bool:
    """Let the user say whether what birds look like is learnt first."""
    return st.toggle(
        "First learn what each bird looks like",
        value=True,
        help="A small network learns from this video, without labels, what tells its birds apart. Without it, tracking "
        "goes by motion alone and cannot know who is who after birds have met or been away. Quick on a GPU, slow on a "
        "processor; what was learnt once is not learnt again.",
    )


def choose_camera() -> bool:
    """Let the user say whether the camera moves."""
    return st.toggle(
        "The camera shakes or moves",
        help="For a pole in the wind, or a camera that is turned. What the camera did is then found in the video, from "
        "the ground around the birds, so that a jolt is not taken for birds that jump. Reads the whole video once; "
        "not needed where the camera stands still.",
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
    """Queue the tracking of one detections run, before it with ``describe`` its description; return the jobs.

    A run that is described already, or being described, is not described again.
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
            words = f"Learn what the birds of {title} look like"
            before = submit(_spec(DESCRIBE, words, learn, described, video, Slot.GPU, after))
            jobs.append(before)
    track = _spec(KIND, f"Track the birds of {title}", tuple(command), out, video, Slot.CPU, before or after)
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
