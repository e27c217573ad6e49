"""How good each member and each way of combining is on validation, whether the difference is more than chance, and how much each
member adds. Quick enough for a page: intervals are closed forms by patient, no resampling.

M members, N images, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from core import metrics
from core.evaluation.compare import Pair, accuracy_of, auc_of
from core.evaluation.ensembles import cross_fitted, rows_of
from core.evaluation.member_predictions import MemberPredictions
from core.metrics import METRICS, MULTI_LABEL
from core.metrics.estimates import Estimate, estimate
from core.metrics.functions import Sample, none_for_nan
from core.metrics.intervals import Z
from core.metrics.paired_tests import delong_test
from core.models.combine import WAYS, ties

QUICK = ("soft", "hard", "weighted", "logits", "rank", "greedy", "stacking")      # without a choice of the person
SHOWN = ("roc_auc", "accuracy", "loss")


@dataclass(frozen=True, eq=False)
class Score:
    """A member or a way, on the images of validation.

    Args:
        key: "member 0", or a key of WAYS
        title: its name
        estimates: of SHOWN, each with its interval where it has one, and n
        probs: (N, K), as it predicts them
    """
    key: str
    title: str
    estimates: dict[str, Estimate]
    probs: np.ndarray

    def value(self, metric: str = "roc_auc") -> float | None:
        return self.estimates[metric].value

    def as_dict(self) -> dict:
        """Return it for JSON, without the probabilities."""
        return {"key": self.key, "title": self.title} | {name: one.as_dict() for name, one in self.estimates.items()}


def score(said: MemberPredictions, probs: np.ndarray, key: str, title: str) -> Score:
    """Evaluate probabilities (N, K) of the images that members predicted."""
    patients = None if said.patients is None else np.unique(said.groups, return_inverse=True)[1]
    found, _ = estimate(said.labels, probs, said.task, patients, names=["accuracy"], each=())
    n = found["accuracy"].n
    return Score(key, title, {"roc_auc": _auc(said, probs, patients, found["accuracy"]), **found,
                              "loss": Estimate(_value(said, probs, "loss"), n=n)}, probs)


def _value(said: MemberPredictions, probs: np.ndarray, metric: str) -> float | None:
    return none_for_nan(METRICS[metric].function.of_sample(Sample(said.labels, probs, said.task)))


def _auc(said: MemberPredictions, probs: np.ndarray, groups: np.ndarray | None, like: Estimate) -> Estimate:
    """ROC AUC with the interval of DeLong's standard error, by patient, on the scale of the logit, where it stays below 1."""
    truth, known, columns = _against_rest(said, probs)
    test = delong_test(truth, columns, columns, groups, known)
    if test is None:
        return Estimate(None, n=like.n, n_positive=like.n_positive)
    area, error = test.a, test.standard_errors[0]
    found = Estimate(area, n=like.n, n_positive=like.n_positive)
    if not 0 < area < 1 or not error:
        return found.with_interval(metrics.roc_auc_interval(said.labels, probs, said.task), "Newcombe")
    logit, half = np.log(area / (1 - area)), Z * error / (area * (1 - area))
    limits = 1 / (1 + np.exp(-np.array([logit - half, logit + half])))
    return found.with_interval(tuple(limits.tolist()), "DeLong" if groups is None else "DeLong, by patient")


def _against_rest(said: MemberPredictions, probs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    first, classes = (1 if said.task == "binary-class" else 0), len(said.class_names)
    return (metrics.one_against_rest(said.labels, classes)[:, first:], metrics.is_known(said.labels, classes)[:, first:],
            probs[:, first:])


def member_scores(said: MemberPredictions) -> list[Score]:
    """Evaluate each member."""
    return [score(said, probs, f"member {m}", name) for m, (probs, name) in enumerate(zip(said.probs, said.names))]


def way_scores(said: MemberPredictions, ways: Sequence[str] = QUICK) -> list[Score]:
    """Evaluate ways of combining; those that are fitted are cross-fitted by patient, so that their score is of images on which
    they were not fitted."""
    ways = [*ways, "experts"] if said.parts is not None and "experts" not in ways else ways
    return [score(said, cross_fitted(way, said), way, WAYS[way].title) for way in ways]


def best_of(scores: Sequence[Score], metric: str = "roc_auc") -> Score:
    """Return the best by a metric, by the cross-entropy where that is undefined."""
    name = metric if all(one.value(metric) is not None for one in scores) else "loss"
    return (max if METRICS[name].higher_is_better else min)(scores, key=lambda one: one.value(name))


def mean_of(scores: Sequence[Score], metric: str) -> float | None:
    """Return the mean of a metric over members: what to expect of one of them drawn at random."""
    values = [one.value(metric) for one in scores]
    return None if None in values else float(np.mean(values))


def pair_of(said: MemberPredictions, a: np.ndarray, b: np.ndarray) -> Pair:
    """Return two sets of probabilities (N, K) of the same images, for the paired tests of `core.evaluation.compare`."""
    return Pair(said.labels, (a.astype(float), b.astype(float)), tuple(metrics.predict(p, said.task) for p in (a, b)),
                np.array(said.image_ids), said.groups, said.task, said.class_names)


def against_best(said: MemberPredictions, way: Score, members: Sequence[Score]) -> dict:
    """Test whether a way differs from the best member by more than chance, on the same images and by patient.

    Returns:
        "best": the member's title; "roc_auc" and "accuracy": as `core.evaluation.compare` gives them, None where undefined;
        "sentence"
    """
    best = best_of(members)
    both = pair_of(said, way.probs, best.probs)
    auc = auc_of(both, "val")
    accuracy = None if said.task == MULTI_LABEL else accuracy_of(both, "val")
    return {"best": best.title, "roc_auc": auc, "accuracy": accuracy, "sentence": _sentence(way, best, auc, len(said.labels))}


def _sentence(way: Score, best: Score, auc: dict | None, n: int) -> str:
    if auc is None or auc["p"] is None:
        return f"Too few images of one class for a test of {way.title} against the best member, {best.title}."
    difference = auc["difference"]
    if difference == 0:
        return f"{way.title} and the best member, {best.title}, have the same ROC AUC on the {n:,} validation images."
    word, interval = ("better" if difference > 0 else "worse"), f"{auc['low']:+.3f} to {auc['high']:+.3f}"
    verdict = ("more than chance" if auc["p"] < 0.05 else "no more than chance can make")
    return (f"{way.title} is {word} than the best member, {best.title}, by {abs(difference):.3f} ROC AUC on the same {n:,} "
            f"validation images (95 % interval {interval}): {verdict} (DeLong's test by patient, p = {auc['p']:.2g}).")


def without_each(said: MemberPredictions, way: str, metric: str = "roc_auc") -> list[float | None]:
    """Return the metric of a way with each member left out: M values; None where it is undefined or one member is all."""
    if len(said.probs) < 2 or said.parts is not None:
        return [None] * len(said.probs)
    found = []
    for m in range(len(said.probs)):
        rest = replace(said, probs=np.delete(said.probs, m, axis=0))
        found.append(_value(said, cross_fitted(way, rest), metric))
    return found


def tie_count(said: MemberPredictions) -> int:
    """Count the images on which a hard vote ends in a tie."""
    return int(ties(said.probs, said.task).sum())


@dataclass(frozen=True)
class PartScore:
    """A network on the images of one part.

    Args:
        network: its name
        part: value of the column
        own: whether the network is the expert of that part
        estimates: of SHOWN, with n
    """
    network: str
    part: str
    own: bool
    estimates: dict[str, Estimate]


def part_scores(said: MemberPredictions, others: Sequence[tuple[str, np.ndarray]] = ()) -> list[PartScore]:
    """Evaluate each expert on its own part and on each of the others.

    Args:
        others: (name, (N, K) probabilities) of what stands beside them, such as one network for all parts or the mixture
    """
    rows = []
    labels = {member.column: member.part.replace("|", " or ") for member in said.members}
    for part, name in labels.items():
        inside = np.flatnonzero(said.parts == part)
        some = rows_of(said, inside)
        networks = [(names, probs, m == part) for m, (names, probs) in enumerate(zip(said.names, said.probs))]
        for network, probs, own in [*networks, *((other, probs, False) for other, probs in others)]:
            rows.append(PartScore(network, name, own, score(some, probs[inside], "", network).estimates))
    return rows
