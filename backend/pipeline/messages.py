"""Messages from a worker to its supervisor."""

from dataclasses import dataclass

from backend.pipeline.chunk_plan import Work
from backend.pipeline.network import NetworkFacts


@dataclass(frozen=True)
class Ready:
    """The network is loaded."""

    facts: NetworkFacts


@dataclass(frozen=True)
class Refused:
    """The user's model or GPU cannot be used."""

    reason: str


@dataclass(frozen=True)
class Beat:
    """The worker is alive; ``frames`` more of its open chunk went through the network."""

    frames: int = 0


@dataclass(frozen=True)
class Saved:
    """A chunk is on the disk."""

    work: Work


@dataclass(frozen=True)
class Failed:
    """The worker ends because of an error. ``errno`` and ``path`` are given for errors of the disk."""

    work: Work | None
    reason: str
    errno: int | None = None
    path: str = ""
