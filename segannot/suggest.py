"""Which frame to label next: the one propagation is least sure of, else the one that looks least like labelled ones."""

import contextlib
import threading

import numpy as np

from backend.project.errors import InputError
from backend.video import DamagedFrameError
from backend.video.frame_cache import CachedFrames
from backend.video.frame_sampling import FEATURE_SIZE, describe
from backend.video.resize import resize
from segannot.store import AnnotationStore

CANDIDATES = 24  # frames over the whole video that are looked at; a long video takes a second or two for all of them


class Suggester:
    """Proposes the next frame; what candidates look like is kept."""

    def __init__(self, store: AnnotationStore, source: CachedFrames):
        self._store, self._source = store, source
        self._features: dict[int, np.ndarray] = {}
        self._lock = threading.Lock()

    def next_frame(self) -> tuple[int, str]:
        """Return a frame and why, in a few words."""
        unsure = self._least_sure()
        if unsure is not None:
            return unsure, "the outlines carried here are doubtful"
        labelled = self._store.seen_by_a_person()
        if not labelled:
            return len(self._source) // 2, "a frame from the middle to begin with"
        return self._most_different(labelled), "it looks least like the frames labelled so far"

    def _least_sure(self) -> int | None:
        with self._store.lock:
            doubts = {
                frame: sum(1 - value for value in each.values()) for frame, each in self._store.confidence.items()
                if frame in self._store.origins and not self._store.origins[frame].seen_by_a_person
            }  # fmt: skip
        return max(doubts, key=lambda frame: (doubts[frame], -frame), default=None)

    def _most_different(self, labelled: list[int]) -> int:
        count = len(self._source)
        candidates = np.unique(np.linspace(0, count - 1, min(count, CANDIDATES) + 2).round().astype(int)[1:-1]).tolist()
        with self._lock, self._source.open_reader() as reader:
            known = labelled if len(labelled) <= CANDIDATES else labelled[:: -(-len(labelled) // CANDIDATES)]
            for frame in {*candidates, *known} - self._features.keys():
                with contextlib.suppress(DamagedFrameError):  # nobody can label it
                    small = resize(reader.read([frame])[0], FEATURE_SIZE)
                    self._features[frame] = describe(small, small)
            sound = [frame for frame in candidates if frame in self._features]
            if not sound:
                raise InputError("the frames that were looked at cannot be decoded; choose one by hand")
            taken = np.stack([self._features[frame] for frame in known if frame in self._features])
            far = [
                0.0 if frame in labelled else float(((taken - self._features[frame]) ** 2).sum(axis=1).min())
                for frame in sound
            ]
        return sound[int(np.argmax(far))]
