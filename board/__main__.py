"""Review the doubtful moments of a tracked video in the browser and correct identities.

    python -m board --tracks data/track_output/lek-north/2026-05-02 --port 8881

Each correction is appended to the project's corrections/VIDEO/DETECTIONS_RUN.jsonl at once; tracks.parquet is never
changed.
"""

import sys
from functools import partial
from pathlib import Path

from pydantic import Field

from backend.jobs.script import ScriptParser, ScriptSettings, run_script
from backend.project.paths import Project
from backend.project.ports import SERVICE_PORTS, Port
from backend.project.settings import Address, load_settings
from backend.web.links import running_app_link, service_link
from backend.web.serve import serve
from board.load_board import open_board
from board.server import BoardApi, protected_board


class BoardSettings(ScriptSettings):
    """The arguments of this script."""

    tracks: Path = Field(description="folder of a track run of the project")
    host: Address = Field(default="127.0.0.1", description="address to listen on")
    port: Port = Field(default=SERVICE_PORTS[0], description="port to listen on")
    memory_gb: float = Field(
        default=2.0,
        ge=1,
        le=1024,
        allow_inf_nan=False,
        description="memory limit of the server, at any length of video",
    )


def main(argv: list[str]) -> None:
    """Serve until stopped."""
    settings = ScriptParser("board", __doc__).settings(BoardSettings, argv)
    ours = load_settings().model_copy(update={"bind_address": settings.host})
    with open_board(Project(ours.project_folder), settings.tracks, settings.memory_gb) as board:
        api = BoardApi(board, partial(running_app_link, ours))
        if sys.stdout.isatty():
            print(f"Board: {service_link(ours, None, settings.port)}", flush=True)
        serve(protected_board(api, ours, settings.port), settings.host, settings.port, access_log=False)


if __name__ == "__main__":
    run_script("board", main)
