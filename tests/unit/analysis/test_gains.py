import numpy as np
import pytest
from report_fixtures import MAIN, read_csv, run, write_metrics
from scipy.stats import ttest_rel

from gendist.analysis.report.gains_table import write_gains
from gendist.analysis.report.paired_test import PairedTest, paired_t_test
from gendist.config.study import Study
from gendist.config.study_plan import named_variants
from gendist.errors import GendistError

VARIANTS = {"teacher": ["bert"], "generator": ["conditional", "unused"], "training": ["paper"]}
SCRATCH, DIST, GENDIST = (0.60, 0.62, 0.61), (0.63, 0.64, 0.65), (0.66, 0.68, 0.69)


def gains(folder, rows, counts, students=("kim", "res"), variants=VARIANTS):
    metrics = write_metrics(folder / "metrics.parquet", rows)
    write_gains(
        metrics,
        students=students,
        counts=counts,
        main=MAIN,
        variants=variants,
        out_csv=folder / "gains.csv",
        out_md=folder / "gains.md",
    )
    return read_csv(folder / "gains.csv"), (folder / "gains.md").read_text()


def of_kim(dataset="da_ta"):
    rows = [run(dataset, "teacher", 0.80)]
    for seed, values in enumerate(zip(SCRATCH, DIST, GENDIST, strict=True)):
        rows += [run(dataset, system, v, seed) for system, v in zip(("kim", "kim+dist"), values[:2], strict=True)]
        rows.append(run(dataset, "kim+gendist", values[2], seed, 500))
        rows.append(run(dataset, "kim+gendist", 0.1, seed, 100))  # another count
        rows.append(run(dataset, "kim+gendist", 0.1, seed, 500, sampling="cool"))
    return rows


def test_accuracies_differences_and_share(tmp_path):
    (row,), markdown = gains(tmp_path, of_kim(), {"da_ta": 500})
    assert (row["dataset"], row["student"], row["variant"], row["n_synthetic"]) == ("da_ta", "kim", "main", "500")
    assert (row["teacher"], row["teacher sd"], row["teacher runs"]) == ("80.0", "", "1")
    for system, values in (("scratch", SCRATCH), ("dist", DIST), ("gendist", GENDIST)):
        assert float(row[system]) == pytest.approx(np.mean(values) * 100, abs=1e-4)
        assert float(row[f"{system} sd"]) == pytest.approx(np.std(values, ddof=1) * 100, abs=1e-4)
        assert row[f"{system} runs"] == "3"
    for name, first, second in (("dist - scratch", SCRATCH, DIST), ("gendist - dist", DIST, GENDIST)):
        test = ttest_rel(second, first)
        assert float(row[f"{name} difference"]) == pytest.approx((np.mean(second) - np.mean(first)) * 100, abs=1e-4)
        assert float(row[f"{name} t"]) == pytest.approx(test.statistic, abs=1e-4)
        assert float(row[f"{name} p"]) == pytest.approx(test.pvalue, rel=1e-3)
        assert row[f"{name} pairs"] == "3"
    assert float(row["gendist share of teacher"]) == pytest.approx(np.mean(GENDIST) / 0.80 * 100, abs=1e-4)
    assert (
        "da\\_ta" in markdown and " 61.0 ± 1.0 |" in markdown and "+3.0 (p = 0.0" in markdown and "84.6 |" in markdown
    )
    assert "3 seeds" in markdown and "Variant names" not in markdown


def test_a_variant_is_held_against_its_own_teacher_and_training(tmp_path):
    rows = of_kim()
    for seed in range(2):
        rows.append(run("da_ta", "kim+gendist", 0.70 + seed / 50, seed, 500, generator="conditional"))
        rows.append(run("da_ta", "kim+gendist", 0.50, seed, 500, training="paper"))
        rows.append(run("da_ta", "kim+gendist", 0.45, seed, 500, teacher="bert"))
    rows.append(run("da_ta", "teacher", 0.90, teacher="bert"))
    table, markdown = gains(tmp_path, rows, {"da_ta": 500})
    by_name = {row["variant"]: row for row in table}
    assert list(by_name) == ["main", "teacher bert", "generator conditional", "training paper"]
    assert float(by_name["main"]["gendist"]) == pytest.approx(np.mean(GENDIST) * 100, abs=1e-4)
    teacher, generator, training = (by_name[name] for name in list(by_name)[1:])
    # No generated row has a part in dist, so another generator's gendist stands beside the main one's.
    assert float(generator["dist"]) == pytest.approx(64) and float(generator["gendist"]) == pytest.approx(71)
    assert float(generator["gendist - dist difference"]) == pytest.approx(7.5)
    assert generator["gendist - dist pairs"] == "2" and float(generator["gendist share of teacher"]) == 88.75
    # The other teacher has its own accuracy, and no dist; training from scratch knows no teacher.
    assert teacher["teacher"] == "90.0" and float(teacher["gendist share of teacher"]) == pytest.approx(50)
    assert float(teacher["scratch"]) == pytest.approx(61) and teacher["dist"] == "" and teacher["dist runs"] == "0"
    assert teacher["gendist - dist difference"] == "" and teacher["gendist - dist pairs"] == "0"
    # The other training has neither.
    assert training["scratch"] == training["dist"] == "" and training["teacher"] == "80.0"
    assert float(training["gendist share of teacher"]) == pytest.approx(62.5)
    assert "generator conditional" in markdown and "Variant names" in markdown and "2 to 3 seeds" in markdown


def test_missing_systems_leave_cells_empty(tmp_path):
    rows = [run("a", "kim+dist", 0.5, 0), run("a", "res", 0.4, 0), run("b", "teacher", 0.9), run("b", "kim+hard", 0.9)]
    table, markdown = gains(tmp_path, rows, {"a": 9, "b": 9})
    assert [(row["dataset"], row["student"]) for row in table] == [("a", "kim"), ("a", "res")]
    assert table[0]["dist"] == "50.0" and table[0]["dist sd"] == ""
    for name in ("teacher", "scratch", "gendist", "dist - scratch difference", "gendist share of teacher"):
        assert table[0][name] == ""
    assert markdown.splitlines()[-1].split("|")[5].strip() == "-"
    with pytest.raises(GendistError, match="no run of kim, res on b"):
        gains(tmp_path, rows, {"b": 9})


def test_pairs_are_common_seeds():
    first = [run("a", "kim", value, seed) for seed, value in ((0, 0.5), (1, 0.6), (2, 0.9))]
    second = [run("a", "kim+dist", value, seed) for seed, value in ((2, 0.8), (1, 0.7), (5, 0.1))]
    found = paired_t_test(first, second)
    assert found.pairs == 2 and found.difference == pytest.approx(0) and found.p == pytest.approx(1)
    assert paired_t_test(first, second[2:]) == PairedTest(0)
    assert paired_t_test(first, second[:1]) == PairedTest(1, pytest.approx(-10))
    equal = [run("a", "kim+dist", r["accuracy"] + 0.05, r["seed"]) for r in first]
    assert paired_t_test(first, equal) == PairedTest(3, pytest.approx(5))


def test_named_variants_are_the_entries_after_the_first():
    dataset = {"train": "a.csv", "test": "b.csv"}
    study = Study(datasets={"a": dataset}, trainings={"default": {}, "paper": {}, "long": {}})
    assert named_variants(study) == {"teacher": [], "generator": [], "training": ["paper", "long"]}
