"""Model folders that appear whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gendist.io.atomic import whole_folder
from gendist.io.provenance import Provenance, file_hashes


@contextmanager
def model_folder(target: Path, provenance: Provenance) -> Iterator[Path]:
    """Give a temporary folder to fill; on success add provenance and hashes of its files, and move it to ``target``.

    What stood at ``target`` is replaced; after an exception it is as it was.
    """
    with whole_folder(target) as part:
        yield part
        provenance.to_file(part, file_hashes(part))
