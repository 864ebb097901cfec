import csv
import itertools
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from backend import track
from backend.lek.detector_run import ORIGIN, detect
from backend.lek.recording import record
from backend.lek.settings import LekSettings
from backend.match_identities import main
from backend.pipeline.detections import open_detections
from backend.project.errors import InputError
from backend.tracking.matching import NEW_NATS, match_probabilities
from backend.tracking.tracks import NONE, open_tracks
from tests.tracking.track_samples import two_birds, write_run


def portraits(folder, names, looks, noise=0.05):
    """A track run of a video with these birds."""
    write_run(folder, two_birds())
    d = looks.shape[1]
    np.savez(
        folder / "birds.npz",
        names=np.array(names),
        centres=looks,
        covariances=np.tile(noise * np.eye(d), (len(looks), 1, 1)),
        mean=np.zeros(d),
        between=np.eye(d),
    )


def test_birds_are_found_again_in_other_light(tmp_path):
    rng = np.random.default_rng(3)
    looks = rng.normal(0, 1, (8, 12))
    order = rng.permutation(8)
    portraits(tmp_path / "a", [f"a{k}" for k in range(8)], looks + 0.1 * rng.normal(size=looks.shape))
    portraits(tmp_path / "b", [f"b{k}" for k in order], looks[order] + 3.0 + 0.1 * rng.normal(size=looks.shape))
    main(["--first", str(tmp_path / "a"), "--second", str(tmp_path / "b"), "--out", str(tmp_path / "same.csv")])
    rows = list(csv.DictReader((tmp_path / "same.csv").read_text().splitlines()))
    assert [row["second"] for row in rows] == [f"b{k}" for k in range(8)]
    assert all(float(row["probability"]) > 0.9 for row in rows)


def test_a_bird_that_is_not_there_is_said_to_be_new(tmp_path):
    rng = np.random.default_rng(4)
    looks = rng.normal(0, 1, (9, 16))
    portraits(tmp_path / "a", [f"a{k}" for k in range(8)], looks[:8])
    portraits(tmp_path / "b", [f"b{k}" for k in range(1, 9)], looks[1:])
    main(["--first", str(tmp_path / "a"), "--second", str(tmp_path / "b"), "--out", str(tmp_path / "same.csv")])
    rows = list(csv.DictReader((tmp_path / "same.csv").read_text().splitlines()))
    assert [row["second"] for row in rows] == ["", *(f"b{k}" for k in range(1, 8))]


def test_probabilities_are_those_of_all_ways_to_match():
    ratios = np.random.default_rng(0).normal(0, 1.5, (3, 2)) - 1
    weights = np.column_stack([ratios, np.full(3, NEW_NATS)])
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
