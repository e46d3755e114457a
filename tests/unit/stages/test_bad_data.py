"""Data files of a study that are damaged or not what they should be."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bad_data_files import BAD, GOOD, ROWS, csv_of, init
from bad_inputs import BOUNDED, refused, survived
from hypothesis import given
from hypothesis import strategies as st

from gendist.config.dataset_settings import Dataset
from gendist.errors import GendistError
from gendist.stages.texts import raw_rows as sources
from gendist.stages.texts.prepare_texts import prepare_texts


def study_of(train: Path, test: Path, **changed: Any) -> Callable[[], None]:
    """What the rule prepare_texts does."""
    settings = Dataset(**{"train": str(train), "test": str(test), "train_per_class": 4, **changed})
    return lambda: prepare_texts(settings, train.parent / "out/train.parquet", train.parent / "out/test.parquet")


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
def test_any_damage_of_a_data_file_is_accepted_or_one_line(
    kind: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
):
    folder = tmp_path_factory.mktemp("damaged")
    file = folder / f"rows{kind}"
    (folder / "good.csv").write_bytes(GOOD[".csv"])
    file.write_bytes(damaged(data, GOOD[kind]))
    survived(study_of(file, folder / "good.csv"), folder)
    shutil.rmtree(folder)


def test_at_least_90_invalid_data_files_are_tried():
    contents = {(suffix, content) for suffix, content, _ in BAD.values()}
    assert len(contents) == len(BAD) >= 90

    # Each through the study, `gendist init` and `gendist predict`; beside them what test_bad_configs.py counts.


def test_a_message_stays_one_line_whatever_it_quotes():
    error = GendistError("no column 'a\nb\x1b[2J\u202e\ud800' " + "x" * 5000 + " accepted: this")
    assert str(error).startswith(r"no column 'a\nb\x1b[2J\u202e\ud800' xxx")
    assert str(error).endswith("accepted: this") and len(str(error)) < 1000
