"""Embeddings learnt from the video itself tell birds of a rendered lek apart; a stopped run goes on."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from backend.describe import MANIFEST, main
from backend.lek.lek_settings import LekSettings
from backend.lek.recording import VIDEO, record
from backend.lek.simulated_run import ORIGIN, detect
from backend.pipeline.detections import DetectionsRun, open_detections
from backend.project.errors import InputError
from backend.project.manifest import read_manifest
from backend.tracking.appearance.colour_embedding import SIZE
from backend.tracking.appearance.crops import frame_crops
from backend.tracking.appearance.embedding_network import embed, train
from backend.tracking.appearance.store import embedding_space, embeddings_file, read_embeddings
from backend.video import VideoReader

BIRDS, SECONDS, FPS = 5, 10, 10


@pytest.fixture(scope="module")
def lek(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DetectionsRun]:
    folder = tmp_path_factory.mktemp("filmed")
    assert record(folder / "lek", LekSettings(birds=BIRDS, seconds=SECONDS, seed=21, fps=FPS, size=(640, 360)))
    detect(folder / "lek", folder / "run", "normal")
    return folder / "lek" / VIDEO, open_detections(folder / "run")


def describe(lek: tuple[Path, DetectionsRun], out: Path, *more: str, kind: str = "colour") -> None:
    main(["--kind", kind, "--detections", str(lek[1].folder), "--video-path", str(lek[0]), "--out", str(out), *more])


def told_apart(run: DetectionsRun, folder: Path) -> float:
    """Return how often a bird of the second half is nearest to its own mean of the first half."""
    frame, detection, x = read_embeddings(folder, run.chunks[0])
    origin = pq.read_table(run.folder / ORIGIN)
    key = origin["frame"].to_numpy().astype(np.int64) << 16 | origin["detection"].to_numpy()
    row = np.searchsorted(key, frame.astype(np.int64) << 16 | detection)
    bird, second = (origin[name].to_numpy()[row].astype(int) for name in ("bird", "second"))
    alone = (bird > 0) & (second == 0)
    frame, bird, x = frame[alone], bird[alone], x[alone]
    early = frame < SECONDS * FPS / 2
    known = [b for b in range(1, BIRDS + 1) if (early & (bird == b)).any() and (~early & (bird == b)).any()]
    assert len(known) >= 4
    means = np.stack([x[early & (bird == b)].mean(axis=0) for b in known])
    spread = np.concatenate([x[early & (bird == b)] - mean for b, mean in zip(known, means, strict=True)]).std(axis=0)
    late = ~early & np.isin(bird, known)
    far = (((x[late][:, None] - means) / (spread + 0.02)) ** 2).sum(axis=2)
    return float((np.array(known)[far.argmin(axis=1)] == bird[late]).mean())


def test_colour_and_shape_tell_birds_apart(lek, tmp_path):
    describe(lek, tmp_path)
    _, _, x = read_embeddings(tmp_path, lek[1].chunks[0])
    assert x.shape[1] == SIZE
    assert np.isfinite(x).all()
    assert told_apart(lek[1], tmp_path) > 2 / BIRDS


def test_birds_are_cut_out_where_they_are(lek):
    part = lek[1].load(lek[1].chunks[0])
    with VideoReader(lek[0]) as reader:
        ((_, birds),) = frame_crops(reader, part, np.array([20]))
        picture = reader.read([20])[0]
    assert len(birds) == part.seen.n[20]
    for bird in birds:
        x1, y1 = np.floor(part.detections.boxes[bird.row, :2]).astype(int)
        height, width = bird.mask.shape
        assert np.array_equal(bird.rgb, picture[y1 : y1 + height, x1 : x1 + width])
        assert bird.mask.sum() == part.detections.area_px2[bird.row]


def test_it_goes_on_where_it_was_stopped(lek, tmp_path, capsys):
    describe(lek, tmp_path)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    file, manifest = tmp_path / embeddings_file(lek[1].chunks[0]), tmp_path / "appearance.manifest.json"
    file.unlink()
    manifest.write_text(manifest.read_text().replace('"complete": true', '"complete": false'))
    describe(lek, tmp_path)
    assert file.read_bytes() == made[file.name]
    shutil.copytree(lek[1].folder, tmp_path / "moved")
    describe((lek[0], open_detections(tmp_path / "moved")), tmp_path)
    assert "was there already" in capsys.readouterr().out, "the same run, in another folder"
    with pytest.raises(InputError, match="differs in per_second"):
        describe(lek, tmp_path, "--per-second", "2")


def test_foreign_embeddings_are_not_touched(lek, tmp_path):
    foreign = tmp_path / embeddings_file(lek[1].chunks[0])
    foreign.write_bytes(b"made by something else")
    with pytest.raises(InputError, match="did not make"):
        describe(lek, tmp_path)
    assert foreign.read_bytes() == b"made by something else"


def test_a_lonely_bird_teaches_nothing_and_may_stay_undescribed(tmp_path, capsys):
    assert record(tmp_path / "lek", LekSettings(birds=1, seconds=2, seed=3, fps=FPS, size=(320, 192)))
    detect(tmp_path / "lek", tmp_path / "run", "none")
    lonely = tmp_path / "lek" / VIDEO, open_detections(tmp_path / "run")
    with pytest.raises(InputError, match="nothing to learn from.*--kind colour"):
        describe(lonely, tmp_path / "a", kind="learnt")
    describe(lonely, tmp_path / "b", "--if-possible", kind="learnt")
    assert "birds stay undescribed" in capsys.readouterr().err
    assert read_manifest(tmp_path / "b" / MANIFEST).complete
    assert not list((tmp_path / "b").glob("appearance_*"))


def test_a_network_learns_what_stays_the_same_within_tracklets():
    rng = np.random.default_rng(0)
    moment, tracklet = np.repeat(np.arange(12), 3), np.tile([0, 1, 2], 12)
    colour = np.array([[200, 60, 60], [60, 200, 60], [60, 60, 200]])[tracklet]
    pictures = np.clip(colour[:, None, None] + rng.normal(0, 40, (36, 48, 48, 3)), 0, 255).astype(np.uint8)
    network = train(pictures, moment, tracklet, 15, 0)
    x = embed(network, pictures)
    alike = x @ x.T
    same = tracklet[:, None] == tracklet
    assert np.allclose(np.linalg.norm(x, axis=1), 1, atol=1e-5)
    assert alike[same].min() > alike[~same].max()


@pytest.mark.slow
def test_a_network_learns_from_tracklets_what_tells_birds_apart(lek, tmp_path):
    describe(lek, tmp_path, "--steps", "60", kind="learnt")
    assert told_apart(lek[1], tmp_path) > 2 / BIRDS


def test_another_video_is_described_with_the_network_of_the_first(lek, tmp_path):
    describe(lek, tmp_path / "first", "--steps", "2", kind="learnt")
    describe(lek, tmp_path / "own", "--steps", "2", "--seed", "1", kind="learnt")
    describe(lek, tmp_path / "same", "--network", str(tmp_path / "first"), kind="learnt")
    spaces = [embedding_space(tmp_path / name) for name in ("first", "own", "same")]
    assert spaces[0] == spaces[2] != spaces[1]
    first, own, same = (read_embeddings(tmp_path / name, lek[1].chunks[0])[2] for name in ("first", "own", "same"))
    assert np.array_equal(first, same)
    assert np.abs(first - own).max() > 0.05


def test_a_network_that_is_not_there_is_refused(lek, tmp_path):
    with pytest.raises(InputError, match=r"has no appearance\.safetensors"):
        describe(lek, tmp_path / "out", "--network", str(tmp_path), kind="learnt")
    with pytest.raises(InputError, match="goes with --kind learnt, not colour"):
        describe(lek, tmp_path / "out", "--network", str(tmp_path))
    assert not (tmp_path / "out").exists()


def test_nothing_to_learn_from_is_said():
    pictures = np.zeros((4, 48, 48, 3), np.uint8)
    with pytest.raises(ValueError, match="nothing to learn from"):
        train(pictures, np.arange(4), np.zeros(4, np.int64), 5, 0)
