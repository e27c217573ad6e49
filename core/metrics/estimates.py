"""Every metric as an Estimate: its value, its 95 % interval, and what both were computed from.

    estimate(labels, probs, task, patients)     ({metric: Estimate}, one such dictionary for each class)

`Estimate.method` says how the interval was computed:

    "Wilson"                a proportion of independent images
    "Wilson, by patient"    a proportion, where patients have several images: with their effective sample size
    "Wilson, by image"      the accuracy over several findings: those of an image are clustered
    "bootstrap by patient"  patients resampled
    "bootstrap by image"    images resampled: patients are unknown, or have one image each
    "bootstrap by study"    studies resampled, where the predictions are by study and patients are unknown
    "Newcombe"              ROC AUC of a perfect ranking, for which all resamples give the same value
    "DeLong"                ROC AUC of a class with so few images that resamples miss it; images count as independent
    None                    no interval: the value is undefined, or all resamples give the same
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.metrics.functions import Sample, none_for_nan
from core.metrics.intervals import as_codes, auc_interval, roc_auc_interval, wilson_by_patient
from core.metrics.resampling import degrees_of_freedom, limits, overall, per_class, resample
from core.metrics.table import METRICS

# Proportion -> (which images are counted, which of them are correct), both (N,) bool, from truth and
# prediction of one class.
# what changes when the other one of two classes is taken as the positive one; the other metrics are of both alike
OF_POSITIVE = ("sensitivity", "specificity", "precision", "npv", "f1", "average_precision")
PROPORTIONS: dict[str, Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]] = {
    "accuracy": lambda true, pred: (np.ones(len(true), bool), true == pred),
    "sensitivity": lambda true, pred: (true, pred),
    "specificity": lambda true, pred: (~true, ~pred),
    "precision": lambda true, pred: (pred, true),
    "npv": lambda true, pred: (~pred, ~true),
}
# Names of the two numbers of MedMNIST's own evaluator, whose ACC always has the threshold 0.5, and the
# metrics that they are.
MEDMNIST = {"medmnist_auc": "roc_auc", "medmnist_acc": "accuracy"}


@dataclass(frozen=True)
class Estimate:
    """A metric with its 95 % interval.

    Args:
        value: None where it is undefined
        low, high: None where there is no interval
        n: images (or studies, or patients) that it was computed from
        n_positive: how many of them are positive: of class 1, or with any finding; None over several classes,
            where each is positive in its turn
        method: how the interval was computed, see the top of this file
        k, of: of a proportion: k correct ones of so many; None for other metrics
    """
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    n_positive: int | None = None
    method: str | None = None
    k: int | None = None
    of: int | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """(low, high), None where there is none."""
        return None if self.low is None else (self.low, self.high)

    def with_interval(self, interval: tuple[float, float] | None, method: str) -> Estimate:
        """Return the same with an interval; with none where the value is undefined, or the limits are one
        point."""
        if self.value is None or interval is None or interval[0] >= interval[1]:
            return replace(self, low=None, high=None, method=None)
        return replace(self, low=interval[0], high=interval[1], method=method)

    def as_dict(self) -> dict:
        """Return it for JSON, where the method is called "interval"."""
        found = {"value": self.value, "low": self.low, "high": self.high, "n": self.n,
                 "n_positive": self.n_positive,
                 "interval": self.method}
        return found if self.of is None else found | {"k": self.k, "of": self.of}


Estimates = dict[str, Estimate]


def estimate(labels: np.ndarray, probs: np.ndarray, task: str, patients: Sequence | None = None, *,
             names: Sequence[str] | None = None, each: Collection[str] | None = None,
             threshold: float | np.ndarray = 0.5,
             draws: int = 1000, seed: int = 0) -> tuple[Estimates, list[Estimates]]:
    """Estimate metrics over all classes, and of each class against the rest.

    Args:
        labels, probs, task, threshold: as in `core.metrics`
        patients: N names, "" where unknown; None where they are not known
        names: keys of METRICS; None takes all of them and those of MEDMNIST
        each: keys of METRICS that are computed per class too; None takes `names`. Those of PROPORTIONS need
            no resampling
        draws, seed: of the bootstrap

    Returns:
        `names`; and `each` of each of the K classes, without the metrics that are not about one class (an
        empty list where `each` is empty)

    Raises:
        LightboxError: as `core.metrics.input.check`

    >>> labels, probs = np.array([0, 0, 1, 1, 1]), np.array([[.9, .1], [.4, .6], [.2, .8], [.3, .7], [.6, .4]])
    >>> found, _ = estimate(labels, probs, "binary-class", names=["accuracy"])
    >>> found["accuracy"].value, found["accuracy"].k, found["accuracy"].of, found["accuracy"].method
    (0.6, 3, 5, 'Wilson')
    """
    every = names is None
    names = list(METRICS) if names is None else list(names)
    of_class = names if each is None else [name for name in names if name in each]
    found = _Estimator(Sample(labels, probs, task, threshold), _clusters(patients), names, of_class, draws,
                       seed)
    overall_ = {name: found.overall(name) for name in names}
    if every:
        plain = found if np.all(np.asarray(threshold) == 0.5) else found.at_one_half()
        overall_ |= {"medmnist_auc": overall_["roc_auc"], "medmnist_acc": plain.overall("accuracy")}
    of_class = [name for name in of_class if METRICS[name].function.per_class]
    classes = range(found.sample.classes if of_class else 0)
    return overall_, [{name: found.of_class(name, k) for name in of_class} for k in classes]


def of_other_class(estimates: Estimates, of_class: Estimates, n: int) -> Estimates:
    """Return `estimates` of two classes with the other one as the positive one: what is predicted stays.

    Args:
        of_class: of that class against the other, those of OF_POSITIVE that are known of it
        n: its images
    """
    changed = {name: of_class[name] for name in OF_POSITIVE if name in of_class}
    return {name: replace(changed.get(name, one), n_positive=n) for name, one in estimates.items()
            if name in changed or name not in OF_POSITIVE}


def _clusters(patients: Sequence | None) -> np.ndarray | None:
    """The patients as numbers, or None where none of them has two images."""
    codes = None if patients is None else as_codes(patients)
    return codes if codes is not None and codes.max(initial=-1) + 1 < len(codes) else None


class _Estimator:
    """A sample with all its resamples."""

    def __init__(self, sample: Sample, patients: np.ndarray | None, names: Sequence[str],
                 of_class: Sequence[str],
                 draws: int, seed: int):
        self.sample, self.patients = sample, patients
        self.unit = "image" if patients is None else "patient"
        functions = overall([name for name in names if not self._is_proportion(name)]) | per_class(
            [name for name in of_class if name not in PROPORTIONS], sample.classes)
        self.values = resample(sample, patients, functions, draws=draws, seed=seed)
        self.freedom = {k: degrees_of_freedom(sample, patients, k)
                        for k in (None, *(range(sample.classes) if of_class else ()))}

    def at_one_half(self) -> _Estimator:
        """The same at the threshold 0.5, for proportions alone."""
        return _Estimator(Sample(self.sample.labels, self.sample.probs, self.sample.task), self.patients, (),
                          (), 0, 0)

    def overall(self, name: str) -> Estimate:
        sample = self.sample
        n_positive = None
        if sample.multi_label:
            n_positive = int(sample.truth.any(axis=1).sum())
        elif sample.task == "binary-class":
            n_positive = int(sample.truth[:, 1].sum())
        value = none_for_nan(METRICS[name].function.of_sample(sample))
        plain = Estimate(value, n=len(sample.labels), n_positive=n_positive)
        # the predictions about one image, or patient, are clustered
        if name == "accuracy" and sample.multi_label:
            correct = sample.preds == sample.labels
            clusters = np.arange(len(correct)) if self.patients is None else self.patients
            found = _wilson(plain, correct[sample.known], np.repeat(clusters, correct.shape[1])[sample.known.ravel()])
            return replace(found, method=f"Wilson, by {self.unit}")
        if name in ("accuracy", "micro_f1") and self._is_proportion(name):
            return _wilson(plain, sample.preds == sample.labels, self.patients)
        if self._is_proportion(name):
            return self._proportion(plain, name, 1)
        found = plain.with_interval(limits(name, value, self.values[name], self.freedom[None]),
                                    f"bootstrap by {self.unit}")
        if name != "roc_auc":
            return found
        return _rescued(found, lambda: roc_auc_interval(sample.labels, sample.probs, sample.task))

    def of_class(self, name: str, k: int) -> Estimate:
        sample = self.sample
        value = none_for_nan(METRICS[name].function.per_class(sample, [k])[..., 0])
        plain = Estimate(value, n=int(sample.known[:, k].sum()), n_positive=int(sample.truth[:, k].sum()))
        if name in PROPORTIONS:
            return self._proportion(plain, name, k)
        interval = limits(name, value, self.values[name, "each"][:, k], self.freedom[k])
        found = plain.with_interval(interval, f"bootstrap by {self.unit}")
        if name != "roc_auc":
            return found
        return _rescued(found, lambda: auc_interval(sample.truth[:, [k]], sample.probs[:, [k]], sample.known[:, [k]]))

    def _is_proportion(self, name: str) -> bool:
        """Whether a metric over all classes is a proportion of images; a mean over classes is none."""
        if name == "accuracy":
            return True
        if name == "micro_f1":                              # with one class per image it is the accuracy
            return not self.sample.multi_label
        return name in PROPORTIONS and self.sample.task == "binary-class"

    def _proportion(self, plain: Estimate, name: str, k: int) -> Estimate:
        sample = self.sample
        pred = sample.preds[:, k] == 1 if sample.multi_label else sample.preds == k
        counted, correct = PROPORTIONS[name](sample.truth[:, k], pred)
        counted = counted & sample.known[:, k]
        return _wilson(plain, correct[counted], None if self.patients is None else self.patients[counted])


def _wilson(plain: Estimate, correct: np.ndarray, patients: np.ndarray | None) -> Estimate:
    found = replace(plain, k=int(correct.sum()), of=len(correct))
    if not len(correct):
        return found
    low, high = wilson_by_patient(correct, patients)
    return replace(found, low=low, high=high, method="Wilson" if patients is None else "Wilson, by patient")


def _rescued(found: Estimate, closed_form: Callable[[], tuple[float, float] | None]) -> Estimate:
    """A ROC AUC with the interval of `core.metrics.intervals.auc_interval` where resamples gave none: all
    resamples of a perfect ranking are perfect, and some miss a rare class."""
    if found.value is None or found.low is not None:
        return found
    return found.with_interval(closed_form(), "Newcombe" if found.value in (0.0, 1.0) else "DeLong")
