"""What a file system may answer in place of storing a file, told in one line."""

import errno
import os
import re
import shutil
from pathlib import Path

from gendist.errors import GendistError

KNOWN = {
    errno.ENOSPC: "no space left on the device; make room, then run the same command again",
    errno.EDQUOT: "no space left in your quota; make room, then run the same command again",
    errno.EFBIG: "larger than files may be here (ulimit -f, or the file system); raise that, then run it again",
    errno.EROFS: "the file system is read-only; make it writable, or name another folder under `results`",
    errno.EACCES: "no permission to write there; get it, or name another folder under `results`",
    errno.EIO: "the device failed to read or write (input/output error); look at its health, then run it again",
}
NUMBER = re.compile(r"\b(?:os error |errno )(\d+)\b", re.IGNORECASE)
"""How libraries of other languages name an error in what they say."""
FULL = 65536
"""Free bytes below which a device counts as full."""


def storage_error(path: Path, error: BaseException) -> GendistError | None:
    """Return the one line for an error in writing ``path``; None if it is of another kind."""
    number = error.errno if isinstance(error, OSError) else None
    if number is None and (found := NUMBER.search(str(error))):
        number = int(found[1])
    return GendistError(f"{path}: {KNOWN[number]}") if number in KNOWN else None


def is_full(folder: Path) -> bool:
    """Say whether the device of a folder has no room left."""
    try:
        return shutil.disk_usage(folder).free < FULL
    except OSError:
        return False


def full(folder: Path) -> GendistError:
    """Return the error for a folder whose device has no room left."""
    return GendistError(f"{os.fspath(folder)}: {KNOWN[errno.ENOSPC]}")
