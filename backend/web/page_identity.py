"""Page identity: refuses requests of a page that was opened for other work on the same port.

A page names what its server works on (``of`` in the state) in every request. A server that works on something else
refuses, and pictures of two videos have two addresses, so that no cache confuses them.
"""

import hashlib
import json
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.web.http_errors import json_error

NAME = "of"


def work_id(*facts: Any) -> str:
    """Return a short name for the work that ``facts`` (project, video, run...) tell from any other; always the same."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def kept_an_hour(request: Request) -> dict[str, str]:
    """Return the headers of an answer that does not change; kept only if its address says of which work it is."""
    return {"cache-control": "private, max-age=3600" if NAME in request.query_params else "no-store"}


class SameWork:
    """ASGI middleware: answers 409 to what names other work than ``work``."""

    def __init__(self, app: ASGIApp, work: str):
        self._app, self._work = app, work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is about our work, or about none."""
        if scope["type"] == "http":
            named = parse_qs(scope["query_string"].decode("latin-1")).get(NAME, [])
            if set(named) - {self._work}:
                answer = json_error(409, "this page belongs to another video or run; reload it. Nothing was changed")
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)
