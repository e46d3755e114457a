"""Files and folders that appear whole or not at all; without pyarrow, which takes long to load."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gendist.io.storage_errors import storage_error


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary name beside ``path`` to write to, then rename; parent folders are made.

    Raises:
        GendistError: if the file system cannot take the file.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.part")
    with _told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
            _flush(part)
            part.replace(path)
        finally:
            with suppress(OSError):
                part.unlink()


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Give a temporary folder to fill, then move it to ``target``, whose parents are made.

    What stood at ``target`` is replaced; after an exception it is as it was.

    Raises:
        GendistError: if the file system cannot take the folder.
    """
    target = Path(target)
    part = target.with_name(f".{target.name}.part")
    with _told(target):
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        try:
            yield part
            for file in filter(Path.is_file, part.rglob("*")):
                _flush(file)
            shutil.rmtree(target, ignore_errors=True)
            part.rename(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def _flush(file: Path) -> None:
    """Have the disk write what is still in memory: after a power cut, a rename may else outlive its content."""
    with file.open("rb+") as stream:
        os.fsync(stream.fileno())


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Tell in one line what the file system says of ``path``, whichever library met it."""
    try:
        yield
    except Exception as error:
        if told := storage_error(path, error):
            raise told from None
        raise
