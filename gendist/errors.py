"""``GendistError``, the one exception meant for users, and one-line formatting of any error."""

MAX_CHARACTERS = 1000
"""Longest message; a name quoted from a damaged file can be of any length."""
DEBUG_VARIABLE = "GENDIST_DEBUG"
"""Environment variable that adds tracebacks to errors."""


class GendistError(Exception):
    """An error in the user's input or config, as a one-line message.

    The message states what is wrong, where (file, row, column or config key) and what is accepted. Commands and
    workflow scripts print it without a traceback.
    """

    def __init__(self, message: str) -> None:
        """Escape the message with ``one_line``."""
        super().__init__(one_line(message))


def one_line(message: str) -> str:
    """Return a message as one printable line: escape control characters and shorten it in the middle."""
    printable = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)
    if len(printable) <= MAX_CHARACTERS:
        return printable
    return f"{printable[: MAX_CHARACTERS * 2 // 3]} … {printable[-MAX_CHARACTERS // 4 :]}"


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message that is not blank, or the error's type without one."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


def describe_unexpected(error: BaseException) -> str:
    """Describe an error other than ``GendistError`` in one line: a bug, or a fault of the machine."""
    first = next((line for line in str(error).splitlines() if line.strip()), "")
    return one_line(f"unexpected {type(error).__name__}" + (f": {first.strip()}" if first else ""))
