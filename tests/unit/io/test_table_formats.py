"""One reader: delimiter and encoding of a table are the same for a study and `gendist predict`."""

from pathlib import Path

import pytest
from reading_fixtures import TEXTS, predicted, studied, table

from gendist.config.dataset_settings import OMITTED_DEFAULTS, Dataset
from gendist.errors import GendistError
from gendist.io.delimited_files import ReadOptions, open_delimited
from gendist.io.text_encodings import text_file
from gendist.stages.texts.labelled_rows import read_labelled_rows
from gendist.stages.texts.raw_rows import read_rows

# --- delimiter ---


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
@pytest.mark.parametrize("first", ["", "sep={}\r\n", '"sep={}"\n'])
def test_all_readers_find_the_same_columns(tmp_path: Path, delimiter: str, suffix: str, first: str):
    file = tmp_path / f"a{suffix}"
    file.write_text(first.format(delimiter) + table(delimiter), newline="")
    assert predicted(file) == studied(file) == read_rows(file, None).columns["text"] == TEXTS
    assert read_rows(file, None).numbers == ([3, 4, 5, 6] if first else [2, 3, 4, 5])


def test_a_delimiter_that_is_named_is_taken(tmp_path: Path):
    file = tmp_path / "a.csv"
    file.write_text(table("^"))
    with pytest.raises(
        GendistError, match=r"no column 'text' \(has 'id\^text\^label'\); name the delimiter with --delimiter"
    ):
        predicted(file)
    assert predicted(file, delimiter="^") == studied(file, delimiter="^") == TEXTS


def test_a_header_does_not_outvote_the_lines_below_it(tmp_path: Path):
    (tmp_path / "a.csv").write_text("text, as written, in full;label\nyes;a\nno;b\nmaybe;a\n")
    assert list(read_rows(tmp_path / "a.csv", None).columns) == ["text, as written, in full", "label"]


# --- encoding ---


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-16-le"])
@pytest.mark.parametrize("said", ["utf-8", "cp1252", "utf-16-le"])
def test_a_byte_order_mark_outweighs_what_is_said(tmp_path: Path, encoding: str, said: str):
    file = tmp_path / "a.csv"
    mark = "\ufeff" if encoding == "utf-16-le" else ""
    file.write_bytes((mark + table(",").replace("match", "mätch")).encode(encoding))
    wanted = [text.replace("match", "mätch") for text in TEXTS]
    assert predicted(file, encoding=said) == studied(file, encoding=said) == wanted


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("text\nthe café\n".encode("cp1252"), "not UTF-8 near line 2; {} may be cp1252"),
        ("text\nthe café\n".encode("utf-16-le"), "may be utf-16-le"),
    ],
)
def test_another_encoding_is_named_with_the_line_and_what_to_set(tmp_path: Path, content: bytes, found: str):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(GendistError, match=found.format("--encoding")):
        predicted(tmp_path / "a.csv")
    with pytest.raises(GendistError, match=found.format("the dataset's key 'encoding'")):
        studied(tmp_path / "a.csv")


@pytest.mark.parametrize("size", [4, 5, 7, 64])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_lines_do_not_depend_on_the_blocks_that_they_come_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, encoding: str, ending: str
):
    monkeypatch.setattr("gendist.io.text_encodings.BLOCK_BYTES", size)
    lines = ["ä", "", "bc\u2028d", "é" * 20, "end"]
    (tmp_path / "a.txt").write_bytes(ending.join(lines).encode(encoding))
    found = list(text_file(tmp_path / "a.txt").lines("utf-8"))
    assert found == [line + ending for line in lines[:-1]] + ["end"]


# --- labels ---


def test_labels_are_merged_by_the_config(tmp_path: Path):
    file = tmp_path / "a.csv"
    file.write_text(
        "text,label\n" + "".join(f"text {i},{label}\n" for i, label in enumerate(["Billing", "billing", "x", "x"]))
    )
    values = {"train": str(file), "test": str(file), "train_per_class": None}
    train, test, names = read_labelled_rows(Dataset(**values, labels={"billing": "Billing"}))
    assert names == ["Billing", "x"] and train.labels == test.labels == [0, 0, 1, 1]
    with pytest.raises(GendistError, match=r"no row has label 'biling', which the dataset's key 'labels' renames"):
        read_labelled_rows(Dataset(**values, labels={"biling": "Billing"}))


def test_keys_at_their_defaults_leave_what_is_stored_as_it_was():
    values = {"train": "a.csv", "test": "b.csv"}
    assert not set(OMITTED_DEFAULTS) & Dataset(**values).model_dump(mode="json").keys()
    described = Dataset(**values, delimiter=";", header=False, text="1", label="2").model_dump(mode="json")
    assert described["delimiter"] == ";" and described["header"] is False and "quoting" not in described
    assert Dataset(**described) == Dataset(**values, delimiter=";", header=False, text="1", label="2")


def test_a_dialect_is_known_before_its_rows(tmp_path: Path):
    (tmp_path / "a.csv").write_text("sep=|\n" + table("|"))
    sheet = open_delimited(text_file(tmp_path / "a.csv"), ReadOptions())
    assert (sheet.delimiter, sheet.quoted, sheet.skipped, sheet.first) == ("|", True, 1, ["id", "text", "label"])
    assert [line for line, _ in sheet.rows(True)] == [3, 4, 5, 6]
