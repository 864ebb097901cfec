"""A server of one kind on a port: ``python -m tests.web.run_server KIND PORT``; ``routes`` for PORT lists its routes.

Every kind of server that Lektrack has is in `KINDS`; the tests of hosts, origins, headers, routes and fuzzing run over
all of them.
"""

import asyncio
import json
import os
from collections.abc import Callable
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
from backend.web.body import read_json
from backend.web.errors import Conflict, exception_handlers
from backend.web.gate import protect
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
    """Send a dot, then nothing for a minute."""

    async def dots():
        yield b"."
        await asyncio.sleep(60)

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
    from backend.training.tensorboard import protected_board

    logs = settings.project_folder / "tensorboard"
    logs.mkdir(exist_ok=True)
    return protected_board(logs, settings, port)


def tensorboard_routes() -> list[BaseRoute]:
    """Return all routes of TensorBoard with its plugins."""
    from tensorboard.backend.application import TensorBoardWSGI

    from backend.training.tensorboard import tensorboard_program

    program = tensorboard_program(Path.cwd())
    while not isinstance(program, TensorBoardWSGI):
        program = program._application  # the middlewares around it
    return [Route(path, home) for path in (*program.exact_routes, *(f"{each}x" for each in program.prefix_routes))]


KINDS: dict[str, tuple[Callable[[Settings, int], ASGIApp], Callable[[], list[BaseRoute]]]] = {
    "service": (protected_service, lambda: service().routes),
    "app": (protected_app, app_routes),
    "tensorboard": (protected_tensorboard, tensorboard_routes),
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
