"""The gate in front of every server: admits requests by host, origin and sign-in.

Order of the checks, each refusing before the next is asked: shape of the request, Host, Origin and Sec-Fetch-Site
(`backend.web.origin`), sign-in (`backend.web.sign_in`). The gate is pure ASGI, so HTTP and WebSockets take the same
way. Every answer, refusals included, gets the headers of `backend.web.headers`.
"""

import logging
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from backend.project.settings import Settings, state_folder
from backend.web.headers import content_policy, secured
from backend.web.hosts import OwnHosts
from backend.web.http_errors import error_response, json_error
from backend.web.links import service_base
from backend.web.origin import Refusal, check_source, from_own_page, needs_own_page
from backend.web.person import name_cookie, name_of, name_page
from backend.web.readiness import READY_PATH, is_probe, ready_answer
from backend.web.request_body import JSON_BYTES, BodyLimit, read_form
from backend.web.sign_in import Brake, SignIn, safe_target, sign_in_page, sign_out_page
from backend.web.token import token_source

SIGN_IN_PATH, SIGN_OUT_PATH, NAME_PATH = "/-/sign-in", "/-/sign-out", "/-/name"
MAX_PATH = 4096  # no path of ours is longer
NOT_KEPT = {"cache-control": "no-store"}
POLICY_VIOLATION = 1008  # the WebSocket close code for "you may not"

log = logging.getLogger(__name__)


def protect(
    app: ASGIApp,
    *,
    settings: Settings,
    port: int,
    token: Callable[[], str] | str | None = None,
    state: Path | None = None,
    policy: str | None = None,
    max_body: int = JSON_BYTES,
    ready: Callable[[], bool] | None = None,
) -> ASGIApp:
    """Return ``app`` behind the gate and the body limit, for one of our own services.

    Parameters
    ----------
    app
        What to protect.
    settings
        The installation's settings, with ``bind_address`` as this server is bound.
    port
        The port this server listens on.
    token
        The token, or a function that gives the present one; by default that of ``state``.
    state
        The state folder, by default the installation's.
    policy
        Content-Security-Policy; by default the strict one.
    max_body
        Bytes of a request body; more is answered with 413.
    ready
        Says whether the server can do its work yet; by default it can as soon as it answers.
    """
    return Gate(
        BodyLimit(app, max_body), settings=settings, port=port, token=token, state=state, policy=policy, ready=ready
    )


class Gate:
    """ASGI middleware; see the module's text and `protect`.

    ``base`` is the path the server is linked under. An app that knows its base itself (Streamlit) has
    ``sets_root_path=False``; for the others the gate sets ASGI's ``root_path``, and programs may leave the base out.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: Settings,
        port: int,
        token: Callable[[], str] | str | None = None,
        state: Path | None = None,
        policy: str | None = None,
        ready: Callable[[], bool] | None = None,
        base: str | None = None,
        sets_root_path: bool = True,
    ):
        state = state or state_folder()
        source = token if callable(token) else (lambda: token) if token else token_source(state)
        self.app = app
        self.port = port
        self.hosts = OwnHosts(settings, port)
        self.base = service_base(settings, port) if base is None else base
        self.sets_root_path = sets_root_path
        self.policy = policy or content_policy()
        self.ready = ready or (lambda: True)
        self.sign_in = SignIn(
            source, state, settings.path_prefix or "/", secure=settings.public_address.startswith("https:")
        )
        self.brake = Brake()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or answer it."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        started = False

        async def answering(message: Message) -> None:
            nonlocal started
            if message["type"].endswith("http.response.start"):
                message = {**message, "headers": secured(message.get("headers", []), self.policy)}
            started = True
            await send(message)

        try:
            answer = await self._answer(scope, receive)
            if answer is None:
                await self._pass_on(scope, receive, answering)
                return
        except (ClientDisconnect, WebSocketDisconnect):
            return  # the browser went away; nobody is left to answer
        except Exception as error:
            answer = error_response(error)
            if answer.status_code >= 500:
                log.error("%s failed", scope["path"][:200], exc_info=error)
            if started:
                return  # uvicorn closes what was left half said
        await _send_answer(answer, scope, receive, answering)

    async def _answer(self, scope: Scope, receive: Receive) -> Response | None:
        """Return the answer to a request that does not go through, None for one that does."""
        kind, method, headers = scope["type"], scope.get("method", "GET"), _headers(scope)
        refusal = _check_shape(scope["path"]) or check_source(kind, method, headers, self.hosts)
        if refusal:
            return json_error(refusal.status, refusal.message)
        path, by_cookie = self._local_path(scope["path"]), self.sign_in.by_cookie(headers)
        by_token = self.sign_in.by_token(headers)
        if kind == "http":
            if path == READY_PATH and (by_cookie or by_token or is_probe(headers, self.sign_in.token(), self.port)):
                answer = ready_answer(headers, self.sign_in.token(), self.port, self.ready())
                return JSONResponse(answer, 200 if answer["ready"] else 503, NOT_KEPT)
            if path == SIGN_IN_PATH:
                return await self._sign_in(scope, receive, by_cookie)
            if method == "GET" and (given := _token_in_query(scope)) is not None:
                return await self._sign_in_by_link(scope, given, by_cookie)
            if scope["path"] == "/" and self.base and method == "GET" and not by_token:
                return RedirectResponse(f"{self.base}/", 303)  # the cookie is for the base and below only
        if not by_cookie and not by_token:
            return self._ask_to_sign_in(scope, headers)
        if not by_token and needs_own_page(kind, method) and not from_own_page(headers):
            return json_error(403, "the request does not say which page it comes from; programs sign in by token")
        if kind == "http" and path == SIGN_OUT_PATH:
            return self._sign_out(method)
        if kind == "http" and path == NAME_PATH:
            return await self._ask_name(scope, receive)
        return None

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope = dict(scope)
        if self.sets_root_path and _is_under(scope["path"], self.base):
            scope["root_path"] = scope.get("root_path", "") + self.base
        if self.hosts.is_public(_headers(scope)["host"][0]) and self.hosts.public_origin.startswith("https:"):
            scope["scheme"] = "https" if scope["type"] == "http" else "wss"
        if scope["type"] == "websocket":
            await self._pass_on_socket(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _pass_on_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a WebSocket until the token that opened it is changed."""
        opened_with = self.sign_in.token()
        accepted = closed = False

        async def still_allowed() -> bool:
            nonlocal closed
            if not closed and self.sign_in.token() != opened_with:
                closed = True
                await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": "signed out"})
            return not closed

        async def checked_receive() -> Message:
            message = await receive()
            allowed = message["type"] != "websocket.receive" or await still_allowed()
            return message if allowed else {"type": "websocket.disconnect", "code": POLICY_VIOLATION}

        async def checked_send(message: Message) -> None:
            nonlocal accepted
            if message["type"] == "websocket.close" and not accepted:
                await _send_answer(json_error(403, "there is no such WebSocket here"), scope, receive, send)
            elif await still_allowed():
                accepted = True
                await send(message)

        await self.app(scope, checked_receive, checked_send)

    async def _sign_in(self, scope: Scope, receive: Receive, by_cookie: bool) -> Response:
        home = f"{self.base}/"
        if scope["method"] in ("GET", "HEAD"):
            return RedirectResponse(home, 303) if by_cookie else sign_in_page(self.base, home, status=200)
        if scope["method"] != "POST":
            return json_error(405, "sign in by GET and POST", {"allow": "GET, HEAD, POST"})
        form = await read_form(Request(scope, receive))
        target = safe_target(form.get("next", ""), home)
        if self.sign_in.accepts(form.get("token", "").strip()):
            return self._signed_in(target)
        if not await self.brake.wait():
            return json_error(429, "too many wrong tokens at once; try again in a moment")
        return sign_in_page(self.base, target, "That is not the token of this installation.")

    async def _sign_in_by_link(self, scope: Scope, given: str, by_cookie: bool) -> Response:
        target = _without_token(scope)
        if self.sign_in.accepts(given):
            return self._signed_in(target)
        if by_cookie:
            return RedirectResponse(target, 303)
        if not await self.brake.wait():
            return json_error(429, "too many wrong tokens at once; try again in a moment")
        return sign_in_page(self.base, target, "The token in that link is not, or no longer, the right one.")

    def _signed_in(self, target: str) -> Response:
        return RedirectResponse(target, 303, {"set-cookie": self.sign_in.set_cookie(), **NOT_KEPT})

    def _ask_to_sign_in(self, scope: Scope, headers: dict[str, list[str]]) -> Response:
        page_wanted = (
            scope["type"] == "http"
            and scope["method"] in ("GET", "HEAD")
            and any("text/html" in value for value in headers.get("accept", []))
        )
        if not page_wanted:
            message = "sign in first: open the address with the token, or send 'Authorization: Bearer TOKEN'"
            return json_error(401, message, {"www-authenticate": 'Bearer realm="Lektrack"'})
        notice = "You were signed out: the token was changed." if self.sign_in.had_cookie(headers) else ""
        return sign_in_page(self.base, _without_token(scope), notice)

    async def _ask_name(self, scope: Scope, receive: Receive) -> Response:
        home = f"{self.base}/"
        if scope["method"] in ("GET", "HEAD"):
            return name_page(self.base, home, name_of(scope["headers"]))
        if scope["method"] != "POST":
            return json_error(405, "say your name by GET and POST", {"allow": "GET, HEAD, POST"})
        form = await read_form(Request(scope, receive))
        cookie = name_cookie(form.get("name", ""), self.sign_in.path, self.sign_in.secure)
        return RedirectResponse(safe_target(form.get("next", ""), home), 303, {"set-cookie": cookie, **NOT_KEPT})

    def _sign_out(self, method: str) -> Response:
        if method in ("GET", "HEAD"):
            return sign_out_page(self.base)
        if method != "POST":
            return json_error(405, "sign out by GET and POST", {"allow": "GET, HEAD, POST"})
        return RedirectResponse(
            f"{self.base}{SIGN_IN_PATH}", 303, {"set-cookie": self.sign_in.clear_cookie(), **NOT_KEPT}
        )

    def _local_path(self, path: str) -> str:
        return path[len(self.base) :] if _is_under(path, self.base) else path


async def _send_answer(answer: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": POLICY_VIOLATION})
    else:
        await answer(scope, receive, send)


def _headers(scope: Scope) -> dict[str, list[str]]:
    """Return all header values by lower-case name; a header sent twice keeps both."""
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


def _check_shape(path: str) -> Refusal | None:
    if not path.startswith("/") or len(path) > MAX_PATH or re.search(r"[\x00-\x1f\x7f]", path):
        return Refusal(400, "the path is malformed")
    return None


def _is_under(path: str, base: str) -> bool:
    return bool(base) and (path == base or path.startswith(f"{base}/"))


def _token_in_query(scope: Scope) -> str | None:
    for name, value in parse_qsl(scope["query_string"].decode("latin-1")):
        if name == "token":
            return value
    return None


def _without_token(scope: Scope) -> str:
    """Return the requested path and query without the token, as a redirect target that stays on this server."""
    pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    query = urlencode([(name, value) for name, value in pairs if name != "token"])
    path = "/" + scope["raw_path"].decode("ascii").lstrip("/\\")
    return safe_target(f"{path}?{query}" if query else path, "/")
