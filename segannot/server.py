"""SegAnnot's server: its page and a JSON interface for it.

Every change is a POST with the version it was made on (409 if that is not the current one) and a key (a request sent
twice is applied once). The answer comes once the change is on the disk, and is the whole state, as from
``GET api/state``.
"""

import gzip
import secrets
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from backend.project.errors import InputError
from backend.project.settings import Settings
from backend.web.gate import protect
from backend.web.http_errors import exception_handlers
from backend.web.page_identity import SameWork, kept_an_hour
from backend.web.pages import page_routes
from backend.web.request_body import read_json
from segannot import requests
from segannot.annotated_objects import dump_objects
from segannot.mask_edits import box_of
from segannot.requests import checked
from segannot.session import Session
from segannot.suggest import Suggester

STATIC = Path(__file__).with_name("static")
MAX_BODY = 2 * 1024**2  # a stroke of 20,000 points takes 400 kB
MIN_WIDTH = 64


class AnnotationApi:
    """The routes of one open session.

    Parameters
    ----------
    session
        What the page shows and changes.
    name
        The video's name.
    work
        Its `backend.web.page_identity.work_id`.
    app_address
        Returns the address of the web app for the Host header of a request; empty where there is none.
    """

    def __init__(self, session: Session, name: str, work: str, app_address: Callable[[str | None], str] = lambda _: ""):
        self.work = work
        self._session, self._name, self._app_address = session, name, app_address
        self._suggester = Suggester(session.store, session.source)
        self._instance = secrets.token_hex(8)

    @property
    def routes(self) -> list[BaseRoute]:
        """All routes of the server."""
        changes: dict[str, tuple[type, Callable[[Any], Any]]] = {
            "draw": (requests.Draw, self._session.draw),
            "frame": (requests.FrameAct, self._session.frame_act),
            "object": (requests.ObjectAct, self._session.object_act),
            "turn": (requests.Turn, lambda turn: self._session.turn(turn.way, turn.version, turn.key)),
            "propagate": (requests.Propagate, self._session.propagate),
            "task": (requests.TaskAct, self._task),
            "engine": (requests.Choose, lambda choice: self._session.engines.choose(choice.engine)),
        }
        return [
            *page_routes(STATIC),
            Route("/api/state", self._state),
            Route("/api/pulse", self._pulse),
            Route("/api/next", self._next),
            Route("/api/frames/{frame:int}", self._frame),
            Route("/api/masks/{frame:int}", self._mask),
            *(Route(f"/api/{name}", self._change(*each), methods=["POST"]) for name, each in changes.items()),
        ]

    def _state(self, request: Request) -> Response:
        return JSONResponse(self.state(request))

    def _pulse(self, request: Request) -> Response:
        task = self._session.task
        return JSONResponse(
            {"server": self._instance, "version": self._session.store.version, "task": task and task.facts()}
        )

    def _next(self, request: Request) -> Response:
        frame, reason = self._suggester.next_frame()
        return JSONResponse({"frame": frame, "reason": reason})

    def _frame(self, request: Request) -> Response:
        source = self._session.source
        width = _number(request, "width", source.size[0], MIN_WIDTH, source.size[0])
        data = source.jpeg(source.check(request.path_params["frame"]), width)
        return Response(data, media_type="image/jpeg", headers=kept_an_hour(request))

    def _mask(self, request: Request) -> Response:
        """Answer x, y, width, height (uint32, little endian) of the masks' bounding box, then its labels (uint8)."""
        store = self._session.store
        labels = store.labels(self._session.source.check(request.path_params["frame"]))
        x1, y1, x2, y2 = box_of(labels) or (0, 0, 0, 0)
        data = struct.pack("<4I", x1, y1, x2 - x1, y2 - y1) + np.ascontiguousarray(labels[y1:y2, x1:x2]).tobytes()
        headers = {"content-encoding": "gzip", "cache-control": "no-store"}
        return Response(gzip.compress(data, 1), media_type="application/octet-stream", headers=headers)

    def _change(self, model: type, act: Callable[[Any], Any]) -> Callable:
        async def endpoint(request: Request) -> Response:
            given = checked(model, await read_json(request, MAX_BODY))
            await run_in_threadpool(act, given)
            return JSONResponse(await run_in_threadpool(self.state, request))

        return endpoint

    def _task(self, request: requests.TaskAct) -> None:
        task = self._session.task
        if task is None or not task.is_alive():
            return  # it has just finished
        {"pause": task.pause, "resume": task.resume, "stop": task.stop}[request.act]()

    def state(self, request: Request) -> dict[str, Any]:
        """Return everything the page shows, except images and masks."""
        session = self._session
        store, source, task = session.store, session.source, session.task
        with store.lock:
            return {
                "server": self._instance,
                "of": self.work,
                "version": store.version,
                "video": {
                    "name": self._name, "frames": len(source), "fps": source.fps,
                    "width": source.size[0], "height": source.size[1],
                },
                "objects": dump_objects(store.objects),
                "origins": runs({frame: origin.value for frame, origin in store.origins.items()}),
                "doubts": {str(frame): doubts for frame, doubts in sorted(store.confidence.items())
                           if frame in store.origins},
                "undo": store.undo_kind,
                "redo": store.redo_kind,
                "task": task and task.facts(),
                "engine": session.engines.chosen.name,
                "engines": [vars(facts) for facts in session.engines.facts()],
                "app": self._app_address(request.headers.get("host")),
            }  # fmt: skip


def annotation_app(api: AnnotationApi) -> Starlette:
    """Return the app without sign-in and origin checks."""
    return Starlette(
        routes=api.routes, exception_handlers=exception_handlers(), middleware=[Middleware(SameWork, work=api.work)]
    )


def protected_annotation(api: AnnotationApi, settings: Settings, port: int) -> ASGIApp:
    """Return the app behind the gate (`backend.web.gate`)."""
    return protect(annotation_app(api), settings=settings, port=port, max_body=MAX_BODY)


def runs(values: dict[int, str]) -> list[tuple[int, int, str]]:
    """Return runs of consecutive frames with the same value as ``(first, last, value)``."""
    encoded: list[tuple[int, int, str]] = []
    for frame, value in sorted(values.items()):
        if encoded and encoded[-1][1] == frame - 1 and encoded[-1][2] == value:
            encoded[-1] = (encoded[-1][0], frame, value)
        else:
            encoded.append((frame, frame, value))
    return encoded


def _number(request: Request, name: str, default: int, least: int, most: int) -> int:
    text = request.query_params.get(name, str(default))
    if not text.isdecimal() or len(text) > 6:
        raise InputError(f"{name} {text[:40]!r} is not a whole number")
    return min(max(int(text), least), most)
