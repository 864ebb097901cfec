"""Corrected tracks become outlines: what people drew and called no bird counts, what they drew in SegAnnot stays."""

from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from backend.export_frames import main as export_frames
from backend.mask2coco import main as mask2coco
from backend.masks import rle
from backend.masks.indexed import read_labels, write_labels
from backend.masks.objects import MaskOrigin, read_frames, read_objects
from backend.project.errors import InputError
from backend.project.locks import output_lock
from backend.project.paths import Project
from board.load_board import open_board
from board.requests import ActRequest
from segannot.from_tracks import main
from segannot.store import AnnotationStore
from tests.board.boards import SIZE, box_of, small_project

DRAWN = np.zeros(SIZE[::-1], bool)
DRAWN[70:90, 100:140] = True


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return small_project(tmp_path / "project")


def decide(project: Project, *decisions: dict) -> None:
    with open_board(project, project.track_output("lek", "tracks-a"), 1.0) as board:
        for decision in decisions:
            board.session.act(ActRequest(version=board.session.view.version, **decision), "Ann")


def hand_back(project: Project, *options: str) -> Path:
    main(["--tracks", str(project.track_output("lek", "tracks-a")), *options])
    return project.segannot("lek")


def names_in(folder: Path, frame: int) -> dict[str, np.ndarray]:
    """Return the mask of every object in a frame."""
    labels = read_labels(folder / f"{frame:06d}.png")
    return {each.name: labels == each.id for each in read_objects(folder) if (labels == each.id).any()}


def draw(track: int, frame: int, mask: np.ndarray, identity: str) -> dict:
    box = tuple(rle.box(rle.encode(mask), SIZE[1]).tolist())
    facts = {"kind": "draw", "frame": frame, "identity": identity, "box": box, "rle": rle.encode(mask).decode()}
    return {**facts, "track": track}


def test_masks_have_the_corrected_names_and_what_people_drew(project: Project) -> None:
    gone = {"kind": "not_a_bird", "track": 2, "frame": 5, "to": 6}
    decide(project, gone, draw(3, 5, DRAWN, "bird 03"), {"kind": "name", "track": 1, "frame": 7, "identity": "Bruno"})
    folder = hand_back(project, "--frames", "5,7")
    masks = names_in(folder, 5)
    assert sorted(masks) == ["bird 01", "bird 03"]
    assert np.array_equal(masks["bird 03"], DRAWN)
    x1, y1, x2, y2 = map(int, box_of(0, 5))
    assert masks["bird 01"].sum() == (x2 - x1) * (y2 - y1) and masks["bird 01"][y1:y2, x1:x2].all()
    assert sorted(names_in(folder, 7)) == ["Bruno", "bird 02", "bird 03"]
    assert {each.class_name for each in read_objects(folder)} == {"bird"}
    assert read_frames(folder) == {5: MaskOrigin.REVIEWED, 7: MaskOrigin.PROPAGATED}


def test_frames_are_chosen_by_what_people_did(project: Project, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(InputError, match="nothing was drawn, corrected or reviewed yet"):
        hand_back(project, "--most", "5")
    watched = {"kind": "reviewed", "frame": 30, "to": 60}
    decide(project, watched, {"kind": "swap", "track": 1, "other": 2, "frame": 12}, draw(3, 13, DRAWN, "bird 03"))
    folder = hand_back(project, "--most", "3")
    assert sorted(read_frames(folder)) == [13, 38]  # all others are within a second of these
    assert set(read_frames(folder).values()) == {MaskOrigin.REVIEWED}
    assert "outlines of 2 frames, 0 left out" in capsys.readouterr().out


def test_a_frame_with_a_bird_without_mask_is_left_out(project: Project, capsys: pytest.CaptureFixture) -> None:
    box_only = {"kind": "draw", "track": 1, "frame": 9, "identity": "bird 01", "box": (5, 5, 30, 30)}
    decide(project, box_only)
    folder = hand_back(project, "--frames", "8-10")
    assert sorted(read_frames(folder)) == [8, 10]
    assert "frame 9: bird 01 has a box and no mask; draw the mask on the board" in capsys.readouterr().out


def test_outlines_drawn_in_segannot_stay_and_all_can_be_undone(project: Project) -> None:
    folder = project.segannot("lek")
    with output_lock(folder):
        mine = np.zeros(SIZE[::-1], np.uint8)
        mine[2:9, 2:9] = 7
        write_labels(folder / "000003.png", mine)
    hand_back(project, "--frames", "2-4")
    assert np.array_equal(read_labels(folder / "000003.png"), mine)
    assert sorted(read_frames(folder)) == [2, 3, 4]
    store = AnnotationStore(folder, SIZE)
    assert store.undo_kind == "from tracks"
    store.undo()
    store.close()
    assert sorted(read_frames(folder)) == [3] and read_objects(folder) == []


def test_while_segannot_has_the_video_open_nothing_is_written(project: Project) -> None:
    with output_lock(project.segannot("lek")), pytest.raises(InputError, match="being written by another process"):
        hand_back(project, "--frames", "1")


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # in pycocotools
def test_the_way_goes_on_to_a_training_set(project: Project, tmp_path: Path) -> None:
    folder = hand_back(project, "--frames", "0,20,40")
    pictures = project.exported_frames("lek")
    export_frames(["--src", str(project.root / "lek.mp4"), "--dest", str(pictures), "--frames", "0,20,40"])
    train = tmp_path / "set_train.json"
    paths = ["--img-folder-path", str(pictures), "--mask-folder-paths", str(folder)]
    mask2coco([*paths, "--json-path-train", str(train), "--train-ratio", "1"])
    coco = COCO(str(train))
    assert len(coco.imgs) == 3 and len(coco.anns) == 9
    found = {coco.annToMask(each).tobytes() for each in coco.loadAnns(coco.getAnnIds())}
    expected = {mask.astype(np.uint8).tobytes() for frame in (0, 20, 40) for mask in names_in(folder, frame).values()}
    assert found == expected


def test_what_cannot_be_handed_back_is_said(project: Project, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give --frames, a list, or --most, a number"):
        hand_back(project)
    with pytest.raises(InputError, match="frame 99 is outside the video"):
        hand_back(project, "--frames", "99")
    for file in project.inference_output("lek", "detections-a").iterdir():
        file.unlink()
    with pytest.raises(InputError, match="the detections behind these tracks are gone"):
        hand_back(project, "--frames", "1")
