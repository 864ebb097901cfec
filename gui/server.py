"""The web app's server: Streamlit behind the gate, started by ``python -m gui``."""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import streamlit as st
from pydantic import BaseModel, ConfigDict, ValidationError
from streamlit import file_util
from streamlit.web import bootstrap

from backend.project.atomic import atomic_json
from backend.project.errors import InputError
from backend.project.locks import file_lock
from backend.project.settings import REPOSITORY, Settings, state_folder
from backend.web.gate import Gate
from backend.web.headers import content_policy, inline_hashes
from backend.web.hosts import OwnHosts
from backend.web.links import APP_RECORD, app_link
from backend.web.request_body import UPLOAD_BYTES, BodyLimit
from backend.web.token import read_or_create_token, token_path
from gui.guide import WithGuide

SCRIPT = REPOSITORY / "gui" / "app.py"
LOCK = ".app.lock"
START_S = 20.0  # how long a second start waits for the first one to say where it listens


class AppRecord(BaseModel):
    """Where the running app listens: the content of ``app.json`` in the state folder."""

    model_config = ConfigDict(frozen=True)

    format: int = 1
    pid: int
    address: str


def build_app(settings: Settings, port: int, state: Path | None = None, script: Path = SCRIPT) -> Gate:
    """Return Streamlit and the user guide with all their routes behind the gate and the body limit.

    Parameters
    ----------
    settings
        The installation's settings, with ``bind_address`` as the server is bound.
    port
        The port it will listen on.
    state
        The state folder, by default the installation's.
    script
        The Streamlit script; another one in tests.
    """
    os.chdir(REPOSITORY)  # Streamlit reads .streamlit/config.toml from there
    bootstrap.load_config_options(streamlit_options(settings, port))
    return Gate(
        BodyLimit(WithGuide(st.App(script), settings.path_prefix), UPLOAD_BYTES),
        settings=settings,
        port=port,
        state=state,
        policy=streamlit_policy(),
        base=settings.path_prefix,
        sets_root_path=False,
    )


def streamlit_options(settings: Settings, port: int) -> dict[str, object]:
    """Return the Streamlit options that follow from ours, named as its loader wants them (``_`` for the dot)."""
    hosts = OwnHosts(settings, port).names
    public = app_link(settings, port).split("//")[1].split("/")[0].rsplit(":", 1)[0]
    return {
        "server_address": settings.bind_address,
        "server_port": port,
        "server_baseUrlPath": settings.path_prefix.strip("/"),
        "server_allowedHosts": hosts,
        # compared with Origin before Streamlit would ask the internet for its own address
        "browser_serverAddress": public,
    }


def streamlit_policy() -> str:
    """Return the strictest Content-Security-Policy that Streamlit's pages work under.

    Streamlit makes its style sheets in the browser (inline styles) and loads the script of an inline component such as
    our file picker from a blob; the inline scripts of its index.html are allowed by their hashes. Nothing is evaluated
    from strings, and nothing is loaded from elsewhere.
    """
    index = Path(file_util.get_static_dir(), "index.html").read_text(encoding="utf-8")
    return content_policy(
        {
            "script-src": f"'self' blob: {inline_hashes(index, 'script')}",
            "style-src": "'self' 'unsafe-inline'",
            "font-src": "'self' data:",  # of formulas
        }
    )


@contextmanager
def recorded(settings: Settings, port: int, state: Path | None = None) -> Iterator[None]:
    """Be the one running app of this state folder, and say in ``app.json`` where it listens.

    The kernel drops the lock when this process ends, however it ends; so a record left behind is never believed.

    Raises
    ------
    InputError
        If the app runs already; `running_app` says where.
    """
    state = state or state_folder()
    try:
        lock = file_lock(state / LOCK)
        with lock:
            record = AppRecord(pid=os.getpid(), address=app_link(settings, port))
            atomic_json(state / APP_RECORD, record.model_dump())
            try:
                yield
            finally:
                (state / APP_RECORD).unlink(missing_ok=True)
    except BlockingIOError as error:
        raise InputError(f"Lektrack runs already on the state folder {state}") from error


def running_app(state: Path | None = None, wait_s: float = START_S) -> AppRecord | None:
    """Return where the app of this state folder listens, None if none runs.

    An app that is just starting is given ``wait_s`` to say so.
    """
    state = state or state_folder()
    end = time.monotonic() + wait_s
    while True:
        try:
            with file_lock(state / LOCK):
                return None
        except BlockingIOError:
            pass
        try:
            return AppRecord.model_validate(json.loads((state / APP_RECORD).read_bytes()))
        except (FileNotFoundError, ValidationError, ValueError):
            if time.monotonic() > end:
                raise InputError(f"Lektrack is starting on the state folder {state}; try again in a moment") from None
            time.sleep(0.1)


def announce(address: str, state: Path | None = None) -> None:
    """Say where the app is: with the token on a terminal, with the path of its file anywhere else (a log, a pipe)."""
    if sys.stdout.isatty():
        print(f"Lektrack: {address}?token={read_or_create_token(state)}", flush=True)
    else:
        print(f"Lektrack: {address} (the sign-in token is in {token_path(state)})", flush=True)
