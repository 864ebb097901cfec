"""Findings of the doctor: one line per check, with a remedy where one is needed."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """Severity of a finding."""

    OK = "ok"
    NOTE = "note"  # works, but something is missing or slow
    BAD = "BAD"  # something will fail


@dataclass(frozen=True)
class Finding:
    """One line of the doctor: ``what`` was looked at, what was ``found``, and the ``remedy`` unless all is well."""

    level: Level
    what: str
    found: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.level:<5} {self.what:<16} {self.found}{f' -> {self.remedy}' if self.remedy else ''}"


def ok(what: str, found: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(Level.OK, what, found)


def note(what: str, found: str, remedy: str) -> Finding:
    """Return a finding that limits what can be done, or how fast."""
    return Finding(Level.NOTE, what, found, remedy)


def bad(what: str, found: str, remedy: str) -> Finding:
    """Return a finding of something that will fail."""
    return Finding(Level.BAD, what, found, remedy)
