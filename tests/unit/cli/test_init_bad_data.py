"""``gendist init`` with files that are damaged or not what they should be."""

import shutil
from pathlib import Path

import pytest
from bad_data_files import BAD, ROWS, init
from bad_inputs import BOUNDED, refused, survived
from hypothesis import given
from hypothesis import strategies as st

from gendist.stages.texts.prepare_texts import prepare_texts


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
