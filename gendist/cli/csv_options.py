"""Command-line options for the format of delimited files."""

from enum import StrEnum

from gendist.errors import GendistError


class Quoting(StrEnum):
    """Quoting of fields: detected from the file, standard, or none."""

    auto = "auto"
    standard = "standard"
    none = "none"


def parse_delimiter(option: str | None) -> str | None:
    """Parse ``--delimiter``; a backslash followed by t, and ``tab``, are a tab.

    Raises:
        GendistError: if the delimiter is not one character.
    """
    if option in ("\\t", "tab"):
        return "\t"
    if option is not None and (len(option) != 1 or option in '"\r\n'):
        raise GendistError(f"--delimiter '{option}' is not accepted: expected one character, such as ; or \\t")
    return option
