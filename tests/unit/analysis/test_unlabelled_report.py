"""Tables and figures that weigh unlabelled rows against generated ones."""

from pathlib import Path
from typing import Any

import pytest
from report_fixtures import MAIN, read_csv, run, write_metrics

from gendist.analysis.metrics_table import hash_scores, read_runs, select_runs
from gendist.analysis.report.compare_studies import compare_studies, read_studies
from gendist.analysis.report.gains_table import write_gains
from gendist.analysis.report.rows_figure import draw_rows, equivalent_rows
from gendist.analysis.report.table1 import write_table1
from gendist.analysis.report_page.page_charts import rows_chart
from gendist.analysis.report_page.page_summary import best_student, summary_sentence
from gendist.analysis.report_page.page_tables import gains_table
from gendist.errors import GendistError


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


def test_gains_include_the_unlabelled_regimes(tmp_path: Path):
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
