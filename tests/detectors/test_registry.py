"""Engines appear when they can be imported, and say why when they cannot."""

import sys

import pytest

from backend.detectors import registry
from backend.project.errors import InputError


@pytest.fixture
def fresh():
    """Forget what was found out about engines, before and after."""
    registry.engines.cache_clear()
    yield
    registry.engines.cache_clear()


def test_torchvision_is_first_and_always_there(fresh):
    first = registry.engines()[0]
    assert (first.name, first.available) == ("torchvision", True)
    assert registry.engine("torchvision") is first


def test_an_engine_that_is_not_installed_says_how_to_install_it(fresh, monkeypatch):
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"detectron2 is not installed \(bash setup.sh install --detectron2"):
        registry.engine("detectron2")


def test_an_engine_that_does_not_import_says_why(fresh, monkeypatch, tmp_path):
    (tmp_path / "detectron2").mkdir()
    (tmp_path / "detectron2" / "__init__.py").write_text("raise ImportError('built for another torch')")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.split(".")[0] == "detectron2"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(InputError, match="does not import: built for another torch"):
        registry.engine("detectron2")


def test_unknown_engines_and_backbones_are_named():
    with pytest.raises(InputError, match="engine 'yolo' is not known; there are torchvision, detectron2"):
        registry.engine("yolo")
    with pytest.raises(InputError, match="backbone 'vgg' is not one of engine torchvision: resnet50"):
        registry.check_backbone(registry.TORCHVISION, "vgg")
