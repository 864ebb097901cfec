"""TensorBoard as a service of ours: behind the same sign-in and headers as everything else.

    python -m backend.training.tensorboard --logdir data/training/ruffs/tensorboard --port 8881

TensorBoard's own server, which knows no sign-in, is never started; its WSGI program runs inside ours.
"""

from pathlib import Path
from typing import Any

from pydantic import Field
from starlette.types import ASGIApp
from tensorboard import default, program
from tensorboard.util import tb_logging

from backend.jobs.script import ScriptParser, ScriptSettings, run_script
from backend.project.errors import InputError
from backend.project.settings import Address, Port, Settings, load_settings
from backend.training.wsgi import WsgiApp, as_asgi
from backend.web.gate import protect
from backend.web.headers import content_policy
from backend.web.serve import serve

RELOAD_S = 5
# Its page is one file with inline scripts that build others; nothing but itself is asked for data.
POLICY = content_policy(
    {
        "script-src": "'self' 'unsafe-inline'",
        "style-src": "'self' 'unsafe-inline'",
        "font-src": "'self' data:",
    }
)


class TensorboardSettings(ScriptSettings):
    """The arguments of this script."""

    logdir: Path
    host: Address = "127.0.0.1"
    port: Port = Field(default=8880)


def main(argv: list[str]) -> None:
    """Serve until stopped."""
    parser = ScriptParser("backend.training.tensorboard", __doc__)
    parser.add_argument("--logdir", required=True, help="folder with event files, or one with several such folders")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", default=8880, help="port to listen on")
    settings = parser.settings(TensorboardSettings, argv)
    if not settings.logdir.is_dir():
        raise InputError(f"--logdir {settings.logdir}: there is no such folder")
    ours = load_settings().model_copy(update={"bind_address": settings.host})
    serve(protected_board(settings.logdir, ours, settings.port), settings.host, settings.port)


def protected_board(logdir: Path, settings: Settings, port: int) -> ASGIApp:
    """Return TensorBoard for ``logdir`` behind the gate."""
    return protect(as_asgi(tensorboard_program(logdir), POLICY), settings=settings, port=port, policy=POLICY)


def tensorboard_program(logdir: Path) -> WsgiApp:
    """Return TensorBoard's WSGI program for the event files in and below ``logdir``, read again every few seconds."""
    tb_logging.get_logger().setLevel("WARNING")
    caught: list[WsgiApp] = []

    class Catch:
        """Stands in for TensorBoard's server: takes the program and never listens."""

        def __init__(self, app: WsgiApp, flags: Any):
            caught.append(app)

        def serve_forever(self) -> None:
            """Return at once."""

        def get_url(self) -> str:
            return ""

    board = program.TensorBoard(default.get_plugins(), server_class=Catch)
    # load_fast would start another process that listens on a port of its own
    board.configure(logdir=str(logdir), reload_interval=RELOAD_S, load_fast="false", bind_all=False)
    board.launch()
    return caught[0]


if __name__ == "__main__":
    run_script("tensorboard", main)
