"""Check the rows of both files, sample the training rows and write both Parquet files."""

import logging
from pathlib import Path

import numpy as np
import pyarrow as pa

from gendist.config.dataset_settings import Dataset
from gendist.io.parquet import write_parquet
from gendist.io.provenance import Provenance, hash_file
from gendist.stages.texts.alike import alike_labels
from gendist.stages.texts.labelled import read_labelled

log = logging.getLogger(__name__)


def prepare_texts(settings: Dataset, train_target: Path, test_target: Path) -> None:
    """Write ``texts/train.parquet`` and ``texts/test.parquet``: id, text, label.

    The id is the row's place in its source, from 0. Class names (``label_names``) stand in
    the files' metadata; names are ordered as the settings or the source give them, else sorted.
    Both files are checked before either is written.

    Raises:
        GendistError: as ``read_labelled``.
    """
    train, test, names = read_labelled(settings)
    for rows in (train, test):
        for note in rows.source.notes:
            log.warning("%s: %s", rows.source.name, note)
    for alike in alike_labels(names):
        log.warning("%s: labels %s are different classes; the key 'labels' can merge them", train.source.name, alike)
    picks = _sample(settings, np.array(train.labels, np.int32), len(names))
    texts = [train.texts[i] for i in picks]
    _warn_of_leaks(texts, test.texts, train.source.name, test.source.name)
    used = settings.model_dump(mode="json", exclude={"synthetic", "unlabelled", "unlabelled_rows"})
    for target, rows, chosen in ((train_target, train, picks), (test_target, test, np.arange(len(test.texts)))):
        table = pa.table(
            {
                "id": pa.array(chosen, pa.int64()),
                "text": pa.array([rows.texts[i] for i in chosen], pa.string()),
                "label": pa.array([rows.labels[i] for i in chosen], pa.int32()),
            }
        )
        digest = rows.source.digest or hash_file(Path(rows.source.name))
        provenance = Provenance("texts", {"source": digest}, used, settings.sample_seed)
        write_parquet(target, table, provenance, {"label_names": names})
        log.info("%s: %d rows in %d classes", target, table.num_rows, len(names))


def _sample(settings: Dataset, labels: np.ndarray, classes: int) -> np.ndarray:
    """Draw ``train_per_class`` rows of each class; returns row numbers, ascending."""
    wanted = settings.train_per_class
    if wanted is None:
        return np.arange(len(labels))
    rng = np.random.default_rng(settings.sample_seed)
    picks = [rng.choice(np.flatnonzero(labels == c), wanted, replace=False) for c in range(classes)]
    return np.sort(np.concatenate(picks))


def _warn_of_leaks(train: list[str], test: list[str], train_name: str, test_name: str) -> None:
    shared = len(set(train) & set(test))
    if shared:
        log.warning("%d texts stand both in %s and in %s: accuracy will be too good", shared, train_name, test_name)
    repeated = len(train) - len(set(train))
    if repeated:
        log.warning("%s: %d of the sampled training texts are repetitions", train_name, repeated)
