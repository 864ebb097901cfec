"""The proxy of a video, a small copy for fast seeking and playback: its state, and the job that creates it."""

import streamlit as st

from backend.jobs import Job, JobSpec
from backend.project.disk import as_bytes
from backend.video.library import VideoRecord
from backend.video.proxies import has_proxy, proxy_bytes, proxy_folder
from gui.widgets.context import active_jobs, project, refusals, submit
from gui.widgets.job_view import show_job
from gui.widgets.live import live

KIND = "proxy"


def start_proxy(record: VideoRecord) -> Job:
    """Queue the proxy of a video."""
    return submit(
        JobSpec(
            kind=KIND,
            title=f"Proxy video of {record.name}",
            command=("-m", "backend.proxy", "--video", record.slug, "--project", str(project().root)),
            output=proxy_folder(project(), record.slug),
            project=project().root,
            videos=(record.slug,),
            resumable=True,
        )
    )


def draw_proxy(record: VideoRecord) -> None:
    """Draw the button that creates a proxy; nothing if the video cannot be read."""
    if record.info is None or record.problem:
        return

    def job() -> bool:
        jobs = active_jobs(KIND, record.slug)
        for each in jobs:
            show_job(each, "proxy", log=False)
        return bool(jobs)

    live(job, busy=bool(active_jobs(KIND, record.slug)))
    if has_proxy(project(), record):
        st.caption(":material/bolt: The board uses a proxy video for fast seeking and playback.")
    elif not active_jobs(KIND, record.slug):
        size = as_bytes(proxy_bytes(record.info.size, record.info.n_frames))
        words = f"A copy of up to {size} for fast seeking and playback on the board. Still frames show the original."
        if st.button("Create proxy video", icon=":material/bolt:", help=words):
            with refusals():
                start_proxy(record)
                st.rerun()
