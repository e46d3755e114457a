"""Model folders that appear whole or not at all."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gendist.artifacts.provenance import Provenance


@contextmanager
def model_folder(target: Path, provenance: Provenance) -> Iterator[Path]:
    """Give a temporary folder to fill; on success add provenance and move it to ``target``.

    What stood at ``target`` is replaced; after an exception it is as it was.
    """
    target = Path(target)
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        provenance.to_file(part)
        shutil.rmtree(target, ignore_errors=True)
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
