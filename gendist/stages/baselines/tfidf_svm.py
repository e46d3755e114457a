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
from gendist.stages.evaluation.run_folder import RunMetadata, write_run
from gendist.stages.texts.text_tables import read_texts

# Common defaults, not tuned on test rows. Unigrams only: most bigrams occur once in 100 rows per class.
VECTORIZER = {"sublinear_tf": True}
WEIGHTS_FILE, VOCABULARY_FILE = "svm.safetensors", "vocabulary.json"
SVM = {"C": 1.0, "max_iter": 10_000, "random_state": 0}


def fit_tfidf_svm(train: Path, test: Path, folder: Path, dataset: str) -> None:
    """Fit on the training rows, predict the test rows and write the run folder with the model.

    The run has no logits, because the SVM has no probabilities, and no seed, because its solution is unique.

    Args:
        train: Parquet file of training rows.
        test: Parquet file of test rows.
        folder: run folder to write.
        dataset: name of the dataset.

    Raises:
        GendistError: if a file is missing or damaged, or the training rows have no words or only one class.
    """
    rows, test_rows = read_texts(train), read_texts(test)
    vectorizer = TfidfVectorizer(**VECTORIZER)
    svm = LinearSVC(**SVM)
    start = time.perf_counter()
    try:
        svm.fit(vectorizer.fit_transform(rows.texts), rows.labels)
    except ValueError as error:  # an empty vocabulary, or a single class
        raise GendistError(f"{train}: {str(error).splitlines()[0]}") from None
    seconds = time.perf_counter() - start
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
        ids=test_rows.ids,
        labels=test_rows.labels,
        predicted=svm.predict(vectorizer.transform(test_rows.texts)),
        logits=None,
        provenance=provenance,
        train_seconds=seconds,
    )


def load_tfidf_svm(folder: Path) -> Predictor:
    """Load the model of a run folder.

    Raises:
        GendistError: if a file is missing or damaged.
    """
    vocabulary = read_json(folder / VOCABULARY_FILE)
    verify_tensors(folder / WEIGHTS_FILE)
    try:
        stored = load_file(folder / WEIGHTS_FILE)
        arrays = {name: stored[name] for name in ("idf", "coef", "intercept", "classes")}
    except (OSError, SafetensorError, KeyError) as error:
        raise GendistError(
            f"{folder / WEIGHTS_FILE}: missing or damaged ({error}); delete its folder and rerun"
        ) from None
    vectorizer = TfidfVectorizer(**VECTORIZER, vocabulary=vocabulary)
    vectorizer.idf_ = arrays["idf"]
    svm = LinearSVC(**SVM)
    svm.coef_, svm.intercept_, svm.classes_ = arrays["coef"], arrays["intercept"], arrays["classes"]

    def predict(texts: Sequence[str]) -> np.ndarray:
        classes: np.ndarray = svm.predict(vectorizer.transform(texts))
        return classes

    return Predictor(predict, [folder / WEIGHTS_FILE, folder / VOCABULARY_FILE], "scikit-learn")


def _save(folder: Path, vectorizer: TfidfVectorizer, svm: LinearSVC, provenance: Provenance) -> None:
    arrays = {"idf": vectorizer.idf_, "coef": svm.coef_, "intercept": svm.intercept_, "classes": svm.classes_}
    # safetensors ignores memory order; the coefficients are Fortran-ordered.
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    write_bytes(
        folder / WEIGHTS_FILE, save(arrays, {PROVENANCE_KEY: with_checksum(save(arrays), provenance.to_json())})
    )
    write_json(folder / VOCABULARY_FILE, {word: int(index) for word, index in vectorizer.vocabulary_.items()})
