"""``python -m backend.admin weights add``: what is checked before a file lies where the pages look for weights."""

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torchvision.models import resnet18

from backend.admin import main
from backend.detectors import fetch
from backend.detectors.header import list_weights
from backend.detectors.load import build_detector
from backend.detectors.weights import write_weights
from backend.pipeline.default_model import default_model
from backend.project.errors import InputError
from backend.project.manifest import sha256
from tests.detectors.conftest import small


@pytest.fixture
def weights(tmp_path, monkeypatch) -> Path:
    """The ``weights/`` of a new installation's project."""
    monkeypatch.setenv("LEKTRACK_STATE", str(tmp_path / "state"))
    main(["init", "--project", str(tmp_path / "project")])
    return tmp_path / "project" / "weights"


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A folder with a detector that knows birds, and backbones as others write them."""
    folder = tmp_path_factory.mktemp("usb")
    detector = build_detector(small("torchvision ResNet-18", class_names=("bird", "dog")))
    write_weights(folder / "Ruffs 2027.safetensors", detector.network.state_dict(), detector.settings)
    backbone = resnet18(weights=None).state_dict()
    torch.save(backbone, folder / "resnet18.pth")
    save_file(backbone, folder / "timm.safetensors")
    (folder / "notes.txt").write_text("where they came from")
    return folder


def add(*given: object) -> None:
    main(["weights", "add", *map(str, given)])


def test_a_folder_of_weights_becomes_what_pages_and_scripts_choose_from(files, weights, capsys):
    add(files)
    said = capsys.readouterr().out
    assert sorted(path.name for path in weights.iterdir()) == [
        "resnet18.safetensors",
        "ruffs-2027.safetensors",
        "timm.safetensors",
    ]
    known = list_weights(weights)
    assert known[weights / "timm.safetensors"].backbone_only and known[weights / "resnet18.safetensors"].backbone_only
    assert default_model(weights.parent) == weights / "ruffs-2027.safetensors"
    assert sha256(weights / "ruffs-2027.safetensors") == sha256(files / "Ruffs 2027.safetensors")
    assert "torchvision resnet18, detector of 2 classes, SHA-256 " + sha256(files / "Ruffs 2027.safetensors") in said


def test_what_is_there_stays_unless_the_new_one_is_given_another_name(files, weights):
    add(files / "resnet18.pth")
    before = sha256(weights / "resnet18.safetensors")
    with pytest.raises(InputError, match="is there already; give another --name"):
        add(files / "resnet18.pth")
    add(files / "resnet18.pth", "--name", "second")
    assert sha256(weights / "resnet18.safetensors") == before
    assert (weights / "second.safetensors").is_file()


def test_a_file_is_checked_against_the_sum_in_its_name_and_is_called_as_if_fetched(files, weights, tmp_path):
    official = Path(fetch.KNOWN["imagenet_resnet18"].url).name
    damaged = tmp_path / official
    damaged.write_bytes((files / "resnet18.pth").read_bytes())
    with pytest.raises(InputError, match="is damaged: its SHA-256 does not begin with f37072fd"):
        add(damaged)
    whole = tmp_path / f"mine-{hashlib.sha256(damaged.read_bytes()).hexdigest()[:8]}.pth"
    damaged.rename(whole)
    add(whole, "--name", "mine")
    assert [path.name for path in weights.iterdir()] == ["mine.safetensors"]


def test_the_official_name_gives_the_name_that_fetching_gives(files, weights, tmp_path, monkeypatch):
    path = tmp_path / f"resnet18-{sha256(files / 'resnet18.pth')[:8]}.pth"
    path.write_bytes((files / "resnet18.pth").read_bytes())
    monkeypatch.setitem(fetch.KNOWN, "imagenet_resnet18", type("", (), {"url": f"https://example.org/{path.name}"}))
    add(path)
    assert [path.name for path in weights.iterdir()] == ["imagenet_resnet18.safetensors"]


@pytest.mark.parametrize(
    "change",
    [
        lambda held: held.popitem(),
        lambda held: held.update(extra=torch.zeros(1)),
        lambda held: held.update({name: torch.zeros(3) for name in held}),
    ],
    ids=["one is missing", "one is too many", "shapes of another network"],
)
def test_weights_that_are_not_of_the_network_they_name_are_refused(files, weights, tmp_path, change):
    held = load_file(files / "Ruffs 2027.safetensors")
    change(held)
    settings = list_weights(files)[files / "Ruffs 2027.safetensors"].settings
    write_weights(tmp_path / "wrong.safetensors", held, settings)
    with pytest.raises(InputError, match="does not hold the weights of this detector") as refused:
        add(tmp_path / "wrong.safetensors")
    assert "\n" not in str(refused.value)
    assert not weights.exists()


def test_what_is_no_weights_file_is_refused_in_one_line(files, weights, tmp_path):
    (tmp_path / "torn.safetensors").write_bytes((files / "timm.safetensors").read_bytes()[:1000])
    (tmp_path / "empty").mkdir()
    for given, words in (
        ((files / "notes.txt",), "is no weights file; they end in .safetensors, .pth"),
        ((tmp_path / "none.pth",), "there is no file .*none.pth"),
        ((tmp_path / "empty",), "holds no weights"),
        ((tmp_path / "torn.safetensors",), "cannot be read"),
        ((files / "resnet18.pth", "--name", "../up"), "is not allowed: use 1 to 80"),
        ((files, "--name", "one"), "--name is for one file; these are 3"),
    ):
        with pytest.raises(InputError, match=words) as refused:
            add(*given)
        assert "\n" not in str(refused.value)
    assert not weights.exists()
