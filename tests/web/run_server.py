"""A server of one kind on a port: ``python -m tests.web.run_server KIND PORT``; ``routes`` for PORT lists its routes.

Every kind of server that Lektrack has is in `KINDS`; the tests of hosts, origins, headers, routes and fuzzing run over
all of them.
"""

import asyncio
import json
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from backend.jobs.script import run_script
from backend.project.settings import Settings, load_settings
from backend.web.gate import protect
from backend.web.http_errors import Conflict, exception_handlers
from backend.web.request_body import read_json
from backend.web.serve import serve

EVERY_ELEMENT = Path(__file__).with_name("every_element.py")
SMALL_BODY = 64 * 1024


async def home(request: Request) -> PlainTextResponse:
    """Answer with the path under which the request came, as links in a page need it."""
    return PlainTextResponse(f"{request.url.scheme} {request.scope['root_path']}|{request.url.path}")


async def edit(request: Request) -> JSONResponse:
    """Take JSON and give it back."""
    return JSONResponse({"taken": await read_json(request)})


async def fail(request: Request) -> PlainTextResponse:
    """Fail in the way the path names."""
    kinds: dict[str, Exception] = {
        "conflict": Conflict("version 3 is not the present version 4"),
        "missing": FileNotFoundError(2, "No such file", "/secret/place"),
        "bug": ZeroDivisionError("inner detail"),
    }
    raise kinds[request.path_params["how"]]


async def slow(request: Request) -> StreamingResponse:
    """Send a dot, then nothing for ten minutes."""

    async def dots():
        yield b"."
        await asyncio.sleep(600)

    return StreamingResponse(dots())


async def echo(socket: WebSocket) -> None:
    """Send back what comes."""
    await socket.accept()
    while True:
        await socket.send_text(await socket.receive_text())


def service() -> Starlette:
    """Return a small service as SegAnnot and the board are built."""
    routes: list[BaseRoute] = [
        Route("/", home),
        Route("/deep/page", home),
        Route("/api/edit", edit, methods=["POST", "PUT"]),
        Route("/api/fail/{how}", fail),
        Route("/slow", slow),
        WebSocketRoute("/stream", echo),
    ]
    return Starlette(routes=routes, exception_handlers=exception_handlers())


def protected_service(settings: Settings, port: int) -> ASGIApp:
    """Return the service behind the gate."""
    return protect(service(), settings=settings, port=port, max_body=SMALL_BODY)


def protected_app(settings: Settings, port: int) -> ASGIApp:
    """Return Streamlit behind the gate, with a page that has every element, or what the test's environment asks."""
    from streamlit import config

    from gui.server import build_app

    app = build_app(settings, port, script=Path(os.environ.get("TEST_SCRIPT", EVERY_ELEMENT)))
    if forget_s := os.environ.get("TEST_FORGET_SESSIONS_S"):
        config.set_option("server.disconnectedSessionTTL", int(forget_s))
    return app


def app_routes() -> list[BaseRoute]:
    """Return all routes of Streamlit as the app runs it."""
    import streamlit as st
    from streamlit.web.server.starlette.starlette_app import create_streamlit_routes

    protected_app(Settings(), 1)
    return create_streamlit_routes(st.App(EVERY_ELEMENT)._create_runtime())


def protected_tensorboard(settings: Settings, port: int) -> ASGIApp:
    """Return TensorBoard behind the gate, with nothing to show yet."""
    from backend.training.tensorboard import protected, tensorboard_application

    logs = settings.project_folder / "tensorboard"
    logs.mkdir(exist_ok=True)
    return protected(tensorboard_application(logs), settings, port)


def tensorboard_routes() -> list[BaseRoute]:
    """Return all routes of TensorBoard with its plugins."""
    from tensorboard.backend.application import TensorBoardWSGI

    from backend.training.tensorboard import tensorboard_application

    program = tensorboard_application(Path.cwd())
    while not isinstance(program, TensorBoardWSGI):
        program = program._application  # the middlewares around it
    return [Route(path, home) for path in (*program.exact_routes, *(f"{each}x" for each in program.prefix_routes))]


def annotation_api(settings: Settings) -> Any:
    """Return SegAnnot on a small video of a project of its own."""
    from backend.project.paths import Project
    from backend.video.frame_cache import CachedFrames
    from backend.video.library import add_video, list_videos, open_video
    from segannot.engines.registry import Engines
    from segannot.server import AnnotationApi
    from segannot.session import Session
    from segannot.store import AnnotationStore
    from tests.videos import write_video

    project = Project(settings.project_folder)
    if not list_videos(project):
        add_video(project, write_video(project.root / "lek.mp4", 12), [project.root])
    source = CachedFrames(lambda: open_video(project, "lek", threads=1), 2**24)
    project.segannot("lek").mkdir(parents=True, exist_ok=True)
    store = AnnotationStore(project.segannot("lek"), source.size)
    return AnnotationApi(Session(store, source, Engines(project.root)), "lek", "work")


def protected_segannot(settings: Settings, port: int) -> ASGIApp:
    """Return SegAnnot behind the gate."""
    from segannot.server import protected_annotation

    return protected_annotation(annotation_api(settings), settings, port)


def segannot_routes() -> list[BaseRoute]:
    """Return all routes of SegAnnot."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return annotation_api(Settings(project_folder=Path(folder))).routes


OPEN = ExitStack()  # what is open for as long as the server runs


def board_api(settings: Settings, stack: ExitStack) -> Any:
    """Return the board of a small tracked video of a project of its own, open until the stack is left."""
    from board.load_board import open_board
    from board.server import BoardApi
    from tests.board.boards import small_project

    project = small_project(settings.project_folder)
    tracks = project.track_output("lek", "tracks-a")
    return BoardApi(stack.enter_context(open_board(project, tracks, memory_gb=1, threads=1)))


def protected_relabelling(settings: Settings, port: int) -> ASGIApp:
    """Return the board behind the gate."""
    from board.server import protected_board

    return protected_board(board_api(settings, OPEN), settings, port)


def board_routes() -> list[BaseRoute]:
    """Return all routes of the board."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        return board_api(Settings(project_folder=Path(folder)), stack).routes


KINDS: dict[str, tuple[Callable[[Settings, int], ASGIApp], Callable[[], list[BaseRoute]]]] = {
    "service": (protected_service, lambda: service().routes),
    "app": (protected_app, app_routes),
    "tensorboard": (protected_tensorboard, tensorboard_routes),
    "segannot": (protected_segannot, segannot_routes),
    "board": (protected_relabelling, board_routes),
}


def described(routes: list[BaseRoute]) -> list[dict[str, Any]]:
    """Return path and methods of each route; a WebSocket has none, a mount has them all."""
    found = []
    for route in routes:
        methods = {Mount: ["GET", "POST"], WebSocketRoute: []}.get(type(route))
        found.append({"path": route.path or "/", "methods": sorted(route.methods) if methods is None else methods})
    return found


def main(argv: list[str]) -> None:
    """Serve, or list the routes."""
    kind, port = argv
    build, routes = KINDS[kind]
    if port == "routes":
        print(json.dumps(described(routes())))
        return
    settings = load_settings()
    serve(build(settings, int(port)), settings.bind_address, int(port))


if __name__ == "__main__":
    run_script("run_server", main)
