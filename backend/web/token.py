"""The one secret of an installation: a token file of mode 0600 in the state folder, shared by all its servers."""

import hashlib
import hmac
import logging
import os
import re
import secrets
import stat
import time
from collections.abc import Callable
from pathlib import Path

from backend.project.atomic import atomic_write
from backend.project.errors import InputError
from backend.project.locks import file_lock
from backend.project.settings import state_folder
from backend.project.state_files import read_state

TOKEN_BYTES = 32  # 256 bits of randomness
TOKEN = re.compile(r"[A-Za-z0-9_-]{22,200}")  # 22 characters of base64 are 132 bits; at least 128 are asked for
LOOK_AGAIN_S = 1.0  # how long a rotated token may still be accepted

log = logging.getLogger(__name__)


def token_path(state: Path | None = None) -> Path:
    """Return the path of the token file, which is what may be printed where the token itself may not."""
    return (state or state_folder()) / "token"


def read_or_create_token(state: Path | None = None) -> str:
    """Return the installation's token; make one where there is none. Two starters at once get the same one.

    A file that others could read is replaced by a new token, because they may know the old one; a broken file is set
    aside (see `read_state`). Both are logged as warnings, and both sign everybody out.

    Raises
    ------
    InputError
        If the file is a link or belongs to somebody else.
    """
    path = token_path(state)
    with file_lock(path.with_name(".token.lock"), wait=True):
        if _readable_by_others(path):
            log.warning("%s could be read by others (it must have mode 0600); a new token was made", path)
            return _write(path)
        return read_state(path, _parse, str) or _write(path)


def rotate_token(state: Path | None = None) -> str:
    """Replace the token and return the new one. Within `LOOK_AGAIN_S` every server signs everybody out."""
    path = token_path(state)
    with file_lock(path.with_name(".token.lock"), wait=True):
        return _write(path)


def token_source(state: Path | None = None) -> Callable[[], str]:
    """Return a function that gives the present token, re-reading the file at most once in `LOOK_AGAIN_S`."""
    state = state or state_folder()
    token, read_at = read_or_create_token(state), time.monotonic()

    def present() -> str:
        nonlocal token, read_at
        if time.monotonic() - read_at > LOOK_AGAIN_S:
            token, read_at = read_or_create_token(state), time.monotonic()
        return token

    return present


def derive(token: str, purpose: str) -> str:
    """Return 256 bits, as hexadecimal digits, that follow from the token but do not give it away."""
    return hmac.new(token.encode(), f"lektrack:{purpose}".encode(), hashlib.sha256).hexdigest()


def same(given: str, expected: str) -> bool:
    """Compare two secrets in a time that does not depend on where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode())


def _write(path: Path) -> str:
    token = secrets.token_urlsafe(TOKEN_BYTES)
    atomic_write(path, f"{token}\n", mode=0o600)
    return token


def _parse(data: bytes) -> str:
    token = data.decode("ascii").strip()
    if not TOKEN.fullmatch(token):
        raise ValueError("a token has 22 to 200 letters, digits, '-' and '_'")
    return token


def _readable_by_others(path: Path) -> bool:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
        raise InputError(f"{path} is not a file of this user; remove it and a new token will be made")
    return bool(status.st_mode & 0o077)
