"""The log: what was acknowledged is there, a torn last line is the open act, damage elsewhere is said."""

import pytest

from backend.project.errors import InputError
from segannot.journal import Journal


def test_what_was_appended_is_read_back_by_place(tmp_path):
    journal = Journal(tmp_path / "acts.jsonl")
    places = [journal.append({"act": k, "name": "bäh\n"}) for k in range(5)]
    journal.close()
    again = Journal(tmp_path / "acts.jsonl")
    assert [(place, record["act"]) for place, record in again.scan()] == list(zip(places, range(5), strict=True))
    assert again.read(places[3]) == {"act": 3, "name": "bäh\n"}


@pytest.mark.parametrize("cut", [1, 5, 9])
def test_a_line_that_was_cut_short_goes_and_the_log_goes_on(tmp_path, cut):
    path = tmp_path / "acts.jsonl"
    journal = Journal(path)
    for k in range(3):
        journal.append({"act": k})
    journal.close()
    path.write_bytes(path.read_bytes()[:-cut])
    again = Journal(path)
    assert [record["act"] for _, record in again.scan()] == [0, 1]
    again.append({"act": 9})
    assert [record["act"] for _, record in again.scan()] == [0, 1, 9]


def test_damage_in_the_middle_is_refused_and_changes_nothing(tmp_path):
    path = tmp_path / "acts.jsonl"
    path.write_bytes(b'{"act": 1}\n{"ac\n{"act": 3}\n')
    before = path.read_bytes()
    with pytest.raises(InputError, match="byte 11"):
        list(Journal(path).scan())
    assert path.read_bytes() == before
