"""Temporary folder of a run, named so that the next run can remove it after a kill."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gendist.launcher.run_locks import processes_here

SCRIPTS = Path(".snakemake/scripts")
"""Folder of Snakemake's copies of the scripts of running jobs."""


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a temporary folder, named after the working directory and this process."""
    with tempfile.TemporaryDirectory(prefix=f"{_prefix()}{os.getpid()}-") as folder:
        yield Path(folder)


def _prefix() -> str:
    return f"gendist-{hashlib.sha256(os.fsencode(Path.cwd())).hexdigest()[:12]}-"


def remove_stale_files() -> None:
    """Remove the temporary files of killed runs in the working directory, if no run is active there."""
    import psutil  # type: ignore[import-untyped]

    stale = [*Path(tempfile.gettempdir()).glob(f"{_prefix()}*"), *SCRIPTS.glob("tmp*")]
    if not stale or processes_here():
        return
    for path in stale:
        owner = path.name.removeprefix(_prefix()).partition("-")[0]
        if path.parent == SCRIPTS:
            path.unlink(missing_ok=True)
        elif not (owner.isdigit() and psutil.pid_exists(int(owner))):
            shutil.rmtree(path, ignore_errors=True)
