"""Suggest the next frame to label: least confident propagation, else least similar to the labelled frames."""

import contextlib
import threading

import numpy as np

from backend.project.errors import InputError
from backend.video import DamagedFrameError
from backend.video.frame_cache import CachedFrames
from backend.video.frame_sampling import FEATURE_SIZE, describe
from backend.video.resize import resize
from segannot.store import AnnotationStore

CANDIDATES = 24  # evenly spaced frames that are compared; decoding them takes a second or two


class Suggester:
    """Suggests the next frame to label; caches the image features of the candidates."""

    def __init__(self, store: AnnotationStore, source: CachedFrames):
        self._store, self._source = store, source
        self._features: dict[int, np.ndarray] = {}
        self._lock = threading.Lock()

    def next_frame(self) -> tuple[int, str]:
        """Return a frame and the reason in a few words."""
        uncertain = self._least_confident()
        if uncertain is not None:
            return uncertain, "its propagated outlines are uncertain"
        labelled = self._store.seen_by_a_person()
        if not labelled:
            return len(self._source) // 2, "the middle of the video, as a start"
        return self._most_different(labelled), "it is least similar to the labelled frames"

    def _least_confident(self) -> int | None:
        with self._store.lock:
            doubts = {
                frame: sum(1 - value for value in objects.values()) for frame, objects in self._store.confidence.items()
                if frame in self._store.origins and not self._store.origins[frame].seen_by_a_person
            }  # fmt: skip
        return max(doubts, key=lambda frame: (doubts[frame], -frame), default=None)

    def _most_different(self, labelled: list[int]) -> int:
        count = len(self._source)
        candidates = np.unique(np.linspace(0, count - 1, min(count, CANDIDATES) + 2).round().astype(int)[1:-1]).tolist()
        with self._lock, self._source.open_reader() as reader:
            known = labelled if len(labelled) <= CANDIDATES else labelled[:: -(-len(labelled) // CANDIDATES)]
            for frame in {*candidates, *known} - self._features.keys():
                with contextlib.suppress(DamagedFrameError):  # it cannot be labelled
                    small = resize(reader.read([frame])[0], FEATURE_SIZE)
                    self._features[frame] = describe(small, small)
            readable = [frame for frame in candidates if frame in self._features]
            if not readable:
                raise InputError("the candidate frames cannot be decoded; choose a frame yourself")
            references = np.stack([self._features[frame] for frame in known if frame in self._features])
            distances = [
                0.0 if frame in labelled else float(((references - self._features[frame]) ** 2).sum(axis=1).min())
                for frame in readable
            ]
        return readable[int(np.argmax(distances))]
