"""Tracked leks with known truth, a reviewer who always answers truthfully, and the true identity error of tracks."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from scipy.optimize import linear_sum_assignment

from backend.lek.lek_settings import LekSettings, difficulty
from backend.lek.recording import record
from backend.lek.simulated_run import ORIGIN, detect
from backend.track import main as track
from backend.tracking.tracks.edits import Anchor
from backend.tracking.tracks.track_folder import open_tracks
from backend.tracking.tracks.tracks import NONE, Tracks
from board.anchored_doubts import Doubt
from board.corrections_log import CorrectionsLog
from board.load_board import read_doubts_of
from board.requests import ActRequest
from board.session import Session

RUN, VIDEO = "run", "lek"


def detected_lek(root: Path, birds: int, seconds: float, seed: int, noise: str = "normal") -> Path:
    """Return the folder of a detections run of a lek of look-alikes, made from its truth without a video."""
    settings = LekSettings(birds=birds, seconds=seconds, seed=seed, size=(480, 272), difficulty=difficulty("hard"))
    record(root / VIDEO, settings, video=False)
    folder = root / "inference_output" / VIDEO / RUN
    folder.mkdir(parents=True)
    detect(root / VIDEO, folder, noise, seed)
    return folder


def tracked(detections: Path, out: Path, *options: str) -> Path:
    """Track a detections run into ``out`` and return it; without corrections unless ``options`` name a log."""
    log = () if "--corrections" in options else ("--no-corrections",)
    track(["--detections", str(detections), "--out", str(out), *log, *options])
    return out


def opened(folder: Path, log: Path) -> Session:
    """Return the board's session of a track run with its own corrections log."""
    tracks = open_tracks(folder, corrections=False)
    return Session(tracks, read_doubts_of(folder, tracks), CorrectionsLog(log))


class Truth:
    """The true bird of each detection of a simulated run."""

    def __init__(self, detections: Path):
        origin = pq.read_table(detections / ORIGIN).to_pydict()
        keys = zip(origin["frame"], origin["detection"], strict=True)
        whole = (bird if not second else NONE for bird, second in zip(origin["bird"], origin["second"], strict=True))
        self._bird = {key: bird or NONE for key, bird in zip(keys, whole, strict=True)}

    def bird(self, anchor: Anchor) -> int:
        """Return the bird of a detection; -1 where it is false or shows two birds."""
        return self._bird[anchor.frame, anchor.detection]

    def assignment(self, doubt: Doubt) -> list[int] | None:
        """Return the true assignment of a doubt; None where it cannot be told or needs one bird twice."""
        before, after = [self.bird(anchor) for anchor in doubt.before], [self.bird(anchor) for anchor in doubt.after]
        if NONE in before + after or len(set(before)) < len(before) or len(set(after)) < len(after):
            return None
        return [before.index(bird) if bird in before else NONE for bird in after]

    def identity_error(self, tracks: Tracks) -> float:
        """Return the share of the birds' detections whose track does not have their name, names matched to birds best.

        A detection in no named track counts as wrong.
        """
        rows = np.flatnonzero((tracks.detection != NONE) & (tracks.identity != NONE))
        keys = zip(tracks.frame[rows].tolist(), tracks.detection[rows].tolist(), strict=True)
        bird = np.array([self._bird[key] for key in keys], np.int64)
        kept = bird != NONE
        together = np.zeros((len(tracks.names), max(self._bird.values()) + 1))
        np.add.at(together, (tracks.identity[rows][kept], bird[kept]), 1)
        right = together[linear_sum_assignment(-together)].sum()
        return 1 - float(right) / sum(bird != NONE for bird in self._bird.values())


def review(session: Session, truth: Truth, dice: np.random.Generator, share: float = 1.0) -> int:
    """Answer a random ``share`` of the doubts in random order, truthfully; return the number of decided ones."""
    numbers = dice.permutation(sorted(session.view.doubts))
    decided = 0
    for number in numbers[: round(share * len(numbers))].tolist():
        answer = truth.assignment(session.view.doubts[number])
        kind = {"kind": "unsure"} if answer is None else {"kind": "answer", "assignment": answer}
        session.act(ActRequest(version=session.view.version, doubt=number, **kind), "Ann")
        decided += answer is not None
    return decided


def refusal(session: Session, number: int, assignment: list[int] | None) -> str:
    """Return why an answer ("unsure" without an assignment) is refused on the session's present tracks; "" if not."""
    kind = "unsure" if assignment is None else "answer"
    request = ActRequest(kind=kind, version=session.view.version, doubt=number, assignment=assignment)
    return session.preview(request)["problem"]
