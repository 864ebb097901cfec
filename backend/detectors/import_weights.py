"""Import a weights file: check it, convert it if need be, and put it into ``weights/``."""

import shutil
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from backend.detectors.convert_weights import convert
from backend.detectors.fetch import CHECKSUM, KNOWN
from backend.detectors.header import find_header
from backend.detectors.load import build_detector
from backend.detectors.weights import WeightsFile, load_exactly, read_weights, start_from, write_weights
from backend.project.atomic import atomic_file
from backend.project.errors import InputError
from backend.project.manifest import sha256
from backend.project.paths import check_name, slug

OURS = ".safetensors"
SUFFIXES = (OURS, ".pth", ".pt", ".pkl")


def weights_files(path: Path) -> list[Path]:
    """Return ``path`` itself or, if it is a folder, the weights files in it; InputError if there are none."""
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())
    if not files:
        raise InputError(f"{path} holds no weights; they end in {', '.join(SUFFIXES)}")
    return files


def import_weights(path: Path, folder: Path, name: str = "") -> tuple[Path, WeightsFile]:
    """Put a weights file into ``folder`` in our format; return the new file and what it holds.

    Files of ours (``.safetensors`` with a header) are copied as they are, those of others converted; see `convert`. All
    are tried in the network that they are said to be of.

    Parameters
    ----------
    path
        The file. If its name ends in a part of its SHA-256, as torchvision's do, it must have that.
    folder
        Where ``NAME.safetensors`` goes; made if need be.
    name
        Its name there; by default the one that `fetch` would give it, or that of ``path``.

    Raises
    ------
    InputError
        If there is no such file, it is damaged, its engine is missing here, or the name is in use.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path} is no weights file; they end in {', '.join(SUFFIXES)}")
    name = check_name(name) if name else _usual_name(path)
    dest = folder / f"{name}{OURS}"
    if dest.exists():
        raise InputError(f"{dest} is there already; give another --name")
    wanted = CHECKSUM.search(path.name)
    if wanted and not sha256(path).startswith(wanted[1]):
        raise InputError(f"{path} is damaged: its SHA-256 does not begin with {wanted[1]}; get it again")
    is_ours = path.suffix.lower() == OURS and find_header(path) is not None
    file = read_weights(path) if is_ours else convert(path)
    _check_fit(file, path)
    folder.mkdir(parents=True, exist_ok=True)
    if is_ours:
        with open(path, "rb") as source, atomic_file(dest) as written:
            shutil.copyfileobj(source, written)
    else:
        write_weights(dest, *file)
    return dest, file


def _usual_name(path: Path) -> str:
    official = (name for name, weights in KNOWN.items() if PurePosixPath(urlsplit(weights.url).path).name == path.name)
    return next(official, slug(path.stem))


def _check_fit(file: WeightsFile, path: Path) -> None:
    """Refuse weights whose names and shapes are not those of the network that their header tells."""
    detector = build_detector(file.settings)
    if file.backbone_only:
        start_from(detector, file)
    else:
        load_exactly(detector, file.weights, str(path))
