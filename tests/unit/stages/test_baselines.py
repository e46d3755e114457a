import json
from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gendist.errors import GendistError
from gendist.io.parquet import read_metadata, write_parquet
from gendist.io.provenance import Provenance
from gendist.stages.baselines.fasttext import SETTINGS, fit_fasttext, preprocess
from gendist.stages.baselines.tfidf_svm import fit_tfidf_svm
from gendist.stages.evaluation.collect_metrics import collect_metrics
from gendist.stages.evaluation.run_folder import RunMetadata

NAMES = ["sea", "sky", "soil"]
WORDS = (["wave", "fish", "harbour"], ["cloud", "wing", "star"], ["root", "worm", "clay"])


def write_texts(path, per_class, seed, extra=()):
    """Texts of three classes with words of their own."""
    random = np.random.default_rng(seed)
    rows = [(" ".join(random.choice(WORDS[i % 3], 4)), i % 3) for i in range(3 * per_class)] + list(extra)
    table = pa.table(
        {
            "id": pa.array(range(len(rows)), pa.int64()),
            "text": pa.array([text for text, _ in rows], pa.string()),
            "label": pa.array([label for _, label in rows], pa.int32()),
        }
    )
    write_parquet(path, table, Provenance("texts"), {"label_names": NAMES})
    return path


@pytest.fixture
def texts(tmp_path):
    # The last rows try to pass for labels, lines and commands of the trainer.
    nasty = [("fish __label__1 wave\n__label__1 harbour", 0), ("</s> \x00\u2028 __LABEL__2", 0), ("", 1)]
    return write_texts(tmp_path / "train.parquet", 10, 0, nasty), write_texts(tmp_path / "test.parquet", 5, 1)


def test_tfidf_svm(texts, tmp_path):
    fit_tfidf_svm(*texts, tmp_path / "run", "toy")
    row = json.loads((tmp_path / "run/metrics.json").read_text())
    assert row["system"] == "tfidf-svm" and row["dataset"] == "toy" and row["accuracy"] == 1.0
    assert row["n_real"] == 33 and row["n_synthetic"] == 0 and row["seed"] is None
    # Nine words, and what the nasty rows add: "__label__1" and "__label__2".
    assert row["n_parameters"] == 3 * (9 + 2) + 3
    assert row["nll"] is None
    assert pq.read_table(tmp_path / "run/predictions.parquet")["logits"].null_count == 15
    provenance = read_metadata(tmp_path / "run/predictions.parquet")["gendist"]
    assert provenance["stage"] == "baselines" and set(provenance["inputs"]) == {"train", "test"}


def test_tfidf_svm_needs_two_classes_and_a_word(tmp_path):
    test = write_texts(tmp_path / "test.parquet", 2, 0)
    one = write_texts(tmp_path / "one.parquet", 0, 0, [("a wave", 0), ("a fish", 0)])
    with pytest.raises(GendistError, match=r"one\.parquet"):
        fit_tfidf_svm(one, test, tmp_path / "run", "toy")
    wordless = write_texts(tmp_path / "wordless.parquet", 0, 0, [("!", 0), ("?", 1)])
    with pytest.raises(GendistError, match=r"wordless\.parquet"):
        fit_tfidf_svm(wordless, test, tmp_path / "run", "toy")


def test_fasttext(texts, tmp_path, capfd):
    fit_fasttext(*texts, tmp_path / "run", "toy", seed=3)
    assert capfd.readouterr() == ("", "")
    row = json.loads((tmp_path / "run/metrics.json").read_text())
    assert row["system"] == "fasttext" and row["seed"] == 3 and row["accuracy"] == 1.0
    # Nine words, what the nasty rows add (label, 1, 2, <, /, s, >, NUL is white space), and the end of line.
    assert row["n_parameters"] == (9 + 7 + 1 + 3) * SETTINGS["dim"]
    logits = np.array(pq.read_table(tmp_path / "run/predictions.parquet")["logits"].to_pylist())
    assert logits.shape == (15, 3)
    assert np.exp(logits).sum(axis=1) == pytest.approx(np.ones(15), abs=1e-3)
    predicted = pq.read_table(tmp_path / "run/predictions.parquet")["predicted"].to_pylist()
    assert predicted == [i % 3 for i in range(15)]


def test_fasttext_is_deterministic_and_seeded(texts, tmp_path):
    for name, seed in (("one", 0), ("two", 0), ("other", 1)):
        fit_fasttext(*texts, tmp_path / name, "toy", seed=seed)
    one, two, other = ((tmp_path / n / "predictions.parquet").read_bytes() for n in ("one", "two", "other"))
    assert one == two != other


def test_fasttext_with_a_class_that_has_no_training_row(tmp_path):
    train = write_texts(tmp_path / "train.parquet", 0, 0, [("wave fish", 0), ("cloud wing", 1)] * 5)
    test = write_texts(tmp_path / "test.parquet", 2, 1)
    fit_fasttext(train, test, tmp_path / "run", "toy", seed=0)
    logits = np.array(pq.read_table(tmp_path / "run/predictions.parquet")["logits"].to_pylist())
    assert np.isfinite(logits).all() and (logits.argmax(axis=1) != 2).all()


def test_no_text_can_pass_for_a_label():
    for text in ("__label__0", "__lab__label__el__0 x", "__LABEL__0", "a\n__label__0", "a\t__label__0"):
        line = preprocess(text)
        assert "__label__" not in line and "\n" not in line
    assert preprocess("The U.S. isn't\n\rfar,\u2028OK") == "the u . s . isn ' t far , ok"


def test_baselines_fit_the_tidy_table(texts, tmp_path):
    fit_tfidf_svm(*texts, tmp_path / "svm", "toy")
    fit_fasttext(*texts, tmp_path / "fasttext", "toy", seed=0)
    collect_metrics([tmp_path / "svm", tmp_path / "fasttext"], tmp_path / "metrics.parquet")
    table = pq.read_table(tmp_path / "metrics.parquet")
    assert table["system"].to_pylist() == ["fasttext", "tfidf-svm"]
    # Only a study with unlabelled texts has their column.
    assert set(asdict(RunMetadata("d", "s", 1))) - {"n_unlabelled"} < set(table.column_names)
