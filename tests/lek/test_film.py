import json

import av
import cv2
import numpy as np
import pytest

from backend.lek.film import Studio
from backend.lek.lek_settings import LekSettings, difficulty
from backend.lek.visible import VIEW
from backend.lek.world import found, live
from backend.masks.indexed import read_labels
from backend.masks.objects import read_objects
from backend.masks.rle import paint
from backend.video.probe import probe
from backend.video.reader import VideoReader


def test_the_video_has_the_frames_size_rate_and_colours_it_should(filmed, filmed_settings):
    info = probe(filmed / "video.mp4")
    assert (info.width, info.height, info.fps, info.n_frames) == (640, 360, 25, 75)
    assert info.start_time == filmed_settings.start_time and not info.variable_rate
    with av.open(str(filmed / "video.mp4")) as container:
        stream = container.streams.video[0].codec_context
        assert (stream.pix_fmt, stream.colorspace, stream.color_range) == ("yuv420p", 1, 1)
        keys = [frame.pts for frame in container.decode(video=0) if frame.key_frame]
    assert len(keys) == 2  # one every two seconds


def test_the_decoded_picture_is_the_rendered_one(filmed, filmed_settings):
    lek = found(filmed_settings)
    _, states = next(iter(live(lek)))
    rgb, _, _ = Studio(lek).shoot(0, states[0], np.zeros(7, VIEW))
    with VideoReader(filmed / "video.mp4") as video:
        decoded = video.read([0])[0]
    assert np.abs(decoded.astype(int) - rgb).mean() < 8
    assert np.abs(decoded.mean(axis=(0, 1)) - rgb.mean(axis=(0, 1))).max() < 1.5  # the same colours


def test_masks_truth_and_objects_name_the_same_pixels(filmed, truth):
    rows = truth(filmed)
    ids = {entry.id for entry in read_objects(filmed)}
    pictures = sorted((filmed / "masks").glob("*.png"))
    assert [int(path.stem) for path in pictures] == list(range(0, 75, 10))
    for path in pictures:
        labels = read_labels(path)
        seen = rows[(rows.frame == int(path.stem)) & (rows.area_px2 > 0)]
        assert set(np.unique(labels)) - {0} == set(seen.bird) <= ids
        painted = paint(list(seen.rle), 360, 640)
        assert np.array_equal(np.r_[0, seen.bird][painted], labels)
        assert seen.area_px2.sum() == (labels > 0).sum()  # so the masks do not overlap


def test_rendered_and_outlined_leks_tell_the_same_story(filmed, filmed_settings, truth, tmp_path):
    from backend.lek.recording import record

    record(tmp_path / "outlined", filmed_settings, video=False)
    rendered, outlined = truth(filmed), truth(tmp_path / "outlined")
    same = ["frame", "bird", "foot_x", "ground_x", "ground_y", "height_m", "behaviour", "in_box", "partner"]
    assert rendered[same].equals(outlined[same])
    assert (filmed / "events.jsonl").read_bytes() == (tmp_path / "outlined" / "events.jsonl").read_bytes()
    both = (rendered.visible_share > 0.5) & (outlined.visible_share > 0.5)
    assert (rendered.x1[both] - outlined.x1[both]).abs().median() < 3


def channels(rgb):
    soft = cv2.GaussianBlur(rgb, (0, 0), 1)
    red, green, blue = cv2.split(soft.astype(np.float32))
    green_excess = np.clip(128 + green - (red + blue) / 2, 0, 255).astype(np.uint8)
    spaces = [soft, cv2.cvtColor(soft, cv2.COLOR_RGB2HSV), cv2.cvtColor(soft, cv2.COLOR_RGB2LAB)]
    return [space[..., k] for space in spaces for k in range(3)] + [green_excess]


def best_interval_iou(channel, birds):
    """Return the IoU of the best of all intervals of a channel, chosen with the truth in hand."""
    hits = np.r_[0, np.bincount(channel[birds], minlength=256).cumsum()]
    taken = np.r_[0, np.bincount(channel.ravel(), minlength=256).cumsum()]
    inside, size = hits[None] - hits[:, None], taken[None] - taken[:, None]
    return np.triu(inside / np.maximum(size + birds.sum() - inside, 1)).max()


@pytest.mark.parametrize(("preset", "birds"), [("easy", 6), ("normal", 10), ("hard", 20)])
def test_no_colour_threshold_finds_the_birds(preset, birds):
    lek = found(LekSettings(birds=birds, seconds=10, seed=4, difficulty=difficulty(preset)))
    studio = Studio(lek)
    _, states = next(iter(live(lek)))
    for frame in (0, 200):
        rgb, owner, _ = studio.shoot(frame, states[frame], np.zeros(birds, VIEW))
        assert max(best_interval_iou(channel, owner > 0) for channel in channels(rgb)) < 0.45
        otsu = [cv2.threshold(channel, 0, 255, cv2.THRESH_OTSU)[1] > 0 for channel in channels(rgb)]
        overlaps = [np.sum(cut & (owner > 0)) / np.sum(cut | (owner > 0)) for one in otsu for cut in (one, ~one)]
        assert max(overlaps) < 0.15


def test_light_and_grass_move_while_the_birds_stand_still():
    lek = found(LekSettings(birds=2, seconds=60, seed=4, difficulty=difficulty("hard")))
    studio = Studio(lek)
    _, states = next(iter(live(lek)))
    early, late = (studio.shoot(frame, states[0], np.zeros(2, VIEW))[0].astype(int) for frame in (0, 700))
    assert np.abs(early - late).mean() > 4
    assert 40 < early.mean() < 170


def test_the_manifest_vouches_for_every_file(filmed):
    from backend.project.manifest import verify

    manifest = verify(filmed)
    assert manifest.counts["frames"] == 75 and manifest.counts["rows"] == 75 * 7
    assert {"video.mp4", "truth.parquet", "events.jsonl", "masks/000010.png"} <= set(manifest.files)
    assert manifest.settings["likeness"] == 0.6 and json.loads((filmed / "zones.json").read_text())["version"] == 1
