"""Validate the labelled rows, sample the training rows and write both Parquet files."""

import logging
from pathlib import Path

import numpy as np
import pyarrow as pa

from gendist.config.dataset_settings import Dataset
from gendist.io.parquet import write_parquet
from gendist.io.provenance import Provenance, hash_file
from gendist.stages.texts.labelled_rows import read_labelled_rows
from gendist.stages.texts.similar_labels import count_shared_texts, format_similar_labels

log = logging.getLogger(__name__)


def prepare_texts(settings: Dataset, train_target: Path, test_target: Path) -> None:
    """Write ``texts/train.parquet`` and ``texts/test.parquet``: id, text, label.

    The id is the zero-based index of the row in its source. The files' metadata stores the class names
    (``label_names``), in the order of the settings or the source, else sorted. Both sources are validated
    before either file is written.

    Raises:
        GendistError: if ``read_labelled_rows`` rejects a row.
    """
    train, test, names = read_labelled_rows(settings)
    for rows in (train, test):
        for note in rows.source.notes:
            log.warning("%s: %s", rows.source.name, note)
    for group in format_similar_labels(names):
        log.warning("%s: labels %s are different classes; the key 'labels' can merge them", train.source.name, group)
    sampled = _sample(settings, np.array(train.labels, np.int32), len(names))
    texts = [train.texts[i] for i in sampled]
    _warn_about_duplicates(texts, test.texts, train.source.name, test.source.name)
    used = settings.model_dump(mode="json", exclude={"synthetic", "unlabelled", "unlabelled_rows"})
    for target, rows, indices in ((train_target, train, sampled), (test_target, test, np.arange(len(test.texts)))):
        table = pa.table(
            {
                "id": pa.array(indices, pa.int64()),
                "text": pa.array([rows.texts[i] for i in indices], pa.string()),
                "label": pa.array([rows.labels[i] for i in indices], pa.int32()),
            }
        )
        source_hash = rows.source.fingerprint or hash_file(Path(rows.source.name))
        provenance = Provenance("texts", {"source": source_hash}, used, settings.sample_seed)
        write_parquet(target, table, provenance, {"label_names": names})
        log.info("%s: %d rows in %d classes", target, table.num_rows, len(names))


def _sample(settings: Dataset, labels: np.ndarray, classes: int) -> np.ndarray:
    """Draw ``train_per_class`` rows of each class; returns ascending row indices."""
    rows_per_class = settings.train_per_class
    if rows_per_class is None:
        return np.arange(len(labels))
    rng = np.random.default_rng(settings.sample_seed)
    sampled = [rng.choice(np.flatnonzero(labels == c), rows_per_class, replace=False) for c in range(classes)]
    return np.sort(np.concatenate(sampled))


def _warn_about_duplicates(train: list[str], test: list[str], train_name: str, test_name: str) -> None:
    if shared := count_shared_texts(train, test):
        message = "%s: %d of %d test texts are training texts of %s too: accuracy will be overestimated"
        log.warning(message, test_name, shared, len(test), train_name)
    repeated = len(train) - len(set(train))
    if repeated:
        log.warning("%s: %d of the sampled training texts are duplicates", train_name, repeated)
