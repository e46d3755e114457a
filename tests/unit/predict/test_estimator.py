"""Predictions of an exported student: the scikit-learn estimator."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from prediction_texts import LABELS, TEXTS
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks
from toy_texts import NAMES

from gendist.predict.classifier import TextClassifier
from gendist.predict.estimator import DistilledClassifier
from gendist.stages.texts.text_tables import read_texts

# --- the estimator ---


def test_the_estimator_agrees_with_the_class(exported: Path, classifier: TextClassifier):
    estimator = DistilledClassifier(exported)
    with pytest.raises(NotFittedError):
        estimator.predict(TEXTS)
    labels = np.array(NAMES)[LABELS]
    assert estimator.fit(TEXTS, labels) is estimator
    assert estimator.predict(np.array(TEXTS)[:, None]).tolist() == classifier.predict(TEXTS).tolist()
    assert (estimator.predict_proba(TEXTS) == classifier.predict_proba(TEXTS)).all()
    assert estimator.score(TEXTS, labels) > 0.9


def test_the_estimator_works_where_scikit_learn_s_do(exported: Path):
    labels = np.array(NAMES)[LABELS]
    shouting = [text.upper() for text in TEXTS]
    pipeline = make_pipeline(
        FunctionTransformer(lambda texts: [t.lower() for t in texts]), DistilledClassifier(exported)
    )
    assert cross_val_score(pipeline, shouting, labels, cv=3).mean() > 0.9
    copy = clone(DistilledClassifier(exported, int8=False, threads=2))
    assert copy.get_params() == {"folder": exported, "int8": False, "threads": 2}
    assert copy.set_params(int8=True).int8


def test_pickles_hold_the_path_and_not_the_weights(exported: Path):
    fitted = DistilledClassifier(str(exported)).fit()
    content = pickle.dumps(fitted)
    assert len(content) < 2000
    assert pickle.loads(content).predict(TEXTS).tolist() == fitted.predict(TEXTS).tolist()
    with pytest.raises(NotFittedError):
        pickle.loads(pickle.dumps(DistilledClassifier(str(exported)))).predict(TEXTS)


@pytest.mark.parametrize(
    ("texts", "labels", "message"),
    [
        (["a", "b"], ["sea", "lava"], "label 'lava' is not one of the model's classes: sea, sky, soil"),
        (["a", "b"], ["sea"], "2 texts, but 1 labels"),
    ],
)
def test_labels_that_do_not_fit_are_refused(exported: Path, texts: list[str], labels: list[str], message: str):
    with pytest.raises(ValueError, match=message):
        DistilledClassifier(exported).fit(texts, labels)


@pytest.mark.parametrize(
    ("texts", "message"),
    [("a wave", "got one text"), ([["a", "b"]], r"\(rows,\) or \(rows, 1\)"), (["a", 3], "text 1 is of type int")],
)
def test_what_are_no_texts_is_refused(exported: Path, texts: Any, message: str):
    with pytest.raises(ValueError, match=message):
        DistilledClassifier(exported).fit().predict(texts)


@pytest.mark.parametrize(
    "check",
    [
        estimator_checks.check_decision_proba_consistency,
        estimator_checks.check_do_not_raise_errors_in_init_or_set_params,
        estimator_checks.check_estimator_cloneable,
        estimator_checks.check_estimator_repr,
        estimator_checks.check_estimator_sparse_tag,
        estimator_checks.check_estimator_tags_renamed,
        estimator_checks.check_estimators_unfitted,
        estimator_checks.check_fit1d,
        estimator_checks.check_get_params_invariance,
        estimator_checks.check_mixin_order,
        estimator_checks.check_no_attributes_set_in_init,
        estimator_checks.check_parameters_default_constructible,
        estimator_checks.check_requires_y_none,
        estimator_checks.check_set_params,
        estimator_checks.check_valid_tag_types,
    ],
    ids=lambda check: check.__name__,
)
def test_scikit_learn_s_own_checks_of_estimators(exported: Path, check: Any):
    """Those that feed no numbers: rows are texts."""
    check("DistilledClassifier", DistilledClassifier(str(exported)))


# --- the page about it ---


def test_the_estimator_and_the_study_read_the_same_texts(exported: Path, test_texts: Path):
    tested = read_texts(test_texts)
    fitted = DistilledClassifier(exported, int8=False).fit()
    run = pq.read_table(exported.parent / "run/predictions.parquet")
    assert fitted.predict(tested.texts).tolist() == [NAMES[label] for label in run["predicted"].to_pylist()]
