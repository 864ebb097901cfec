"""Export frames: save single frames of a video as lossless images."""

from pathlib import Path

import streamlit as st

from backend.export_frames import estimate, plan_frames
from backend.jobs import JobSpec
from backend.project.disk import as_bytes, check_space
from backend.project.errors import InputError
from backend.video import load_index
from backend.video.library import VideoRecord, index_cache, open_video, thumbnail
from gui.widgets.context import active_jobs, job_store, project, refusals, settings, submit, title
from gui.widgets.frame_gallery import show_gallery
from gui.widgets.job_view import show_job
from gui.widgets.live import live
from gui.widgets.video_choice import choose_video

ALL, EVERY, DIVERSE = "All frames", "Every Nth frame", "Most different frames"
HELP = {
    ALL: "For short stretches that you outline frame by frame.",
    EVERY: "An even sample of the video.",
    DIVERSE: "Best for annotation: frames that differ in colour and movement, no near duplicates.",
}


def choose_range(record: VideoRecord) -> tuple[int, int]:
    """Let the user choose ``[from, to)`` inside the video, with the first and last picture of it beside the numbers."""
    count = record.info.n_frames
    first, last = st.columns(2)
    start = int(first.number_input("First frame", 0, count - 1, 0, key=f"from-{record.slug}"))
    end = int(last.number_input("End frame (not included)", start + 1, count, count, key=f"to-{record.slug}"))
    times = load_index(record.path, index_cache(project())).times
    for column, frame in ((first, start), (last, end - 1)):
        picture = str(thumbnail(project(), record.slug, frame, 640))
        column.image(picture, caption=f"frame {frame}, {times[frame]:.2f} s")
    return start, end


def choose_mode(start: int, end: int) -> dict[str, int]:
    """Let the user choose how frames are picked; return the settings of that choice."""
    mode = st.radio("Which frames", (DIVERSE, EVERY, ALL), captions=[HELP[DIVERSE], HELP[EVERY], HELP[ALL]])
    if mode == EVERY:
        return {"every": int(st.number_input("Every Nth frame, N =", 1, max(1, end - start), min(25, end - start)))}
    if mode == DIVERSE:
        return {"diverse": int(st.number_input("How many frames", 1, end - start, min(50, end - start)))}
    return {}


def queue(record: VideoRecord, folder: Path, choice: dict[str, int], count: int) -> None:
    """Hand the export to the queue."""
    command = ["-m", "backend.export_frames", "--src", record.path, "--dest", str(folder)]
    for name, value in choice.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    submit(
        JobSpec(
            kind="export_frames",
            title=f"Export {count} frames of {record.name}",
            command=tuple(command),
            output=folder,
            project=project().root,
            videos=(record.slug,),
            resumable=True,
        )
    )


@st.cache_data(max_entries=200, show_spinner=False)
def size_of(slug: str, identity: str, choice: dict[str, int], count: int) -> int:
    """Return the bytes that the pictures will take, from a few of them; ``identity`` keeps the cache true."""
    with open_video(project(), slug) as reader:
        frames = plan_frames(len(reader), **choice)
        return round(estimate(reader, frames) * count / len(frames))


def draw_jobs(record: VideoRecord) -> bool:
    """Draw the newest export of this video; return whether one is running."""
    jobs = job_store().list(kind="export_frames", video=record.slug, limit=1)
    for job in jobs:
        show_job(job, "export")
    if not jobs:
        st.caption("No export of this video yet.")
    return bool(active_jobs("export_frames", record.slug))


def form(record: VideoRecord, folder: Path) -> None:
    """Draw range, mode, number and size of the images, and the start button."""
    start, end = choose_range(record)
    choice = {"from_frame": start, "to_frame": end, **choose_mode(start, end)}
    with refusals():
        count = choice.get("diverse") or len(plan_frames(record.info.n_frames, **choice))
        size = size_of(record.slug, str(record.identity), choice, count)
        st.markdown(f"**{count} images**, about {as_bytes(size)}. Existing images are kept.")
        problem = ""
        try:
            check_space(folder, size)
        except InputError as error:
            problem = str(error)
            st.error(problem)
        busy = bool(active_jobs("export_frames", record.slug))
        if busy:
            st.caption("An export of this video is running. Stop it, or wait until it has finished.")
        if st.button("Start", type="primary", icon=":material/play_arrow:", disabled=busy or bool(problem)):
            queue(record, folder, choice, count)
            st.rerun()


title("export")
record = choose_video()
if record is not None:
    folder = project().exported_frames(record.slug)
    left, right = st.columns([0.55, 0.45], gap="large")
    with left:
        form(record, folder)
    with right:
        st.subheader("Latest export")
        live(lambda: draw_jobs(record), busy=bool(active_jobs("export_frames", record.slug)))
    show_gallery(folder, settings().roots)
