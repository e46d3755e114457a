"""Rows that another tool wrote: read, cut into shards, and measured like generated ones."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from quality_fixtures import LABELS, MADE, ROWS, write_pool

from gendist.analysis.quality.assess_pool import PoolNames, assess_pool
from gendist.config import study_from
from gendist.config.file_checks import given_rows
from gendist.config.generator_settings import Generator
from gendist.config.study_plan import planned_pools, planned_runs
from gendist.errors import GendistError
from gendist.io.json_files import read_json
from gendist.io.parquet import read_metadata
from gendist.io.provenance import hash_file
from gendist.launcher.data_checks import require_data
from gendist.stages.synthetic.given_rows import cut_shard, read_given
from gendist.stages.synthetic.pool_reader import read_pool

FILES = {"train": "a.csv", "test": "b.csv", "synthetic": 2000}
GIVEN = {"llm": {"rows": "llm.csv"}}


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_pool_has_the_rows_of_the_file_in_its_order(tmp_path: Path, train_texts: Path, suffix: str):
    texts = ["a wave  here", "...", "the moon", "clay, and roots", " wing "]
    file = tmp_path / f"llm.{suffix}"
    if suffix == "csv":
        file.write_text("prompt,text\n" + "".join(f'p,"{text}"\n' for text in texts))
    else:
        file.write_text("".join(f'{{"text": "{text}", "model": "x"}}\n' for text in texts))
    read_given(file, train_texts, tmp_path / "rows.parquet")
    assert pq.read_table(tmp_path / "rows.parquet").column_names == ["row", "text"]
    shards = [tmp_path / f"shard-{i:05d}.parquet" for i in range(3)]
    for number, shard in enumerate(shards):
        cut_shard(tmp_path / "rows.parquet", shard, number, 2)
    tables = [pq.read_table(shard) for shard in shards]
    assert [table.num_rows for table in tables] == [2, 2, 1]
    assert [row for table in tables for row in zip(*table.to_pydict().values(), strict=True)] == [
        (0, "a wave  here", 3, "given"),
        (1, "", 0, "empty"),
        (2, "the moon", 2, "given"),
        (3, "clay, and roots", 3, "given"),
        (4, "wing", 1, "given"),
    ]
    assert read_pool(shards, 5).rows.tolist() == [0, 2, 3, 4]
    stored = read_metadata(shards[0])
    assert stored["finish_counts"] == {"given": 1, "empty": 1}
    assert stored["gendist"]["inputs"] == {"source": hash_file(file), "generator": hash_file(tmp_path / "rows.parquet")}
    with pytest.raises(GendistError, match=r"rows\.parquet: no row 6; the generator's file has too few rows"):
        cut_shard(tmp_path / "rows.parquet", shards[0], 3, 2)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("llm.csv", "body,label\na,sea\n", "llm.csv: no column 'text' (has body, label)"),
        (
            "llm.csv",
            "text,label\na wave,sea\na wing,\n",
            "llm.csv, line 3: empty label; column 'label' is the class",
        ),
        ("llm.csv", "text,label\na sun,sun\n", "line 2: label 'sun' is none of the classes sea, sky, soil"),
        ("llm.jsonl", '{"text": "a", "label": "sea"}\n{"text": "b"}\n', "llm.jsonl, line 2: no key 'label' (has text)"),
        ("llm.jsonl", '{"text": ["a"]}\n', "llm.jsonl, line 1: column 'text' contains list, expected text"),
        ("llm.xlsx", "", "llm.xlsx: unknown file type '.xlsx'"),
    ],
)
def test_files_that_cannot_be_rows_end_in_one_line(
    tmp_path: Path, train_texts: Path, name: str, content: str, message: str
):
    (tmp_path / name).write_text(content)
    with pytest.raises(GendistError) as caught:
        read_given(tmp_path / name, train_texts, tmp_path / "rows.parquet")
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "rows.parquet").exists()


def test_the_file_is_read_like_other_files(tmp_path: Path, train_texts: Path):
    file = tmp_path / "llm.csv"
    file.write_bytes('label;text\nsea;"a; wave"\nsky;été\n'.encode("utf-16"))
    read_given(file, train_texts, tmp_path / "rows.parquet")
    table = pq.read_table(tmp_path / "rows.parquet")
    assert table["text"].to_pylist() == ["a; wave", "été"] and table["label"].to_pylist() == ["sea", "sky"]
    file.write_text("text,label,label\na,sea,sky\n")
    with pytest.raises(GendistError, match="column 'label' appears twice"):
        read_given(file, train_texts, tmp_path / "rows.parquet")
    file.write_bytes("text\nété\n".encode("cp1252"))
    with pytest.raises(GendistError, match=r"not UTF-8 near line 2; the file's encoding may be cp1252"):
        read_given(file, train_texts, tmp_path / "rows.parquet")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text\none\ntwo\n", "llm.csv: 2 rows, fewer than the 3 required by datasets.news.synthetic"),
        ("text,label\none,x\ntwo,z\n", "llm.csv, line 3: label 'z' is none of the classes x, y"),
        ("body\none\n", "llm.csv: no column 'text' (has body)"),
    ],
)
def test_files_of_rows_are_checked_before_the_first_job(tmp_path: Path, content: str, message: str):
    (tmp_path / "a.csv").write_text("text,label\na,x\nb,x\nc,y\nd,y\n")
    (tmp_path / "llm.csv").write_text(content)
    (tmp_path / "b.csv").write_text("text,label\ne,x\nf,y\n")
    files = {"train": str(tmp_path / "a.csv"), "test": str(tmp_path / "b.csv")}
    dataset = {**files, "train_per_class": 2, "synthetic": 3}
    study = study_from({"datasets": {"news": dataset}, "generators": {"llm": {"rows": str(tmp_path / "llm.csv")}}})
    with pytest.raises(GendistError) as caught:
        require_data(study)
    assert message in str(caught.value)


@pytest.mark.parametrize("with_labels", [True, False])
def test_quality_compares_with_the_labels_of_the_file(tmp_path: Path, with_labels: bool):
    files = write_pool(tmp_path)
    asked = [LABELS[0] if i == 2 else LABELS[i % 3] for i in range(len(MADE))]  # the teacher takes row 2 for another
    rows = [f'"{text}",{label}' if with_labels else f'"{text}"' for text, label in zip(MADE, asked, strict=True)]
    header = "text,label" if with_labels else "text"
    (tmp_path / "llm.csv").write_text("\n".join([header, *rows]) + "\n")
    read_given(tmp_path / "llm.csv", files.pool.train, tmp_path / "rows.parquet")
    pool = replace(files.pool, generator=tmp_path / "rows.parquet")
    out = [tmp_path / name for name in ("q.json", "r.parquet", "s.html")]
    assess_pool(
        pool,
        PoolNames("toy", "llm", "full", "bert"),
        count=files.count,
        out_json=out[0],
        out_rows=out[1],
        out_html=out[2],
    )
    measured, column = read_json(out[0])["as_asked"], pq.read_table(out[1])["asked"].to_pylist()
    if with_labels:
        assert measured["all"] == pytest.approx((len(ROWS) - 1) / len(ROWS), abs=1e-6)
        assert column == [asked[i] for i in ROWS]
    else:
        assert measured is None and set(column) == {None}


def test_a_given_main_generator_ignores_samplings():
    study = study_from({"datasets": {"news": FILES}, "generators": GIVEN, "counts": [500]})
    assert planned_pools(study) == {("news", "llm", "nucleus"): 2000}
    assert {run.variant for run in planned_runs(study) if run.regime == "synthetic"} == {"minilm.llm.nucleus.default"}
    second = study_from({"datasets": {"news": FILES}, "generators": {"pocket": {"model": "pocket"}, **GIVEN}})
    pools = planned_pools(second)
    assert pools["news", "llm", "nucleus"] == 2000 and len(pools) == 4


def test_the_record_of_a_config_is_a_config():
    study = study_from({"datasets": {"news": FILES}, "generators": GIVEN})
    dumped = study.model_dump(mode="json")
    assert dumped["generators"] == GIVEN and study_from(dumped) == study
    assert "rows" not in Generator().model_dump(mode="json")


def test_each_dataset_has_a_file_of_its_own():
    datasets = {"news": FILES, "mail": FILES}
    study = study_from({"datasets": datasets, "generators": {"llm": {"rows": "made/{dataset}.csv"}}})
    assert list(given_rows(study)) == [
        ("llm", "news", Path("made/news.csv")),
        ("llm", "mail", Path("made/mail.csv")),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"generators": {"llm": {"rows": "a.csv", "model": "gpt2"}}},
            "key 'generators.llm': 'rows' uses texts as they",
        ),
        ({"generators": {"llm": {"rows": "a.csv", "seed": 0}}}, "remove seed, or 'rows'"),
        (
            {"generators": {"llm": {"rows": ["a.csv"]}}},
            "key 'generators.llm.rows' is ['a.csv']; input should be text",
        ),
        (
            {"datasets": {"a": FILES, "b": FILES}},
            "generators.llm.rows: one file for 2 datasets; put {dataset} into its",
        ),
    ],
)
def test_impossible_configs_end_in_one_line(content: dict[str, Any], message: str):
    with pytest.raises(GendistError) as caught:
        study_from({"datasets": {"d": FILES}, "generators": GIVEN, **content})
    assert message in str(caught.value) and "\n" not in str(caught.value)
