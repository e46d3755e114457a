"""Rejects paths that are not regular files, before anything opens them."""

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
