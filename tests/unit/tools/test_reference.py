"""The reference page of scores and files agrees with the code and with what a study writes."""

import re
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
from study_paths import pattern
from workflow_fixtures import Checkout

from gendist.stages.evaluation.collect_metrics import OPTIONAL_SCHEMA, SCHEMA
from gendist.stages.evaluation.run_folder import RunMetadata
from tools.metrics_reference import PAGE, column_meanings, field_docs, reference_text
from tools.study_files import STUDY_FILES, StudyFile

NOT_HERE = {
    "quick.yaml",
    "workflow.html",
    "tracking.json",
    "pocket/generator/…",
    "pocket/model2vec/…",
    "embeddings/{embeddings}/…",
    "{run}/head.safetensors",
    "{run}/config.json",
    "{run}/tokenizer.json",
    "{dataset}/export/held_out/{student}/{regime}/{variant}/n{count}.parquet",
    "{dataset}/export/choice.json",
    "{dataset}/export/model/…",
    "{dataset}/export/classifier.html",
    "{dataset}/synthetic/{generator}/{sampling}/answers/{shard}.jsonl",
    "{dataset}/cards/…",
    "figures/rows.{format}",
    "{dataset}/…/index-{n_shards}.json",
}
"""Made by further commands, and where a study uses embedded models, fetched embeddings, further baselines,
unlabelled rows or large pools."""


def test_the_page_is_in_step_with_the_code():
    assert PAGE.read_text(encoding="utf-8") == reference_text(), "run: python -m tools.metrics_reference"


def test_every_column_is_described():
    assert list(column_meanings()) == [*SCHEMA.names, *OPTIONAL_SCHEMA.names]
    assert set(field_docs(RunMetadata)) == set(RunMetadata.__dataclass_fields__)
    assert all(len(meaning) > 10 for meaning in column_meanings().values())


def test_field_docs_are_those_under_the_fields():
    docs = field_docs(StudyFile)
    assert set(docs) == {"path", "columns"} and docs["path"].startswith("Names in braces")


def test_every_file_of_a_study_is_described_once(finished: Checkout):
    results = finished.folder / "results"
    files = [file.relative_to(results).as_posix() for file in results.rglob("*") if file.is_file()]
    kinds = {name: [kind.path for kind in STUDY_FILES if pattern(kind).fullmatch(name)] for name in files}
    assert {name: found for name, found in kinds.items() if len(found) != 1} == {}
    assert {kind.path for kind in STUDY_FILES} - {found[0] for found in kinds.values()} == NOT_HERE


def test_tables_have_the_columns_that_are_described(finished: Checkout):
    results = finished.folder / "results"
    described = [kind for kind in STUDY_FILES if kind.columns]
    assert len(described) >= 5
    for kind in described:
        found = [p for p in results.rglob("*.parquet") if pattern(kind).fullmatch(p.relative_to(results).as_posix())]
        assert found and all(pq.read_schema(path).names == list(kind.columns) for path in found), kind.path


def test_the_page_s_example_reads_a_study(finished: Checkout, capsys):
    blocks = re.findall(r"^```python\n(.*?)^```$", reference_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    results = finished.folder / "results"
    for block in blocks:
        exec(block.replace("results/", f"{results}/"), {})
    shown = capsys.readouterr().out
    assert "kim+gendist" in shown and "mean" in shown and re.search(r"^\d+\.\d+\.\d+$", shown, re.MULTILINE)
    assert pd.read_parquet(Path(results) / "metrics.parquet").columns.tolist() == SCHEMA.names
