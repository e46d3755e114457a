"""Real rows without labels: drawn from a file, without leaks."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_stages import write_texts
from typer.testing import CliRunner

from gendist.cli.app import app
from gendist.config import study_from
from gendist.config.dataset_settings import Dataset
from gendist.errors import GendistError
from gendist.io.parquet import read_metadata
from gendist.io.provenance import hash_file
from gendist.launcher import data_checks
from gendist.launcher.data_checks import require_data
from gendist.stages.texts.prepare_unlabelled import prepare_unlabelled

# --- texts ---


TRAIN = ["a wave and a tide", "the moon is up"]
TEST = ["Straße am  Fluss", "clay and roots"]


def prepare(folder: Path, content: str, name: str = "more.csv", **changed: Any) -> pa.Table:
    """Draw unlabelled rows beside two training and two test rows."""
    (folder / name).write_text(content, encoding="utf-8")
    settings = Dataset(train="a", test="b", **{"unlabelled": str(folder / name), "unlabelled_rows": 3, **changed})
    train = write_texts(folder / "train.parquet", TRAIN, [0, 1])
    test = write_texts(folder / "test.parquet", TEST, [0, 1])
    prepare_unlabelled(settings, train, test, folder / "unlabelled.parquet")
    return pq.read_table(folder / "unlabelled.parquet")


ROWS = ["one", "STRASSE am Fluss", "two", " ", "three", "a wave  and a tide", "four", "clay and roots"]


def test_rows_that_would_leak_are_dropped_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    content = "label,text\n" + "".join(f"nonsense,{text}\n" for text in ROWS)
    with caplog.at_level("INFO"):
        table = prepare(tmp_path, content, unlabelled_rows=4)
    assert table.column_names == ["id", "text"]
    assert dict(zip(*table.to_pydict().values(), strict=True)) == {0: "one", 2: "two", 4: "three", 6: "four"}
    file = tmp_path / "more.csv"
    assert [line for line in caplog.messages if "dropped" in line] == [
        f"{file}: dropped 1 of 8 rows: without text",
        f"{file}: dropped 2 of 8 rows: in the test rows too",
        f"{file}: dropped 1 of 8 rows: in the training rows too",
    ]
    inputs = read_metadata(tmp_path / "unlabelled.parquet")["gendist"]["inputs"]
    assert inputs == {
        "source": hash_file(file),
        "train": hash_file(tmp_path / "train.parquet"),
        "test": hash_file(tmp_path / "test.parquet"),
    }


def test_fewer_rows_are_the_first_of_more_and_the_order_is_not_the_file_s(tmp_path: Path):
    content = "title,body\n" + "".join(f"t{i},{i:03}\n" for i in range(50))
    drawn = [
        prepare(tmp_path, content, text=["title", "body"], separator=" / ", unlabelled_rows=count)["text"].to_pylist()
        for count in (10, 50)
    ]
    assert drawn[1][:10] == drawn[0] and len(set(drawn[1])) == 50
    assert drawn[1] != sorted(drawn[1]) and all(text == f"t{int(text[-3:])} / {text[-3:]}" for text in drawn[1])
    other = prepare(tmp_path, content, text=["title", "body"], separator=" / ", unlabelled_rows=50, sample_seed=1)
    assert other["text"].to_pylist() != drawn[1]


@pytest.mark.parametrize(
    ("name", "content", "changed", "message"),
    [
        ("more.csv", "body\none\n", {}, "more.csv: no column 'text' (has body)"),
        (
            "more.csv",
            "text\n" + "\n".join(["one", "two", *TEST, "moon"]),
            {"unlabelled_rows": 4},
            "more.csv: 3 of 5 rows can be used, 2 are in the test rows too; 4 are requested: "
            "set the dataset's unlabelled_rows to 3 or fewer",
        ),
        ("more.csv", "text\n" + TRAIN[0], {}, "are requested: use another file"),
        (
            "more.csv",
            "text\none\n",
            {"unlabelled_rows": None, "synthetic": 2},
            "1 of 1 rows can be used; 2 are requested",
        ),
        (
            "more.jsonl",
            '{"text": "a"}\n{"text": 3}\n',
            {},
            "more.jsonl, line 2: column 'text' contains int, expected text",
        ),
        ("more.txt", "one\n", {}, "more.txt: unknown file type '.txt'"),
    ],
)
def test_files_that_cannot_be_used_end_in_one_line(
    tmp_path: Path, name: str, content: str, changed: dict[str, Any], message: str
):
    with pytest.raises(GendistError) as caught:
        prepare(tmp_path, content, name, **changed)
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "unlabelled.parquet").exists()


def test_the_file_is_read_as_the_training_file(tmp_path: Path):
    content = '1;zero\n1;"one, |two\n2;three"\n'
    read = {"text": "2", "label": "1", "header": False, "delimiter": ";"}
    texts = prepare(tmp_path, content, **read)["text"].to_pylist()
    assert sorted(texts) == ['"one, |two', 'three"', "zero"]
    texts = prepare(tmp_path, content, **read, quoting="standard", unlabelled_rows=2)["text"].to_pylist()
    assert sorted(texts) == ["one, |two\n2;three", "zero"]
    used = read_metadata(tmp_path / "unlabelled.parquet")["gendist"]["settings"]
    assert used["delimiter"] == ";" and used["header"] is False and used["quoting"] == "standard"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text\none\ntwo\n", "more.csv: 2 rows, fewer than the 3 required by datasets.news.unlabelled_rows; set"),
        ("body\none\n", "more.csv: no column 'text' (has body)"),
        ("text,x\none,2\ntwo\n", "more.csv, line 3: 1 fields, the header has 2"),
    ],
)
def test_unlabelled_rows_are_checked_before_the_first_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, message: str
):
    (tmp_path / "a.csv").write_text("text,label\na,x\nb,x\nc,y\nd,y\n")
    (tmp_path / "more.csv").write_text(content)
    (tmp_path / "b.csv").write_text("text,label\ne,x\nf,y\n")
    files = {"train": str(tmp_path / "a.csv"), "test": str(tmp_path / "b.csv")}
    dataset = {**files, "train_per_class": 2, "unlabelled": str(tmp_path / "more.csv"), "unlabelled_rows": 3}
    study = study_from({"datasets": {"news": dataset}})
    with pytest.raises(GendistError) as caught:
        require_data(study)
    assert message in str(caught.value)
    monkeypatch.setattr(data_checks, "MAX_BYTES_CHECKED", 0)  # of large files, the columns alone
    if "column" in message:
        with pytest.raises(GendistError, match="no column 'text'"):
            require_data(study)
    else:
        require_data(study)


# --- from predictions back to rows ---


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_what_predict_writes_with_texts_can_be_learnt_from(exported: Path, tmp_path: Path, suffix: str):
    texts = ["the wave, a tide", 'a "quoted" wing', "clay\nand root", "the moon"]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    out = tmp_path / f"labels{suffix}"
    command = ["predict", str(exported), str(tmp_path / "in.jsonl"), "--texts", "--all", "-o", str(out)]
    assert CliRunner().invoke(app, command).exit_code == 0
    settings = Dataset(train="a", test="b", unlabelled=str(out), unlabelled_rows=4)
    train = write_texts(tmp_path / "train.parquet", TRAIN, [0, 1])
    test = write_texts(tmp_path / "test.parquet", TEST, [0, 1])
    prepare_unlabelled(settings, train, test, tmp_path / "unlabelled.parquet")
    table = pq.read_table(tmp_path / "unlabelled.parquet").sort_by("id")
    assert table["text"].to_pylist() == texts


def test_predictions_without_texts_name_what_is_missing(exported: Path, tmp_path: Path):
    (tmp_path / "in.csv").write_text("text\nthe wave\n")
    command = ["predict", str(exported), str(tmp_path / "in.csv"), "-o", str(tmp_path / "labels.csv")]
    assert CliRunner().invoke(app, command).exit_code == 0
    with pytest.raises(GendistError, match=r"labels\.csv: no column 'text' \(has row, label, probability\)"):
        prepare(tmp_path, (tmp_path / "labels.csv").read_text(), "labels.csv")
