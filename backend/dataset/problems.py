"""Problems of the input, collected by kind: a line for each kind, with its count and examples."""

from collections.abc import Mapping
from enum import StrEnum

EXAMPLES = 3


class Problem(StrEnum):
    """A kind of problem; its text goes into messages and reports."""

    NO_MASK = "images without a mask"
    NO_IMAGE = "masks without an image"
    NUMBERING = "mixed numbering"
    SIZE = "image and mask differ in size"
    UNKNOWN_ID = "object ids that stand for no class"
    BAD_MASK = "masks that cannot be used"
    BAD_IMAGE = "images that cannot be used"
    WHICH_IMAGE = "image names that do not tell which file is meant (put each JSON beside its own images)"
    BAD_ANNOTATION = "annotations that cannot be used"


class Problems:
    """Counts by kind, with the first examples of each."""

    def __init__(self) -> None:
        self.counts: dict[Problem, int] = {}
        self.examples: dict[Problem, list[str]] = {}

    def __bool__(self) -> bool:
        return bool(self.counts)

    def add(self, kind: Problem, example: str, count: int = 1) -> None:
        """Count a problem, and keep the example if there are few yet."""
        self.counts[kind] = self.counts.get(kind, 0) + count
        examples = self.examples.setdefault(kind, [])
        if len(examples) < EXAMPLES:
            examples.append(example)

    def lines(self) -> list[str]:
        """Return one line a kind: ``3 images without a mask, such as a/000012.png, ...``."""
        return [
            f"{count} {kind.value}, such as {'; '.join(self.examples[kind])}"
            if count > 1
            else f"1 of {kind.value}: {self.examples[kind][0]}"
            for kind, count in self.counts.items()
        ]

    def as_json(self) -> Mapping[str, object]:
        """Return count and examples by kind, for the report."""
        return {kind.value: {"count": count, "examples": self.examples[kind]} for kind, count in self.counts.items()}
