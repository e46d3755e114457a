"""Training rows and targets of each regime."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from gendist.errors import GendistError
from gendist.naming import WITH_GENERAL, WITH_SYNTHETIC, WITH_UNLABELLED
from gendist.stages.logits.logits_files import read_logits
from gendist.stages.students.row_filters import KEEP_ALL, RowFilter, filter_rows
from gendist.stages.synthetic.pool_reader import read_pool
from gendist.stages.texts.text_tables import Texts, read_unlabelled


@dataclass(frozen=True)
class TrainingRows:
    """Texts with either gold or hard ``labels`` (rows,) or the teacher's ``logits`` (rows, classes)."""

    texts: list[str]
    labels: torch.Tensor | None
    logits: torch.Tensor | None
    n_real: int
    """Number of labelled rows. Rows are ordered: labelled, general, unlabelled, synthetic."""
    n_general: int = 0
    """Number of general texts."""

    def without(self, real_rows: np.ndarray) -> "TrainingRows":
        """Return a copy without the real rows at these indices."""
        kept = np.delete(np.arange(len(self.texts)), real_rows)
        return TrainingRows(
            [self.texts[i] for i in kept],
            None if self.labels is None else self.labels[kept],
            None if self.logits is None else self.logits[kept],
            self.n_real - len(real_rows),
            self.n_general,
        )


@dataclass(frozen=True)
class SyntheticFiles:
    """Files and number of synthetic rows."""

    shards: Sequence[Path]
    """Shards of the pool."""
    logits: Sequence[Path]
    """Teacher logits of each shard."""
    count: int
    """Number of leading rows to use."""
    repeats: Path | None = None
    """Marks of repeated rows, for the filters that read them."""


@dataclass(frozen=True)
class UnlabelledFiles:
    """Files and number of unlabelled real rows."""

    texts: Path
    logits: Path
    """Teacher logits of the texts."""
    count: int | None = None
    """Number of leading rows to use; None uses all."""


def assemble_training_rows(
    regime: str,
    real: Texts,
    *,
    real_logits: Path | None,
    synthetic: SyntheticFiles | None,
    row_filter: RowFilter = KEEP_ALL,
    unlabelled: UnlabelledFiles | None = None,
    general: UnlabelledFiles | None = None,
    general_rows: int = 0,
) -> TrainingRows:
    """Assemble the training rows of a regime.

    - scratch: real rows, gold labels.
    - dist: real rows, teacher logits.
    - gendist: real and synthetic rows, teacher logits (paper section 3.3).
    - synthetic: synthetic rows alone, teacher logits (Figure 2).
    - hard: real rows with gold labels, synthetic rows with the teacher's most probable class (Table 2).
    - unlabelled: labelled and unlabelled real rows, teacher logits.
    - gendist-unlabelled: labelled, unlabelled and synthetic rows, teacher logits.

    Students with ``general_rows`` also train on general text in the last three and in gendist, with the teacher's
    logits.

    Args:
        regime: name of the regime.
        real: labelled rows.
        real_logits: teacher logits of the labelled rows.
        synthetic: synthetic rows and their logits.
        row_filter: filter for the synthetic rows.
        unlabelled: unlabelled rows and their logits.
        general: general texts and their logits.
        general_rows: maximum number of general texts to use.

    Raises:
        GendistError: if files that the regime needs are missing, or ids of texts and logits differ.
    """
    gold = torch.from_numpy(real.labels)
    n_real = len(real.texts)
    if regime == "scratch":
        return TrainingRows(real.texts, gold, None, n_real)
    parts: list[tuple[list[str], torch.Tensor]] = []
    n_general = 0
    if regime in WITH_GENERAL and general_rows:
        if general is None:
            raise GendistError(f"regime '{regime}' of a student with general_rows needs general texts and their logits")
        texts, scores = _unlabelled_rows(general)
        n_general = min(general_rows, len(texts))
        parts.append((texts[:n_general], scores[:n_general]))
    if regime in WITH_UNLABELLED:
        if unlabelled is None:
            raise GendistError(f"regime '{regime}' needs unlabelled rows and their logits")
        parts.append(_unlabelled_rows(unlabelled))
    if regime in WITH_SYNTHETIC:
        if synthetic is None:
            raise GendistError(f"regime '{regime}' needs synthetic shards and their logits")
        texts, synthetic_logits = _synthetic_rows(synthetic, row_filter)
        if regime == "hard":
            return TrainingRows(real.texts + texts, torch.cat([gold, synthetic_logits.argmax(1)]), None, n_real)
        if regime == "synthetic":
            return TrainingRows(texts, None, synthetic_logits, 0)
        parts.append((texts, synthetic_logits))
    if real_logits is None:
        raise GendistError(f"regime '{regime}' needs the teacher's logits of the labelled rows")
    ids, logits = read_logits([real_logits], "id")
    if not np.array_equal(ids, real.ids):
        raise GendistError(f"{real_logits}: ids differ from those of the training texts")
    targets = torch.cat([torch.from_numpy(logits), *(scores for _, scores in parts)])
    return TrainingRows(real.texts + [text for texts, _ in parts for text in texts], None, targets, n_real, n_general)


def _unlabelled_rows(unlabelled: UnlabelledFiles) -> tuple[list[str], torch.Tensor]:
    ids, texts = read_unlabelled(unlabelled.texts)
    keys, logits = read_logits([unlabelled.logits], "id")
    if not np.array_equal(keys, ids):
        raise GendistError(f"{unlabelled.logits}: ids differ from those of {unlabelled.texts}")
    count = len(texts) if unlabelled.count is None else unlabelled.count
    if count > len(texts):
        raise GendistError(f"{unlabelled.texts}: {len(texts)} rows, but {count} are requested")
    return texts[:count], torch.from_numpy(logits[:count])


def _synthetic_rows(synthetic: SyntheticFiles, row_filter: RowFilter) -> tuple[list[str], torch.Tensor]:
    pool = read_pool(synthetic.shards, synthetic.count)
    keys, logits = read_logits(synthetic.logits, "row", synthetic.count)
    if not np.array_equal(keys, np.arange(synthetic.count)):
        raise GendistError(f"{synthetic.logits[0]} and following: not the logits of rows 0 to {synthetic.count - 1}")
    logits = logits[pool.rows]
    kept = filter_rows(row_filter, pool.rows, logits, synthetic.repeats)
    return [pool.texts[i] for i in kept], torch.from_numpy(logits[kept])
