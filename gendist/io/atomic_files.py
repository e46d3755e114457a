"""Atomic writes: a file or folder appears complete under its final name, or not at all."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gendist.io.checksums import with_checksum
from gendist.io.os_errors import explain_os_error
from gendist.io.provenance import Provenance, file_hashes

if TYPE_CHECKING:
    import torch


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``, then flush it to disk and rename it to ``path``.

    Parent folders are created. After an exception, ``path`` is unchanged.

    Raises:
        GendistError: if the file system rejects the write, for example for lack of space.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.part")
    with _explained_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
            flush_to_disk(part)
            part.replace(path)
        finally:
            with suppress(OSError):
                part.unlink()


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``target``, then flush its files to disk and rename it to ``target``.

    Parent folders are created, and an existing ``target`` is replaced. After an exception, ``target`` is unchanged.

    Raises:
        GendistError: if the file system rejects the write, for example for lack of space.
    """
    target = Path(target)
    part = target.with_name(f".{target.name}.part")
    with _explained_os_errors(target):
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        try:
            yield part
            for file in filter(Path.is_file, part.rglob("*")):
                flush_to_disk(file)
            shutil.rmtree(target, ignore_errors=True)
            part.rename(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)


@contextmanager
def model_folder(target: Path, provenance: Provenance) -> Iterator[Path]:
    """Like ``atomic_folder``, and add ``gendist.json``: the provenance, and a checksum of every file in the folder."""
    with atomic_folder(target) as part:
        yield part
        provenance.to_file(part, file_hashes(part))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a binary file atomically."""
    with atomic_write(path) as part:
        part.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write a UTF-8 text file atomically; line ends are written as they are."""
    write_bytes(path, content.encode())


def write_tensors(path: Path, tensors: Mapping[str, "torch.Tensor"], metadata: tuple[str, str] | None = None) -> None:
    """Write a safetensors file atomically.

    Args:
        path: the file.
        tensors: tensors by name.
        metadata: one key and its value, a JSON object, to which the checksum of the tensors is added. Only one key,
            because safetensors writes several in random order.
    """
    from safetensors.torch import save  # imports torch

    contiguous = {name: value.contiguous() for name, value in tensors.items()}
    key, value = metadata or ("format", "pt")
    # Not save_file, whose own temporary file has a random name that no later run could clean up after a kill.
    write_bytes(path, save(contiguous, {key: with_checksum(save(contiguous), value) if metadata else value}))


def flush_to_disk(path: Path) -> None:
    """Flush a file or a folder to disk: without this, a power cut can leave the renamed file empty."""
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)  # Windows flushes no read-only file
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _explained_os_errors(path: Path) -> Iterator[None]:
    """Turn errors of the file system, raised by any library, into one line."""
    try:
        yield
    except Exception as error:
        if explained := explain_os_error(path, error):
            raise explained from None
        raise
