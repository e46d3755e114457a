"""Files of the packaged models, verified by hash before use."""

import json
from pathlib import Path

from gendist.errors import GendistError
from gendist.io.provenance import hash_file

MODELS = Path(__file__).parent / "models"
HASHES = "hashes.json"
GENERATOR = WEIGHTS, CONFIG, TOKENIZER = (
    "generator/model-int8.safetensors",
    "generator/config.json",
    "generator/tokenizer.json",
)
SUBWORD_FILES = PIECES, VECTORS = "subwords/tokenizer.json", "subwords/vectors.safetensors"
WORDPIECE_FILES = "wordpiece/tokenizer.json", "wordpiece/vectors.safetensors"
EMBEDDING_FILES = {"pocket": SUBWORD_FILES, "wordpiece": WORDPIECE_FILES}
"""Tokenizer and vectors of students, by the name in a config."""
STUDENTS = {name: f"students/{name}.safetensors" for name in ("kim", "res")}
"""Initial weights of students, from general distillation, by architecture."""
GENERAL_TEXTS = "texts/general.parquet"
"""Snippets of general text for the teacher to score (column ``text``), in random order."""
FILES = (*GENERATOR, *SUBWORD_FILES, *WORDPIECE_FILES, *STUDENTS.values(), GENERAL_TEXTS)
EMBEDDINGS = {name: (MODELS / pieces).parent for name, (pieces, _) in EMBEDDING_FILES.items()}
"""Folders of ``EMBEDDING_FILES``."""
SUBWORDS, WORDPIECE = EMBEDDINGS["pocket"], EMBEDDINGS["wordpiece"]


def verified_file(name: str, models: Path = MODELS) -> Path:
    """Return the path of a packaged file, after comparing its content with the recorded hash.

    Raises:
        GendistError: if the file or its hash is missing, or they do not match.
    """
    file = models / name
    try:
        recorded = json.loads((models / HASHES).read_text(encoding="utf-8"))[name]
        found = hash_file(file)
    except (FileNotFoundError, KeyError):
        raise GendistError(f"pocket model {file} is missing: reinstall gendist, or train it (make pocket)") from None
    except (OSError, ValueError, TypeError) as error:
        raise GendistError(f"{models / HASHES}: cannot be read ({error}); reinstall gendist") from None
    if found != recorded:
        raise GendistError(f"{file}: sha256 is {found}, expected {recorded}; reinstall gendist")
    return file


def packaged_subwords(models: Path = MODELS, name: str = "pocket") -> Path:
    """Return a packaged folder with ``tokenizer.json`` and ``vectors.safetensors``, verified.

    Args:
        models: folder of the packaged models.
        name: key of ``EMBEDDINGS``.

    Raises:
        GendistError: if a file is missing or does not match its hash.
    """
    pieces, vectors = EMBEDDING_FILES[name]
    verified_file(pieces, models)
    return verified_file(vectors, models).parent
