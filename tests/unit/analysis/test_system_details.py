"""The files behind the details of one dataset."""

import csv
from pathlib import Path

import numpy as np
import pytest
from study_fixtures import CLASSES, finish, predictions, study_in

from gendist.analysis.report.system_details import read_temperatures, write_details
from gendist.config.study_plan import detailed_runs
from gendist.errors import GendistError


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_details_are_of_the_better_student_over_its_seeds(results: Path):
    per_class = rows_of(results / "figures/news/per_class.csv")
    assert {(row["system"], row["runs"], row["rows"]) for row in per_class} == {("res+gendist", "2", "20")}
    counts = rows_of(results / "figures/news/confusion.csv")
    assert sum(int(v) for row in counts for k, v in row.items() if k != "gold") == 2 * 40
    # seed 0 errs in rows 0, 10, 20, 30 (all of class 0), seed 1 in 1, 11, 21, 31 (of class 1)
    assert [list(row.values())[1:] for row in counts] == [["36", "4"], ["4", "36"]]
    assert float(per_class[0]["recall"]) == pytest.approx(90)
    assert float(per_class[0]["recall low"]) < 90 < float(per_class[0]["recall high"])
    for name in ("confusion", "per_class", "reliability"):
        for kind in ("svg", "png"):
            assert (results / f"figures/news/{name}.{kind}").stat().st_size > 1000


def test_equal_inputs_give_equal_bytes(results: Path, tmp_path: Path):
    test = results / "news/texts/test.parquet"
    write_details(predictions(results), test, figures=tmp_path / "a", errors=tmp_path / "a/errors.csv")
    for file in (results / "figures/news").iterdir():
        assert (tmp_path / "a" / file.name).read_bytes() == file.read_bytes(), file.name


def test_worst_errors_are_wrong_by_the_mean_of_the_seeds(tmp_path: Path):
    finish(study_in(tmp_path))
    files = {"res+gendist": predictions(tmp_path)["res+gendist"][:1]}
    write_details(files, tmp_path / "news/texts/test.parquet", figures=tmp_path / "f", errors=tmp_path / "errors.csv")
    found = rows_of(tmp_path / "errors.csv")
    assert [int(row["id"]) for row in found] == [10, 20, 30, 40]
    assert {row["gold"] for row in found} == {CLASSES[0]} and {row["predicted"] for row in found} == {CLASSES[1]}
    # logits 0 and 2
    assert float(found[0]["probability"]) == pytest.approx(100 / (1 + np.exp(-2)), abs=1e-3)


def test_an_export_adds_its_temperature(results: Path, tmp_path: Path):
    choice = tmp_path / "news/export/choice.json"
    choice.parent.mkdir(parents=True)
    choice.write_text('{"ranking": [{"system": "res+gendist", "temperature": 0.5}]}')
    temperatures = read_temperatures(choice)
    assert temperatures == {"res+gendist": 0.5}
    test = results / "news/texts/test.parquet"
    write_details(
        predictions(results), test, figures=tmp_path, errors=tmp_path / "errors.csv", temperatures=temperatures
    )
    found = rows_of(tmp_path / "reliability.csv")
    assert list(dict.fromkeys(row["calibration"] for row in found)) == ["as trained", "temperature 0.5"]
    sure = [float(row["confidence"]) for row in found if row["confidence"]]
    assert sure == pytest.approx([100 / (1 + np.exp(-2)), 100 / (1 + np.exp(-4))], abs=1e-3)


@pytest.mark.parametrize("content", ["{", "[]", '{"ranking": 3}', '{"ranking": [{"system": "a"}]}'])
def test_a_damaged_choice_is_refused(tmp_path: Path, content: str):
    choice = tmp_path / "news/export/choice.json"
    choice.parent.mkdir(parents=True)
    choice.write_text(content)
    with pytest.raises(GendistError, match=r"choice\.json: "):
        read_temperatures(choice)


def test_predictions_of_other_rows_are_refused(results: Path):
    with pytest.raises(GendistError, match="its rows are not those of"):
        write_details(
            predictions(results), results / "news/texts/train.parquet", figures=results, errors=results / "errors.csv"
        )


def test_detailed_runs_are_the_main_gendist_runs(tmp_path: Path):
    runs = detailed_runs(study_in(tmp_path))
    assert {(run.student, run.regime, run.n_synthetic, run.seed) for run in runs} == {
        (student, "gendist", 6, seed) for student in ("kim", "res") for seed in (0, 1)
    }
