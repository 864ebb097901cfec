"""The pages of our own servers: one HTML file, its modules and style, and what all pages share (``static/`` here)."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

SHARED = Path(__file__).with_name("static")
KINDS = {".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


def page_routes(static: Path) -> list[BaseRoute]:
    """Return the routes of a page: ``index.html`` of ``static`` at ``/``, its files, and the shared ones.

    The page's modules import shared ones as ``../shared/NAME``.
    """

    def page(request: Request) -> Response:
        return _file(static, "index.html")

    def own(request: Request) -> Response:
        return _file(static, request.path_params["name"])

    def shared(request: Request) -> Response:
        return _file(SHARED, request.path_params["name"])

    return [Route("/", page), Route("/static/{name}", own), Route("/shared/{name}", shared)]


def _file(folder: Path, name: str) -> Response:
    path = folder / name
    if path.parent != folder or path.suffix not in KINDS or not path.is_file():
        raise FileNotFoundError(name)
    return FileResponse(path, media_type=KINDS[path.suffix])
