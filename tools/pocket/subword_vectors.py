"""Train the students' subword tokenizer and its pretrained vectors.

Follows BPEmb (Heinzerling and Strube 2018): byte-pair encoding of lower-cased text with digits folded to 0, then
embeddings of the pieces. Pre-tokenisation splits off punctuation, so that the spacing around it has no effect.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from gendist.errors import GendistError
from gendist.io.provenance import PROVENANCE_KEY, Provenance, hash_file
from tools.pocket.cooccurrence import count_cooccurrences, factorise_pmi, positive_pmi, subsample_frequent
from tools.pocket.corpus import articles, paragraphs, token_stream

log = logging.getLogger(__name__)

PAD, UNKNOWN = "[PAD]", "[UNK]"
TOKENIZER_ARTICLES = 60_000
"""Number of articles for training the tokenizer; more make little difference."""
WINDOW = 5
"""Context pieces on either side."""
VECTOR_STD = 0.45
"""Standard deviation of the vector components; larger values preserve more of the vectors during finetuning."""


def train_tokenizer(files: Sequence[Path], size: int = 10_000, limit: int | None = TOKENIZER_ARTICLES) -> Tokenizer:
    """Train a tokenizer with ``size`` pieces on the first ``limit`` articles; id 0 is padding, id 1 unknown."""
    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN, continuing_subword_prefix="##"))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.BertNormalizer(strip_accents=True, lowercase=True),
            normalizers.Replace(Regex("[0-9]"), "0"),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[PAD, UNKNOWN],
        limit_alphabet=400,
        continuing_subword_prefix="##",
        show_progress=False,
    )
    tokenizer.train_from_iterator(articles(files, limit=limit), trainer)
    return tokenizer


def piece_stream(files: Sequence[Path], tokenizer: Tokenizer, limit: int | None = None) -> np.ndarray:
    """Return the piece ids of the first ``limit`` articles, uint16, with padding around each paragraph.

    Raises:
        GendistError: if the corpus has no paragraph.
    """
    pad = tokenizer.get_vocab()[PAD]
    ids = token_stream(paragraphs(articles(files, limit=limit)), tokenizer, pad, pad)
    if not len(ids):
        raise GendistError(f"{files[0].parent}: the corpus has no paragraph of 80 characters or more")
    return ids


def train_vectors(
    ids: np.ndarray, tokenizer: Tokenizer, *, size: int = 100, window: int = WINDOW, seed: int = 0
) -> np.ndarray:
    """Factorise the PPMI of the pieces; returns float32 vectors (vocabulary, size), in tokenizer order.

    The padding row is zero; pieces without occurrences get random vectors.

    Args:
        ids: output of ``piece_stream``.
        tokenizer: tokenizer of the pieces.
        size: width of the vectors.
        window: context pieces on either side.
        seed: seed of subsampling and factorisation.
    """
    pad, vocabulary = tokenizer.get_vocab()[PAD], tokenizer.get_vocab_size()
    table = count_cooccurrences(subsample_frequent(ids, pad, seed=seed), pad, vocabulary, window)
    seen = table.any(axis=1)
    vectors = factorise_pmi(positive_pmi(table), size, seed)
    vectors *= VECTOR_STD / vectors[seen].std()
    vectors[~seen] = np.random.default_rng(seed).normal(0.0, 0.1, ((~seen).sum(), size))
    vectors[pad] = 0.0
    log.info("%d of %d pieces occur in the corpus", seen.sum(), vocabulary)
    return vectors


def save_vectors(folder: Path, vectors: np.ndarray, provenance: Provenance) -> None:
    """Write ``vectors.safetensors`` (float16) atomically.

    Args:
        folder: folder to write to.
        vectors: vectors (vocabulary, size).
        provenance: provenance for the file metadata.
    """
    part = folder / "vectors.part"
    save_file({"vectors": torch.from_numpy(vectors).half()}, part, metadata={PROVENANCE_KEY: provenance.to_json()})
    part.replace(folder / "vectors.safetensors")


def train_subwords(files: Sequence[Path], folder: Path, *, pieces: int, n_articles: int | None, seed: int) -> None:
    """Train tokenizer and vectors in ``folder``; existing files are kept.

    Vectors can thus be retrained for an existing tokenizer: tokenizer training is not deterministic in its rare
    letters, and models work only with their own tokenizer.
    """
    if (folder / "vectors.safetensors").exists():
        return
    file = folder / "tokenizer.json"
    if not file.exists():
        log.info("training %d pieces", pieces)
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer = train_tokenizer(files, pieces, min(n_articles or TOKENIZER_ARTICLES, TOKENIZER_ARTICLES))
        tokenizer.save(str(folder / "tokenizer.part"))
        (folder / "tokenizer.part").replace(file)
    tokenizer = Tokenizer.from_file(str(file))
    ids = piece_stream(files, tokenizer, n_articles)
    log.info("%d pieces in the corpus", np.count_nonzero(ids))
    vectors = train_vectors(ids, tokenizer, seed=seed)
    settings = {"pieces": len(vectors), "articles": n_articles or "all", "window": WINDOW, "spread": VECTOR_STD}
    inputs = {source.name: hash_file(source) for source in [*files, file]}
    save_vectors(folder, vectors, Provenance("pocket-subwords", inputs, settings, seed))
