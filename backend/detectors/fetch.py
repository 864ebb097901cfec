"""Weights that torchvision's authors trained on COCO and ImageNet, brought from the network when a person asks for it.

No job and no page does that by itself: a machine at a field station must not depend on a network at night.
"""

import hashlib
import re
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO

from torchvision import models
from torchvision.models import detection

from backend.detectors.convert_weights import convert
from backend.detectors.weights import write_weights
from backend.project.errors import InputError

KNOWN = {
    "coco_resnet50": detection.MaskRCNN_ResNet50_FPN_Weights.COCO_V1,
    "coco_resnet50_v2": detection.MaskRCNN_ResNet50_FPN_V2_Weights.COCO_V1,
    "imagenet_resnet18": models.ResNet18_Weights.IMAGENET1K_V1,
    "imagenet_resnet34": models.ResNet34_Weights.IMAGENET1K_V1,
    "imagenet_resnet50": models.ResNet50_Weights.IMAGENET1K_V1,
    "imagenet_mobilenet_v3_large": models.MobileNet_V3_Large_Weights.IMAGENET1K_V1,
}
CHECKSUM = re.compile(r"-([0-9a-f]{8,64})\.pth$")  # torchvision's files carry the beginning of their SHA-256
TIMEOUT_S = 30.0
MOST_BYTES = 2 * 1024**3
CHUNK_BYTES = 2**20


def fetch(
    name: str, folder: Path, url: str | None = None, on_progress: Callable[[int, int | None], None] | None = None
) -> Path:
    """Bring the weights ``name`` of `KNOWN` into ``folder`` in our format, and return the file.

    Parameters
    ----------
    name
        A key of `KNOWN`.
    folder
        Where ``NAME.safetensors`` goes; made if need be.
    url
        A mirror's address of the same file; torchvision's own by default. Whatever comes must have its checksum.
    on_progress
        Called with the bytes so far, 0 first, and, where the server says so, of the whole.

    Raises
    ------
    InputError
        If the name is not known, the file is there already, or what comes is not the file that was meant.
    """
    if name not in KNOWN:
        raise InputError(f"weights {name!r} are not known; there are {', '.join(KNOWN)}")
    dest = folder / f"{name}.safetensors"
    if dest.exists():
        raise InputError(f"{dest} is there already")
    official = KNOWN[name].url
    url = url or official
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise InputError(f"{url}: an address begins with https:// or http://")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".fetch-", suffix=".pth") as file:
        digest = _download(url, file, on_progress or (lambda done, total: None))
        wanted = CHECKSUM.search(official)[1]
        if not digest.startswith(wanted):
            raise InputError(f"{url}: its SHA-256 begins with {digest[: len(wanted)]}, it should with {wanted}")
        file_content = convert(Path(file.name))
    write_weights(dest, file_content.weights, file_content.settings, file_content.backbone_only)
    return dest


def _download(url: str, file: IO[bytes], on_progress: Callable[[int, int | None], None]) -> str:
    """Write what ``url`` answers into ``file`` and return its SHA-256."""
    digest, done = hashlib.sha256(), 0
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 (http and https only)
            total = int(answer.headers.get("Content-Length") or 0) or None
            on_progress(0, total)
            while piece := answer.read(CHUNK_BYTES):
                done += len(piece)
                if done > MOST_BYTES:
                    raise InputError(f"{url}: more than {MOST_BYTES} bytes; weights are smaller")
                digest.update(piece)
                file.write(piece)
                on_progress(done, total)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        why = getattr(error, "reason", None) or error
        raise InputError(
            f"{url} cannot be fetched ({why}); download it on a machine with a network, and take it over with: "
            ".venv/bin/python -m backend.admin weights add FILE"
        ) from None
    if total is not None and done < total:
        raise InputError(f"{url}: only {done} of {total} bytes came; try again")
    file.flush()
    return digest.hexdigest()
