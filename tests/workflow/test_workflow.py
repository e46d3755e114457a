"""Real Snakemake runs of a very small study, in a copy of the checkout."""

import csv
import re
import resource
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from safetensors import safe_open
from workflow_fixtures import ROOT, SAMPLES, STUDY, TABLES, Checkout, changed, entry

from gendist.config import load_study, study_from
from gendist.config.default_systems import PAPER_SYSTEMS
from gendist.io.parquet import read_metadata
from gendist.io.provenance import PROVENANCE_KEY

# --- what the run leaves behind ---


def columns(path: Path) -> list[str]:
    return pq.read_schema(path).names


def test_every_path_and_column_of_the_contract_is_there(finished: Checkout):
    results = finished.folder / "results"
    toy = results / "toy"
    for split in ("train", "test"):
        assert columns(toy / f"texts/{split}.parquet") == ["id", "text", "label"]
        assert read_metadata(toy / f"texts/{split}.parquet")["label_names"] == ["sea", "sky", "soil"]
        assert columns(toy / f"logits/bert/{split}.parquet") == ["id", "logits"]
    for folder in ("generators/tiny", "teachers/bert"):
        assert {"config.json", "model.safetensors", "tokenizer.json"} <= {f.name for f in (toy / folder).iterdir()}
    for pool, shards in (("full", 2), ("cool", 1)):
        names = [f"shard-{i:05d}.parquet" for i in range(shards)]
        assert sorted(f.name for f in (toy / "synthetic/tiny" / pool).iterdir()) == names
        for name in names:
            assert columns(toy / "synthetic/tiny" / pool / name) == ["row", "text", "n_tokens", "finish"]
            assert columns(toy / "logits/bert/tiny" / pool / name) == ["row", "logits"]
    logits = pq.read_schema(toy / "logits/bert/test.parquet").field("logits").type
    assert str(logits.value_type) == "float"
    runs = {f.parent.relative_to(toy / "students").as_posix() for f in toy.glob("students/**/model.safetensors")}
    assert len(runs) == 12
    for pool, count in (("full", 8), ("cool", 4)):
        folder = toy / "quality/tiny" / pool
        assert {"quality.json", "rows.parquet", "samples.html"} < {f.name for f in folder.iterdir()}
        assert columns(folder / f"repeats/n{count}.parquet")[:3] == ["row", "duplicate_of", "near_duplicate_of"]
    assert {"kim/scratch/default/n0/seed0", "res/dist/bert.default/n0/seed0"} < runs
    assert {f"kim/synthetic/bert.tiny.full.default/n{n}/seed0" for n in (4, 8)} < runs
    assert {f"kim/{regime}/bert.tiny.full.default/n8/seed0" for regime in ("gendist", "hard")} < runs
    assert "kim/synthetic/bert.tiny.cool.default/n4/seed0" in runs
    for run in runs:
        assert columns(toy / "students" / run / "predictions.parquet") == ["id", "label", "predicted", "logits"]
        assert (toy / "students" / run / "metrics.json").is_file()


def test_the_tidy_table_has_one_row_per_run(finished: Checkout):
    table = pq.read_table(finished.folder / "results/metrics.parquet")
    contract = "dataset system student regime generator sampling teacher n_real n_synthetic seed "
    contract += "n_parameters accuracy macro_f1 nll ece train_seconds"
    assert set(contract.split()) <= set(table.column_names)
    rows = table.to_pylist()
    assert len(rows) == 12 + 3
    assert len({(r["dataset"], r["system"], r["variant"], r["n_synthetic"], r["seed"]) for r in rows}) == len(rows)
    assert {r["system"] for r in rows} == {*PAPER_SYSTEMS, "kim+synthetic", "kim+hard"}
    assert all(0 <= r["accuracy"] <= 1 and r["train_seconds"] >= 0 for r in rows)
    one = next(r for r in rows if r["system"] == "kim+gendist")
    shown = {name: one[name] for name in ("student", "regime", "generator", "sampling", "teacher")}
    assert shown == {
        "student": "kim",
        "regime": "gendist",
        "generator": "tiny",
        "sampling": "full",
        "teacher": "bert",
    }
    assert (one["n_real"], one["n_synthetic"], one["seed"]) == (18, 8, 0)


def test_every_table_and_figure_is_there(finished: Checkout):
    results = finished.folder / "results"
    names = ("table2", "table3", "table4", "gains", "memorisation", "costs")
    expected = {"table1.csv", "table1.md", "table1.tex"} | {
        f"{name}.{kind}" for name in (*names, "quality") for kind in ("csv", "md")
    }
    assert expected <= {f.name for f in (results / "tables").iterdir()}
    figures = {f"{n}.{kind}" for n in ("figure2", "sampling", "quality") for kind in ("svg", "png", "csv", "parquet")}
    figures |= {f"tradeoff.{kind}" for kind in ("svg", "png", "csv")}
    assert figures == {f.name for f in (results / "figures").iterdir() if f.is_file()}
    details = {f"{name}.{kind}" for name in ("confusion", "per_class", "reliability") for kind in ("svg", "png", "csv")}
    assert details == {f.name for f in (results / "figures/toy").iterdir()}
    assert (results / "tables/toy/errors.csv").is_file()
    for table in ("table1", "costs"):
        with (results / f"tables/{table}.csv").open() as stream:
            assert [row["system"] for row in csv.DictReader(stream)] == list(PAPER_SYSTEMS)


def test_the_report_shows_the_study_and_is_one_file(finished: Checkout):
    page = (finished.folder / "results/report.html").read_text()
    assert "kim+gendist" in page and "<script" not in page
    assert re.findall(r"<h2>(.*)</h2>", page) == ["toy", "The study"]


def test_everything_says_what_made_it(finished: Checkout):
    results = finished.folder / "results"
    parquet = list(results.rglob("*.parquet"))
    assert len(parquet) > 20
    assert [p for p in parquet if PROVENANCE_KEY not in read_metadata(p)] == []
    weights = list(results.rglob("model.safetensors"))
    silent = []
    for path in weights:
        with safe_open(path, "np") as file:
            if PROVENANCE_KEY not in (file.metadata() or {}) and not (path.parent / "gendist.json").is_file():
                silent.append(path)
    assert len(weights) == 2 + 12
    assert silent == []


def test_nothing_says_where_the_checkout_lies(finished: Checkout):
    place = str(finished.folder.parent).encode()
    files = [f for f in (finished.folder / "results").rglob("*") if f.is_file() and "logs" not in f.parts]
    assert [f for f in files if place in f.read_bytes()] == []


def test_the_study_named_on_the_command_line_stands_alone(finished: Checkout):
    written = finished.folder / "results/run_config.yaml"
    assert load_study(written) == study_from(STUDY)
    assert list(yaml.safe_load(written.read_text())["datasets"]) == ["toy"]
    assert finished.planned("results/run_config.yaml") == {}


# --- mistakes ---


ROWS = "text,label\n" + "a wave,sea\na wing,sky\n" * 6


@pytest.mark.parametrize(
    ("study", "message"),
    [
        ({**STUDY, "seedz": 3}, "study.yaml: unknown key 'seedz' (did you mean 'seeds'?); accepted here: datasets,"),
        (entry("samplings", "full", top_p="half"), "study.yaml: key 'samplings.full.top_p' is 'half'"),
        (changed(systems=["bert"]), "study.yaml: system 'bert' is unknown; accepted: tfidf-svm"),
        (
            entry("datasets", "toy", train="toy/none.csv"),
            "toy/none.csv: no such file (key 'datasets.toy.train')",
        ),
        (
            entry("students", "kim", embeddings="toy/none"),
            "toy/none/tokenizer.json: no such file (key 'students.kim.embeddings')",
        ),
    ],
    ids=["unknown key", "wrong type", "unknown system", "missing data", "missing embeddings"],
)
def test_a_bad_config_ends_in_one_line(own: Checkout, study: dict[str, Any], message: str):
    result = own.snakemake("--cores", "1", "--configfile", own.write(study))
    assert result.returncode != 0
    _, *lines = result.stdout.splitlines()  # the first names the profile
    assert len(lines) == 1, result.stdout
    assert lines[0].removeprefix("error: ").removeprefix(f"{own.folder}/").startswith(message)
    assert not (own.folder / "results").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("body,label\na wave,sea\n", "toy/train.csv: no column 'text' (has body, label)"),
        (ROWS + " ,sea\n", "toy/train.csv, line 14: empty text (column text)"),
        (ROWS + "a root,soil\n", "toy/train.csv: label 'soil' has 1 row(s); every class needs at least 2"),
        (
            ROWS + "a root,soil\na worm,soil\n",
            "toy/train.csv: label 'soil' has 2 rows, fewer than train_per_class = 6; lower it",
        ),
    ],
    ids=["missing column", "empty text", "label seen once", "too few rows"],
)
def test_bad_data_end_in_one_line_before_anything_runs(own: Checkout, text: str, message: str):
    (own.folder / "toy/train.csv").write_text(text)
    result = own.snakemake("--cores", "2", "--configfile", own.write(STUDY))
    assert result.returncode != 0
    _, *lines = result.stdout.splitlines()  # the first names the profile
    assert len(lines) == 1 and lines[0].startswith(f"error: {message}"), result.stdout
    assert not (own.folder / "results").exists()


def test_a_large_file_is_checked_by_the_job(own: Checkout):
    data = own.folder / "gendist/launcher/data_checks.py"
    data.write_text(data.read_text().replace("CHECKED = 2**24", "CHECKED = 100"))
    (own.folder / "toy/train.csv").write_text(ROWS + " ,sea\n")
    result = own.snakemake("--cores", "2", "--configfile", own.write(STUDY))
    said = [line for line in result.stdout.splitlines() if line.startswith("[toy texts] error: ")]
    assert len(said) == 1 and said[0].startswith("[toy texts] error: toy/train.csv, line 14: empty text"), result.stdout
    assert "Traceback" not in result.stdout
    files = [f.relative_to(own.folder / "results") for f in (own.folder / "results").rglob("*") if f.is_file()]
    assert [f for f in files if f.parts[0] != "logs"] == [Path("run_config.yaml")]
    (own.folder / "toy/train.csv").write_text("body,label\n" + ROWS.partition("\n")[2])
    result = own.snakemake("--dry-run", "--cores", "2", "--configfile", own.write(STUDY))
    assert result.stdout.splitlines()[-1] == "error: toy/train.csv: no column 'text' (has body, label)"


# --- the studies of the checkout ---


def test_the_paper_study_plans_without_network(bare: Checkout):
    jobs = bare.planned("configs/paper.yaml")
    assert jobs["prepare_texts"] == jobs["finetune_generator"] == jobs["finetune_teacher"] == 3
    # 13,600 + 25,000 + 25,000 rows of the full distribution, 5,000 of each of the other three, in jobs of ten
    # shards of 500
    assert jobs["generate_shards"] == 3 + 5 + 5 + 3 * 3 * 1
    assert jobs["score_shards"] == jobs["generate_shards"] and "generate_shard" not in jobs
    assert jobs["fetch_bpemb"] == 1
    # 8 rows of Table 1 and kim+hard; 6 or 7 points of Figure 2; 4 samplings of which one is such a point
    assert jobs["distil_seeds"] == 3 * 9 + 6 + 6 + 6 + 3 * 4 - 3  # of five seeds each
    assert "distil_student" not in jobs


def test_six_lines_plan_all_systems_with_the_embedded_models(bare: Checkout):
    six = {"train": "toy/train.csv", "test": "toy/test.csv", "text": "text", "label": "label", "train_per_class": 6}
    jobs = bare.planned({"datasets": {"reviews": {**six, "synthetic": 5000}}})
    assert jobs["unpack_pocket"] == jobs["finetune_generator"] == jobs["finetune_teacher"] == 1
    assert jobs["generate_shard"] == 10 + 2 * 2
    assert {"fit_tfidf_svm", "fit_fasttext", *TABLES, *SAMPLES} < set(jobs)


def cpu_seconds() -> float:
    """CPU time of all finished child processes, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.slow
def test_the_tiny_study_and_its_workflow_report_with_the_embedded_models(own: Checkout):
    shutil.copytree(ROOT / "data", own.folder / "data")
    began = cpu_seconds()
    study = ["--cores", "2", "--configfile", "configs/tiny.yaml"]
    result = own.snakemake(*study)
    assert result.returncode == 0, result.stdout
    assert own.planned("configs/tiny.yaml") == {}
    assert "finetune the teacher" in (own.folder / "results/tiny/report.html").read_text()
    result = own.snakemake(*study, "--report", "results/tiny/workflow.html")
    assert result.returncode == 0, result.stdout
    # Five minutes of two slow cores; by the clock, other work on the machine would count too.
    assert cpu_seconds() - began < 2 * 300
    page = (own.folder / "results/tiny/workflow.html").read_text()
    assert re.search("table1.md", page) and re.search("figure2.svg", page)
