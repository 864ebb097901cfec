"""The truth of a lek as a run of tracking."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from backend.lek.lek_settings import LekSettings
from backend.lek.recording import record
from backend.lek.truth_tracks import write_truth_tracks
from backend.project.errors import InputError
from backend.project.manifest import verify
from backend.tracking.tracks.schemas import State
from backend.tracking.tracks.track_folder import open_tracks, read_doubts, read_tracklets


def test_every_bird_is_a_track_lost_where_it_is_not_seen(tmp_path):
    record(tmp_path / "lek", LekSettings(birds=4, seconds=20, seed=3), video=False, masks=False)
    write_truth_tracks(tmp_path / "lek", tmp_path / "tracks")
    verify(tmp_path / "tracks")
    tracks = open_tracks(tmp_path / "tracks")
    truth = pq.read_table(tmp_path / "lek" / "truth.parquet", columns=["frame", "bird", "x1"])
    assert tracks.names == ("bird 01", "bird 02", "bird 03", "bird 04") and tracks.n_frames == 500
    assert np.array_equal(tracks.track_id, truth["bird"].to_numpy())
    assert np.array_equal(tracks.state == State.LOST, np.isnan(truth["x1"].to_numpy()))
    assert len(read_doubts(tmp_path / "tracks")) == len(read_tracklets(tmp_path / "tracks")) == 0
    summary = json.loads((tmp_path / "tracks" / "summary.json").read_text())
    assert summary["birds"] == 4 and summary["counts"]["rows"] == 2000
    write_truth_tracks(tmp_path / "lek", tmp_path / "tracks")  # again: nothing to do


def test_what_is_no_lek_is_refused(tmp_path):
    with pytest.raises(InputError, match="nothing was finished"):
        write_truth_tracks(tmp_path, tmp_path / "tracks")
