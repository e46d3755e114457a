"""``gendist init``: rows without labels join the study."""

from pathlib import Path

import pytest
from init_fixtures import PLAIN, as_csv, gendist, prepared, refused, sentence, worked

from gendist.cli import init as init_module
from gendist.config import load_study
from gendist.stages.texts.prepare_unlabelled import prepare_unlabelled
from gendist.stages.texts.text_tables import read_unlabelled

pytestmark = pytest.mark.usefixtures("folder")


def unlabelled_of(config: str) -> tuple[int, list[str]]:
    """The number of unlabelled rows that the config asks for, and what the study draws."""
    prepared(config)
    ((_, dataset),) = load_study(Path(config)).datasets.items()
    prepare_unlabelled(dataset, Path("out/train.parquet"), Path("out/test.parquet"), Path("out/unlabelled.parquet"))
    return dataset.n_unlabelled, read_unlabelled(Path("out/unlabelled.parquet"))[1]


def test_a_file_of_rows_without_labels_joins_the_study(folder: Path):
    (folder / "a.csv").write_text(as_csv(["text", "label"], PLAIN))
    rows = [("x", sentence(9000 + i)) for i in range(30)] + [("y", PLAIN[0][0].upper()), ("z", " ")]
    (folder / "more.csv").write_text(as_csv(["note", "text"], rows, ";"))
    said = worked("a.csv", "--unlabelled", "more.csv", "--yes")
    assert "unlabelled: 30 rows" in said and "data/a-unlabelled.csv" in said
    assert "note: more.csv, without labels: left out 1 row(s): empty text (line 33)" in said
    assert unlabelled_of("a.yaml")[0] == 30
    assert sorted(unlabelled_of("a.yaml")[1]) == sorted(text for _, text in rows[:30])


def test_rows_whose_label_is_empty_are_offered_where_there_are_many(folder: Path, monkeypatch: pytest.MonkeyPatch):
    rows = [(sentence(9000 + i), "") for i in range(120)]
    (folder / "a.csv").write_text(as_csv(["text", "label"], [*PLAIN, *rows]))
    said = worked("a.csv", "--yes")
    assert "unlabelled: 120 rows" in said and "empty label" not in said
    assert unlabelled_of("a.yaml")[0] == 120
    monkeypatch.setattr(init_module, "is_interactive", lambda: True)
    options = ["a.csv", "--text", "text", "--label", "label", "--force"]
    asked = gendist(*options, typed="n\n")
    assert asked.exception is None and "120 rows have a text but no label" in asked.output
    assert "left out 120 row(s): empty label" in asked.output and "unlabelled:" not in Path("a.yaml").read_text()
    assert "unlabelled: data/a-unlabelled.csv" in (gendist(*options, typed="\n"), Path("a.yaml").read_text())[1]


def test_a_few_rows_without_a_label_are_left_out(folder: Path):
    (folder / "a.csv").write_text(as_csv(["text", "label"], [*PLAIN, ("no label here", "")]))
    assert "note: left out 1 row(s): empty label" in worked("a.csv", "--yes")
    assert "unlabelled" not in Path("a.yaml").read_text()


def test_files_of_rows_without_labels_that_cannot_be_used_end_in_one_line(folder: Path):
    (folder / "a.csv").write_text(as_csv(["text", "label"], PLAIN))
    for content, message in (
        (as_csv(["body"], [("some text here",)]), "more.csv: no column 'text' (has 'body')"),
        (as_csv(["text"], [(PLAIN[3][0],)]), "more.csv: no row with a text that is not among the labelled ones"),
    ):
        (folder / "more.csv").write_text(content)
        assert refused("a.csv", "--unlabelled", "more.csv", "--yes") == message
        assert not Path("a.yaml").exists()
