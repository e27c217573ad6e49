"""Confident learning against its own equations by hand, and against labels that were made wrong on purpose."""

import numpy as np
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from core.metrics.confident_learning import find_suspects


def test_the_equations_by_hand():
    labels = np.array([0, 0, 0, 1, 1, 2])
    probs = np.array([[.8, .1, .1], [.6, .3, .1], [.1, .7, .2], [.2, .5, .3], [.7, .2, .1], [.3, .3, .4]])
    found = find_suspects(labels, probs)
    np.testing.assert_allclose(found.thresholds, [.5, .35, .4])           # (.8 + .6 + .1) / 3, (.5 + .2) / 2, .4
    assert found.counts.tolist() == [[2, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert found.suspected.tolist() == [False, False, True, False, True, False]
    assert found.likely.tolist() == [0, 0, 1, 1, 0, 2]
    np.testing.assert_allclose(found.margin, [.7, .3, -.6, .2, -.5, .1])
    assert found.order.tolist() == [2, 4, 5, 3, 1, 0]
    np.testing.assert_allclose(found.joint, np.array([[2, 1, 0], [1, 1, 0], [0, 0, 1]]) / 6)
    assert abs(found.noise - 2 / 6) < 1e-12


def test_an_image_that_is_confidently_of_no_class_is_not_suspected_and_not_counted():
    found = find_suspects(np.array([0, 0, 1, 1]), np.array([[.9, .1], [.55, .45], [.3, .7], [.1, .9]]))
    np.testing.assert_allclose(found.thresholds, [.725, .8])
    assert found.counts.tolist() == [[1, 0], [0, 1]]
    assert not found.suspected.any() and found.likely[1] == 0
    np.testing.assert_allclose(found.joint, [[.5, 0], [0, .5]])           # rows are brought to the labels that there are


def test_of_two_classes_above_their_thresholds_the_likelier_counts():
    labels = np.array([0, 1, 1, 0])
    probs = np.array([[.45, .55], [.5, .5], [.6, .4], [.5, .5]])
    found = find_suspects(labels, probs)
    np.testing.assert_allclose(found.thresholds, [.475, .45])
    assert found.likely.tolist() == [1, 0, 0, 0]


def test_a_class_without_images_and_a_single_image():
    found = find_suspects(np.array([0, 2]), np.array([[.6, .3, .1], [.1, .6, .3]]))
    assert np.isnan(found.thresholds[1]) and not found.suspected.any() and found.counts[1].tolist() == [0, 0, 0]
    assert find_suspects(np.array([1]), np.array([[.9, .1]])).counts.tolist() == [[0, 0], [0, 1]]


def test_planted_wrong_labels_are_found():
    """Three classes; a tenth of the labels is moved on by one. Most come first, and their share is estimated."""
    images, truth = make_blobs(600, centers=3, cluster_std=1.2, random_state=3)
    rng = np.random.default_rng(0)
    wrong = np.zeros(600, bool)
    wrong[rng.choice(600, 60, replace=False)] = True
    labels = np.where(wrong, (truth + 1) % 3, truth)
    probs = cross_val_predict(LogisticRegression(max_iter=500), images, labels, cv=5, method="predict_proba")
    found = find_suspects(labels, probs)
    assert wrong[found.order[:60]].mean() > 0.9                           # a random order would find a tenth
    assert wrong[found.suspected].mean() > 0.85 and found.suspected[wrong].mean() > 0.8
    assert (found.likely[wrong & found.suspected] == truth[wrong & found.suspected]).mean() > 0.9
    assert abs(found.noise - 0.1) < 0.03
    clean = find_suspects(truth, cross_val_predict(LogisticRegression(max_iter=500), images, truth, cv=5, method="predict_proba"))
    assert clean.suspected.sum() < 20 and clean.noise < 0.03


def test_rows_of_the_joint_are_labels_and_columns_what_the_images_are():
    """Every third image of class 0 is labelled 1, and none the other way round."""
    truth = np.repeat([0, 1], 30)
    labels = np.where(np.arange(60) % 3 == 0, 1, truth)
    found = find_suspects(labels, np.where(truth[:, None] == [0, 1], 0.9, 0.1))
    assert found.counts.tolist() == [[20, 0], [10, 30]]
    np.testing.assert_allclose(found.joint, np.array([[20, 0], [10, 30]]) / 60)
    assert set(found.order[:10]) == set(np.flatnonzero(labels != truth)) and abs(found.noise - 1 / 6) < 1e-12
