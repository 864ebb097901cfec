"""A corrections log as the first release wrote it, with every kind of act, loads for ever and means the same."""

import json
from collections import Counter
from pathlib import Path
from typing import get_args

from backend.tracking.tracks.corrections import replay
from backend.tracking.tracks.edits import Edit, edit_line, read_log
from tests.board.boards import tracked

LOG = Path(__file__).parents[2] / "project" / "formats" / "corrections-1.jsonl"


def test_the_sample_has_every_kind_of_act() -> None:
    kinds = {kind.model_fields["act"].default for kind in get_args(get_args(Edit)[0])}
    assert {act.act for act in read_log(LOG)} == kinds


def test_every_line_is_written_again_as_it_was() -> None:
    for line, act in zip(LOG.read_bytes().splitlines(keepends=True), read_log(LOG), strict=True):
        assert json.loads(edit_line(act)) == json.loads(line)


def test_it_is_replayed_as_it_was() -> None:
    result = replay(tracked(), read_log(LOG))
    tracks = result.tracks
    names = Counter(tracks.names[code] if code >= 0 else None for code in tracks.identity.tolist())
    assert names == {"bird 01": 60, "Rufus": 60, "bird 03": 60, None: 2}
    problems = {outcome.id: outcome.problem for outcome in result.outcomes if outcome.problem}
    assert problems == {1: "frame 12: this is no longer the bird of frame 11"}
    drawn = tracks.select((tracks.frame == 6) & (tracks.identity == tracks.names.index("bird 03")))
    assert drawn.boxes.tolist() == [[20.0, 60.0, 44.5, 82.0]]
