"""Manifests of output folders: inputs, settings, versions, files with checksums, completeness."""

import hashlib
import os
import platform
import socket
import subprocess
from collections.abc import Collection
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from backend.project.atomic import atomic_write
from backend.project.errors import InputError
from backend.project.settings import REPOSITORY, first_problem

MANIFEST = "manifest.json"
HEAD_TAIL_BYTES = 1024**2
PACKAGES = ("torch", "torchvision", "detectron2", "numpy", "av", "opencv-python-headless", "pyarrow", "pycocotools")


class FinishedFile(BaseModel):
    """Size and SHA-256 of one finished file, relative to the manifest's folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int
    sha256: str


class Manifest(BaseModel):
    """The content of ``manifest.json``. ``inputs`` and ``settings`` decide whether a run may go on in a folder."""

    model_config = ConfigDict(extra="forbid")

    format: int = 1
    script: str
    complete: bool = False
    inputs: dict[str, Any]
    settings: dict[str, Any]
    versions: dict[str, str]
    hardware: dict[str, Any]
    number_format: str | None = None
    counts: dict[str, int] = {}
    files: dict[str, FinishedFile] = {}
    started: datetime
    finished: datetime | None = None

    def write(self, output: Path) -> None:
        """Replace the manifest of ``output``; see `manifest_path`."""
        atomic_write(manifest_path(output), self.model_dump_json(indent=1) + "\n")


def manifest_path(output: Path) -> Path:
    """Return the manifest's file: ``manifest.json`` in a folder, or ``output`` itself if it is ``NAME.manifest.json``.

    The latter is for outputs that share a folder with others; paths in it are relative to that folder, too.
    """
    return output if output.name.endswith(f".{MANIFEST}") else output / MANIFEST


def begin_manifest(
    folder: Path, script: str, inputs: dict[str, Any], settings: dict[str, Any], noted: Collection[str] = ()
) -> Manifest:
    """Return the manifest of the run that ``folder`` holds, or a new one. Call it while holding the output lock.

    The inputs of ``noted`` are written down but not compared: paths of folders that may be moved, where another input
    tells whether they hold the same.

    Raises
    ------
    InputError
        If the folder holds a run of another script or with other inputs or settings; the message names the keys that
        differ. Nothing has been written then.
    """
    found = read_manifest(folder)
    if found is None:
        return Manifest(
            script=script, inputs=inputs, settings=settings, versions=versions(), hardware=hardware(), started=now()
        )
    found.inputs |= {key: inputs[key] for key in noted}
    differing = [
        f"{key} ({found_value!r} there, {value!r} here)"
        for key, found_value, value in _differences(
            {"script": found.script, **found.inputs, **found.settings}, {"script": script, **inputs, **settings}
        )
    ]
    if differing:
        raise InputError(f"{folder} holds another run; it differs in {'; '.join(differing)}; choose another folder")
    return found


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest of ``folder``, None where there is none; InputError where it cannot be read."""
    path = manifest_path(folder)
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValidationError as error:
        raise InputError(f"{path} is broken ({first_problem(error)}); move it away to start anew") from error


def verify(folder: Path) -> Manifest:
    """Check that ``folder`` is whole: complete, every listed file there with its size and SHA-256.

    Raises
    ------
    InputError
        With the first thing that is wrong.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        path = manifest_path(folder)
        raise InputError(f"{path.parent} has no {path.name}: nothing was finished there")
    if not manifest.complete:
        raise InputError(f"{folder} is not complete")
    for name, file in manifest.files.items():
        path = manifest_path(folder).parent / name
        if not path.is_file() or path.stat().st_size != file.size:
            raise InputError(f"{path} is missing or has another size than its manifest says ({file.size} bytes)")
        if sha256(path) != file.sha256:
            raise InputError(f"{path} has another content than its manifest says")
    return manifest


def finished_file(path: Path) -> FinishedFile:
    """Return size and checksum of a file that was just finished."""
    return FinishedFile(size=path.stat().st_size, sha256=sha256(path))


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content as hexadecimal digits (``sha256sum`` gives the same)."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_identity(path: Path) -> dict[str, Any]:
    """Return the identity of a large file without reading all of it: size and SHA-256 of its first and last MiB."""
    size = path.stat().st_size
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        digest.update(file.read(HEAD_TAIL_BYTES))
        file.seek(max(HEAD_TAIL_BYTES, size - HEAD_TAIL_BYTES))
        digest.update(file.read(HEAD_TAIL_BYTES))
    return {"size": size, "head_tail_sha256": digest.hexdigest()}


@cache
def versions() -> dict[str, str]:
    """Return the versions that could change a result: Lektrack (with its commit), Python and the packages installed."""
    found = {"lektrack": _lektrack_version(), "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


@cache
def hardware() -> dict[str, Any]:
    """Return the machine's name, processor, cores and memory. GPUs are added by the scripts that use them."""
    model = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    return {
        "host": socket.gethostname(),
        "processor": model,
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
    }


def now() -> datetime:
    """Return the present time in UTC, to the second."""
    return datetime.now(UTC).replace(microsecond=0)


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    return [(key, old.get(key), new.get(key)) for key in sorted(old | new) if old.get(key) != new.get(key)]


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _lektrack_version() -> str:
    with open(REPOSITORY / "pyproject.toml") as file:
        version = next((line.split('"')[1] for line in file if line.startswith("version")), "unknown")
    try:
        commit = subprocess.run(
            ["git", "-C", str(REPOSITORY), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return version
    return f"{version}+{commit.stdout.strip()}" if commit.returncode == 0 else version
