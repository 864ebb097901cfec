"""Weights from the network: what comes is checked, and nothing half stays. The server is one of our own."""

import functools
import hashlib
import http.server
import threading
import types

import pytest
import torch
from torchvision.models import mobilenet_v3_large

from backend.admin import main
from backend.detectors import fetch as fetching
from backend.detectors.header import list_weights
from backend.project.errors import InputError

NAME = "imagenet_mobilenet_v3_large"


@pytest.fixture(scope="module")
def mirror(tmp_path_factory):
    """The address of a folder with weights, and the beginning of their SHA-256."""
    folder = tmp_path_factory.mktemp("mirror")
    torch.manual_seed(0)
    torch.save(mobilenet_v3_large(weights=None).state_dict(), folder / "weights.pth")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield (
        f"http://127.0.0.1:{server.server_port}",
        hashlib.sha256((folder / "weights.pth").read_bytes()).hexdigest()[:8],
    )
    server.shutdown()
    server.server_close()


@pytest.fixture
def known(mirror, monkeypatch):
    """Weights whose official file is the one of `mirror`."""
    official = types.SimpleNamespace(url=f"https://example.org/models/weights-{mirror[1]}.pth")
    monkeypatch.setitem(fetching.KNOWN, NAME, official)


def fetch(folder, *more: str) -> None:
    main(["weights", "fetch", NAME, "--folder", str(folder), *more])


def test_weights_come_in_our_format_and_can_be_chosen(mirror, known, tmp_path, capsys):
    fetch(tmp_path / "weights", "--url", f"{mirror[0]}/weights.pth")
    (path,) = (tmp_path / "weights").iterdir()
    assert path.name == f"{NAME}.safetensors" and str(path) in capsys.readouterr().out
    header = list_weights(tmp_path / "weights")[path]
    assert header.backbone_only and header.settings.backbone == "mobilenet_v3_large"
    with pytest.raises(InputError, match="is there already"):
        fetch(tmp_path / "weights", "--url", f"{mirror[0]}/weights.pth")


def test_another_file_than_the_one_meant_is_refused_and_nothing_stays(mirror, tmp_path):
    with pytest.raises(InputError, match=r"SHA-256 begins with \w{8}, it should with 8738ca79"):
        fetch(tmp_path, "--url", f"{mirror[0]}/weights.pth")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:9/weights.pth", r"cannot be fetched \(.*refused.*backend.admin weights add"),
        ("{mirror}/none.pth", r"cannot be fetched \(File not found"),
        ("file:///etc/passwd", "begins with https://"),
        ("weights.pth", "begins with https://"),
    ],
)
def test_without_a_network_one_line_says_what_to_do(mirror, tmp_path, url, words):
    with pytest.raises(InputError, match=words) as refused:
        fetch(tmp_path, "--url", url.format(mirror=mirror[0]))
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_an_unknown_name_lists_those_there_are(tmp_path):
    with pytest.raises(InputError, match="there are coco_resnet50, "):
        main(["weights", "fetch", "yolo", "--folder", str(tmp_path)])
    assert all(fetching.CHECKSUM.search(weights.url) for weights in fetching.KNOWN.values())
