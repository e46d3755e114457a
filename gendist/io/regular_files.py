"""Whether a path is a file that can be read to its end, told before anything opens it."""

import stat
from pathlib import Path

from gendist.errors import GendistError


def require_regular(path: Path, key: str = "", what: str = "file") -> int:
    """Refuse what is no regular file: a pipe would be waited for, and a device has no end.

    Args:
        path: file of the user's.
        key: what of the config or the command line named it, for the message.
        what: what it should be.

    Returns:
        Its size in bytes.

    Raises:
        GendistError: if it is missing, a folder, a pipe, a device, or cannot be looked at.
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
