"""What the cards of one dataset say, gathered from the study's files."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from gendist.analysis.cards.card_subject import CardSubject, find_subject
from gendist.analysis.metrics_table import Summary, read_runs, select_runs, summarise
from gendist.analysis.report_page.report_inputs import CsvRow, read_csv_rows
from gendist.analysis.report_page.report_provenance import data_hashes, source_models
from gendist.analysis.report_page.stage_costs import StageCost, stage_costs
from gendist.config.study import Study
from gendist.errors import GendistError
from gendist.io.parquet import read_metadata, read_parquet
from gendist.stages.evaluation.classes import class_scores, confusion, score_intervals
from gendist.stages.evaluation.metrics import ece
from gendist.stages.logits.files import read_logits
from gendist.stages.texts.tables import Texts, read_texts

LICENCES = {
    "minilm": "Apache-2.0",
    "pocket": "derived from all-MiniLM-L6-v2 (Apache-2.0), English Wikipedia and Stack Exchange (CC BY-SA), Wikinews"
    " (CC BY) and other open texts; see the card of the pocket models",
    "pocket embeddings": "derived from English Wikipedia (CC BY-SA)",
}
"""Licences of the embedded models; those of others are said by whoever publishes them."""
UNKNOWN_LICENCE = "see the publisher's page"


@dataclass(frozen=True)
class SourceModel:
    """A pretrained model that the study started from."""

    role: str
    name: str
    licence: str
    origin: str
    """Hash of its weights, or its revision on the hub."""


@dataclass(frozen=True)
class ClassScore:
    """A class on the test rows, in percent; None where a score is undefined."""

    name: str
    rows: int
    precision: float | None
    recall: float | None
    recall_low: float | None
    recall_high: float | None
    f1: float | None


@dataclass(frozen=True)
class CardFacts:
    """All that the two cards say."""

    dataset: str
    config: Mapping[str, Any]
    """The study's config of the dataset, the main models, and the student."""
    subject: CardSubject
    train: Texts
    test: Texts
    accuracy: Summary
    """Of the system over its seeds."""
    own: float
    """Accuracy of the very run that the card is about, in percent."""
    macro_f1: float
    """Of the same run, in percent."""
    teacher: Summary | None
    classes: list[ClassScore]
    """Of the same run."""
    ece: float
    """Calibration error of the same run as trained, in percent."""
    ece_calibrated: float | None
    """The same with the export's temperature."""
    temperature: float | None
    memorisation: list[CsvRow]
    sources: list[SourceModel]
    hashes: list[tuple[str, str]]
    costs: list[StageCost]

    @property
    def given(self) -> str | None:
        """Name of the file that the synthetic rows are from; None where a finetuned generator wrote them."""
        rows: str | None = self.config["generator"].get("rows")
        return rows

    @property
    def written_by(self) -> str:
        """Who wrote the synthetic rows, as the end of a sentence."""
        return "written by another tool or model" if self.given else "written by a finetuned generator"

    @property
    def hours(self) -> float:
        """Recorded hours of all jobs of this dataset, one after the other."""
        return sum(cost.seconds for cost in self.costs) / 3600


def collect_facts(study: Study, dataset: str) -> CardFacts:
    """Gather the facts of a dataset's cards from the study's results.

    Raises:
        GendistError: if the study has not run to its end, or a file is damaged.
    """
    results = Path(study.results)
    if dataset not in study.datasets:
        raise GendistError(f"dataset '{dataset}' is not in the study; it has {', '.join(study.datasets)}")
    if not (results / "metrics.parquet").is_file():
        raise GendistError(f"{results / 'metrics.parquet'}: no such file; run the study first")
    rows = read_runs(results / "metrics.parquet")
    subject = find_subject(study, dataset, rows)
    folder = results / dataset
    train, test = folder / "texts/train.parquet", folder / "texts/test.parquet"
    texts = read_texts(test)
    accuracy = summarise(subject.seeds)
    mine = [row for row in subject.seeds if row["seed"] == subject.run.seed]
    if accuracy is None or not mine:
        raise GendistError(f"{results / 'metrics.parquet'}: lacks {subject.system} on {dataset}; run the study again")
    logits = _read_test_logits(folder / subject.folder / "predictions.parquet", texts)
    temperature = float(subject.export["temperature"]) if subject.export else None
    config = _dataset_config(study, dataset, subject)
    return CardFacts(
        dataset=dataset,
        config=config,
        subject=subject,
        train=read_texts(train),
        test=texts,
        accuracy=accuracy,
        own=mine[0]["accuracy"] * 100,
        macro_f1=mine[0]["macro_f1"] * 100,
        teacher=summarise(select_runs(rows, dataset, "teacher", {"teacher": study.teacher})),
        classes=_class_scores(texts, logits.argmax(1)),
        ece=ece(texts.labels, logits) * 100,
        ece_calibrated=ece(texts.labels, logits / temperature) * 100 if temperature else None,
        temperature=temperature,
        memorisation=read_csv_rows(results / "tables/memorisation.csv", dataset),
        sources=list(_source_models(results, dataset, study, folder / subject.folder, config)),
        hashes=data_hashes(train, test),
        costs=stage_costs(results, results / "logs", dataset, rows),
    )


def pool_files(study: Study, dataset: str) -> Iterable[tuple[Path, Path]]:
    """Yield the main pool's shards with their logits."""
    folder = Path(study.results) / dataset
    count = -(-study.datasets[dataset].synthetic // study.shard_rows)
    for shard in range(count):
        name = f"{study.generator}/{study.sampling}/shard-{shard:05d}.parquet"
        yield folder / "synthetic" / name, folder / "logits" / study.teacher / name


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Return the softmax over classes of logits (rows, classes)."""
    return np.asarray(softmax(logits, axis=1))


def _dataset_config(study: Study, dataset: str, subject: CardSubject) -> dict[str, Any]:
    training = subject.run.variant.rpartition(".")[2]
    chosen = {
        "dataset": study.datasets[dataset],
        "generator": study.generators[study.generator],
        "sampling": study.samplings[study.sampling],
        "teacher": study.teachers[study.teacher],
        "student": study.students[subject.run.student],
        "training": study.trainings[training],
    }
    values: dict[str, Any] = {key: value.model_dump(mode="json") for key, value in chosen.items()}
    if "rows" in values["generator"]:
        values["generator"] = {"rows": Path(values["generator"]["rows"]).name}
        del values["sampling"]
    for key, model in (("generator", "model"), ("teacher", "model"), ("student", "embeddings")):
        if model in values[key]:
            values[key][model] = _public_name(values[key][model])
    return values


def _public_name(model: str) -> str:
    """Return a hub id or embedded name as it is, and of a folder only the last name: cards leave the machine."""
    path = Path(model)
    return path.name if path.is_absolute() or path.is_dir() or model.count("/") > 1 else model


def _read_test_logits(predictions: Path, texts: Texts) -> np.ndarray:
    ids, logits = read_logits([predictions], "id")
    if not np.array_equal(ids, texts.ids):
        raise GendistError(f"{predictions}: its rows are not the test rows; delete it and run again")
    return logits.astype(np.float64)


def _class_scores(texts: Texts, predicted: np.ndarray) -> list[ClassScore]:
    names = texts.label_names
    scores = class_scores(confusion(texts.labels, predicted, len(names))) * 100
    low, high = score_intervals(texts.labels, predicted, len(names)) * 100
    sizes = np.bincount(texts.labels, minlength=len(names))

    def known(value: float) -> float | None:
        return None if np.isnan(value) else float(value)

    return [
        ClassScore(
            name,
            int(sizes[i]),
            *(known(value) for value in (scores[i, 0], scores[i, 1], low[i, 1], high[i, 1], scores[i, 2])),
        )
        for i, name in enumerate(names)
    ]


def _source_models(
    results: Path, dataset: str, study: Study, run: Path, config: Mapping[str, Any]
) -> Iterable[SourceModel]:
    dumped = study.model_dump(mode="json")
    for role, name, origin in source_models(results, dataset, dumped):
        yield SourceModel(role, _public_name(name), LICENCES.get(name, UNKNOWN_LICENCE), origin)
    record = read_metadata(run / "predictions.parquet").get("gendist", {})
    embeddings = str(config["student"]["embeddings"])
    origin = str(record.get("inputs", {}).get("embeddings", "not recorded"))
    licence = LICENCES["pocket embeddings"] if embeddings == "pocket" else UNKNOWN_LICENCE
    yield SourceModel("the student's embeddings", embeddings, licence, origin)


def pool_table(study: Study, dataset: str) -> Any:
    """Return the rows that hold text with what the teacher says of them, as one Arrow table.

    Columns: row, text, label (its most probable class), probability (0 to 1), logits, n_tokens, finish.

    Raises:
        GendistError: if a shard or its logits are missing or damaged, or do not fit.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    pairs = list(pool_files(study, dataset))
    count = study.datasets[dataset].synthetic
    table = pa.concat_tables([read_parquet(shard) for shard, _ in pairs])[:count]
    keys, logits = read_logits([file for _, file in pairs], "row", count)
    if not np.array_equal(keys, table["row"].to_numpy()):
        raise GendistError(f"{pairs[0][1]} and following: rows differ from those of {pairs[0][0]}")
    names = read_metadata(pairs[0][1]).get("label_names") or []
    if len(names) != logits.shape[1]:
        raise GendistError(f"{pairs[0][1]}: {logits.shape[1]} classes, but {len(names)} names")
    likely = probabilities(logits.astype(np.float64))
    columns = {
        "row": table["row"],
        "text": table["text"],
        "label": pa.array([names[i] for i in likely.argmax(1)], pa.string()),
        "probability": pa.array(likely.max(1).astype(np.float32)),
        "logits": pa.array(list(logits), pa.list_(pa.float32())),
        "n_tokens": table["n_tokens"],
        "finish": table["finish"],
    }
    return pa.table(columns).filter(pc.not_equal(table["finish"], "empty"))
