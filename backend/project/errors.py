"""`InputError`, the error for input that the user can correct."""


class InputError(ValueError):
    """Refused input. Its text is one line with the value and what is allowed.

    Scripts print it and exit with code 2; pages show it; servers answer 400 with it.
    """

    def __init__(self, message: str):
        super().__init__(" ".join(message.split()))


QUOTED = 80  # characters of a file's text that a message repeats


def excerpt(text: object) -> str:
    """Return ``repr(text)`` for a message, cut to `QUOTED` characters: a line of a file may be megabytes long."""
    whole = repr(text[: 2 * QUOTED] if isinstance(text, str) else text)
    shortened = isinstance(text, str) and len(text) > 2 * QUOTED
    return f"{whole[:QUOTED]}..." if shortened or len(whole) > QUOTED else whole
