"""One open board: automatic tracks, corrections log, and what follows from the two."""

import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np

from backend.project.errors import InputError
from backend.tracking.tracks.agreement import kappa, wilson
from backend.tracking.tracks.corrections import END, Outcome, Replaying
from backend.tracking.tracks.edits import Act, Audit, Reviewed, Undo, active, parse_act
from backend.tracking.tracks.schemas import State
from backend.tracking.tracks.tracks import NONE, Tracks
from backend.web.http_errors import Conflict
from board.anchored_doubts import Answer, Doubt, answers, rows_of
from board.corrections_log import CorrectionsLog
from board.decisions import Decision, Moment, decide
from board.requests import ActRequest, Turn

NOBODY = "somebody"  # who gave no name in the browser


@dataclass(frozen=True, eq=False)
class View:
    """All that follows from the first ``version`` lines of the log. Never changed; a change makes a new one."""

    acts: tuple[Act, ...]
    replaying: Replaying
    doubts: dict[int, Doubt] = field(repr=False)

    @property
    def version(self) -> int:
        """Lines of the log."""
        return len(self.acts)

    @cached_property
    def counting(self) -> list[Act]:
        """The acts that are not undone."""
        return active(self.acts)

    @cached_property
    def _result(self):
        return self.replaying.result()

    @property
    def tracks(self) -> Tracks:
        """The corrected tracks."""
        return self._result.tracks

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """What became of each act that counts."""
        return self._result.outcomes

    @cached_property
    def problems(self) -> dict[int, str]:
        """Why acts do not apply, by id."""
        return {outcome.id: outcome.problem for outcome in self.outcomes if outcome.problem}

    @cached_property
    def answers(self) -> dict[int, list[Answer]]:
        """Answers by doubt."""
        return answers(self.doubts.values(), self.counting, self.problems)

    @cached_property
    def open(self) -> tuple[Doubt, ...]:
        """Doubts without an answer that holds, the one with most effect first."""
        done = {number for number, given in self.answers.items() if given[-1].holds}
        left = [doubt for number, doubt in self.doubts.items() if number not in done]
        return tuple(sorted(left, key=lambda doubt: (-doubt.effect_s, doubt.number)))

    def open_for(self, who: str) -> tuple[Doubt, ...]:
        """Return the doubts that ``who`` has not answered: the queue of a second reviewer."""
        mine = {number for number, given in self.answers.items() if any(each.who == who for each in given)}
        left = [doubt for number, doubt in self.doubts.items() if number not in mine]
        return tuple(sorted(left, key=lambda doubt: (-doubt.effect_s, doubt.number)))

    def moment(self) -> Moment:
        """Return what is needed to decide something."""
        return Moment(self.tracks, self.replaying, self.doubts, self.open, self._tracks_of)

    def _tracks_of(self, doubt: Doubt) -> set[int]:
        return self._involved.get(doubt.number, set())

    @cached_property
    def _involved(self) -> dict[int, set[int]]:
        pairs = [(number, anchor) for number, doubt in self.doubts.items() for anchor in doubt.anchors]
        rows = rows_of(self.tracks, [anchor for _, anchor in pairs])
        found: dict[int, set[int]] = {}
        for (number, _), row in zip(pairs, rows.tolist(), strict=True):
            if row != NONE:
                found.setdefault(number, set()).add(int(self.tracks.track_id[row]))
        return found

    @property
    def undo_target(self) -> Act | None:
        """The newest act that counts."""
        return self.counting[-1] if self.counting else None

    @property
    def redo_target(self) -> Undo | None:
        """The undo that a redo takes back; None once something new was done."""
        undone: set[int] = set()
        for act in reversed(self.acts):
            if not isinstance(act, Undo):
                return None
            if act.id not in undone:
                if not isinstance(self.acts[act.target - 1], Undo):
                    return act
                undone.add(act.target)
        return None


class Session:
    """The one writer of a corrections log, for any number of reviewers."""

    def __init__(self, tracks: Tracks, doubts: Sequence[Doubt], log: CorrectionsLog):
        self.automatic = tracks
        self._log = log
        self._acting = threading.Lock()
        self._doubts = {doubt.number: doubt for doubt in doubts}
        self._keys = {act.key for act in log.acts if act.key}
        self.view = self._replayed(log.acts)

    def close(self) -> None:
        """Give the log back; everything that was acknowledged is on the disk already."""
        self._log.close()

    def preview(self, request: ActRequest) -> dict[str, Any]:
        """Return what a decision would do, in words, and why it cannot be done if so."""
        view = self._at(request.version)
        decision = decide(request, view.moment())
        problem = _problem(self._tried(view, decision, request, "preview")[0])
        return {"version": view.version, "words": list(decision.words), "acts": list(decision.acts), "problem": problem}

    def act(self, request: ActRequest, who: str) -> None:
        """Carry out a decision: when this returns, it is on the disk.

        Raises
        ------
        Conflict
            If the log has grown since the version that the page showed.
        InputError
            If it cannot be done; the text names the frame.
        """
        with self._acting:
            if request.key and request.key in self._keys:
                return  # sent again because the answer was lost
            request = request.model_copy(update={"key": request.key or secrets.token_hex(8)})
            view = self._at(request.version)
            decision = decide(request, view.moment())
            outcomes, replaying, acts = self._tried(view, decision, request, who)
            problem = _problem(outcomes)
            if problem:
                raise InputError(problem)
            self._log.append(acts)
            self._keys.add(request.key)
            self.view = View(self._log.acts, replaying, self._doubts)

    def turn(self, request: Turn, who: str) -> None:
        """Undo or redo a decision, with all acts of one key; nothing happens where there is none."""
        with self._acting:
            if request.key and request.key in self._keys:
                return
            request = request.model_copy(update={"key": request.key or secrets.token_hex(8)})
            view = self._at(request.version)
            undos = [{"act": "undo", "target": target} for target in _targets(view, request.way)]
            acts = _numbered(undos, view, request.key, who)
            if acts:
                self._log.append(acts)
                self._keys.add(request.key)
                self.view = self._replayed(self._log.acts)

    def _at(self, version: int) -> View:
        view = self.view
        if version != view.version:
            raise Conflict(
                f"version {version} is not the present one, {view.version}: somebody changed something meanwhile; "
                "nothing was overwritten"
            )
        return view

    def _tried(
        self, view: View, decision: Decision, request: ActRequest, who: str
    ) -> tuple[list[Outcome], Replaying, list[Act]]:
        replaying, acts = view.replaying.copy(), _numbered(decision.acts, view, request.key, who, request.why)
        return [replaying.apply(act) for act in acts], replaying, acts

    def _replayed(self, acts: tuple[Act, ...]) -> View:
        replaying = Replaying(self.automatic)
        for act in active(acts):
            replaying.apply(act)
        return View(acts, replaying, self._doubts)


def _numbered(acts: Sequence[dict[str, Any]], view: View, key: str, who: str, why: str = "") -> list[Act]:
    """Return the acts of one decision as the next lines of the log; each but the last says that more follows."""
    facts = {"when": datetime.now(UTC), "who": who or NOBODY, "why": why, "version": view.version, "key": key}
    return [
        parse_act({**act, **facts, "id": view.version + k, "more": True if k < len(acts) else None})
        for k, act in enumerate(acts, 1)
    ]


def _targets(view: View, way: str) -> list[int]:
    """Return the lines that an undo or redo takes back, newest first."""
    newest = view.undo_target if way == "undo" else view.redo_target
    if newest is None:
        return []
    among = view.counting if way == "undo" else _standing_undos(view.acts)
    same = [act.id for act in among if newest.key and act.key == newest.key]
    return sorted(same or [newest.id], reverse=True)


def _standing_undos(acts: tuple[Act, ...]) -> list[Undo]:
    undone: set[int] = set()
    found = []
    for act in reversed(acts):
        if isinstance(act, Undo) and act.id not in undone:
            undone.add(act.target)
            found.append(act)
    return found


def _problem(outcomes: Sequence[Outcome]) -> str:
    return next((outcome.problem for outcome in outcomes if outcome.problem), "")


def reviewed_share(view: View) -> float:
    """Return the share of frames that somebody answers for: watched, or in a doubt that was decided."""
    frames = view.tracks.frames
    seen = np.zeros(len(frames), bool)
    for act in view.counting:
        if isinstance(act, Reviewed):
            first, last = np.searchsorted(frames, [act.from_frame, END if act.to_frame is None else act.to_frame])
            seen[first:last] = True
    return float(seen.mean()) if len(frames) else 0.0


def audit(view: View) -> dict[str, Any]:
    """Return what the audited moments say: numbers, share wrong with its interval, and how it was computed."""
    verdicts = [act.verdict for act in view.counting if isinstance(act, Audit)]
    wrong, n = verdicts.count("wrong"), len(verdicts) - verdicts.count("unsure")
    low, high = wilson(wrong, n)
    return {"moments": len(verdicts), "decided": n, "wrong": wrong, "share": wrong / n if n else None,
            "low": low, "high": high, "method": "Wilson score interval, 95 %"}  # fmt: skip


def audit_moment(view: View, seed: int) -> dict[str, int] | None:
    """Return a sighting of a named bird, each equally likely; None where there is none. The seed makes it again."""
    tracks = view.tracks
    rows = np.flatnonzero((tracks.identity != NONE) & (tracks.state == State.DETECTED) & (tracks.detection != NONE))
    if not len(rows):
        return None
    row = int(rows[np.random.default_rng(seed).integers(len(rows))])
    return {"frame": int(tracks.frame[row]), "track": int(tracks.track_id[row])}


def agreement(view: View) -> dict[str, Any]:
    """Return Cohen's kappa of each two reviewers over the doubts that both answered, and where they differ."""
    by_who: dict[str, dict[int, Any]] = {}
    for number, given in view.answers.items():
        for each in given:
            if each.pairs != frozenset():  # a watched range answers many doubts at once; it is no judgement of one
                by_who.setdefault(each.who, {})[number] = _label(view.doubts[number], each)
    people, pairs, differ = sorted(by_who), [], set()
    for k, first in enumerate(people):
        for second in people[k + 1 :]:
            both = sorted(by_who[first].keys() & by_who[second].keys())
            labels = [by_who[first][n] for n in both], [by_who[second][n] for n in both]
            differ |= {n for n in both if by_who[first][n] != by_who[second][n]}
            if both:
                pairs.append({"people": [first, second], "doubts": len(both), "kappa": kappa(*labels)})
    return {"answered": {who: len(given) for who, given in by_who.items()}, "pairs": pairs, "differ": sorted(differ)}


def _label(doubt: Doubt, answer: Answer) -> str:
    """Return an answer as a word that means the same for every doubt: kept, changed or unsure."""
    if answer.pairs is None:
        return "unsure"
    return "kept" if answer.pairs == frozenset(doubt.pairs(doubt.followed)) else "changed"
