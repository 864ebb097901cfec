"""One open board: automatic tracks, corrections log, and the corrected tracks that follow from the two."""

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
from backend.tracking.tracks.corrections import END_OF_VIDEO, Outcome, Replay
from backend.tracking.tracks.edits import Audit, Edit, Reviewed, Undo, active_edits, parse_edit
from backend.tracking.tracks.schemas import State
from backend.tracking.tracks.tracks import NONE, Tracks
from backend.web.http_errors import Conflict
from board.anchored_doubts import Answer, Doubt, answers, rows_of
from board.corrections_log import CorrectionsLog
from board.decisions import Context, Decision, decide
from board.requests import ActRequest, Turn

UNNAMED = "somebody"  # reviewers without a name in the browser, as the log has them


@dataclass(frozen=True, eq=False)
class View:
    """The state after the first ``version`` lines of the log. Immutable; a change makes a new one."""

    acts: tuple[Edit, ...]
    replaying: Replay
    doubts: dict[int, Doubt] = field(repr=False)

    @property
    def version(self) -> int:
        """Number of lines of the log."""
        return len(self.acts)

    @cached_property
    def active_acts(self) -> list[Edit]:
        """The acts that are not undone."""
        return active_edits(self.acts)

    @cached_property
    def _result(self):
        return self.replaying.result()

    @property
    def tracks(self) -> Tracks:
        """The corrected tracks."""
        return self._result.tracks

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """The outcome of each act that is not undone."""
        return self._result.outcomes

    @cached_property
    def problems(self) -> dict[int, str]:
        """Why acts could not be applied, by id."""
        return {outcome.id: outcome.problem for outcome in self.outcomes if outcome.problem}

    @cached_property
    def answers(self) -> dict[int, list[Answer]]:
        """Answers to each doubt, oldest first, by its number."""
        return answers(self.doubts.values(), self.active_acts, self.problems)

    @cached_property
    def open(self) -> tuple[Doubt, ...]:
        """Doubts without an answer that holds, largest effect first."""
        answered = {number for number, given in self.answers.items() if given[-1].holds}
        left = [doubt for number, doubt in self.doubts.items() if number not in answered]
        return _by_effect(left)

    def open_for(self, reviewer: str) -> tuple[Doubt, ...]:
        """Return the doubts that ``reviewer`` has not answered, largest effect first: a second reviewer's queue."""
        own = {number for number, given in self.answers.items() if any(each.reviewer == reviewer for each in given)}
        return _by_effect([doubt for number, doubt in self.doubts.items() if number not in own])

    def context(self) -> Context:
        """Return what decisions are made on."""
        return Context(self.tracks, self.replaying, self.doubts, self.open, self._tracks_of)

    def _tracks_of(self, doubt: Doubt) -> set[int]:
        return self._tracks_by_doubt.get(doubt.number, set())

    @cached_property
    def _tracks_by_doubt(self) -> dict[int, set[int]]:
        pairs = [(number, anchor) for number, doubt in self.doubts.items() for anchor in doubt.anchors]
        rows = rows_of(self.tracks, [anchor for _, anchor in pairs])
        tracks: dict[int, set[int]] = {}
        for (number, _), row in zip(pairs, rows.tolist(), strict=True):
            if row != NONE:
                tracks.setdefault(number, set()).add(int(self.tracks.track_id[row]))
        return tracks

    @property
    def undo_target(self) -> Edit | None:
        """The newest act that is not undone."""
        return self.active_acts[-1] if self.active_acts else None

    @property
    def redo_target(self) -> Undo | None:
        """The undo that a redo would revert; None after a new change."""
        undone: set[int] = set()
        for act in reversed(self.acts):
            if not isinstance(act, Undo):
                return None
            if act.id not in undone:
                if not isinstance(self.acts[act.target - 1], Undo):
                    return act
                undone.add(act.target)
        return None


def _by_effect(doubts: Sequence[Doubt]) -> tuple[Doubt, ...]:
    return tuple(sorted(doubts, key=lambda doubt: (-doubt.effect_s, doubt.number)))


class Session:
    """The only writer of a corrections log, for any number of reviewers."""

    def __init__(self, tracks: Tracks, doubts: Sequence[Doubt], log: CorrectionsLog):
        self.automatic = tracks
        self._log = log
        self._acting = threading.Lock()
        self._doubts = {doubt.number: doubt for doubt in doubts}
        self._keys = {act.key for act in log.acts if act.key}
        self.view = self._replayed(log.acts)

    def close(self) -> None:
        """Close the log; everything acknowledged is already on the disk."""
        self._log.close()

    def preview(self, request: ActRequest) -> dict[str, Any]:
        """Return what a decision would change, in words and as acts, and ``problem``: why it cannot be applied."""
        view = self._at(request.version)
        decision = decide(request, view.context())
        problem = _problem(self._tried(view, decision, request, "preview")[0])
        return {"version": view.version, "words": list(decision.words), "acts": list(decision.acts), "problem": problem}

    def act(self, request: ActRequest, who: str) -> None:
        """Apply a decision; when this returns, it is on the disk.

        Raises
        ------
        Conflict
            If the log has grown since the request's version.
        InputError
            If it cannot be applied; the text names the frame.
        """
        with self._acting:
            if request.key and request.key in self._keys:
                return  # sent again because the answer was lost
            request = request.model_copy(update={"key": request.key or secrets.token_hex(8)})
            view = self._at(request.version)
            decision = decide(request, view.context())
            outcomes, replaying, acts = self._tried(view, decision, request, who)
            problem = _problem(outcomes)
            if problem:
                raise InputError(problem)
            self._log.append(acts)
            self._keys.add(request.key)
            self.view = View(self._log.acts, replaying, self._doubts)

    def turn(self, request: Turn, who: str) -> None:
        """Undo or redo a decision with all its acts (those of one key); does nothing if there is none."""
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
                f"version {version} is not the present one, {view.version}: somebody made a change in the meantime; "
                "nothing was overwritten"
            )
        return view

    def _tried(
        self, view: View, decision: Decision, request: ActRequest, who: str
    ) -> tuple[list[Outcome], Replay, list[Edit]]:
        replaying, acts = view.replaying.copy(), _numbered(decision.acts, view, request.key, who, request.why)
        return [replaying.apply(act) for act in acts], replaying, acts

    def _replayed(self, acts: tuple[Edit, ...]) -> View:
        replaying = Replay(self.automatic)
        for act in active_edits(acts):
            replaying.apply(act)
        return View(acts, replaying, self._doubts)


def _numbered(acts: Sequence[dict[str, Any]], view: View, key: str, who: str, why: str = "") -> list[Edit]:
    """Return the acts of one decision as the next lines of the log; all but the last have ``more``."""
    facts = {"when": datetime.now(UTC), "who": who or UNNAMED, "why": why, "version": view.version, "key": key}
    return [
        parse_edit({**act, **facts, "id": view.version + k, "more": True if k < len(acts) else None})
        for k, act in enumerate(acts, 1)
    ]


def _targets(view: View, way: str) -> list[int]:
    """Return the lines that an undo or redo reverts, newest first."""
    newest = view.undo_target if way == "undo" else view.redo_target
    if newest is None:
        return []
    acts = view.active_acts if way == "undo" else _active_undos(view.acts)
    same = [act.id for act in acts if newest.key and act.key == newest.key]
    return sorted(same or [newest.id], reverse=True)


def _active_undos(acts: tuple[Edit, ...]) -> list[Undo]:
    undone: set[int] = set()
    undos = []
    for act in reversed(acts):
        if isinstance(act, Undo) and act.id not in undone:
            undone.add(act.target)
            undos.append(act)
    return undos


def _problem(outcomes: Sequence[Outcome]) -> str:
    return next((outcome.problem for outcome in outcomes if outcome.problem), "")


def reviewed_share(view: View) -> float:
    """Return the share of frames, 0 to 1, that were marked as reviewed."""
    frames = view.tracks.frames
    reviewed = np.zeros(len(frames), bool)
    for act in view.active_acts:
        if isinstance(act, Reviewed):
            first, last = np.searchsorted(
                frames, [act.from_frame, END_OF_VIDEO if act.to_frame is None else act.to_frame]
            )
            reviewed[first:last] = True
    return float(reviewed.mean()) if len(frames) else 0.0


def audit(view: View) -> dict[str, Any]:
    """Return the result of the audit: number of moments, share that is wrong with its confidence interval, method."""
    verdicts = [act.verdict for act in view.active_acts if isinstance(act, Audit)]
    wrong, n = verdicts.count("wrong"), len(verdicts) - verdicts.count("unsure")
    low, high = wilson(wrong, n)
    return {"moments": len(verdicts), "decided": n, "wrong": wrong, "share": wrong / n if n else None,
            "low": low, "high": high, "method": "Wilson score interval, 95 %"}  # fmt: skip


def audit_moment(view: View, seed: int) -> dict[str, int] | None:
    """Return frame and track of a random detection of a named bird, all equally likely; None if there is none."""
    tracks = view.tracks
    rows = np.flatnonzero((tracks.identity != NONE) & (tracks.state == State.DETECTED) & (tracks.detection != NONE))
    if not len(rows):
        return None
    row = int(rows[np.random.default_rng(seed).integers(len(rows))])
    return {"frame": int(tracks.frame[row]), "track": int(tracks.track_id[row])}


def agreement(view: View) -> dict[str, Any]:
    """Return Cohen's kappa of each pair of reviewers (doubts that both answered), and the doubts they differ on."""
    by_reviewer: dict[str, dict[int, Any]] = {}
    for number, given in view.answers.items():
        for each in given:
            if each.pairs != frozenset():  # a reviewed range answers many doubts at once; it judges none of them
                by_reviewer.setdefault(each.reviewer, {})[number] = _label(view.doubts[number], each)
    people, pairs, differ = sorted(by_reviewer), [], set()
    for k, first in enumerate(people):
        for second in people[k + 1 :]:
            both = sorted(by_reviewer[first].keys() & by_reviewer[second].keys())
            labels = [by_reviewer[first][n] for n in both], [by_reviewer[second][n] for n in both]
            differ |= {n for n in both if by_reviewer[first][n] != by_reviewer[second][n]}
            if both:
                pairs.append({"people": [first, second], "doubts": len(both), "kappa": kappa(*labels)})
    return {
        "answered": {who: len(given) for who, given in by_reviewer.items()},
        "pairs": pairs,
        "differ": sorted(differ),
    }


def _label(doubt: Doubt, answer: Answer) -> str:
    """Return an answer in terms that are the same for every doubt: kept, changed or unsure."""
    if answer.pairs is None:
        return "unsure"
    return "kept" if answer.pairs == frozenset(doubt.pairs(doubt.followed)) else "changed"
