import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from quality_fixtures import MADE, ROWS, logits_for, write_pool
from safetensors.torch import load_file

from gendist.config import study_from
from gendist.config.student_settings import RowFilters, Student, Training
from gendist.errors import GendistError
from gendist.io.parquet import read_metadata
from gendist.naming import RunKey
from gendist.stages.students.distil_student import distil_seeds, student_metadata
from gendist.stages.students.row_filters import RowFilter, filter_rows, first_rows_per_class, top_probabilities
from gendist.stages.students.training_rows import SyntheticFiles, assemble_training_rows
from gendist.stages.texts.text_tables import read_texts

SURENESS = [9, 9, 4, 9, 1, 4, 0.5, 4, 4, 9]
"""Of each row: its class has a probability of .45 in row 6, .58 in row 4, and more than .96 in the others."""
CLASSES = [0, 0, 0, 0, 0, 0, 1, 1, 2, 0]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    logits = [logits_for(label, sure) for label, sure in zip(CLASSES, SURENESS, strict=True)]
    return write_pool(tmp_path_factory.mktemp("pool"), logits=logits).pool


def kept(files, count=10, least=1, repeats=True, regime="synthetic", **filters):
    """Rows that stay, found by their texts, with their classes."""
    synthetic = SyntheticFiles(files.shards, files.logits, count, files.repeats if repeats else None)
    selection = RowFilter(RowFilters(**filters), least, "trainings.some.keep")
    rows = assemble_training_rows(
        regime, read_texts(files.train), real_logits=files.train_logits, synthetic=synthetic, row_filter=selection
    )
    made = rows.texts[rows.n_real :]
    targets = rows.labels if rows.logits is None else rows.logits.argmax(1)
    places = [MADE.index(text) if MADE.index(text) != 2 else None for text in made]
    # Rows 2 and 9 are equal; the later one is the second.
    seen = iter([2, 9])
    places = [next(seen) if place is None else place for place in places]
    assert targets[rows.n_real :].tolist() == [CLASSES[i] for i in places]
    return places


def without(*dropped):
    return [row for row in ROWS if row not in dropped]


@pytest.mark.parametrize("regime", ["synthetic", "gendist", "hard"])
@pytest.mark.parametrize(
    ("filters", "rows"),
    [
        ({}, ROWS),
        ({"drop_duplicates": True}, without(1, 2, 9)),
        ({"drop_copies": True}, without(4, 5, 6)),
        ({"drop_duplicates": True, "drop_copies": True}, [0, 7, 8]),
        ({"min_confidence": 0.5}, without(6)),
        ({"min_confidence": 0.9}, without(4, 6)),
        # Classes of the nine rows: six, two, one; three of each at most.
        ({"balance": True}, [0, 1, 2, 6, 7, 8]),
        # One after the other: six rows are left, 0, 1, 2, 7, 8 and 9; at most two of a class.
        ({"min_confidence": 0.9, "drop_copies": True, "balance": True}, [0, 1, 7, 8]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_exactly_the_expected_rows_stay(files, filters, rows, regime):
    assert kept(files, regime=regime, **filters) == rows


def test_balance_counts_what_earlier_filters_left(files):
    # Of the nine rows, 0, 5, 7 and 8 are sure and no duplicates: two of a class at most, where all nine allow three.
    assert kept(files, min_confidence=0.9, drop_duplicates=True, balance=True) == [0, 5, 7, 8]


def test_other_regimes_and_real_rows_are_left_alone(files):
    real = read_texts(files.train)
    synthetic = SyntheticFiles(files.shards, files.logits, 10, files.repeats)
    selection = RowFilter(RowFilters(drop_copies=True, min_confidence=0.99), 99)
    for regime in ("scratch", "dist"):
        assert (
            assemble_training_rows(
                regime, real, real_logits=files.train_logits, synthetic=synthetic, row_filter=selection
            ).texts
            == real.texts
        )
    rows = assemble_training_rows(
        "gendist",
        real,
        real_logits=files.train_logits,
        synthetic=synthetic,
        row_filter=RowFilter(RowFilters(drop_copies=True)),
    )
    assert rows.texts[:4] == real.texts and rows.n_real == 4


def test_probabilities_and_shares_by_hand():
    assert top_probabilities(np.array([[0.0, 0, 0], [1e4, 0, 0]], np.float32)).tolist() == [pytest.approx(1 / 3), 1]
    labels = np.array([0, 0, 1, 0, 0, 1, 0])
    assert first_rows_per_class(labels, 2).tolist() == [True, True, True, True, True, True, False]  # 3.5 is 4 rows
    assert first_rows_per_class(labels, 7).tolist() == [True, False, True, False, False, False, False]


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        (
            {"drop_copies": True},
            r"trainings\.some\.keep\.drop_copies: leaves 6 of 9 synthetic rows, fewer than a batch",
        ),
        (
            {"min_confidence": 0.999},
            r"keep\.min_confidence: leaves 3 of 9 synthetic rows, fewer than a batch \(7\); relax",
        ),
        ({"min_confidence": 0.5, "balance": True}, r"keep\.balance: leaves 5 of 9"),
    ],
)
def test_too_few_rows_are_refused_in_one_line_that_names_the_key(files, filters, message):
    with pytest.raises(GendistError, match=message) as caught:
        kept(files, least=7, **filters)
    assert "\n" not in str(caught.value)


def test_repeats_of_other_rows_are_refused(files):
    with pytest.raises(GendistError, match=r"some\.keep: no file that marks repeated rows"):
        kept(files, repeats=False, drop_copies=True)
    with pytest.raises(GendistError, match=r"repeats\.parquet: has other row numbers than the generated rows"):
        kept(files, count=8, drop_copies=True)
    assert kept(files, repeats=False, min_confidence=0.5) == without(6)  # not needed for that


def test_rows_are_chosen_alike_every_time():
    logits = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    selection = RowFilter(RowFilters(min_confidence=0.4, balance=True))
    one, two = (filter_rows(selection, np.arange(200), logits, None).tolist() for _ in "12")
    assert one == two == sorted(one) and 0 < len(one) < 200


# --- a student's run ---


def distil(folder, files, subwords, training, repeats):
    row = student_metadata(RunKey("toy", "kim", "gendist", "t.g.full.strict", len(MADE), 0))
    synthetic = SyntheticFiles(files.shards, files.logits, len(MADE), repeats)
    student = Student(filters=4)
    distil_seeds(
        {0: folder},
        row,
        train=files.train,
        test=files.test,
        embeddings=subwords,
        student=student,
        training=training,
        train_logits=files.train_logits,
        synthetic=synthetic,
    )
    return json.loads((folder / "student.json").read_text()), json.loads((folder / "metrics.json").read_text())


def test_a_run_says_how_many_rows_it_kept(files, subwords, tmp_path, caplog):
    quick = {"epochs": 1, "min_steps": 2, "batch_size": 2}
    strict = Training(**quick, keep=RowFilters(drop_duplicates=True))
    caplog.set_level("INFO")
    all_rows, _ = distil(tmp_path / "all", files, subwords, Training(**quick), None)
    some, metrics = distil(tmp_path / "some", files, subwords, strict, files.repeats)
    assert all_rows["trained_on"] == {"real": 4, "synthetic": 9} and some["trained_on"] == {"real": 4, "synthetic": 6}
    assert metrics["n_synthetic"] == len(MADE)  # of the pool, as in the path
    assert "trainings.strict.keep.drop_duplicates: 6 of 9 synthetic rows remain" in caplog.text
    record = read_metadata(tmp_path / "some/predictions.parquet")["gendist"]
    assert record["settings"]["training"]["keep"]["drop_duplicates"] and "repeats" in record["inputs"]
    assert "repeats" not in read_metadata(tmp_path / "all/predictions.parquet")["gendist"]["inputs"]
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("all", "some")]
    assert any((weights[0][key] != weights[1][key]).any() for key in weights[0])
    with pytest.raises(GendistError, match=r"trainings\.strict\.keep\.drop_duplicates: leaves 6 of 9"):
        distil(tmp_path / "none", files, subwords, strict.model_copy(update={"batch_size": 8}), files.repeats)


def test_reading_the_marks_loads_nothing_heavy(files):
    program = """
import sys
from pathlib import Path
import numpy as np
from gendist.stages.students.row_filters import RowFilter, filter_rows
from gendist.config.student_settings import RowFilters
row_filter = RowFilter(RowFilters(drop_duplicates=True, drop_copies=True))
filter_rows(row_filter, np.array(eval(sys.argv[2])), np.zeros((9, 3)), Path(sys.argv[1]))
print([name for name in ("torch", "datasketch", "sklearn", "scipy", "jinja2", "matplotlib") if name in sys.modules])
"""
    command = [sys.executable, "-c", program, str(files.repeats), str(ROWS)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "[]"


# --- the config ---


def study(**keep):
    dataset = {"train": "a.csv", "test": "b.csv"}
    return study_from({"datasets": {"a": dataset}, "trainings": {"default": {}, "some": {"keep": keep}}})


def test_filters_are_settings_of_a_training():
    assert study().trainings["some"].keep == RowFilters() == Training().keep
    assert study(drop_copies=True).trainings["some"].keep.reads_repeats
    assert not study(min_confidence=0.8, balance=True).trainings["some"].keep.reads_repeats


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        ({"min_confidence": 1.5}, r"key 'trainings\.some\.keep\.min_confidence' is 1\.5; input should be less than 1"),
        ({"balance": "often"}, r"key 'trainings\.some\.keep\.balance' is 'often'"),
        (
            {"min_confidense": 0.5},
            r"unknown key 'trainings\.some\.keep\.min_confidense' \(did you mean 'min_confidence'\?\); accepted",
        ),
    ],
)
def test_mistakes_in_filters_are_named(keep, message):
    with pytest.raises(GendistError, match=message):
        study(**keep)


def test_the_filter_study_compares_each_filter_with_the_default():
    from gendist.config import load_study
    from gendist.config.study_plan import named_variants, planned_runs

    study = load_study(Path(__file__).parents[3] / "configs/filters.yaml")
    names = named_variants(study)["training"]
    used = {key for name in names for key, value in study.trainings[name].keep.model_dump().items() if value}
    assert study.trainings["default"].keep == RowFilters() and used == set(RowFilters.model_fields)
    variants = [run.variant.rpartition(".")[2] for run in planned_runs(study) if run.regime == "gendist"]
    assert all(variants.count(name) == 5 for name in ["default", *names])
