"""Intervals: how long they take, and how often they hold the truth. `python -m bench.intervals [--coverage 4000]`

Ten measures of two classes, of nine classes and of fourteen findings; a patient has three images on average. Beside them the same
interval by a loop over draws, as one would write it first: a few draws are timed and the rest is reckoned. Wall time, fastest
of a few turns.

With --coverage: so many small sets are drawn from a population whose measures are known, because it has 300,000 patients; the
share of sets whose 95 % interval holds the population's value should be 95 %. One interval takes images for patients, to show
what that costs.
"""

from __future__ import annotations

import numpy as np

from bench.machine import Meter, line, options_of
from core.metrics import METRICS, MULTI_LABEL, Sample, measure
from core.metrics.intervals import wilson_by_patient
from core.metrics.resampling import bootstrap

TEN = ("accuracy", "roc_auc", "average_precision", "balanced_accuracy", "sensitivity", "specificity", "precision", "f1",
       "cohen_kappa", "loss")
TASKS = (("binary-class", 2), ("multi-class", 9), (MULTI_LABEL, 14))
LOOPED = 20             # draws of the loop that are timed
MEASURED = ("roc_auc", "average_precision", "balanced_accuracy", "f1", "cohen_kappa", "matthews", "loss", "brier")
# patients, share of them who are sick, how far the scores of sick and healthy lie apart
COHORTS = {"60 patients, half of them sick": (60, 0.5, 1.2), "100 patients, half of them sick": (100, 0.5, 1.2),
           "300 patients, half of them sick": (300, 0.5, 1.2), "300 patients, one in ten sick": (300, 0.1, 1.2),
           "120 patients, a good network": (120, 0.5, 2.0)}


def answers(task: str, classes: int, images: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, probabilities that know a little of them, and patients."""
    r = np.random.default_rng(seed)
    findings = task == MULTI_LABEL
    labels = (r.random((images, classes)) < 0.1).astype(np.int64) if findings else r.integers(0, classes, images)
    scores = r.normal(size=(images, classes)) + (labels if findings else np.eye(classes)[labels])
    probs = 1 / (1 + np.exp(-scores)) if findings else np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return labels, probs, r.integers(0, max(1, images // 3), images)


def loop(labels: np.ndarray, probs: np.ndarray, patients: np.ndarray, task: str, draws: int) -> None:
    """Each draw by itself."""
    r, of = np.random.default_rng(0), [np.flatnonzero(patients == p) for p in np.unique(patients)]
    for _ in range(draws):
        rows = np.concatenate([of[p] for p in r.integers(0, len(of), len(of))])
        sample = Sample(labels[rows], probs[rows], task)
        for name in TEN:
            METRICS[name].function.of_sample(sample)


def cohort(r: np.random.Generator, people: int, share: float, apart: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One to three images of each patient, who is sick or not, and whose images look alike."""
    patients = np.repeat(np.arange(people), r.integers(1, 4, people))
    sick = (r.random(people) < share).astype(np.int64)[patients]
    score = apart * (sick - 0.5) + 0.7 * r.normal(size=people)[patients] + 0.7 * r.normal(size=len(patients))
    p = 1 / (1 + np.exp(-1.5 * score))
    return sick, np.stack([1 - p, p], axis=1), patients


def coverage(of: tuple[int, float, float], sets: int, draws: int, seed: int) -> dict[str, float]:
    """The share of sets whose interval holds the population's value, for each of MEASURED, Wilson's for shares, and ROC AUC by
    image."""
    r = np.random.default_rng(seed)
    truth = measure(*cohort(r, 300_000, *of[1:])[:2], "binary-class")
    held = dict.fromkeys((*MEASURED, "accuracy", "sensitivity", "roc_auc, by image"), 0)
    for _ in range(sets):
        labels, probs, patients = cohort(r, *of)
        right = (probs[:, 1] > 0.5) == (labels == 1)
        found = bootstrap(labels, probs, "binary-class", patients, names=MEASURED, draws=draws)
        found |= {"accuracy": wilson_by_patient(right, patients),
                  "sensitivity": wilson_by_patient(right[labels == 1], patients[labels == 1]),
                  "roc_auc, by image": bootstrap(labels, probs, "binary-class", names=["roc_auc"], draws=100)["roc_auc"]}
        for name, limits in found.items():
            held[name] += limits is not None and limits[0] <= truth[name.split(",")[0]] <= limits[1]
    return {name: count / sets for name, count in held.items()}


def main() -> None:
    parser = options_of(__doc__, images=200, draws=50, runs=1)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--draws", type=int, default=2_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--coverage", type=int, default=0, metavar="SETS")
    options = parser.parse_args()
    print(line())
    if options.coverage:
        for title, of in COHORTS.items():
            found = coverage(of, options.coverage, 1000, seed=1)
            print(f"{title}, {options.coverage:,} sets\n   " + ", ".join(f"{name} {share:.3f}" for name, share in found.items()),
                  flush=True)
        return
    print(f"{options.images:,} images, {options.draws:,} draws by patient, {len(TEN)} measures; seconds")
    print(f"{'task':28}{'classes':>8}{'ours':>8}{'a loop':>9}{'ratio':>7}")
    for task, classes in TASKS:
        labels, probs, patients = answers(task, classes, options.images)
        taken = []
        for _ in range(options.runs):
            meter = Meter()
            bootstrap(labels, probs, task, patients, names=TEN, draws=options.draws)
            taken.append(meter.seconds())
        meter = Meter()
        loop(labels, probs, patients, task, LOOPED)
        slow = meter.seconds() * options.draws / LOOPED
        print(f"{task:28}{classes:8}{min(taken):8.2f}{slow:9.1f}{slow / min(taken):7.1f}", flush=True)


if __name__ == "__main__":
    main()
