"""Load a subword tokenizer and its pretrained vectors."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer

from gendist.errors import GendistError
from gendist.nn.pocket.packaged_files import EMBEDDINGS, packaged_subwords

VECTORS, TOKENIZER, SENTENCEPIECE = "vectors.safetensors", "tokenizer.json", "sentencepiece.model"


@dataclass(frozen=True)
class Subwords:
    """``vectors`` (vocabulary, width) float32, and ``encode``, which maps texts to piece ids."""

    vectors: torch.Tensor
    encode: Callable[[Sequence[str]], list[list[int]]]


def load_subwords(folder: Path) -> Subwords:
    """Read ``vectors.safetensors`` and ``tokenizer.json`` (or ``sentencepiece.model``, as BPEmb has).

    Raises:
        GendistError: if a file is missing or damaged, or the vocabulary exceeds the vectors.
    """
    folder = Path(folder)
    if not (folder / VECTORS).is_file():
        raise GendistError(f"embeddings {folder}: no {VECTORS}")
    for name, packaged in EMBEDDINGS.items():
        if folder.resolve() == packaged.resolve():
            packaged_subwords(name=name)
    try:
        vectors = load_file(folder / VECTORS)["vectors"].float()
    except (SafetensorError, KeyError) as error:
        raise GendistError(f"{folder / VECTORS}: damaged, or without 'vectors' ({error})") from None
    if vectors.ndim != 2 or not vectors.numel() or not vectors.isfinite().all():
        raise GendistError(f"{folder / VECTORS}: 'vectors' is not a finite matrix (pieces, width)")
    if (folder / TOKENIZER).is_file():
        return Subwords(vectors, _load_tokenizer(folder / TOKENIZER, len(vectors)))
    if (folder / SENTENCEPIECE).is_file():
        return Subwords(vectors, _load_sentencepiece(folder / SENTENCEPIECE, len(vectors)))
    raise GendistError(f"embeddings {folder}: neither {TOKENIZER} nor {SENTENCEPIECE}")


def _load_tokenizer(file: Path, rows: int) -> Callable[[Sequence[str]], list[list[int]]]:
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises plain Exception
        raise GendistError(f"{file}: damaged ({str(error).splitlines()[0]})") from None
    if tokenizer.get_vocab_size() > rows:
        raise GendistError(f"{file}: {tokenizer.get_vocab_size()} pieces, but {VECTORS} has {rows} rows")

    def encode(texts: Sequence[str]) -> list[list[int]]:
        encodings = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    return encode


def _load_sentencepiece(file: Path, rows: int) -> Callable[[Sequence[str]], list[list[int]]]:
    try:
        from sentencepiece import SentencePieceProcessor
    except ImportError:
        raise GendistError("BPEmb needs an extra: pip install 'gendist[bpemb]'") from None
    try:
        processor = SentencePieceProcessor(model_file=str(file))
    except (OSError, RuntimeError, ValueError) as error:
        raise GendistError(f"{file}: damaged ({str(error).splitlines()[0]})") from None
    if processor.vocab_size() > rows:
        raise GendistError(f"{file}: {processor.vocab_size()} pieces, but {VECTORS} has {rows} rows")

    def encode(texts: Sequence[str]) -> list[list[int]]:
        # BPEmb was trained on lower-cased text with digits folded to 0.
        return processor.encode([re.sub(r"\d", "0", text.lower()) for text in texts])

    return encode
