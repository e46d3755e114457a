"""Collect the contents of a dataset's cards from the results of a study."""

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
from gendist.stages.evaluation.class_scores import bootstrap_intervals, class_scores, confusion_matrix
from gendist.stages.evaluation.metrics import ece
from gendist.stages.logits.logits_files import read_logits
from gendist.stages.synthetic.pool_reader import UNUSED
from gendist.stages.texts.text_tables import Texts, read_texts

LICENCES = {
    "minilm": "Apache-2.0",
    "pocket": "derived from all-MiniLM-L6-v2 (Apache-2.0), English Wikipedia and Stack Exchange (CC BY-SA), Wikinews"
    " (CC BY) and other open texts; see the card of the pocket models",
    "pocket embeddings": "derived from English Wikipedia (CC BY-SA)",
}
"""Licences of the embedded models."""
UNKNOWN_LICENCE = "see the publisher's page"


@dataclass(frozen=True)
class SourceModel:
    """A pretrained model used by the study."""

    role: str
    name: str
    licence: str
    origin: str
    """SHA-256 of its weights, or its revision on the hub."""


@dataclass(frozen=True)
class ClassScore:
    """Scores of one class on the test rows, in percent; None if undefined."""

    name: str
    rows: int
    precision: float | None
    recall: float | None
    recall_low: float | None
    recall_high: float | None
    f1: float | None


@dataclass(frozen=True)
class CardFacts:
    """Contents of the model card and the dataset card."""

    dataset: str
    config: Mapping[str, Any]
    """Config entries of the dataset, the main models and the student."""
    subject: CardSubject
    train: Texts
    test: Texts
    accuracy: Summary
    """Of the system, over its seeds."""
    run_accuracy: float
    """Accuracy of the card's run, in percent."""
    macro_f1: float
    """Of the same run, in percent."""
    teacher: Summary | None
    classes: list[ClassScore]
    """Of the same run."""
    ece: float
    """Expected calibration error of the same run, in percent."""
    ece_calibrated: float | None
    """The same with the temperature of the export."""
    temperature: float | None
    memorisation: list[CsvRow]
    sources: list[SourceModel]
    hashes: list[tuple[str, str]]
    costs: list[StageCost]

    @property
    def given(self) -> str | None:
        """File name of given synthetic rows; None if a generator was finetuned."""
        rows: str | None = self.config["generator"].get("rows")
        return rows

    @property
    def written_by(self) -> str:
        """Origin of the synthetic rows, as the end of a sentence."""
        if self.given:
            return "written by another tool or model"
        return "written by a prompted chat model" if self.prompted else "written by a finetuned generator"

    @property
    def prompted(self) -> bool:
        """Whether a chat model was prompted, without finetuning."""
        return bool({"instruct", "endpoint"} & self.config["generator"].keys())

    @property
    def hours(self) -> float:
        """Total recorded hours of all jobs of this dataset."""
        return sum(cost.seconds for cost in self.costs) / 3600


def collect_facts(study: Study, dataset: str) -> CardFacts:
    """Collect the contents of a dataset's cards.

    Raises:
        GendistError: if the study is incomplete, or a file is damaged.
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
    same_run = [row for row in subject.seeds if row["seed"] == subject.run.seed]
    if accuracy is None or not same_run:
        raise GendistError(f"{results / 'metrics.parquet'}: no run of {subject.system} on {dataset}; rerun the study")
    logits = _read_test_logits(results / subject.run.folder / "predictions.parquet", texts)
    temperature = float(subject.export["temperature"]) if subject.export else None
    config = _dataset_config(study, dataset, subject)
    return CardFacts(
        dataset=dataset,
        config=config,
        subject=subject,
        train=read_texts(train),
        test=texts,
        accuracy=accuracy,
        run_accuracy=same_run[0]["accuracy"] * 100,
        macro_f1=same_run[0]["macro_f1"] * 100,
        teacher=summarise(select_runs(rows, dataset, "teacher", main={"teacher": study.teacher})),
        classes=_class_scores(texts, logits.argmax(1)),
        ece=ece(texts.labels, logits) * 100,
        ece_calibrated=ece(texts.labels, logits / temperature) * 100 if temperature else None,
        temperature=temperature,
        memorisation=read_csv_rows(results / "tables/memorisation.csv", dataset),
        sources=list(
            _source_models(results, dataset=dataset, study=study, run=results / subject.run.folder, config=config)
        ),
        hashes=data_hashes(train, test),
        costs=stage_costs(
            results, results / "logs", dataset, rows, generators=study.model_dump(mode="json")["generators"]
        ),
    )


def pool_files(study: Study, dataset: str) -> Iterable[tuple[Path, Path]]:
    """Yield each shard of the main pool with its logits file."""
    folder = Path(study.results) / dataset
    count = -(-study.datasets[dataset].synthetic // study.shard_rows)
    for shard in range(count):
        name = f"{study.generator}/{study.sampling}/shard-{shard:05d}.parquet"
        yield folder / "synthetic" / name, folder / "logits" / study.teacher / name


def _dataset_config(study: Study, dataset: str, subject: CardSubject) -> dict[str, Any]:
    training = subject.run.names.training
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
    if "endpoint" in values["generator"]:  # without the address, which may be private
        values["generator"]["endpoint"] = {"model": values["generator"]["endpoint"]["model"]}
    for key, model in (("generator", "model"), ("teacher", "model"), ("student", "embeddings")):
        if model in values[key]:
            values[key][model] = _public_name(values[key][model])
    return values


def _public_name(model: str) -> str:
    """Return a hub id or embedded name unchanged, and only the last part of a path: cards are published."""
    path = Path(model)
    return path.name if path.is_absolute() or path.is_dir() or model.count("/") > 1 else model


def _read_test_logits(predictions: Path, texts: Texts) -> np.ndarray:
    ids, logits = read_logits([predictions], "id")
    if not np.array_equal(ids, texts.ids):
        raise GendistError(f"{predictions}: its rows are not the test rows; delete it and rerun")
    return logits.astype(np.float64)


def _class_scores(texts: Texts, predicted: np.ndarray) -> list[ClassScore]:
    names = texts.label_names
    scores = class_scores(confusion_matrix(texts.labels, predicted, len(names))) * 100
    low, high = bootstrap_intervals(texts.labels, predicted, len(names)) * 100
    sizes = np.bincount(texts.labels, minlength=len(names))

    def none_if_nan(value: float) -> float | None:
        return None if np.isnan(value) else float(value)

    return [
        ClassScore(
            name,
            int(sizes[i]),
            *(none_if_nan(value) for value in (scores[i, 0], scores[i, 1], low[i, 1], high[i, 1], scores[i, 2])),
        )
        for i, name in enumerate(names)
    ]


def _source_models(
    results: Path, *, dataset: str, study: Study, run: Path, config: Mapping[str, Any]
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
    """Return the rows with text and the teacher's predictions as one Arrow table.

    Columns: row, text, label (most probable class), probability (0 to 1), logits, n_tokens, finish.

    Raises:
        GendistError: if a shard or its logits are missing or damaged, or do not match.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    pairs = list(pool_files(study, dataset))
    count = study.datasets[dataset].synthetic
    table = pa.concat_tables([read_parquet(shard) for shard, _ in pairs])[:count]
    keys, logits = read_logits([file for _, file in pairs], "row", count)
    if not np.array_equal(keys, table["row"].to_numpy()):
        raise GendistError(f"{pairs[0][1]} and following: rows differ from {pairs[0][0]}")
    names = read_metadata(pairs[0][1]).get("label_names") or []
    if len(names) != logits.shape[1]:
        raise GendistError(f"{pairs[0][1]}: {logits.shape[1]} classes, but {len(names)} names")
    probabilities = softmax(logits.astype(np.float64), axis=1)
    columns = {
        "row": table["row"],
        "text": table["text"],
        "label": pa.array([names[i] for i in probabilities.argmax(1)], pa.string()),
        "probability": pa.array(probabilities.max(1).astype(np.float32)),
        "logits": pa.array(list(logits), pa.list_(pa.float32())),
        "n_tokens": table["n_tokens"],
        "finish": table["finish"],
    }
    return pa.table(columns).filter(pc.invert(pc.is_in(table["finish"], pa.array(UNUSED))))
