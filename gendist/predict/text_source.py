"""An input file of texts and its format options."""

from collections.abc import Sequence
from dataclasses import dataclass

from gendist.errors import GendistError
from gendist.io.delimited_files import ReadOptions
from gendist.predict.standard_input import STDIN

FORMATS = ("csv", "tsv", "jsonl", "parquet", "txt")
UNKNOWN_HEADER = ReadOptions(header=None)


@dataclass(frozen=True)
class TextSource:
    """An input file and its format options."""

    path: str
    """A file, or ``-`` for standard input."""
    columns: Sequence[str] | None
    """Columns to join into the text; None uses those of the training texts, else the only column."""
    training_columns: Sequence[str]
    """Text columns of the training data."""
    separator: str = " "
    """Separator between joined columns."""
    reading: ReadOptions = UNKNOWN_HEADER
    """Format options of text files."""
    format: str | None = None
    """One of ``FORMATS``. None uses the suffix; standard input is ``txt`` unless its first line is a CSV header or a
    JSON object."""
    keep: Sequence[str] | None = ()
    """Columns copied to the output; None for all."""

    @property
    def name(self) -> str:
        """File name for messages."""
        return "standard input" if self.path == STDIN else self.path


def read_error(source: TextSource, error: OSError) -> GendistError:
    """Return the error of an input file that cannot be opened or read."""
    missing = isinstance(error, FileNotFoundError)
    return GendistError(f"{source.name}: " + ("no such file" if missing else f"cannot be read ({error.strerror})"))
