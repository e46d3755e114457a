"""Removes the work folders of finished results; the workflow imports it, so its imports are light."""

import json
import shutil
from contextlib import suppress
from pathlib import Path

FINISHED = "finished.json"
"""Lists the files of a finished result, relative to the folder of results."""


def remove_finished_work(root: Path) -> int:
    """Remove the work folders under ``root`` whose results exist; return their number.

    Call it at the end of a run only: until Snakemake has recorded a job, its rerun reuses the work folder.
    """
    removed = 0
    for record in sorted(Path(root).rglob(FINISHED)):
        with suppress(OSError, ValueError, TypeError):
            files = json.loads(record.read_text(encoding="utf-8"))["files"]
            if all((root.parent / file).is_file() for file in files):
                _remove(record, root)
                removed += 1
    return removed


def _remove(record: Path, root: Path) -> None:
    """Remove a work folder, ``record`` last, so that the folder is found again after a kill."""
    for entry in list(record.parent.iterdir()):
        if entry != record:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    record.unlink()
    _remove_empty(record.parent, root)


def _remove_empty(folder: Path, root: Path) -> None:
    with suppress(OSError):  # not empty
        while folder.is_relative_to(root):
            folder.rmdir()
            folder = folder.parent
