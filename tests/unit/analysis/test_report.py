import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from report_fixtures import MAIN, read_csv, run, write_metrics
from scipy.stats import ttest_rel

from gendist.analysis.generated_rows import GeneratedPool
from gendist.analysis.metrics_table import Summary, summarise
from gendist.analysis.report import paper_results
from gendist.analysis.report.figure2 import draw_figure2
from gendist.analysis.report.sampling_figure import draw_sampling
from gendist.analysis.report.table1 import write_table1
from gendist.analysis.report.table2 import write_table2
from gendist.analysis.report.table3 import write_table3
from gendist.analysis.report.table4 import write_table4
from gendist.errors import GendistError
from gendist.io import escape
from gendist.io.parquet import read_metadata, write_parquet
from gendist.io.provenance import Provenance

SYSTEMS = ["tfidf-svm", "fasttext", "teacher", "kim", "kim+dist", "kim+gendist"]


@pytest.fixture
def metrics(tmp_path):
    rows = []
    for dataset, base in (("ag_news", 0.80), ("own_data", 0.60)):
        rows += [run(dataset, "tfidf-svm", base - 0.05, None, parameters=4321), run(dataset, "teacher", base + 0.1)]
        for seed in range(3):
            rows.append(run(dataset, "kim", base + seed / 100, seed, parameters=1124514))
            rows.append(run(dataset, "kim+dist", base + 0.02 + seed / 100, seed, parameters=1124514))
            for sampling, bonus in (("full", 0.04), ("cool", 0.03)):
                for count in (500, 2000):
                    accuracy = base + bonus + count / 1e5 + seed / 100
                    rows.append(run(dataset, "kim+gendist", accuracy, seed, count, sampling, parameters=1124514))
            rows.append(run(dataset, "kim+hard", base + 0.03 + (seed % 2) / 50, seed, 2000))
            for count in (500, 1000, 2000):
                rows.append(run(dataset, "kim+synthetic", base - 0.05 + count / 5e4 + seed / 200, seed, count))
        rows.append(run(dataset, "kim+gendist", 0.01, 0, 2000, training="long"))
    return write_metrics(tmp_path / "metrics.parquet", rows)


def table1(metrics, folder, counts, systems=SYSTEMS):
    outs = [folder / f"table1.{kind}" for kind in ("csv", "md", "tex")]
    write_table1(metrics, systems=systems, counts=counts, main=MAIN, out_csv=outs[0], out_md=outs[1], out_tex=outs[2])
    return read_csv(outs[0]), outs[1].read_text(), outs[2].read_text()


def test_summary_in_percent():
    summary = summarise([{"accuracy": 0.5}, {"accuracy": 0.52}, {"accuracy": 0.54}])
    assert summary == Summary(3, pytest.approx(52), pytest.approx(2))
    assert summary.error == pytest.approx(2 / 3**0.5)
    assert summarise([{"accuracy": 0.5}]) == Summary(1, 50.0, None)
    assert summarise([]) is None


def test_table1(metrics, tmp_path):
    rows, markdown, latex = table1(metrics, tmp_path, {"ag_news": 2000, "own_data": 500, "absent": 7})
    assert [row["system"] for row in rows] == ["tfidf-svm", "teacher", "kim", "kim+dist", "kim+gendist"]
    best = rows[-1]
    # 0.80 + 0.04 + 0.02 + (0, 0.01, 0.02); the other training, sampling and count are not in it.
    assert float(best["ag_news accuracy"]) == pytest.approx(87.0) and float(best["ag_news sd"]) == pytest.approx(1.0)
    assert float(best["own_data accuracy"]) == pytest.approx(65.5)
    assert best["ag_news runs"] == "3" and best["ag_news parameters"] == "1124514"
    assert rows[0]["ag_news sd"] == "" and rows[0]["ag_news runs"] == "1"
    assert best["PAPER (ag_news)"] == "89.9" and best["PAPER parameters (1000s)"] == "1124"
    assert "PAPER (own_data)" not in best and not any("absent" in name for name in best)
    assert (
        " 87.0 ± 1.0 |    3 |  1,124,514 |" in markdown
        and " 75.0 |    1 |      4,321 |" in markdown
        and "1,124,514" in markdown
    )
    assert "PAPER (ag\\_news)" in markdown and "2,000 (ag\\_news), 500 (own\\_data)" in markdown
    assert r"87.0 $\pm$ 1.0 & 3 & 1,124,514 & 89.9 & 65.5" in latex and r"ag\_news" in latex
    widths = {len(line) for line in markdown.splitlines() if line.startswith("|")}
    assert len(widths) == 1


def test_table1_has_no_paper_columns_for_other_data(metrics, tmp_path):
    rows, markdown, latex = table1(metrics, tmp_path, {"own_data": 2000})
    assert not any("PAPER" in name for name in rows[0])
    assert "PAPER" not in markdown and "PAPER" not in latex


def test_table1_without_runs_or_with_differing_sizes(metrics, tmp_path):
    with pytest.raises(GendistError, match="no run of fasttext on ag_news"):
        table1(metrics, tmp_path, {"ag_news": 1}, ["fasttext"])
    twins = [run("d", "kim", 0.5, 0, parameters=1), run("d", "kim", 0.5, 1, parameters=2)]
    with pytest.raises(GendistError, match="differ in n_parameters"):
        table1(write_metrics(tmp_path / "bad.parquet", twins), tmp_path, {"d": 1}, ["kim"])


def test_paper_numbers_stand_as_printed():
    assert paper_results.TABLE1["res+gendist"] == (1091, {"ag_news": 89.8, "dbpedia": 96.0, "yahoo_answers": 65.0})
    assert paper_results.TABLE1["fasttext"].parameters is None
    assert paper_results.TABLE2["yahoo_answers"] == (62.9, 0.22, 64.2, 0.13)


def test_table2(metrics, tmp_path):
    write_table2(
        metrics,
        student="kim",
        counts={"ag_news": 2000, "own_data": 500},
        main=MAIN,
        out_csv=tmp_path / "table2.csv",
        out_md=tmp_path / "table2.md",
    )
    full, partial = read_csv(tmp_path / "table2.csv")
    hard, distilled = np.array([83.0, 85.0, 83.0]), np.array([86.0, 87.0, 88.0])
    test = ttest_rel(distilled, hard)
    assert float(full["hard"]) == pytest.approx(hard.mean(), abs=1e-4)
    assert float(full["hard standard error"]) == pytest.approx(hard.std(ddof=1) / 3**0.5, abs=1e-4)
    assert float(full["difference"]) == pytest.approx(10 / 3, abs=1e-4)
    assert float(full["t"]) == pytest.approx(test.statistic, abs=1e-4)
    assert float(full["p"]) == pytest.approx(test.pvalue, rel=1e-3) and full["pairs"] == "3"
    assert "PAPER hard" not in full
    # At 500 rows nothing was labelled hard.
    assert partial["hard"] == "" and partial["hard runs"] == "0" and partial["p"] == "" and partial["pairs"] == "0"
    markdown = (tmp_path / "table2.md").read_text()
    assert " 83.7 ± 0.67 |" in markdown and "(n = 3)" in markdown and "3 seeds" in markdown


@pytest.mark.parametrize("accuracies", [[(0.6, 0.61)], [(0.6, 0.61), (0.7, 0.71)]])
def test_table2_leaves_the_test_empty_where_there_is_none(tmp_path, accuracies):
    rows = []
    for seed, (hard, distilled) in enumerate(accuracies):
        rows += [
            run("yahoo_answers", "kim+hard", hard, seed, 9),
            run("yahoo_answers", "kim+gendist", distilled, seed, 9),
        ]
    metrics = write_metrics(tmp_path / "metrics.parquet", rows)
    write_table2(
        metrics,
        student="kim",
        counts={"yahoo_answers": 9},
        main=MAIN,
        out_csv=tmp_path / "t.csv",
        out_md=tmp_path / "t.md",
    )
    (row,) = read_csv(tmp_path / "t.csv")
    assert row["p"] == "" and float(row["difference"]) == pytest.approx(1.0)
    assert (row["PAPER hard"], row["PAPER distilled standard error"]) == ("62.9", "0.13")
    markdown = (tmp_path / "t.md").read_text()
    assert "62.9 ± 0.22" in markdown and "PAPER (Kim): hard labels" in markdown
    with pytest.raises(GendistError, match=r"no run of res\+hard"):
        write_table2(
            metrics,
            student="res",
            counts={"yahoo_answers": 9},
            main=MAIN,
            out_csv=tmp_path / "t.csv",
            out_md=tmp_path / "t.md",
        )


def test_escapes():
    evil = "a|b\r\n`c` <script>alert(1)</script> [x](javascript:y) ![i](http://h/p) \\ \u202eabc\x00\x1b[0m www.x.org"
    shown = escape.markdown(evil)
    assert "\n" not in shown and "<" not in shown and "\u202e" not in shown and "\x00" not in shown
    assert "a\\|b \\`c\\` &lt;script&gt;" in shown and "\\[x\\](" in shown and "http&#58;//" in shown
    assert "www&#46;x.org" in shown
    for start in "=+-@\t\r\uff1d":
        assert escape.csv(f"{start}cmd") == f"'{start}cmd"
    assert escape.csv("a=1") == "a=1" and escape.csv("") == ""
    assert escape.latex("50% of a_b & $c ± 1") == r"50\% of a\_b \& \$c $\pm$ 1"
    assert escape.latex("\\input{/x}") == r"\textbackslash{}input\{/x\}"
    assert escape.shorten("one\ntwo  three", 100) == "one two three"
    assert escape.shorten("abcdef", 4) == "abc…"


REAL = ["the boat sails the sea", "a bird in the sky", "the sea and the boat", "worms love the soil"]
MADE = [
    "=cmd|' /C calc'!A0",
    "boat on the sea | <b>x</b>\nnew `line`",
    "",
    'the sky \' s bird ( " blue " ) | kick - off',
    "a red sky",
]


@pytest.fixture
def generated(tmp_path):
    train = tmp_path / "train.parquet"
    table = {
        "id": pa.array([3, 5, 7, 9], pa.int64()),
        "text": REAL,
        "label": pa.array([0, 1, 0, 1], pa.int32()),
    }
    write_parquet(train, pa.table(table), Provenance("texts"), {"label_names": ["wa|ter", "land"]})
    shards, logits = [], []
    for shard, rows in enumerate(([0, 1, 2], [3, 4])):
        texts = [MADE[row] for row in rows]
        made = {
            "row": pa.array(rows, pa.int64()),
            "text": texts,
            "n_tokens": pa.array([len(text) for text in texts], pa.int32()),
            "finish": ["stop" if text else "empty" for text in texts],
        }
        values = [[0.0, np.log(3.0)] for _ in rows]
        scored = {"row": pa.array(rows, pa.int64()), "logits": pa.array(values, pa.list_(pa.float32()))}
        for files, data, name in ((shards, made, "made"), (logits, scored, "logits")):
            files.append(tmp_path / f"{name}-{shard:05d}.parquet")
            write_parquet(files[-1], pa.table(data), Provenance("synthetic"))
    return GeneratedPool(train, shards, logits)


def test_table3(generated, tmp_path):
    write_table3({"toy": generated}, out_csv=tmp_path / "t.csv", out_md=tmp_path / "t.md")
    rows = read_csv(tmp_path / "t.csv")
    assert [row["row"] for row in rows] == ["0", "1", "3", "4"]  # row 2 is empty
    assert rows[0]["text"] == "'" + MADE[0] and rows[1]["text"] == MADE[1]
    assert {row["label"] for row in rows} == {"land"} and {row["probability"] for row in rows} == {"0.75"}
    markdown = (tmp_path / "t.md").read_text()
    assert "boat on the sea \\| &lt;b&gt;x&lt;/b&gt; new \\`line\\`" in markdown and "4 of 4 rows" in markdown
    assert rows[2]["text"] == MADE[3] and 'the sky\'s bird ("blue") \\| kick-off |' in markdown
    assert "shown detokenised" in markdown
    assert all(line.replace("\\|", "").count("|") == 5 for line in markdown.splitlines() if line.startswith("|"))


def test_table3_draws_by_seed_and_respects_the_count(generated, tmp_path):
    drawn = {}
    for seed in range(6):
        write_table3({"toy": generated}, out_csv=tmp_path / "t.csv", out_md=tmp_path / "t.md", k=2, seed=seed)
        drawn[seed] = tuple(row["row"] for row in read_csv(tmp_path / "t.csv"))
        assert len(drawn[seed]) == 2
    assert len(set(drawn.values())) > 1
    first = GeneratedPool(generated.train, generated.shards, generated.logits, rows=2)
    write_table3({"toy": first}, out_csv=tmp_path / "t.csv", out_md=tmp_path / "t.md")
    assert [row["row"] for row in read_csv(tmp_path / "t.csv")] == ["0", "1"]


def test_table3_says_what_is_missing(generated, tmp_path):
    unscored = GeneratedPool(generated.train, generated.shards, generated.logits[:1])
    with pytest.raises(GendistError, match="generated row 3 has no logits"):
        write_table3({"toy": unscored}, out_csv=tmp_path / "t.csv", out_md=tmp_path / "t.md")
    nothing = GeneratedPool(generated.train, generated.shards, generated.logits, rows=0)
    with pytest.raises(GendistError, match="all 0 generated rows are empty"):
        write_table3({"toy": nothing}, out_csv=tmp_path / "t.csv", out_md=tmp_path / "t.md")


def test_table4(generated, tmp_path):
    write_table4({"toy": generated}, out_csv=tmp_path / "t.csv", out_md=tmp_path / "t.md", k=4)
    rows = read_csv(tmp_path / "t.csv")
    assert len(rows) == 4 * 3 and [row["rank"] for row in rows[:3]] == ["1", "2", "3"]
    boat = [row for row in rows if row["row"] == "1"]
    # "boat", "the" and "sea" are all of row 7 but "and"; row 3 has "sails" besides.
    assert {boat[0]["train id"], boat[1]["train id"]} == {"3", "7"} and boat[0]["label"] == "wa|ter"
    values = [float(row["similarity"]) for row in boat]
    assert values == sorted(values, reverse=True) and 0.5 < values[0] <= 1
    bird = next(row for row in rows if row["row"] == "3")
    assert bird["train id"] == "5" and bird["training text"] == REAL[1]
    markdown = (tmp_path / "t.md").read_text()
    assert bird["generated text"] == MADE[3] and 'the sky\'s bird ("blue") \\| kick-off |' in markdown
    assert "shown detokenised" in markdown
    assert "**wa\\|ter** (0." in markdown and "Nearest 3" in markdown


def figure2(metrics, folder, counts):
    folder.mkdir(exist_ok=True)
    outs = [folder / f"figure2.{kind}" for kind in ("svg", "png", "csv", "parquet")]
    draw_figure2(
        metrics,
        student="kim",
        counts=counts,
        main=MAIN,
        out_svg=outs[0],
        out_png=outs[1],
        out_csv=outs[2],
        out_parquet=outs[3],
    )
    return outs


def test_figure2(metrics, tmp_path):
    counts = {"ag_news": [500, 1000, 2000, 99], "own_data": [500], "absent": [500]}
    outs = figure2(metrics, tmp_path / "one", counts)
    again = figure2(metrics, tmp_path / "two", counts)
    assert [out.read_bytes() for out in outs] == [out.read_bytes() for out in again]
    svg = outs[0].read_text()
    assert "<dc:date>" not in svg and "<svg" in svg
    assert outs[1].read_bytes().startswith(b"\x89PNG") and b"Software" not in outs[1].read_bytes()
    rows = read_csv(outs[2])
    curve = [row for row in rows if row["dataset"] == "ag_news" and row["system"] == "kim+synthetic"]
    assert [row["n_synthetic"] for row in curve] == ["500", "1000", "2000"]
    assert float(curve[0]["accuracy"]) == pytest.approx(76.5) and float(curve[0]["sd"]) == pytest.approx(0.5)
    lines = {row["system"]: row for row in rows if row["dataset"] == "ag_news" and row["n_synthetic"] == ""}
    assert float(lines["teacher"]["accuracy"]) == pytest.approx(90) and lines["teacher"]["sd"] == ""
    assert float(lines["kim+dist"]["accuracy"]) == pytest.approx(83)
    # Of the largest count, beside the real rows.
    assert float(lines["kim+gendist"]["accuracy"]) == pytest.approx(87)
    assert {row["dataset"] for row in rows} == {"ag_news", "own_data"}
    assert pq.read_table(outs[3]).num_rows == len(rows)
    assert set(read_metadata(outs[3])["gendist"]["inputs"]) == {"metrics"}


def test_figure2_without_lines_or_runs(tmp_path):
    bare = write_metrics(tmp_path / "bare.parquet", [run("d", "kim+synthetic", 0.5, 0, 500)])
    rows = read_csv(figure2(bare, tmp_path, {"d": [500, 1000]})[2])
    assert [row["system"] for row in rows] == ["kim+synthetic"]
    with pytest.raises(GendistError, match=r"no run of kim\+synthetic on e"):
        figure2(bare, tmp_path, {"e": [500]})


def test_sampling(metrics, tmp_path):
    everything = []
    for name in ("one", "two"):
        outs = [tmp_path / f"{name}.{kind}" for kind in ("svg", "png", "csv", "parquet")]
        counts = {"ag_news": 500, "own_data": 2000, "absent": 5}
        draw_sampling(
            metrics,
            system="kim+gendist",
            samplings=["cool", "full", "nucleus"],
            counts=counts,
            main=MAIN,
            out_svg=outs[0],
            out_png=outs[1],
            out_csv=outs[2],
            out_parquet=outs[3],
        )
        everything.append([out.read_bytes() for out in outs])
    assert everything[0] == everything[1] and b"<dc:date>" not in everything[0][0]
    rows = read_csv(tmp_path / "one.csv")
    assert [row["sampling"] for row in rows] == (["cool"] * 3 + ["full"] * 3) * 2
    assert float(rows[0]["mean"]) == pytest.approx(84.5) and float(rows[0]["sd"]) == pytest.approx(1)
    assert [float(row["accuracy"]) for row in rows[:3]] == pytest.approx([83.5, 84.5, 85.5])
    with pytest.raises(GendistError, match="no run of res"):
        draw_sampling(
            metrics,
            system="res+gendist",
            samplings=["full"],
            counts={"ag_news": 500},
            main=MAIN,
            out_svg=outs[0],
            out_png=outs[1],
            out_csv=outs[2],
            out_parquet=outs[3],
        )
