"""Real rows without labels: drawn without leaks, learnt from, and weighed against generated rows."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from report_fixtures import MAIN, read_csv, run, write_metrics
from tiny_stages import write_texts
from toy_texts import sentences
from typer.testing import CliRunner

from gendist.analysis.metrics_table import hash_scores, read_runs, select_runs
from gendist.analysis.report.compare_studies import compare_studies, read_studies
from gendist.analysis.report.gains_table import write_gains
from gendist.analysis.report.rows_figure import draw_rows, equivalent_rows
from gendist.analysis.report.table1 import write_table1
from gendist.analysis.report_page.page_charts import rows_chart
from gendist.analysis.report_page.page_summary import best_student, summary_sentence
from gendist.analysis.report_page.page_tables import gains_table
from gendist.cli.app import app
from gendist.config import study_from
from gendist.config.dataset_settings import Dataset
from gendist.config.default_systems import GENERAL_SYSTEMS, PAPER_SYSTEMS, UNLABELLED_SYSTEMS
from gendist.config.student_settings import Student, Training
from gendist.config.study_plan import export_candidates, planned_runs, timed_runs
from gendist.errors import GendistError
from gendist.io.parquet import read_metadata, write_parquet
from gendist.io.provenance import Provenance, hash_file
from gendist.launcher import data_checks
from gendist.launcher.data_checks import require_data
from gendist.naming import RunKey, parse_system, regime_of
from gendist.stages.evaluation.collect_metrics import OPTIONAL_SCHEMA, SCHEMA, collect_metrics
from gendist.stages.students.distil_student import distil_seeds, student_metadata
from gendist.stages.students.training_rows import SyntheticFiles, UnlabelledFiles, assemble_training_rows
from gendist.stages.texts.prepare_unlabelled import prepare_unlabelled
from gendist.stages.texts.text_tables import read_texts

# --- texts ---

TRAIN = ["a wave and a tide", "the moon is up"]
TEST = ["Straße am  Fluss", "clay and roots"]


def prepare(folder: Path, content: str, name: str = "more.csv", **changed: Any) -> pa.Table:
    """Draw unlabelled rows beside two training and two test rows."""
    (folder / name).write_text(content, encoding="utf-8")
    settings = Dataset(train="a", test="b", **{"unlabelled": str(folder / name), "unlabelled_rows": 3, **changed})
    train = write_texts(folder / "train.parquet", TRAIN, [0, 1])
    test = write_texts(folder / "test.parquet", TEST, [0, 1])
    prepare_unlabelled(settings, train, test, folder / "unlabelled.parquet")
    return pq.read_table(folder / "unlabelled.parquet")


ROWS = ["one", "STRASSE am Fluss", "two", " ", "three", "a wave  and a tide", "four", "clay and roots"]


def test_rows_that_would_leak_are_dropped_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    content = "label,text\n" + "".join(f"nonsense,{text}\n" for text in ROWS)
    with caplog.at_level("INFO"):
        table = prepare(tmp_path, content, unlabelled_rows=4)
    assert table.column_names == ["id", "text"]
    assert dict(zip(*table.to_pydict().values(), strict=True)) == {0: "one", 2: "two", 4: "three", 6: "four"}
    file = tmp_path / "more.csv"
    assert [line for line in caplog.messages if "dropped" in line] == [
        f"{file}: dropped 1 of 8 rows: without text",
        f"{file}: dropped 2 of 8 rows: in the test rows too",
        f"{file}: dropped 1 of 8 rows: in the training rows too",
    ]
    inputs = read_metadata(tmp_path / "unlabelled.parquet")["gendist"]["inputs"]
    assert inputs == {
        "source": hash_file(file),
        "train": hash_file(tmp_path / "train.parquet"),
        "test": hash_file(tmp_path / "test.parquet"),
    }


def test_fewer_rows_are_the_first_of_more_and_the_order_is_not_the_file_s(tmp_path: Path):
    content = "title,body\n" + "".join(f"t{i},{i:03}\n" for i in range(50))
    drawn = [
        prepare(tmp_path, content, text=["title", "body"], separator=" / ", unlabelled_rows=count)["text"].to_pylist()
        for count in (10, 50)
    ]
    assert drawn[1][:10] == drawn[0] and len(set(drawn[1])) == 50
    assert drawn[1] != sorted(drawn[1]) and all(text == f"t{int(text[-3:])} / {text[-3:]}" for text in drawn[1])
    other = prepare(tmp_path, content, text=["title", "body"], separator=" / ", unlabelled_rows=50, sample_seed=1)
    assert other["text"].to_pylist() != drawn[1]


@pytest.mark.parametrize(
    ("name", "content", "changed", "message"),
    [
        ("more.csv", "body\none\n", {}, "more.csv: no column 'text' (has body)"),
        (
            "more.csv",
            "text\n" + "\n".join(["one", "two", *TEST, "moon"]),
            {"unlabelled_rows": 4},
            "more.csv: 3 of 5 rows can be used, 2 are in the test rows too; 4 are requested: "
            "set the dataset's unlabelled_rows to 3 or fewer",
        ),
        ("more.csv", "text\n" + TRAIN[0], {}, "are requested: use another file"),
        (
            "more.csv",
            "text\none\n",
            {"unlabelled_rows": None, "synthetic": 2},
            "1 of 1 rows can be used; 2 are requested",
        ),
        (
            "more.jsonl",
            '{"text": "a"}\n{"text": 3}\n',
            {},
            "more.jsonl, line 2: column 'text' contains int, expected text",
        ),
        ("more.txt", "one\n", {}, "more.txt: unknown file type '.txt'"),
    ],
)
def test_files_that_cannot_be_used_end_in_one_line(
    tmp_path: Path, name: str, content: str, changed: dict[str, Any], message: str
):
    with pytest.raises(GendistError) as caught:
        prepare(tmp_path, content, name, **changed)
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "unlabelled.parquet").exists()


def test_the_file_is_read_as_the_training_file(tmp_path: Path):
    content = '1;zero\n1;"one, |two\n2;three"\n'
    read = {"text": "2", "label": "1", "header": False, "delimiter": ";"}
    texts = prepare(tmp_path, content, **read)["text"].to_pylist()
    assert sorted(texts) == ['"one, |two', 'three"', "zero"]
    texts = prepare(tmp_path, content, **read, quoting="standard", unlabelled_rows=2)["text"].to_pylist()
    assert sorted(texts) == ["one, |two\n2;three", "zero"]
    used = read_metadata(tmp_path / "unlabelled.parquet")["gendist"]["settings"]
    assert used["delimiter"] == ";" and used["header"] is False and used["quoting"] == "standard"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text\none\ntwo\n", "more.csv: 2 rows, fewer than the 3 required by datasets.news.unlabelled_rows; set"),
        ("body\none\n", "more.csv: no column 'text' (has body)"),
        ("text,x\none,2\ntwo\n", "more.csv, line 3: 1 fields, the header has 2"),
    ],
)
def test_unlabelled_rows_are_checked_before_the_first_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, message: str
):
    (tmp_path / "a.csv").write_text("text,label\na,x\nb,x\nc,y\nd,y\n")
    (tmp_path / "more.csv").write_text(content)
    files = {name: str(tmp_path / "a.csv") for name in ("train", "test")}
    dataset = {**files, "train_per_class": 2, "unlabelled": str(tmp_path / "more.csv"), "unlabelled_rows": 3}
    study = study_from({"datasets": {"news": dataset}})
    with pytest.raises(GendistError) as caught:
        require_data(study)
    assert message in str(caught.value)
    monkeypatch.setattr(data_checks, "MAX_BYTES_CHECKED", 0)  # of large files, the columns alone
    if "column" in message:
        with pytest.raises(GendistError, match="no column 'text'"):
            require_data(study)
    else:
        require_data(study)


# --- config and plan ---

FILES = {"train": "a.csv", "test": "b.csv", "synthetic": 2000}
MORE = {**FILES, "unlabelled": "more.csv", "unlabelled_rows": 700}


def test_a_study_without_unlabelled_rows_is_what_it_was():
    plain = study_from({"datasets": {"news": FILES}})
    assert plain.systems == [*PAPER_SYSTEMS, *GENERAL_SYSTEMS]
    assert not {"unlabelled", "unlabelled_rows"} & set(plain.model_dump(mode="json")["datasets"]["news"])
    assert "rows" not in plain.model_dump(mode="json")["generators"]["pocket"]
    assert {run.regime for run in planned_runs(plain)} == {"scratch", "dist", "gendist", "synthetic", "hard"}


def test_unlabelled_rows_bring_their_systems_and_the_runs_of_their_figure():
    study = study_from({"datasets": {"news": MORE, "bare": FILES}, "counts": [500, 1000], "seeds": 1})
    assert study.systems == [*PAPER_SYSTEMS, *GENERAL_SYSTEMS, *UNLABELLED_SYSTEMS]
    assert study_from(study.model_dump(mode="json")) == study
    runs = planned_runs(study)
    assert not any("unlabelled" in run.regime for run in runs if run.dataset == "bare")
    found = {(run.system, run.variant, run.n_synthetic) for run in runs if "unlabelled" in run.regime}
    both = "minilm.pocket.nucleus.default"
    assert found == {
        *(("kim+unlabelled", "minilm.default", count) for count in (500, 700)),
        *(("kim+gendist+unlabelled", both, count) for count in (500, 1000, 2000)),
        ("res+unlabelled", "minilm.default", 700),
        ("res+gendist+unlabelled", both, 2000),
        ("kim-general+unlabelled", "minilm.default", 700),
        ("kim-general+gendist+unlabelled", both, 2000),
    }
    gendist = {run.n_synthetic for run in runs if run.dataset == "news" and run.system == "kim+gendist"}
    assert gendist == {500, 1000, 2000}
    assert {run.n_synthetic for run in runs if run.dataset == "bare" and run.system == "kim+gendist"} == {2000}
    synthetic = ["kim+gendist", "res+gendist", *GENERAL_SYSTEMS[-2:]]
    assert [run.system for run in export_candidates(study, "bare")] == synthetic
    candidates = [run.system for run in export_candidates(study, "news")]
    assert candidates == [*synthetic, *UNLABELLED_SYSTEMS]


def test_as_many_unlabelled_rows_as_synthetic_ones_by_default():
    study = study_from({"datasets": {"news": {**MORE, "unlabelled_rows": None}}, "systems": ["res+unlabelled"]})
    assert study.datasets["news"].n_unlabelled == 2000
    assert timed_runs(study, "news")["res"].n_synthetic == 2000
    assert study.systems == ["res+unlabelled"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"systems": ["kim+unlabelled"]},
            "systems: 'kim+unlabelled' needs 'unlabelled' (a file), not set in datasets.d",
        ),
        ({"export": {"systems": ["kim+unlabelled"]}}, "export.systems: 'kim+unlabelled' needs 'unlabelled'"),
        ({"datasets": {"d": {**FILES, "unlabelled_rows": 3}}}, "'unlabelled_rows' belongs to 'unlabelled'"),
        ({"datasets": {"d": {**FILES, "unlabelled": "m", "unlabelled_rows": 0}}}, "unlabelled_rows' is 0"),
        ({"systems": ["kim+gendist-unlabelled"]}, "system 'kim+gendist-unlabelled' is unknown"),
        ({"systems": ["kim+unlabelled+gendist"]}, "STUDENT+unlabelled, STUDENT+gendist+unlabelled, where"),
    ],
)
def test_impossible_configs_end_in_one_line(content: dict[str, Any], message: str):
    with pytest.raises(GendistError) as caught:
        study_from({"datasets": {"d": FILES}, **content})
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_names_of_systems_have_one_spelling():
    assert parse_system("kim+gendist+unlabelled", ["kim"]) == ("kim+gendist+unlabelled", "kim", "gendist-unlabelled")
    assert (regime_of("kim"), regime_of("tfidf-svm"), regime_of("a-b+unlabelled")) == ("", "", "unlabelled")


# --- students ---

CLASSES = 3


@pytest.fixture(scope="module")
def files(train_texts: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Logits of the real rows, nine unlabelled rows with theirs, and a shard of six rows with theirs."""
    folder = tmp_path_factory.mktemp("further")

    def scores(path: Path, key: str, keys: Any, labels: Any) -> Path:
        logits = [[4.0 if c == label else -1.0 for c in range(CLASSES)] for label in labels]
        table = pa.table({key: pa.array(keys, pa.int64()), "logits": pa.array(logits, pa.list_(pa.float32()))})
        write_parquet(path, table, Provenance("logits"))
        return path

    real = read_texts(train_texts)
    more, labels = sentences(9, 11)
    ids = [30, 2, 17, 4, 5, 60, 7, 8, 1]
    write_parquet(folder / "texts.parquet", pa.table({"id": ids, "text": more}), Provenance("texts"))
    made, made_labels = sentences(6, 12)
    shard = pa.table({"row": range(6), "text": made, "finish": ["given"] * 6})
    write_parquet(folder / "shard.parquet", shard, Provenance("synthetic"))
    return {
        "real": scores(folder / "real.parquet", "id", real.ids, real.labels),
        "unlabelled": UnlabelledFiles(folder / "texts.parquet", scores(folder / "more.parquet", "id", ids, labels)),
        "synthetic": SyntheticFiles(
            [folder / "shard.parquet"], [scores(folder / "made.parquet", "row", range(6), made_labels)], 6
        ),
        "labels": labels,
    }


def test_regimes_learn_from_labelled_then_unlabelled_then_synthetic_rows(train_texts: Path, files: dict[str, Any]):
    real, further = read_texts(train_texts), files["unlabelled"]
    few = UnlabelledFiles(further.texts, further.logits, 4)
    rows = assemble_training_rows("unlabelled", real, real_logits=files["real"], synthetic=None, unlabelled=few)
    assert rows.texts == real.texts + sentences(9, 11)[0][:4] and rows.n_real == 36
    assert rows.logits is not None and rows.logits.argmax(1).tolist() == [*real.labels, *files["labels"][:4]]
    both = assemble_training_rows(
        "gendist-unlabelled", real, real_logits=files["real"], synthetic=files["synthetic"], unlabelled=further
    )
    assert both.texts == real.texts + sentences(9, 11)[0] + sentences(6, 12)[0]
    assert both.logits is not None and torch.equal(both.logits[:40], rows.logits) and len(both.logits) == 36 + 9 + 6


def test_unlabelled_rows_that_do_not_fit_are_named(train_texts: Path, files: dict[str, Any]):
    real, further = read_texts(train_texts), files["unlabelled"]
    for unlabelled, message in (
        (None, "regime 'unlabelled' needs unlabelled rows and their logits"),
        (UnlabelledFiles(further.texts, files["real"]), r"real\.parquet: ids differ from those of .*texts\.parquet"),
        (UnlabelledFiles(further.texts, further.logits, 10), r"texts\.parquet: 9 rows, but 10 are requested"),
    ):
        with pytest.raises(GendistError, match=message):
            assemble_training_rows("unlabelled", real, real_logits=files["real"], synthetic=None, unlabelled=unlabelled)


@pytest.mark.parametrize(
    ("regime", "variant", "count", "expected"),
    [
        ("unlabelled", "t.default", 5, {"real": 36, "synthetic": 0, "unlabelled": 5}),
        ("gendist-unlabelled", "t.g.full.default", 6, {"real": 36, "synthetic": 6, "unlabelled": 9}),
        ("dist", "t.default", 0, {"real": 36, "synthetic": 0}),
    ],
)
def test_a_run_counts_its_rows(
    train_texts: Path,
    test_texts: Path,
    subwords: Path,
    files: dict[str, Any],
    tmp_path: Path,
    regime: str,
    variant: str,
    count: int,
    expected: dict[str, int],
):
    row = student_metadata(RunKey("toy", "kim", regime, variant, count, 0))
    further = files["unlabelled"]
    unlabelled = None
    if regime != "dist":
        unlabelled = UnlabelledFiles(further.texts, further.logits, 5 if regime == "unlabelled" else None)
    distil_seeds(
        {0: tmp_path / "run"},
        row,
        train=train_texts,
        test=test_texts,
        embeddings=subwords,
        student=Student(filters=4),
        training=Training(epochs=1, min_steps=3),
        train_logits=files["real"],
        synthetic=files["synthetic"] if regime == "gendist-unlabelled" else None,
        unlabelled=unlabelled,
    )
    assert json.loads((tmp_path / "run/student.json").read_text())["trained_on"] == expected
    collect_metrics([tmp_path / "run"], tmp_path / "metrics.parquet")
    table = pq.read_table(tmp_path / "metrics.parquet")
    assert table.schema.names == [*SCHEMA.names, *(OPTIONAL_SCHEMA.names if regime != "dist" else [])]
    (found,) = table.to_pylist()
    assert (found["n_real"], found["n_synthetic"], found.get("n_unlabelled")) == (
        36,
        expected["synthetic"],
        expected.get("unlabelled"),
    )
    inputs = read_metadata(tmp_path / "run/predictions.parquet")["gendist"]["inputs"]
    assert ({"unlabelled", "unlabelled_logits"} <= set(inputs)) == (regime != "dist")


# --- report ---


def scored() -> list[dict[str, Any]]:
    """Two seeds of a study whose curve of unlabelled rows is 60, 70 and 80 % with none, 100 and 300."""
    rows = [run("toy", "teacher", 0.9)]
    for seed, shift in enumerate((-0.01, 0.01)):
        for system, accuracy, count, unlabelled in (
            ("kim", 0.5, 0, None),
            ("kim+dist", 0.6, 0, None),
            ("kim+gendist", 0.65, 100, None),
            ("kim+gendist", 0.75, 400, None),
            ("kim+unlabelled", 0.7, 0, 100),
            ("kim+unlabelled", 0.8, 0, 300),
            ("kim+gendist+unlabelled", 0.81, 100, 300),
            ("kim+gendist+unlabelled", 0.85, 400, 300),
        ):
            rows.append(run("toy", system, accuracy + shift, seed, count, unlabelled=unlabelled))
    return rows


COUNTS = {"gendist": [100, 400], "unlabelled": [100, 300], "gendist-unlabelled": [100, 400]}


def test_the_figure_weighs_generated_rows_in_unlabelled_ones(tmp_path: Path):
    metrics = write_metrics(tmp_path / "metrics.parquet", scored())
    out = [tmp_path / f"rows.{kind}" for kind in ("svg", "png", "csv")]
    draw_rows(metrics, student="kim", counts={"toy": COUNTS}, main=MAIN, out_svg=out[0], out_png=out[1], out_csv=out[2])
    first = [path.read_bytes() for path in out]
    draw_rows(metrics, student="kim", counts={"toy": COUNTS}, main=MAIN, out_svg=out[0], out_png=out[1], out_csv=out[2])
    assert [path.read_bytes() for path in out] == first
    rows = read_csv(tmp_path / "rows.csv")
    shown = [(r["system"], r["n_synthetic"], r["n_unlabelled"], r["accuracy"], r["equal_unlabelled"]) for r in rows]
    assert shown == [
        ("kim+gendist", "100", "0", "65.0", "50.0"),
        ("kim+gendist", "400", "0", "75.0", "200.0"),
        ("kim+unlabelled", "0", "100", "70.0", ""),
        ("kim+unlabelled", "0", "300", "80.0", ""),
        ("kim+gendist+unlabelled", "100", "300", "81.0", ""),
        ("kim+gendist+unlabelled", "400", "300", "85.0", ""),
        ("teacher", "", "", "90.0", ""),
        ("kim+dist", "", "", "60.0", ""),
    ]
    assert {row["runs"] for row in rows} == {"1", "2"} and float(rows[0]["sd"]) == pytest.approx(2**0.5, abs=1e-4)
    assert rows_chart(rows, "p") is not None and rows_chart([], "p") is None
    with pytest.raises(GendistError, match=r"no run of res\+unlabelled on toy"):
        draw_rows(
            metrics, student="res", counts={"toy": COUNTS}, main=MAIN, out_svg=out[0], out_png=out[1], out_csv=out[2]
        )


@pytest.mark.parametrize(
    ("accuracy", "expected"),
    [
        (59.0, (0.0, False)),
        (60.0, (0.0, False)),
        (66.0, (60.0, False)),
        (70.0, (100.0, False)),
        (75.0, (850.0, False)),  # not before the curve, which falls in between, is above its earlier best
        (80.0, (1200.0, False)),
        (80.1, (1200.0, True)),
    ],
)
def test_equal_rows_are_read_off_the_curve(accuracy: float, expected: tuple[float, bool]):
    rows, bound = equivalent_rows(accuracy, {0: 60.0, 100: 70.0, 500: 65.0, 1200: 80.0})
    assert (rows, bound) == (pytest.approx(expected[0]), expected[1])


def test_tables_take_the_runs_with_all_rows(tmp_path: Path):
    metrics = write_metrics(tmp_path / "metrics.parquet", scored())
    runs = read_runs(metrics)
    assert [r["n_unlabelled"] for r in select_runs(runs, "toy", "kim+unlabelled", main=MAIN, count=400)] == [300, 300]
    assert [r["accuracy"] for r in select_runs(runs, "toy", "kim+unlabelled", main=MAIN, unlabelled=100)] == [
        0.69,
        0.71,
    ]
    systems = ["kim+gendist", "kim+unlabelled", "kim+gendist+unlabelled"]
    out = [tmp_path / f"table1.{kind}" for kind in ("csv", "md", "tex")]
    write_table1(
        metrics, systems=systems, counts={"toy": 400}, main=MAIN, out_csv=out[0], out_md=out[1], out_tex=out[2]
    )
    rows = read_csv(out[0])
    assert [(row["system"], row["toy accuracy"], row["toy runs"]) for row in rows] == [
        ("kim+gendist", "75.0", "2"),
        ("kim+unlabelled", "80.0", "2"),
        ("kim+gendist+unlabelled", "85.0", "2"),
    ]
    assert "Real rows without labels of the systems with +unlabelled: 300 (toy)." in out[1].read_text()


def test_gains_tell_what_unlabelled_rows_bring(tmp_path: Path):
    metrics = write_metrics(tmp_path / "metrics.parquet", scored())
    write_gains(
        metrics,
        students=["kim"],
        counts={"toy": 400},
        main=MAIN,
        variants={},
        out_csv=tmp_path / "gains.csv",
        out_md=tmp_path / "gains.md",
    )
    rows = read_csv(tmp_path / "gains.csv")
    differences = {name: float(rows[0][name]) for name in rows[0] if name.endswith("difference")}
    assert differences == pytest.approx(
        {
            "dist - scratch difference": 10,
            "gendist - dist difference": 15,
            "unlabelled - dist difference": 20,
            "gendist-unlabelled - gendist difference": 10,
            "gendist-unlabelled - unlabelled difference": 5,
        }
    )
    assert "gendist-unlabelled, %" in (tmp_path / "gains.md").read_text()
    table = gains_table(rows)
    assert table.header[5:7] == ["unlabelled, %", "gendist-unlabelled, %"] and len(table.rows[0]) == len(table.header)
    best = best_student(rows)
    assert best is not None and best.system == "kim+gendist+unlabelled"
    assert "without the latter, kim+gendist gets 75.0" in summary_sentence(rows)
    plain = [row for row in scored() if "n_unlabelled" not in row]
    write_metrics(tmp_path / "plain.parquet", plain)
    write_gains(
        tmp_path / "plain.parquet",
        students=["kim"],
        counts={"toy": 400},
        main=MAIN,
        variants={},
        out_csv=tmp_path / "p.csv",
        out_md=tmp_path / "p.md",
    )
    (row,) = read_csv(tmp_path / "p.csv")
    assert list(row)[-1] == "gendist share of teacher" and not any("unlabelled" in name for name in row)
    assert "unlabelled" not in (tmp_path / "p.md").read_text().lower()


def test_a_table_without_the_column_reads_as_one_where_it_is_empty(tmp_path: Path):
    rows = [run("toy", "kim", 0.5), run("toy", "kim+dist", 0.6)]
    plain = read_runs(write_metrics(tmp_path / "plain.parquet", rows))
    empty = read_runs(write_metrics(tmp_path / "empty.parquet", [{**row, "n_unlabelled": None} for row in rows]))
    assert plain == empty and plain[0]["n_unlabelled"] is None
    assert hash_scores(plain) == hash_scores(empty) == hash_scores([dict(row) for row in rows])


def test_studies_compare_with_all_their_unlabelled_rows(tmp_path: Path):
    for name, count in (("a", 300), ("b", 500)):
        rows = [
            run("toy", "kim+unlabelled", 0.5, 0, unlabelled=100),
            run("toy", "kim+unlabelled", 0.7, unlabelled=count),
        ]
        (tmp_path / name).mkdir()
        write_metrics(tmp_path / name / "metrics.parquet", rows)
    lines = compare_studies(read_studies([tmp_path / "a", tmp_path / "b"]))
    assert {(line.key[1], len(line.gains), line.gain) for line in lines} == {
        ("kim+unlabelled", 1, 0.0),
        ("kim+unlabelled (100 unlabelled rows)", 1, 0.0),
    }


# --- from predictions back to rows ---


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_what_predict_writes_with_texts_can_be_learnt_from(exported: Path, tmp_path: Path, suffix: str):
    texts = ["the wave, a tide", 'a "quoted" wing', "clay\nand root", "the moon"]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    out = tmp_path / f"labels{suffix}"
    command = ["predict", str(exported), str(tmp_path / "in.jsonl"), "--texts", "--all", "-o", str(out)]
    assert CliRunner().invoke(app, command).exit_code == 0
    settings = Dataset(train="a", test="b", unlabelled=str(out), unlabelled_rows=4)
    train = write_texts(tmp_path / "train.parquet", TRAIN, [0, 1])
    test = write_texts(tmp_path / "test.parquet", TEST, [0, 1])
    prepare_unlabelled(settings, train, test, tmp_path / "unlabelled.parquet")
    table = pq.read_table(tmp_path / "unlabelled.parquet").sort_by("id")
    assert table["text"].to_pylist() == texts


def test_predictions_without_texts_name_what_is_missing(exported: Path, tmp_path: Path):
    (tmp_path / "in.csv").write_text("text\nthe wave\n")
    command = ["predict", str(exported), str(tmp_path / "in.csv"), "-o", str(tmp_path / "labels.csv")]
    assert CliRunner().invoke(app, command).exit_code == 0
    with pytest.raises(GendistError, match=r"labels\.csv: no column 'text' \(has row, label, probability\)"):
        prepare(tmp_path, (tmp_path / "labels.csv").read_text(), "labels.csv")


def test_unlabelled_rows_are_scored_like_the_synthetic_ones(
    monkeypatch: pytest.MonkeyPatch, test_texts: Path, files: dict[str, Any], tmp_path: Path
):
    from gendist.stages.logits import score_texts as module

    class Model:
        config = type("Config", (), {module.INT8_ERROR_KEY: 0.01})()

        def to(self, place: Any) -> "Model":
            return self

    def cascade(*_: Any) -> Any:
        return type("Cascade", (), {"logits": lambda _, rows, description: (np.zeros((len(rows), 3), np.float32), 0)})()

    monkeypatch.setattr(module, "load_tokenizer", lambda _: None)
    monkeypatch.setattr(module, "class_names", lambda _: ["a", "b", "c"])
    monkeypatch.setattr(module, "load_classifier", lambda *_: Model())
    monkeypatch.setattr(module, "pack_linear_layers", lambda model: model)
    monkeypatch.setattr(module, "Int8Cascade", cascade)
    monkeypatch.setattr(module, "predict_logits", lambda _, __, rows, *___, **____: np.ones((len(rows), 3), np.float32))
    found = {}
    for name, texts in (("labelled", test_texts), ("unlabelled", files["unlabelled"].texts)):
        module.score_file(tmp_path, texts, tmp_path / f"{name}.parquet", 16)
        found[name] = pq.read_table(tmp_path / f"{name}.parquet")["logits"][0].as_py()
    assert found == {"labelled": [1.0] * 3, "unlabelled": [0.0] * 3}
