"""Reading the COCO JSON of a training or validation set: checked once, then plain data.

Categories become class ids 1, 2, ... in the order of their COCO ids, whatever those are.
"""

import hashlib
import json
import os
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from backend.masks.polygons import to_counts
from backend.project.errors import InputError
from backend.project.paths import spellings

EXAMPLES = 3
FARTHEST_PX = 1e6
REMEDY = "if they are animals, make the set anew with backend.mask2coco --merge ... --crowds-are-animals"


@dataclass(frozen=True, slots=True)
class Instance:
    """One labelled animal: ``polygons``, (V, 2) float32 or float64 each, px; or ``counts``, compressed COCO RLE.

    ``class_id`` is 1-based. A ``crowd`` counts neither way in evaluation; its image is left out of training.
    """

    class_id: int
    polygons: tuple[np.ndarray, ...]
    counts: bytes
    crowd: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """One image of a set, size in px, with what is labelled in it (nothing is an answer, too)."""

    image_id: int
    path: Path
    width: int
    height: int
    instances: tuple[Instance, ...]

    def counts(self, instance: Instance) -> bytes:
        """Return the COCO counts of one of the instances at the size of the picture."""
        if instance.counts:
            return instance.counts
        polygons = [polygon.astype(float).ravel().tolist() for polygon in instance.polygons]
        return to_counts(polygons, self.height, self.width)


@dataclass(frozen=True)
class PictureSet:
    """A COCO JSON. ``checksum`` is a SHA-256 over the JSON and the size of every image file.

    ``left_out``: number of images with crowds that `without_crowds` left out.
    """

    path: Path
    class_names: tuple[str, ...]
    pictures: tuple[Picture, ...]
    checksum: str
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def n_instances(self) -> int:
        """Number of labelled animals; crowds are none."""
        return sum(not instance.crowd for picture in self.pictures for instance in picture.instances)

    def identity(self) -> dict[str, Any]:
        """Return what a manifest says about the set."""
        counts = {"images": len(self), "instances": self.n_instances}
        crowds = {"left_out_for_crowds": self.left_out} if self.left_out else {}
        return {"name": self.path.name, "checksum": self.checksum, **counts, **crowds}


def read_pictures(path: Path, class_names: tuple[str, ...] | None = None) -> PictureSet:
    """Read and check a COCO JSON.

    Parameters
    ----------
    path
        The JSON. Image paths in it are relative to its folder, or to ``images/`` in that folder.
    class_names
        The classes of the training set, where this is the validation set: they must be the same.

    Raises
    ------
    InputError
        If the file is no COCO JSON with labels, images are missing, or the classes differ: count, example, remedy.
    """
    data, digest = _load(path)
    names = {category["id"]: str(category["name"]) for category in data["categories"]}
    ordered = tuple(names[key] for key in sorted(names))
    if class_names is not None and set(ordered) != set(class_names):
        raise InputError(f"{path} has the classes {', '.join(ordered)}, the model has {', '.join(class_names)}")
    ordered = class_names or ordered
    class_ids = {key: ordered.index(name) + 1 for key, name in names.items()}
    grouped = _instances(path, data, class_ids)
    pictures = tuple(_picture(path.parent, image, grouped) for image in data["images"])
    if all(instance.crowd for picture in pictures for instance in picture.instances):
        raise InputError(f"{path}: all its annotations are crowds (iscrowd 1), none is an animal; {REMEDY}")
    return PictureSet(path, ordered, pictures, _checksum(path, pictures, digest))


def without_crowds(image_set: PictureSet) -> PictureSet:
    """Return the images without a crowd: the animals in one have no masks, and would be learnt as background.

    Raises
    ------
    InputError
        If no image with an animal is left.
    """
    kept = tuple(picture for picture in image_set.pictures if not any(one.crowd for one in picture.instances))
    if len(kept) == len(image_set):
        return image_set
    if not any(picture.instances for picture in kept):
        raise InputError(f"{image_set.path}: every image with animals has crowds (iscrowd 1), too; {REMEDY}")
    return replace(image_set, pictures=kept, left_out=len(image_set) - len(kept))


def check_classes(image_set: PictureSet, n_classes: int | None) -> None:
    """Raise InputError if the number of classes that was asked for is not that of the JSON."""
    if n_classes is not None and n_classes != len(image_set.class_names):
        raise InputError(
            f"--n-classes {n_classes}: {image_set.path} has {len(image_set.class_names)} "
            f"({', '.join(image_set.class_names)}); leave the option out to take them from the JSON"
        )


def _load(path: Path) -> tuple[dict, "hashlib._Hash"]:
    try:
        content = path.read_bytes()
        data = json.loads(content)
        images, annotations, categories = data["images"], data["annotations"], data["categories"]
        ids = Counter(image["id"] for image in images)
        sorted(category["id"] for category in categories if category["name"])  # ids are put in order below
        for image in images:
            _check_image(image)
        if not all(isinstance(annotation, dict) for annotation in annotations):
            raise TypeError("an annotation is no object with names and values")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no COCO JSON with images, annotations and categories ({error!r})") from error
    if not annotations or not images or not categories:
        missing = next(key for key in ("images", "annotations", "categories") if not data[key])
        raise InputError(f"{path} has no {missing}: there is nothing to learn from; make it anew from labelled masks")
    twice = [key for key, count in ids.items() if count > 1]
    if twice:
        raise InputError(f"{path}: {len(twice)} image ids are used twice, such as {twice[0]}")
    return data, hashlib.sha256(content)


def _check_image(image: dict) -> None:
    """Raise KeyError, TypeError or ValueError if an image has no name or no size."""
    if int(image["width"]) < 1 or int(image["height"]) < 1:
        raise ValueError(f"image {image['file_name']!r} is {image['width']} x {image['height']}")
    os.fspath(image["file_name"])


def _instances(path: Path, data: dict, class_ids: dict[int, int]) -> dict[int, list[Instance]]:
    sizes = {image["id"]: (int(image["height"]), int(image["width"])) for image in data["images"]}
    grouped: dict[int, list[Instance]] = {key: [] for key in sizes}
    for annotation in data["annotations"]:
        try:
            image_id, class_id = annotation["image_id"], class_ids[annotation["category_id"]]
            grouped[image_id].append(_instance(annotation, class_id, *sizes[image_id]))
        except (KeyError, TypeError, ValueError) as error:
            reason = f"unknown or missing {error}" if isinstance(error, KeyError) else str(error)
            raise InputError(f"{path}: annotation {annotation.get('id')!r} cannot be used: {reason}") from error
    return grouped


def _instance(annotation: dict, class_id: int, height: int, width: int) -> Instance:
    segmentation, crowd = annotation["segmentation"], bool(annotation.get("iscrowd", 0))
    if isinstance(segmentation, dict):
        return Instance(class_id, (), to_counts(segmentation, height, width), crowd)
    if not segmentation or any(len(polygon) < 6 or len(polygon) % 2 for polygon in segmentation):
        raise ValueError("a polygon needs at least three points, x and y each")
    return Instance(class_id, tuple(_polygon(polygon) for polygon in segmentation), b"", crowd)


def _polygon(coordinates: list[float]) -> np.ndarray:
    """Return (V, 2), as float32 where nothing is lost by it: whole and half pixels, as our own files have them."""
    points = np.array(coordinates, np.float64).reshape(-1, 2)
    if not (np.abs(points) < FARTHEST_PX).all():
        raise ValueError("a coordinate of a polygon is no number, or far outside of the image")
    small = points.astype(np.float32)
    return small if (small == points).all() else points


def _picture(folder: Path, image: dict, grouped: dict[int, list[Instance]]) -> Picture:
    path = folder / image["file_name"]
    if not path.exists():
        places = (root / name for root in (folder, folder / "images") for name in spellings(image["file_name"]))
        path = next((place for place in places if place.exists()), path)
    return Picture(image["id"], path, int(image["width"]), int(image["height"]), tuple(grouped[image["id"]]))


def _checksum(path: Path, pictures: tuple[Picture, ...], digest: "hashlib._Hash") -> str:
    missing = []
    for picture in pictures:
        try:
            digest.update(str(os.stat(picture.path).st_size).encode() + b"\n")
        except OSError:
            missing.append(picture.path)
    if missing:
        examples = ", ".join(str(path) for path in missing[:EXAMPLES])
        raise InputError(
            f"{path}: {len(missing)} of {len(pictures)} images are missing, such as {examples}; "
            "paths are relative to the JSON: keep it where it was made, or make it anew"
        )
    return digest.hexdigest()
