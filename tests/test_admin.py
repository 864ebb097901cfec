"""The admin's commands as they are typed: exit codes, one clear line for what is refused."""

import subprocess
import sys
from pathlib import Path

import pytest

from backend.project.paths import Project
from backend.project.settings import Settings, load_settings, save_settings
from backend.video.library import add_video
from tests.videos import write_video


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    (tmp_path / "project").mkdir()
    save_settings(Settings(project_folder=tmp_path / "project"), folder)
    return folder


def admin(state: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "backend.admin", *map(str, arguments)]
    environment = {"LEKTRACK_STATE": str(state), "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=Path(__file__).parents[1])


def test_backup_verify_and_restore_from_the_command_line(state: Path, tmp_path: Path):
    (tmp_path / "project" / "notes.txt").write_text("kept")
    (tmp_path / "project" / "sample").mkdir()
    clip = write_video(tmp_path / "project" / "sample" / "lek.mp4", 10)
    (tmp_path / "disk-of-videos").mkdir()
    away = write_video(tmp_path / "disk-of-videos" / "away.mp4", 10)
    for path in (clip, away):
        add_video(Project(tmp_path / "project"), path, [tmp_path])
    (tmp_path / "disk").mkdir()
    made = admin(state, "backup", "--dest", tmp_path / "disk")
    assert made.returncode == 0, made.stderr
    folder = Path(made.stdout.strip())
    assert "is whole" in admin(state, "verify", folder).stdout
    away.unlink()
    restored = admin(state, "restore", folder, "--project", tmp_path / "p2", "--state", tmp_path / "s2")
    assert restored.returncode == 0, restored.stderr
    assert (tmp_path / "p2" / "notes.txt").read_text() == "kept"
    (said,) = [line for line in restored.stdout.splitlines() if line.startswith("video ")]
    assert f"video away: {away} cannot be opened: No such file or directory; link it anew" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("backup", "--dest", "/not/there"), "--dest /not/there is not a folder"),
        (("backup", "--dest", "/", "--keep", "0"), "--keep 0 is not allowed"),
        (("verify", "/usr"), "/usr is not a backup"),
        (("clean", "--delete", "everything"), "--delete everything is not known; choose from cache"),
        (("morning", "--hours", "-1"), "--hours -1 is not allowed"),
        (("report", "--out", "/not/there/report.txt"), "there is no folder /not/there"),
        (("report", "--out", "/usr"), "--out /usr is a folder; name a file, such as /usr/report.txt"),
        (("notify",), "the settings name nobody to tell"),
        (("token", "forget"), "invalid choice"),
        (("weights",), "required: fetch|add"),
        ((), "required"),
    ],
)
def test_what_is_refused_is_refused_in_one_line(state: Path, arguments: tuple[str, ...], words: str):
    refused = admin(state, *arguments)
    assert refused.returncode == 2
    assert words in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_rotating_the_token_says_where_it_is_and_not_what_it_is(state: Path):
    said = admin(state, "token", "rotate")
    token = (state / "token").read_text().strip()
    assert said.returncode == 0
    assert token not in said.stdout + said.stderr
    assert (state / "token").stat().st_mode & 0o777 == 0o600


def test_report_clean_and_morning_run_on_a_new_installation(state: Path, tmp_path: Path):
    out = tmp_path / "report.txt"
    assert admin(state, "report", "--out", out).returncode == 0
    assert "== versions" in out.read_text()
    assert "nothing was deleted" in admin(state, "clean").stdout
    assert "# 0 done" in admin(state, "morning", "--write").stdout
    assert list((tmp_path / "project" / "reports").glob("*.md"))


def test_init_makes_settings_once_and_later_only_adds(tmp_path: Path):
    state = tmp_path / "new-state"
    state.mkdir(mode=0o700)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    project = tmp_path / "project"
    first = admin(state, "init", "--project", project, "--videos", tmp_path / "one", "--port", 9001)
    assert first.returncode == 0, first.stderr
    second = admin(state, "init", "--project", tmp_path / "other", "--videos", tmp_path / "two", "--host", "0.0.0.0")
    assert second.returncode == 0, second.stderr
    assert f"project in {project}\nit stays there; --project {tmp_path / 'other'} is for a new" in second.stdout
    assert "it stays" not in first.stdout
    settings = load_settings(state)
    assert settings.project_folder == project
    assert settings.allowed_roots == (tmp_path / "one", tmp_path / "two")
    assert (settings.app_port, settings.bind_address) == (9001, "0.0.0.0")
    assert "not a folder" in admin(state, "init", "--project", project, "--videos", "/not/there").stderr
    inside = admin(project / "inside", "init", "--project", project)
    assert (inside.returncode, inside.stderr.count("\n")) == (2, 1)
    assert "must lie beside each other" in inside.stderr
    assert "bind_address" in admin(state, "init", "--project", project, "--host", "here").stderr
