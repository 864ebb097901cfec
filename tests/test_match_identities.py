import csv
import itertools
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from backend import track
from backend.lek.lek_settings import LekSettings
from backend.lek.recording import record
from backend.lek.simulated_run import ORIGIN, detect
from backend.match_identities import main
from backend.pipeline.detections import open_detections
from backend.project.errors import InputError
from backend.tracking.appearance.cross_video_reid import NO_MATCH_NATS, match_probabilities
from backend.tracking.tracks.track_folder import open_tracks
from backend.tracking.tracks.tracks import NONE
from tests.tracking.track_samples import two_birds, write_run


def portraits(folder, names, looks, noise=0.05, space="colour"):
    """A track run of a video with these birds."""
    write_run(folder, two_birds())
    d = looks.shape[1]
    np.savez(
        folder / "birds.npz",
        names=np.array(list(names)),
        centres=looks,
        covariances=np.tile(noise * np.eye(d), (len(looks), 1, 1)),
        mean=np.zeros(d),
        between=np.eye(d),
        space=np.array(space),
    )


def matched(folder):
    main(["--first", str(folder / "a"), "--second", str(folder / "b"), "--out", str(folder / "same.csv")])
    return list(csv.DictReader((folder / "same.csv").read_text().splitlines()))


def test_birds_are_found_again_in_other_light(tmp_path):
    rng = np.random.default_rng(3)
    looks = rng.normal(0, 1, (8, 12))
    order = rng.permutation(8)
    portraits(tmp_path / "a", [f"a{k}" for k in range(8)], looks + 0.1 * rng.normal(size=looks.shape))
    portraits(tmp_path / "b", [f"b{k}" for k in order], looks[order] + 3.0 + 0.1 * rng.normal(size=looks.shape))
    rows = matched(tmp_path)
    assert [row["second"] for row in rows] == [f"b{k}" for k in range(8)]
    assert all(float(row["probability"]) > 0.9 for row in rows)


def test_a_bird_that_is_not_there_is_said_to_be_new(tmp_path):
    rng = np.random.default_rng(4)
    looks = rng.normal(0, 1, (9, 16))
    portraits(tmp_path / "a", [f"a{k}" for k in range(8)], looks[:8])
    portraits(tmp_path / "b", [f"b{k}" for k in range(1, 9)], looks[1:])
    rows = matched(tmp_path)
    assert [row["second"] for row in rows] == ["", *(f"b{k}" for k in range(1, 8))]


def test_descriptions_of_two_networks_are_refused(tmp_path):
    looks = np.random.default_rng(5).normal(0, 1, (4, 8))
    portraits(tmp_path / "a", "abcd", looks, space="1" * 64)
    portraits(tmp_path / "b", "abcd", looks, space="2" * 64)
    with pytest.raises(InputError, match="--network"):
        matched(tmp_path)
    assert not (tmp_path / "same.csv").exists()


def test_tracks_that_do_not_say_what_described_them_are_refused(tmp_path):
    portraits(tmp_path / "a", "abc", np.eye(3))
    with np.load(tmp_path / "a/birds.npz") as file:
        old = {name: file[name] for name in file if name != "space"}
    np.savez(tmp_path / "a/birds.npz", **old)
    with pytest.raises(InputError, match="older version"):
        main(["--first", str(tmp_path / "a"), "--second", str(tmp_path / "a"), "--out", str(tmp_path / "same.csv")])


def test_two_birds_are_too_few_to_know_the_light_from_the_looks(tmp_path):
    portraits(tmp_path / "a", "abc", np.eye(3))
    portraits(tmp_path / "b", "ab", np.eye(3)[:2])
    with pytest.raises(InputError, match="second video has 2 birds; at least 3"):
        matched(tmp_path)


def test_what_differs_between_videos_is_learnt_from_the_birds_that_are_in_both(tmp_path):
    """The means of all birds differ by who is there; those of the same birds only by the light."""
    rng = np.random.default_rng(6)
    looks = np.concatenate([rng.normal(0, 0.7, (6, 12)), rng.normal(2.0, 0.3, (3, 12))])
    portraits(tmp_path / "a", [f"a{k}" for k in range(9)], looks)
    portraits(tmp_path / "b", [f"b{k}" for k in range(6)], looks[:6] + 1.0)
    assert [row["second"] for row in matched(tmp_path)] == [*(f"b{k}" for k in range(6)), "", "", ""]


@pytest.mark.parametrize("n", [20, 100])
def test_clear_looks_are_clear_however_many_birds_there_are(n):
    p = match_probabilities(np.where(np.eye(n) > 0, 12.0, -12.0))
    assert p[np.arange(n), np.arange(n)].min() > 0.99


def test_probabilities_are_those_of_all_ways_to_match():
    ratios = np.random.default_rng(0).normal(0, 1.5, (3, 2)) - 1
    weights = np.column_stack([ratios, np.full(3, NO_MATCH_NATS)])
    exact, total = np.zeros((3, 3)), 0.0
    for way in itertools.product(range(3), repeat=3):
        real = [j for j in way if j < 2]
        if len(real) == len(set(real)):
            weight = np.exp(sum(weights[i, j] for i, j in enumerate(way)))
            total += weight
            exact[np.arange(3), way] += weight
    assert np.abs(match_probabilities(ratios) - exact / total).max() < 0.03


def test_tracks_without_portraits_are_refused(tmp_path):
    write_run(tmp_path / "a", two_birds())
    with pytest.raises(InputError, match="look like"):
        main(["--first", str(tmp_path / "a"), "--second", str(tmp_path / "a"), "--out", str(tmp_path / "x.csv")])


def bird_behind(tracks, run):
    """Return the true bird of each identity: the one behind most of its detections."""
    origin = pq.read_table(run / ORIGIN)
    truth = dict(
        zip(
            zip(*(origin[c].to_pylist() for c in ("frame", "detection")), strict=True),
            origin["bird"].to_pylist(),
            strict=True,
        )
    )
    found = {}
    for code, name in enumerate(tracks.names):
        rows = np.flatnonzero((tracks.identity == code) & (tracks.detection != NONE))
        birds = [truth[int(tracks.frame[row]), int(tracks.detection[row])] for row in rows]
        found[name] = int(np.bincount(birds).argmax())
    return found


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_birds_of_a_rendered_lek_are_found_again_in_the_next_video(tmp_path):
    """Two films of the same birds, a minute apart: the first and the last minute of one lek, each tracked alone."""
    birds, fps = 6, 25
    record(tmp_path / "lek", LekSettings(birds, 180.0, seed=12, fps=fps), video=False)
    detect(tmp_path / "lek", tmp_path / "run", "normal")
    chunks = open_detections(tmp_path / "run").chunks
    behind = {}
    for name, chunk in (("first", chunks[0]), ("second", chunks[-1])):
        run = tmp_path / name
        shutil.copytree(tmp_path / "run", run)
        for other in set(chunks) - {chunk}:
            for path in (run / other.detections_file, run / other.frames_file):
                path.unlink()
        manifest = open_detections(run).manifest
        manifest.settings |= {"frame_start": chunk.from_frame, "frame_end": chunk.to_frame}
        manifest.write(run)
        track.main(["--detections", str(run), "--out", str(tmp_path / f"{name}-tracks"), "--n-birds", str(birds)])
        behind[name] = bird_behind(open_tracks(tmp_path / f"{name}-tracks"), run)
    out = tmp_path / "same.csv"
    main(["--first", str(tmp_path / "first-tracks"), "--second", str(tmp_path / "second-tracks"), "--out", str(out)])
    rows = list(csv.DictReader(out.read_text().splitlines()))
    right = [behind["first"][row["first"]] == behind["second"].get(row["second"]) for row in rows]
    sure = [float(row["probability"]) > 0.9 for row in rows]
    assert len(rows) == birds and sum(right) >= birds - 1
    assert all(is_right for is_right, is_sure in zip(right, sure, strict=True) if is_sure)
