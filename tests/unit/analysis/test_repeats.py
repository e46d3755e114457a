"""Rows that repeat others."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from quality_fixtures import ROWS, random_texts, write_pool

from gendist.analysis.quality.find_repeats import EarlierTexts, ReferenceTexts, find_repeats
from gendist.analysis.quality.near_duplicates import MIN_JACCARD, shingles
from gendist.errors import GendistError
from gendist.stages.synthetic.repeats_table import is_copy, is_duplicate, read_repeats


def jaccard(one, other):
    a, b = shingles(one), shingles(other)
    return len(a & b) / len(a | b)


def test_planted_repeats_are_found_and_nothing_else(tmp_path):
    files = write_pool(tmp_path)
    marks = {name: values.tolist() for name, values in read_repeats(files.pool.repeats, np.array(ROWS)).items()}
    found = {
        name: {row: of for row, of in zip(marks["row"], marks[name], strict=True) if of >= 0}
        for name in ("duplicate_of", "near_duplicate_of", "copy_of", "near_copy_of")
    }
    assert found == {
        "duplicate_of": {1: 0, 9: 2},
        "near_duplicate_of": {2: 0},
        "copy_of": {4: 11},
        "near_copy_of": {5: 12},
    }
    runs = dict(zip(marks["row"], marks["longest_run"], strict=True))
    assert (runs[6], runs[8]) == (9, 1)  # "that the wind ... than"; "and"
    assert dict(zip(marks["row"], marks["nearest_id"], strict=True))[6] == 13
    repeats = read_repeats(files.pool.repeats, np.array(ROWS))
    assert np.array(ROWS)[is_duplicate(repeats)].tolist() == [1, 2, 9]
    assert np.array(ROWS)[is_copy(repeats)].tolist() == [4, 5, 6]
    with pytest.raises(GendistError, match=r"repeats\.parquet: has other row numbers than the generated rows"):
        read_repeats(files.pool.repeats, np.arange(9))


def test_near_duplicates_are_those_of_a_plain_search():
    texts = random_texts(60, 0)
    rng = np.random.default_rng(1)
    for source in range(20):  # of one to eight words changed
        words = texts[source].split()
        for place in rng.choice(30, 1 + source % 8, replace=False):
            words[place] = "changed"
        texts.append(" ".join(words))
    keys = np.arange(100, 100 + len(texts))
    found = EarlierTexts().repeats(texts, keys)
    near = []
    for i, text in enumerate(texts):
        similar = [(jaccard(text, texts[j]), -j) for j in range(i) if near[j] < 0]
        near.append(100 - max(similar)[1] if similar and max(similar)[0] >= MIN_JACCARD else -1)
    assert found.near.tolist() == near and (found.exact < 0).all()
    assert 3 < sum(of >= 0 for of in near) < 20  # on both sides of the border
    copies = ReferenceTexts(texts[:60], keys[:60]).repeats(texts[60:])
    assert copies.near.tolist() == near[60:]


def test_a_chain_of_small_changes_is_not_dropped_link_by_link():
    words = random_texts(1, 3)[0].split()
    chain = [" ".join(["new"] * (4 * i) + words[4 * i :]) for i in range(3)]
    assert (
        jaccard(chain[0], chain[1]) >= MIN_JACCARD <= jaccard(chain[1], chain[2])
        and jaccard(chain[0], chain[2]) < MIN_JACCARD
    )
    assert EarlierTexts().repeats(chain, np.arange(3)).near.tolist() == [-1, 0, -1]


def test_texts_shorter_than_a_shingle_count_as_a_whole():
    assert shingles("Oh  NO") == {"oh no"} and shingles("a") == {"a"} and len(shingles("abcdef")) == 2
    assert EarlierTexts().repeats(["a", "b", "A"], np.arange(3)).exact.tolist() == [-1, -1, 0]


def test_repeats_of_the_first_rows_are_those_of_a_larger_pool(tmp_path):
    files = write_pool(tmp_path)
    find_repeats(files.pool.train, files.pool.shards[:2], 6, tmp_path / "few.parquet")
    few, all_rows = (pq.read_table(path).to_pylist() for path in (tmp_path / "few.parquet", files.pool.repeats))
    assert few == all_rows[: len(few)] and len(few) == 5
