"""Above which score is an image called back? The choice of a threshold, and what it costs at a prevalence.

A score is a probability in [0, 1], and what lies *above* the threshold is called, as in `metrics.predict`. One class, or one
finding, against all the rest:

    positive   (N,) bool: has the image the class?
    scores     (N,) in [0, 1]

A threshold is chosen on validation, by a rule of RULES or by hand, and frozen: written into the folder of the run. The test
split is then judged with it. Chosen on test it would fit the chance of these very images, and its sensitivity would be a
promise that the next hospital does not keep.

    threshold.json   {"thresholds": {"<class>": {"value", "rule", "wish", "epoch", "sought"}}}

Of two classes either may be the one that is sought, such as the malignant one that MedMNIST calls 0. What is kept then is always
the threshold of class 1, and "sought" says for whose sake: who is above t for class 0 is below 1 - t for class 1.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from core.errors import LightboxError
from core.files import Lock, write_json
from core.metrics import MULTI_LABEL, one_against_rest, wilson_interval
from core.metrics.intervals import as_codes, effective_n
from core.metrics.ranking import cuts
from core.runs import checkpoints
from core.runs.store import Run

DEFAULT = 0.5            # of two classes the likelier one
HAND = "hand"            # the rule of a threshold that a person set


@dataclass(frozen=True)
class Threshold:
    """A threshold in [0, 1] and where it comes from.

    Args:
        rule: a key of RULES, or "hand"
        wish: what the rule was given, such as {"sensitivity": 0.95}
        split: whose images it was chosen on; only "val" can be frozen
        epoch: whose scores those were; None is the run's best
        sought: the class for whose sake it was frozen; None before that
    """
    value: float
    rule: str = HAND
    wish: dict[str, float] = field(default_factory=dict)
    split: str = "val"
    epoch: int | None = None
    sought: int | None = None

    def in_words(self, names: Sequence[str]) -> str:
        """Return how it was chosen: "Youden", "sensitivity for malignant at least 0.95", "by hand" ...

        Args:
            names: of all classes
        """
        wish, sought = self.wish, names[self.sought]
        return {HAND: "by hand", "youden": "Youden",
                "sensitivity": f"sensitivity for {sought} at least {wish.get('sensitivity', 0):g}",
                "cost": f"a missed {sought} is worth {wish.get('cost', 0):g} false alarms at a prevalence of "
                        f"{100 * wish.get('prevalence', 0):.3g} %"}.get(self.rule, self.rule)


def sides(labels: np.ndarray, probs: np.ndarray, task: str, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Class k against the rest: (N,) bool, has the image it? and (N,) float32, its score.

    Of two classes that of class 0 is 1 - p of class 1, so that both sides say the same of an image.

    Args:
        labels, probs, task: as in `core.metrics`
    """
    score = 1 - probs[:, 1].astype(np.float64) if task == "binary-class" and k == 0 else probs[:, k]
    return one_against_rest(labels, probs.shape[1])[:, k], score.astype(np.float32)


# ------------------------------------------------------------------------------------------------------- how to choose

@dataclass(frozen=True)
class Rule:
    """One row of RULES.

    gain: (sensitivity (T,), specificity (T,), prevalence, wish) -> (T,) what the rule makes as large as it can
    wish: (name of the wish, its default, lowest, highest), or None where the rule wants nothing
    """
    title: str
    help: str
    equation: str
    gain: Callable[[np.ndarray, np.ndarray, float, float | None], np.ndarray]
    wish: tuple[str, float, float, float] | None = None


def _youden(sensitivity, specificity, prevalence, wish):
    return sensitivity + specificity - 1


def _at_least(sensitivity, specificity, prevalence, wish):
    return np.where(sensitivity >= wish - 1e-12, specificity, -np.inf)


def _cheapest(sensitivity, specificity, prevalence, wish):
    return -(wish * prevalence * (1 - sensitivity) + (1 - prevalence) * (1 - specificity))


RULES: dict[str, Rule] = {
    "youden": Rule(                                     # Youden, Cancer 3, 1950
        "Youden", "Makes sensitivity + specificity as large as it can be: a miss and a false alarm count alike, as shares.",
        r"J = \text{sensitivity} + \text{specificity} - 1", _youden),
    "sensitivity": Rule(
        "Wanted sensitivity", "Of all thresholds that find at least this share of the sick, that with the fewest false alarms.",
        r"\max\ \text{specificity}\ \text{where}\ \text{sensitivity} \ge s", _at_least, ("sensitivity", 0.95, 0.0, 1.0)),
    "cost": Rule(                                       # Metz, Semin Nucl Med 8, 1978
        "Cost ratio", "One missed patient costs as much as this many false alarms: the threshold with the least cost at the "
        "prevalence that is set.",
        r"\min\ c\,\pi\,(1 - \text{sensitivity}) + (1 - \pi)(1 - \text{specificity})", _cheapest, ("cost", 10.0, 0.01, 1e4)),
}


def candidates(positive: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every threshold that makes a difference, from "call nobody" down, with the true and the false positives above it.

    A threshold lies half way between two scores that follow each other, so that no rounding puts an image on its other side.

    Returns:
        (T,) thresholds in [0, 1], falling; (T,) true positives; (T,) false positives
    """
    tp, fp, edges = cuts(np.asarray(positive, bool), np.asarray(scores, np.float64))
    upper, lower = np.r_[1.0, edges], np.r_[edges, 0.0]
    middle = lower + (upper - lower) / 2
    middle[middle >= upper] = lower[middle >= upper]              # two neighbours among the floats have nothing between them
    middle[0] = 1.0                                               # nobody is surer than that
    there = np.r_[True, edges > 0]                                # no threshold in [0, 1] calls a score of exactly 0
    return middle[there], np.r_[0, tp][there], np.r_[0, fp][there]


def choose(rule: str, labels: np.ndarray, scores: np.ndarray, *, prevalence: float | None = None, split: str = "val",
           epoch: int | None = None, **wish: float) -> Threshold:
    """The threshold that a rule of RULES finds; of equally good ones the highest, which calls the fewest images.

        choose("youden", labels, scores)
        choose("sensitivity", labels, scores, sensitivity=0.95)
        choose("cost", labels, scores, cost=10, prevalence=0.01)

    Args:
        labels: (N,) bool, or 0 and 1
        scores: (N,) in [0, 1]
        prevalence: share of the sick among those who will come, in (0, 1); None takes that of `labels`
        split, epoch: where the scores come from, see Threshold

    Raises:
        LightboxError: "threshold.rule", "threshold.one_class", "threshold.wish", "threshold.prevalence"
    """
    positive, scores = np.asarray(labels).astype(bool), np.asarray(scores, np.float64)
    m = int(positive.sum())
    n = len(positive) - m
    if rule not in RULES:
        raise LightboxError("threshold.rule", f"There is no rule called {rule}.", f"There are {', '.join(RULES)}.")
    if not m or not n:
        raise LightboxError("threshold.one_class", "All images are on one side, so no threshold is better than another.",
                            "A threshold needs images with the finding and images without it.")
    prevalence = m / len(positive) if prevalence is None else prevalence
    _check_prevalence(prevalence)
    value = _wish(rule, wish)
    thresholds, tp, fp = candidates(positive, scores)
    gain = RULES[rule].gain(tp / m, 1 - fp / n, prevalence, value)
    best = gain.max()
    if not math.isfinite(best):
        raise LightboxError("threshold.wish", f"No threshold finds a share of {value:g}: some of the sick have a score of 0.",
                            "Wish for less, or train longer.")
    given = {} if value is None else wish | ({"prevalence": prevalence} if rule == "cost" else {})
    return Threshold(float(thresholds[np.argmax(gain >= best - 1e-12)]), rule, given, split, epoch)


def _wish(rule: str, wish: dict[str, float]) -> float | None:
    wanted = RULES[rule].wish
    if set(wish) != ({wanted[0]} if wanted else set()):
        raise LightboxError("threshold.wish", f"The rule {rule} needs {wanted[0] if wanted else 'no wish'}.",
                            f"It was given {', '.join(wish) or 'none'}.")
    if not wanted:
        return None
    name, _, low, high = wanted
    if not (isinstance(wish[name], (int, float)) and low <= wish[name] <= high):
        raise LightboxError("threshold.wish", f"The {name} was {wish[name]}.", f"It must lie between {low:g} and {high:g}.")
    return float(wish[name])


def _check_prevalence(prevalence: float) -> None:
    if not 0 < prevalence < 1:
        raise LightboxError("threshold.prevalence", f"The prevalence was {prevalence}.",
                            "It is a share between 0 and 1, neither included.")


# --------------------------------------------------------------------------------------------------- what it is worth

@dataclass(frozen=True)
class Operating:
    """What a threshold does. Counts of images; each rate with (low, high) at 95 %; None where there is nothing to divide by.

    sensitivity, specificity: with Wilson's interval, for images of known patients as `core.metrics.intervals.wilson_by_patient`
    ppv, npv: at `prevalence`, see `predictive_values`
    """
    tp: int
    fn: int
    fp: int
    tn: int
    prevalence: float
    sensitivity: float | None
    sensitivity_interval: tuple[float, float] | None
    specificity: float | None
    specificity_interval: tuple[float, float] | None
    ppv: float | None
    ppv_interval: tuple[float, float] | None
    npv: float | None
    npv_interval: tuple[float, float] | None


def worths(labels: np.ndarray, scores: np.ndarray, patients: Sequence | None) -> tuple[np.ndarray, np.ndarray]:
    """For how many independent images the positives count where k of them are called, and so for the negatives.

    Args:
        labels, scores, patients: as in `operate`

    Returns:
        (m + 1,) and (n + 1,), k from 0: see `core.metrics.intervals.effective_n`
    """
    positive, order = np.asarray(labels).astype(bool), np.argsort(-np.asarray(scores, np.float64), kind="stable")
    people = np.arange(len(positive)) if patients is None else as_codes(patients)
    return tuple(effective_n(np.unique(people[order][side], return_inverse=True)[1]) for side in (positive[order], ~positive[order]))


def operate(labels: np.ndarray, scores: np.ndarray, threshold: float, prevalence: float | None = None,
            patients: Sequence | None = None) -> Operating:
    """Cut at a threshold.

    Args:
        labels: (N,) bool, or 0 and 1; scores: (N,) in [0, 1]
        prevalence: in (0, 1); None takes the share of positives in `labels`
        patients: N names, "" where nobody is known; None takes all images as independent

    Raises:
        LightboxError: "threshold.prevalence"
    """
    positive, called = np.asarray(labels).astype(bool), np.asarray(scores, np.float64) > threshold
    tp, fp = int((positive & called).sum()), int((~positive & called).sum())
    m = int(positive.sum())
    fn, tn = m - tp, len(positive) - m - fp
    if prevalence is not None:
        _check_prevalence(prevalence)
    share = m / max(1, len(positive)) if prevalence is None else prevalence
    of_sick, of_healthy = worths(positive, scores, patients)
    worth_of = float(of_sick[tp]), float(of_healthy[fp])
    sick, healthy = _rate(tp, m, worth_of[0]), _rate(tn, tn + fp, worth_of[1])
    ppv = npv = (None, None)
    if sick[0] is not None and healthy[0] is not None:
        ppv, npv = predictive_values(tp, fn, fp, tn, share, worth_of)
    return Operating(tp, fn, fp, tn, share, *sick, *healthy, *ppv, *npv)


def _rate(k: int, n: int, worth: float) -> tuple[float | None, tuple[float, float] | None]:
    """A share, and Wilson's interval for n images that count for `worth` independent ones."""
    return (k / n, wilson_interval(k / n * worth, worth)) if n else (None, None)


def predictive_values(tp: int, fn: int, fp: int, tn: int, prevalence: float,
                      worths: tuple[float, float] | None = None) -> tuple[tuple, tuple]:
    """(PPV, its interval) and (NPV, its interval) among people of whom the share `prevalence` is sick. By Bayes:

        PPV = pi R / (pi R + 1 - pi),               R = sensitivity / (1 - specificity)
        NPV = (1 - pi) Q / ((1 - pi) Q + pi),       Q = specificity / (1 - sensitivity)

    At the prevalence of the images themselves PPV is TP / (TP + FP). Both rise with their ratio, so the limits of the ratio
    give theirs. Both sides of the table must have images. The value is None where nobody is called (or nobody left alone).

    Args:
        worths: for how many independent images the sick and the healthy count; None: for as many as they are
    """
    m, n = tp + fn, tn + fp
    of_m, of_n = worths or (m, n)
    return (_predictive(prevalence, _rate(tp, m, of_m), _rate(fp, n, of_n)),
            _predictive(1 - prevalence, _rate(tn, n, of_n), _rate(fn, m, of_m)))


def _predictive(share: float, right: tuple, wrong: tuple) -> tuple[float | None, tuple | None]:
    """From the rates of those who rightly and who wrongly get the answer, each with its interval."""
    (above, above_limits), (below, below_limits) = right, wrong
    if not above and not below:
        return None, None
    limits = ratio_interval(above, above_limits, below, below_limits)
    value = share * above / (share * above + (1 - share) * below)
    return value, tuple(1.0 if math.isinf(r) else share * r / (share * r + 1 - share) for r in limits)


def ratio_interval(a: float, a_limits: tuple[float, float], b: float, b_limits: tuple[float, float]) -> tuple[float, float]:
    """Where a / b lies, from the limits of each; the two are independent. The upper one may be infinite.

        L = (ab - sqrt((ab)^2 - l_a u_b (2a - l_a)(2b - u_b))) / (u_b (2b - u_b))

    and U with l and u exchanged and + for -: Donner & Zou, Stat Methods Med Res 21, 2012. L is written with its root below,
    where it does not divide by zero.
    """
    (la, ua), (lb, ub) = a_limits, b_limits

    def root(x: float, y: float) -> float:
        return math.sqrt(max(0.0, (a * b) ** 2 - x * (2 * a - x) * y * (2 * b - y)))
    low = la * (2 * a - la) / (a * b + root(la, ub)) if la > 0 else 0.0
    return low, (a * b + root(ua, lb)) / (lb * (2 * b - lb)) if lb > 0 else math.inf


def per_thousand(sensitivity: float, specificity: float, prevalence: float, people: int = 1000) -> dict[str, int]:
    """What happens to so many people: {"sick", "found", "missed", "called_back"}, whole people, called_back for nothing."""
    sick = _whole(people * prevalence)
    found = _whole(people * prevalence * sensitivity)
    return {"sick": sick, "found": min(found, sick), "missed": sick - min(found, sick),
            "called_back": _whole(people * (1 - prevalence) * (1 - specificity))}


def _whole(x: float) -> int:
    return math.floor(x + 0.5 + 1e-9)


# -------------------------------------------------------------------------------------------------------------- frozen

def of(run: Run) -> float | np.ndarray:
    """The threshold that a run's answers are made with: for `metrics.predict`, `metrics.evaluate`.

    Returns:
        two classes: that of class 1; several findings: (K,), or one float where nothing was chosen for any; 0.5 where
        nothing was chosen, and always where the likeliest of several classes is the answer

    Raises:
        LightboxError: "run.damaged" where threshold.json cannot be read
    """
    about = run.data()
    kept = all_frozen(run)
    if about.get("task") == MULTI_LABEL and kept:
        return np.array([kept[k].value if k in kept else DEFAULT for k in range(len(about["class_names"]))])
    return kept[1].value if about.get("task") == "binary-class" and 1 in kept else DEFAULT


def frozen(run: Run, k: int = 1) -> Threshold | None:
    """What was frozen for class or finding k, against the rest. None where nothing was, or for the scores of another epoch."""
    if k == 0 and run.data().get("task") == "binary-class":
        of_the_other = all_frozen(run).get(1)
        return of_the_other and replace(of_the_other, value=1 - of_the_other.value)
    return all_frozen(run).get(k)


def all_frozen(run: Run) -> dict[int, Threshold]:
    """Class -> Threshold. A run that has a better epoch since gives other scores: its old thresholds no longer count."""
    kept = _read(run)["thresholds"]
    best = checkpoints.best_epoch(run.checkpoints) if kept else None
    return {int(k): Threshold(one["value"], one["rule"], one["wish"], "val", one["epoch"], one["sought"])
            for k, one in kept.items() if one["epoch"] == best}


def freeze(run: Run, threshold: Threshold, k: int = 1) -> None:
    """Keep a threshold for class or finding k.

    Raises:
        LightboxError: "threshold.split" where it was not chosen on validation, "threshold.value", "threshold.epoch" where the
            run has no epoch or the scores are not those of its best one, "run.gone"
    """
    if threshold.split != "val":
        raise LightboxError("threshold.split", "A threshold can only be chosen on the validation images.",
                            "Choose it there; the test images are then judged with it.")
    if not 0 <= threshold.value <= 1:
        raise LightboxError("threshold.value", f"The threshold was {threshold.value}.", "It must lie between 0 and 1.")
    epoch = checkpoints.best_epoch(run.checkpoints)
    if epoch is None:
        raise LightboxError("threshold.epoch", "This run has not finished an epoch yet.", "Wait for the first one.")
    if threshold.epoch not in (None, epoch):
        raise LightboxError("threshold.epoch", f"These are the scores of epoch {threshold.epoch}; the best one is {epoch} now.",
                            "Open this page again, so that the validation images are judged by the best epoch.")

    mirrored = k == 0 and run.data().get("task") == "binary-class"

    def put(known: dict) -> None:
        known["thresholds"]["1" if mirrored else str(k)] = {
            "value": float(1 - threshold.value if mirrored else threshold.value), "rule": threshold.rule,
            "wish": threshold.wish, "epoch": epoch, "sought": k}
    _change(run, put)


def unfreeze(run: Run, k: int | None = None) -> None:
    """Forget what was frozen for class k, or for all of them; of two classes they are one. Nothing happens where nothing was."""
    k = None if run.data().get("task") == "binary-class" else k

    def drop(known: dict) -> None:
        known["thresholds"] = {} if k is None else {c: one for c, one in known["thresholds"].items() if c != str(k)}
    _change(run, drop)


def _read(run: Run) -> dict:
    try:
        return {"thresholds": dict(json.loads((run.folder / "threshold.json").read_text())["thresholds"])}
    except FileNotFoundError:
        return {"thresholds": {}}
    except (ValueError, KeyError, TypeError):
        raise LightboxError("run.damaged", f"The file threshold.json of the run {run.id} cannot be read.",
                            "Delete that file and choose the threshold again.") from None


def _change(run: Run, change: Callable[[dict], None]) -> None:
    run.written_state()                          # "run.gone" before a lock is made in a folder that is no more
    with Lock(run.folder / "threshold.lock"):
        known = _read(run)
        change(known)
        write_json(run.folder / "threshold.json", known)
