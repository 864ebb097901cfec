"""The form of a new training: what it offers is what the script will do."""

from streamlit.testing.v1 import AppTest


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
