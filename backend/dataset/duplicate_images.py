"""Find duplicate images: copies of a file, and frames between which nothing moved.

Decoding every image would take ten times as long as everything else, so only suspects are decoded: files of equal
size, and images whose labels lie in the same places. A picture is then compared as 32 x 32 mean brightnesses. With a
fixed camera the whole picture always looks alike; what tells two moments apart is a bird that moved, and that changes
one of these fields by more than noise does.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from backend.project.kernels import kernel

FIELDS = 32  # a bird of 60 x 100 px in a 2688 x 1520 frame covers about one field
SAME_LAYOUT = 25  # of 255: a tenth of a field
SAME_PICTURE = 6  # of 255: above camera noise averaged over a field


@dataclass(frozen=True)
class Fingerprint:
    """What an image is compared by: checksum of the file, and mean brightness of 32 x 32 fields (None: unreadable)."""

    checksum: int
    fields: np.ndarray | None


def layout(boxes: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return how far each of 32 x 32 fields of an image is covered by boxes, (1024,) uint8, 255: all.

    ``boxes`` (N, 4) ``x1 y1 x2 y2`` px. Boxes that overlap count twice.
    """
    edges = np.arange(FIELDS + 1)
    covered = np.zeros((FIELDS, FIELDS))
    for x1, y1, x2, y2 in (boxes * FIELDS / np.array([width, height] * 2)).tolist():
        across = np.diff(np.clip(edges, x1, x2))
        down = np.diff(np.clip(edges, y1, y2))
        covered += down[:, None] * across[None, :]
    return np.minimum(covered * 255, 255).astype(np.uint8).ravel()


def fingerprint(path: str) -> Fingerprint:
    """Read and compare-ably reduce an image. Runs in worker processes."""
    with open(path, "rb") as file:
        data = file.read()
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_2)
    if picture is None:
        return Fingerprint(zlib.crc32(data), None)
    return Fingerprint(zlib.crc32(data), cv2.resize(picture, (FIELDS, FIELDS), interpolation=cv2.INTER_AREA).ravel())


def suspects(layouts: np.ndarray, file_bytes: np.ndarray) -> np.ndarray:
    """Return the indices of images that must be decoded and compared, (K,) int64.

    ``layouts`` (N, 1024) uint8 from `layout`; ``file_bytes`` (N,) int64.
    """
    twins = _shared(groups(layouts, SAME_LAYOUT)) | _shared(file_bytes)
    return np.flatnonzero(twins)


def same_images(layouts: np.ndarray, compared: np.ndarray, prints: Sequence[Fingerprint]) -> np.ndarray:
    """Return the group of every image, (N,) int64: images with the same number show the same.

    Two images do if the files are equal, or if their labels have the same positions and the images look alike.
    ``compared`` (K,) are the indices of the images whose fingerprints are in ``prints``.
    """
    result = np.arange(len(layouts))
    if not len(compared):
        return result
    nothing = np.zeros(FIELDS * FIELDS, np.uint8)
    readable = np.array([image_print.fields is not None for image_print in prints])
    fields = np.stack([nothing if image_print.fields is None else image_print.fields for image_print in prints])
    near = groups(fields, SAME_PICTURE) * len(layouts) + groups(layouts[compared], SAME_LAYOUT)
    near[~readable] = -1 - np.flatnonzero(~readable)
    _join(result, compared, near)
    _join(result, compared, np.array([image_print.checksum for image_print in prints], np.int64))
    return result


def _join(result: np.ndarray, images: np.ndarray, keys: np.ndarray) -> None:
    """Give all images with the same key the same group."""
    first: dict[int, int] = {}
    for image, key in zip(images.tolist(), keys.tolist(), strict=True):
        if key in first:
            result[result == result[image]] = result[first[key]]
        else:
            first[key] = image


def _shared(keys: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    return counts[inverse] > 1


@kernel(nogil=True)
def groups(vectors: np.ndarray, tolerance: int) -> np.ndarray:
    """Return a group for each of (N, D) uint8 vectors, (N,) int64.

    A vector joins the first group whose first member differs from it by at most ``tolerance`` everywhere. So the
    members of a group are alike, and a slow drift of the light does not chain a whole day together.
    """
    count, length = vectors.shape
    group = np.empty(count, np.int64)
    leaders = np.empty(count, np.int64)
    known = 0
    for k in range(count):
        group[k] = -1
        for g in range(known):
            leader = leaders[g]
            place = 0
            while place < length and abs(np.int64(vectors[k, place]) - vectors[leader, place]) <= tolerance:
                place += 1
            if place == length:
                group[k] = g
                break
        if group[k] < 0:
            leaders[known] = k
            group[k] = known
            known += 1
    return group
