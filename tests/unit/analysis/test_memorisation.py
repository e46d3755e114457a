from pathlib import Path
from time import process_time

import numpy as np
import pyarrow as pa
import pytest
from report_fixtures import read_csv

from gendist.analysis.generated_rows import GeneratedPool
from gendist.analysis.quality import text_overlap as measures
from gendist.analysis.quality.memorisation import measure_overlap, write_memorisation
from gendist.analysis.quality.text_overlap import longest_runs, normalise, tfidf_similarities
from gendist.errors import GendistError
from gendist.io.parquet import write_parquet
from gendist.io.provenance import Provenance

NINE = "one two three four five six seven eight nine"
REAL = [NINE, "The red boat sails.", "eight nine ten"]
TRAIN = Path("train.parquet")


def slow_runs(real, texts):
    """Longest common run of words, pair by pair."""
    words = [[measures.split_words(text) for text in group] for group in (real, texts)]
    spans = {tuple(w[i:j]) for w in words[0] for i in range(len(w)) for j in range(i + 1, len(w) + 1)}
    found = []
    for w in words[1]:
        found.append(
            max((j - i for i in range(len(w)) for j in range(i + 1, len(w) + 1) if tuple(w[i:j]) in spans), default=0)
        )
    return found


def test_longest_runs_by_hand():
    texts = [
        "five SIX, seven! and more",  # case and punctuation do not count
        NINE,
        f"zero {NINE} ten",  # "eight nine ten" is real too, but no run goes from one row into the next
        "nine the red boat",
        "unknown words",
        "...",
        "",
        "one one one",
    ]
    assert longest_runs(REAL, texts).tolist() == [3, 9, 9, 3, 0, 0, 0, 1]


def test_no_run_crosses_rows_or_unknown_words():
    assert longest_runs(["a b", "c d"], ["a b c d", "c x d"]).tolist() == [2, 1]


@pytest.mark.parametrize("rows", [3, 1000])
def test_longest_runs_of_random_texts_are_those_of_a_plain_search(rows, monkeypatch):
    monkeypatch.setattr(measures, "TEXTS_PER_BATCH", rows)
    rng = np.random.default_rng(0)
    for letters in (2, 5):
        real, texts = (
            [" ".join(rng.choice(list("abcde")[:letters], n)) for n in rng.integers(0, 25, 12)] for _ in "12"
        )
        texts.append(real[0] + " z " + real[1])
        assert longest_runs(real, texts).tolist() == slow_runs(real, texts)


def test_similarities_in_chunks(monkeypatch):
    whole = np.concatenate(list(tfidf_similarities(REAL, [NINE, "red boat", "unknown"], TRAIN)))
    assert whole.shape == (3, 3) and whole[0, 0] == pytest.approx(1)
    # "red" and "boat" are two of the row's four equally rare words.
    assert whole[1] == pytest.approx([0, 2**-0.5, 0]) and whole[2].max() == 0
    monkeypatch.setattr(measures, "MAX_SIMILARITIES", 3)
    chunks = list(tfidf_similarities(REAL, [NINE, "red boat", "unknown"], TRAIN))
    assert len(chunks) == 3 and np.array_equal(np.concatenate(chunks), whole)
    with pytest.raises(GendistError, match=r"train\.parquet: empty vocabulary"):
        list(tfidf_similarities(["...", "!"], ["red"], TRAIN))


def test_overlap_by_hand():
    assert normalise(" The\tred\n BOAT  ") == "the red boat"
    found = measure_overlap(REAL, [["the RED  boat sails.", f"so {NINE}"], ["apple", "Apple"]], TRAIN)
    assert (found.rows, found.copies, found.duplicates, found.with_gram) == (4, 25, 50, 25)
    assert (found.median_run, found.longest_run) == (2, 9)
    # "so" is no word of the real rows, so the second text is the first row for TF-IDF.
    assert found.similarity == pytest.approx(0.5)


def test_an_8_gram_is_eight_words():
    words = NINE.split()
    assert measure_overlap(REAL, [[" ".join(words[1:])]], TRAIN).with_gram == 100
    assert measure_overlap(REAL, [[" ".join(words[2:])]], TRAIN).with_gram == 0


def write_rows(path, texts, **columns):
    table = {"text": pa.array(texts, pa.string()), **columns}
    write_parquet(path, pa.table(table), Provenance("texts"), {"label_names": ["x", "y"]})
    return path


@pytest.fixture
def files(tmp_path):
    labels = {"id": pa.array(range(3), pa.int64()), "label": pa.array([0, 1, 0], pa.int32())}
    train = write_rows(tmp_path / "train.parquet", REAL, **labels)
    made = ["the red boat sails.", "", NINE, "|<b>apple"]
    finish = ["stop" if text else "empty" for text in made]
    shard = write_rows(tmp_path / "shard.parquet", made, row=pa.array(range(4), pa.int64()), finish=pa.array(finish))
    # No labels at all: they are not read.
    test = write_rows(tmp_path / "test.parquet", ["green ship", "blue ship", "a red boat", "green ship", "ten", "two"])
    return GeneratedPool(train, [shard]), test


def test_memorisation_sets_generated_rows_beside_held_out_ones(files, tmp_path):
    generated, test = files
    drawn = set()
    for seed in range(5):
        write_memorisation(
            {"to_y": generated}, {"to_y": test}, out_csv=tmp_path / "m.csv", out_md=tmp_path / "m.md", seed=seed
        )
        made, held_out = read_csv(tmp_path / "m.csv")
        drawn.add(held_out["similarity"])
        assert (made["dataset"], made["texts"], made["rows"]) == ("to_y", "generated", "3")  # one holds no text
        assert (made["copies, %"], made["duplicates, %"], made["with 8-gram, %"]) == ("66.67", "0.0", "33.33")
        assert (made["longest run, median"], made["longest run, max"]) == ("4.0", "9")
        assert float(made["similarity"]) == pytest.approx(2 / 3, abs=1e-4)
        assert (held_out["dataset"], held_out["texts"], held_out["rows"]) == ("to_y", "held-out real", "3")
        assert held_out["copies, %"] == held_out["with 8-gram, %"] == "0.0"
    assert len(drawn) > 1  # by the seed
    markdown = (tmp_path / "m.md").read_text()
    assert "to\\_y" in markdown and "apple" not in markdown and "generator copies" in markdown
    again = (tmp_path / "m.csv").read_bytes()
    write_memorisation(
        {"to_y": generated}, {"to_y": test}, out_csv=tmp_path / "m.csv", out_md=tmp_path / "m.md", seed=4
    )
    assert (tmp_path / "m.csv").read_bytes() == again


def test_memorisation_respects_the_count_and_takes_few_test_rows(files, tmp_path):
    generated, _ = files
    one = write_rows(tmp_path / "one.parquet", [NINE])
    first = GeneratedPool(generated.train, generated.shards, rows=3)
    write_memorisation({"toy": first}, {"toy": one}, out_csv=tmp_path / "m.csv", out_md=tmp_path / "m.md")
    made, held_out = read_csv(tmp_path / "m.csv")
    assert (made["rows"], made["copies, %"]) == ("2", "100.0")
    assert (held_out["rows"], held_out["copies, %"], held_out["longest run, max"]) == ("1", "100.0", "9")
    for texts in ([], [None]):
        write_rows(one, texts)
        with pytest.raises(GendistError, match=r"one\.parquet: no rows, or rows without text"):
            write_memorisation({"toy": first}, {"toy": one}, out_csv=tmp_path / "m.csv", out_md=tmp_path / "m.md")


def test_copies_cost_no_more_than_other_texts():
    rng = np.random.default_rng(0)
    real = [" ".join(words) for words in rng.choice([f"w{i}" for i in range(500)], (400, 100))]
    began = process_time()
    assert longest_runs(real, real * 2).tolist() == [100] * 800
    assert process_time() - began < 10
