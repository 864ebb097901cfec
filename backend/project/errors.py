"""`InputError`, the error for input that the user can correct."""


class InputError(ValueError):
    """Refused input. Its text is one line with the value and what is allowed.

    Scripts print it and exit with code 2; pages show it; servers answer 400 with it.
    """

    def __init__(self, message: str):
        super().__init__(" ".join(message.split()))
