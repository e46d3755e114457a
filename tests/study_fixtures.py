"""The files of a finished study of two classes, written without training anything."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from conftest import write_texts
from report_fixtures import run, write_metrics

from gendist.artifacts import Provenance, write_json, write_parquet
from gendist.config import study_from
from gendist.config.run_config import write_run_config
from gendist.config.study import Study
from gendist.evaluation.runs import RunRow, write_run
from gendist.logits.files import logits_column
from gendist.quality.memorisation import write_memorisation
from gendist.report.figure2 import draw_figure2
from gendist.report.gains import write_gains
from gendist.report.generated import Generated
from gendist.report.page.sources import Sources, details_files, table_files
from gendist.report.sampling import draw_sampling
from gendist.report.table1 import write_table1
from gendist.report.table2 import write_table2
from gendist.report.table4 import write_table4

HOSTILE = "<script>alert('a')</script> & \"quoted\" </svg> | *x* $1$ `y` [z](javascript:1) {{ 7 * 7 }}"
"""What a generated text or a user's row may hold."""
TOKENISED = "the sea ' s < i > and the sky ' s 3, 000 ( odd ) birds : row"
"""What an uncased WordPiece generator writes; shown without the blanks around punctuation."""
MADE = {1: "", **{row: f"{TOKENISED} {row}" for row in (2, 4)}}
"""Generated texts by row, where they are not ``HOSTILE``."""
CLASSES = ["<b>sea</b>", "sky $x$"]
MAIN = {"teacher": "minilm", "generator": "pocket", "sampling": "full", "training": "default"}
ROWS = 40


def study_in(folder: Path) -> Study:
    """A config whose results lie in a folder."""
    return study_from(
        {
            "datasets": {"news": {"train": "a.csv", "test": "b.csv", "synthetic": 6}},
            "samplings": {"full": {}, "cool": {"temperature": 0.7}},
            "systems": ["tfidf-svm", "teacher", "kim", "kim+dist", "kim+gendist", "res+dist", "res+gendist"],
            "seeds": 2,
            "counts": [3],
            "shard_rows": 4,
            "results": str(folder),
        }
    )


def finish(study: Study, classes: list[str] = CLASSES) -> None:
    """Write texts, shards, logits, predictions, metrics, tables and figures' data of a study."""
    results = Path(study.results)
    news = results / "news"
    labels = [i % 2 for i in range(ROWS)]
    texts = [f"{HOSTILE} number {i} of the {'sea' if i % 2 == 0 else 'sky'}" for i in range(ROWS)]
    write_texts(news / "texts/train.parquet", texts[:10], labels[:10], classes)
    test = write_texts(news / "texts/test.parquet", texts, labels, classes)
    shards = _pool(news, classes)
    write_metrics(results / "metrics.parquet", [*_students(news, np.array(labels)), *_others()])
    write_run_config(study.model_dump(mode="json"), results / "run_config.yaml")
    for section, name in (("generators", "pocket"), ("teachers", "minilm")):
        write_json(news / section / name / "gendist.json", {"source_models": {name: "ab" * 32}})
    tables, figures, metrics = results / "tables", results / "figures", results / "metrics.parquet"
    counts = {"news": 6}
    systems = study.systems
    write_table1(metrics, systems, counts, MAIN, *(tables / f"table1.{kind}" for kind in ("csv", "md", "tex")))
    write_table2(metrics, "kim", counts, MAIN, tables / "table2.csv", tables / "table2.md")
    write_gains(metrics, ["kim", "res"], counts, MAIN, {}, tables / "gains.csv", tables / "gains.md")
    generated = {"news": Generated(news / "texts/train.parquet", shards, (), 6)}
    write_table4(generated, tables / "table4.csv", tables / "table4.md")
    write_memorisation(generated, {"news": test}, tables / "memorisation.csv", tables / "memorisation.md")
    for draw, name, first in (
        (draw_figure2, "figure2", ("kim", {"news": [3, 6]})),
        (draw_sampling, "sampling", ("kim+synthetic", ["full", "cool"], {"news": 6})),
    ):
        draw(metrics, *first, MAIN, *(figures / f"{name}.{kind}" for kind in ("svg", "png", "csv", "parquet")))


def export(study: Study, **chosen: Any) -> None:
    """Pretend that a run was exported."""
    run = {
        "dataset": "news", "student": "kim", "regime": "gendist", "variant": "minilm.pocket.full.default",
        "n_synthetic": 6, "seed": 1,
    }  # fmt: skip
    folder = Path(study.results) / "news/export/model"
    test = {
        "rows": 40,
        "pytorch": {"accuracy": 0.8},
        "float32": {"accuracy": 0.8, "equal_labels": 1.0, "largest_difference": 2e-6},
        "int8": {"accuracy": 0.775, "equal_labels": 0.975, "largest_difference": 0.021},
    }
    described = {"chosen": {**run, **chosen}, "temperature": 0.8, "test": test}
    described["bytes"] = {"model.onnx": 4_490_000, "model.int8.onnx": 1_170_000, "tokenizer.json": 700_000}
    write_json(folder / "gendist-model.json", described)
    (folder / "model.onnx").write_bytes(b"weights")


def predictions(results: Path) -> dict[str, list[Path]]:
    """The predictions of the gendist systems by seed."""
    variant = "minilm.pocket.full.default"
    return {
        f"{student}+gendist": [
            results / f"news/students/{student}/gendist/{variant}/n6/seed{seed}/predictions.parquet" for seed in (0, 1)
        ]
        for student in ("kim", "res")
    }


def sources(results: Path) -> Sources:
    """Everything that the page is made of."""
    files = [*results.glob("tables/*.csv"), *results.glob("figures/*.csv"), *results.glob("costs.parquet")]
    details = [*results.glob("tables/*/*.csv"), *results.glob("figures/*/*.csv")]
    texts = {split: {"news": results / f"news/texts/{split}.parquet"} for split in ("train", "test")}
    return Sources(
        results=results,
        logs=results / "logs",
        metrics=results / "metrics.parquet",
        run_config=results / "run_config.yaml",
        tables=table_files(files),
        details=details_files(details),
        **texts,
    )


def _pool(news: Path, classes: list[str]) -> list[Path]:
    """Two shards of four rows, of which the second holds no text, and their logits."""
    shards = []
    for shard in range(2):
        rows = range(shard * 4, shard * 4 + 4)
        name = f"pocket/full/shard-{shard:05d}.parquet"
        columns = {
            "row": pa.array(rows, pa.int64()),
            "text": [MADE.get(row, f"={HOSTILE} row {row}") for row in rows],
            "n_tokens": pa.array([5] * 4, pa.int32()),
            "finish": ["empty" if row == 1 else "stop" for row in rows],
        }
        write_parquet(news / "synthetic" / name, pa.table(columns), Provenance("synthetic"))
        logits = np.array([[float(row), 1.0] for row in rows], dtype=np.float32)
        scores = pa.table({"row": columns["row"], "logits": logits_column(logits)})
        write_parquet(news / "logits/minilm" / name, scores, Provenance("logits"), {"label_names": classes})
        shards.append(news / "synthetic" / name)
    return shards


def _students(news: Path, labels: np.ndarray) -> list[dict[str, Any]]:
    """Run folders of two gendist students: res is wrong in every tenth row, kim in every fifth."""
    rows = []
    for student, every in (("kim", 5), ("res", 10)):
        for seed in (0, 1):
            right = np.where(np.arange(len(labels)) % every == seed, 1 - labels, labels)
            logits = np.eye(2)[right] * 2
            row = RunRow(
                "news", f"{student}+gendist", 10, student, "gendist", "pocket", "full", "minilm", 6, seed, 1000,
                "minilm.pocket.full.default",
            )  # fmt: skip
            folder = news / f"students/{student}/gendist/{row.variant}/n6/seed{seed}"
            record = Provenance("students", {"embeddings": "cd" * 32})
            made = write_run(folder, row, np.arange(10, 10 + len(labels)), labels, right, logits, record, 60.0)
            rows.append({**made, "train_seconds": 60.0})
    return rows


def _others() -> list[dict[str, Any]]:
    rows = [run("news", "tfidf-svm", 0.5, parameters=500), run("news", "teacher", 0.95, parameters=100_000)]
    for seed in (0, 1):
        rows += [run("news", f"{student}+dist", 0.7 + seed / 50, seed) for student in ("kim", "res")]
        rows += [run("news", "kim", 0.6, seed), run("news", "kim+hard", 0.75 + seed / 100, seed, count=6)]
        rows += [run("news", "kim+synthetic", 0.6 + count / 100, seed, count=count) for count in (3, 6)]
        rows.append(run("news", "kim+synthetic", 0.55 + seed / 100, seed, count=6, sampling="cool"))
    return rows
