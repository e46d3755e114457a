"""What reruns what: job counts of dry runs after a finished small study."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from workflow_fixtures import DETAILS, POOL, REPORT, SAMPLES, SCORED, STUDY, TABLES, Checkout, changed, entry

from gendist.config.default_systems import PAPER_SYSTEMS
from gendist.io.json_files import read_json
from gendist.io.provenance import hash_file


@pytest.mark.parametrize(
    ("study", "jobs"),
    [
        pytest.param(STUDY, {}, id="nothing"),
        pytest.param(changed(counts=[2, 4]), {"distil_student": 1, **REPORT}, id="one more count"),
        pytest.param(
            entry("datasets", "toy", synthetic=12),
            # kim+synthetic, kim+hard, kim+gendist and res+gendist with 12 rows
            {"generate_shard": 1, "score_shard": 1, "distil_student": 4, **REPORT, **SAMPLES, **DETAILS},
            id="more rows",
        ),
        pytest.param(
            changed(seeds=2),
            {"distil_student": 12, "fit_fasttext": 1, "write_quality": 1, **REPORT, **DETAILS},
            id="one more seed",
        ),
        pytest.param(
            changed(
                students={"wide": {"embeddings": "toy/subwords", "filters": 6}},
                systems=[*PAPER_SYSTEMS, "wide", "wide+dist", "wide+gendist"],
            ),
            {"distil_student": 3, "measure_student": 1, **REPORT, **DETAILS},
            id="one more student",
        ),
        pytest.param(
            changed(
                students={"wide": {"embeddings": "toy/subwords", "filters": 6, "general_rows": 30}},
                systems=[*PAPER_SYSTEMS, "wide", "wide+dist", "wide+gendist"],
            ),
            {"prepare_general": 1, "score_texts": 1, "distil_student": 3, "measure_student": 1, **REPORT, **DETAILS},
            id="one more student, with general text",
        ),
        pytest.param(
            changed(samplings={"hot": {"temperature": 1.5, "max_tokens": 12}}),
            {"generate_shard": 1, "score_shard": 1, "distil_student": 1, **REPORT, **POOL},
            id="one more sampling",
        ),
        pytest.param(
            changed(teachers={"second": {**STUDY["teachers"]["bert"], "seed": 1}}),
            # its logits of the train and test rows and of two shards; a kim+gendist
            {
                "finetune_teacher": 1,
                "score_texts": 2,
                "score_shard": 2,
                "evaluate_teacher": 1,
                "distil_student": 1,
                **REPORT,
                **SCORED,
            },
            id="one more teacher",
        ),
        pytest.param(
            entry("teachers", "bert", epochs=2),
            # neither generator nor shards, nor the three students from scratch
            {
                "finetune_teacher": 1,
                "score_texts": 2,
                "score_shard": 3,
                "evaluate_teacher": 1,
                "distil_student": 9,
                "measure_teacher": 1,
                **REPORT,
                **DETAILS,
                "write_table3": 1,
                **SCORED,
                "assess_pool": 2,
            },
            id="another teacher",
        ),
        pytest.param(
            entry("trainings", "default", learning_rate=2e-3),
            {"distil_student": 12, "measure_student": 3, "write_quality": 1, **REPORT, **DETAILS},
            id="another training",
        ),
        pytest.param(
            changed(trainings={"distinct": {"epochs": 1, "min_steps": 3, "keep": {"drop_copies": True}}}),
            {"distil_student": 1, **REPORT},  # what repeats what is known from the quality of the pool
            id="one more filter",
        ),
        pytest.param(
            entry("trainings", "default", keep={"min_confidence": 0.1}),
            {"distil_student": 6, "write_quality": 1, **REPORT, **DETAILS},  # those with synthetic rows
            id="another filter",
        ),
        pytest.param(
            entry("students", "blend", dropout=0.2),
            {"distil_student": 2, "measure_student": 1, **REPORT},
            id="another setting of a student",
        ),
        pytest.param(
            entry("samplings", "cool", temperature=0.6),
            {"generate_shard": 1, "score_shard": 1, "distil_student": 1, **REPORT, **POOL},
            id="another setting of a sampling",
        ),
        # Rows do not depend on it; the record of the config is written anew, and the report that shows it.
        pytest.param(
            entry("samplings", "full", batch_size=3),
            {"write_run_config": 1, "write_report": 1},
            id="sampling batch size",
        ),
        pytest.param(changed(device="cpu"), {"write_run_config": 1, "write_report": 1}, id="device"),
        pytest.param(changed(seeds_together=True), {"write_run_config": 1, "write_report": 1}, id="seeds together"),
        pytest.param(
            changed(systems=[s for s in PAPER_SYSTEMS if s != "blend+dist"]),
            REPORT,
            id="one system less: only the report",
        ),
    ],
)
def test_a_changed_config_reruns_only_what_reads_it(finished: Checkout, study: dict[str, Any], jobs: dict[str, int]):
    assert finished.planned(study) == jobs


def backwards(study: Any) -> Any:
    """Reverse the order of keys, at the top and inside entries; that of the entries has a meaning."""
    entries = {name: dict(reversed(value.items())) for name, value in study.items() if isinstance(value, dict)}
    sections = {
        section: {
            name: dict(reversed(value.items())) if isinstance(value, dict) else value
            for name, value in study[section].items()
        }
        for section in entries
    }
    return dict(reversed({**study, **sections}.items()))


def test_the_order_of_keys_reruns_nothing(finished: Checkout):
    study = backwards(STUDY)
    assert study == STUDY and list(study) != list(STUDY)
    assert finished.planned(study) == {}


@pytest.mark.parametrize(
    ("module", "jobs"),
    [
        (
            "stages/students/loss.py",
            {
                "distil_student": 12,
                "measure_student": 3,
                "collect_metrics": 1,
                "write_quality": 1,
                **TABLES,
                **DETAILS,
            },
        ),
        (
            # The teacher's finetuning scores its held-out rows with it.
            "stages/logits/batched_logits.py",
            {
                "finetune_teacher": 1,
                "score_texts": 2,
                "score_shard": 3,
                "evaluate_teacher": 1,
                "distil_student": 9,
                "measure_teacher": 1,
                "measure_baseline": 2,  # some of them run an encoder
                "collect_metrics": 1,
                **TABLES,
                **DETAILS,
                "write_table3": 1,
                **SCORED,
                "assess_pool": 2,
            },
        ),
        (
            "stages/synthetic/gumbel_sampler.py",
            {
                "generate_shard": 3,
                "score_shard": 3,
                "distil_student": 6,
                "collect_metrics": 1,
                **TABLES,
                **SAMPLES,
                **DETAILS,
                "find_repeats": 2,
                "assess_pool": 2,
            },
        ),
        ("stages/baselines/fasttext.py", {"fit_fasttext": 1, "measure_baseline": 2, "collect_metrics": 1, **TABLES}),
        ("analysis/report/table2.py", {"write_table2": 1, "write_report": 1}),
        ("analysis/report_page/stage_costs.py", {"write_report": 1}),
        (
            "analysis/quality/samples_page.py",
            {"assess_pool": 2, "write_quality": 1, "draw_quality": 1, "write_report": 1},
        ),
        ("cli/run.py", {}),
    ],
)
def test_an_edited_module_reruns_its_stage_and_what_follows(finished: Checkout, module: str, jobs: dict[str, int]):
    file = finished.folder / "gendist" / module
    before = file.read_bytes()
    file.write_bytes(before + b"\nEDITED = True\n")
    try:
        assert finished.planned(STUDY) == jobs
    finally:
        file.write_bytes(before)


def test_an_edited_script_reruns_its_rule(finished: Checkout):
    file = finished.folder / "workflow_scripts/write_table4.py"
    before = file.read_bytes()
    file.write_bytes(before + b"\nEDITED = True\n")
    try:
        assert finished.planned(STUDY) == {"write_table4": 1, "write_report": 1}
    finally:
        file.write_bytes(before)


@pytest.mark.parametrize(
    "touched",
    ["gendist", "workflow_scripts", "rules", "toy", "results", "."],
)
def test_touched_files_rerun_nothing(finished: Checkout, touched: str):
    files = [f for f in (finished.folder / touched).rglob("*") if f.is_file() and ".snakemake" not in f.parts]
    # Sources younger than what was made of them, one after the other.
    for file in sorted(files, reverse=True):
        file.touch()
    assert finished.planned(STUDY) == {}


def test_a_moved_checkout_reruns_nothing(finished: Checkout, tmp_path: Path):
    assert finished.copy(tmp_path / "elsewhere", keep_times=False).planned(STUDY) == {}


def test_a_student_and_a_sampling_are_added_by_config_alone(finished: Checkout, tmp_path: Path):
    checkout = finished.copy(tmp_path / "checkout")
    results = checkout.folder / "results"
    before = {
        f: (f.stat().st_mtime_ns, hash_file(f)) for f in results.rglob("*") if f.suffix in (".safetensors", ".parquet")
    }
    study = changed(
        students={"wide": {"embeddings": "toy/subwords", "filters": 6}},
        systems=[*PAPER_SYSTEMS, "wide"],
        samplings={"hot": {"temperature": 1.5, "max_tokens": 12}},
    )
    checkout.run(study, "results/metrics.parquet", "results/tables/table1.csv")
    rows = pq.read_table(results / "metrics.parquet").to_pylist()
    assert [r["n_parameters"] for r in rows if r["system"] == "wide"] != []
    assert [r["system"] for r in rows if r["sampling"] == "hot"] == ["kim+synthetic"]
    assert "\nwide," in (results / "tables/table1.csv").read_text()
    redone = {f for f, state in before.items() if (f.stat().st_mtime_ns, hash_file(f)) != state}
    assert redone == {results / "metrics.parquet"}


def test_general_text_is_scored_and_trained_on_where_a_student_asks_for_it(finished: Checkout, tmp_path: Path):
    checkout = finished.copy(tmp_path / "checkout")
    toy = checkout.folder / "results/toy"
    study = changed(
        students={"wide": {"embeddings": "toy/subwords", "filters": 6, "general_rows": 30}},
        systems=[*PAPER_SYSTEMS, "wide", "wide+dist", "wide+gendist"],
    )
    checkout.run(study, "results/metrics.parquet")
    texts, logits = (pq.read_table(toy / name) for name in ("texts/general.parquet", "logits/bert/general.parquet"))
    assert texts["id"].to_pylist() == logits["id"].to_pylist() == list(range(30))
    trained = {file.parts[-5]: read_json(file)["trained_on"] for file in toy.glob("students/wide/*/*/*/*/student.json")}
    assert trained["gendist"]["general"] == 30 and trained["gendist"]["synthetic"] == 7  # of 8, one is empty
    assert "general" not in trained["scratch"] and "general" not in trained["dist"]
    # Fewer rows: the same texts again, fewer of them scored.
    study["students"]["wide"]["general_rows"] = 20
    planned = checkout.planned(study)
    assert (planned["prepare_general"], planned["score_texts"], planned["distil_student"]) == (1, 1, 3)


def test_runs_are_tracked_only_where_the_config_says_so(finished: Checkout):
    tracked = finished.planned({**STUDY, "tracking": {"mlflow": "runs"}})
    assert tracked == {"write_run_config": 1, "write_report": 1, "track_runs": 1}
