"""Two runs side by side: what differs between their settings, and which of them is better on the same images.

    differences(config_a, config_b)      the settings that differ, and nothing else
    pair(run_a, run_b, split)            their stored answers, image by image; refuses what cannot be compared
    compare(run_a, run_b, split)         the tests of core.metrics.paired_tests on such a pair, with sentences, ready for JSON

Nothing here opens the test split or computes an answer: only what is stored is read. A is the first run, B the second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from core import metrics
from core.config import KNOBS, RunConfig
from core.errors import LightboxError
from core.evaluation import thresholds
from core.evaluation.predictions import Predictions, load_predictions, ready_dataset, with_patients
from core.metrics import MULTI_LABEL
from core.metrics.paired_tests import AccuracyTest, AUCTest, delong_test, mcnemar
from core.runs.store import Run

SPLITS = {"val": "validation", "test": "test"}
SURE = 0.05             # a smaller p is called unlikely to be chance
OF_THE_MACHINE = {"train.device", "train.threads", "train.compile"}        # change the time that a run takes, not what it learns


# ---------------------------------------------------------------------------------------------------------- the settings

def differences(a: RunConfig, b: RunConfig) -> list[dict[str, Any]]:
    """The settings in which two runs differ, in the order of core/config: [{"field", "label", "a", "b"}]."""
    return [{"field": name, "label": knob.label, "a": a.get(name), "b": b.get(name)} for name, knob in KNOBS.items()
            if a.get(name) != b.get(name)]


def same_but_for_the_seed(config: RunConfig) -> tuple:
    """Equal for runs that differ in nothing but their name, the seed of the training, and what belongs to the machine."""
    return tuple(config.get(name) for name in KNOBS if name not in OF_THE_MACHINE | {"train.seed"})


# ------------------------------------------------------------------------------------------------------------ the answers

@dataclass(frozen=True)
class Pair:
    """The answers of two runs to the same N images, in the order of A.

    Args:
        labels: (N,) int64, or (N, K) for several findings
        probs: (A, B), each (N, K) in [0, 1]
        answers: (A, B), each shaped as the labels, made with each run's own threshold
        image_ids: N names
        groups: (N,) the patient of each image, None where no patient is known. An image of nobody known stands alone
        notes: what to know about this pair, in plain sentences
    """
    labels: np.ndarray
    probs: tuple[np.ndarray, np.ndarray]
    answers: tuple[np.ndarray, np.ndarray]
    image_ids: np.ndarray
    groups: np.ndarray | None
    task: str
    class_names: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def of_finding(self, k: int) -> Pair:
        """Of several findings one, as two classes."""
        def one(probs: np.ndarray) -> np.ndarray:
            return np.stack([1 - probs[:, k], probs[:, k]], axis=1)
        name = self.class_names[k]
        return Pair(self.labels[:, k], tuple(map(one, self.probs)), tuple(a[:, k] for a in self.answers), self.image_ids,
                    self.groups, "binary-class", (f"no {name}", name), self.notes)


def pair(run_a: Run, run_b: Run, split: str = "val") -> Pair:
    """Put the stored answers of two runs beside each other.

    Raises:
        LightboxError: "compare.unanswered" where a run has not answered the split, "compare.classes", "compare.images" or
            "compare.labels" where what they answered is not the same
    """
    (about_a, found_a), (about_b, found_b) = (_stored(run, split, name) for run, name in ((run_a, "A"), (run_b, "B")))
    if about_a["task"] != about_b["task"] or list(about_a["class_names"]) != list(about_b["class_names"]):
        a, b = (", ".join(about["class_names"][:6]) for about in (about_a, about_b))
        raise LightboxError("compare.classes", f"These two runs learned different things: {a} against {b}.",
                            "Choose two runs with the same classes in the same order.")
    order_a, order_b = np.argsort(found_a.image_ids), np.argsort(found_b.image_ids)
    ids_a, ids_b = np.array(found_a.image_ids)[order_a], np.array(found_b.image_ids)[order_b]
    if not np.array_equal(ids_a, ids_b):
        both = len(np.intersect1d(ids_a, ids_b))
        raise LightboxError("compare.images", f"These two runs were judged on different {SPLITS[split]} images: A on "
                            f"{len(ids_a):,}, B on {len(ids_b):,}, and {both:,} of them are the same.",
                            "A paired test needs the same images. Choose two runs with the same data, split and split seed.")
    back = np.empty(len(order_a), np.int64)
    back[order_a] = order_b                                    # row of A -> row of B
    labels = found_a.labels
    if other := int((labels != found_b.labels[back]).reshape(len(labels), -1).any(axis=1).sum()):
        raise LightboxError("compare.labels", f"{other:,} of the {len(labels):,} images have another label for B than for A.",
                            "The labels were changed between the two runs. Train again on the same ones.")
    if found_a.patients is None and (data := ready_dataset(run_a)) is not None:
        found_a = with_patients(found_a, data)
    probs, task = (found_a.probs.astype(float), found_b.probs[back].astype(float)), about_a["task"]
    answers = tuple(metrics.predict(p, task, thresholds.of(run)) for p, run in zip(probs, (run_a, run_b)))
    return Pair(labels, probs, answers, np.array(found_a.image_ids), _groups(found_a), task, tuple(about_a["class_names"]),
                tuple(_notes(about_a, about_b)))


def _stored(run: Run, split: str, name: str) -> tuple[dict, Predictions]:
    found = load_predictions(run, split)
    if found is None:
        hint = ("It is opened on the page Evaluate, when all choices are made." if split == "test" else
                "The page Evaluate makes the answers of its best epoch.")
        what = "The test set of run" if split == "test" else "Run"
        said = "was not opened yet" if split == "test" else "has not answered the validation images yet"
        raise LightboxError("compare.unanswered", f"{what} {name} ({run.name}) {said}.", hint)
    return run.data(), found


def _groups(found: Predictions) -> np.ndarray | None:
    if found.patients is None:
        return None
    return np.array([f"patient {name}" if name else f"image {i}" for i, name in enumerate(found.patients)])


def _notes(a: dict, b: dict) -> list[str]:
    if a.get("fingerprint") == b.get("fingerprint"):
        return []
    return [f"The two runs read the images from different files ({a['title']}, {a['size']} px, and {b['title']}, {b['size']} "
            "px). Names and labels agree, so they are taken for the same images."]


# -------------------------------------------------------------------------------------------------------------- the tests

def compare(run_a: Run, run_b: Run, split: str = "val") -> dict:
    """Everything about two runs, as a dict that goes straight into JSON.

    Returns:
        runs: [{"id", "name"}] of A and B; split; n images; n_patients or None; task; class_names
        differs: as `differences`
        roc_auc: the fields of AUCTest with "sentence", None where it is undefined; a mean over classes where there are more than
            two, over findings where there are several
        accuracy: the fields of AccuracyTest with "sentence"; None for several findings, whose answers hang together
        findings: for several findings both tests of each: [{"finding", "n_positive", "roc_auc", "accuracy"}]
        disagreements: images to which the two give different answers
        notes: plain sentences

    Raises:
        LightboxError: as `pair` does
    """
    return describe(pair(run_a, run_b, split), run_a, run_b, split)


def describe(both: Pair, run_a: Run, run_b: Run, split: str) -> dict:
    """`compare` of a pair that one has."""
    findings = both.task == MULTI_LABEL
    each = [both.of_finding(k) for k in range(len(both.class_names))] if findings else []
    return {
        "runs": [{"id": run.id, "name": run.name} for run in (run_a, run_b)], "split": split, "n": len(both.labels),
        "n_patients": None if both.groups is None else len(np.unique(both.groups)), "task": both.task,
        "class_names": list(both.class_names), "differs": differences(run_a.config, run_b.config),
        "roc_auc": auc_of(both, split), "accuracy": None if findings else accuracy_of(both, split),
        "findings": [{"finding": name, "n_positive": int(one.labels.sum()), "roc_auc": auc_of(one, split),
                      "accuracy": accuracy_of(one, split)} for name, one in zip(both.class_names, each)],
        "disagreements": len(disagreements(both)), "notes": list(both.notes)}


def auc_of(both: Pair, split: str) -> dict | None:
    """DeLong's test of a pair with its sentence, None where ROC AUC is undefined."""
    first = 1 if both.task == "binary-class" else 0
    truth = metrics.one_against_rest(both.labels, len(both.class_names))[:, first:]
    test = delong_test(truth, *(probs[:, first:] for probs in both.probs), both.groups)
    return None if test is None else asdict(test) | {"sentence": auc_sentence(test, len(both.labels), split)}


def accuracy_of(both: Pair, split: str) -> dict:
    """McNemar's test of a pair with its sentence. Not for several findings at once: see `Pair.of_finding`."""
    test = mcnemar(*(answers == both.labels for answers in both.answers), both.groups)
    return asdict(test) | {"sentence": accuracy_sentence(test, split)}


def disagreements(both: Pair, kind: str = "any") -> np.ndarray:
    """(n,) rows of a pair to which the two give different answers.

    Args:
        kind: "any"; "a" only A is right; "b" only B is right; "neither": both are wrong, in different ways
    """
    right = [(answers == both.labels).reshape(len(both.labels), -1).all(axis=1) for answers in both.answers]
    differ = (both.answers[0] != both.answers[1]).reshape(len(both.labels), -1).any(axis=1)
    kept = {"any": differ, "a": differ & right[0] & ~right[1], "b": differ & right[1] & ~right[0],
            "neither": differ & ~right[0] & ~right[1]}[kind]
    return np.flatnonzero(kept)


# ---------------------------------------------------------------------------------------------------------- the sentences

def auc_sentence(test: AUCTest, n: int, split: str) -> str:
    """What DeLong's test says, for a person who never heard of it."""
    values = f"ROC AUC is {test.a:.3f} for A and {test.b:.3f} for B, on the same {n:,} {SPLITS[split]} images."
    if test.p is None:
        return f"{values} There are too few images of one class to say what chance would do."
    if test.difference == 0:
        return f"{values} They are equal."
    better, far = ("A", test.difference) if test.difference > 0 else ("B", -test.difference)
    return (f"{values} {better} is better by {far:.3f}, and the truth may lie anywhere between {_better(test.low)} and "
            f"{_better(test.high)} (95 %). Were both equally good, a difference at least as large would come up {_often(test.p)} "
            f"such sets: {_verdict(test.p)} (DeLong's test, {p_text(test.p)}).")


def accuracy_sentence(test: AccuracyTest, split: str) -> str:
    """What McNemar's test says, for a person who never heard of it."""
    n, one = test.both + test.only_a + test.only_b + test.neither, test.only_a + test.only_b
    values = f"A is right on {test.both + test.only_a:,} of {n:,} {SPLITS[split]} images, B on {test.both + test.only_b:,}."
    if not one:
        return f"{values} There is no image that only one of them gets right, so their accuracies cannot be told apart."
    image = "image" if one == 1 else "images"
    counted = "with the images of one patient counted together" if test.by_group else "mid-p"
    return (f"{values} On {one:,} {image} only one of the two is right: {test.only_a:,} times A, {test.only_b:,} times B. Were "
            f"both equally good, that would be {one:,} throws of a coin, which fall at least as unevenly {_often(test.p)} tries: "
            f"{_verdict(test.p)} (McNemar's test, {counted}, {p_text(test.p)}).")


def p_text(p: float) -> str:
    """0.1634 -> "p = 0.16", 0.0213 -> "p = 0.021", 0.00001 -> "p < 0.001"."""
    if p < 0.001:
        return "p < 0.001"
    return f"p = {p:.3f}" if p < 0.095 else f"p = {p:.2f}"


def _better(difference: float) -> str:
    return f"{'A' if difference >= 0 else 'B'} better by {abs(difference):.3f}"


def _often(p: float) -> str:
    times = round(100 * p)
    return f"in about {times} of 100" if times else "in fewer than 1 of 100" if p >= 0.001 else "in fewer than 1 of 1,000"


def _verdict(p: float) -> str:
    return "chance alone is an unlikely explanation" if p < SURE else "this may well be chance"


def fold_seeds(values: Sequence[float | None]) -> dict[str, float | int] | None:
    """Several seeds of one setting as mean and spread: {"n", "mean", "sd", "low", "high"}; None where nothing is known.

    sd is that between the runs, sqrt(sum (x - mean)^2 / (n - 1)), None for a single run; low and high are the least and the
    largest value. It is no confidence interval: it says how much luck there is in a seed.
    """
    known = np.array([v for v in values if v is not None], float)
    if not len(known):
        return None
    return {"n": len(known), "mean": float(known.mean()), "sd": float(known.std(ddof=1)) if len(known) > 1 else None,
            "low": float(known.min()), "high": float(known.max())}
