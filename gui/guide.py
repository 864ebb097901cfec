"""The user guide, served by the app itself: ``docs/user-guide.md`` and its pictures as one page at ``/guide/``.

It works without a network, lies behind the same sign-in as every page, and may be linked under a path prefix: the page
names its pictures and its style sheet relative to itself.
"""

import re
from functools import lru_cache
from pathlib import Path

from PIL import Image
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.project.settings import REPOSITORY
from backend.web.headers import content_policy
from backend.web.http_errors import json_error

GUIDE_PATH = "/guide/"
GUIDE = REPOSITORY / "docs" / "user-guide.md"
STYLE = Path(__file__).parent / "static" / "guide.css"
ICON = Path(__file__).parent / "static" / "mark.svg"
PICTURE_SUFFIX = ".png"
POLICY = {"content-security-policy": content_policy({"script-src": "'none'"})}
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Lektrack: user guide</title>
<link rel="icon" href="mark.svg">
<link rel="stylesheet" href="guide.css">
</head>
<body>
<nav aria-label="Contents">{contents}</nav>
<main>{text}</main>
</body>
</html>
"""


class WithGuide:
    """ASGI middleware: answers requests below ``BASE/guide/``, passes all others on to the app.

    ``base`` is the path prefix of the installation, empty if there is none.
    """

    def __init__(self, app: ASGIApp, base: str = ""):
        self.app, self.base = app, base

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on."""
        path = scope.get("path", "").removeprefix(self.base)
        if scope["type"] != "http" or not f"{path}/".startswith(GUIDE_PATH):
            await self.app(scope, receive, send)
            return
        answer = guide_answer(Request(scope).method, path, f"{self.base}{GUIDE_PATH}")
        await answer(scope, receive, send)


def guide_answer(method: str, path: str, address: str) -> Response:
    """Return the page, a picture or the style sheet; ``path`` is without the prefix, ``address`` the page's own."""
    if method not in ("GET", "HEAD"):
        return json_error(405, "the user guide is read by GET", {"allow": "GET, HEAD"})
    if f"{path}/" == GUIDE_PATH:
        return RedirectResponse(address, 308)  # pictures are named relative to the page's folder
    name = path.removeprefix(GUIDE_PATH)
    if not name:
        return HTMLResponse(guide_page(GUIDE, GUIDE.stat().st_mtime), headers=POLICY)
    own = {STYLE.name: STYLE, ICON.name: ICON}.get(name)
    pictures = GUIDE.parent / "pictures"
    wanted = own or GUIDE.parent / name
    if own is None and (wanted.parent != pictures or wanted.suffix != PICTURE_SUFFIX):
        return json_error(404, f"the user guide has no {name}")
    if not wanted.is_file():
        return json_error(404, f"the user guide has no {name}")
    return FileResponse(wanted)


@lru_cache(maxsize=2)
def guide_page(path: Path, modified: float) -> str:
    """Return the guide as one HTML page with its contents beside it; ``modified`` keeps the cache true.

    Each heading has the anchor of `anchor`. Pictures carry their size, so that a section stays where a link found it
    while those above it load.
    """
    from markdown import Markdown  # loaded with the first request, not with the app

    settings = {"toc": {"slugify": lambda title, _separator: anchor(title), "toc_depth": "2-2"}}
    writer = Markdown(extensions=["tables", "toc", "sane_lists"], extension_configs=settings)
    text = writer.convert(path.read_text(encoding="utf-8"))
    text = re.sub(r'src="([^"]+)"', lambda match: f"{match[0]} {_size(path.parent / match[1])}", text)
    return PAGE.format(contents=writer.toc, text=text)


def anchor(title: str) -> str:
    """Return the anchor of the section ``title``: ``Create COCO JSON`` has ``create-coco-json``."""
    return "-".join(title.lower().split())


def _size(picture: Path) -> str:
    with Image.open(picture) as image:
        return f'width="{image.width}" height="{image.height}"'
