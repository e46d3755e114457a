"""``gendist compare``: studies side by side."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from report_fixtures import read_csv, run, write_metrics
from scipy.stats import ttest_rel
from typer.testing import CliRunner, Result

from gendist.analysis.report.compare_studies import compare_studies, read_studies
from gendist.cli.app import app
from gendist.errors import GendistError

BEFORE = [0.60, 0.62, 0.64]
AFTER = [0.65, 0.66, 0.71]


def study(folder: Path, rows: list[dict[str, Any]]) -> Path:
    folder.mkdir(parents=True)
    write_metrics(folder / "metrics.parquet", rows)
    return folder


@pytest.fixture
def before(tmp_path: Path) -> Path:
    rows = [run("news", "kim+gendist", value, seed, 1000) for seed, value in enumerate(BEFORE)]
    rows += [run("news", "kim+gendist", 0.5, seed, 250) for seed in range(3)]
    return study(tmp_path / "before", [*rows, run("news", "teacher", 0.8), run("news", "fasttext", 0.4, 7)])


@pytest.fixture
def after(tmp_path: Path) -> Path:
    rows = [run("news", "kim+gendist", value, seed, 5000) for seed, value in enumerate([*AFTER, 0.9])]
    rows += [run("news", "kim+gendist", 0.55, seed, 250) for seed in range(3)]
    return study(tmp_path / "after", [*rows, run("news", "teacher", 0.81), run("more|news", "teacher", 0.9)])


def gendist(*arguments: Any) -> Result:
    return CliRunner().invoke(app, ["compare", *map(str, arguments)])


def test_systems_pair_over_the_seeds_that_both_studies_have(before: Path, after: Path, tmp_path: Path):
    assert gendist(before, after, "-o", tmp_path / "c.csv").exit_code == 0
    rows = read_csv(tmp_path / "c.csv")
    full = next(row for row in rows if row["system"] == "kim+gendist" and row["after synthetic rows"] == "5000")
    assert full["before synthetic rows"] == "1000"
    assert (float(full["before"]), float(full["before sd"]), full["before runs"]) == (62.0, 2.0, "3")
    assert (full["after runs"], full["after - before pairs"]) == ("4", "3")
    expected = ttest_rel([100 * v for v in AFTER], [100 * v for v in BEFORE])
    assert float(full["after - before difference"]) == pytest.approx(100 * (sum(AFTER) - sum(BEFORE)) / 3, abs=1e-3)
    assert float(full["after - before p"]) == pytest.approx(expected.pvalue, rel=1e-3)
    small = next(row for row in rows if row["before synthetic rows"] == "250")
    assert (float(small["after - before difference"]), small["after - before p"]) == (5.0, "")


def test_what_changed_most_stands_first_and_what_one_study_lacks_last(before: Path, after: Path):
    lines = [(line.key[0], line.key[1]) for line in compare_studies(read_studies([before, after]))]
    assert lines == [
        ("more|news", "teacher"),
        ("news", "kim+gendist"),
        ("news", "kim+gendist"),
        ("news", "teacher"),
        ("news", "fasttext"),
    ]


def test_three_studies_are_each_compared_with_the_first(before: Path, after: Path, tmp_path: Path):
    third = study(tmp_path / "third", [run("news", "teacher", 0.7)])
    gendist(before, after, third, "-o", tmp_path / "c.md")
    text = (tmp_path / "c.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith("| news") and "| teacher" in line)
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells[4:] == ["80.0", "81.0", "70.0", "+1.0 (n = 1)", "-10.0 (n = 1)"]
    assert "more\\|news" in text


def test_the_terminal_shows_the_table(before: Path, after: Path):
    said = gendist(before, after).output
    assert "+5.3 (p = 0.026, n = 3)" in said and "62.0 ± 2.0" in said and "1,000 / 5,000" in said
    assert "Accuracy on the test rows in percent" in said


def test_macro_f1_can_be_compared(before: Path, tmp_path: Path):
    other = study(tmp_path / "other", [{**run("news", "teacher", 0.8), "macro_f1": 0.5}])
    said = gendist(before, other, "--score", "macro_f1").output
    assert "-30.0 (n = 1)" in said and "Macro F1 on the test rows" in said


def test_a_config_stands_for_its_results(before: Path, after: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    config = {"datasets": {"news": {"train": "a.csv", "test": "b.csv"}}, "results": "before"}
    Path("mine.yaml").write_text(yaml.safe_dump(config))
    assert "after - mine" in gendist("mine.yaml", "after").output


def test_mistakes_end_in_one_line(before: Path, after: Path, tmp_path: Path):
    config = tmp_path / "new.yaml"
    config.write_text(yaml.safe_dump({"datasets": {"news": {"train": "a", "test": "b"}}, "results": "none"}))
    for arguments, message in (
        ([before], "compare needs two or more results folders or configs"),
        ([before, tmp_path], "expected a results folder with metrics.parquet, or a config"),
        ([before, before], "given twice"),
        ([before, config], "none/metrics.parquet does not exist; run the study first: gendist run"),
        ([before, after, "-o", tmp_path / "a.txt"], "unknown file type '.txt'; accepted: .csv, .md"),
    ):
        error = gendist(*arguments).exception
        assert isinstance(error, GendistError) and message in str(error) and "\n" not in str(error)
