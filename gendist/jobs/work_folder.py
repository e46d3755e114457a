"""The work folder of a result: durable pieces of it, kept beside the results until it is finished."""

import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gendist.errors import GendistError
from gendist.io.json_files import read_json, write_json
from gendist.io.provenance import hash_file, hash_folder
from gendist.jobs.stop_signals import suspend_deadline
from gendist.jobs.work_cleanup import FINISHED
from gendist.jobs.work_stamp import describe_differences

log = logging.getLogger(__name__)

STAMP = "stamp.json"
DIGEST = 32
"""Hexadecimal digits of its content's hash in the name of a piece: a damaged piece no longer fits its name."""
NAME = re.compile(r"(?P<name>.+)-(?P<digest>[0-9a-f]{32})(?P<suffix>\.[a-z]+)?")


class WorkFolder:
    """Pieces of one result, of use to the next attempt as long as its stamp is the same.

    Two attempts at one result must not run at once; Snakemake sees to that.
    """

    def __init__(self, root: Path | None, target: Path, stamp: dict[str, Any]) -> None:
        """Find what an earlier attempt left, and discard it, saying why, if it was made from something else.

        Args:
            root: folder of all work folders, ``results/.work``; None keeps nothing.
            target: the result, a file or a folder, within the folder that ``root`` lies in.
            stamp: what the result depends on.
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
            why = (
                f"made from something else: {describe_differences(before, self.stamp)}" if before != self.stamp else ""
            )
        except GendistError:
            why = f"{STAMP} is missing or damaged"
        if why:
            log.info("discarded what an interrupted job left in %s: %s", self.folder, why)
            shutil.rmtree(self.folder)

    def add(self, name: str, suffix: str, write: Callable[[Path], object]) -> Path | None:
        """Write a piece, whole or not at all, and make it durable; what cannot be kept is a warning, no error.

        Args:
            name: of the piece.
            suffix: of its file, such as ``.parquet``.
            write: writes the file that it is given.

        Returns:
            The file, or None if nothing is kept.
        """
        if self.folder is None:
            return None
        part = self.folder / f".{name}.part"
        try:
            with suspend_deadline():
                self._begin(self.folder)
                write(part)
                _fsync(part)
                file = self.folder / f"{name}-{hash_file(part)[:DIGEST]}{suffix}"
                part.replace(file)
                _fsync(self.folder)
                return file
        except OSError as error:  # a full disk must not end work that may yet fit
            log.warning("%s: what is done so far cannot be kept for a restart (%s)", self.folder, error)
            return None
        finally:
            part.unlink(missing_ok=True)

    def pieces(self, suffix: str) -> list[Path]:
        """Return the intact pieces with this suffix, by name; damaged ones are discarded, saying so."""
        files = [] if self.folder is None else sorted(self.folder.glob(f"*{suffix}"))
        return [file for file in files if self._intact(file)]

    def add_folder(self, name: str, source: Path) -> None:
        """Keep a finished folder, by links where the file system has them."""
        if self.folder is None:
            return
        part = self.folder / f".{name}.part"
        try:
            with suspend_deadline():
                self._begin(self.folder)
                shutil.rmtree(part, ignore_errors=True)
                _link(source, part)
                part.rename(self.folder / f"{name}-{hash_folder(part)[:DIGEST]}")
        except OSError as error:
            log.warning("%s: %s cannot be kept for a restart (%s)", self.folder, name, error)
            shutil.rmtree(part, ignore_errors=True)

    def take_folder(self, name: str, target: Path) -> bool:
        """Fill ``target`` with a folder that was kept; return whether there was one."""
        found = [] if self.folder is None else sorted(self.folder.glob(f"{name}-*"))
        kept = next((folder for folder in found if folder.is_dir() and self._intact(folder)), None)
        if kept is None:
            return False
        _link(kept, target)
        return True

    def finish(self) -> None:
        """Say that the result is there: at the end of the run, its work folder may go."""
        if self.folder is None or not self.folder.is_dir():
            return
        files = [self.target] if self.target.is_file() else _files(self.target)
        names = [_relative(file.absolute(), self.results).as_posix() for file in files]
        try:
            write_json(self.folder / FINISHED, {"files": names})
        except OSError as error:
            log.warning("%s: will not be removed by itself (%s)", self.folder, error)

    def _begin(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FINISHED).unlink(missing_ok=True)
        if not (folder / STAMP).exists():
            write_json(folder / STAMP, self.stamp)

    def _intact(self, piece: Path) -> bool:
        match = NAME.fullmatch(piece.name)
        digest = hash_folder(piece) if piece.is_dir() else hash_file(piece)
        if match and digest.startswith(match["digest"]):
            return True
        log.info("discarded %s: damaged", piece)
        if piece.is_dir():
            shutil.rmtree(piece)
        else:
            piece.unlink()
        return False


def _relative(target: Path, results: Path) -> Path:
    """Where a result lies in the folder of results; one that lies elsewhere (remote storage) by its whole path."""
    return target.relative_to(results if target.is_relative_to(results) else target.anchor)


def _files(folder: Path) -> Iterator[Path]:
    return (file for file in sorted(folder.rglob("*")) if file.is_file())


def _link(source: Path, target: Path) -> None:
    for file in _files(source):
        place = target / file.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file, place)
        except OSError:
            shutil.copyfile(file, place)
        os.utime(place)  # made now, as far as Snakemake is concerned


def _fsync(path: Path) -> None:
    """Have the disk write what is still in memory: a rename may otherwise outlive its content."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
