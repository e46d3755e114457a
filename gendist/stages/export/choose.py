"""Which student to deploy: the best on held-out real rows; test rows have no say."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gendist.errors import GendistError
from gendist.io.json_files import write_json
from gendist.io.parquet import read_parquet
from gendist.io.provenance import Provenance, hash_file
from gendist.naming import RunKey
from gendist.stages.evaluation.metrics import accuracy, ece, nll
from gendist.stages.export.calibrate import fit_temperature
from gendist.stages.logits.files import read_logits

log = logging.getLogger(__name__)


def choose_student(candidates: Sequence[RunKey], held_out: Sequence[Path], target: Path) -> None:
    """Rank students by their accuracy on held-out rows, ties by nll, and write the choice as JSON.

    Args:
        candidates: the runs.
        held_out: what ``cross_fit`` wrote for each of them.
        target: ``choice.json``: ``chosen`` (a run and the temperature for it) and ``ranking``.

    Raises:
        GendistError: if the files are not about the same rows.
    """
    ids, labels = _rows_of(held_out[0])
    ranking = []
    for candidate, file in zip(candidates, held_out, strict=True):
        its_ids, its_labels = _rows_of(file)
        if not np.array_equal(ids, its_ids) or not np.array_equal(labels, its_labels):
            raise GendistError(f"{file}: its rows are not those of {held_out[0]}")
        ranking.append(
            {**candidate._asdict(), "system": candidate.system, **_scores(labels, read_logits([file], "id")[1])}
        )
    ranking.sort(key=lambda row: (-row["accuracy"], row["nll"]))
    for row in ranking:
        shown = f"{100 * row['accuracy']:.1f} ± {100 * row['standard_error']:.1f} %"
        log.info("%s: %s of %d held-out rows", row["system"], shown, len(ids))
    inputs = {f"held_out/{i:02d}": hash_file(file) for i, file in enumerate(held_out)}
    provenance = Provenance("export", inputs).to_record()
    write_json(target, {"chosen": ranking[0], "ranking": ranking, "provenance": provenance})


def _rows_of(file: Path) -> tuple[np.ndarray, np.ndarray]:
    table = read_parquet(file, ["id", "label"])
    return table["id"].to_numpy(), table["label"].to_numpy()


def _scores(labels: np.ndarray, logits: np.ndarray) -> dict[str, Any]:
    temperature = fit_temperature(labels, logits)
    right = accuracy(labels, logits.argmax(1))
    return {
        "rows": len(labels),
        "accuracy": right,
        "standard_error": float(np.sqrt(right * (1 - right) / len(labels))),
        "temperature": temperature,
        "nll": nll(labels, logits),
        "nll_calibrated": nll(labels, logits / temperature),
        "ece": ece(labels, logits),
        "ece_calibrated": ece(labels, logits / temperature),
    }
