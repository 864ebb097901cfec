import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from backend.project.errors import InputError
from backend.project.manifest import verify
from backend.simulate import main

ROOT = Path(__file__).resolve().parents[1]
SMALL = ["--birds", "4", "--size", "320x192", "--seed", "1"]


def start(*arguments, **options):
    command = [sys.executable, "-m", "backend.simulate", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.005)
    raise TimeoutError


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--birds", "0"], "birds.*greater than or equal to 1"),
        (["--birds", "256"], "birds.*less than or equal to 255"),
        (["--birds", "few"], "birds"),
        (["--seconds", "0"], "seconds"),
        (["--seconds", "nan"], "seconds"),
        (["--seconds", "1e9"], "seconds 1000000000"),
        (["--size", "961x544"], "961x544: both sides must be even"),
        (["--size", "960"], "'960' must be width x height"),
        (["--size", "-2x4"], "--help lists|must be width"),
        (["--size", "2x2"], "size 2 is not allowed; use 128 to 8192"),
        (["--preset", "brutal"], "preset 'brutal' is not known; choose one of easy, normal, hard"),
        (["--likeness", "1.5"], "likeness"),
        (["--fps", "0"], "fps"),
        (["--seed", "-4"], "seed -4"),
        (["--mask-every", "-1"], "mask-every"),
        (["--start-time", "yesterday"], "start-time"),
        (["--colour", "red"], "colour"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_is_not_allowed_is_refused_in_one_line_and_nothing_is_written(arguments, says, tmp_path):
    with pytest.raises(InputError, match=says) as refused:
        main(["--out", str(tmp_path / "lek"), *arguments])
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "lek").exists()


def test_the_script_leaves_with_2_and_one_line(tmp_path):
    process = start("--out", tmp_path / "lek", "--size", "961x544")
    _, error = process.communicate(timeout=60)
    assert process.returncode == 2 and re.fullmatch(r"simulate: error: .*961x544.*\n", error)


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "lek").mkdir()
    (tmp_path / "lek" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match=r"not empty and holds no manifest\.json"):
        main(["--out", str(tmp_path / "lek"), *SMALL, "--seconds", "1", "--no-video"])
    assert [path.name for path in (tmp_path / "lek").iterdir()] == ["thesis.txt"]
    with pytest.raises(InputError, match="is a file"):
        main(["--out", str(tmp_path / "lek" / "thesis.txt"), *SMALL])


def test_a_second_run_is_nothing_to_do_and_another_run_is_refused(tmp_path, capsys):
    out = tmp_path / "lek"
    arguments = ["--out", str(out), "--birds", "3", "--seconds", "2", "--no-video"]
    main(arguments)
    written = (out / "truth.parquet").stat().st_mtime_ns
    main(arguments)
    assert "nothing to do" in capsys.readouterr().out
    assert (out / "truth.parquet").stat().st_mtime_ns == written
    with pytest.raises(InputError, match=r"holds another run; it differs in birds \(3 there, 4 here\)"):
        main([*arguments[:3], "4", *arguments[4:]])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_a_run_cut_off_half_way_leaves_no_half_video_and_is_made_anew(number, tmp_path):
    out = tmp_path / "lek"
    arguments = ["--out", out, *SMALL, "--seconds", "8", "--mask-every", "20"]
    process = start(*arguments)
    wait_for(lambda: (out / "masks" / "000040.png").exists() or process.poll() is not None)
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == (130 if number == signal.SIGTERM else -signal.SIGKILL)
    assert not (out / "video.mp4").exists() and not (out / "truth.parquet").exists()
    if number == signal.SIGTERM:
        assert not list(out.glob(".*.tmp"))
    again = start(*arguments)
    _, error = again.communicate(timeout=120)
    assert again.returncode == 0, error
    assert verify(out).counts["frames"] == 200 and not list(out.glob(".*.tmp"))
    assert len(list((out / "masks").glob("*.png"))) == 10


def test_two_at_once_do_not_write_into_one_folder(tmp_path):
    out = tmp_path / "lek"
    first = start("--out", out, *SMALL, "--seconds", "30")
    wait_for(lambda: (out / "manifest.json").exists())
    try:
        second = start("--out", out, *SMALL, "--seconds", "30")
        _, error = second.communicate(timeout=60)
        assert second.returncode == 2 and "being written by another process" in error
    finally:
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=30)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_hour_of_twenty_birds_takes_minutes_and_no_more_memory_than_ten_minutes(tmp_path):
    peaks, times = [], []
    for seconds in (2, 600, 3600):  # the first one may have to compile
        process = start(
            "--out", tmp_path / str(seconds), "--birds", 20, "--seconds", seconds, "--preset", "hard", "--no-video"
        )
        _, status, used = os.wait4(process.pid, 0)
        process.stdout.close()
        process.stderr.close()
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        peaks.append(used.ru_maxrss)
        times.append(used.ru_utime + used.ru_stime)
    assert peaks[2] <= 1.02 * peaks[1]
    assert times[2] < 300  # of processor time
    assert pq.ParquetFile(tmp_path / "3600" / "truth.parquet").metadata.num_rows == 90000 * 20
    print(f"peak {[peak // 1024 for peak in peaks]} MiB, {[round(taken) for taken in times]} s")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_sample_project_is_made_by_the_script(tmp_path):
    process = start("--sample", "--out", tmp_path / "data")
    _, error = process.communicate(timeout=500)
    assert process.returncode == 0, error
    assert sorted(path.name for path in (tmp_path / "data" / "sample_videos").iterdir()) == [
        "lek-north.mp4",
        "lek-south.mp4",
    ]
    assert len(list((tmp_path / "data" / "segannot" / "lek-south").glob("*.png"))) == 25
