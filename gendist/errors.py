"""The one exception that users are meant to see, and how any error is told in one line."""

LONGEST = 1000
"""Characters of a message; a name in it may come from a damaged file and be of any length."""


DEBUG = "GENDIST_DEBUG"
"""With this variable set, errors come with their tracebacks."""


class GendistError(Exception):
    """A mistake in the input or the config, told in one line.

    The message names what is wrong, where (file, row, column or config key)
    and what is accepted instead. Scripts print it without a traceback.
    """

    def __init__(self, message: str) -> None:
        """Take a message; what it quotes of a file cannot break its line or steer a terminal."""
        super().__init__(told(message))


def told(message: str) -> str:
    """Put a message on one line: what cannot be printed becomes an escape, and the middle of a long one goes."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)
    if len(shown) <= LONGEST:
        return shown
    return f"{shown[: LONGEST * 2 // 3]} … {shown[-LONGEST // 4 :]}"


def unexpected(error: BaseException) -> str:
    """Tell an error that is no ``GendistError``, and so a fault of ours or of the machine."""
    first = next((line for line in str(error).splitlines() if line.strip()), "")
    return told(f"unexpected {type(error).__name__}" + (f": {first.strip()}" if first else ""))
