"""Options that say how a text file is to be read."""

from enum import StrEnum

from gendist.errors import GendistError


class Quoting(StrEnum):
    """Whether quotes enclose fields, are letters, or what the file's lines say."""

    auto = "auto"
    standard = "standard"
    none = "none"


def parse_delimiter(given: str | None) -> str | None:
    """Return the delimiter that an option names; a tab may be written as a backslash and a t.

    Raises:
        GendistError: if it is not one character.
    """
    if given in ("\\t", "tab"):
        return "\t"
    if given is not None and (len(given) != 1 or given in '"\r\n'):
        raise GendistError(f"--delimiter '{given}' is not accepted: expected one character, such as ; or \\t")
    return given
