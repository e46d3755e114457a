"""TF-IDF with a linear SVM on the real training rows (paper, Table 1, first row)."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

from gendist.errors import GendistError
from gendist.io.atomic_files import write_bytes
from gendist.io.checksums import verify_tensors, with_checksum
from gendist.io.json_files import read_json, write_json
from gendist.io.provenance import PROVENANCE_KEY, Provenance, hash_file
from gendist.stages.evaluation.predictor import Predictor
from gendist.stages.evaluation.runs import RunMetadata, write_run
from gendist.stages.texts.tables import read_texts

# Common defaults, chosen without a look at any test set. Single words only: pairs would add
# many features that occur once, which about 100 rows per class cannot weigh.
VECTORIZER = {"sublinear_tf": True}
WEIGHTS, WORDS = "svm.safetensors", "vocabulary.json"
SVM = {"C": 1.0, "max_iter": 10_000, "random_state": 0}


def fit_tfidf_svm(train: Path, test: Path, folder: Path, dataset: str) -> None:
    """Fit on the training rows, predict the test rows and write the run and its model.

    The run has no logits (the SVM gives no probabilities) and no seed (it has one solution).

    Args:
        train: texts file to learn from.
        test: texts file to predict.
        folder: run folder to write.
        dataset: the dataset's name in the tables.

    Raises:
        GendistError: if a file is missing or damaged, or the training rows hold no word or one class only.
    """
    rows, unseen = read_texts(train), read_texts(test)
    vectorizer = TfidfVectorizer(**VECTORIZER)
    svm = LinearSVC(**SVM)
    began = time.perf_counter()
    try:
        svm.fit(vectorizer.fit_transform(rows.texts), rows.labels)
    except ValueError as error:  # an empty vocabulary, or a single class
        raise GendistError(f"{train}: {str(error).splitlines()[0]}") from None
    seconds = time.perf_counter() - began
    provenance = Provenance(
        "baselines",
        inputs={"train": hash_file(train), "test": hash_file(test)},
        settings={"vectorizer": VECTORIZER, "svm": SVM},
    )
    _save(folder, vectorizer, svm, provenance)
    write_run(
        folder,
        RunMetadata(
            dataset=dataset,
            system="tfidf-svm",
            n_real=len(rows.texts),
            n_parameters=int(svm.coef_.size + svm.intercept_.size),
        ),
        unseen.ids,
        unseen.labels,
        svm.predict(vectorizer.transform(unseen.texts)),
        None,
        provenance,
        seconds,
    )


def load_tfidf_svm(folder: Path) -> Predictor:
    """Load the model of a run folder.

    Raises:
        GendistError: if a file is missing or damaged.
    """
    words = read_json(folder / WORDS)
    verify_tensors(folder / WEIGHTS)
    try:
        stored = load_file(folder / WEIGHTS)
        arrays = {name: stored[name] for name in ("idf", "coef", "intercept", "classes")}
    except (OSError, SafetensorError, KeyError) as error:
        raise GendistError(
            f"{folder / WEIGHTS}: missing or damaged ({error}); delete its folder and run again"
        ) from None
    vectorizer = TfidfVectorizer(**VECTORIZER, vocabulary=words)
    vectorizer.idf_ = arrays["idf"]
    svm = LinearSVC(**SVM)
    svm.coef_, svm.intercept_, svm.classes_ = arrays["coef"], arrays["intercept"], arrays["classes"]

    def predict(texts: Sequence[str]) -> np.ndarray:
        classes: np.ndarray = svm.predict(vectorizer.transform(texts))
        return classes

    return Predictor(predict, [folder / WEIGHTS, folder / WORDS], "scikit-learn")


def _save(folder: Path, vectorizer: TfidfVectorizer, svm: LinearSVC, provenance: Provenance) -> None:
    arrays = {"idf": vectorizer.idf_, "coef": svm.coef_, "intercept": svm.intercept_, "classes": svm.classes_}
    # Contiguous: the coefficients are in Fortran's order, which safetensors does not look at.
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    write_bytes(folder / WEIGHTS, save(arrays, {PROVENANCE_KEY: with_checksum(save(arrays), provenance.to_json())}))
    write_json(folder / WORDS, {word: int(place) for word, place in vectorizer.vocabulary_.items()})
