"""Details of a dataset's best generation-distillation system: confusion, class scores, calibration, errors."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import softmax

from gendist.analysis.figure_style import save_figure, style_context
from gendist.analysis.metrics_table import round_score
from gendist.analysis.report.class_plots import confusion_plot, per_class_plot, reliability_plot
from gendist.analysis.table_files import Cell, write_csv
from gendist.errors import GendistError
from gendist.io.json_files import read_json
from gendist.io.parquet import read_parquet
from gendist.stages.evaluation.class_scores import (
    SCORES,
    bootstrap_intervals,
    class_scores,
    confusion_matrix,
    reliability_bins,
)
from gendist.stages.logits.logits_files import read_logits
from gendist.stages.texts.text_tables import Texts, read_texts

log = logging.getLogger(__name__)

MAX_ERRORS = 50
"""Maximum number of listed errors, most confident first."""
UNCALIBRATED = "as trained"
"""Name of the calibration without temperature."""


@dataclass(frozen=True)
class SystemPredictions:
    """Predictions of the runs of one system for the test rows."""

    system: str
    predicted: np.ndarray
    """Predicted classes, (runs, rows)."""
    logits: np.ndarray
    """(runs, rows, classes)."""


def files_by_system(runs: Iterable[tuple[str, str]], files: Iterable[str]) -> dict[str, dict[str, list[Path]]]:
    """Group files by dataset and system, given as pairs in ``runs``."""
    found: dict[str, dict[str, list[Path]]] = {}
    for (dataset, system), file in zip(runs, files, strict=True):
        found.setdefault(dataset, {}).setdefault(system, []).append(Path(file))
    return found


def read_temperatures(choice: Path) -> dict[str, float]:
    """Read the calibration temperature of every system ranked by an export.

    Args:
        choice: ``export/choice.json`` of a dataset.

    Raises:
        GendistError: if the file is missing or damaged.
    """
    try:
        return {row["system"]: float(row["temperature"]) for row in read_json(choice)["ranking"]}
    except (KeyError, TypeError, ValueError):
        raise GendistError(f"{choice}: damaged (no ranking of systems); delete it and rerun") from None


def write_details(
    predictions: Mapping[str, Sequence[Path]],
    test: Path,
    *,
    figures: Path,
    errors: Path,
    temperatures: Mapping[str, float] | None = None,
) -> None:
    """Write confusion matrix, class scores, reliability and worst errors of the best system.

    The best system has the highest mean accuracy on the test rows; ties go to the first.

    Args:
        predictions: ``predictions.parquet`` of each run (seed), by system.
        test: test rows.
        figures: folder for ``confusion``, ``per_class`` and ``reliability``, each .csv, .svg and .png.
        errors: CSV of the worst errors.
        temperatures: calibration temperature by system; adds a second reliability curve.

    Raises:
        GendistError: if a file is missing or damaged, or has other rows.
    """
    texts = read_texts(test)
    systems = [_read_predictions(system, files, texts, test) for system, files in predictions.items()]
    best = max(systems, key=lambda s: float(np.mean(s.predicted == texts.labels)))
    log.info("details of %s, %d runs", best.system, len(best.predicted))
    _write_confusion(best, texts, figures)
    _write_per_class(best, texts, figures)
    _write_reliability(best, texts, figures, (temperatures or {}).get(best.system))
    _write_errors(best, texts, errors)


def _read_predictions(system: str, files: Sequence[Path], texts: Texts, test: Path) -> SystemPredictions:
    logits = []
    for file in files:
        ids, found = read_logits([file], "id")
        labels = read_parquet(file, ["label"])["label"].to_numpy()
        if not np.array_equal(ids, texts.ids) or not np.array_equal(labels, texts.labels):
            raise GendistError(f"{file}: its rows are not those of {test}; delete it and rerun")
        logits.append(found)
    if not logits or logits[0].shape[1] != len(texts.label_names):
        raise GendistError(f"{test}: {len(texts.label_names)} classes, which the predictions of {system} do not match")
    stacked = np.stack(logits).astype(np.float64)
    return SystemPredictions(system, stacked.argmax(axis=2), stacked)


def _write_confusion(best: SystemPredictions, texts: Texts, folder: Path) -> None:
    names = texts.label_names
    counts = confusion_matrix(texts.labels, best.predicted, len(names))
    rows: list[list[Cell]] = [[name, *map(int, line)] for name, line in zip(names, counts, strict=True)]
    write_csv(folder / "confusion.csv", ["gold", *names], rows)
    with style_context():
        save_figure(confusion_plot(names, counts), folder / "confusion.svg", folder / "confusion.png")


def _write_per_class(best: SystemPredictions, texts: Texts, folder: Path) -> None:
    names = texts.label_names
    scores = class_scores(confusion_matrix(texts.labels, best.predicted, len(names))) * 100
    low, high = bootstrap_intervals(texts.labels, best.predicted, len(names)) * 100
    sizes = np.bincount(texts.labels, minlength=len(names))
    rows: list[dict[str, Cell]] = []
    for index, name in enumerate(names):
        row: dict[str, Cell] = {
            "system": best.system,
            "runs": len(best.predicted),
            "class": name,
            "rows": int(sizes[index]),
        }
        for column, score in enumerate(SCORES):
            values = (scores[index, column], low[index, column], high[index, column])
            for suffix, value in zip(("", " low", " high"), values, strict=True):
                row[score + suffix] = None if np.isnan(value) else round(float(value), 4)
        rows.append(row)
    write_csv(folder / "per_class.csv", list(rows[0]), [list(row.values()) for row in rows])
    with style_context():
        save_figure(per_class_plot(rows), folder / "per_class.svg", folder / "per_class.png")


def _write_reliability(best: SystemPredictions, texts: Texts, folder: Path, temperature: float | None) -> None:
    labels = np.tile(texts.labels, len(best.logits))
    logits = best.logits.reshape(-1, best.logits.shape[2])
    groups: dict[str, list[dict[str, Cell]]] = {}
    divisors = {UNCALIBRATED: 1.0} | ({f"temperature {temperature:.3g}": temperature} if temperature else {})
    for name, divisor in divisors.items():
        bins = reliability_bins(labels, softmax(logits / divisor, axis=1))
        edges = np.linspace(0, 100, len(bins.rows) + 1)
        groups[name] = [
            {
                "calibration": name,
                "low": round(float(edges[i]), 4),
                "high": round(float(edges[i + 1]), 4),
                "predictions": int(bins.rows[i]),
                "confidence": round_score(float(bins.confidence[i]) * 100) if bins.rows[i] else None,
                "accuracy": round_score(float(bins.accuracy[i]) * 100) if bins.rows[i] else None,
                "ece": round_score(bins.ece * 100),
            }
            for i in range(len(bins.rows))
        ]
    rows = [row for group in groups.values() for row in group]
    write_csv(folder / "reliability.csv", list(rows[0]), [list(row.values()) for row in rows])
    with style_context():
        save_figure(reliability_plot(groups), folder / "reliability.svg", folder / "reliability.png")


def _write_errors(best: SystemPredictions, texts: Texts, target: Path) -> None:
    """List the rows with the highest mean probability of a wrong class."""
    probabilities = softmax(best.logits, axis=2).mean(axis=0)  # (rows, classes)
    top = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(top != texts.labels)
    most_confident = wrong[np.argsort(-probabilities[wrong, top[wrong]], kind="stable")][:MAX_ERRORS]
    names = texts.label_names
    rows: list[list[Cell]] = [
        [
            int(texts.ids[i]),
            names[texts.labels[i]],
            names[top[i]],
            round(float(probabilities[i, top[i]]) * 100, 4),
            round(float(probabilities[i, texts.labels[i]]) * 100, 4),
            texts.texts[i],
        ]
        for i in most_confident
    ]
    write_csv(target, ["id", "gold", "predicted", "probability", "probability of gold", "text"], rows)
