"""What is measured of a pool: wording, scores, the pool as a whole, and the table of all pools."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from quality_fixtures import (
    LABELS,
    MADE,
    REAL,
    ROWS,
    assess,
    logits_for,
    random_texts,
    write_logits,
    write_pool,
    write_real,
)
from report_fixtures import read_csv

from gendist.analysis.quality.find_repeats import find_repeats
from gendist.analysis.quality.quality_figure import draw_quality
from gendist.analysis.quality.quality_table import StudentPredictions, write_quality
from gendist.analysis.quality.teacher_scores import TeacherScores, agreement_with_request, describe_scores
from gendist.analysis.quality.text_statistics import (
    ListedTexts,
    describe_texts,
    distinct_n,
    lexical_diversity,
    self_similarity,
    truncate_words,
)
from gendist.config import study_from
from gendist.config.study_plan import planned_pools
from gendist.errors import GendistError
from gendist.io.json_files import read_json, write_json

# --- wording ---


def test_distinct_by_hand():
    rows = [["a", "b", "a", "b"], ["a", "b"], ["c"]]
    assert distinct_n(rows, 1) == pytest.approx(3 / 7, abs=1e-6)
    assert distinct_n(rows, 2) == 0.5  # ab, ba, ab and ab; none goes from one row into the next
    assert distinct_n(rows, 3) == 1 and distinct_n(rows, 5) is None
    found = lexical_diversity(rows, {"a", "z"})
    assert (found["types"], found["known_types"]) == (3, 0.5)
    assert found["new_words"] == pytest.approx(4 / 7, abs=1e-6)


def test_groups_are_compared_on_equally_many_words_and_rows():
    assert truncate_words([["a", "b"], ["c", "d"], ["e"]], 3) == [["a", "b"], ["c"]]
    groups = {"many": ["one two three"] * 50, "few": ["four five", "six", "seven one"]}
    found = describe_texts({name: ListedTexts(texts) for name, texts in groups.items()}, "few")
    assert [found[name]["same_words"]["words"] for name in groups] == [5, 5]
    assert [found[name]["same_rows"]["rows"] for name in groups] == [3, 3]
    assert found["many"]["rows"] == 50 and found["many"]["types"] == 3
    assert found["many"]["words"]["mean"] == 3 and set(found["many"]["words"]["quantiles"]) == {3.0}
    assert found["few"]["same_words"]["new_words"] == 0 and found["many"]["same_words"]["new_words"] == 0.6
    assert found["few"]["characters"]["quantiles"][0] == 3


def test_alikeness_by_hand():
    same = self_similarity(["red boat", "red boat", "red boat"])
    assert (same["pairs"], same["nearest"]) == (1, 1)
    mixed = self_similarity(["red boat", "red boat", "green hill"])
    assert (mixed["pairs"], mixed["nearest"]) == (pytest.approx(1 / 3, abs=1e-6), pytest.approx(2 / 3, abs=1e-6))
    assert self_similarity(["alone here"])["nearest"] is None and self_similarity(["...", "!"])["nearest"] is None


# --- scores ---


def test_entropy_and_balance_of_known_logits():
    logits = np.log(np.array([[0.5, 0.25, 0.25], [1 / 3, 1 / 3, 1 / 3], [0.95, 0.04, 0.01]])).astype(np.float32)
    scores = TeacherScores.from_logits(logits)
    assert scores.predicted.tolist() == [0, 0, 0]
    assert scores.confidence == pytest.approx([0.5, 1 / 3, 0.95], abs=1e-6)
    assert scores.entropy[0] == pytest.approx(1.5 * np.log(2) / np.log(3), abs=1e-6)
    assert scores.entropy[1] == pytest.approx(1)
    found = describe_scores(scores, ["a", "b", "c"])
    assert found["classes"]["a"] == {"rows": 1, "probability": pytest.approx((0.5 + 1 / 3 + 0.95) / 3, abs=1e-6)}
    assert found["confidence"]["at_least_0.5"] == pytest.approx(2 / 3, abs=1e-6)
    assert found["confidence"]["at_least_0.9"] == pytest.approx(1 / 3, abs=1e-6)
    # Each row is sure and all classes are equally frequent; then all of one class.
    even = describe_scores(TeacherScores.from_logits(np.eye(3) * 50), ["a", "b", "c"])
    assert (even["balance"], even["entropy"]) == (pytest.approx(1), pytest.approx(0))
    assert describe_scores(TeacherScores.from_logits(np.array([[90.0, 0, 0]] * 4)), ["a", "b", "c"])[
        "balance"
    ] == pytest.approx(0)
    assert TeacherScores.from_logits(np.array([[1e4, -1e4]], np.float32)).entropy.tolist() == [0]


def test_agreement_with_the_label_asked_for():
    found = agreement_with_request(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]), ["a", "b", "c"])
    assert found == {"all": 0.75, "classes": {"a": 0.5, "b": 1.0, "c": None}}


# --- a pool as a whole ---


def test_the_measures_of_a_pool(tmp_path):
    record, rows, _ = assess(write_pool(tmp_path), tmp_path)
    assert (record["rows"], record["empty"], record["teacher"], record["as_other_teachers"]) == (10, 1, "bert", {})
    shares = {name: round(value * 9) for name, value in record["repeats"].items() if isinstance(value, float)}
    assert shares == {
        "duplicates": 2,
        "near_duplicates": 1,
        "copies": 1,
        "near_copies": 1,
        "with_gram": 3,
        "repeated": 3,
        "copied": 3,
    }
    assert record["as_asked"]["all"] == 1
    assert record["scores"]["generated"]["classes"]["sea"]["rows"] == pytest.approx(3 / 9, abs=1e-6)  # 0, 6 and 9
    assert record["scores"]["held_out"]["classes"]["sea"]["rows"] == 0.5
    assert [record["texts"][group]["rows"] for group in ("generated", "training", "held_out")] == [9, 4, 4]
    assert [row["row"] for row in rows] == ROWS and [row["text"] for row in rows] == [MADE[i] for i in ROWS]
    five = rows[ROWS.index(5)]
    assert (five["near_copy_of"], five["nearest_id"], five["nearest_text"]) == (12, 12, REAL[2])
    assert (five["predicted"], five["asked"], five["nearest_label"]) == ("so&il", "so&il", "so&il")
    assert five["confidence"] == pytest.approx(np.exp(3) / (np.exp(3) + 2), abs=1e-5) and five["n_words"] == 16


def test_without_labels_or_other_teachers_nothing_is_claimed(tmp_path):
    files = write_pool(tmp_path, conditional=False)
    record, rows, page = assess(files, tmp_path)
    assert record["as_asked"] is None and {row["asked"] for row in rows} == {None} and "asked for" not in page
    second = [
        write_logits(tmp_path / f"second-{i}.parquet", "row", [logits_for(0)] * n, 4 * i)
        for i, n in enumerate((4, 4, 2))
    ]
    record, _, _ = assess(files, tmp_path, other_logits={"second": second})
    assert record["as_other_teachers"] == {"second": pytest.approx(3 / 9, abs=1e-6)}


FIXTURES = str(Path(__file__).parents[2] / "fixtures")


def test_equal_pools_give_equal_bytes_in_any_process(tmp_path):
    program = "import sys; sys.path[:0] = sys.argv[2:]; from pathlib import Path;"
    program += "from quality_fixtures import assess, write_pool;"
    program += "f = Path(sys.argv[1]); assess(write_pool(f), f)"
    for name, seed in (("one", "1"), ("two", "2")):
        command = [sys.executable, "-c", program, str(tmp_path / name), FIXTURES]
        root = str(Path(__file__).parents[3])
        subprocess.run(command, check=True, env={"PYTHONHASHSEED": seed, "PYTHONPATH": root, "PATH": ""})
    for file in ("quality.json", "rows.parquet", "samples.html", "repeats.parquet"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file


def test_files_that_do_not_fit_are_named(tmp_path):
    files = write_pool(tmp_path)
    write_json(tmp_path / "other.json", {"gendist": {"label_names": ["x", "y", "z"]}})
    two = write_logits(tmp_path / "two.parquet", "id", [[0.0, 1.0]] * 4, 10)
    for changed, message in (
        (
            {"generator": tmp_path / "other.json"},
            r"other\.json: labels are x, y, z, which differ from those of the training rows",
        ),
        ({"test_logits": two}, r"two\.parquet: 2 classes, but the training rows have 3"),
        ({"logits": files.pool.logits[:1]}, "generated row 4 has no logits"),
    ):
        with pytest.raises(GendistError, match=message):
            assess(files, tmp_path / "out", **changed)
    assert not (tmp_path / "out").exists()


# --- table and figure ---


@pytest.fixture
def pools(tmp_path):
    found = []
    for name, texts in (("full", MADE), ("cool", MADE[:5])):
        folder = tmp_path / name
        assess(write_pool(folder, texts), folder)
        record = read_json(folder / "quality.json")
        write_json(folder / "quality.json", {**record, "sampling": name})
        found.append(folder / "quality.json")
    return found


def test_the_table_sets_pools_beside_real_rows(pools, tmp_path):
    teacher = write_logits(tmp_path / "t.parquet", "id", [logits_for(0), logits_for(1), logits_for(2), logits_for(0)])
    seeds = [
        write_logits(tmp_path / f"s{i}.parquet", "id", [logits_for(c, s) for c in classes])
        for i, (classes, s) in enumerate([((0, 1, 2, 1), 9.0), ((0, 2, 2, 0), 1.0)])
    ]
    out = tmp_path / "q.csv", tmp_path / "q.md"
    write_quality(
        pools,
        students={"to_y": StudentPredictions(seeds, teacher)},
        system="kim+gendist",
        out_csv=out[0],
        out_md=out[1],
    )
    full, cool, training, held_out = read_csv(out[0])
    assert [row["texts"] for row in (full, cool, training, held_out)] == [
        "g, full",
        "g, cool",
        "training real",
        "held-out real",
    ]
    assert (full["rows"], cool["rows"], full["repeated, %"], cool["repeated, %"]) == ("9", "4", "33.3333", "50.0")
    # The sure first seed has its way: three of four.
    assert (full["students agree, %"], cool["students agree, %"], full["teachers agree, %"]) == ("75.0", "", "")
    assert full["as asked, %"] == "100.0" and training["as asked, %"] == held_out["repeated, %"] == ""
    assert training["new words, %"] == "" and float(held_out["new words, %"]) > 0
    markdown = out[1].read_text()
    assert "to\\_y" in markdown and "kim+gendist students" in markdown and "Gulls" not in markdown
    before = out[0].read_bytes()
    write_quality(
        pools,
        students={"to_y": StudentPredictions(seeds, teacher)},
        system="kim+gendist",
        out_csv=out[0],
        out_md=out[1],
    )
    assert out[0].read_bytes() == before
    with pytest.raises(GendistError, match=r"s0\.parquet: rows differ from those of"):
        write_quality(
            pools,
            students={"to_y": StudentPredictions(seeds, write_logits(tmp_path / "u.parquet", "id", [logits_for(0)]))},
            system="k",
            out_csv=out[0],
            out_md=out[1],
        )


def test_the_figure_and_its_data(pools, tmp_path):
    out = [tmp_path / f"q.{kind}" for kind in ("svg", "png", "csv", "parquet")]
    draw_quality(pools, out_svg=out[0], out_png=out[1], out_csv=out[2], out_parquet=out[3])
    before = [path.read_bytes() for path in out]
    assert before[0].startswith(b"<?xml") and before[1].startswith(b"\x89PNG")
    rows = read_csv(out[2])
    assert {row["texts"] for row in rows} == {"g, full", "g, cool", "held-out real"}
    shares = [float(r["value"]) for r in rows if r["measure"] == "class" and r["texts"] == "g, full"]
    assert len(shares) == 3 and sum(shares) == pytest.approx(100, abs=1e-3)
    assert [r["at"] for r in rows if r["measure"] == "class"][:3] == LABELS
    draw_quality(pools, out_svg=out[0], out_png=out[1], out_csv=out[2], out_parquet=out[3])
    assert [path.read_bytes() for path in out] == before


# --- the study ---


def test_every_pool_of_a_study_is_measured_once():
    study = study_from(
        {
            "datasets": {name: {"train": "a.csv", "test": "b.csv", "synthetic": 300} for name in ("one", "two")},
            "generators": {"main": {"model": "pocket"}, "other": {"model": "pocket"}},
            "samplings": {"full": {}, "cool": {"temperature": 0.7}},
            "sampling_rows": 200,
        }
    )
    pools = planned_pools(study)
    assert list(pools) == [
        (dataset, *names)
        for dataset in ("one", "two")
        for names in (("main", "full"), ("main", "cool"), ("other", "full"))
    ]
    assert list(pools.values()) == [300, 200, 300] * 2


def test_a_large_pool_takes_seconds(tmp_path):
    from time import process_time

    texts = random_texts(3000, 5)
    files = write_pool(tmp_path, texts[:4])
    train = write_real(tmp_path / "many.parquet", random_texts(400, 6))
    from quality_fixtures import write_shards

    shards = write_shards(tmp_path / "large", texts, 3000)
    began = process_time()
    find_repeats(train, shards, 3000, tmp_path / "r.parquet")
    assert process_time() - began < 15  # a few seconds; 13,600 rows take about ten
    assert files.count == 4


def test_json_is_plain(tmp_path):
    assess(write_pool(tmp_path), tmp_path)
    json.loads((tmp_path / "quality.json").read_text(), parse_constant=lambda name: pytest.fail(name))
