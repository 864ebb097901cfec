"""The one error that means: what the user gave cannot be used."""


class InputError(ValueError):
    """A refused input. Its text is one line with the value and what is allowed.

    Scripts print it and exit with code 2; pages show it; servers answer 400 with it.
    """

    def __init__(self, message: str):
        super().__init__(" ".join(message.split()))
