"""TF-IDF with a linear SVM on the real training rows (paper, Table 1, first row)."""

import time
from pathlib import Path

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

from gendist.artifacts import Provenance, hash_file
from gendist.errors import GendistError
from gendist.evaluation.runs import RunRow, write_run
from gendist.texts.tables import read_texts

# Common defaults, chosen without a look at any test set. Single words only: pairs would add
# many features that occur once, which about 100 rows per class cannot weigh.
VECTORIZER = {"sublinear_tf": True}
SVM = {"C": 1.0, "max_iter": 10_000, "random_state": 0}


def fit_tfidf_svm(train: Path, test: Path, folder: Path, dataset: str) -> None:
    """Fit on the training rows, predict the test rows and write the run.

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
    write_run(
        folder,
        RunRow(
            dataset=dataset,
            system="tfidf-svm",
            n_real=len(rows.texts),
            n_parameters=int(svm.coef_.size + svm.intercept_.size),
        ),
        unseen.ids,
        unseen.labels,
        svm.predict(vectorizer.transform(unseen.texts)),
        None,
        Provenance(
            "baselines",
            inputs={"train": hash_file(train), "test": hash_file(test)},
            settings={"vectorizer": VECTORIZER, "svm": SVM},
        ),
        seconds,
    )
