"""Names and places: confinement under the allowed roots, slugs, and the layout of a project folder."""

import os
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote

from backend.project.errors import InputError

MAX_PATH = 4096  # PATH_MAX on Linux; longer ones cannot exist
SLUG = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,78}[a-z0-9])?\Z")


def resolve_under(path: Path | str, roots: Iterable[Path | str]) -> Path:
    """Return the real path of ``path``, which must lie in (or be) one of ``roots`` after all links are followed.

    A relative path is taken from the first root. The path need not exist.

    Raises
    ------
    InputError
        With the path and the allowed roots, if it leads anywhere else.
    """
    roots = [os.path.realpath(root) for root in roots]
    text = os.fspath(path)
    shown = ascii(text) if len(ascii(text)) <= 200 else f"{ascii(text)[:200]}...'"
    if not text or "\0" in text or len(os.fsencode(text)) > MAX_PATH:
        raise InputError(f"path {shown} is empty, too long or holds a NUL byte")
    if not roots:
        raise InputError(f"path {shown} is refused: no folders are allowed (Settings, allowed roots)")
    try:
        real = os.path.realpath(os.path.join(roots[0], text))
    except OSError as error:
        raise InputError(f"path {shown} cannot be followed: {error.strerror}") from error
    if len(os.fsencode(real)) > MAX_PATH or not any(os.path.commonpath([real, root]) == root for root in roots):
        raise InputError(f"path {shown} is outside the allowed folders ({', '.join(roots)})")
    return Path(real)


def slug(name: str) -> str:
    """Turn any name into a readable folder name: lower-case letters, digits, ``-`` and ``_``, at most 80 characters."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    plain = re.sub(r"[^a-z0-9_]+", "-", plain).strip("-_")[:80].strip("-_")
    return plain or "unnamed"


def check_name(name: str, what: str = "name") -> str:
    """Return ``name`` if it can be used as a folder or file stem inside a project, else raise InputError."""
    if not SLUG.match(name):
        raise InputError(
            f"{what} {name[:100]!r} is not allowed: use 1 to 80 lower-case letters, digits, '-' and '_', "
            "starting and ending with a letter or digit"
        )
    return name


@dataclass(frozen=True)
class Project:
    """The layout of a project folder. Paths only; nothing is created or read here."""

    root: Path

    @property
    def videos(self) -> Path:
        """Folder of ``VIDEO.json``."""
        return self.root / "videos"

    def video(self, video: str) -> Path:
        """Return the record of one video."""
        return self.videos / f"{check_name(video, 'video')}.json"

    def exported_frames(self, video: str) -> Path:
        """Return the folder of ``%06d.png``."""
        return self.root / "exported_frames" / check_name(video, "video")

    def segannot(self, video: str) -> Path:
        """Return the folder of masks ``%06d.png``, ``objects.json`` and ``frames.json``."""
        return self.root / "segannot" / check_name(video, "video")

    @property
    def coco_jsons(self) -> Path:
        """Folder of ``NAME_train.json`` and ``NAME_val.json``."""
        return self.root / "COCO_jsons"

    def training(self, name: str) -> Path:
        """Return a model's folder."""
        return self.root / "training" / check_name(name, "model")

    def inference_output(self, video: str, run: str) -> Path:
        """Return the detections of one run on one video."""
        return self.root / "inference_output" / check_name(video, "video") / check_name(run, "run")

    def track_output(self, video: str, run: str) -> Path:
        """Return the tracks of one run on one video."""
        return self.root / "track_output" / check_name(video, "video") / check_name(run, "run")

    @property
    def cache(self) -> Path:
        """Folder of what can be made again: thumbnails, indexes, proxies, compiled kernels."""
        return self.root / ".cache"


def spellings(name: str) -> list[str]:
    """Return the names that a file may have which another program calls ``name``, as it stands first.

    These are the path behind ``?d=`` (Label Studio's local files), the name with percent codes decoded, and the
    composed and decomposed Unicode forms of all (macOS writes decomposed ones). Backslashes become slashes.
    """
    name = name.replace("\\", "/")
    names = [name, unquote(name)]
    for local in parse_qs(name.partition("?")[2]).get("d", ()):
        names += [local, unquote(local)]
    forms = [
        form for one in names for form in (one, unicodedata.normalize("NFC", one), unicodedata.normalize("NFD", one))
    ]
    return [form for form in dict.fromkeys(forms) if form and "\0" not in form]
