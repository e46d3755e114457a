"""Read unlabelled real rows, drop rows that leak labelled texts, and sample the rest."""

import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa

from gendist.config.dataset_settings import Dataset
from gendist.errors import GendistError
from gendist.io.parquet import read_parquet, write_parquet
from gendist.io.provenance import Provenance, hash_file
from gendist.stages.texts.labelled_rows import read_unlabelled_rows
from gendist.stages.texts.similar_labels import normalise_text

log = logging.getLogger(__name__)

NO_TEXT, TEST, TRAIN = "without text", "in the test rows too", "in the training rows too"
"""Reasons for dropping a row."""
READ_SETTINGS = ("text", "separator", "encoding", "delimiter", "quoting", "header")
"""Settings that affect how the file is read."""


def prepare_unlabelled(settings: Dataset, train: Path, test: Path, target: Path) -> None:
    """Write ``texts/unlabelled.parquet``: id, text.

    The id is the zero-based index of the row in its file. Drops empty texts and texts that equal a test or training
    text up to case, width and white space, then draws ``settings.n_unlabelled`` rows. Rows are in random order, so
    the first n are a random sample.

    Args:
        settings: the dataset, with ``unlabelled``.
        train: ``texts/train.parquet``.
        test: ``texts/test.parquet``; only its texts are read.
        target: Parquet file to write.

    Raises:
        GendistError: if the file cannot be read, a cell is not text, or too few rows remain.
    """
    source, texts = read_unlabelled_rows(settings)
    for note in source.notes:
        log.warning("%s: %s", source.name, note)
    reasons = drop_reasons(texts, read_text_column(train), read_text_column(test))
    kept = np.array([index for index, reason in enumerate(reasons) if not reason], np.int64)
    dropped = Counter(reason for reason in reasons if reason)
    for reason in (NO_TEXT, TEST, TRAIN):
        if dropped[reason]:
            log.warning("%s: dropped %d of %d rows: %s", source.name, dropped[reason], len(texts), reason)
    n_rows = settings.n_unlabelled
    if len(kept) < n_rows:
        counts = "".join(f", {count:,} are {reason}" for reason, count in dropped.items())
        hint = f"set the dataset's unlabelled_rows to {len(kept)} or fewer" if len(kept) else "use another file"
        raise GendistError(
            f"{source.name}: {len(kept):,} of {len(texts):,} rows can be used{counts}; {n_rows:,} are requested: {hint}"
        )
    chosen = np.random.default_rng(settings.sample_seed).permutation(kept)[:n_rows]
    sampled = [texts[index] for index in chosen]
    if repeated := len(sampled) - len(set(sampled)):
        log.warning("%s: %d of the sampled texts are duplicates", source.name, repeated)
    table = pa.table({"id": pa.array(chosen, pa.int64()), "text": pa.array(sampled, pa.string())})
    inputs = {"source": hash_file(Path(source.name)), "train": hash_file(train), "test": hash_file(test)}
    used = {**settings.model_dump(mode="json", include=set(READ_SETTINGS)), "rows": n_rows}
    write_parquet(target, table, Provenance("texts", inputs, used, settings.sample_seed))
    log.info("%s: %d rows without labels", target, table.num_rows)


def drop_reasons(texts: Iterable[str], train: Iterable[str], test: Iterable[str]) -> list[str]:
    """Return the reason for dropping each text; empty if it is kept."""
    known = dict.fromkeys(map(normalise_text, train), TRAIN) | dict.fromkeys(map(normalise_text, test), TEST)
    return [known.get(normalise_text(text), "") if text else NO_TEXT for text in texts]


def read_text_column(path: Path) -> list[str]:
    """Return the column ``text`` of a Parquet file."""
    texts: list[str] = read_parquet(path, {"text": "strings"})["text"].to_pylist()
    return texts
