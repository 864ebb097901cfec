"""MOT text is read alike whatever its separators and decimal marks; what can be read in two ways is refused."""

from pathlib import Path

import numpy as np
import pytest

from backend.project.errors import InputError
from backend.tracking.io.mot import read_mot

ROWS = [(1, 1, 100.5, 20.5, 30.25, 40.75, 0.9), (2, 1, 101.5, 20, 30.25, 40.75, 0.125)]
CORNERS = [[100.5, 20.5, 130.75, 61.25], [101.5, 20.0, 131.75, 60.75]]


def written(path: Path, separator: str, decimal: str, rows: list[tuple] = ROWS) -> Path:
    path.write_text("\n".join(separator.join(f"{value:g}".replace(".", decimal) for value in row) for row in rows))
    return path


@pytest.mark.parametrize(
    ("separator", "decimal"),
    [
        *((separator, ",") for separator in ("\t", " ", "   ", " \t", ";", "; ")),
        *((separator, ".") for separator in (",", ", ", " , ", ",\t", "\t", " ", ";")),
    ],
)
def test_one_table_reads_the_same_in_every_dialect(tmp_path: Path, separator: str, decimal: str) -> None:
    rows = read_mot(written(tmp_path / "a.txt", separator, decimal))
    assert rows.boxes.tolist() == CORNERS and rows.ids.tolist() == [1, 1] and rows.frame.tolist() == [0, 1]
    assert np.array_equal(rows.score, np.array([0.9, 0.125], np.float32))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1,1,100,5,20,5,30,25,40,75,0,9\n", "12 columns of whole numbers, MOT has at most 10: are decimal commas"),
        ("1,1,100,5,20,30,40,0,9\n2,1,100,20,30,40,0,9\n", "line 2 has 8 columns, line 1 has 9: are decimal commas"),
        ("1 1 100,5 20.5 30 40 1\n", "decimal points and commas in one file"),
        ("1 1 100,5 20, 30 40 1\n", "separated by commas in places, by blanks in others"),
        ("1\t1\t1,234\t20\t30\t40\t1\n", "'1,234' may have a decimal comma or separate thousands"),
        ("1;1;1.234,5;20;30;40;1\n", "decimal points and commas in one file"),
        ("1,1,100,,30,40,1\n", "line 1 is not all numbers"),
        ("1\t1\t100\t\t30\t40\t1\n", "line 1 is not all numbers"),
        ("1,1,10,10,5,5,1\n2 1 10 10 5 5 1\n", "line 1: 1 columns"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(InputError) as error:
        read_mot(tmp_path / "a.txt")
    assert reason in str(error.value)


def test_a_comma_at_the_end_of_a_line_is_no_column(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1,1,10,20,5,6,0.5,\n2,1,10,20,5,6,0.5\n")
    assert read_mot(tmp_path / "a.txt").boxes.tolist() == [[10, 20, 15, 26]] * 2


def test_a_message_repeats_little_of_a_long_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("[" + '{"image_id": 1}, ' * 100_000 + "]")
    with pytest.raises(InputError) as error:
        read_mot(tmp_path / "a.txt")
    assert len(str(error.value)) < 250 + len(str(tmp_path))
