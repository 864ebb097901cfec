"""What tests of several packages share: a state folder of their own, tiny videos, and the real clips where they are."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.videos import write_video
from tests.web.browser import browser, page

__all__ = ["browser", "page"]  # one Chromium for all: Playwright starts once in a process

settings.register_profile(
    "no clock", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)  # machines are shared
settings.load_profile("no clock")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Say which tests go to one worker: those of a file, those of a kind of server, and all kill campaigns."""
    if config.pluginmanager.hasplugin("xdist"):
        for item in items:
            item.add_marker(pytest.mark.xdist_group(_group(item)))


def _group(item: pytest.Item) -> str:
    if item.path.parent.name == "faults":
        return "kills"
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    kind = "service" if "service" in getattr(item, "fixturenames", ()) else parameters.get("server")
    return f"server-{kind}" if kind else item.nodeid.partition("::")[0]


@pytest.fixture(scope="session", autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep tests, and the processes they start, out of the installation's state folder and of the user's own files.

    Streamlit and matplotlib would read settings from the home folder, Streamlit from variables, too.
    """
    with pytest.MonkeyPatch.context() as changed:
        folder = tmp_path_factory.mktemp("state")
        changed.setenv("LEKTRACK_STATE", str(folder))
        changed.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        for name in os.environ:
            if name.startswith(("STREAMLIT_", "LEKTRACK_JOB_", "XDG_", "MPL")):
                changed.delenv(name)
        yield folder


@pytest.fixture
def make_video(tmp_path: Path) -> Callable[..., Path]:
    """Return ``make_video(name="video.mp4", n_frames=60, **options)``: writes a barcode video, see `tests.videos`."""

    def make(name: str = "video.mp4", n_frames: int = 60, **options) -> Path:
        return write_video(tmp_path / name, n_frames, **options)

    return make


@pytest.fixture(scope="session")
def barcode_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a video of 60 numbered frames, 160x96, 25 frames/s, H.264 with B-frames. Do not change it."""
    return write_video(tmp_path_factory.mktemp("videos") / "barcode.mp4")


@pytest.fixture(scope="session")
def real_clips() -> Path:
    """Return the folder of real clips; skips where they are not."""
    folder = os.environ.get("LEKTRACK_TEST_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("$LEKTRACK_TEST_DATA names no folder of real clips")
    return Path(folder)
