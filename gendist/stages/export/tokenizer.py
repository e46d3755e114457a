"""The tokenizer of an export: a file that the ``tokenizers`` library reads, whatever the embeddings."""

from pathlib import Path

from gendist.errors import GendistError
from gendist.stages.students.subwords import SENTENCEPIECE, TOKENIZER


def require_tokenizer(embeddings: Path) -> bytes:
    """Return the content of the embeddings' ``tokenizer.json``.

    Raises:
        GendistError: if they have none, as BPEmb's do not.
    """
    file = Path(embeddings) / TOKENIZER
    if file.is_file():
        return file.read_bytes()
    found = f"only {SENTENCEPIECE}" if (file.parent / SENTENCEPIECE).is_file() else "no tokenizer"
    raise GendistError(
        f"embeddings {embeddings}: {found} there, and an export needs {TOKENIZER}; name students of other embeddings "
        "in export.systems"
    )
