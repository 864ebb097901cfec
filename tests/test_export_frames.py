"""Exporting frames: exact to the pixel, shared and resumed in one folder, and refused in one line when it cannot be."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from backend.export_frames import ExportSettings, estimate, main, plan_frames
from backend.jobs.progress import read_progress
from backend.project.errors import InputError
from backend.project.locks import output_lock
from backend.project.manifest import read_manifest, verify
from backend.project.paths import Project
from backend.project.settings import Settings, save_settings
from backend.video import VideoReader
from backend.video.library import add_video
from tests.videos import barcode, numbers_of, write_video

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """90 frames of 160x96 in GOPs of 12 with B-frames."""
    return write_video(tmp_path_factory.mktemp("videos") / "lek.mp4", 90)


def run(*arguments: str | Path, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "backend.export_frames", *map(str, arguments)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, **options)


def frames_in(folder: Path) -> list[int]:
    return sorted(int(path.stem) for path in folder.glob("*.png"))


def shown_in(folder: Path) -> list[int | None]:
    return numbers_of(cv2.imread(str(path)) for path in sorted(folder.glob("*.png")))


def export(video: Path, dest: Path, *arguments: str, workers: int = 1) -> None:
    main(["--src", str(video), "--dest", str(dest), "--workers", str(workers), *arguments])


def test_the_script_exports_every_pixel_as_it_is(video, tmp_path):
    done = run("--src", video, "--dest", tmp_path / "out", "--from-frame", 5, "--to-frame", 41, "--workers", 2)
    assert (done.returncode, done.stderr) == (0, "")
    assert "36 frames" in done.stdout
    assert frames_in(tmp_path / "out") == shown_in(tmp_path / "out") == list(range(5, 41))
    with VideoReader(video) as reader:
        for frame in range(5, 41):
            exported = cv2.imread(str(tmp_path / "out" / f"{frame:06d}.png"))[..., ::-1]
            np.testing.assert_array_equal(exported, reader.read([frame])[0])
    manifest = verify(tmp_path / "out")
    assert manifest.counts == {"frames": 36}
    assert set(manifest.files) == {f"{frame:06d}.png" for frame in range(5, 41)}


@pytest.mark.parametrize(
    "arguments, frames",
    [
        (["--from-frame", "80"], list(range(80, 90))),
        (["--every", "20"], [0, 20, 40, 60, 80]),
        (["--from-frame", "3", "--to-frame", "30", "--every", "13"], [3, 16, 29]),
        (["--frame-start", "3", "--frame-end", "5"], [3, 4]),
        (["--frames", "7, 1,9-12,11"], [1, 7, 9, 10, 11, 12]),
        (["--frames", "89"], [89]),
    ],
    ids=["to the end", "every", "range and every", "a range as inference names it", "list", "one frame"],
)
def test_what_is_asked_for_is_what_is_there(video, tmp_path, arguments, frames):
    export(video, tmp_path / "out", *arguments)
    assert frames_in(tmp_path / "out") == shown_in(tmp_path / "out") == frames


def test_the_number_of_workers_changes_nothing(video, tmp_path):
    for workers in (1, 2, 3):
        export(video, tmp_path / str(workers), "--every", "4", workers=workers)
    manifests = [read_manifest(tmp_path / str(workers)).files for workers in (1, 2, 3)]
    assert manifests[0] == manifests[1] == manifests[2]


def test_several_exports_share_a_folder_and_keep_what_is_there(video, tmp_path):
    dest = tmp_path / "out"
    export(video, dest, "--to-frame", "10")
    before = {path.name: path.stat().st_mtime_ns for path in dest.glob("*.png")}
    export(video, dest, "--from-frame", "5", "--to-frame", "20")
    assert frames_in(dest) == list(range(20))
    assert all((dest / name).stat().st_mtime_ns == written for name, written in before.items())
    assert verify(dest).counts == {"frames": 20}
    assert json.loads((dest / "request.json").read_text())["from_frame"] == 5


def test_torn_and_changed_files_are_replaced_and_unlisted_whole_ones_kept(video, tmp_path):
    dest = tmp_path / "out"
    export(video, dest, "--to-frame", "8")
    whole = {path.name: path.read_bytes() for path in dest.glob("*.png")}
    (dest / "000000.png").write_bytes(whole["000000.png"][:-20])
    (dest / "000001.png").write_bytes(b"")
    (dest / "000002.png").write_bytes(whole["000003.png"])  # whole, but not what the manifest lists
    (dest / "000004.png").unlink()
    (dest / ".000005.png.1-01234567.tmp").write_bytes(b"left by a kill")
    table = json.loads((dest / "manifest.json").read_text())
    del table["files"]["000006.png"]
    (dest / "manifest.json").write_text(json.dumps(table))
    kept = (dest / "000006.png").stat().st_mtime_ns
    export(video, dest, "--to-frame", "8")
    assert {path.name: path.read_bytes() for path in dest.glob("*.png")} == whole
    assert (dest / "000006.png").stat().st_mtime_ns == kept
    assert not list(dest.glob(".*.tmp"))
    verify(dest)


def test_a_listed_frame_that_is_gone_is_taken_off_the_manifest(video, tmp_path):
    export(video, tmp_path / "out", "--to-frame", "5")
    (tmp_path / "out" / "000000.png").unlink()
    export(video, tmp_path / "out", "--frames", "7")
    assert set(verify(tmp_path / "out").files) == {f"{frame:06d}.png" for frame in (1, 2, 3, 4, 7)}


def test_frames_of_another_video_never_mix_in(video, tmp_path, make_video):
    export(video, tmp_path / "out", "--to-frame", "3")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    with pytest.raises(InputError, match="frames of another video"):
        export(make_video("other.mp4", 30), tmp_path / "out", "--to-frame", "3")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_pictures_of_unknown_origin_are_not_overwritten(video, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "000000.png").write_bytes(b"my drawing")
    with pytest.raises(InputError, match="no export has made"):
        export(video, tmp_path / "mine")
    assert [path.read_bytes() for path in (tmp_path / "mine").iterdir()] == [b"my drawing"]


def scenes(number: int, size: tuple[int, int]) -> np.ndarray:
    """Three scenes of very different length: dark, light from frame 60, red in frames 75 and 76."""
    picture = barcode(number // 60, size)
    picture[..., 1:] //= 1 + 3 * (number in (75, 76))
    return picture


def test_diverse_frames_show_every_scene(tmp_path):
    video = write_video(tmp_path / "scenes.mp4", 90, picture=scenes)
    for workers in (1, 2):
        export(video, tmp_path / str(workers), "--diverse", "3", workers=workers)
    chosen = frames_in(tmp_path / "1")
    assert chosen == frames_in(tmp_path / "2")
    kinds = {"red" if frame in (75, 76) else frame // 60 for frame in chosen}
    assert len(chosen) == 3 and "red" in kinds


def test_diverse_works_inside_a_range(tmp_path, video):
    export(video, tmp_path / "out", "--from-frame", "30", "--to-frame", "60", "--every", "3", "--diverse", "4")
    chosen = frames_in(tmp_path / "out")
    assert len(chosen) == 4 and set(chosen) <= set(range(30, 60, 3))


BAD = {
    "the end beyond the video": (["--to-frame", "91"], "it has 90 frames, 0 to 89"),
    "the start beyond the video": (["--from-frame", "90"], r"range \[90, 90\) holds no frame"),
    "an empty range": (["--from-frame", "5", "--to-frame", "5"], "holds no frame"),
    "a backward range": (["--from-frame", "9", "--to-frame", "5"], "holds no frame"),
    "a negative frame": (["--from-frame", "-1"], "--from-frame"),
    "every zero": (["--every", "0"], "--every.*greater than or equal to 1 .given: 0"),
    "a word for a number": (["--to-frame", "ten"], "^--to-frame: .*valid integer.*given: 'ten'"),
    "a list beyond the video": (["--frames", "1,90"], "frame 90 is outside the video: it has 90 frames, 0 to 89"),
    "a list with a word": (["--frames", "1,b"], "'b' is not a frame or a range"),
    "a list with a hole": (["--frames", "1,,2"], "'' is not a frame or a range"),
    "a list with a minus": (["--frames=-3"], "'-3' is not a frame or a range"),
    "a list that runs backwards": (["--frames", "9-5"], "runs backwards"),
    "a list and a range": (["--frames", "1", "--every", "2"], "leave out"),
    "more different frames than there are": (["--diverse", "91"], "91 frames that differ cannot be chosen from 90"),
    "too many workers": (["--workers", "1000"], "--workers.*less than or equal to 256"),
    "an unknown option": (["--form-frame", "1"], "--form-frame"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_is_refused_before_anything_is_made(video, tmp_path, name):
    arguments, says = BAD[name]
    with pytest.raises(InputError, match=says) as caught:
        export(video, tmp_path / "out", *arguments)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_refusal_is_one_line_and_exit_code_2(video, tmp_path):
    done = run("--src", video, "--dest", tmp_path / "out", "--to-frame", 5000)
    assert done.returncode == 2
    assert re.fullmatch(r"export_frames: error: [^\n]*range \[0, 5000\)[^\n]*90 frames, 0 to 89\n", done.stderr)
    assert not (tmp_path / "out").exists()
    assert run("--src", tmp_path / "nothing.mp4", "--dest", tmp_path / "out").returncode == 2
    assert run("--src", video).returncode == 2


def test_a_destination_that_cannot_be_a_folder_is_refused(video, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="file is a file; --dest must be a folder"):
        export(video, tmp_path / "file" / "out")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_destination_is_refused(video, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(InputError, match="cannot be written"):
        export(video, tmp_path / "locked" / "out")


def test_a_folder_that_is_being_written_is_refused(video, tmp_path):
    with output_lock(tmp_path / "out"), pytest.raises(InputError, match="being written by another process"):
        export(video, tmp_path / "out")


def test_an_export_that_does_not_fit_is_refused(video, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=600 * 1024**2)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    monkeypatch.setattr("backend.export_frames.estimate", lambda reader, frames: 10**9)
    with pytest.raises(InputError, match="1.0 GB are needed"):
        export(video, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_estimate_is_close_and_a_little_above(video, tmp_path):
    export(video, tmp_path / "out")
    real = sum(path.stat().st_size for path in (tmp_path / "out").glob("*.png"))
    with VideoReader(video) as reader:
        assert real <= estimate(reader, range(90)) <= 1.6 * real
        assert estimate(reader, []) == 0


def test_a_plan_needs_no_video():
    assert plan_frames(100, 10, 20, 3).tolist() == [10, 13, 16, 19]
    assert plan_frames(100, frames="5,1").tolist() == [1, 5]
    assert len(plan_frames(100, diverse=7)) == 100
    with pytest.raises(InputError):
        plan_frames(0)


def test_settings_are_checked_and_unknown_keys_refused():
    with pytest.raises(ValueError, match="extra"):
        ExportSettings(src="a", form_frame=1)


def test_a_video_of_the_project_goes_to_its_own_folder(video, tmp_path, monkeypatch):
    monkeypatch.setenv("LEKTRACK_STATE", str(tmp_path / "state"))
    project = Project(tmp_path / "project")
    save_settings(Settings(project_folder=project.root))
    slug = add_video(project, video, [video.parent])
    main(["--src", slug, "--to-frame", "3", "--workers", "1"])
    assert frames_in(project.exported_frames(slug)) == [0, 1, 2]
    with pytest.raises(InputError, match="no video 'nobody'"):
        main(["--src", "nobody"])


@pytest.mark.parametrize("name", ["-rf", "$(touch x)", "a\nb", "quote'\"`;", "100%d {0}", "🦆 lek"], ids=ascii)
def test_hostile_names_are_only_names(video, tmp_path, monkeypatch, name):
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    source = folder / f"{name}.mp4"
    shutil.copy(video, source)
    main([f"--src={source.name}", f"--dest={name}", "--to-frame=2"])
    assert frames_in(folder / name) == [0, 1]
    assert sorted(path.name for path in folder.iterdir()) == sorted([name, source.name])


def test_a_damaged_frame_is_named_and_the_others_are_kept(tmp_path):
    from tests.video.test_damage import damaged_copy

    sound = write_video(tmp_path / "sound.mp4", 100, size=(320, 192), gop=25)
    done = run("--src", damaged_copy(sound, tmp_path, 40, 40), "--dest", tmp_path / "out", "--workers", 1)
    assert done.returncode == 2
    assert re.search(r"error: .*damaged_40_40.mp4: frame \d+ is damaged", done.stderr)
    assert len(frames_in(tmp_path / "out")) >= 24
    assert read_manifest(tmp_path / "out").complete is False


def test_damaged_frames_are_not_among_those_that_differ_most(tmp_path):
    from tests.video.test_damage import damaged_copy, read_all

    sound = write_video(tmp_path / "sound.mp4", 100, size=(320, 192), gop=25)
    video = damaged_copy(sound, tmp_path, 97, 40)
    damaged = {frame for frame, picture in read_all(video, range(100)).items() if picture is None}
    assert 99 in damaged, "the last frame, which is a sample of the estimate, too"
    done = run("--src", video, "--dest", tmp_path / "out", "--diverse", 100 - len(damaged), "--workers", 1)
    assert done.returncode == 0, done.stderr
    assert f"{len(damaged)} of 100 frames are damaged and left out" in done.stderr
    assert set(frames_in(tmp_path / "out")) == set(range(100)) - damaged
    done = run("--src", video, "--dest", tmp_path / "more", "--diverse", 100, "--workers", 1)
    assert done.returncode == 2
    assert f"100 frames that differ cannot be chosen from {100 - len(damaged)} that can be decoded" in done.stderr


def start(video: Path, dest: Path, job: Path, *arguments: str) -> subprocess.Popen:
    """Start an export as the job's wrapper does: in a session of its own."""
    job.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "backend.export_frames", "--src", str(video), "--dest", str(dest), *arguments]
    environment = {**os.environ, "LEKTRACK_JOB_FOLDER": str(job)}
    return subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, start_new_session=True, stderr=subprocess.PIPE, text=True
    )


def wait_for_frames(folder: Path, count: int, process: subprocess.Popen, timeout_s: float = 60) -> None:
    end = time.monotonic() + timeout_s
    while len(list(folder.glob("*.png"))) < count:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end, "no frames came"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """600 frames: an export takes some seconds."""
    return write_video(tmp_path_factory.mktemp("videos") / "long.mp4", 600, size=(640, 384), gop=50)


def test_stop_leaves_a_folder_that_the_next_run_goes_on_with(long_video, tmp_path):
    dest = tmp_path / "out"
    process = start(long_video, dest, tmp_path / "job", "--workers", "2")
    wait_for_frames(dest, 20, process)
    family = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert len(frames_in(dest)) < 600
    assert (process.returncode, errors) == (130, "export_frames: stopped on request\n")
    assert not psutil.wait_procs(family, timeout=5)[1]
    manifest = read_manifest(dest)
    assert manifest.complete is False
    assert len(manifest.files) >= 20 and set(manifest.files) <= {path.name for path in dest.glob("*.png")}
    assert not list(dest.glob(".*.tmp"))
    kept = {path.name: path.stat().st_mtime_ns for path in dest.glob("*.png")}
    export(long_video, dest, workers=2)
    assert frames_in(dest) == list(range(600))
    assert all((dest / name).stat().st_mtime_ns == written for name, written in kept.items())
    verify(dest)


def test_progress_tells_a_page_how_far_it_is(long_video, tmp_path):
    process = start(long_video, tmp_path / "out", tmp_path / "job", "--workers", "1", "--to-frame", "200")
    seen = set()
    while process.poll() is None:
        record = read_progress(tmp_path / "job")
        if record is not None:
            seen.add(record.stage)
        time.sleep(0.05)
    process.communicate()
    record = read_progress(tmp_path / "job")
    assert (record.stage, record.done, record.total) == ("exporting", 200, 200)
    assert "exporting" in seen
