"""Tokenizer file of an export, in the format of the ``tokenizers`` library."""

from pathlib import Path

from gendist.errors import GendistError
from gendist.stages.students.subwords import SENTENCEPIECE, TOKENIZER


def require_tokenizer(embeddings: Path) -> bytes:
    """Return the content of the embeddings' ``tokenizer.json``.

    Raises:
        GendistError: if the folder has none, as with BPEmb.
    """
    file = Path(embeddings) / TOKENIZER
    if file.is_file():
        return file.read_bytes()
    found = f"only {SENTENCEPIECE}" if (file.parent / SENTENCEPIECE).is_file() else "no tokenizer"
    raise GendistError(
        f"embeddings {embeddings}: {found}, but an export needs {TOKENIZER}; list students with other embeddings "
        "in export.systems"
    )
