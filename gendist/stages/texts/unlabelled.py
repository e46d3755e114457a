"""Real rows without labels: read, without what would leak into the evaluation, and drawn at random."""

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
from gendist.stages.texts.alike import normalised
from gendist.stages.texts.labelled import read_unlabelled_file

log = logging.getLogger(__name__)

NO_TEXT, TEST, TRAIN = "without text", "in the test rows too", "in the training rows too"
"""Why rows are dropped."""
READ_BY = ("text", "separator", "encoding", "delimiter", "quoting", "header")
"""Settings that decide how the file is read."""


def prepare_unlabelled(settings: Dataset, train: Path, test: Path, target: Path) -> None:
    """Write ``texts/unlabelled.parquet``: id, text.

    The id is the row's place in its file, from 0. Rows without text are dropped, and rows whose text is that of a
    test or training row but for case, width and white space; of the others, ``settings.n_unlabelled`` are drawn.
    They stand in the order in which they were drawn: the first n are a random sample of any n.

    Args:
        settings: the dataset, with ``unlabelled``.
        train: ``texts/train.parquet``.
        test: ``texts/test.parquet``; its texts alone are read.
        target: Parquet file to write.

    Raises:
        GendistError: if the file cannot be read, a cell is no text, or too few rows are left.
    """
    source, texts = read_unlabelled_file(settings)
    for note in source.notes:
        log.warning("%s: %s", source.name, note)
    reasons = why_dropped(texts, _texts(train), _texts(test))
    kept = np.array([index for index, reason in enumerate(reasons) if not reason], np.int64)
    dropped = Counter(reason for reason in reasons if reason)
    for reason in (NO_TEXT, TEST, TRAIN):
        if dropped[reason]:
            log.warning("%s: dropped %d of %d rows: %s", source.name, dropped[reason], len(texts), reason)
    wanted = settings.n_unlabelled
    if len(kept) < wanted:
        told = "".join(f", {count:,} are {reason}" for reason, count in dropped.items())
        advice = f"set the dataset's unlabelled_rows to {len(kept)} or fewer" if len(kept) else "name another file"
        raise GendistError(
            f"{source.name}: {len(kept):,} of {len(texts):,} rows can be used{told}; {wanted:,} are asked for: {advice}"
        )
    chosen = np.random.default_rng(settings.sample_seed).permutation(kept)[:wanted]
    drawn = [texts[index] for index in chosen]
    if repeated := len(drawn) - len(set(drawn)):
        log.warning("%s: %d of the drawn texts are repetitions", source.name, repeated)
    table = pa.table({"id": pa.array(chosen, pa.int64()), "text": pa.array(drawn, pa.string())})
    inputs = {"source": hash_file(Path(source.name)), "train": hash_file(train), "test": hash_file(test)}
    used = {**settings.model_dump(mode="json", include=set(READ_BY)), "rows": wanted}
    write_parquet(target, table, Provenance("texts", inputs, used, settings.sample_seed))
    log.info("%s: %d rows without labels", target, table.num_rows)


def why_dropped(texts: Iterable[str], train: Iterable[str], test: Iterable[str]) -> list[str]:
    """Return for each text why it is dropped; empty if it is kept."""
    known = dict.fromkeys(map(normalised, train), TRAIN) | dict.fromkeys(map(normalised, test), TEST)
    return [known.get(normalised(text), "") if text else NO_TEXT for text in texts]


def _texts(path: Path) -> list[str]:
    texts: list[str] = read_parquet(path, {"text": "strings"})["text"].to_pylist()
    return texts
