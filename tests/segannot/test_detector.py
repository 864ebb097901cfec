"""The project's own network proposes birds: real loading and inference with random weights."""

import numpy as np
import pytest
import torch

from backend.detectors.detector_settings import DetectorSettings
from backend.detectors.load import build_detector
from backend.detectors.weights import write_weights
from backend.masks.objects import MaskOrigin
from backend.project.errors import InputError
from segannot.engines import trained_model as detector
from segannot.requests import FrameAct
from tests.segannot.conftest import SIZE


@pytest.fixture
def weights(birds_project):
    """Random weights that know birds, in the project's ``weights/``."""
    settings = DetectorSettings(
        class_names=("bird",), backbone="mobilenet_v3_large", short_side_px=96, long_side_px=160, proposals=20
    )
    torch.manual_seed(0)
    (birds_project.root / "weights").mkdir()
    path = birds_project.root / "weights" / "general.safetensors"
    write_weights(path, build_detector(settings).network.state_dict(), settings)
    return path


def test_without_a_model_the_page_says_why(session):
    reasons = {each.name: each.reason for each in session.engines.facts()}
    assert "no model is trained yet" in reasons["detector"] and not reasons["classic"]
    with pytest.raises(InputError, match="no model is trained yet"):
        session.frame_act(FrameAct(version=session.store.version, frame=0, kind="propose"))


def test_proposals_become_objects_that_nobody_has_looked_at_yet(weights, session, monkeypatch):
    monkeypatch.setattr(detector, "SHOWN_SCORE", 0.0)  # random weights are sure of nothing
    session.frame_act(FrameAct(version=session.store.version, frame=4, kind="propose"))
    labels, objects = session.store.labels(4), session.store.objects
    assert labels.shape == SIZE[::-1] and objects and {each.class_name for each in objects} == {"bird"}
    assert set(np.unique(labels)) <= {0, *(each.id for each in objects)}
    assert session.store.origins[4] is MaskOrigin.PROPAGATED
    session.turn("undo", session.store.version, "")
    assert not session.store.objects and 4 not in session.store.origins


def test_what_is_outlined_already_is_not_proposed_again(weights, session, monkeypatch):
    monkeypatch.setattr(detector, "SHOWN_SCORE", 0.0)
    session.frame_act(FrameAct(version=session.store.version, frame=4, kind="propose"))
    before = session.store.labels(4).copy()
    try:
        session.frame_act(FrameAct(version=session.store.version, frame=4, kind="propose"))
    except InputError as refused:
        assert "no further birds" in str(refused)
    after = session.store.labels(4)
    assert (after[before > 0] == before[before > 0]).all()
