"""The container's scripts: the command they compose, what they refuse, and what they do with an engine."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "apptainer"


def script(name: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", str(SCRIPTS / name), *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, env=os.environ | environment, stdin=subprocess.DEVNULL
    )


def composed(*arguments: object) -> list[str]:
    done = script("start.sh", *arguments, "--dry-run")
    assert done.returncode == 0, done.stderr
    return shlex.split(done.stdout)


def test_apptainer_gets_the_folders_and_the_inner_script_the_rest(tmp_path: Path):
    videos = tmp_path / "my videos"
    videos.mkdir()
    found = composed(
        "--data", tmp_path / "data", "--videos", videos, "--gpu", "yes", "--port", 9000, "--image", "x.sif"
    )
    assert found == [
        *("apptainer", "instance", "start", "--no-home", "--cleanenv", "--nv"),
        *("--bind", f"{tmp_path}/data:/lektrack/data", "--bind", f"{tmp_path}/data-state:/lektrack/state"),
        *("--bind", f"{tmp_path}/data-state/cache:/lektrack/cache"),
        *("--bind", f"{videos}:{videos}:ro"),
        *("x.sif", "lektrack", "--host", "127.0.0.1", "--port", "9000", "--videos", str(videos)),
    ]
    assert not (tmp_path / "data").exists(), "a dry run makes nothing"


@pytest.mark.parametrize(("engine", "gpus"), [("docker", "--gpus all"), ("podman", "--device nvidia.com/gpu=all")])
def test_docker_and_podman_publish_on_the_asked_address_only(tmp_path: Path, engine: str, gpus: str):
    found = composed("--data", tmp_path, "--engine", engine, "--gpu", "yes", "--name", "lek2")
    text = " ".join(found)
    assert found[:2] == [engine, "run"]
    assert "--publish 127.0.0.1:8501:8501 --publish 127.0.0.1:8880-8900:8880-8900" in text
    assert gpus in text and f"--user {os.getuid()}:{os.getgid()}" in text
    assert "--shm-size 2g" in text
    assert text.endswith("lektrack --host 0.0.0.0 --port 8501")


def test_a_backup_folder_can_be_written_under_its_own_path(tmp_path: Path):
    (tmp_path / "backup").mkdir()
    found = composed("--data", tmp_path / "data", "--backup", tmp_path / "backup")
    assert f"{tmp_path}/backup:{tmp_path}/backup" in found


def test_without_a_gpu_none_is_asked_for(tmp_path: Path):
    assert "--nv" not in composed("--data", tmp_path, "--gpu", "no")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--data is missing"),
        (["--data", "d", "--port", "0"], "--port 0 is not allowed"),
        (["--data", "d", "--port", "99999"], "--port 99999 is not allowed"),
        (["--data", "d", "--port", "8890"], "--port 8890 is not allowed: 8880 to 8900 are for the services"),
        (["--data", "d", "--host", "lab.example.org"], "--host lab.example.org is not allowed"),
        (["--data", "d", "--host", "300.0.0.1"], "--host 300.0.0.1 is not allowed"),
        (["--data", "d", "--name", "-x"], "--name -x is not allowed"),
        (["--data", "d", "--port", "8;id"], "--port 8;id is not allowed"),
        (["--data", "d", "--videos", "/not/there"], "--videos /not/there: no such folder"),
        (["--data", "d", "--state", "d/state"], "must lie beside each other"),
        (["--data", "d/data", "--state", "d"], "must lie beside each other"),
        (["--data", "a:b"], "must not have ':'"),
        (["--data", "d", "--backup", "/not/there"], "--backup /not/there: no such folder"),
        (["--data", "d", "--engine", "lxc"], "--engine lxc is not known"),
        (["--data", "d", "--name", "a b"], "--name a b is not allowed"),
        (["--data", "d", "--gpu", "maybe"], "--gpu maybe is not allowed"),
        (["--frobnicate"], "unknown option '--frobnicate'"),
        (["--data"], "--data needs a folder"),
        (["--data", "d", "--image", "/not/there.sif"], "/not/there.sif: no such image"),
    ],
)
def test_start_refuses_in_one_line(tmp_path: Path, arguments: list[str], words: str):
    refused = script("start.sh", *arguments)
    assert refused.returncode != 0
    assert words in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_stop_names_the_instance_and_refuses_the_unknown():
    assert script("stop.sh", "--dry-run").stdout == "apptainer instance stop --timeout 30 lektrack\n"
    docker = script("stop.sh", "--engine", "docker", "--name", "x", "--dry-run").stdout
    assert docker == "docker stop --time 30 x\ndocker rm x\n"
    assert "--name -x is not allowed" in script("stop.sh", "--name", "-x").stderr
    assert "--engine lxc is not known" in script("stop.sh", "--engine", "lxc").stderr


def test_start_waits_until_the_app_answers_and_keeps_the_token_out_of_a_log(tmp_path: Path):
    """A stand-in for the engine does what the app does when it is up."""
    engine = tmp_path / "bin" / "apptainer"
    engine.parent.mkdir()
    state = tmp_path / "data-state"
    engine.write_text(
        f"#!/bin/bash\nif [[ $2 == list ]]; then cat {tmp_path}/instances; exit; fi\n"
        f'echo "$@" >>{tmp_path}/called; echo "lektrack 1 here" >>{tmp_path}/instances\n'
        f"(sleep 1; echo secret-token >{state}/token; echo '{{}}' >{state}/app.json) >/dev/null 2>&1 &\n"
    )
    engine.chmod(0o755)
    image = tmp_path / "lektrack.sif"
    image.touch()
    (tmp_path / "instances").write_text("INSTANCE NAME PID IP\n")
    arguments = ("start.sh", "--data", tmp_path / "data", "--image", image)
    started = script(*arguments, PATH=f"{engine.parent}:{os.environ['PATH']}")
    assert started.returncode == 0, started.stderr
    assert f"http://127.0.0.1:8501/ (the token is in {state}/token)" in started.stdout
    assert "secret-token" not in started.stdout + started.stderr
    assert (tmp_path / "called").read_text().startswith("instance start")
    assert state.stat().st_mode & 0o777 == 0o700
    again = script(*arguments, PATH=f"{engine.parent}:{os.environ['PATH']}")
    assert (again.returncode, again.stdout) == (0, started.stdout)
    assert "runs already" in again.stderr
    assert (state / "app.json").is_file()
    assert (tmp_path / "called").read_text().count("\n") == 1, "what runs is not started again"


@pytest.mark.parametrize("name", ["apptainer", "docker"])
def test_start_says_at_once_when_the_app_has_ended(tmp_path: Path, name: str):
    """Apptainer does not list it any more, Docker starts it again and again."""
    engine = tmp_path / "bin" / name
    engine.parent.mkdir()
    engine.write_text(
        f"#!/bin/bash\ncase $1$2 in\ninstancestart | run*) touch {tmp_path}/ran ;;\n"
        f"inspect*) if [[ -e {tmp_path}/ran ]]; then echo true 3; else exit 1; fi ;;\nesac\n"
    )
    engine.chmod(0o755)
    (tmp_path / "lektrack.sif").touch()
    arguments = ("--data", tmp_path / "data", "--image", tmp_path / "lektrack.sif", "--engine", name)
    ended = script("start.sh", *arguments, PATH=f"{engine.parent}:{os.environ['PATH']}")
    assert ended.returncode == 2
    assert "Lektrack has ended; look at its output" in ended.stderr


def test_a_link_to_a_folder_that_cannot_be_bound_is_refused(tmp_path: Path):
    (tmp_path / "a:b").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a:b")
    for option in ("--videos", "--backup"):
        refused = script("start.sh", "--data", tmp_path / "data", option, tmp_path / "link", "--dry-run")
        assert (refused.returncode, "must not have ':'" in refused.stderr) == (2, True)


def test_ports_and_addresses_are_handed_on_as_the_engines_read_them(tmp_path: Path):
    found = composed("--data", tmp_path, "--engine", "docker", "--host", "::1", "--port", "08501")
    assert "--publish [::1]:8501:8501 --publish [::1]:8880-8900:8880-8900" in " ".join(found)


def test_the_image_holds_every_room_that_runs():
    listed = set(re.findall(r"^    (\S+) /opt/lektrack/\1$", (SCRIPTS / "lektrack.def").read_text(), re.MULTILINE))
    rooms = {path.parent.name for path in ROOT.glob("*/*.py")} - {".ci", "benchmarks", "tests"}
    assert rooms <= listed
    assert {"setup.sh", "requirements.txt", "pyproject.toml", ".streamlit", "apptainer", "docs"} <= listed
    assert all((ROOT / name).exists() for name in listed)
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert let_in == listed
