"""FastText on the real training rows (paper, Table 1, second row; Joulin et al. 2016).

The library is floret, a maintained build of fastText.
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
from gendist.stages.evaluation.runs import RunMetadata, write_run
from gendist.stages.texts.tables import read_texts

LABEL = "__label__"
MODEL = "model.bin"
"""File of the model in fastText's own format, which holds numbers and words alone."""
# Few rows need many passes. Chosen by five-fold cross-validation within the training rows
# (100 per class) of newsbriefs and AG News, no test row seen: 50 passes beat 25 by 0.4 to 1.2
# points, 100 add less than a point, and word pairs cost 1 to 2 points and many times the weights.
# One thread: several race, and no two runs would agree.
SETTINGS: dict[str, Any] = {
    "epoch": 50,
    "lr": 0.5,
    "dim": 100,
    "wordNgrams": 1,
    "minCount": 1,
    "loss": "softmax",
    "thread": 1,
}
SMALLEST = 1e-5
"""Probability of a class that was not returned; fastText itself adds as much to each."""


def fit_fasttext(train: Path, test: Path, folder: Path, dataset: str, seed: int) -> None:
    """Fit on the training rows, predict the test rows and write the run and its model.

    The logits are log probabilities, in the order of the label names.

    Args:
        train: texts file to learn from.
        test: texts file to predict.
        folder: run folder to write.
        dataset: the dataset's name in the tables.
        seed: seed of the initial vectors and of the sampling.

    Raises:
        GendistError: if a file is missing or damaged.
    """
    rows, unseen = read_texts(train), read_texts(test)
    lines = [f"{LABEL}{label} {clean(text)}\n" for label, text in zip(rows.labels, rows.texts, strict=True)]
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "train.txt"
        source.write_text("".join(lines), encoding="utf-8", newline="\n")
        began = time.perf_counter()
        model = floret.train_supervised(input=str(source), label=LABEL, seed=seed, verbose=0, **SETTINGS)
        seconds = time.perf_counter() - began
    logits = _log_probabilities(model, unseen.texts, len(rows.label_names))
    with atomic_write(folder / MODEL) as part:
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
        unseen.ids,
        unseen.labels,
        logits.argmax(axis=1),
        logits,
        Provenance(
            "baselines",
            inputs={"train": hash_file(train), "test": hash_file(test)},
            settings=SETTINGS,
            seed=seed,
        ),
        seconds,
    )


def load_fasttext(folder: Path, classes: int) -> Predictor:
    """Load the model of a run folder, which knows ``classes`` classes.

    Raises:
        GendistError: if the file is missing or damaged.
    """
    try:
        model = floret.load_model(str(folder / MODEL))
    except ValueError as error:
        raise GendistError(f"{folder / MODEL}: missing or damaged ({error}); delete its folder and run again") from None
    return Predictor(lambda texts: _log_probabilities(model, texts, classes).argmax(1), [folder / MODEL], "floret")


def clean(text: str) -> str:
    """Lower-case and split into words and marks, on one line.

    An underscore becomes a space, so that no word of a text can pass for a label.
    """
    return " ".join(re.findall(r"\w+|[^\w\s]", text.lower().replace("_", " ")))


def _log_probabilities(model: Any, texts: Sequence[str], classes: int) -> np.ndarray:
    """Return log probabilities, (rows, classes) float32."""
    out = np.full((len(texts), classes), SMALLEST, dtype=np.float64)
    for row, text in enumerate(texts):
        # Past the Python face of floret 0.10.5: for a list of texts it repeats the top class's
        # probability for all classes, and for a single text it fails under numpy 2.
        for probability, name in model.f.predict(f"{clean(text)}\n", -1, 0.0, "strict"):
            out[row, int(name.removeprefix(LABEL))] = max(probability, SMALLEST)
    return np.log(out).astype(np.float32)
