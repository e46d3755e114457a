"""Command-line options for the format of delimited files."""

from enum import StrEnum


class Quoting(StrEnum):
    """Quoting of fields: detected from the file, standard, or none."""

    auto = "auto"
    standard = "standard"
    none = "none"
