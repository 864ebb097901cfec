"""The token file: made once, readable by its owner only, replaced when others could have read it."""

import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from backend.project.errors import InputError
from backend.project.settings import REPOSITORY
from backend.project.state_files import set_aside
from backend.web import token
from backend.web.token import TOKEN, derive, read_or_create_token, rotate_token, same, token_path, token_source


def test_a_new_token_has_256_bits_and_is_for_its_owner_only(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        made = read_or_create_token(tmp_path)
    finally:
        os.umask(old)
    assert len(made) == 43 and TOKEN.fullmatch(made)
    assert token_path(tmp_path).stat().st_mode & 0o777 == 0o600
    assert read_or_create_token(tmp_path) == made


def test_every_token_is_another(tmp_path: Path) -> None:
    assert len({rotate_token(tmp_path) for _ in range(50)}) == 50


def test_twenty_starters_at_once_get_the_same_token(tmp_path: Path) -> None:
    code = "from backend.web.token import read_or_create_token; print(read_or_create_token())"
    command = [sys.executable, "-c", code]
    environment = {**os.environ, "LEKTRACK_STATE": str(tmp_path)}

    def start(_: int) -> str:
        return subprocess.run(
            command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True
        ).stdout

    with ThreadPoolExecutor(10) as pool:
        assert len(set(pool.map(start, range(20)))) == 1


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620, 0o604])
def test_a_token_that_others_could_read_or_write_is_replaced(
    tmp_path: Path, mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    known = read_or_create_token(tmp_path)
    token_path(tmp_path).chmod(mode)
    with caplog.at_level(logging.WARNING):
        assert read_or_create_token(tmp_path) != known
    assert "could be read by others" in caplog.text and known not in caplog.text
    assert token_path(tmp_path).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content", [b"", b"short", b"x" * 300, b"two words of it " * 3, b"\xff" * 43, b"a" * 43 + b"\0"]
)
def test_a_broken_token_is_set_aside_with_a_warning(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    token_path(tmp_path).touch(mode=0o600)
    with open(token_path(tmp_path), "wb") as file:
        file.write(content)
    with caplog.at_level(logging.WARNING):
        assert TOKEN.fullmatch(read_or_create_token(tmp_path))
    assert [path.read_bytes() for path in set_aside(tmp_path)] == [content]
    assert "could not be read" in caplog.text


def test_a_token_set_by_hand_is_taken(tmp_path: Path) -> None:
    token_path(tmp_path).touch(mode=0o600)
    token_path(tmp_path).write_text("a-passphrase-of-our-lab-2026\n")
    assert read_or_create_token(tmp_path) == "a-passphrase-of-our-lab-2026"


def test_a_link_in_place_of_the_token_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").touch(mode=0o600)
    token_path(tmp_path).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="not a file of this user"):
        read_or_create_token(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_a_token_of_another_user_is_refused(tmp_path: Path) -> None:
    read_or_create_token(tmp_path)
    os.chown(token_path(tmp_path), 12345, 12345)
    with pytest.raises(InputError, match="not a file of this user"):
        read_or_create_token(tmp_path)


def test_a_running_server_sees_a_new_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(token.time, "monotonic", lambda: now[0])
    present = token_source(tmp_path)
    first = present()
    second = rotate_token(tmp_path)
    now[0] += token.LOOK_AGAIN_S / 2
    assert present() == first
    now[0] += token.LOOK_AGAIN_S
    assert present() == second


def test_what_follows_from_the_token_differs_by_purpose_and_token() -> None:
    found = {derive(secret, purpose) for secret in ("a" * 43, "b" * 43) for purpose in ("cookie", "probe:1:x")}
    assert len(found) == 4 and all(len(value) == 64 for value in found)


def test_comparing_takes_any_text() -> None:
    assert same("a", "a")
    assert not same("", "a")
    assert not same("\udcff é 鳥", "a")
