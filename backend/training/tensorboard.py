"""TensorBoard behind the same sign-in, limits and headers as every other server of Lektrack.

    python -m backend.training.tensorboard --logdir data/training/ruffs/tensorboard --port 8881

TensorBoard's own server, which has no sign-in, is never started: its WSGI application runs inside ours.
"""

from pathlib import Path
from typing import Any

from a2wsgi import WSGIMiddleware
from pydantic import Field
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.jobs.script import ScriptParser, ScriptSettings, run_script
from backend.project.errors import InputError
from backend.project.ports import SERVICE_PORTS, Port
from backend.project.settings import Address, Settings, load_settings
from backend.web.gate import protect
from backend.web.headers import content_policy
from backend.web.serve import serve

RELOAD_S = 5
MAX_BODY_BYTES = 1024**2
MAX_THREADS = 8
CREDENTIALS = {b"authorization", b"cookie"}  # the gate's business, not the application's
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

    logdir: Path = Field(description="folder with event files, or one with several such folders")
    host: Address = Field(default="127.0.0.1", description="address to listen on")
    port: Port = Field(default=SERVICE_PORTS[0], description="port to listen on")


def main(argv: list[str]) -> None:
    """Serve until stopped."""
    settings = ScriptParser("backend.training.tensorboard", __doc__).settings(TensorboardSettings, argv)
    if not settings.logdir.is_dir():
        raise InputError(f"--logdir {settings.logdir}: there is no such folder")
    installation = load_settings().model_copy(update={"bind_address": settings.host})
    application = tensorboard_application(settings.logdir)
    serve(protected(application, installation, settings.port), settings.host, settings.port)


def protected(application: Any, settings: Settings, port: int) -> ASGIApp:
    """Return a WSGI application as an ASGI app behind the gate, with bodies of at most `MAX_BODY_BYTES`.

    An answer is queued whole: with a bounded queue, a thread would wait for ever for a reader who has gone.
    """
    asgi = WSGIMiddleware(application, workers=MAX_THREADS, send_queue_size=0)
    return protect(_without_credentials(asgi), settings=settings, port=port, policy=POLICY, max_body=MAX_BODY_BYTES)


def _without_credentials(app: ASGIApp) -> ASGIApp:
    """Keep sign-in headers from ``app``, and its own Content-Security-Policy from the browser."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(message: Message) -> None:
            headers = [pair for pair in message.get("headers", []) if pair[0] != b"content-security-policy"]
            await send({**message, "headers": headers} if message["type"] == "http.response.start" else message)

        if "headers" in scope:
            scope = {**scope, "headers": [pair for pair in scope["headers"] if pair[0] not in CREDENTIALS]}
        await app(scope, receive, answer)

    return wrapped


def tensorboard_application(logdir: Path) -> Any:
    """Return TensorBoard's WSGI application for the event files in and below ``logdir``, read again every 5 s."""
    from tensorboard import default, program  # seconds to import
    from tensorboard.util import tb_logging

    tb_logging.get_logger().setLevel("WARNING")
    applications: list[Any] = []

    class Server:
        """Stands in for TensorBoard's server: keeps the application and never listens."""

        def __init__(self, app: Any, flags: Any):
            applications.append(app)

        def serve_forever(self) -> None:
            """Return at once."""

        def get_url(self) -> str:
            return ""

    board = program.TensorBoard(default.get_plugins(), server_class=Server)
    # load_fast would start another process that listens on a port of its own
    board.configure(logdir=str(logdir), reload_interval=RELOAD_S, load_fast="false", bind_all=False)
    board.launch()
    return applications[0]


if __name__ == "__main__":
    run_script("tensorboard", main)
