"""The script from the outside: what it writes, what it refuses, and that the number of workers changes nothing."""

import subprocess
import sys

import numpy as np
import pytest

from backend.inference import main
from backend.jobs.script import ScriptParser
from backend.masks.rle import decode
from backend.pipeline.detections import open_detections
from backend.pipeline.options import InferenceSettings
from backend.project.errors import InputError
from backend.project.locks import output_lock
from backend.project.manifest import MANIFEST, verify
from tests.fake_inference import blobs, load, write_model
from tests.inference_runs import command, run, tables
from tests.videos import barcode, write_video

SIZE = (160, 96)


@pytest.fixture(scope="module")
def lek(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lek")
    return write_video(folder / "lek.mp4", 100), write_model(folder / "model.json")


@pytest.fixture(scope="module")
def whole(lek, tmp_path_factory):
    """A run over the whole video by one worker."""
    out = tmp_path_factory.mktemp("whole")
    code, said = run(command(*lek_and(lek, out)), out / "state")
    assert code == 0, said
    return out / "lek" / "a"


def lek_and(lek, out):
    video, model = lek
    return video, out, model


def test_detections_are_those_of_the_frames_they_are_said_to_be_of(whole):
    found = open_detections(whole)
    assert found.frames().frame.tolist() == list(range(100))
    for part in found:
        for frame, time_s, birds in part.by_frame():
            expected = blobs(barcode(frame, SIZE))
            assert time_s == pytest.approx(frame / 25)
            assert len(birds) == len(expected)
            got = {tuple(box) for box in birds.boxes.round().astype(int).tolist()}
            assert got == {tuple(box) for _, box, _ in expected}


def test_masks_lie_in_their_boxes_and_have_the_area_that_stands_beside_them(whole):
    birds = open_detections(whole).at(77)
    for row in range(len(birds)):
        mask = decode(birds.counts(row), SIZE[1], SIZE[0])
        assert mask.sum() == birds.area_px2[row] > 0
        rows, columns = np.nonzero(mask)
        x1, y1, x2, y2 = birds.boxes[row]
        assert x1 - 1 <= columns.min() <= columns.max() <= x2
        assert y1 - 1 <= rows.min() <= rows.max() <= y2


def test_the_manifest_counts_and_verifies_what_was_written(whole):
    manifest = verify(whole)
    assert manifest.counts == {
        "frames": 100,
        "frames_damaged": 0,
        "frames_empty": 0,
        "detections": int(open_detections(whole).frames().n.sum()),
        "chunks": 4,
    }
    assert set(manifest.files) == set(tables(whole))
    assert manifest.number_format == "fp32"
    assert manifest.inputs["video_identity"]["index_sha256"]


@pytest.mark.parametrize("workers", [2, 4])
def test_the_number_of_workers_changes_no_byte(lek, whole, tmp_path, workers):
    arguments = command(
        *lek_and(lek, tmp_path), "--cpu-workers", str(workers), "--n-decoders", "2", "--n-saver-proc", "3"
    )
    assert run(arguments, tmp_path / "state")[0] == 0
    assert tables(tmp_path / "lek" / "a") == tables(whole)


def test_several_videos_in_one_run_give_what_each_gives_alone(lek, whole, tmp_path):
    video, model = lek
    other = write_video(tmp_path / "Lek South.mkv", 40, size=(96, 64))
    code, said = run(command([video, other], tmp_path / "out", model), tmp_path / "state")
    assert code == 0, said
    assert tables(tmp_path / "out" / "lek" / "a") == tables(whole)
    south = open_detections(tmp_path / "out" / "lek-south" / "a")
    assert (south.facts.width, south.facts.height, len(south.frames())) == (96, 64, 40)
    assert verify(south.folder).complete


def test_a_range_with_a_stride_is_looked_at_and_nothing_else(lek, whole, tmp_path):
    arguments = command(*lek_and(lek, tmp_path), "--frame-start", "10", "--frame-end", "91", "--stride", "7")
    assert run(arguments, tmp_path / "state")[0] == 0
    found, everything = open_detections(tmp_path / "lek" / "a"), open_detections(whole)
    assert found.frames().frame.tolist() == list(range(10, 91, 7))
    assert all(found.at(frame).table() == everything.at(frame).table() for frame in range(10, 91, 7))


def test_a_crop_is_undone_in_the_output(lek, tmp_path):
    corners = ["--crop-from-x", "40", "--crop-from-y", "24", "--crop-to-x", "140", "--crop-to-y", "72"]
    assert run(command(*lek_and(lek, tmp_path), *corners, "--frame-end", "30"), tmp_path / "state")[0] == 0
    for part in open_detections(tmp_path / "lek" / "a"):
        for frame, _, birds in part.by_frame():
            expected = blobs(barcode(frame, SIZE)[24:72, 40:140])
            moved = [(x1 + 40, y1 + 24, x2 + 40, y2 + 24) for _, (x1, y1, x2, y2), _ in expected]
            assert np.allclose(sorted(birds.boxes.tolist()), sorted(map(list, moved)), atol=1.01)
            for row in range(len(birds)):
                mask = decode(birds.counts(row), SIZE[1], SIZE[0])
                assert not mask[:23].any()
                assert not mask[:, :39].any()


def test_tiles_find_what_the_whole_frame_shows_without_counting_twice(tmp_path):
    video = write_video(tmp_path / "lek.mp4", 24, size=(320, 192), picture=flock)
    model = write_model(tmp_path / "model.json", short_side_px=192)
    more = ("--tile", "120x96", "--tile-overlap", "40")
    assert run(command(video, tmp_path / "whole", model), tmp_path / "state")[0] == 0
    assert run(command(video, tmp_path / "tiles", model, *more), tmp_path / "state")[0] == 0
    whole, tiles = (open_detections(tmp_path / name / "lek" / "a") for name in ("whole", "tiles"))
    assert tiles.frames().n.tolist() == whole.frames().n.tolist() == [N_BIRDS] * 24
    for frame in range(24):
        both = [sorted(each.at(frame).boxes.tolist()) for each in (whole, tiles)]
        assert np.allclose(*both, atol=1.5)


N_BIRDS = 12


def flock(number, size):
    """Light birds of 24x16 px on dark ground that walk to the right."""
    picture = np.full((size[1], size[0], 3), 30, np.uint8)
    for bird in range(N_BIRDS):
        x, y = 4 + bird % 4 * 80 + (number * (1 + bird % 3)) % 50, 10 + bird // 4 * 62 + bird % 2 * 9
        picture[y : y + 16, x : x + 24] = 220
    return picture


@pytest.mark.parametrize("batch", ["8", "1"], ids="{} frames a batch".format)
def test_frames_that_cannot_be_decoded_are_left_out_and_named(lek, tmp_path, batch):
    video, model = lek
    damaged = tmp_path / "lek.mp4"
    content = bytearray(video.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = bytes(200)
    damaged.write_bytes(content)
    code, said = run(command(damaged, tmp_path / "out", model, "--batch-size", batch), tmp_path / "state")
    assert code == 0, said
    manifest = verify(tmp_path / "out" / "lek" / "a")
    assert manifest.counts["frames_damaged"] > 0
    assert manifest.counts["frames"] + manifest.counts["frames_damaged"] == 100
    assert "cannot be decoded right and are left out" in said
    others = ("--batch-size", batch, "--cpu-workers", "2", "--n-decoders", "2")
    assert run(command(damaged, tmp_path / "two", model, *others), tmp_path / "state")[0] == 0
    assert tables(tmp_path / "two" / "lek" / "a") == tables(tmp_path / "out" / "lek" / "a")


def test_a_range_without_one_frame_to_decode_is_named_and_the_other_video_goes_on(lek, tmp_path):
    video, model = lek
    torn = tmp_path / "torn.mp4"
    content = bytearray(video.read_bytes())
    begin = content.index(b"mdat") + 4
    end = begin - 8 + int.from_bytes(content[begin - 8 : begin - 4], "big")
    content[begin + (end - begin) // 3 : end] = bytes(end - begin - (end - begin) // 3)
    torn.write_bytes(content)
    arguments = command([torn, video], tmp_path / "out", model, "--frame-start", "70")
    code, said = run(arguments, tmp_path / "state")
    assert code == 1, said
    assert f"none of the 30 frames of {torn} can be decoded" in said
    assert verify(tmp_path / "out" / "lek" / "a").counts["frames"] == 30


def test_resuming_what_is_finished_does_nothing(lek, whole, tmp_path):
    arguments = command(*lek_and(lek, tmp_path))
    assert run(arguments, tmp_path / "state")[0] == 0
    before = (tmp_path / "lek" / "a" / "frames_00000000_00000032.parquet").stat().st_mtime_ns
    assert run([*arguments, "--resume"], tmp_path / "state")[0] == 0
    assert (tmp_path / "lek" / "a" / "frames_00000000_00000032.parquet").stat().st_mtime_ns == before
    code, said = run(arguments, tmp_path / "state")
    assert code == 2
    assert "is not empty" in said
    code, said = run([*arguments, "--resume", "--stride", "2", "--score-threshold", "0.5"], tmp_path / "state")
    assert code == 2
    assert all(word in said for word in ("stride (1 there, 2 here)", "score_threshold (0.3 there, 0.5 here)"))
    assert tables(tmp_path / "lek" / "a") == tables(whole)


def test_a_moved_video_is_known_by_its_content_and_another_one_is_not(lek, tmp_path):
    video, model = lek
    out = tmp_path / "out"
    assert run(command(video, out, model, "--video-name", "lek"), tmp_path / "state")[0] == 0
    moved = tmp_path / "moved.mp4"
    moved.write_bytes(video.read_bytes())
    assert run(command(moved, out, model, "--video-name", "lek", "--resume"), tmp_path / "state")[0] == 0
    other = write_video(tmp_path / "other.mp4", 100, gop=10)
    code, said = run(command(other, out, model, "--video-name", "lek", "--resume"), tmp_path / "state")
    assert code == 2
    assert "video_identity" in said


REFUSED_AT_ONCE = {
    "a crop outside the frame": (["--crop-to-x", "161"], "160x96"),
    "an empty crop": (["--crop-from-x", "9", "--crop-to-x", "9"], "is empty"),
    "a tile that is too large": (["--tile", "400x300"], "160 px"),
    "a tile that is no size": (["--tile", "big"], "WIDTHxHEIGHT"),
    "a range behind the end": (["--frame-end", "101"], "100 frames"),
    "an empty range": (["--frame-start", "5", "--frame-end", "5"], "frames 5 to 5"),
    "a GPU that is no number": (["--gpu-id", "first"], "GPU numbers"),
    "a GPU and the CPU": (["--gpu-id", "cpu", "0"], "cpu alone"),
    "a GPU's decoder without a GPU": (["--decoder", "nvdec"], "needs a GPU"),
    "a GPU twice": (["--gpu-id", "0", "0"], "each once"),
    "class names that do not fit their number": (["--n-classes", "1", "--class-names", "a", "b"], "2 class names"),
    "too few video names": (["--video-name", "a", "b"], "1 videos"),
    "a run name that is no folder name": (["--run", "../a"], "run '../a'"),
    "an unknown option": (["--colour", "red"], "--colour"),
}
REFUSED_BY_A_WORKER = {
    "a GPU that is not there": (["--gpu-id", "7"], "GPU '7'"),
    "classes that are not those expected": (["--n-classes", "3"], "the model has 1 (bird)"),
    "a model that is not there": (["--model-dir", "/nowhere/ruffs"], "/nowhere/ruffs"),
}


@pytest.mark.parametrize(("more", "words"), REFUSED_AT_ONCE.values(), ids=REFUSED_AT_ONCE.keys())
def test_what_cannot_work_is_refused_before_anything_starts(lek, tmp_path, state, more, words):
    check_refused(command(*lek_and(lek, tmp_path / "out"), *more), words)


@pytest.mark.parametrize(("more", "words"), REFUSED_BY_A_WORKER.values(), ids=REFUSED_BY_A_WORKER.keys())
def test_what_only_a_worker_can_tell_is_refused_before_anything_is_written(lek, tmp_path, state, more, words):
    check_refused(command(*lek_and(lek, tmp_path / "out"), *more), words)
    assert not list((tmp_path / "out").rglob(MANIFEST))


def test_a_video_that_is_missing_or_none_is_refused(lek, tmp_path, state):
    text = tmp_path / "notes.mp4"
    text.write_text("not a video")
    for bad in (tmp_path / "none.mp4", text):
        check_refused(command(bad, tmp_path / "out", lek[1]), str(bad))


def test_without_a_model_the_refusal_says_how_to_get_one(lek, tmp_path, state):
    video, model = lek
    words = [word for word in command(video, tmp_path / "out", model) if word not in ("--model-dir", str(model))]
    check_refused(words, "python -m backend.admin weights fetch coco_resnet50")


def test_two_videos_of_one_name_are_refused(lek, tmp_path, state):
    video, model = lek
    check_refused(command([video, video], tmp_path / "out", model), "--video-name")


def test_a_disk_without_room_is_refused(lek, tmp_path, state, monkeypatch):
    monkeypatch.setattr("backend.project.disk.RESERVE_BYTES", 2**60)
    check_refused(command(*lek_and(lek, tmp_path / "out")), "are free")


def test_a_folder_that_another_process_writes_to_is_refused(lek, tmp_path, state):
    with output_lock(tmp_path / "out" / "lek" / "a"):
        check_refused(command(*lek_and(lek, tmp_path / "out")), "is being written by another process")


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("LEKTRACK_STATE", str(tmp_path / "state"))


def check_refused(arguments, words):
    with pytest.raises(InputError) as refusal:
        main(arguments[3:], load=load)
    assert words in str(refusal.value)


def test_a_range_has_the_names_that_the_other_scripts_give_it_too():
    argv = ["--video-path", "v.mp4", "--base-out-dir", "out", "--from-frame", "3", "--to-frame", "9"]
    settings = ScriptParser("backend.inference", None).settings(InferenceSettings, argv)
    assert (settings.frame_start, settings.frame_end) == (3, 9)


def test_help_names_every_option():
    shown = subprocess.run(
        [sys.executable, "-m", "backend.inference", "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert [name for name in InferenceSettings.model_fields if f"--{name.replace('_', '-')}" not in shown] == []
