"""The review of the whole story: every doubt is kept; where there is none, moments drawn at random are audited."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, expect

from backend.jobs import JobState
from backend.masks.indexed import read_labels
from backend.tracking.tracks.schemas import State
from backend.tracking.tracks.track_folder import open_tracks, read_doubts
from backend.tracking.tracks.tracks import Tracks
from tests.e2e.story import PATIENT_MS, PATIENT_S, Story
from tests.e2e.test_first_hour import until

AUDITED = 6  # random moments


def review(story: Story, tracks: Path) -> list[bool]:
    """Answer every doubt about ``tracks`` in the board with *Keep*; return an empty list.

    Where tracking left no doubt, audit moments drawn at random; return whether each was found right.
    """
    doubts = len(read_doubts(tracks))
    story.go("Correct mistakes")
    story.press("Start board")
    board = story.opened("Open board")
    expect(board.locator("#connection")).to_have_class("connected", timeout=PATIENT_MS)
    if doubts:
        expect(board.locator("#keep-words")).to_have_text(re.compile("[a-z]"), timeout=PATIENT_MS)
        story.picture("board", board)

    def all_answered() -> bool:
        """Keep what is shown; while the next doubt comes a key may be lost, so it is asked again."""
        if board.locator("#card").is_visible():
            board.keyboard.press("k")
        return board.locator("#queue-state").text_content() in ("", f"{doubts} of {doubts} done")

    until(all_answered, PATIENT_S)
    expect(board.locator("#done")).to_be_visible(timeout=PATIENT_MS)
    verdicts = [] if doubts else audit(story, board, open_tracks(tracks))
    board.close()
    story.go("Home")  # back on the page, what was decided is read anew
    story.go("Correct mistakes")
    if doubts:
        story.shows(f"{doubts} of {doubts}")
    else:
        story.shows(f"{verdicts.count(False)} wrong of {len(verdicts)} random moments")
        story.picture("correct")
    story.press("Stop board")
    until(lambda: story.store.list(kind="board")[0].state is JobState.STOPPED, PATIENT_S)
    return verdicts


def audit(story: Story, board: Page, tracks: Tracks) -> list[bool]:
    """Say of some random moments whether the name is right; return what was said."""
    verdicts: list[bool] = []
    board.keyboard.press("F3")
    begin = board.get_by_role("button", name="Show a random moment")
    moment = asked(board, begin.click)
    for number in range(1, AUDITED + 1):
        (row,) = np.flatnonzero((tracks.frame == moment["frame"]) & (tracks.track_id == moment["track"]))
        name = tracks.names[tracks.identity[row]]
        question = re.compile(rf"^Is this {re.escape(name)}\? Frame {moment['frame']},")
        expect(board.locator("#audit-question")).to_have_text(question, timeout=PATIENT_MS)
        if number == AUDITED:
            story.picture("audit", board)
        verdicts.append(is_same_bird(story, tracks, row))
        key = "k" if verdicts[-1] else "s"
        moment = asked(board, lambda key=key: board.keyboard.press(key))
        done = f"{number} moment{'s' if number > 1 else ''}, {100 * verdicts.count(False) / number:.1f} % wrong"
        expect(board.locator("#audit-result")).to_contain_text(done, timeout=PATIENT_MS)
    expect(board.locator("#saved")).to_have_text("All saved", timeout=PATIENT_MS)
    return verdicts


def asked(board: Page, act: Callable[[], object]) -> dict[str, int]:
    """Do what makes the board draw a random moment; return its ``frame`` and ``track``."""
    with board.expect_response(lambda response: "/api/audit?" in response.url, timeout=PATIENT_MS) as response:
        act()
    return response.value.json()["moment"]


def is_same_bird(story: Story, tracks: Tracks, row: int) -> bool:
    """Return whether the person sees the bird in a row that bore this name when it was seen first."""
    named = tracks.identity == tracks.identity[row]
    first = np.flatnonzero(named & (tracks.state == State.DETECTED))[0]
    return outlined_bird(story, tracks, row) == outlined_bird(story, tracks, first)


def outlined_bird(story: Story, tracks: Tracks, row: int) -> int:
    """Return the number of the bird whose outline, as the person made it, fills most of a row's box; 0: none."""
    labels = read_labels(story.project.segannot(story.video) / f"{tracks.frame[row]:06d}.png")
    x1, y1, x2, y2 = tracks.boxes[row].round().astype(int)
    sizes = np.bincount(labels[max(0, y1) : y2, max(0, x1) : x2].ravel(), minlength=2)
    return int(sizes[1:].argmax()) + 1 if sizes[1:].any() else 0
