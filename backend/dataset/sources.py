"""Folders of images and masks: which mask belongs to which image, which object is of which class."""

import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from backend.dataset.problems import Problem, Problems
from backend.masks.objects import FRAMES, OBJECTS, LabelledObject, read_frames, read_objects
from backend.project.errors import InputError

IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
MASKS = (".png",)
NUMBERED = re.compile(r"(.*?)(\d+)")
GENERIC = {"images", "image", "frames", "imgs", "img", "jpegimages", "rgb", "masks", "annotations"}


@dataclass(frozen=True)
class Pair:
    """An image folder with its mask folder: one video."""

    video: str
    images: Path
    masks: Path


@dataclass(frozen=True)
class MaskFrame:
    """One image and its mask. ``number`` is the frame's number in its video, or its index if the names hold none."""

    video: int
    number: int
    image: str
    mask: str


def pair_folders(images: Sequence[Path], masks: Sequence[Path]) -> list[Pair]:
    """Pair image and mask folders given in the same order.

    Raises
    ------
    InputError
        If there are not as many of one as of the other, one is no folder, or one is given twice.
    """
    if len(images) != len(masks):
        raise InputError(
            f"--img-folder-path names {len(images)} folders and --mask-folder-paths {len(masks)}; "
            "they must be as many, in the same order"
        )
    for folders, what in ((images, "image"), (masks, "mask")):
        real = [os.path.realpath(folder) for folder in folders]
        for folder, path in zip(folders, real, strict=True):
            if not os.path.isdir(path):
                raise InputError(f"{what} folder {str(folder)!r} is not there or is no folder")
            if real.count(path) > 1:
                raise InputError(f"{what} folder {str(folder)!r} is given twice")
    names = video_names(images)
    return [Pair(*pair) for pair in zip(names, map(Path, images), map(Path, masks), strict=True)]


def video_names(folders: Sequence[Path]) -> list[str]:
    """Return a name for each image folder: its own, or its parent's where its own says nothing; each name once."""
    names: list[str] = []
    for folder in folders:
        parts = [part for part in Path(os.path.abspath(folder)).parts[1:] if part.lower() not in GENERIC] or ["video"]
        name, number = parts[-1], 2
        while name in names:
            name, number = f"{parts[-1]}-{number}", number + 1
        names.append(name)
    return names


def list_frames(video: int, pair: Pair, problems: Problems, reviewed_only: bool = False) -> list[MaskFrame]:
    """Return the frames of a pair in order. Files without a partner are added to ``problems``.

    With ``reviewed_only``, only masks that a person drew or accepted (``frames.json``) are taken; images without such a
    mask are no problem then.

    Raises
    ------
    InputError
        If a folder holds nothing of use, or ``frames.json`` is needed and not there.
    """
    images = _by_number(pair.images, IMAGES, problems)
    masks = _by_number(pair.masks, MASKS, problems)
    if reviewed_only:
        masks = _reviewed(pair.masks, masks)
        images = {key: path for key, path in images.items() if key in masks}
    _report_unpaired(pair, images, masks, problems)
    both = sorted(images.keys() & masks.keys(), key=lambda key: (isinstance(key, str), key))
    return [
        MaskFrame(video, key if isinstance(key, int) else index, images[key], masks[key])
        for index, key in enumerate(both)
    ]


def object_classes(pairs: Sequence[Pair], annot_names: Sequence[str]) -> tuple[list[str], list[dict[int, int]]]:
    """Return the class names, whose 1-based index is the category id, and object id to category id of each pair.

    Where a mask folder (or the folder it lies in) has ``objects.json``, that decides. Where not, value ``i`` is of
    the class ``annot_names[i - 1]``; names may be repeated there, so that several objects are of one class. Names that
    differ in the case of letters only are one class.

    Raises
    ------
    InputError
        If a folder says nothing and no names are given, or an object's class is not among the names given.
    """
    lists = [_objects_of(pair) for pair in pairs]
    known = {entry.class_name for objects in lists for entry in objects or ()}
    names = distinct_names(annot_names or sorted(known))
    for pair, objects in zip(pairs, lists, strict=True):
        if objects is None and not annot_names:
            raise InputError(
                f"{pair.masks} has no {OBJECTS}; say what the pixel values 1, 2, ... are: --annot-names ruff"
            )
        for entry in objects or ():
            if match_name(entry.class_name, names) is None:
                raise InputError(
                    f"object {entry.id} of {pair.masks} is of class {entry.class_name!r}, "
                    f"which is not among --annot-names ({', '.join(names)})"
                )
    by_value = {value: match_name(name, names) for value, name in enumerate(annot_names, 1)}
    return names, [
        by_value if objects is None else {entry.id: match_name(entry.class_name, names) for entry in objects}
        for objects in lists
    ]


def match_name(name: str, names: Sequence[str]) -> int | None:
    """Return the category id (from 1) of ``name`` among ``names`` whatever the case of its letters, None if none."""
    folded = [known.strip().casefold() for known in names]
    return folded.index(name.strip().casefold()) + 1 if name.strip().casefold() in folded else None


def distinct_names(names: Iterable[str]) -> list[str]:
    """Return each name once, whatever the case of its letters, as it is written first."""
    spellings: dict[str, str] = {}
    for name in names:
        spellings.setdefault(name.strip().casefold(), name)
    return list(spellings.values())


def _objects_of(pair: Pair) -> list[LabelledObject] | None:
    objects = read_objects(pair.masks)
    return read_objects(Path(os.path.abspath(pair.masks)).parent) if objects is None else objects


def _by_number(folder: Path, suffixes: Sequence[str], problems: Problems) -> dict[int | str, str]:
    """Return the files by frame number, or by stem where the stems are not all one text and a number."""
    names = sorted(entry.name for entry in os.scandir(folder) if entry.name.lower().endswith(tuple(suffixes)))
    names = [name for name in names if not name.startswith(".")]
    if not names:
        raise InputError(f"{folder} holds no {' or '.join(suffixes)} files")
    stems = [unicodedata.normalize("NFC", os.path.splitext(name)[0]) for name in names]  # macOS writes decomposed names
    parts = [NUMBERED.fullmatch(stem) for stem in stems]
    numbered = all(parts) and len({match[1] for match in parts if match}) == 1
    keys = [int(match[2]) if numbered and match else stem for match, stem in zip(parts, stems, strict=True)]
    files: dict[int | str, str] = {}
    for key, name in zip(keys, names, strict=True):
        if key in files:
            problems.add(Problem.NUMBERING, f"{files[key]} and {name} are both number {key}")
        else:
            files[key] = str(folder / name)
    return files


def _reviewed(folder: Path, masks: dict[int | str, str]) -> dict[int | str, str]:
    origins = read_frames(folder)
    if origins is None:
        raise InputError(f"{folder} has no {FRAMES}, which says what was reviewed; leave --reviewed-only away")
    wanted = {number for number, origin in origins.items() if origin.seen_by_a_person}
    chosen = {key: path for key, path in masks.items() if key in wanted}
    if not chosen:
        raise InputError(f"no mask of {folder} is hand-made or reviewed; leave --reviewed-only away or review some")
    return chosen


def _report_unpaired(pair: Pair, images: dict[int | str, str], masks: dict[int | str, str], problems: Problems) -> None:
    no_mask, no_image = [k for k in images if k not in masks], [k for k in masks if k not in images]
    shift = _shift(images, masks) if no_mask and no_image else None
    if shift:
        problems.add(
            Problem.NUMBERING,
            f"the masks of {pair.masks} are numbered one {'higher' if shift > 0 else 'lower'} than their images",
            len(masks),
        )
        for key in masks.keys() & images.keys():
            del images[key]  # they would pair with a neighbour's mask
        return
    for key in no_mask:
        problems.add(Problem.NO_MASK, images[key])
    for key in no_image:
        problems.add(Problem.NO_IMAGE, masks[key])


def _shift(images: dict[int | str, str], masks: dict[int | str, str]) -> int | None:
    """Return 1 or -1 if the masks' numbers are the images' moved by that: one counts from 0, the other from 1."""
    first = [[key for key in files if isinstance(key, int)] for files in (images, masks)]
    if len(first[0]) != len(images) or len(first[1]) != len(masks) or len(images) != len(masks):
        return None
    shift = min(first[1]) - min(first[0])
    return shift if abs(shift) == 1 and {key + shift for key in first[0]} == set(first[1]) else None
