"""Ways to combine probabilities, against scikit-learn, SciPy, brute force and numbers worked out by hand."""

import itertools

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logit, softmax
from scipy.stats import rankdata
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.tree import DecisionTreeClassifier

from core.config import Task
from core.models.combine import (
    HIDDEN,
    WAYS,
    fit_greedy,
    fit_logistic,
    fit_weights,
    hard_vote,
    mean_of_logits,
    mixture_of_experts,
    of_truth,
    rank_average,
    ties,
    weighted_mean,
)

TASKS = {2: "binary-class", 3: "multi-class"}


@pytest.fixture(params=[2, 3], ids=["two classes", "three classes"])
def voters(request):
    """(features, labels, fitted scikit-learn classifiers, their (M, N, K) probabilities, task) of K classes."""
    classes = request.param
    rng = np.random.default_rng(classes)
    labels = rng.integers(0, classes, 240)
    features = rng.normal(size=(240, 4)) + labels[:, None] * [1.0, 0.5, -0.5, 0.0]
    members = [DecisionTreeClassifier(max_depth=2, random_state=0), GaussianNB(), LogisticRegression()]
    members = [member.fit(features[:120], labels[:120]) for member in members]
    probs = np.stack([member.predict_proba(features) for member in members])
    return features, labels, members, probs, TASKS[classes]


def sklearn_vote(voters, voting):
    features, labels, members, *_ = voters
    vote = VotingClassifier([(str(i), member) for i, member in enumerate(members)], voting=voting)
    # its members are fitted already
    vote.estimators_, vote.classes_ = members, np.unique(labels)
    vote.le_ = type("Encoder", (), {"inverse_transform": staticmethod(lambda y: y), "classes_": vote.classes_})()
    return vote


def test_soft_vote_is_that_of_scikit_learn(voters):
    features, _, _, probs, task = voters
    vote = sklearn_vote(voters, "soft")
    ours = WAYS["soft"].combine(probs, {}, task)
    assert np.allclose(ours, vote.predict_proba(features))
    assert (ours.argmax(axis=1) == vote.predict(features)).all()


def test_hard_vote_is_that_of_scikit_learn_ties_too(voters):
    features, _, _, probs, task = voters
    ours = hard_vote(probs, {}, task)
    assert (ours.argmax(axis=1) == sklearn_vote(voters, "hard").predict(features)).all()
    two = probs[:2]
    tied = ties(two, task)
    assert tied.any()
    assert (tied == (two[0].argmax(axis=1) != two[1].argmax(axis=1))).all()
    voters = (*voters[:2], voters[2][:2], two, task)
    assert (hard_vote(two, {}, task).argmax(axis=1) == sklearn_vote(voters, "hard").predict(features)).all()


def test_stacking_is_that_of_scikit_learn_with_fitted_members(voters):
    features, labels, members, probs, task = voters
    stack = StackingClassifier([(str(i), member) for i, member in enumerate(members)], cv="prefit",
                               final_estimator=LogisticRegression(max_iter=1000))
    stack.fit(features[120:], labels[120:])
    fitted = WAYS["stacking"].fit(probs[:, 120:], labels[120:], task)
    assert np.allclose(WAYS["stacking"].combine(probs, fitted, task), stack.predict_proba(features), atol=1e-6)


def test_the_small_network_says_what_scikit_learns_says(voters):
    features, labels, members, probs, task = voters
    seen = probs[:, :, 1].T if task == "binary-class" else np.concatenate(list(probs), axis=1)
    theirs = MLPClassifier((HIDDEN,), solver="lbfgs", alpha=0.1, max_iter=200, random_state=0).fit(seen, labels)
    fitted = WAYS["mlp"].fit(probs, labels, task)
    assert np.allclose(WAYS["mlp"].combine(probs, fitted, task), theirs.predict_proba(seen), atol=1e-6)


def test_weights_are_those_of_a_general_optimiser(voters):
    _, labels, _, probs, task = voters
    truth = of_truth(probs, labels, task)

    def loss(weights):
        return -np.log(np.maximum(weights @ truth, 1e-12)).mean()

    best = minimize(loss, np.full(3, 1 / 3), bounds=[(0, 1)] * 3, constraints={"type": "eq", "fun": lambda w: w.sum() - 1})
    ours = fit_weights(probs, labels, task, steps=5000)["weights"]
    assert loss(ours) <= best.fun + 1e-6
    assert np.allclose(ours, best.x, atol=0.01)
    assert np.allclose(weighted_mean(probs, {"weights": ours}, task), sum(w * p for w, p in zip(ours, probs)))


def test_the_mean_of_logits(voters):
    *_, probs, task = voters
    p = np.clip(probs, 1e-7, 1 - 1e-7)
    assert np.allclose(mean_of_logits(probs, {}, task), softmax(np.log(p).mean(axis=0), axis=1))
    if task == "binary-class":                   # of two classes the mean of the log odds
        odds = logit(p[:, :, 1] / p.sum(axis=2)).mean(axis=0)
        assert np.allclose(logit(mean_of_logits(probs, {}, task)[:, 1]), odds, atol=1e-5)


def test_rank_average_is_scipys_midranks_on_the_images_that_it_was_fitted_on(voters):
    _, labels, _, probs, task = voters
    fitted = WAYS["rank"].fit(probs, labels, task)
    ranks = np.mean([(rankdata(member[:, 1]) - 0.5) / len(labels) for member in probs], axis=0)
    ours = rank_average(probs, fitted, task)
    if task == "binary-class":
        assert np.allclose(ours[:, 1], ranks)
    assert np.allclose(ours.sum(axis=1), 1)
    one = rank_average(probs[:, :1], fitted, task)        # a single new image has its rank too
    assert np.allclose(one, ours[:1])


def brute_force(truth, rounds):
    """The order of greedy selection by computing each mean anew."""
    order, curve = [], []
    for _ in range(rounds):
        losses = [-np.log(np.mean([truth[i] for i in [*order, m]], axis=0)).mean() for m in range(len(truth))]
        order.append(int(np.argmin(losses)))
        curve.append(min(losses))
    return order, curve


def test_greedy_selection_is_the_brute_force_one():
    rng = np.random.default_rng(3)
    for _ in range(5):
        labels = rng.integers(0, 3, 40)
        probs = rng.dirichlet(np.ones(3), (4, 40)) * 0.5 + 0.5 * rng.random((4, 1, 1)) * np.eye(3)[labels]
        probs /= probs.sum(axis=2, keepdims=True)
        found = fit_greedy(probs, labels, "multi-class", rounds=7)
        order, curve = brute_force(of_truth(probs, labels, "multi-class"), 7)
        assert found["order"].tolist() == order
        assert np.allclose(found["curve"], curve)
        kept = int(np.argmin(curve)) + 1
        assert found["kept"] == kept
        assert np.allclose(found["weights"], np.bincount(order[:kept], minlength=4) / kept)


def test_greedy_selection_takes_any_loss():
    labels = np.array([0, 1, 1, 0])
    good, bad = np.array([[.6, .4], [.4, .6], [.4, .6], [.6, .4]]), np.array([[.1, .9], [.9, .1], [.9, .1], [.9, .1]])
    errors = lambda labels, probs: float((probs.argmax(axis=1) != labels).mean())        # noqa: E731
    found = fit_greedy(np.stack([bad, good]), labels, "binary-class", rounds=3, loss=errors)
    assert found["weights"].tolist() == [0.0, 1.0] and found["curve"][0] == 0
    subsets = [c for n in (1, 2, 3) for c in itertools.combinations_with_replacement([0, 1], n)]
    assert found["curve"].min() == min(errors(labels, np.mean([[bad, good][m] for m in c], axis=0)) for c in subsets)


def test_a_mixture_worked_out_by_hand():
    wrist, elbow = np.array([[.9, .1], [.3, .7]]), np.array([[.5, .5], [.2, .8]])
    gate = np.array([[1.0, 0.0], [0.25, 0.75]])
    assert np.allclose(mixture_of_experts(np.stack([wrist, elbow]), {"gate": gate}, "binary-class"),
                       [[.9, .1], [.25 * .3 + .75 * .2, .25 * .7 + .75 * .8]])


def test_several_findings_with_unknown_labels():
    rng = np.random.default_rng(0)
    labels = rng.integers(-1, 2, (300, 4))
    signal = 0.3 * (labels - 0.5) * np.array([1, 0.2, 0])[:, None, None]
    probs = np.clip(0.5 + signal + rng.normal(0, 0.15, (3, 300, 4)), 0.01, 0.99)
    for name, way in WAYS.items():
        if name == "experts":
            continue
        fitted = way.fit(probs, labels, Task.MULTILABEL) if way.fit else {}
        found = way.combine(probs, fitted, Task.MULTILABEL)
        assert found.shape == (300, 4) and np.isfinite(found).all() and found.min() >= 0 and found.max() <= 1, name
    assert fit_weights(probs, labels, Task.MULTILABEL)["weights"].argmax() == 0
    theirs = LogisticRegression(max_iter=1000).fit(probs.transpose(1, 0, 2).reshape(300, -1)[labels[:, 2] >= 0],
                                                   labels[labels[:, 2] >= 0, 2])
    coef, _ = fit_logistic(probs.transpose(1, 0, 2).reshape(300, -1), labels, 4, Task.MULTILABEL)
    assert np.allclose(coef[2], theirs.coef_[0], atol=1e-4)


@pytest.mark.parametrize("labels", [[0, 0, 0, 0], [1, 1, 1, 1], [0, 2, 2, 0]])
def test_classes_without_images_are_never_predicted(labels):
    labels, classes = np.array(labels), 3
    probs = np.random.default_rng(0).dirichlet(np.ones(classes), (2, 4))
    for way in ("stacking", "mlp"):
        found = WAYS[way].combine(probs, WAYS[way].fit(probs, labels, "multi-class"), "multi-class")
        assert set(found.argmax(axis=1)) <= set(labels)
        assert np.allclose(found.sum(axis=1), 1)
    two = np.array([0, 0, 0, 0])
    found = WAYS["stacking"].combine(probs[..., :2], WAYS["stacking"].fit(probs[..., :2], two, "binary-class"), "binary-class")
    assert (found[:, 0] > 0.9).all()
