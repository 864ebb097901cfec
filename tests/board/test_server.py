"""The board as a process: pictures, masks, rows, cards, refusals, and kills that lose nothing."""

import gzip
import json
import os
import random
import signal
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from backend.project.paths import Project
from backend.project.settings import load_settings
from backend.tracking.tracks.edits import read_log
from backend.video import VideoReader
from backend.video.library import add_video, get_video, open_video, update_video
from backend.video.proxies import PROXY, inputs_of, make_proxy, proxy_folder
from backend.web.links import APP_RECORD
from backend.web.serve import LAST_RESORT_S
from board.server import lanes, packed_rows
from tests.board.boards import N_FRAMES, SIZE, board_server, box_of, post, state_of, tracked
from tests.videos import barcode, number_of, write_video
from tests.web.servers import Server, running

LOG = "corrections/lek/detections-a.jsonl"


def test_a_picture_is_the_exact_frame(server: Server, project: Project) -> None:
    with open_video(project, "lek") as video:
        for frame in (0, 31, 30, 7, 59):
            answer = server.ask_signed_in(path=f"/api/frames/{frame}")
            shown = cv2.imdecode(np.frombuffer(answer.body, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
            others = [np.abs(shown.astype(int) - video.read([k])[0]).mean() for k in (frame, (frame + 1) % N_FRAMES)]
            assert answer.status == 200 and others[0] < 6 < others[1]


def test_jumps_and_play_get_the_proxy_and_a_paused_view_the_full_frame(project: Project) -> None:
    video = get_video(project, "lek")
    folder = proxy_folder(project, "lek")
    folder.mkdir(parents=True)
    other = Path(video.path).with_name("other.mp4")  # to tell the two apart: numbers 1000 on
    write_video(other, N_FRAMES, size=SIZE, picture=lambda frame, size: barcode(1000 + frame, size))
    with VideoReader(other) as numbers:
        make_proxy(folder, numbers, inputs_of(video))
    with running(board_server(project)) as server:
        assert state_of(server)["video"]["quick"] is True
        for frame in (41, 3, 59, 0, 42):
            seen = [
                shown_by(server, f"frames/{frame}{query}") for query in ("?quick=1", "", "?quick=1&crop=0,0,160,96")
            ]
            assert seen == [1000 + frame, frame, frame]
    (folder / PROXY).unlink()
    with running(board_server(project)) as server:
        assert state_of(server)["video"]["quick"] is False
        assert shown_by(server, "frames/41?quick=1") == 41


def shown_by(server: Server, path: str) -> int | None:
    """Return the number that a picture of the server shows."""
    data = np.frombuffer(server.ask_signed_in(path=f"/api/{path}").body, np.uint8)
    return number_of(cv2.imdecode(data, cv2.IMREAD_COLOR))


def test_other_cameras_are_listed_with_their_delay_and_shown_by_their_own_frames(project: Project) -> None:
    other = write_video(project.root / "east.mp4", 20, size=(192, 128), picture=lambda k, size: barcode(500 + k, size))
    began = datetime(2026, 5, 2, 5, tzinfo=UTC)
    update_video(project, "lek", start_time=began)
    add_video(project, other, [project.root], camera="east", start_time=began - timedelta(seconds=2.5))
    with running(board_server(project)) as server:
        (listed,) = server.ask_signed_in(path="/api/others").json["videos"]
        expected = {"video": "east", "camera": "east", "late_s": -2.5, "frames": 20, "width": 192, "quick": False}
        assert expected.items() <= listed.items()
        assert [shown_by(server, f"others/east/frames/{frame}") for frame in (7, 19, 0)] == [507, 519, 500]
        assert shown_by(server, "others/east/frames/7?quick=1") == 507  # it has no proxy video
        for path in ("others/east/frames/20", "others/west/frames/0", "others/..%2Flek/frames/0"):
            assert server.ask_signed_in(path=f"/api/{path}").status in (400, 404)


def test_a_part_of_a_picture_can_be_asked_for(server: Server, project: Project) -> None:
    answer = server.ask_signed_in(path="/api/frames/3?width=32&crop=10,20,64,32")
    shown = cv2.imdecode(np.frombuffer(answer.body, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    with open_video(project, "lek") as video:
        part = video.read([3])[0][20:52, 10:74]
    assert shown.shape == (16, 32, 3)
    assert np.abs(shown.astype(int) - cv2.resize(part, (32, 16), interpolation=cv2.INTER_AREA)).mean() < 6


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("frames/60", "frame 60 is not there: the video has frames 0 to 59"),
        ("frames/3?width=x", "width 'x' is not a whole number"),
        ("frames/3?crop=1,2,3", "crop '1,2,3' must be x,y,width,height in px"),
        ("frames/3?crop=999,0,5,5", "crop '999,0,5,5' lies outside the frame of 160x96 px"),
        ("frames/3?crop=0,0,0,5", "crop '0,0,0,5' lies outside the frame of 160x96 px"),
        ("rows/5/4", "frames 5 to 4: request 1 to 2000 frames"),
        ("rows/0/99999", "frames 0 to 99999: request 1 to 2000 frames"),
        ("doubts/99", "there is no doubt 99"),
        ("loops/99", "there is no doubt 99"),
        ("gaps/77/3", "frame 3: track 77 is not detected up to here"),
        ("gaps/1/99999999999", "frame 99999999999 is not there: the video has frames 0 to 59"),
    ],
)
def test_what_is_not_there_is_refused_in_one_line(server: Server, path: str, words: str) -> None:
    answer = server.ask_signed_in(path=f"/api/{path}")
    assert (answer.status, answer.json["error"]["message"]) == (400, words)


def test_the_page_links_the_app_on_the_port_that_it_runs_on(server: Server) -> None:
    assert state_of(server)["app"] == f"http://127.0.0.1:{load_settings(server.state).app_port}/"
    record = {"format": 1, "pid": os.getpid(), "address": "http://127.0.0.1:9001/"}
    (server.state / APP_RECORD).write_text(json.dumps(record))
    assert state_of(server)["app"] == "http://127.0.0.1:9001/"


def test_shared_modules_are_served_and_nothing_beside_them(server: Server) -> None:
    answer = server.ask_signed_in(path="/shared/server.js")
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/javascript")
    for name in ("pages.py", "..%2Fpages.py", "..%2F..%2F..%2FREADME.md", "none.js", "."):
        assert server.ask_signed_in(path=f"/shared/{name}").status == 404


def test_masks_carry_the_number_of_the_detection(server: Server) -> None:
    data = gzip.decompress(server.ask_signed_in(path="/api/masks/9").body)
    x, y, width, height = struct.unpack("<4I", data[:16])
    labels = np.frombuffer(data[16:], np.uint8).reshape(height, width)
    for bird in range(3):
        x1, y1, x2, y2 = (int(each) for each in box_of(bird, 9))
        assert (labels[y1 - y : y2 - y, x1 - x : x2 - x] == bird + 1).all()


def test_rows_are_columns_of_four_bytes(server: Server) -> None:
    data = gzip.decompress(server.ask_signed_in(path="/api/rows/3/5").body)
    version, n = struct.unpack("<2I", data[:8])
    assert (version, n, len(data)) == (0, 9, 8 + 40 * 9)
    assert np.frombuffer(data[8 : 8 + 4 * n], "<i4").tolist() == [3, 3, 3, 4, 4, 4, 5, 5, 5]
    assert data[8:] == packed_rows(tracked(), slice(9, 18))


def test_lanes_are_stretches_of_one_state() -> None:
    tracks = tracked()
    assert lanes(tracks).tolist() == [[k + 1, k, 0, 0, N_FRAMES - 1] for k in range(3)]


def test_a_card_has_birds_and_a_loop(server: Server) -> None:
    card = server.ask_signed_in(path="/api/doubts/2").json
    assert [bird["identity"] for bird in card["before"]] == [bird["identity"] for bird in card["after"]]
    assert card["followed"] == [0, 1]
    x, y, width, height = card["loop"]["crop"]
    assert min(x, y) >= 0 and x + width <= SIZE[0] and y + height <= SIZE[1]
    data, frames = server.ask_signed_in(path="/api/loops/2?width=64").body, []
    while data:
        frame, length = struct.unpack("<2I", data[:8])
        alone = server.ask_signed_in(path=f"/api/frames/{frame}?width=64&crop={x},{y},{width},{height}")
        assert data[8 : 8 + length] == alone.body
        frames.append(frame)
        data = data[8 + length :]
    assert frames[0] == 0 and frames == sorted(set(frames)) and 24 in range(frames[0], frames[-1] + 1)


def test_a_stale_version_gets_409_and_the_name_of_the_browser_is_kept(server: Server, project: Project) -> None:
    own = [("Cookie", "lektrack-name=Ann%20B"), ("Authorization", f"Bearer {server.token}")]
    body = json.dumps({"kind": "answer", "doubt": 1, "version": 0, "key": "k1"}).encode()
    first = server.ask("POST", "/api/act", own, body=body)
    assert first.status == 200 and first.json["version"] == 1 and first.json["who"] == "Ann B"
    assert server.ask("POST", "/api/act", own, body=body).status == 200  # the same key again
    stale = post(server, "act", kind="answer", doubt=2, version=0)
    assert stale.status == 409 and "nothing was overwritten" in stale.json["error"]["message"]
    acts = read_log(project.root / LOG)
    assert [act.who for act in acts] == ["Ann B"]


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"NaN", b'{"kind": "fly", "version": 0}', b'{"kind": "draw", "version": 0, "box": [NaN,0,1,1]}',
     b'{"kind": "name", "version": 0, "track": 99, "frame": 3, "identity": "x"}',
     b'{"kind": "answer", "version": 0, "doubt": 1, "assignment": [7, 7]}',
     b'{"kind": "swap", "version": 0, "track": 1, "other": 1, "frame": 1}'],
)  # fmt: skip
def test_what_is_not_allowed_is_refused_and_changes_nothing(server: Server, body: bytes) -> None:
    assert server.ask_signed_in("POST", "/api/act", body=body).status == 400
    assert state_of(server)["version"] == 0


def test_too_much_is_refused(server: Server) -> None:
    announced = [("Authorization", f"Bearer {server.token}"), ("Content-Length", str(2 * 1024**2 + 1))]
    answer = server.ask("POST", "/api/act", announced)  # it answers at once and may have closed before all is sent
    assert answer.status == 413 and f"at most {2 * 1024**2} bytes" in answer.json["error"]["message"]


def test_ten_reviewers_at_once_lose_nothing(server: Server, project: Project) -> None:
    def insist(number: int) -> None:
        for _ in range(200):
            if post(server, "act", kind="reviewed", frame=number, to=number + 1, key=f"k{number}").status == 200:
                return
        raise AssertionError(f"reviewer {number} was never heard")

    with ThreadPoolExecutor(10) as reviewers:
        list(reviewers.map(insist, range(20)))
    acts = read_log(project.root / LOG)
    assert sorted(act.from_frame for act in acts) == list(range(20))


def survive_kills(project: Project, kills: int) -> None:
    """Kill the server again and again while a reviewer works; every acknowledged act is in the log, and once."""
    server, dice = board_server(project), random.Random(7)
    acknowledged, number = [], 0
    for _ in range(kills):
        with running(server):
            killer = threading.Timer(dice.uniform(0.0, 0.3), os.kill, (server.pid, signal.SIGKILL))
            enough = len(acknowledged) + 2  # on a busy machine the time alone would kill before anything was said
            try:
                while True:
                    if len(acknowledged) == enough and killer.ident is None:
                        killer.start()
                    key = f"act-{number}"
                    answer = post(server, "act", kind="reviewed", frame=number, to=number + 1, key=key)
                    if answer.status == 200:
                        acknowledged.append(key)
                        number += 1
            except OSError:
                pass  # it is gone
            except Exception as error:  # an answer cut short
                assert "IncompleteRead" in repr(error) or "RemoteDisconnected" in repr(error), error
            killer.join()
            server.process.wait(10)
    found = [act.key for act in read_log(project.root / LOG)]
    assert len(acknowledged) > kills
    assert len(set(found)) == len(found) and set(acknowledged) <= set(found)


def test_kills_lose_no_acknowledged_act(project: Project) -> None:
    survive_kills(project, 3)


@pytest.mark.slow
def test_50_kills_lose_no_acknowledged_act(project: Project) -> None:
    survive_kills(project, 50)


def test_a_line_cut_short_by_a_power_cut_is_dropped(project: Project) -> None:
    with running(board_server(project)) as server:
        assert post(server, "act", kind="answer", doubt=1).status == 200
    with open(project.root / LOG, "ab") as log:
        log.write(b'{"format":1,"id":2,"act":"kee')
    with running(board_server(project)) as server:
        assert state_of(server)["version"] == 1
        assert post(server, "act", kind="answer", doubt=2).status == 200
    assert [act.id for act in read_log(project.root / LOG)] == [1, 2]


def test_a_full_disk_is_said_and_the_log_stays_whole(project: Project) -> None:
    with running(board_server(project)) as server:
        assert post(server, "act", kind="answer", doubt=1).status == 200
        size = (project.root / LOG).stat().st_size
        process = psutil.Process(server.pid)
        soft, hard = process.rlimit(psutil.RLIMIT_FSIZE)
        process.rlimit(psutil.RLIMIT_FSIZE, (size + 10, hard))
        assert post(server, "act", kind="answer", doubt=2).status == 507
        assert (project.root / LOG).stat().st_size == size
        process.rlimit(psutil.RLIMIT_FSIZE, (soft, hard))
        assert post(server, "act", kind="answer", doubt=2).status == 200
    assert len(read_log(project.root / LOG)) == 2


def test_the_server_ends_on_request(server: Server) -> None:
    assert server.stop() in (0, 130)
    assert LAST_RESORT_S < 10
