"""The choice of a threshold, and the rates at every threshold. One class, or one finding, against the rest.

A score is a probability in [0, 1], and what lies *above* the threshold is predicted positive, as in
`core.metrics.predict`.

    positive   (N,) bool: does the image have the class?           m of them are positive, n negative
    scores     (N,) in [0, 1]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from core.errors import LightboxError
from core.metrics.confusion import one_against_rest
from core.metrics.intervals import as_codes, effective_n, wilson_interval
from core.metrics.ranking import cuts

HAND = "hand"            # the rule of a threshold that a person set


@dataclass(frozen=True)
class Threshold:
    """A threshold in [0, 1] and where it comes from.

    Args:
        rule: a key of RULES, or "hand"
        parameters: of the rule, such as {"sensitivity": 0.95}
        split: whose images it was chosen on; only "val" can be frozen
        epoch: whose scores those were; None is the run's best
        positive_class: the class for which it was frozen; None before that
    """
    value: float
    rule: str = HAND
    parameters: dict[str, float] = field(default_factory=dict)
    split: str = "val"
    epoch: int | None = None
    positive_class: int | None = None

    def in_words(self, names: Sequence[str]) -> str:
        """Return how it was chosen: "Youden", "sensitivity for malignant at least 0.95", "by hand" ...

        Args:
            names: of all classes
        """
        given, name = self.parameters, names[self.positive_class]
        return {HAND: "by hand", "youden": "Youden",
                "sensitivity": f"sensitivity for {name} at least {given.get('sensitivity', 0):g}",
                "cost": f"a missed {name} costs as much as {given.get('cost', 0):g} false positives at a prevalence of "
                        f"{100 * given.get('prevalence', 0):.3g} %"}.get(self.rule, self.rule)


def one_class(labels: np.ndarray, probs: np.ndarray, task: str, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return class k against the rest: (n,) bool, does the image have it? and (n,) float32, its score.

    Of the n images of which that is known, `known_rows`: all N but where a finding has the label -1.

    Of two classes the score of class 0 is 1 - p of class 1, so that both classes agree about an image.

    Args:
        labels, probs, task: as in `core.metrics`
    """
    rows = known_rows(labels, k)
    labels, probs = labels[rows], probs[rows]
    score = 1 - probs[:, 1].astype(np.float64) if task == "binary-class" and k == 0 else probs[:, k]
    return one_against_rest(labels, probs.shape[1])[:, k], score.astype(np.float32)


def known_rows(labels: np.ndarray, k: int) -> np.ndarray:
    """Return the rows (n,) of the images of which it is known whether they are of class k."""
    return np.flatnonzero(labels[:, k] >= 0) if labels.ndim == 2 else np.arange(len(labels))


# ------------------------------------------------------------------------------------------ the choice of one

@dataclass(frozen=True)
class Rule:
    """One row of RULES.

    gain: (sensitivity (T,), specificity (T,), prevalence, parameter) -> (T,) what the rule maximises
    parameter: (name of its parameter, default, lowest, highest), or None where the rule has none
    """
    title: str
    help: str
    equation: str
    gain: Callable[[np.ndarray, np.ndarray, float, float | None], np.ndarray]
    parameter: tuple[str, float, float, float] | None = None


def _youden(sensitivity, specificity, prevalence, parameter):
    return sensitivity + specificity - 1


def _at_least(sensitivity, specificity, prevalence, parameter):
    return np.where(sensitivity >= parameter - 1e-12, specificity, -np.inf)


def _cheapest(sensitivity, specificity, prevalence, parameter):
    return -(parameter * prevalence * (1 - sensitivity) + (1 - prevalence) * (1 - specificity))


RULES: dict[str, Rule] = {
    "youden": Rule(                                     # Youden, Cancer 3, 1950
        "Youden", "Maximises sensitivity + specificity.",
        r"J = \text{sensitivity} + \text{specificity} - 1", _youden),
    "sensitivity": Rule(
        "Target sensitivity", "The highest specificity among all thresholds with at least this sensitivity.",
        r"\max\ \text{specificity}\ \text{where}\ \text{sensitivity} \ge s", _at_least,
        ("sensitivity", 0.95, 0.0, 1.0)),
    "cost": Rule(                                       # Metz, Semin Nucl Med 8, 1978
        "Cost ratio",
        "Minimises the expected cost at this prevalence, where a miss costs as much as this many false positives.",
        r"\min\ c\,\pi\,(1 - \text{sensitivity}) + (1 - \pi)(1 - \text{specificity})", _cheapest,
        ("cost", 10.0, 0.01, 1e4)),
}


def candidates(positive: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return every threshold that makes a difference, from "nothing is positive" down, with true and false
    positives above it.

    A threshold lies half way between two consecutive scores, so that no rounding moves an image across it.

    Returns:
        (T,) thresholds in [0, 1], falling; (T,) true positives; (T,) false positives

    >>> [column.tolist() for column in candidates(np.array([False, True, True]), np.array([.2, .4, .8]))]
    [[1.0, 0.6000000000000001, 0.30000000000000004, 0.1], [0, 1, 2, 2], [0, 0, 0, 1]]
    """
    tp, fp, edges = cuts(np.asarray(positive, bool), np.asarray(scores, np.float64))
    upper, lower = np.r_[1.0, edges], np.r_[edges, 0.0]
    middle = lower + (upper - lower) / 2
    # two neighbours among the floats have nothing between them
    middle[middle >= upper] = lower[middle >= upper]
    middle[0] = 1.0                                               # no score is above that
    # no threshold in [0, 1] lies below a score of exactly 0
    there = np.r_[True, edges > 0]
    return middle[there], np.r_[0, tp][there], np.r_[0, fp][there]


def choose(rule: str, labels: np.ndarray, scores: np.ndarray, *, prevalence: float | None = None,
           split: str = "val",
           epoch: int | None = None, **parameters: float) -> Threshold:
    """Choose the threshold by a rule of RULES; of equally good ones the highest, with the fewest positives.

    Args:
        labels: (N,) bool, or 0 and 1
        scores: (N,) in [0, 1]
        prevalence: share of positives in the population, in (0, 1); None takes that of `labels`
        split, epoch: where the scores come from, see Threshold

    Raises:
        LightboxError: "threshold.rule", "threshold.one_class", "threshold.parameter", "threshold.prevalence"

    >>> labels, scores = np.array([0, 0, 1, 0, 1, 1]), np.array([.1, .2, .3, .6, .7, .9])
    >>> choose("youden", labels, scores).value, choose("sensitivity", labels, scores, sensitivity=0.95).value
    (0.6499999999999999, 0.25)
    """
    positive, scores = np.asarray(labels).astype(bool), np.asarray(scores, np.float64)
    m = int(positive.sum())
    n = len(positive) - m
    if rule not in RULES:
        raise LightboxError("threshold.rule", f"There is no rule called {rule}.",
                            f"There are {', '.join(RULES)}.")
    if not m or not n:
        raise LightboxError("threshold.one_class",
                            "All images are of one class, so no threshold is better than another.",
                            "A threshold needs positive and negative images.")
    prevalence = m / len(positive) if prevalence is None else prevalence
    if not 0 < prevalence < 1:
        raise LightboxError("threshold.prevalence", f"The prevalence was {prevalence}.",
                            "It must lie between 0 and 1.")
    value = _checked_parameter(rule, parameters)
    thresholds, tp, fp = candidates(positive, scores)
    gain = RULES[rule].gain(tp / m, 1 - fp / n, prevalence, value)
    best = gain.max()
    if not math.isfinite(best):
        raise LightboxError("threshold.parameter",
                            f"No threshold reaches a sensitivity of {value:g}: some positive images have a "
                            "score of 0.", "Choose a lower sensitivity, or train longer.")
    given = {} if value is None else parameters | ({"prevalence": prevalence} if rule == "cost" else {})
    return Threshold(float(thresholds[np.argmax(gain >= best - 1e-12)]), rule, given, split, epoch)


def _checked_parameter(rule: str, given: dict[str, float]) -> float | None:
    wanted = RULES[rule].parameter
    if set(given) != ({wanted[0]} if wanted else set()):
        raise LightboxError("threshold.parameter",
                            f"The rule {rule} needs {wanted[0] if wanted else 'no parameter'}.",
                            f"It was given {', '.join(given) or 'none'}.")
    if not wanted:
        return None
    name, _, low, high = wanted
    if not (isinstance(given[name], (int, float)) and low <= given[name] <= high):
        raise LightboxError("threshold.parameter", f"The {name} was {given[name]}.",
                            f"It must lie between {low:g} and {high:g}.")
    return float(given[name])


# -------------------------------------------------------------------------------------- rates at each of them

@dataclass(frozen=True)
class OperatingPoints:
    """What each threshold does: all (T,), from "nothing is positive" down. NaN without positives, or without
    negatives.

    Args:
        lowest: the lowest score that is positive; infinite at first: the point holds for thresholds just
            below it, down to the `lowest` of the next point
        tp, fp: true and false positives
        sensitivity, specificity: (T, 2) low and high at 95 %, by Wilson; for images of known patients by
            patient
        lr_positive, lr_negative: (T, 2) low and high at 95 % of the likelihood ratios sensitivity / (1 -
            specificity) and (1 - sensitivity) / specificity. With the odds of the prevalence, they give PPV
            and NPV (Bayes):

                odds(PPV) = odds(prevalence) LR+,       odds(1 - NPV) = odds(prevalence) LR-
    """
    lowest: np.ndarray
    tp: np.ndarray
    fp: np.ndarray
    sensitivity: np.ndarray
    specificity: np.ndarray
    lr_positive: np.ndarray
    lr_negative: np.ndarray


def operating_points(positive: np.ndarray, scores: np.ndarray,
                     patients: Sequence | None = None) -> OperatingPoints:
    """Compute the rates at every threshold that makes a difference.

    Args:
        positive, scores: as above; scores float32
        patients: N names, "" where unknown; None takes all images as independent

    >>> found = operating_points(np.array([False, True, True]), np.array([.2, .4, .8]))
    >>> found.tp.tolist(), found.fp.tolist(), found.sensitivity[1].round(3).tolist()
    ([0, 1, 2, 2], [0, 0, 0, 1], [0.095, 0.905])
    """
    positive, scores = np.asarray(positive, bool), np.asarray(scores)
    tp, fp, edges = cuts(positive, scores)
    # no threshold in [0, 1] lies below a score of exactly 0
    there = np.r_[True, edges > 0]
    lowest, tp, fp = np.r_[np.inf, edges][there], np.r_[0, tp][there], np.r_[0, fp][there]
    codes = np.arange(len(positive)) if patients is None else as_codes(patients)
    order = np.argsort(-scores, kind="stable")
    by_score = positive[order]
    se, se_limits = _rate(tp, codes[order][by_score])
    fa, fa_limits = _rate(fp, codes[order][~by_score])
    sp_limits = 1 - fa_limits[:, ::-1]
    return OperatingPoints(lowest, tp, fp, se_limits, sp_limits, ratio_interval(se, se_limits, fa, fa_limits),
                           ratio_interval(1 - se, 1 - se_limits[:, ::-1], 1 - fa, sp_limits))


def _rate(count: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(T,) share and its (T, 2) limits, when so many of these images, whose patients stand by falling score,
    are positive."""
    images = len(codes)
    if not images:
        return np.full(len(count), np.nan), np.full((len(count), 2), np.nan)
    effective = effective_n(np.unique(codes, return_inverse=True)[1])[count]
    share = count / images
    return share, np.stack(wilson_interval(share * effective, effective), axis=1)


def ratio_interval(a: np.ndarray, a_limits: np.ndarray, b: np.ndarray, b_limits: np.ndarray) -> np.ndarray:
    """Return limits of a / b from those of each; the two are independent. The upper one may be infinite.

        L = (ab - sqrt((ab)^2 - l_a u_b (2a - l_a)(2b - u_b))) / (u_b (2b - u_b))

    and U with l and u exchanged and + for -: Donner & Zou, Stat Methods Med Res 21, 2012. L is written with
    its root below, where it does not divide by zero.

    Args:
        a, b: (T,); a_limits, b_limits: (T, 2)

    Returns:
        (T, 2); NaN where a and b are both 0
    """
    (la, ua), (lb, ub) = a_limits.T, b_limits.T

    def root(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.sqrt(np.maximum((a * b) ** 2 - x * (2 * a - x) * y * (2 * b - y), 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        low = np.where(la > 0, la * (2 * a - la) / (a * b + root(la, ub)), 0.0)
        high = np.where(lb > 0, (a * b + root(ua, lb)) / (lb * (2 * b - lb)), np.inf)
    limits = np.stack([low, high], axis=1)
    limits[(a == 0) & (b == 0)] = np.nan
    return limits
