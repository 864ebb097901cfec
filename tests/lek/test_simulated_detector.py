import numpy as np
import pyarrow.parquet as pq
import pytest

from backend.lek.lek_settings import LekSettings, difficulty
from backend.lek.recording import record
from backend.lek.simulated_detector import NOISE
from backend.lek.simulated_run import ORIGIN, detect
from backend.masks.rle import area, box, iou
from backend.pipeline.detections import open_detections
from backend.project.errors import InputError
from backend.tracking.appearance.store import read_embeddings


@pytest.fixture(scope="module")
def lek(tmp_path_factory):
    out = tmp_path_factory.mktemp("detector") / "lek"
    record(out, LekSettings(birds=8, seconds=20, seed=3, difficulty=difficulty("hard")), video=False)
    return out


def seen(folder):
    run = open_detections(folder)
    return run, run.load(run.chunks[0]).detections, pq.read_table(folder / ORIGIN).to_pandas()


def test_a_detector_without_noise_yields_the_truth(lek, tmp_path):
    detect(lek, tmp_path / "run", "none")
    run, found, origin = seen(tmp_path / "run")
    truth = pq.read_table(lek / "truth.parquet").to_pandas()
    truth = truth[truth.area_px2 >= 20]
    assert len(found) == len(truth)
    merged = origin.merge(truth, on=["frame", "bird"])
    assert all(iou([found.counts(k)], [merged.rle[k]], run.facts.height)[0, 0] == 1 for k in range(0, len(found), 50))


def test_masks_boxes_and_areas_of_the_noisy_run_belong_together(lek, tmp_path):
    detect(lek, tmp_path / "run", "hard")
    run, found, _ = seen(tmp_path / "run")
    for k in range(0, len(found), 37):
        assert box(found.counts(k), run.facts.height).tolist() == found.boxes[k].tolist()
        assert area(found.counts(k)) == found.area_px2[k]


def test_the_hard_detector_fails_in_every_way_it_should(lek, tmp_path):
    detect(lek, tmp_path / "run", "hard")
    _, found, origin = seen(tmp_path / "run")
    truth = pq.read_table(lek / "truth.parquet", columns=["frame", "bird", "area_px2"]).to_pandas()
    pairs = set(zip(origin.frame, origin.bird, strict=True)) | set(zip(origin.frame, origin.second, strict=True))
    visible = truth[truth.area_px2 >= 20]
    recall = np.mean([pair in pairs for pair in zip(visible.frame, visible.bird, strict=True)])
    assert 0.85 < recall < 0.99
    assert 0.002 < np.mean(origin.bird == 0) < 0.1
    assert 0.0005 < np.mean(origin.second > 0) < 0.1
    twice = origin[origin.bird > 0].groupby(["frame", "bird"]).size()
    assert 0.002 < np.mean(twice > 1) < 0.05


def test_a_miss_lasts(lek, tmp_path):
    detect(lek, tmp_path / "run", "hard")
    _, _, origin = seen(tmp_path / "run")
    there = np.zeros((500, 9), bool)
    there[origin.frame, origin.bird] = True
    gaps = [len(run) for bird in range(1, 9) for run in "".join("ny"[int(x)] for x in there[:, bird]).split("y") if run]
    assert np.mean([gap for gap in gaps if gap < 100]) > 2


def test_the_same_seed_gives_the_same_run_and_descriptors_go_with_detections(lek, tmp_path):
    for name in "ab":
        detect(lek, tmp_path / name, "hard", seed=5)
    first, found, _ = seen(tmp_path / "a")
    assert first.manifest.files == open_detections(tmp_path / "b").manifest.files
    frame, detection, vectors = read_embeddings(tmp_path / "a", first.chunks[0])
    assert np.array_equal(frame, found.frame)
    assert np.array_equal(detection, found.detection)
    assert np.isfinite(vectors).all()


def test_what_cannot_be_detected_is_refused(lek, tmp_path):
    with pytest.raises(InputError, match="none, normal, hard"):
        detect(lek, tmp_path / "run", "harder")
    blind = tmp_path / "blind"
    record(blind, LekSettings(birds=2, seconds=1, seed=1), video=False, masks=False)
    with pytest.raises(InputError, match="without --no-masks"):
        detect(blind, tmp_path / "run", "hard")
    assert set(NOISE) == {"none", "normal", "hard"}
