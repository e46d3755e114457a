"""One-line explanations of file system errors: disk full, quota, read-only, permissions."""

import errno
import os
import re
import shutil
from pathlib import Path

from gendist.errors import GendistError

MESSAGES = {
    errno.ENOSPC: "no space left on the device; free some space, then rerun the same command",
    errno.EDQUOT: "disk quota exceeded; free some space, then rerun the same command",
    errno.EFBIG: "file too large (ulimit -f, or the file system's limit); raise the limit, then rerun the same command",
    errno.EROFS: "read-only file system; make it writable, or set another folder as `results`",
    errno.EACCES: "permission denied; make it writable, or set another folder as `results`",
    errno.EIO: "input/output error; check the health of the device, then rerun the same command",
}
ERRNO = re.compile(r"\b(?:os error |errno )(\d+)\b", re.IGNORECASE)
"""Pattern of errno in the messages of libraries written in Rust and C++."""
FULL_BELOW = 65536
"""Free bytes below which a disk counts as full."""


def explain_os_error(path: Path, error: BaseException) -> GendistError | None:
    """Return a one-line error for a failed write to ``path``, or None if ``error`` is not a known file system error."""
    number = error.errno if isinstance(error, OSError) else None
    if number is None and (found := ERRNO.search(str(error))):
        number = int(found[1])
    return GendistError(f"{path}: {MESSAGES[number]}") if number in MESSAGES else None


def is_disk_full(folder: Path) -> bool:
    """Whether the disk of a folder is full."""
    try:
        return shutil.disk_usage(folder).free < FULL_BELOW
    except OSError:
        return False


def disk_full_error(folder: Path) -> GendistError:
    """Return the error for a folder whose disk is full."""
    return GendistError(f"{os.fspath(folder)}: {MESSAGES[errno.ENOSPC]}")
