"""Sign-in: the cookie, the check of a request's cookie or token, and the pages to sign in and out."""

import asyncio
import hashlib
import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from string import Template

from starlette.responses import HTMLResponse

from backend.web.headers import content_policy, inline_hashes
from backend.web.token import derive, same

COOKIE_AGE_S = 30 * 24 * 3600  # a browser stays signed in for a month, or until the token is changed
MAX_COOKIES = 100  # of our name in one request; paths and hosts can make a few, nothing makes more

# 256 random bits cannot be guessed. The delay keeps logs and processor calm under an attempt, and helps a token that a
# person chose; the cap keeps the attempts that wait from piling up.
WRONG_TOKEN_DELAY_S = 0.5
MAX_WAITING = 20

_PAGE = Path(__file__).with_name("sign_in.html").read_text(encoding="utf-8")
_POLICY = content_policy({"script-src": "'none'", "style-src": inline_hashes(_PAGE, "style")})


@dataclass(frozen=True)
class SignIn:
    """What one installation's servers share: the token, and the cookie that follows from it.

    Browsers send a cookie to every port of a host. So one visit to any server signs in to all of them. Its name holds
    a hash of the state folder, so that two installations on one host do not sign each other out.
    """

    token: Callable[[], str]
    state: Path
    path: str = "/"
    secure: bool = False

    @property
    def cookie(self) -> str:
        """The cookie's name."""
        return f"lektrack-{hashlib.sha256(str(self.state.resolve()).encode()).hexdigest()[:8]}"

    def set_cookie(self) -> str:
        """Return the Set-Cookie value that signs this browser in.

        SameSite is Lax: with Strict, a browser would not send the cookie when somebody follows a link from a mail or a
        wiki, nor right after the visit with ``?token=`` from there. With Lax it goes along with such navigations only,
        and GET changes nothing here.
        """
        return self._cookie(derive(self.token(), "cookie"), COOKIE_AGE_S)

    def clear_cookie(self) -> str:
        """Return the Set-Cookie value that signs this browser out."""
        return self._cookie("", 0)

    def by_cookie(self, headers: dict[str, list[str]]) -> bool:
        """Tell whether the request carries the cookie of the present token."""
        expected = derive(self.token(), "cookie")
        return any(same(value, expected) for value in self._cookie_values(headers))

    def by_token(self, headers: dict[str, list[str]]) -> bool:
        """Tell whether the request carries ``Authorization: Bearer TOKEN``, which is how programs sign in."""
        given = headers.get("authorization", [])
        scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        return scheme.lower() == "bearer" and self.accepts(token.strip())

    def accepts(self, token: str) -> bool:
        """Tell whether ``token`` is the present one."""
        return same(token, self.token())

    def had_cookie(self, headers: dict[str, list[str]]) -> bool:
        """Tell whether the request carries a cookie of ours, valid or not."""
        return bool(self._cookie_values(headers))

    def _cookie_values(self, headers: dict[str, list[str]]) -> list[str]:
        pairs = (pair.strip().partition("=") for header in headers.get("cookie", []) for pair in header.split(";"))
        return [value for name, _, value in pairs if name == self.cookie][:MAX_COOKIES]

    def _cookie(self, value: str, age_s: int) -> str:
        secure = "; Secure" if self.secure else ""
        return f"{self.cookie}={value}; Path={self.path}; Max-Age={age_s}; HttpOnly; SameSite=Lax{secure}"


class Brake:
    """Rate limit for wrong tokens that does not delay other clients."""

    def __init__(self) -> None:
        self.waiting = 0

    async def wait(self) -> bool:
        """Wait a moment; False if too many wait already, and the request is to be refused at once."""
        if self.waiting >= MAX_WAITING:
            return False
        self.waiting += 1
        try:
            await asyncio.sleep(WRONG_TOKEN_DELAY_S)
        finally:
            self.waiting -= 1
        return True


def sign_in_page(base: str, target: str, notice: str = "", status: int = 401) -> HTMLResponse:
    """Return the page that asks for the token and then leads to ``target``, a path of this server."""
    alert = f'<p role="alert">{html.escape(notice)}</p>' if notice else "<p>Please sign in.</p>"
    content = f"""{alert}
<form method="post" action="{html.escape(base)}/-/sign-in">
<input type="hidden" name="next" value="{html.escape(target)}">
<input name="username" value="lektrack" autocomplete="username" hidden>
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button type="submit">Sign in</button>
</form>
<p class="hint">The token is in the address that was printed when Lektrack was started, and in the file
<code>token</code> of its state folder. Ask whoever runs this server.</p>"""
    return page("sign in", content, status)


def sign_out_page(base: str) -> HTMLResponse:
    """Return the page with the button that signs out: a link alone must not."""
    content = f"""<p>Sign out of Lektrack in this browser? Jobs go on.</p>
<form method="post" action="{html.escape(base)}/-/sign-out"><button type="submit">Sign out</button></form>
<p class="hint"><a href="{html.escape(base)}/">Back to Lektrack</a></p>"""
    return page("sign out", content, 200)


def safe_target(target: str, fallback: str) -> str:
    """Return ``target`` if it is a path of this very server, else ``fallback``: no redirect leads elsewhere."""
    plain = re.fullmatch(r"/[\x21-\x5b\x5d-\x7e]*", target)
    return target if plain and not target.startswith("//") and len(target) <= 2048 else fallback


def page(title: str, content: str, status: int) -> HTMLResponse:
    """Return one of the small pages that the gate itself shows; ``content`` is HTML whose parts are escaped."""
    headers = {"content-security-policy": _POLICY, "cache-control": "no-store"}
    if status == 401:
        headers["www-authenticate"] = 'Bearer realm="Lektrack"'
    return HTMLResponse(Template(_PAGE).substitute(title=title, content=content), status, headers)
