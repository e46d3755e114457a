"""Choose the student to export by its accuracy on held-out real rows; test rows are not read."""

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
from gendist.stages.export.temperature_scaling import fit_distilled_temperature, fit_temperature
from gendist.stages.logits.logits_files import read_logits

log = logging.getLogger(__name__)


def choose_student(candidates: Sequence[RunKey], held_out: Sequence[Path], target: Path) -> None:
    """Rank students by their accuracy on held-out rows, ties by nll, and write the choice as JSON.

    Args:
        candidates: runs to compare.
        held_out: output file of ``cross_fit`` for each run.
        target: ``choice.json``: ``chosen`` (run, scores and temperature) and ``ranking``.

    Raises:
        GendistError: if the files have different rows.
    """
    ids, labels = _read_rows(held_out[0])
    ranking = []
    for candidate, file in zip(candidates, held_out, strict=True):
        other_ids, other_labels = _read_rows(file)
        if not np.array_equal(ids, other_ids) or not np.array_equal(labels, other_labels):
            raise GendistError(f"{file}: rows differ from those of {held_out[0]}")
        scores = _scores(labels, read_logits([file], "id")[1], candidate.regime)
        ranking.append({**candidate._asdict(), "system": candidate.system, **scores})
    ranking.sort(key=lambda row: (-row["accuracy"], row["nll"]))
    for row in ranking:
        score = f"{100 * row['accuracy']:.1f} ± {100 * row['standard_error']:.1f} %"
        log.info("%s: %s of %d held-out rows", row["system"], score, len(ids))
    inputs = {f"held_out/{i:02d}": hash_file(file) for i, file in enumerate(held_out)}
    provenance = Provenance("export", inputs).to_record()
    write_json(target, {"chosen": ranking[0], "ranking": ranking, "provenance": provenance})


def _read_rows(file: Path) -> tuple[np.ndarray, np.ndarray]:
    table = read_parquet(file, ["id", "label"])
    return table["id"].to_numpy(), table["label"].to_numpy()


def _scores(labels: np.ndarray, logits: np.ndarray, regime: str) -> dict[str, Any]:
    fit = fit_temperature if regime == "scratch" else fit_distilled_temperature
    temperature = fit(labels, logits)
    share = accuracy(labels, logits.argmax(1))
    return {
        "rows": len(labels),
        "accuracy": share,
        "standard_error": float(np.sqrt(share * (1 - share) / len(labels))),
        "temperature": temperature,
        "nll": nll(labels, logits),
        "nll_calibrated": nll(labels, logits / temperature),
        "ece": ece(labels, logits),
        "ece_calibrated": ece(labels, logits / temperature),
    }
