"""Rejects paths that are not regular files, before anything opens them, and test files that are training files."""

import filecmp
import stat
from pathlib import Path

from gendist.errors import GendistError


def require_regular_file(path: Path, key: str = "", what: str = "file") -> int:
    """Reject folders, FIFOs, sockets and devices: reading a FIFO blocks, and a device may have no end.

    Args:
        path: a file named by the user.
        key: the config key or option that named it, appended to the message.
        what: the expected kind of file, for the message.

    Returns:
        The size in bytes.

    Raises:
        GendistError: if it is missing, not a regular file, or not accessible.
    """
    try:
        found = Path(path).stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a NUL in the name
        raise GendistError(f"{path}: no such {what}{key}") from None
    except OSError as error:
        raise GendistError(f"{path}: cannot be read ({error.strerror}){key}") from None
    if stat.S_ISDIR(found.st_mode):
        raise GendistError(f"{path}: is a folder, expected a {what}{key}")
    if not stat.S_ISREG(found.st_mode):
        raise GendistError(f"{path}: is a pipe, a socket or a device, expected a {what}{key}")
    return found.st_size


def require_separate_test_file(test: Path, other: Path, key: str = "", what: str = "training") -> None:
    """Reject a test file that is also read for training, under the same name, through a link or as a copy.

    Args:
        test: file of the test rows.
        other: a file of other rows.
        key: the config keys or option that named them, appended to the message.
        what: what ``other`` is for.

    Raises:
        GendistError: if both have the same content, or one cannot be read.
    """
    try:
        same = "is" if test.samefile(other) else "is a copy of" if filecmp.cmp(test, other, shallow=False) else ""
    except OSError as error:
        raise GendistError(f"{error.filename}: cannot be read ({error.strerror}){key}") from None
    if same:
        name = f" {other}" if same != "is" or str(other) != str(test) else ""
        raise GendistError(
            f"{test}: {same} the {what} file{name}, so its accuracy would be that of known texts; "
            f"expected a file of other rows{key}"
        )
