"""Train the students' subword tokenizer and its pretrained vectors.

Follows BPEmb (Heinzerling and Strube, 2018): byte-pair encoding of lower-cased
text with digits folded to 0, then embeddings of the pieces. Punctuation is split
off, so that spacing around it ("U.S. - based" from a generator) changes nothing.
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
from tools.pocket.corpus import articles, paragraphs, token_stream
from tools.pocket.pairs import count_pairs, factorise, mutual_information, thin_out

log = logging.getLogger(__name__)

PAD, UNKNOWN = "[PAD]", "[UNK]"
TOKENIZER_ARTICLES = 60_000
"""Articles that the pieces are learned from; more change little."""
WINDOW = 5
"""Pieces of context on either side."""
SPREAD = 0.45
"""Standard deviation of the vectors' components. They are finetuned at one rate: the wider, the more of them stays."""


def train_tokenizer(files: Sequence[Path], size: int = 10_000, limit: int | None = TOKENIZER_ARTICLES) -> Tokenizer:
    """Learn ``size`` pieces from the first ``limit`` articles; id 0 pads, id 1 is unknown."""
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
    """Return the pieces of the first ``limit`` articles as uint16 ids, padding on both sides of each paragraph.

    Raises:
        GendistError: if the corpus holds no paragraph.
    """
    pad = tokenizer.get_vocab()[PAD]
    ids = token_stream(paragraphs(articles(files, limit=limit)), tokenizer, pad, pad)
    if not len(ids):
        raise GendistError(f"{files[0].parent}: the corpus holds no paragraph of 80 characters or more")
    return ids


def train_vectors(
    ids: np.ndarray, tokenizer: Tokenizer, size: int = 100, window: int = WINDOW, seed: int = 0
) -> np.ndarray:
    """Factorise the pieces' mutual information; returns float32 (vocabulary, size) in tokenizer order.

    The padding row is zero; pieces that the corpus never shows get random vectors.

    Args:
        ids: from ``piece_stream``.
        tokenizer: names the rows.
        size: width of the vectors.
        window: pieces of context on either side.
        seed: of the frequent pieces left out, and of the factorisation's start.
    """
    pad, vocabulary = tokenizer.get_vocab()[PAD], tokenizer.get_vocab_size()
    table = count_pairs(thin_out(ids, pad, seed=seed), pad, vocabulary, window)
    seen = table.any(axis=1)
    vectors = factorise(mutual_information(table), size, seed)
    vectors *= SPREAD / vectors[seen].std()
    vectors[~seen] = np.random.default_rng(seed).normal(0.0, 0.1, ((~seen).sum(), size))
    vectors[pad] = 0.0
    log.info("%d of %d pieces occur in the corpus", seen.sum(), vocabulary)
    return vectors


def save_vectors(folder: Path, vectors: np.ndarray, provenance: Provenance) -> None:
    """Write ``vectors.safetensors`` (float16), at once.

    Args:
        folder: where to.
        vectors: one row per piece, shape (vocabulary, size).
        provenance: what made them; kept in the file's metadata.
    """
    part = folder / "vectors.part"
    save_file({"vectors": torch.from_numpy(vectors).half()}, part, metadata={PROVENANCE_KEY: provenance.to_json()})
    part.replace(folder / "vectors.safetensors")


def train_subwords(files: Sequence[Path], folder: Path, pieces: int, n_articles: int | None, seed: int) -> None:
    """Train tokenizer and vectors into ``folder``, leaving be what is there.

    So vectors can be made anew for the pieces of an earlier run: which rare letters are among
    the pieces changes from run to run, and models that were trained on pieces go with no others.
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
    settings = {"pieces": len(vectors), "articles": n_articles or "all", "window": WINDOW, "spread": SPREAD}
    inputs = {source.name: hash_file(source) for source in [*files, file]}
    save_vectors(folder, vectors, Provenance("pocket-subwords", inputs, settings, seed))
