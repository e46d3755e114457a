"""The embedded general text without the rows that leak a dataset's labelled texts."""

import logging
from pathlib import Path

import numpy as np
import pyarrow as pa

from gendist.errors import GendistError
from gendist.io.parquet import read_parquet, write_parquet
from gendist.io.provenance import Provenance, hash_file
from gendist.nn.pocket.packaged_files import GENERAL_TEXTS, MODELS, verified_file
from gendist.stages.texts.prepare_unlabelled import drop_reasons, read_text_column

log = logging.getLogger(__name__)


def prepare_general(count: int, train: Path, test: Path, target: Path, *, models: Path = MODELS) -> None:
    """Write ``texts/general.parquet``: id, text.

    The id is the index of the row in the embedded file. Of its first ``count`` rows, those that equal a test or
    training text up to case, width and white space are dropped.

    Args:
        count: rows to read.
        train: ``texts/train.parquet``.
        test: ``texts/test.parquet``; only its texts are read.
        target: Parquet file to write.
        models: folder of the packaged models.

    Raises:
        GendistError: if the embedded file is missing, damaged or has fewer rows.
    """
    file = verified_file(GENERAL_TEXTS, models)
    texts = read_parquet(file, {"text": "strings"})["text"].to_pylist()
    if count > len(texts):
        raise GendistError(f"{file}: {len(texts):,} rows, but a student's general_rows is {count:,}")
    reasons = drop_reasons(texts[:count], read_text_column(train), read_text_column(test))
    kept = np.array([index for index, reason in enumerate(reasons) if not reason], np.int64)
    if len(kept) < count:
        log.warning("dropped %d of %d rows of general text: in the training or test rows too", count - len(kept), count)
    table = pa.table({"id": pa.array(kept), "text": pa.array([texts[index] for index in kept], pa.string())})
    inputs = {"source": hash_file(file), "train": hash_file(train), "test": hash_file(test)}
    write_parquet(target, table, Provenance("texts", inputs, {"rows": count}))
    log.info("%s: %d rows of general text", target, table.num_rows)
