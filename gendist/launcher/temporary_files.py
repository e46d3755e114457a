"""Temporary files of a run: in one folder, which a killed run's successor can tell from those of others."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gendist.launcher.run_locks import processes_here

SCRIPTS = Path(".snakemake/scripts")
"""Where Snakemake puts a copy of a job's script until the job ends."""


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Give a folder for temporary files; it is named after the working directory and this process."""
    with tempfile.TemporaryDirectory(prefix=f"{_prefix()}{os.getpid()}-") as folder:
        yield Path(folder)


def _prefix() -> str:
    return f"gendist-{hashlib.sha256(os.fsencode(Path.cwd())).hexdigest()[:12]}-"


def remove_stale_files() -> None:
    """Remove the temporary files that killed runs of the working directory left, if nothing runs there."""
    import psutil  # type: ignore[import-untyped]

    left = [*Path(tempfile.gettempdir()).glob(f"{_prefix()}*"), *SCRIPTS.glob("tmp*")]
    if not left or processes_here():
        return
    for path in left:
        owner = path.name.removeprefix(_prefix()).partition("-")[0]
        if path.parent == SCRIPTS:
            path.unlink(missing_ok=True)
        elif not (owner.isdigit() and psutil.pid_exists(int(owner))):
            shutil.rmtree(path, ignore_errors=True)
