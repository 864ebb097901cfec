"""Detections of other programs become a run, and ours come back unchanged."""

import json
from pathlib import Path

import numpy as np
import pytest

from backend.import_detections import main
from backend.lek.lek_settings import LekSettings
from backend.lek.recording import record
from backend.lek.simulated_run import detect
from backend.pipeline.detections import DetectionsRun, open_detections
from backend.project.errors import InputError
from backend.project.manifest import verify
from backend.visualize import main as visualize


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> DetectionsRun:
    folder = tmp_path_factory.mktemp("ours")
    assert record(folder / "lek", LekSettings(birds=4, seconds=3, seed=1), video=False)
    detect(folder / "lek", folder / "run", "normal")
    return open_detections(folder / "run")


def exported(run: DetectionsRun, to: str, name: str, out: Path) -> Path:
    visualize(["--detections", str(run.folder), "--to", to, "--score-threshold", "0", "--out-dir", str(out)])
    return out / name


def imported(source: Path, out: Path, *more: str) -> DetectionsRun:
    main(["--from", str(source), "--size", "960x544", "--fps", "25", "--out", str(out), *more])
    verify(out)
    return open_detections(out)


def test_coco_results_come_back_with_their_masks(ours, tmp_path):
    there = imported(exported(ours, "coco", "coco_results.json", tmp_path), tmp_path / "run", "--frames", "75")
    one, other = ours.load(ours.chunks[0]), there.load(there.chunks[0])
    assert np.array_equal(one.seen.frame, other.seen.frame)
    assert np.array_equal(one.seen.n, other.seen.n)
    assert np.allclose(one.detections.boxes, other.detections.boxes, atol=0.01)
    assert one.detections.rle.to_pylist() == other.detections.rle.to_pylist()
    assert np.array_equal(one.detections.area_px2, other.detections.area_px2)


def test_mot_text_comes_back_as_boxes(ours, tmp_path):
    there = imported(exported(ours, "mot", "mot.txt", tmp_path), tmp_path / "run")
    one, other = ours.load(ours.chunks[0]).detections, there.load(there.chunks[0]).detections
    assert np.allclose(one.boxes, other.boxes, atol=0.03)
    assert np.allclose(one.score, other.score, atol=1e-4)
    assert other.rle.null_count == len(other)


def test_chunks_hold_what_lies_in_them(tmp_path):
    source = tmp_path / "det.txt"
    source.write_text("".join(f"{frame},-1,{frame % 100},5,20,20,0.9\n" for frame in range(1, 4001, 3)))
    run = imported(source, tmp_path / "run")
    assert [chunk.from_frame for chunk in run.chunks] == [0, 1500, 3000]
    assert sum(part.seen.n.sum() for part in run) == len(range(1, 4001, 3))
    for part in run:
        assert np.array_equal(part.detections.boxes[:, 0], ((part.detections.frame + 1) % 100).astype(np.float32))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ({}, "a list of detections is needed"),
        ([{"image_id": 1}], "detection 0: KeyError"),
        ([{"image_id": 0, "bbox": [0, 0, 5, 5], "score": 1}], "image_id must be at least 1"),
        ([{"image_id": 1.5, "bbox": [0, 0, 5, 5], "score": 1}], "detection 0: ValueError: image_id must be"),
        ([{"image_id": 3000000001, "bbox": [0, 0, 5, 5], "score": 1}], "detection 0: ValueError: image_id must be"),
        ([{"image_id": 1, "bbox": [0, 0, 5, 5], "score": 1, "segmentation": [[0, 0, 1, 1]]}], "run lengths"),
        (
            [{"image_id": 1, "bbox": [0, 0, 5, 5], "score": 1, "segmentation": {"size": [5, 5], "counts": "0"}}],
            "its mask is",
        ),
    ],
)
def test_what_is_no_result_is_said(tmp_path, rows, said):
    source = tmp_path / "results.json"
    source.write_text(json.dumps(rows))
    with pytest.raises(InputError, match=said):
        imported(source, tmp_path / "run")


def test_more_frames_than_the_video_has(tmp_path):
    source = tmp_path / "det.txt"
    source.write_text("50,-1,1,1,5,5,1\n")
    with pytest.raises(InputError, match="frame 49; the video has 20 frames"):
        imported(source, tmp_path / "run", "--frames", "20")


@pytest.mark.parametrize(("scores", "read"), [((-1, -1), [1, 1]), ((1, 0), [1, 0])])
def test_scores_of_minus_one_in_every_line_are_no_scores(tmp_path, scores, read):
    source = tmp_path / "det.txt"
    source.write_text("".join(f"{k},-1,5,5,20,20,{score},-1,-1,-1\n" for k, score in enumerate(scores, 1)))
    run = imported(source, tmp_path / "run")
    assert run.load(run.chunks[0]).detections.score.tolist() == read


@pytest.mark.parametrize("score", ["-1", "-0.2", "1.01", "87"])
def test_scores_that_are_no_probabilities_are_refused_with_their_line(tmp_path, score):
    source = tmp_path / "det.txt"
    source.write_text(f"1,-1,5,5,20,20,0.5\n\n2,-1,5,5,20,20,{score}\n")
    with pytest.raises(InputError, match=rf"line 3 has the score {score}; scores from 0 to 1 are needed"):
        imported(source, tmp_path / "run")
    source = tmp_path / "results.json"
    source.write_text(json.dumps([{"image_id": 1, "bbox": [0, 0, 5, 5], "score": float(score)}]))
    with pytest.raises(InputError, match="detection 0 has the score"):
        imported(source, tmp_path / "run")


def test_one_detection_twice_is_refused(tmp_path):
    source = tmp_path / "det.txt"
    lines = ["1,-1,5,5,20,20,0.5", "1,-1,5,5,20,20,0.6", "2,-1,5,5,20,20,0.5"]  # none is another
    source.write_text("\n".join(lines))
    run = imported(source, tmp_path / "run")
    assert len(run.load(run.chunks[0]).detections) == 3
    source.write_text("\n".join([*lines, lines[1]]))
    with pytest.raises(InputError, match="line 4 is the same detection as that of line 2"):
        imported(source, tmp_path / "other")
    row = {"image_id": 1, "bbox": [0, 0, 5, 5], "score": 0.5}
    (tmp_path / "results.json").write_text(json.dumps([row, row]))
    with pytest.raises(InputError, match="detection 1 is the same detection as that of detection 0"):
        imported(tmp_path / "results.json", tmp_path / "third")


def test_detections_of_several_categories_are_told_apart(tmp_path):
    source = tmp_path / "results.json"
    rows = [{"image_id": k, "category_id": 1 + k % 2, "bbox": [k, 0, 5, 5], "score": 1} for k in range(1, 5)]
    source.write_text(json.dumps(rows))
    with pytest.raises(InputError, match=r"several categories \(1, 2\); choose one with --category"):
        imported(source, tmp_path / "run")
    run = imported(source, tmp_path / "run", "--category", "1")
    found = run.load(run.chunks[0]).detections
    assert found.frame.tolist() == [1, 3] and found.boxes[:, 0].tolist() == [2, 4]
    with pytest.raises(InputError, match="holds no detections of category 7"):
        imported(source, tmp_path / "other", "--category", "7")


def test_boxes_end_where_the_picture_does(tmp_path):
    source = tmp_path / "det.txt"
    source.write_text("1,-1,-5000000,-5000000,10000000,10000000,0.9\n2,-1,950,-10,20,30,0.9\n")
    run = imported(source, tmp_path / "run")
    found = run.load(run.chunks[0]).detections
    assert found.boxes.tolist() == [[0, 0, 960, 544], [950, 0, 960, 20]]
    assert found.area_px2.tolist() == [960 * 544, 200]


@pytest.mark.parametrize("place", ["960,5", "5,544", "-20,5", "5,-20"])
def test_a_box_outside_of_the_picture_is_refused(tmp_path, place):
    source = tmp_path / "det.txt"
    source.write_text(f"1,-1,5,5,20,20,0.9\n2,-1,{place},20,20,0.9\n")
    with pytest.raises(InputError, match=r"line 2: the box \[.*\] lies outside of the picture, 960x544 px"):
        imported(source, tmp_path / "run")


@pytest.mark.parametrize(("name", "content"), [("det.txt", "\n"), ("results.json", "[]")])
def test_a_file_without_detections_is_refused_in_one_line(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=f"{name} holds no detections$"):
        imported(tmp_path / name, tmp_path / "run")


def test_pictures_far_apart_have_a_chunk_each(tmp_path):
    source = tmp_path / "det.txt"
    source.write_text("1,-1,5,5,20,20,0.9\n3,-1,5,5,20,20,0.9\n")
    main(["--from", str(source), "--size", "960x544", "--fps", "0.008", "--out", str(tmp_path / "run")])
    run = open_detections(tmp_path / "run")
    assert [part.seen.time_s.tolist() for part in run] == [[0], [125], [250]]


def results(path: Path, boxes: list) -> Path:
    path.write_text(json.dumps([{"image_id": k, "bbox": box, "score": 0.9} for k, box in enumerate(boxes, 1)]))
    return path


@pytest.mark.parametrize(
    ("boxes", "said"),
    [
        ([[0.1, 0.2, 0.05, 0.1]] * 3, "between 0 and 1, so they are shares of the picture, not px. Multiply x and"),
        ([[600, 300, 640, 330], [700, 100, 750, 140], [5, 5, 25, 25]], "its boxes are corners"),
        ([[x, x / 2, x + 20, x / 2 + 16] for x in range(0, 200, 10)], "its boxes are corners"),
        ([[1200, 300, 40, 30], [700, 100, 50, 40]], "1 of 2 boxes do; the file reaches to 1240 x 330 px"),
    ],
)
def test_boxes_of_another_unit_format_or_scale_are_refused(tmp_path, boxes, said):
    with pytest.raises(InputError, match=said):
        imported(results(tmp_path / "r.json", boxes), tmp_path / "run")
    text = "".join(f"{k},-1,{x},{y},{w},{h},0.9\n" for k, (x, y, w, h) in enumerate(boxes, 1))
    (tmp_path / "det.txt").write_text(text)
    with pytest.raises(InputError, match=said):
        imported(tmp_path / "det.txt", tmp_path / "other")


def test_an_ending_in_capital_letters_is_the_same_ending(tmp_path):
    run = imported(results(tmp_path / "R.JSON", [[10, 20, 30, 40]]), tmp_path / "run")
    assert run.load(run.chunks[0]).detections.boxes.tolist() == [[10, 20, 40, 60]]
