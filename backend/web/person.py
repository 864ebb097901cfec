"""The user's name: asked once, kept in a cookie, written into jobs and corrections.

It tells colleagues who did something; it is no authentication.
"""

import html
from collections.abc import Iterable
from urllib.parse import quote, unquote

from starlette.responses import HTMLResponse

from backend.web.sign_in import page

NAME_COOKIE = "lektrack-name"
NAME_AGE_S = 400 * 24 * 3600  # browsers keep no cookie for longer
MAX_NAME = 40


def clean_name(text: str) -> str:
    """Return ``text`` as a name: one line of at most `MAX_NAME` printable characters; it may be empty."""
    plain = " ".join(text.encode("utf-8", "replace").decode().split())
    return "".join(letter for letter in plain if letter.isprintable())[:MAX_NAME].strip()


def name_cookie(name: str, path: str, secure: bool) -> str:
    """Return the Set-Cookie value that keeps ``name`` in this browser, for all our servers on this host."""
    value, age = quote(clean_name(name), safe=""), NAME_AGE_S if clean_name(name) else 0
    return f"{NAME_COOKIE}={value}; Path={path}; Max-Age={age}; HttpOnly; SameSite=Lax{'; Secure' if secure else ''}"


def name_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the name that a request's headers (as ASGI gives them) carry; empty if none was given."""
    for header, value in headers:
        if header.lower() == b"cookie":
            for pair in value.decode("latin-1").split(";"):
                key, _, found = pair.strip().partition("=")
                if key == NAME_COOKIE:
                    return clean_name(unquote(found))
    return ""


def name_page(base: str, target: str, name: str) -> HTMLResponse:
    """Return the page that asks for the name and then leads to ``target``, a path of this server."""
    content = f"""<p>Your name stands beside the jobs you start and the corrections you make.</p>
<form method="post" action="{html.escape(base)}/-/name">
<input type="hidden" name="next" value="{html.escape(target)}">
<label for="name">Your name</label>
<input id="name" name="name" maxlength="{MAX_NAME}" autocomplete="name" value="{html.escape(name)}" autofocus>
<button type="submit">Save</button>
</form>
<p class="hint">It is kept in this browser. <a href="{html.escape(target)}">Back</a></p>"""
    return page("your name", content, 200)
