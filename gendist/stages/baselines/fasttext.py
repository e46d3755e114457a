"""FastText on the real training rows (paper, Table 1, second row; Joulin et al. 2016).

Uses floret, a maintained build of fastText.
"""

import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import floret
import numpy as np

from gendist.errors import GendistError
from gendist.io.atomic_files import atomic_write
from gendist.io.provenance import Provenance, hash_file
from gendist.stages.evaluation.predictor import Predictor
from gendist.stages.evaluation.run_folder import RunMetadata, write_run
from gendist.stages.texts.text_tables import read_texts

LABEL_PREFIX = "__label__"
MODEL_FILE = "model.bin"
"""Model file in fastText's format; contains only numbers and words."""
# Few rows need many epochs. Chosen by five-fold cross-validation on the training rows (100 per class) of
# newsbriefs and AG News: 50 epochs beat 25 by 0.4 to 1.2 points, 100 add less than a point; word bigrams
# cost 1 to 2 points and many times the weights. One thread, because lock-free updates are not deterministic.
SETTINGS: dict[str, Any] = {
    "epoch": 50,
    "lr": 0.5,
    "dim": 100,
    "wordNgrams": 1,
    "minCount": 1,
    "loss": "softmax",
    "thread": 1,
}
MIN_PROBABILITY = 1e-5
"""Probability of classes that fastText does not return; fastText adds the same to each class."""


def fit_fasttext(train: Path, test: Path, folder: Path, dataset: str, *, seed: int) -> None:
    """Fit on the training rows, predict the test rows and write the run folder with the model.

    The logits are log probabilities, in label order.

    Args:
        train: Parquet file of training rows.
        test: Parquet file of test rows.
        folder: run folder to write.
        dataset: name of the dataset.
        seed: seed of initialisation and sampling.

    Raises:
        GendistError: if a file is missing or damaged.
    """
    rows, test_rows = read_texts(train), read_texts(test)
    lines = [f"{LABEL_PREFIX}{label} {preprocess(text)}\n" for label, text in zip(rows.labels, rows.texts, strict=True)]
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary) / "train.txt"
        source.write_text("".join(lines), encoding="utf-8", newline="\n")
        start = time.perf_counter()
        model = floret.train_supervised(input=str(source), label=LABEL_PREFIX, seed=seed, verbose=0, **SETTINGS)
        seconds = time.perf_counter() - start
    logits = _log_probabilities(model, test_rows.texts, len(rows.label_names))
    with atomic_write(folder / MODEL_FILE) as part:
        model.save_model(str(part))
    write_run(
        folder,
        RunMetadata(
            dataset=dataset,
            system="fasttext",
            n_real=len(rows.texts),
            seed=seed,
            # (words, dim) and (classes, dim)
            n_parameters=int(model.get_input_matrix().size + model.get_output_matrix().size),
        ),
        ids=test_rows.ids,
        labels=test_rows.labels,
        predicted=logits.argmax(axis=1),
        logits=logits,
        provenance=Provenance(
            "baselines",
            inputs={"train": hash_file(train), "test": hash_file(test)},
            settings=SETTINGS,
            seed=seed,
        ),
        train_seconds=seconds,
    )


def load_fasttext(folder: Path, classes: int) -> Predictor:
    """Load the model of a run folder with ``classes`` classes.

    Raises:
        GendistError: if the file is missing or damaged.
    """
    try:
        model = floret.load_model(str(folder / MODEL_FILE))
    except ValueError as error:
        raise GendistError(
            f"{folder / MODEL_FILE}: missing or damaged ({error}); delete its folder and rerun"
        ) from None
    return Predictor(lambda texts: _log_probabilities(model, texts, classes).argmax(1), [folder / MODEL_FILE], "floret")


def preprocess(text: str) -> str:
    """Lower-case and separate words and punctuation, on one line.

    Underscores become spaces, so that no word starts with the label prefix.
    """
    return " ".join(re.findall(r"\w+|[^\w\s]", text.lower().replace("_", " ")))


def _log_probabilities(model: Any, texts: Sequence[str], classes: int) -> np.ndarray:
    """Return log probabilities, (rows, classes) float32."""
    probabilities = np.full((len(texts), classes), MIN_PROBABILITY, dtype=np.float64)
    for row, text in enumerate(texts):
        # Bypasses the Python wrapper of floret 0.10.5, which returns wrong probabilities for a list of
        # texts, and fails for a single text under numpy 2.
        for probability, name in model.f.predict(f"{preprocess(text)}\n", -1, 0.0, "strict"):
            probabilities[row, int(name.removeprefix(LABEL_PREFIX))] = max(probability, MIN_PROBABILITY)
    return np.log(probabilities).astype(np.float32)
