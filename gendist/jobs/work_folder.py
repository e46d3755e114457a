"""Work folder of an unfinished result: saved intermediate files, from which the next attempt resumes."""

import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gendist.errors import GendistError
from gendist.io.atomic_files import flush_to_disk
from gendist.io.json_files import read_json, write_json
from gendist.io.provenance import hash_file, hash_folder
from gendist.jobs.stop_signals import suspend_deadline
from gendist.jobs.work_cleanup import FINISHED
from gendist.jobs.work_stamp import describe_differences

log = logging.getLogger(__name__)

STAMP = "stamp.json"
DIGEST = 32
"""Hex digits of the checksum in the name of each saved file, which reveals damage."""
NAME = re.compile(r"(?P<name>.+)-(?P<digest>[0-9a-f]{32})(?P<suffix>\.[a-z]+)?")


class WorkFolder:
    """Saved files of one result, reused by the next attempt if its stamp is equal.

    Two attempts at one result must not run at the same time; Snakemake ensures this.
    """

    def __init__(self, root: Path | None, target: Path, stamp: dict[str, Any]) -> None:
        """Open the work folder; discard it, with a log line, if its stamp differs.

        Args:
            root: folder of all work folders, ``results/.work``; None saves nothing.
            target: the result, a file or a folder.
            stamp: what the result depends on, from ``make_stamp``.
        """
        self.target = Path(target)
        self.stamp = stamp
        self.folder: Path | None = None
        if root is not None:
            self.results = Path(root).parent.absolute()
            self.folder = Path(root) / _relative(self.target.absolute(), self.results)
            self._check()

    def _check(self) -> None:
        if self.folder is None or not self.folder.is_dir():
            return
        try:
            before = read_json(self.folder / STAMP)
            reason = describe_differences(before, self.stamp) if before != self.stamp else ""
        except GendistError:
            reason = f"{STAMP} is missing or damaged"
        if reason:
            log.info("discarded saved work in %s: %s", self.folder, reason)
            shutil.rmtree(self.folder)

    def save_file(self, name: str, suffix: str, write: Callable[[Path], object]) -> Path | None:
        """Save a file atomically and flush it to disk; a failed write is logged as a warning.

        Args:
            name: name of the file; its checksum is appended.
            suffix: such as ``.parquet``.
            write: writes the content to a given path.

        Returns:
            The file; None if it was not saved.
        """
        if self.folder is None:
            return None
        part = self.folder / f".{name}.part"
        try:
            with suspend_deadline():
                self._create(self.folder)
                write(part)
                flush_to_disk(part)
                file = self.folder / f"{name}-{hash_file(part)[:DIGEST]}{suffix}"
                part.replace(file)
                flush_to_disk(self.folder)
                return file
        except OSError as error:  # a full disk must not stop a job whose result may still fit
            log.warning("%s: cannot save the work so far (%s)", self.folder, error)
            return None
        finally:
            part.unlink(missing_ok=True)

    def saved_files(self, suffix: str) -> list[Path]:
        """Return the intact files with this suffix, sorted by name; damaged files are deleted, with a log line."""
        files = [] if self.folder is None else sorted(self.folder.glob(f"*{suffix}"))
        return [file for file in files if self._is_intact(file)]

    def save_folder(self, name: str, source: Path) -> None:
        """Save a finished folder, with hard links where the file system supports them."""
        if self.folder is None:
            return
        part = self.folder / f".{name}.part"
        try:
            with suspend_deadline():
                self._create(self.folder)
                shutil.rmtree(part, ignore_errors=True)
                _link(source, part)
                part.rename(self.folder / f"{name}-{hash_folder(part)[:DIGEST]}")
        except OSError as error:
            log.warning("%s: cannot save %s (%s)", self.folder, name, error)
            shutil.rmtree(part, ignore_errors=True)

    def restore_folder(self, name: str, target: Path) -> bool:
        """Restore a saved folder to ``target``; return whether there was one."""
        found = [] if self.folder is None else sorted(self.folder.glob(f"{name}-*"))
        saved = next((folder for folder in found if folder.is_dir() and self._is_intact(folder)), None)
        if saved is None:
            return False
        _link(saved, target)
        return True

    def mark_finished(self) -> None:
        """Mark the result as finished: ``remove_finished_work`` removes the work folder at the end of the run."""
        if self.folder is None or not self.folder.is_dir():
            return
        files = [self.target] if self.target.is_file() else _files(self.target)
        names = [_relative(file.absolute(), self.results).as_posix() for file in files]
        try:
            write_json(self.folder / FINISHED, {"files": names})
        except OSError as error:
            log.warning("%s: cannot be marked as finished and will not be removed (%s)", self.folder, error)

    def _create(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FINISHED).unlink(missing_ok=True)
        if not (folder / STAMP).exists():
            write_json(folder / STAMP, self.stamp)

    def _is_intact(self, path: Path) -> bool:
        match = NAME.fullmatch(path.name)
        digest = hash_folder(path) if path.is_dir() else hash_file(path)
        if match and digest.startswith(match["digest"]):
            return True
        log.info("discarded %s: damaged", path)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
        return False


def _relative(target: Path, results: Path) -> Path:
    """Return the path of a result relative to the folder of results; outside of it, relative to the root directory."""
    return target.relative_to(results if target.is_relative_to(results) else target.anchor)


def _files(folder: Path) -> Iterator[Path]:
    return (file for file in sorted(folder.rglob("*")) if file.is_file())


def _link(source: Path, target: Path) -> None:
    for file in _files(source):
        copy = target / file.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file, copy)
        except OSError:
            shutil.copyfile(file, copy)
        os.utime(copy)  # Snakemake compares modification times
