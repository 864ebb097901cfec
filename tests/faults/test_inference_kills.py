"""Whatever is killed, and whenever: after a resume the tables are those of a run that nobody disturbed."""

import errno
import os
import random
import signal
import time

import pytest
import torch

from backend.detectors.detector_settings import DetectorSettings
from backend.detectors.load import build_detector
from backend.detectors.weights import write_weights
from backend.project.manifest import verify
from tests.fake_inference import write_model
from tests.inference_runs import command, finish, kill_group, members, run, start, tables, wait_until
from tests.videos import barcode, write_video

N_FRAMES = 320


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A video, a model that takes its time, and the tables of a run from beginning to end."""
    folder = tmp_path_factory.mktemp("undisturbed")
    video = write_video(folder / "lek.mp4", N_FRAMES)
    model = write_model(folder / "model.json", delay_s=0.04)
    assert run(command(video, folder / "out", model), folder / "state")[0] == 0
    return video, model, tables(folder / "out" / "lek" / "a")


def writing(folder):
    """Return the names of half-written tables."""
    try:
        return {name for name in os.listdir(folder) if ".parquet." in name}
    except FileNotFoundError:
        return set()


def begun(folder):
    """Return when the manifest was written last: the workers begin right after that."""
    manifest = folder / "manifest.json"
    return manifest.stat().st_mtime_ns if manifest.exists() else 0


def kill_at_random(process, folder, dice, old):
    wait_until(lambda: begun(folder) > old[1] or process.poll() is not None)
    time.sleep(dice.uniform(0, 0.8))  # chunks take 0.2 s


def kill_while_writing(process, folder, dice, old):
    wait_until(lambda: writing(folder) - old[0] or process.poll() is not None, every_s=0.0003)


def campaign(tmp_path, undisturbed, kills, kill_when, seed, **chosen):
    """Kill the whole group, resume, and so on; return how many kills hit and how many left a half-written table."""
    video, model, expected = undisturbed
    folder, dice = tmp_path / "out" / "lek" / "a", random.Random(seed)
    hits = torn = 0
    arguments = command(video, tmp_path / "out", model, "--resume", **chosen)
    while hits < kills:
        old = writing(folder), begun(folder)  # left by the kill before
        process = start(arguments, tmp_path / "state")
        kill_when(process, folder, dice, old)
        if process.poll() is not None:
            assert finish(process)[0] == 0
            assert tables(folder) == expected
            for name in dice.sample(sorted(expected), len(expected) // 2):
                (folder / name).unlink()  # so that there is something left to do
            continue
        kill_group(process)
        hits += 1
        torn += bool(writing(folder) - old[0])
    assert run(arguments, tmp_path / "state")[0] == 0
    assert tables(folder) == expected
    assert not writing(folder)
    assert verify(folder).complete
    return torn


def test_after_a_few_kills_of_the_whole_group_the_tables_are_the_same_byte_for_byte(tmp_path, undisturbed):
    campaign(tmp_path, undisturbed, 3, kill_at_random, seed=1)


@pytest.mark.slow
def test_twenty_kills_at_random_moments_change_no_byte(tmp_path, undisturbed):
    campaign(tmp_path, undisturbed, 20, kill_at_random, seed=2)


@pytest.mark.slow
def test_ten_kills_while_a_table_is_written_change_no_byte(tmp_path, undisturbed):
    assert campaign(tmp_path, undisturbed, 10, kill_while_writing, seed=3) >= 5


@pytest.mark.slow
def test_kills_of_the_real_network_change_no_byte(tmp_path):
    settings = DetectorSettings(
        class_names=("ruff", "reeve"),
        backbone="mobilenet_v3_large",
        channels=32,
        short_side_px=64,
        long_side_px=96,
        proposals=50,
        score_threshold=0.3,
    )
    torch.manual_seed(0)
    model = tmp_path / "small.safetensors"
    write_weights(model, build_detector(settings).network.state_dict(), settings)
    video = write_video(tmp_path / "lek.mp4", N_FRAMES)
    real = {"module": "backend.inference"}
    assert run(command(video, tmp_path / "whole", model, **real), tmp_path / "state")[0] == 0
    expected = tables(tmp_path / "whole" / "lek" / "a")
    assert verify(tmp_path / "whole" / "lek" / "a").counts["detections"] > N_FRAMES
    campaign(tmp_path, (video, model, expected), 5, kill_at_random, seed=4, **real)


def test_sigterm_drops_the_open_chunk_and_is_obeyed(tmp_path, undisturbed):
    video, model, expected = undisturbed
    folder = tmp_path / "out" / "lek" / "a"
    process = start(command(video, tmp_path / "out", model, "--resume"), tmp_path / "state")
    wait_until(lambda: any(folder.glob("frames_*.parquet")))
    process.send_signal(signal.SIGTERM)
    code, said = finish(process)
    assert (code, said.strip().splitlines()[-1]) == (130, "inference: stopped on request")
    wait_until(lambda: not members(process.pid), 10)
    assert not writing(folder)
    left = tables(folder)
    assert 0 < len(left) < len(expected)
    assert left.items() <= expected.items()


def test_nothing_outlives_a_killed_supervisor(tmp_path, undisturbed):
    video, model, _ = undisturbed
    folder = tmp_path / "out" / "lek" / "a"
    process = start(command(video, tmp_path / "out", model, "--resume", "--cpu-workers", "2"), tmp_path / "state")
    wait_until(lambda: any(folder.glob("frames_*.parquet")))
    assert len(members(process.pid)) >= 5  # the supervisor, two workers, their decoders
    process.kill()
    process.communicate()
    wait_until(lambda: not members(process.pid), 10)


@pytest.mark.parametrize(("how", "times"), [("kill", 1), ("raise", 2), ("hang", 1)])
def test_a_worker_that_dies_or_hangs_is_replaced_and_its_chunk_done_again(tmp_path, undisturbed, how, times):
    video, _, expected = undisturbed
    model = write_model(tmp_path / "model.json", mishaps=({"frame": 120, "how": how, "times": times},))
    patience = ["--silence-limit-s", "8"] if how == "hang" else []
    code, said = run(command(video, tmp_path / "out", model, *patience), tmp_path / "state")
    assert code == 0, said
    assert tables(tmp_path / "out" / "lek" / "a") == expected
    words = {"kill": "died (signal 9)", "raise": "the network stumbled", "hang": "gave no sign of life for 8 s"}
    assert words[how] in said


def test_a_chunk_that_fails_three_times_ends_its_video_with_the_reason_and_leaves_the_others_alone(
    tmp_path, undisturbed
):
    video, _, expected = undisturbed
    bad = write_video(
        tmp_path / "bad.mp4", 64, size=(160, 96), picture=lambda number, size: barcode(number + 1000, size)
    )
    model = write_model(tmp_path / "model.json", mishaps=({"frame": 1040, "how": "raise", "times": 9},))
    code, said = run(command([bad, video], tmp_path / "out", model), tmp_path / "state")
    assert code == 1
    assert "bad.mp4: frames 32 to 64 failed 3 times" in said.splitlines()[-1]
    assert "the network stumbled" in said.splitlines()[-1]
    assert tables(tmp_path / "out" / "lek" / "a") == expected
    assert verify(tmp_path / "out" / "lek" / "a").complete
    assert not (tmp_path / "out" / "bad" / "a" / "frames_00000032_00000064.parquet").exists()


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(errno.ENOSPC, id="disk full"),
        pytest.param(errno.EDQUOT, id="quota used up", marks=pytest.mark.slow),
    ],
)
def test_a_full_disk_ends_the_run_with_its_path_and_the_run_goes_on_when_there_is_room(
    tmp_path, undisturbed, shim, monkeypatch, error
):
    video, model, expected = undisturbed
    folder = tmp_path / "out" / "lek" / "a"
    arguments = command(video, tmp_path / "out", model, "--resume")
    with monkeypatch.context() as environment:
        environment.setenv("LD_PRELOAD", str(shim))
        environment.setenv("LEKTRACK_FAULT_FOLDER", str(folder / ".detections"))
        environment.setenv("LEKTRACK_FAULT_AT", "30")  # each process counts for itself: a few chunks are written before
        environment.setenv("LEKTRACK_FAULT_ERRNO", str(error))
        code, said = run(arguments, tmp_path / "state")
    assert code == 1
    assert said.splitlines()[-1].startswith(f"inference: error: {os.strerror(error)}: {folder / 'detections_'}")
    assert not writing(folder)
    left = tables(folder)
    assert 0 < len(left) < len(expected)
    assert left.items() <= expected.items()
    assert run(arguments, tmp_path / "state")[0] == 0
    assert tables(folder) == expected
