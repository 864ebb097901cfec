"""A real browser, and the web app as ``python -m gui`` starts it, in an installation of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.web.servers import Server, app_server, installation, running

expect.set_options(timeout=60_000)  # a busy machine takes longer than Playwright's five seconds


@pytest.fixture
def running_app(tmp_path: Path) -> Iterator[Server]:
    """The app on a free port, ready: ``base_url``, ``sign_in_url``, ``token``, ``state``; ``kill()`` and ``start()``.

    Its project folder is ``tmp_path / "project"``; videos may be put into ``tmp_path / "videos"``.
    """
    videos = tmp_path / "videos"
    videos.mkdir()
    with running(app_server(installation(tmp_path, allowed_roots=(videos,)))) as server:
        yield server
