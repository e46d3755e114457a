"""A test file is not the training file, under whatever name, and repeated texts are reported."""

import os
import shutil
from pathlib import Path

import pytest

from gendist.config import Study, study_from
from gendist.errors import GendistError
from gendist.launcher.data_checks import require_data
from gendist.stages.texts.similar_labels import count_shared_texts

TRAIN = "text,label\na wave,sea\na tide,sea\na cloud,sky\na wing,sky\n"
TEST = "text,label\na shell,sea\na gust,sky\n"


def study(folder: Path, test: str = "test.csv", **changed: object) -> Study:
    """A study of ``train.csv`` and another file."""
    (folder / "train.csv").write_text(TRAIN)
    files = {"train": str(folder / "train.csv"), "test": str(folder / test)}
    return study_from({"datasets": {"toy": {**files, "train_per_class": 2, "synthetic": 2}}, **changed})


@pytest.mark.parametrize(
    "make", [None, os.symlink, os.link, shutil.copyfile], ids=["itself", "link", "hard link", "copy"]
)
def test_the_training_file_is_no_test_file(tmp_path: Path, make):
    name = "train.csv" if make is None else "other.csv"
    asked = study(tmp_path, name)
    if make is not None:
        make(tmp_path / "train.csv", tmp_path / name)
    how = {None: "is the training file", shutil.copyfile: f"is a copy of the training file {tmp_path}/train.csv"}
    expected = how.get(make, f"is the training file {tmp_path}/train.csv")
    with pytest.raises(GendistError) as caught:
        require_data(asked)
    assert str(caught.value) == (
        f"{tmp_path}/{name}: {expected}, so its accuracy would be that of known texts; expected a file of other rows "
        "(keys 'train' and 'test' of datasets.toy)"
    )


def test_the_rows_of_a_generator_are_no_test_file(tmp_path: Path):
    (tmp_path / "test.csv").write_text(TEST)
    asked = study(tmp_path, generators={"llm": {"rows": str(tmp_path / "test.csv")}})
    with pytest.raises(GendistError, match=r"test\.csv: is the generator's file, so .*'generators\.llm\.rows'\)$"):
        require_data(asked)


def test_a_hub_split_is_no_test_split_of_itself():
    with pytest.raises(GendistError, match="train_split and test_split are both 'train'; expected different rows"):
        study_from({"datasets": {"news": {"hub": "ag_news", "test_split": "train"}}})


@pytest.mark.parametrize(
    ("repeated", "others", "note"),
    [
        (0, 6, ""),
        (1, 99, ""),  # one in a hundred is nothing unusual
        (2, 98, "note: {test}: 2 of 100 texts are in {train} too; accuracy may be overestimated\n"),
        (4, 0, "note: {test}: 4 of 4 texts are in {train} too; accuracy may be overestimated\n"),
    ],
)
def test_repeated_texts_are_noted(tmp_path: Path, capsys, repeated: int, others: int, note: str):
    rows = ["A  Wave,sea", "a tide,sea", "a cloud,sky", "a wing,sky"][:repeated]
    rows += [f"shell {i},sea" for i in range(others)]
    (tmp_path / "test.csv").write_text("text,label\n" + "".join(f"{row}\n" for row in rows))
    require_data(study(tmp_path))
    files = {name: tmp_path / f"{name}.csv" for name in ("train", "test")}
    assert capsys.readouterr().err == note.format(**files)


def test_similar_labels_are_noted(tmp_path: Path):
    (tmp_path / "test.csv").write_text(TEST)
    asked = study(tmp_path)
    (tmp_path / "train.csv").write_text(TRAIN + "a sail,Sea\na pier,Sea\n")
    notes: list[str] = []
    require_data(asked, notes.append)
    labels = "labels 'Sea' and 'sea' are different classes; the dataset's key 'labels' can merge them"
    assert notes == [f"{tmp_path}/train.csv: {labels}"]


def test_shared_texts_are_counted_by_test_row():
    assert count_shared_texts(["A wave", "a tide", "a tide"], ["a  WAVE", "a wave", "\uff41 wave", "a wing"]) == 3
