"""Data files that are damaged or not what they should be, through the study, `gendist init` and `gendist predict`."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bad_inputs import BOUNDED, refused, survived
from hypothesis import given
from hypothesis import strategies as st

from gendist.cli.app import app
from gendist.config.dataset_settings import Dataset
from gendist.errors import GendistError
from gendist.predict.classifier import TextClassifier
from gendist.predict.predict_file import predict_file
from gendist.predict.text_reader import TextSource
from gendist.stages.texts import raw_rows as sources
from gendist.stages.texts.prepare_texts import prepare_texts

WORDS = ("the waves of the sea were high", "a wing in the wide sky", "rain fell on the green hills")
ROWS = [(f"{WORDS[i % 3]} on day {i}", ("sea", "sky")[i % 2]) for i in range(24)]


def csv_of(rows: list[tuple[str, str]], delimiter: str = ",") -> bytes:
    lines = [f"text{delimiter}label", *(f"{text}{delimiter}{label}" for text, label in rows)]
    return "".join(line + "\n" for line in lines).encode()


def jsonl_of(rows: list[tuple[str, str]]) -> bytes:
    return "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows).encode()


def parquet_of(columns: Any) -> bytes:
    out = pa.BufferOutputStream()
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), out)
    return bytes(out.getvalue())


TEXTS, LABELS = [text for text, _ in ROWS], [label for _, label in ROWS]
GOOD = {
    ".csv": csv_of(ROWS),
    ".tsv": csv_of(ROWS, "\t"),
    ".jsonl": jsonl_of(ROWS),
    ".parquet": parquet_of({"text": TEXTS, "label": LABELS}),
}
LINES = GOOD[".csv"].splitlines(keepends=True)


def line(number: int, content: bytes) -> bytes:
    """The good CSV with one line (from 1) replaced."""
    return b"".join([*LINES[: number - 1], content, *LINES[number:]])


def json_line(number: int, content: bytes) -> bytes:
    lines = GOOD[".jsonl"].splitlines(keepends=True)
    return b"".join([*lines[: number - 1], content + b"\n", *lines[number:]])


def twice(name: str) -> bytes:
    columns = [pa.array(TEXTS), pa.array(LABELS), pa.array(TEXTS)]
    return parquet_of(pa.Table.from_arrays(columns, names=["text", "label", name]))


def column(values: Any, kind: Any = None) -> bytes:
    return parquet_of({"text": TEXTS, "label": pa.array(values, kind)})


def text_column(values: Any, kind: Any = None) -> bytes:
    return parquet_of({"text": pa.array(values, kind), "label": LABELS})


BAD: dict[str, tuple[str, bytes, tuple[str, ...]]] = {
    "empty csv": (".csv", b"", ("empty file, expected column 'text'",)),
    "empty tsv": (".tsv", b"", ("empty file, expected column 'text'",)),
    "empty jsonl": (".jsonl", b"", ("no rows",)),
    "empty parquet": (".parquet", b"", ("not a readable Parquet file",)),
    "blank lines": (".csv", b"\n\n\n", ("empty file, expected column 'text'",)),
    "blank jsonl": (".jsonl", b"\n \n", ("no rows",)),
    "only a header": (".csv", b"text,label\n", ("no rows",)),
    "only a header, tsv": (".tsv", b"text\tlabel\n", ("no rows",)),
    "parquet without rows": (".parquet", parquet_of({"text": pa.array([], "string"), "label": []}), ("no rows",)),
    "parquet without columns": (".parquet", parquet_of({}), ("empty file, expected column 'text'",)),
    "no header": (".csv", b"".join(LINES[1:]), ("no column 'text'",)),
    "missing text": (".csv", GOOD[".csv"].replace(b"text,", b"body,"), ("no column 'text' (has body, label)",)),
    "missing label": (".csv", GOOD[".csv"].replace(b",label", b",topic"), ("no column 'label' (has text, topic)",)),
    "header in capitals": (".csv", GOOD[".csv"].replace(b"text,label", b"Text,Label"), ("(has Text, Label)",)),
    "two text columns": (".csv", b"text,label,text\na,sea,b\n", ("column 'text' appears twice",)),
    "two label columns": (".tsv", b"text\tlabel\tlabel\na\tsea\tb\n", ("column 'label' appears twice",)),
    "two columns, parquet": (".parquet", twice("text"), ("column 'text' appears twice",)),
    "a field too many": (".csv", line(5, b"a, b, c,sea\n"), ("line 5: 4 fields, the header has 2",)),
    "a field too few": (".csv", line(9, b"only a text\n"), ("line 9: 1 fields, the header has 2",)),
    "a field too few, tsv": (".tsv", b"text\tlabel\na b\n", ("line 2: 1 fields",)),
    "unclosed quote": (
        ".csv",
        line(7, b'"a wave, high,sea\n'),
        ("line 7: broken quoting", "its opening quote is never closed"),
    ),
    "unclosed quote at the end": (".csv", line(25, b'"a wave, high,sea\n'), ("line 25: broken quoting",)),
    "quote within": (".csv", line(4, b'"a "wave", here",sea\n'), ("line 4: broken quoting",)),
    "unclosed header": (".csv", b'"text,label\na,b\n', ("line 1: broken quoting",)),
    "a cell without end": (
        ".csv",
        b'text,label\n"' + b"x" * 10_000_100 + b'",sea\n',
        ("line 2: a field has more than 10,000,000 characters",),
    ),
    "nul byte": (".csv", line(6, b"a \0 wave,sea\n"), ("line 6: contains a NUL", "the file may be damaged")),
    "nul bytes": (".csv", b"\0" * 500, ("line 1: contains a NUL",)),
    "utf-16 without mark": (".csv", GOOD[".csv"].decode().encode("utf-16-le"), ("'encoding' may be utf-16-le",)),
    "utf-16 big-endian": (".tsv", GOOD[".tsv"].decode().encode("utf-16-be"), ("'encoding' may be utf-16-be",)),
    "utf-16 cut off": (".csv", GOOD[".csv"].decode().encode("utf-16")[:-1], ("not UTF-16 near line 25", "damaged")),
    "windows": (".csv", line(8, "\xe9t\xe9,sea\n".encode("cp1252")), ("not UTF-8 near line 8", "may be cp1252")),
    "latin-1": (".csv", line(8, b"\x81\xe9t,sea\n"), ("not UTF-8 near line 8", "may be latin-1")),
    "half a character": (".csv", line(3, "é".encode()[:1] + b",sea\n"), ("not UTF-8 near line 3",)),
    "overlong": (".jsonl", b'{"text": "\xc0\xaf", "label": "a"}\n', ("not UTF-8 near line 1",)),
    "png": (".csv", b"\x89PNG\r\n\x1a\n" + bytes(64), ("bad.csv",)),
    "zip": (".csv", b"PK\x03\x04" + bytes(range(256)), ("bad.csv",)),
    "gzip": (".jsonl", b"\x1f\x8b\x08\x00" + bytes(range(256)), ("bad.jsonl: is a gzip file; decompress it",)),
    "parquet as csv": (".csv", GOOD[".parquet"], ("bad.csv",)),
    "csv as parquet": (".parquet", GOOD[".csv"], ("not a readable Parquet file",)),
    "csv as jsonl": (".jsonl", GOOD[".csv"], ("line 1: not valid JSON",)),
    "jsonl as csv": (".csv", GOOD[".jsonl"], ("no column 'text'",)),
    "empty text": (".csv", line(10, b",sea\n"), ("line 10: empty text (column text)",)),
    "blank text": (".csv", line(11, b"  \t ,sea\n"), ("line 11: empty text",)),
    "empty label": (".csv", line(12, b"a wave,\n"), ("line 12: empty label (column 'label')",)),
    "label of two lines": (".csv", line(13, b'a wave,"se\na"\n'), ("line 13: label 'se\\na'", "is invalid")),
    "label with colours": (".csv", line(13, b"a wave,\x1b[31msea\n"), ("line 13: label '\\x1b[31msea'",)),
    "label that is a text": (".csv", line(14, b"a wave," + b"sea " * 80 + b"\n"), ("line 14: label", "at most 200")),
    "one class": (".csv", csv_of([(text, "sea") for text, _ in ROWS]), ("only one class (sea)",)),
    "a class of one row": (".csv", GOOD[".csv"] + b"a root,soil\n", ("label 'soil' has 1 row(s)",)),
    "too few rows": (".csv", csv_of(ROWS[:6]), ("has 3 rows, fewer than train_per_class = 4",)),
    "every row its label": (".csv", csv_of([(t, f"l{i}") for i, (t, _) in enumerate(ROWS)]), ("has 1 row(s)",)),
    "json list": (".jsonl", json_line(3, b"[1, 2]"), ("line 3: expected a JSON object with text, label",)),
    "json string": (".jsonl", json_line(4, b'"text"'), ("line 4: expected a JSON object",)),
    "json null": (".jsonl", json_line(4, b"null"), ("line 4: expected a JSON object",)),
    "json cut off": (".jsonl", GOOD[".jsonl"][:-9], ("line 24: not valid JSON",)),
    "json with single quotes": (".jsonl", json_line(5, b"{'text': 'a'}"), ("line 5: not valid JSON",)),
    "json with a comma too many": (".jsonl", json_line(6, b'{"text": "a", "label": "b",}'), ("line 6: not valid",)),
    "one json array": (".jsonl", json.dumps([{"text": "a", "label": "b"}], indent=1).encode(), ("line 1: not valid",)),
    "json without label": (".jsonl", json_line(7, b'{"text": "a"}'), ("line 7: no key 'label' (has text)",)),
    "json with a key twice": (
        ".jsonl",
        json_line(8, b'{"text": "a", "text": "b", "label": "c"}'),
        ("line 8", "repeated"),
    ),
    "json number as text": (
        ".jsonl",
        json_line(9, b'{"text": 3, "label": "b"}'),
        ("line 9: column 'text' contains int",),
    ),
    "json list as text": (".jsonl", json_line(9, b'{"text": ["a"], "label": "b"}'), ("line 9", "contains list")),
    "json null as text": (".jsonl", json_line(9, b'{"text": null, "label": "b"}'), ("line 9: empty text",)),
    "json NaN as text": (".jsonl", json_line(9, b'{"text": NaN, "label": "b"}'), ("line 9", "contains float")),
    "json null as label": (".jsonl", json_line(9, b'{"text": "a", "label": null}'), ("line 9: empty label",)),
    "json NaN as label": (".jsonl", json_line(9, b'{"text": "a", "label": NaN}'), ("line 9: empty label",)),
    "json object as label": (".jsonl", json_line(9, b'{"text": "a", "label": {}}'), ("line 9", "of type dict")),
    "json half as label": (".jsonl", json_line(9, b'{"text": "a", "label": 0.5}'), ("line 9", "of type float")),
    "json surrogate": (
        ".jsonl",
        json_line(2, rb'{"text": "a \ud800", "label": "b"}'),
        ("line 2", "unpaired surrogate"),
    ),
    "json surrogate as label": (".jsonl", json_line(2, rb'{"text": "a", "label": "\udfff"}'), ("line 2", "is invalid")),
    "json nul": (".jsonl", json_line(2, rb'{"text": "a \u0000", "label": "b"}'), ("line 2", "NUL character")),
    "json too deep": (".jsonl", json_line(2, b'{"text": ' + b"[" * 100_000), ("line 2: not valid JSON",)),
    "json number without end": (
        ".jsonl",
        json_line(2, b'{"label": ' + b"9" * 5000 + b"}"),
        ("line 2: not valid JSON",),
    ),
    "parquet cut off": (".parquet", GOOD[".parquet"][:-20], ("Parquet file",)),
    "parquet without head": (".parquet", GOOD[".parquet"][4:], ("Parquet file",)),
    "parquet of zeros": (".parquet", b"PAR1" + bytes(100) + b"PAR1", ("Parquet file",)),
    "parquet footer too long": (".parquet", b"PAR1" + b"\xff\xff\xff\x7f" + b"PAR1", ("Parquet file",)),
    "text of numbers": (".parquet", text_column(range(24)), ("row 1: column 'text' contains int, expected text",)),
    "text of lists": (".parquet", text_column([["a"]] * 24), ("row 1: column 'text' contains list",)),
    "text of structs": (".parquet", text_column([{"a": "b"}] * 24), ("row 1: column 'text' contains dict",)),
    "text of bytes": (".parquet", text_column([b"\xff"] * 24), ("row 1: column 'text' contains bytes",)),
    "text of dates": (".parquet", text_column([10**9] * 24, pa.timestamp("s")), ("row 1", "expected text")),
    "text missing in a row": (".parquet", text_column([*TEXTS[:4], None, *TEXTS[5:]]), ("row 5: empty text",)),
    "label of lists": (".parquet", column([["a"]] * 24), ("row 1: label", "of type list")),
    "label of maps": (".parquet", column([[("a", 1)]] * 24, pa.map_("string", "int8")), ("row 1: label",)),
    "label of bytes": (".parquet", column([b"a"] * 24), ("row 1: label", "of type bytes")),
    "label of decimals": (".parquet", column([1] * 24, pa.decimal128(5, 2)), ("row 1: label", "of type Decimal")),
    "label of dates": (".parquet", column([0] * 24, pa.date32()), ("row 1: label", "of type date")),
    "label infinite": (".parquet", column([float("inf")] * 24), ("row 1: label 'inf'",)),
    "label missing in a row": (".parquet", column([*LABELS[:7], None, *LABELS[8:]]), ("row 8: empty label",)),
    "label of nulls": (".parquet", column([None] * 24), ("row 1: empty label",)),
    "excel": (".xlsx", b"PK", ("unknown file type '.xlsx'", "save the spreadsheet as CSV")),
    "text file": (".txt", b"a\n", ("unknown file type '.txt'; accepted: .csv, .tsv, .jsonl, .parquet",)),
    "compressed": (".gz", b"a\n", ("unknown file type '.gz'",)),
    "pickle": (".pkl", b"cos\nsystem\n(S'touch pwned'\ntR.", ("unknown file type '.pkl'",)),
}
"""Name, suffix, content, and what the line must say."""


def study_of(train: Path, test: Path, **changed: Any) -> Callable[[], None]:
    """What the rule prepare_texts does."""
    settings = Dataset(**{"train": str(train), "test": str(test), "train_per_class": 4, **changed})
    return lambda: prepare_texts(settings, train.parent / "out/train.parquet", train.parent / "out/test.parquet")


@pytest.fixture
def good(tmp_path: Path) -> Path:
    (tmp_path / "good.csv").write_bytes(GOOD[".csv"])
    return tmp_path / "good.csv"


@pytest.mark.parametrize("kind", GOOD)
def test_the_files_that_are_damaged_below_are_fine_to_begin_with(kind: str, good: Path):
    file = good.with_name(f"rows{kind}")
    file.write_bytes(GOOD[kind])
    study_of(file, good)()


@pytest.mark.parametrize("case", BAD)
def test_a_bad_training_file_is_refused_by_name_and_place(case: str, good: Path):
    suffix, content, said = BAD[case]
    bad = good.with_name(f"bad{suffix}")
    bad.write_bytes(content)
    refused(study_of(bad, good), good.parent, f"bad{suffix}", *said)


@pytest.mark.parametrize("case", ["nul byte", "json cut off", "two columns, parquet", "one class", "label of bytes"])
def test_a_bad_test_file_is_refused_before_anything_is_written(case: str, good: Path):
    suffix, content, _ = BAD[case]
    bad = good.with_name(f"bad{suffix}")
    bad.write_bytes(content if case != "one class" else content.replace(b",sea", b",space"))
    refused(study_of(good, bad), good.parent, f"bad{suffix}")


def test_bad_places_are_refused_and_nothing_waits_for_a_pipe(good: Path, monkeypatch: pytest.MonkeyPatch):
    folder = good.parent
    (folder / "folder.csv").mkdir()
    (folder / "loop.csv").symlink_to("loop.csv")
    (folder / "one.csv").symlink_to("two.csv")
    (folder / "two.csv").symlink_to("one.csv")
    (folder / "gone.csv").symlink_to("nowhere.csv")
    (folder / "zero.csv").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.csv")
    os.mkfifo(folder / "pipe.parquet")
    for name, said in (
        ("folder.csv", "is a folder"),
        ("loop.csv", "cannot be read"),
        ("one.csv", "cannot be read"),
        ("gone.csv", "no such file"),
        ("zero.csv", "is a pipe, a socket or a device"),
        ("pipe.csv", "is a pipe"),
        ("pipe.parquet", "is a pipe"),
        ("none.csv", "no such file"),
        ("good.csv/x.csv", "no such file"),
        ("n\0ul.csv", "no such file"),
        (f"{'x' * 300}.csv", "cannot be read"),
        ("none\n.csv", "none\\n.csv: no such file"),
        ("good", "unknown file type ''"),
    ):
        refused(study_of(folder / name, good), folder, said)
        if "\0" not in name:  # no argument of a command can hold it
            refused(lambda name=name: init(folder, str(folder / name)), folder, said)
    if os.getuid():  # root may read everything
        good.chmod(0)
        refused(study_of(good, good), folder, "good.csv: cannot be read (Permission denied)")
        good.chmod(0o600)
    monkeypatch.setattr(sources, "MAX_BYTES", 100)
    refused(study_of(good, good), folder, "good.csv: larger than")


def test_a_parquet_file_that_is_small_packed_and_huge_unpacked_is_refused(good: Path, monkeypatch: pytest.MonkeyPatch):
    bomb = good.with_name("bomb.parquet")
    count = 200_000
    words = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array(["a word " * 1000]))
    names = pa.array(["a", "b"] * (count // 2))
    pq.write_table(pa.table({"text": words, "label": names}), bomb, compression="zstd")
    assert bomb.stat().st_size < 100_000
    monkeypatch.setattr(sources, "MAX_BYTES", 10_000_000)
    refused(study_of(bomb, good), good.parent, "bomb.parquet: larger than", "decompressed")
    monkeypatch.setattr(sources, "MAX_ROWS", 1000)
    refused(study_of(bomb, good), good.parent, "bomb.parquet: 200,000 rows; at most 1,000 are accepted")


def test_labels_that_only_one_side_knows(good: Path):
    other = good.with_name("other.csv")
    other.write_bytes(csv_of([(text, "land") for text, _ in ROWS]))
    refused(study_of(good, other), good.parent, "other.csv, line 2: label 'land' is unknown (no training row has it")
    refused(study_of(good, good, label_names=["a", "b"]), good.parent, "line 2: label 'sea' is unknown (not among")
    refused(study_of(good, good, label_names=["sea", "sky", "land"]), good.parent, "label 'land' has 0 row(s)")
    refused(study_of(good, good, encoding="utf-16"), good.parent, "not UTF-16", "may be utf-8")
    refused(study_of(good, good, encoding="punycode"), good.parent, "good.csv")
    refused(study_of(good, good, text="none"), good.parent, "good.csv: no column 'none' (has text, label)")
    refused(study_of(good, good, label="a\nb"), good.parent, "no column 'a\\nb'")


# --- gendist init ---


def init(folder: Path, *arguments: str) -> None:
    """`gendist init` in a folder; a refusal is raised."""
    here = Path.cwd()
    os.chdir(folder)
    try:
        app(["init", "--yes", *arguments], standalone_mode=False)
    finally:
        os.chdir(here)


@pytest.mark.parametrize("case", BAD)
def test_init_refuses_a_bad_file_or_makes_a_study_that_reads_it(case: str, good: Path):
    from gendist.config import load_study

    suffix, content, _ = BAD[case]
    folder = good.parent / "own"
    folder.mkdir()
    (folder / f"mine{suffix}").write_bytes(content)
    if survived(lambda: init(folder, f"mine{suffix}", "--text", "text", "--label", "label"), folder):
        study = load_study(folder / "mine.yaml")
        data = study.datasets["mine"]
        prepare_texts(
            data.model_copy(update={"train": str(folder / data.train), "test": str(folder / data.test)}),
            folder / "out/train.parquet",
            folder / "out/test.parquet",
        )


@pytest.mark.parametrize("name", ["../x", "a b", "-x", "CON", "x.y", "é", "tables", "", "x" * 65, "a\nb", "$(id)"])
def test_init_refuses_names_that_are_no_part_of_a_path(name: str, good: Path):
    refused(lambda: init(good.parent, "good.csv", f"--name={name}"), good.parent, "is not accepted: use letters")


@pytest.mark.parametrize(
    "stem", ["con", "tables", "a b; rm -rf", "-x", "é é", "x\u2028datasets: {}", "'\"`$(id)", "..."]
)
def test_init_makes_a_safe_name_of_any_file(stem: str, good: Path):
    from gendist.config import load_study

    folder = good.parent / "own"
    folder.mkdir()
    good.rename(folder / f"{stem}.csv")
    init(folder, "--", f"{stem}.csv")
    (config,) = folder.glob("*.yaml")
    (name,) = load_study(config).datasets
    assert name.isascii() and name.lower() not in ("con", "tables")


COLUMNS = st.text(min_size=1, max_size=12).filter(lambda name: "\0" not in name and name.isprintable() and name.strip())


@given(text=COLUMNS, label=COLUMNS, cell=st.text(st.characters(codec="utf-8"), max_size=30))
@BOUNDED
def test_init_keeps_any_column_name_and_cell(
    text: str, label: str, cell: str, tmp_path_factory: pytest.TempPathFactory
):
    import csv

    from gendist.config import load_study

    if text == label:
        return
    folder = tmp_path_factory.mktemp("own")
    with (folder / "mine.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([text, label])
        writer.writerows([[f"{words} {cell}", name] for words, name in ROWS])
    if survived(lambda: init(folder, "mine.csv", f"--text={text}", f"--label={label}", "--encoding=utf-8"), folder):
        data = load_study(folder / "mine.yaml").datasets["mine"]
        assert (data.text, data.label) == ([text], label)
    shutil.rmtree(folder)


# --- gendist predict ---


@pytest.fixture(scope="module")
def classifier(exported: Path) -> TextClassifier:
    return TextClassifier.load(exported)


@pytest.mark.parametrize("case", BAD)
def test_predict_refuses_a_bad_file_or_labels_every_row_of_it(case: str, classifier: TextClassifier, tmp_path: Path):
    suffix, content, _ = BAD[case]
    file, out = tmp_path / f"bad{suffix}", tmp_path / "labels.csv"
    file.write_bytes(content)
    source = TextSource(str(file), None, ["text"])
    if survived(lambda: predict_file(classifier, source, str(out), all_classes=False, chunk=8), tmp_path):
        assert out.is_file()
    else:
        assert not out.exists()


@pytest.mark.parametrize("case", ["nul byte", "unclosed quote", "windows", "json cut off", "parquet cut off", "png"])
def test_predict_says_what_is_wrong_with_a_file(case: str, classifier: TextClassifier, tmp_path: Path):
    suffix, content, _ = BAD[case]
    file = tmp_path / f"bad{suffix}"
    file.write_bytes(content)
    source = TextSource(str(file), None, ["text"])
    refused(
        lambda: predict_file(classifier, source, str(tmp_path / "out.csv"), all_classes=False, chunk=8),
        tmp_path,
        f"bad{suffix}",
    )


# --- any damage ---


def damaged(data: st.DataObject, content: bytes) -> bytes:
    """Some bytes cut out, put in or replaced, at up to four places; or the end missing."""
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed)))
        bits = st.binary(max_size=6) | st.sampled_from(
            [b'"', b",", b"\n", b"\r", b"\t", b"\0", b"{", b"\\u", b"\xff", b";"]
        )
        changed[at : at + data.draw(st.integers(0, 8))] = data.draw(bits)
    return bytes(changed[: data.draw(st.integers(0, len(changed)))] if data.draw(st.booleans()) else changed)


@pytest.mark.parametrize("kind", GOOD)
@given(data=st.data())
@BOUNDED
def test_any_damage_is_taken_or_told_in_one_line(
    kind: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
):
    folder = tmp_path_factory.mktemp("damaged")
    file = folder / f"rows{kind}"
    (folder / "good.csv").write_bytes(GOOD[".csv"])
    file.write_bytes(damaged(data, GOOD[kind]))
    survived(study_of(file, folder / "good.csv"), folder)
    shutil.rmtree(folder)


def test_enough_distinct_inputs_are_refused():
    contents = {(suffix, content) for suffix, content, _ in BAD.values()}
    assert len(contents) == len(BAD) >= 90
    # Each through the study, `gendist init` and `gendist predict`; beside them what test_bad_configs.py counts.


def test_a_message_stays_one_line_whatever_it_quotes():
    error = GendistError("no column 'a\nb\x1b[2J\u202e\ud800' " + "x" * 5000 + " accepted: this")
    assert str(error).startswith(r"no column 'a\nb\x1b[2J\u202e\ud800' xxx")
    assert str(error).endswith("accepted: this") and len(str(error)) < 1000
