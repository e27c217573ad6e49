"""Ways to combine the probabilities of several classifiers: each a function that a student can read.

    WAYS["weighted"].fit(probs, labels, task)           what is learned on validation, {name: array}; {} where nothing is
    WAYS["weighted"].combine(probs, fitted, task)       (N, K)

The letters of the shapes: M members, N images, K classes or findings.

    probs      (M, N, K) in [0, 1]: what each member says of each image
    labels     (N,) int64, or (N, K) of 0, 1 and -1 where unknown, for several findings
    task       a member of core.config.Task

What is learned here is learned from the images that are given, and from nothing else. Whoever calls decides which these are:
core/evaluation/ensembles.py gives validation images, never those of test.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache

import numpy as np

from core.config import Task

Fitted = dict[str, np.ndarray]
TINY = 1e-7              # a probability of 0 has no logarithm
ROUNDS = 20              # members that greedy selection draws, with replacement
REFERENCE = 2_000        # validation scores that stand for a member's ranks
HIDDEN = 8               # units of the small network that stacks


@dataclass(frozen=True)
class Way:
    """One way to combine.

    Args:
        title: as pages and reports call it
        about: one sentence: what it does
        combine: (probs, fitted, task) -> (N, K) in [0, 1]
        fit: (probs, labels, task) -> what `combine` needs; None where nothing is learned
        weighted: whether `fitted["weights"]` (M,) says how much each member counts
    """
    title: str
    about: str
    combine: Callable[[np.ndarray, Fitted, str], np.ndarray]
    fit: Callable[[np.ndarray, np.ndarray, str], Fitted] | None = None
    weighted: bool = False


# ------------------------------------------------------------------------------------- votes and means

def hard_vote(probs: np.ndarray, fitted: Fitted, task: str) -> np.ndarray:
    """Return the share of the members that vote for each class: (N, K). A tie goes to the class that comes first.

    >>> hard_vote(np.array([[[.9, .1]], [[.4, .6]], [[.3, .7]]]), {}, "binary-class").round(2).tolist()
    [[0.33, 0.67]]
    """
    return votes(probs, task).mean(axis=0)


def votes(probs: np.ndarray, task: str) -> np.ndarray:
    """Return (M, N, K) of 0 and 1: the class that each member predicts, or its findings above 0.5."""
    if task == Task.MULTILABEL:
        return (probs > 0.5).astype(float)
    return (probs.argmax(axis=2)[..., None] == np.arange(probs.shape[2])).astype(float)


def ties(probs: np.ndarray, task: str) -> np.ndarray:
    """Return (N,) bool: the images on which no class has more votes than every other; of several findings, on which the votes
    for one are divided evenly."""
    share = votes(probs, task).sum(axis=0)
    if task == Task.MULTILABEL:
        return (2 * share == len(probs)).any(axis=1)
    return (share == share.max(axis=1, keepdims=True)).sum(axis=1) > 1


def soft_vote(probs: np.ndarray, fitted: Fitted, task: str) -> np.ndarray:
    """Return the mean of the members' probabilities: (N, K).

    >>> soft_vote(np.array([[[.9, .1]], [[.5, .5]]]), {}, "binary-class").round(2).tolist()
    [[0.7, 0.3]]
    """
    return probs.mean(axis=0)


def mean_of_logits(probs: np.ndarray, fitted: Fitted, task: str) -> np.ndarray:
    """Return the softmax (or sigmoid) of the mean of the members' logits: a geometric mean, made to sum to 1."""
    p = np.clip(probs.astype(float), TINY, 1 - TINY)
    if task == Task.MULTILABEL:
        return _sigmoid(np.log(p / (1 - p)).mean(axis=0))
    return _softmax(np.log(p).mean(axis=0))


def weighted_mean(probs: np.ndarray, fitted: Fitted, task: str) -> np.ndarray:
    """Return sum_m w_m p_m, the weights summing to 1: (N, K)."""
    return np.tensordot(fitted["weights"], probs, axes=1)


def fit_weights(probs: np.ndarray, labels: np.ndarray, task: str, steps: int = 200) -> Fitted:
    """Fit the weights of a weighted mean: those under which the labels are most probable (the least cross-entropy).

    Expectation maximisation for the weights of a mixture (Dempster, Laird & Rubin, J R Stat Soc B 39, 1977): a member's new
    weight is the mean of its share of the probability that the mixture gives to the true class,

        w_m <- mean over images of  w_m p_m(y) / sum_j w_j p_j(y)

    Each step lowers the cross-entropy, which has a single minimum.

    >>> right, wrong = np.array([[.2, .8], [.9, .1]]), np.array([[.6, .4], [.5, .5]])
    >>> fit_weights(np.stack([right, wrong]), np.array([1, 0]), "binary-class")["weights"].round(2).tolist()
    [1.0, 0.0]
    """
    truth = np.maximum(of_truth(probs, labels, task), TINY)
    weights = np.full(len(probs), 1 / len(probs))
    for _ in range(steps):
        before, mixture = weights, weights @ truth
        weights = weights * (truth @ (1 / mixture)) / truth.shape[1]
        if np.abs(weights - before).max() < 1e-6:
            break
    return {"weights": weights / weights.sum()}


def of_truth(probs: np.ndarray, labels: np.ndarray, task: str) -> np.ndarray:
    """Return the probability that each member gives to what is true: (M, N), or (M, known findings of all images)."""
    if task == Task.MULTILABEL:
        known = labels >= 0
        return np.where(labels == 1, probs, 1 - probs)[:, known]
    return probs[:, np.arange(len(labels)), labels]


# ---------------------------------------------------------------------------------------------- ranks

def rank_average(probs: np.ndarray, fitted: Fitted, task: str) -> np.ndarray:
    """Return the mean of the ranks that the members give an image among the validation images, from 0 to 1: (N, K).

    A rank says how an image compares with others, not how probable a class is; of several classes the ranks are made to sum
    to 1. A member that is always sure and one that never is count alike.
    """
    def rank(scores: np.ndarray, reference: np.ndarray) -> np.ndarray:
        below, upto = (np.searchsorted(reference, scores, side) for side in ("left", "right"))
        return (below + upto) / (2 * len(reference))
    classes = [np.mean([rank(member[:, k], reference[k]) for member, reference in zip(probs, fitted["reference"])], axis=0)
               for k in range(probs.shape[2])]
    if task == Task.BINARY:
        return np.stack([1 - classes[1], classes[1]], axis=1)
    ranks = np.stack(classes, axis=1)
    return ranks if task == Task.MULTILABEL else ranks / np.maximum(ranks.sum(axis=1, keepdims=True), TINY)


def fit_ranks(probs: np.ndarray, labels: np.ndarray, task: str) -> Fitted:
    """Keep the sorted scores of each member and class, against which a new image is ranked: (M, K, up to REFERENCE)."""
    ordered = np.sort(probs.astype(float), axis=1)
    if probs.shape[1] > REFERENCE:
        ordered = ordered[:, np.linspace(0, probs.shape[1] - 1, REFERENCE).round().astype(int)]
    return {"reference": ordered.transpose(0, 2, 1)}


# --------------------------------------------------------------------------------------------- greedy

def fit_greedy(probs: np.ndarray, labels: np.ndarray, task: str, rounds: int = ROUNDS,
               loss: Callable[[np.ndarray, np.ndarray], float] | None = None) -> Fitted:
    """Select members one after the other, each time the one that makes the mean of those selected best: Caruana,
    Niculescu-Mizil, Crew & Ksikes, ICML 2004. A member may be selected again, which gives it more weight.

    Args:
        rounds: members that are drawn; of all beginnings of that row the best is kept
        loss: (labels, (N, K) probabilities) -> what shall be small; None is the cross-entropy

    Returns:
        {"weights": (M,) the share of each member among those kept, "order": (rounds,) int64 members as they were selected,
        "curve": (rounds,) the loss after each, "kept": () int64 how many of them are kept}
    """
    # The cross-entropy needs the probability of the truth alone, which is an (M, N) instead of an (M, N, K).
    values = of_truth(probs, labels, task)[..., None] if loss is None else probs

    def score(mean: np.ndarray) -> float:
        return float(-np.log(np.maximum(mean[:, 0], TINY)).mean()) if loss is None else loss(labels, mean)

    order, curve, total = [], [], np.zeros(values.shape[1:])
    for count in range(1, rounds + 1):
        losses = [score((total + one) / count) for one in values]
        best = int(np.argmin(losses))
        order.append(best)
        curve.append(losses[best])
        total = total + values[best]
    kept = int(np.argmin(curve)) + 1
    return {"weights": np.bincount(order[:kept], minlength=len(probs)) / kept, "order": np.array(order),
            "curve": np.array(curve), "kept": np.array(kept)}


# ------------------------------------------------------------------------------------------- stacking

def stacked(probs: np.ndarray, fitted: Fitted, task: str) -> np.ndarray:
    """Return what a logistic regression on the members' probabilities says: (N, K)."""
    return scores_to_probs(meta_features(probs, task) @ fitted["coef"].T + fitted["intercept"], task)


def fit_stacking(probs: np.ndarray, labels: np.ndarray, task: str) -> Fitted:
    """Fit a logistic regression on the members' probabilities (Wolpert, Neural Networks 5, 1992): scikit-learn's, with its
    usual L2 penalty (C = 1), as its StackingClassifier does. For several findings one for each finding."""
    coef, intercept = fit_logistic(meta_features(probs, task), labels, probs.shape[2], task)
    return {"coef": coef, "intercept": intercept}


def meta_features(probs: np.ndarray, task: str) -> np.ndarray:
    """Return what a stacking model sees of each image: (N, M) probabilities of class 1 of two classes, else (N, M K)."""
    if task == Task.BINARY:
        return probs[:, :, 1].T.astype(float)
    return probs.transpose(1, 0, 2).reshape(probs.shape[1], -1).astype(float)


def fit_logistic(features: np.ndarray, labels: np.ndarray, classes: int, task: str,
                 strength: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Fit a logistic regression.

    Args:
        features: (N, F)
        strength: scikit-learn's C

    Returns:
        coef (R, F) and intercept (R,) of the scores that `scores_to_probs` takes: R is 1 for two classes, else K. A class
        without an image is never predicted, a finding that all or none have has its prevalence.
    """
    if task == Task.MULTILABEL:
        rows = [_one_finding(features[labels[:, k] >= 0], labels[labels[:, k] >= 0, k], strength) for k in range(classes)]
        return np.stack([coef for coef, _ in rows]), np.array([intercept for _, intercept in rows])
    present = np.unique(labels)
    if len(present) == 2 == classes:
        coef, intercept = _one_finding(features, labels, strength)
        return coef[None], np.array([intercept])
    coef, intercept = np.zeros((classes, features.shape[1])), np.full(classes, -50.0)
    intercept[present] = 0.0
    if len(present) == 2:
        coef[present[1]], intercept[present[1]] = _one_finding(features, (labels == present[1]).astype(int), strength)
    elif len(present) > 2:
        model = _regression(features, labels, strength)
        coef[present], intercept[present] = model.coef_, model.intercept_
    if classes == 2:                                   # one class only
        return coef[1:] - coef[:1], intercept[1:] - intercept[:1]
    return coef, intercept


def _one_finding(features: np.ndarray, labels: np.ndarray, strength: float) -> tuple[np.ndarray, float]:
    if not len(labels) or labels.min() == labels.max():
        share = (labels.sum() + 0.5) / (len(labels) + 1)
        return np.zeros(features.shape[1]), float(np.log(share / (1 - share)))
    model = _regression(features, labels, strength)
    return model.coef_[0], float(model.intercept_[0])


def one_thread() -> AbstractContextManager:
    """Let the matrix products of a fit run on one thread: they are so small that several threads only wait for each other, which
    takes up to twenty times as long on a busy machine."""
    return _pools().limit(limits=1)


@cache
def _pools():
    from threadpoolctl import ThreadpoolController
    return ThreadpoolController()


def _regression(features: np.ndarray, labels: np.ndarray, strength: float):
    from sklearn.linear_model import LogisticRegression
    with warnings.catch_warnings(), one_thread():
        warnings.simplefilter("ignore")                # a few steps short of the optimum is good enough
        return LogisticRegression(C=strength, max_iter=1000).fit(features, labels)


def scores_to_probs(scores: np.ndarray, task: str) -> np.ndarray:
    """Return (N, R) scores of `fit_logistic` as (N, K) probabilities."""
    if task == Task.MULTILABEL:
        return _sigmoid(scores)
    if scores.shape[1] == 1:
        positive = _sigmoid(scores)
        return np.concatenate([1 - positive, positive], axis=1)
    return _softmax(scores)


def stacked_by_mlp(probs: np.ndarray, fitted: Fitted, task: str) -> np.ndarray:
    """Return what a small network on the members' probabilities says: (N, K)."""
    hidden = np.maximum(meta_features(probs, task) @ fitted["hidden"] + fitted["hidden_bias"], 0)
    return scores_to_probs(hidden @ fitted["out"] + fitted["out_bias"], task)


def fit_mlp(probs: np.ndarray, labels: np.ndarray, task: str) -> Fitted:
    """Fit a network of HIDDEN units on the members' probabilities (scikit-learn's MLPClassifier, L-BFGS, alpha 0.1); of
    several findings on the images of which all are known. Where a class has no image: the logistic regression."""
    from sklearn.neural_network import MLPClassifier
    features, classes = meta_features(probs, task), probs.shape[2]
    if task == Task.MULTILABEL:
        known = (labels >= 0).all(axis=1)
        features, labels = features[known], labels[known]
    present = {tuple(np.unique(column)) for column in labels.T} if labels.ndim == 2 else {tuple(np.unique(labels))}
    if present != {tuple(range(2 if task == Task.MULTILABEL else classes))}:
        coef, intercept = fit_logistic(features, labels, classes, task)
        # x = relu(x): probabilities are never below 0
        return {"hidden": np.eye(features.shape[1]), "hidden_bias": np.zeros(features.shape[1]), "out": coef.T,
                "out_bias": intercept}
    with warnings.catch_warnings(), one_thread():
        warnings.simplefilter("ignore")
        model = MLPClassifier((HIDDEN,), solver="lbfgs", alpha=0.1, max_iter=200, random_state=0).fit(features, labels)
    return {"hidden": model.coefs_[0], "hidden_bias": model.intercepts_[0], "out": model.coefs_[1],
            "out_bias": model.intercepts_[1]}


# -------------------------------------------------------------------------------------------- experts

def mixture_of_experts(probs: np.ndarray, fitted: Fitted, task: str) -> np.ndarray:
    """Return sum_m g_m(x) p_m(x): a linear combination of all experts, with the weights that the gate gives each image (Jacobs,
    Jordan, Nowlan & Hinton, Neural Computation 3, 1991).

    Args:
        fitted: with "gate", (N, M) rows that sum to 1: one expert alone where the part of an image is known

    >>> experts = np.array([[[.9, .1]], [[.2, .8]]])
    >>> mixture_of_experts(experts, {"gate": np.array([[.25, .75]])}, "binary-class").round(3).tolist()
    [[0.375, 0.625]]
    """
    return np.einsum("nm,mnk->nk", fitted["gate"], probs)


WAYS: dict[str, Way] = {
    "soft": Way("Soft vote", "The mean of the members' probabilities.", soft_vote),
    "hard": Way("Hard vote", "Each member votes for one class; the share of the votes.", hard_vote),
    "weighted": Way("Weighted mean", "A mean of the probabilities, with the weights under which the labels of validation are "
                    "most probable.", weighted_mean, fit_weights, weighted=True),
    "logits": Way("Mean of logits", "The mean before the softmax: one sure member counts for more.", mean_of_logits),
    "rank": Way("Rank average", "The mean of the ranks of an image among the validation images: for ordering, not a "
                "probability.", rank_average, fit_ranks),
    "greedy": Way("Greedy selection", "Members added one after the other, each as often as it lowers the cross-entropy on "
                  "validation.", weighted_mean, fit_greedy, weighted=True),
    "stacking": Way("Stacking", "A logistic regression on the members' probabilities.", stacked, fit_stacking),
    "mlp": Way("Stacking by MLP", f"A network of {HIDDEN} hidden units on the members' probabilities.", stacked_by_mlp, fit_mlp),
    "experts": Way("Mixture of experts", "One network for each part; a gate says how much each counts for an image.",
                   mixture_of_experts),
}


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(x, -50, 50)))


def _softmax(x: np.ndarray) -> np.ndarray:
    odds = np.exp(x - x.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)
