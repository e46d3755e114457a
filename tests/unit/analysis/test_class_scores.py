"""Scores of classes, their intervals, and calibration."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix as sklearn_confusion
from sklearn.metrics import precision_recall_fscore_support

from gendist.stages.evaluation.class_scores import bootstrap_intervals, class_scores, confusion_matrix, reliability_bins
from gendist.stages.evaluation.metrics import ece


def test_confusion_and_scores_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 4, 200), rng.integers(0, 4, 200)
    counts = confusion_matrix(labels, predicted, 4)
    assert np.array_equal(counts, sklearn_confusion(labels, predicted))
    expected = precision_recall_fscore_support(labels, predicted)[:3]
    assert np.allclose(class_scores(counts), np.transpose(expected))


def test_confusion_sums_over_runs():
    labels = np.array([0, 1, 1])
    runs = np.array([[0, 1, 0], [0, 0, 1]])
    assert confusion_matrix(labels, runs, 2).tolist() == [[2, 0], [2, 2]]


def test_a_class_that_is_never_named_has_no_precision():
    scores = class_scores(confusion_matrix(np.array([0, 1]), np.array([0, 0]), 3))
    assert np.isnan(scores[1, 0]) and scores[1, 1] == 0
    assert np.isnan(scores[2]).all()


def test_intervals_hold_the_score_and_narrow_with_more_rows():
    rng = np.random.default_rng(1)
    widths = []
    for rows in (50, 5000):
        labels = np.arange(rows) % 2
        predicted = np.where(rng.random(rows) < 0.8, labels, 1 - labels)
        low, high = bootstrap_intervals(labels, predicted[None], 2)
        scores = class_scores(confusion_matrix(labels, predicted, 2))
        assert (low <= scores).all() and (scores <= high).all()
        widths.append(float((high - low)[0, 1]))
    # recall of 0.8 over 2,500 rows: 1.96 * sqrt(0.16 / 2500) = 0.0157 to each side
    assert widths[1] == pytest.approx(2 * 0.0157, rel=0.15)
    assert widths[0] > 5 * widths[1]


def test_intervals_are_the_same_every_time_and_are_of_rows_not_of_seeds():
    labels = np.arange(60) % 2
    predicted = np.where(np.arange(60) % 7 == 0, 1 - labels, labels)
    one = bootstrap_intervals(labels, predicted[None], 2)
    assert np.array_equal(one, bootstrap_intervals(labels, predicted[None], 2))
    assert np.array_equal(one, bootstrap_intervals(labels, np.stack([predicted] * 3), 2))


def test_reliability_bins_say_how_sure_and_how_right():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.45, 0.55]])
    bins = reliability_bins(np.array([0, 1, 1]), probabilities, bins=2)
    assert bins.rows.tolist() == [0, 3]
    assert np.isnan(bins.accuracy[0])
    assert bins.confidence[1] == pytest.approx(0.75) and bins.accuracy[1] == pytest.approx(2 / 3)
    logits = np.random.default_rng(0).normal(size=(300, 5)) * 2
    labels = np.random.default_rng(1).integers(0, 5, 300)
    likely = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert reliability_bins(labels, likely).ece == pytest.approx(ece(labels, logits))
