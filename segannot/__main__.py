"""Label a video in the browser: scribble on a bird, and its outline appears; propagate outlines through the video.

    python -m segannot --video lek-north --port 8880
    python -m segannot --video /data/videos/lek.mp4 --engine sam2 --gpu-id 0 --half_precision --memory-gb 4

--video is a video of the project, or a file, which is then added to the project (linked, never copied). Masks,
objects.json and frames.json are written into the project's segannot/VIDEO/ with every stroke.
"""

import os
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from backend.jobs.script import Option, ScriptParser, ScriptSettings, run_script
from backend.project.errors import InputError
from backend.project.locks import output_lock
from backend.project.paths import SLUG, Project
from backend.project.ports import SERVICE_PORTS, Port
from backend.project.settings import Address, load_settings
from backend.video.frame_cache import CachedFrames
from backend.video.library import add_video, get_video, list_videos, open_video
from backend.web.links import running_app_link, service_link
from backend.web.page_identity import work_id
from backend.web.serve import serve
from segannot.engines.classic import warm_up
from segannot.engines.registry import Engines
from segannot.server import AnnotationApi, protected_annotation
from segannot.session import Session
from segannot.store import AnnotationStore

GIB = 1024**3
OWN_GIB = 1.0  # Python, decoder, label maps and propagation; the rest of --memory-gb holds decoded frames


class SegannotSettings(ScriptSettings):
    """The arguments of this script."""

    video: str = Field(description="a video of the project, or a file")
    host: Address = Field(default="127.0.0.1", description="address to listen on")
    port: Port = Field(default=SERVICE_PORTS[0], description="port to listen on")
    half_precision: Annotated[bool, Option(name="--half_precision")] = Field(
        default=False, description="16-bit numbers on a GPU: half the memory, faster"
    )
    memory_gb: float = Field(
        default=2.0,
        ge=1.25,
        le=1024,
        allow_inf_nan=False,
        description="memory limit of the server, at any length of video",
    )
    engine: Literal["classic", "sam2"] = Field(default="classic", description="segmentation engine")
    gpu_id: str = Field(
        default="cpu", pattern=r"^(cpu|\d{1,2})$", description="number of a GPU for sam2 and the detector; or cpu"
    )

    @property
    def cache_bytes(self) -> int:
        """Bytes for decoded frames."""
        return int((self.memory_gb - OWN_GIB) * GIB)


def main(argv: list[str]) -> None:
    """Serve until stopped."""
    settings = ScriptParser("segannot", __doc__).settings(SegannotSettings, argv)
    ours = load_settings().model_copy(update={"bind_address": settings.host})
    project = Project(ours.project_folder)
    video = find_video(project, settings.video, ours.roots)
    with output_lock(project.segannot(video)):
        source = CachedFrames(lambda: open_video(project, video, threads=2), settings.cache_bytes)
        engines = Engines(project.root, _device(settings.gpu_id), settings.half_precision)
        engines.choose(settings.engine)
        warm_up()
        session = Session(AnnotationStore(project.segannot(video), source.size), source, engines)
        record = get_video(project, video)
        work = work_id("segannot", project.root.resolve(), video, record.identity)
        api = AnnotationApi(session, record.name, work, partial(running_app_link, ours))
        if sys.stdout.isatty():
            print(f"SegAnnot: {service_link(ours, None, settings.port)}", flush=True)
        try:
            serve(protected_annotation(api, ours, settings.port), settings.host, settings.port, access_log=False)
        finally:
            session.close()


def find_video(project: Project, name: str, roots: tuple[Path, ...]) -> str:
    """Return the slug of a video of the project, or of a file, which is linked into the project if it is new."""
    if SLUG.match(name) and project.video(name).exists():
        return name
    if os.sep not in name and not os.path.exists(name):
        there = ", ".join(record.slug for record in list_videos(project)) or "none yet"
        raise InputError(f"--video {name!r} is neither a video of the project ({there}) nor a file")
    real = os.path.realpath(name)
    known = next((record.slug for record in list_videos(project) if record.path == real), None)
    return known or add_video(project, real, roots)


def _device(gpu_id: str) -> str:
    return gpu_id if gpu_id == "cpu" else f"cuda:{gpu_id}"


if __name__ == "__main__":
    run_script("segannot", main)
