"""``gendist status``: what a study has, what would run, and why, in plain words."""

from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from workflow_fixtures import STUDY, Checkout, changed, entry, gendist

from gendist.launcher.events import setting_changes
from gendist.launcher.study_state import Job
from gendist.launcher.study_status import reason_lines


def status(checkout: Checkout, study: dict[str, Any]) -> list[str]:
    """The lines that the command prints, without their indent."""
    result = gendist(checkout, "status", checkout.write(study, "asked.yaml"))
    assert result.returncode == 0, result.stdout
    return [line.strip() for line in result.stdout.splitlines()]


@pytest.fixture
def done(finished: Checkout, tmp_path: Path) -> Checkout:
    return finished.copy(tmp_path / "checkout")


def test_a_finished_study_is_up_to_date(finished: Checkout):
    lines = status(finished, STUDY)
    assert lines[0] == "asked.yaml: 53 of 53 jobs done, results in results/"
    assert ["students", "12", "of", "12"] in [line.split() for line in lines]
    assert lines[-1] == "Everything is up to date."


def test_a_changed_setting_is_named_with_both_values(finished: Checkout):
    lines = status(finished, entry("trainings", "default", token_dropout=0.1, epochs=2))
    assert "12 students jobs: settings changed: training.epochs 1 → 2, training.token_dropout 0.2 → 0.1" in lines
    assert ["synthetic", "3", "of", "3"] in [line.split() for line in lines]
    assert ["students", "0", "of", "12"] in [line.split() for line in lines]
    assert any(line.startswith("gendist run asked.yaml would run ") for line in lines)
    assert any(line.endswith(": follows from the jobs before it") and " report jobs" in line for line in lines)


def test_new_jobs_and_missing_outputs_are_different_reasons(done: Checkout):
    (done.folder / "results/tables/table1.md").unlink()
    (done.folder / "gendist/stages/students/loss.py").touch()  # newer than the tables, yet no reason of anything new
    lines = status(done, changed(seeds=2))
    assert "12 students jobs: not made yet" in lines, lines
    assert any(line.startswith("1 report job (table1): output is missing") for line in lines), lines


def test_interrupted_and_requested_jobs_are_different_reasons(done: Checkout):
    table = "results/tables/table1.md"
    marks = done.folder / ".snakemake/incomplete"
    marks.mkdir(exist_ok=True)
    (marks / b64encode(table.encode()).decode()).touch()  # as Snakemake does while a job writes the file
    assert "1 report job (table1): was interrupted while it was written" in status(done, STUDY)
    (marks / b64encode(table.encode()).decode()).unlink()
    forced = gendist(done, "run", "asked.yaml", "--dry-run", "--", "--forcerun", "write_table2").stdout.splitlines()
    assert "  1 report job (table2): requested on the command line" in forced


def test_changed_code_and_data_are_named(done: Checkout):
    module = done.folder / "gendist/stages/students/train_student.py"
    module.write_text(module.read_text() + "# edited\n")
    lines = status(done, STUDY)
    assert "12 students jobs: code changed: distil_student" in lines
    assert ["logits", "5", "of", "5"] in [line.split() for line in lines]
    data = done.folder / "toy/train.csv"
    data.write_text(data.read_text() + "a wave and a tide,sea\n")
    lines = status(done, STUDY)
    assert "1 texts job (toy/texts): input changed: toy/train.csv" in lines


def test_a_dry_run_says_the_same_and_runs_nothing(finished: Checkout):
    study = entry("trainings", "default", epochs=3)
    asked = finished.write(study, "asked.yaml")
    assert gendist(finished, "run", asked, "--dry-run").stdout == gendist(finished, "status", asked).stdout


# --- words ---


@pytest.mark.parametrize(
    ("before", "params", "expected"),
    [
        ({"{'a': 1, 'b': 2}"}, {"x": {"a": 1, "b": 3}}, ["x.b 2 → 3"]),
        ({"{'a': {'c': 1}, 'b': 2}"}, {"x": {"a": {"c": 5}, "b": 2}}, ["x.a.c 1 → 5"]),
        ({"{'a': 1}"}, {"x": {"a": 1, "new": 0}}, ["x.new (none) → 0"]),
        ({"{'a': 1, 'old': 0}"}, {"x": {"a": 1}}, ["x.old 0 → (none)"]),
        ({"500"}, {"rows": 250}, ["rows 500 → 250"]),
        (
            {"{'epochs': 1, 'rate': 2}", "{'filters': 4}"},
            {"student": {"filters": 5}, "training": {"epochs": 2, "rate": 2}},
            ["training.epochs 1 → 2", "student.filters 4 → 5"],
        ),
        ({"'a'"}, {}, ["one was removed"]),
    ],
)
def test_differences_of_settings(before: set[str], params: dict[str, Any], expected: list[str]):
    assert setting_changes(before, {repr(value) for value in params.values()}, params) == expected


def test_jobs_are_grouped_by_stage_and_reason():
    def job(number: int, stage: str, *reasons: str) -> Job:
        return Job(number, "rule", stage, ["out"], [f"results/logs/toy/{stage}/{number}.log"], True, list(reasons))

    follows = "follows from the jobs before it"
    jobs = [job(1, "students", "not made yet"), job(2, "students", "not made yet"), job(3, "students", follows)]
    jobs += [job(4, "texts", "input changed: a.csv"), job(5, "report", follows), job(6, "report", follows)]
    assert reason_lines(jobs) == [
        "1 texts job (toy/texts/4): input changed: a.csv",
        "2 students jobs: not made yet",
        f"1 students job (toy/students/3), 2 report jobs: {follows}",
    ]
