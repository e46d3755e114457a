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

from gendist.artifacts import Provenance, hash_file
from gendist.artifacts.provenance import KEY
from gendist.errors import GendistError
from gendist.pocket.corpus import articles, paragraphs

log = logging.getLogger(__name__)

PAD, UNKNOWN = "[PAD]", "[UNK]"
TOKENIZER_ARTICLES = 60_000
"""Articles that the pieces are learned from; more change little."""


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


def write_pieces(files: Sequence[Path], tokenizer: Tokenizer, target: Path, limit: int | None = None) -> int:
    """Write the corpus as text, one paragraph of space-separated pieces a line; return the number of pieces.

    Raises:
        GendistError: if the corpus holds no paragraph.
    """
    names = [piece for piece, _ in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])]
    count = 0
    batch: list[str] = []
    with target.open("w", encoding="utf-8") as stream:

        def flush() -> int:
            written = 0
            # Names from ids: the fast encoding leaves its own list of pieces blank.
            for encoding in tokenizer.encode_batch_fast(batch):
                stream.write(" ".join([names[i] for i in encoding.ids]) + "\n")
                written += len(encoding.ids)
            batch.clear()
            return written

        for paragraph in paragraphs(articles(files, limit=limit)):
            batch.append(paragraph)
            if len(batch) == 1000:
                count += flush()
        count += flush()
    if not count:
        raise GendistError(f"{files[0].parent}: the corpus holds no paragraph of 80 characters or more")
    return count


def train_vectors(
    pieces: Path,
    tokenizer: Tokenizer,
    size: int = 100,
    window: int = 5,
    epochs: int = 3,
    seed: int = 0,
    workers: int = 2,
) -> np.ndarray:
    """Skip-gram with negative sampling over pieces; returns (vocabulary, size) in tokenizer order.

    The padding row is zero; pieces that the corpus never shows get small random vectors.

    Args:
        pieces: file from ``write_pieces``.
        tokenizer: names the rows.
        size: width of the vectors.
        window: pieces of context on either side.
        epochs: passes over the corpus.
        seed: of initialisation and negative samples.
        workers: threads; more than one makes the result differ a little from run to run.
    """
    from gensim.models import Word2Vec

    model = Word2Vec(
        corpus_file=str(pieces),
        vector_size=size,
        window=window,
        epochs=epochs,
        sg=1,
        negative=5,
        sample=1e-4,
        min_count=1,
        seed=seed,
        workers=workers,
    )
    vocabulary = tokenizer.get_vocab()
    rng = np.random.default_rng(seed)
    vectors = rng.normal(0.0, 0.1, (len(vocabulary), size)).astype(np.float32)
    known = [(row, model.wv[piece]) for piece, row in vocabulary.items() if piece in model.wv]
    for row, vector in known:
        vectors[row] = vector
    vectors[vocabulary[PAD]] = 0.0
    log.info("%d of %d pieces occur in the corpus", len(known), len(vocabulary))
    return vectors


def save_vectors(folder: Path, tokenizer: Tokenizer, vectors: np.ndarray, provenance: Provenance) -> None:
    """Write ``tokenizer.json`` and ``vectors.safetensors`` (float16), the vectors last and at once.

    Args:
        folder: where to; made if need be.
        tokenizer: the pieces.
        vectors: one row per piece, shape (vocabulary, size).
        provenance: what made them; kept in the vectors' metadata.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    part = folder / "vectors.part"
    save_file({"vectors": torch.from_numpy(vectors).half()}, part, metadata={KEY: provenance.to_json()})
    part.replace(folder / "vectors.safetensors")


def train_subwords(
    files: Sequence[Path], folder: Path, pieces: int, n_articles: int | None, epochs: int, seed: int, workers: int
) -> None:
    """Train tokenizer and vectors into ``folder``, or leave them be if they are there.

    With more than one worker the vectors differ a little from run to run: gensim's threads
    update them without waiting for each other.
    """
    if (folder / "vectors.safetensors").exists():
        return
    log.info("training %d pieces", pieces)
    tokenizer = train_tokenizer(files, pieces, min(n_articles or TOKENIZER_ARTICLES, TOKENIZER_ARTICLES))
    folder.mkdir(parents=True, exist_ok=True)
    corpus = folder / "corpus.txt"
    log.info("%d pieces in the corpus", write_pieces(files, tokenizer, corpus, n_articles))
    vectors = train_vectors(corpus, tokenizer, epochs=epochs, seed=seed, workers=workers)
    corpus.unlink()
    settings = {"pieces": pieces, "articles": n_articles or "all", "epochs": epochs}
    inputs = {file.name: hash_file(file) for file in files}
    save_vectors(folder, tokenizer, vectors, Provenance("pocket-subwords", inputs, settings, seed))
