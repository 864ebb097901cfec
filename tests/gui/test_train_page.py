"""The form of a new training: what it offers is what the script will do."""

import json

import pytest
from streamlit.testing.v1 import AppTest

from backend.jobs import JobSpec, JobState
from backend.training.model_folder import read_model
from gui.widgets.context import job_store
from tests.gui.pages import button, opened
from tests.training.tiny import make_data, train


def form_from_a_model_of_infrared_images() -> None:
    """Draw the settings of a training from a model that darkens over-exposed images."""
    from pathlib import Path

    from backend.detectors.detector_settings import DetectorSettings
    from backend.training.estimate import SetFacts
    from backend.training.plan import choose_detector
    from gui.widgets.train_form import Data, Start, choose_settings

    network = DetectorSettings(class_names=("bird",), auto_gamma=True)
    data = Data("lek", Path("lek_train.json"), None, SetFacts(8, 20, ("bird",), (160, 96), 30.0))
    chosen = choose_settings(data, Start("model night", Path("night"), network), network, [])
    assert choose_detector(chosen, ("bird",), network).auto_gamma == chosen.auto_gamma


def test_what_the_base_model_has_learnt_with_cannot_seem_to_be_switched_off(installed):
    app = AppTest.from_function(form_from_a_model_of_infrared_images, default_timeout=60).run()
    assert not app.exception, app.exception
    toggle = next(each for each in app.toggle if each.label.startswith("Darken"))
    assert toggle.value and toggle.disabled


@pytest.mark.parametrize("evaluated", [True, False])
def test_a_training_is_stopped_with_its_best_weights_kept(installed, evaluated):
    """The button stops the training once there is an evaluation; before, the page says that nothing is left then."""
    out = installed.root / "training" / "ruffs"
    out.mkdir(parents=True)
    metrics = {"mask": {"ap": 0.4, "ap50": 0.6}, "box": {"ap": 0.4, "ap50": 0.6}}
    entry = {"step": 4, "best": True, "losses": {"loss": 1.0}, "metrics": metrics, "dead": {}}
    entry |= {"commonest_class_share": None, "seconds": 1.0}
    history = {"format": 1, "n_steps": 8, "steps_per_epoch": 4, "points": [], "evaluations": [entry] * evaluated}
    (out / "history.json").write_text(json.dumps(history))
    spec = JobSpec(kind="train", title="Train ruffs", command=("-c", "pass"), output=out, project=installed.root)
    job = job_store().submit(spec)
    app = opened("train", **{"asked-view": "Training runs"})
    stop = button(app, "Stop and keep the best so far")
    assert stop.disabled is not evaluated
    assert any("no evaluation yet" in each.value for each in app.caption) is not evaluated
    if evaluated:
        stop.click().run()
        assert not app.exception and job_store().get(job.id).state in (JobState.STOPPED, JobState.STOPPING)


def test_a_stopped_training_is_offered_as_base_model_and_in_inference(installed, tmp_path):
    (tmp_path / "data").mkdir()
    data = make_data(tmp_path / "data")
    out = train(data, installed.root / "training" / "ruffs", "--n-epoch", "1")
    read_model(out).manifest.model_copy(update={"complete": False, "files": {}}).write(out)

    def forms() -> None:
        from gui.widgets.inference_form import choose_model
        from gui.widgets.train_form import choose_start

        choose_start()
        choose_model()

    app = AppTest.from_function(forms, default_timeout=60).run()
    assert not app.exception, app.exception
    offered = {box.label: box.options for box in app.selectbox}
    assert "model ruffs" in offered["Base model"] and any("ruffs" in name for name in offered["Model"])
    assert any("best weights so far" in each.value for each in opened("train", **{"asked-view": "Training runs"}).info)
