"""The annotation server as a process: pictures, masks, changes, refusals, and kills that lose nothing."""

import gzip
import http.client
import json
import os
import random
import re
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from backend.masks.indexed import read_labels
from backend.masks.objects import read_frames
from backend.project.paths import Project
from backend.project.settings import Settings, load_settings, save_settings
from backend.web.links import APP_RECORD
from tests.ports import unused_port
from tests.segannot.conftest import SIZE, iou, truth
from tests.web.servers import Server, running

DOT = {"version": 0, "frame": 0, "object": 1, "kind": "brush", "points": [[1, 1]]}


def annotator(project: Project, *options: str) -> Server:
    """Return SegAnnot for the video "birds", not started yet."""
    state = project.root.parent / "state"
    if not state.exists():
        state.mkdir(mode=0o700)
        save_settings(Settings(project_folder=project.root), state)
    port = unused_port()
    command = [sys.executable, "-m", "segannot", "--video", "birds", "--port", str(port), *options]
    return Server(command, state, port)


@pytest.fixture
def server(birds_project: Project) -> Iterator[Server]:
    """SegAnnot, running."""
    with running(annotator(birds_project)) as started:
        yield started


def post(server: Server, path: str, **body):
    """Send a change on the present version and return the answer."""
    body = {"version": state(server)["version"], **body} if "version" not in body else body
    return server.ask_signed_in("POST", f"/api/{path}", body=json.dumps(body).encode())


def state(server: Server) -> dict:
    return server.ask_signed_in(path="/api/state").json


def mask(server: Server, frame: int) -> np.ndarray:
    """Return the label map of a frame as the page gets it."""
    answer = server.ask_signed_in(path=f"/api/masks/{frame}")
    data = gzip.decompress(answer.body)
    x, y, width, height = struct.unpack("<4I", data[:16])
    labels = np.zeros(SIZE[::-1], np.uint8)
    labels[y : y + height, x : x + width] = np.frombuffer(data[16:], np.uint8).reshape(height, width)
    return labels


def test_from_an_empty_project_to_masks_on_the_disk(server, birds_project):
    assert state(server)["video"] == {"name": "birds", "frames": 60, "fps": 25.0, "width": 320, "height": 192}
    assert post(server, "object", kind="add", class_name="ruff").status == 200
    answer = post(server, "draw", frame=0, object=1, kind="scribble", points=[[45, 66], [75, 74]])
    assert answer.status == 200 and answer.json["origins"] == [[0, 0, "hand-made"]]
    seen = mask(server, 0)
    assert iou(seen == 1, truth(0) == 1) > 0.9
    assert (read_labels(birds_project.segannot("birds") / "000000.png") == seen).all()
    post(server, "propagate", frame=0, to=20)
    end = time.monotonic() + 60
    while (task := server.ask_signed_in(path="/api/pulse").json["task"])["state"] == "running":
        assert time.monotonic() < end
        time.sleep(0.05)
    assert (task["state"], task["done"]) == ("done", 20)
    assert state(server)["origins"] == [[0, 0, "hand-made"], [1, 20, "propagated"]]
    assert len(read_frames(birds_project.segannot("birds"))) == 21


def test_pictures_are_the_frame_that_was_asked_for(server):
    answer = server.ask_signed_in(path="/api/frames/30?width=160")
    shown = cv2.imdecode(np.frombuffer(answer.body, np.uint8), cv2.IMREAD_COLOR)
    assert answer.headers["content-type"] == "image/jpeg" and shown.shape == (96, 160, 3)
    light = shown[..., 0] > 130  # the light bird on green
    y, x = np.nonzero(light)
    assert abs(2 * x.mean() - 220) < 6 and abs(2 * y.mean() - 130) < 6


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("GET", "/api/frames/60", None, 400, "frames 0 to 59"),
        ("GET", "/api/masks/60", None, 400, "frames 0 to 59"),
        ("GET", "/api/frames/1?width=x", None, 400, "width"),
        ("GET", "/static/..%2fserver.py", None, 404, ""),
        ("GET", "/static/none.js", None, 404, ""),
        ("POST", "/api/draw", {"version": 0}, 400, "frame"),
        ("POST", "/api/draw", {**DOT, "version": 9}, 409, "version 9"),
        ("POST", "/api/draw", DOT, 400, "no object 1"),
        ("POST", "/api/turn", {"version": 0, "way": "undo"}, 400, "nothing to undo"),
        ("POST", "/api/propagate", {"version": 0, "frame": 0, "to": 5}, 400, "no outline"),
        ("POST", "/api/engine", {"engine": "magic"}, 400, "magic"),
    ],
)  # fmt: skip
def test_refusals_say_in_one_line_what_is_wrong(server, method, path, body, status, words):
    answer = server.ask_signed_in(method, path, body=json.dumps(body).encode() if body else b"")
    assert answer.status == status and words in answer.json["error"]["message"]


def test_the_page_links_the_app_on_the_port_that_it_runs_on(server):
    settings = load_settings(server.state)
    assert state(server)["app"] == f"http://127.0.0.1:{settings.app_port}/"
    record = {"format": 1, "pid": os.getpid(), "address": "http://127.0.0.1:9001/"}
    (server.state / APP_RECORD).write_text(json.dumps(record))
    assert state(server)["app"] == "http://127.0.0.1:9001/"


def test_a_stroke_too_long_is_refused_and_a_polygon_of_a_thousand_points_is_not(server):
    post(server, "object", kind="add")
    many = [[k % 300, k % 190] for k in range(20_001)]
    assert post(server, "draw", frame=0, object=1, kind="brush", points=many).status == 400
    assert post(server, "draw", frame=0, object=1, kind="polygon", points=many[:1000]).status == 200


def refused(server: Server) -> str:
    """Run a server that ends by itself, with exit code 2, and return its last line."""
    env = {**os.environ, "LEKTRACK_STATE": str(server.state)}
    done = subprocess.run(server.command, env=env, cwd=server.folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done.stderr
    return done.stderr.strip().splitlines()[-1]


def test_two_servers_on_one_video_are_refused(server, birds_project):
    assert "is being written by another process" in refused(annotator(birds_project))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--video", "lark"), "--video 'lark' is neither a video of the project (birds) nor a file"),
        (("--memory-gb", "0.5"), "--memory-gb"),
        (("--engine", "sam2"), "engine sam2 cannot be used"),
    ],
    ids=["no such video", "too little memory", "engine without weights"],
)
def test_bad_arguments_are_one_line(birds_project, options, words):
    assert words in refused(annotator(birds_project, *options))


def test_its_end_is_orderly_and_quick(server):
    post(server, "object", kind="add")
    post(server, "draw", frame=0, object=1, kind="scribble", points=[[45, 66], [75, 74]])
    post(server, "propagate", frame=0, to=59)
    began = time.monotonic()
    server.stop(signal.SIGTERM)
    assert time.monotonic() - began < 10 and not re.search("Traceback", server.log)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_fifty_kills_lose_no_acknowledged_edit(birds_project):
    """Every stroke that was acknowledged is on the disk and can be undone."""
    rng, server, folder = random.Random(6), annotator(birds_project), birds_project.segannot("birds")
    acknowledged: list[tuple[int, int]] = []  # frame, version
    server.start()
    post(server, "object", kind="add")
    for _ in range(50):
        killer = threading.Timer(rng.uniform(0.05, 0.6), server.process.kill)
        enough = len(acknowledged) + 2  # on a busy machine the time alone would kill before anything was said
        try:
            while True:
                if len(acknowledged) == enough and killer.ident is None:
                    killer.start()
                frame = len(acknowledged) % 50
                x = 20 + len(acknowledged) % 250
                key = f"stroke-{len(acknowledged)}"
                answer = post(server, "draw", frame=frame, object=1, kind="brush", points=[[x, 50]], radius=3, key=key)
                assert answer.status == 200
                acknowledged.append((frame, x))
        except (OSError, http.client.HTTPException):
            pass  # killed
        killer.join()
        server.process.wait()
        server.start()
        for frame, x in acknowledged[-60:]:
            assert read_labels(folder / f"{frame:06d}.png")[50, x] == 1
    known = state(server)["version"]
    assert known in (len(acknowledged) + 1, len(acknowledged) + 2)  # the last one may be there unacknowledged
    assert len(acknowledged) > 50
    for _ in range(known - 1):
        assert post(server, "turn", way="undo").status == 200
    server.stop()
    assert not list(folder.glob("[0-9]*.png"))


def test_a_killed_server_comes_back_with_all_that_it_acknowledged(birds_project: Project, tmp_path: Path):
    server, folder = annotator(birds_project), birds_project.segannot("birds")
    server.start()
    post(server, "object", kind="add")
    for k in range(5):
        answer = post(server, "draw", frame=k, object=1, kind="brush", points=[[50 + k, 50]], radius=3)
        assert answer.status == 200
    server.kill()
    assert [bool(read_labels(folder / f"{k:06d}.png")[50, 50 + k]) for k in range(5)] == [True] * 5
    with running(server):
        assert state(server)["version"] == 6 and state(server)["undo"] == "brush"
