"""Read text corpora as articles, paragraphs and token streams."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tokenizers import Tokenizer

from gendist.errors import GendistError


def corpus_files(folder: Path) -> list[Path]:
    """Return the Parquet files of a corpus folder, sorted by name.

    Raises:
        GendistError: if there is none.
    """
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise GendistError(f"corpus {folder}: no *.parquet file; expected files with a column 'text'")
    return files


def articles(files: Sequence[Path], skip: int = 0, limit: int | None = None) -> Iterator[str]:
    """Yield the ``text`` column row by row, after the first ``skip`` rows.

    Raises:
        GendistError: if a file is missing, is not Parquet, or has no such column.
    """
    seen = 0
    for file in files:
        try:
            parquet = pq.ParquetFile(file)
        except (pa.ArrowInvalid, OSError) as error:
            raise GendistError(f"{file}: not a readable Parquet file ({str(error).splitlines()[0]})") from None
        if "text" not in parquet.schema_arrow.names:
            raise GendistError(f"{file}: no column 'text' (has {', '.join(parquet.schema_arrow.names)})")
        for batch in parquet.iter_batches(1024, columns=["text"]):
            for text in batch.column(0).to_pylist():
                seen += 1
                if seen <= skip:
                    continue
                if limit is not None and seen > skip + limit:
                    return
                yield text


def paragraphs(texts: Iterator[str], min_chars: int = 80) -> Iterator[str]:
    """Split articles at newlines and skip paragraphs shorter than ``min_chars``, which are mostly captions."""
    for text in texts:
        for paragraph in text.split("\n"):
            if len(paragraph) >= min_chars:
                yield paragraph


def token_stream(texts: Iterable[str], tokenizer: Tokenizer, start: int, end: int) -> np.ndarray:
    """Return token ids, ``start text end start text end ...``, as uint16.

    Each paragraph is a separate document, like the short texts of finetuning.

    Raises:
        GendistError: if token ids do not fit in 16 bits.
    """
    if tokenizer.get_vocab_size() > 1 << 16:
        raise GendistError(f"a vocabulary of {tokenizer.get_vocab_size()} does not fit the 16-bit token stream")
    chunks = [np.zeros(0, dtype=np.uint16)]
    texts = iter(texts)
    while batch := list(islice(texts, 1000)):
        encodings = tokenizer.encode_batch_fast(batch, add_special_tokens=False)
        ids = chain.from_iterable((start, *encoding.ids, end) for encoding in encodings)
        chunks.append(np.fromiter(ids, dtype=np.uint16))
    return np.concatenate(chunks)
