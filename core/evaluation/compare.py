"""Two runs compared: in which settings they differ, and which of them is better on the same images.

    differences(config_a, config_b)      the settings that differ, and nothing else
    run_differences(run_a, run_b)        the same of two runs: an ensemble has members in place of settings
    pair(run_a, run_b, split)            their stored predictions, image by image; refuses what cannot be compared
    compare(run_a, run_b, split)         the tests of core.metrics.paired_tests on such a pair, with sentences, ready for JSON

Nothing here opens the test split or predicts: only what is stored is read. A is the first run, B the second.
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
from core.evaluation.data_state import data_note
from core.evaluation.predictions import Predictions, load_predictions, ready_dataset, with_patients
from core.metrics import MULTI_LABEL
from core.metrics.operating_points import known_rows
from core.metrics.paired_tests import AccuracyTest, AUCTest, delong_test, mcnemar
from core.runs.store import Run

SPLITS = {"val": "validation", "test": "test"}
ALPHA = 0.05            # a smaller p is statistically significant
# change the time that a run takes, not what it learns
OF_THE_MACHINE = {"train.device", "train.threads", "train.compile"}


# ----------------------------------------------------------------------------------------------- the settings

def differences(a: RunConfig, b: RunConfig) -> list[dict[str, Any]]:
    """Return the settings in which two runs differ, in the order of core/config: [{"field", "label", "a",
    "b"}]."""
    return [{"field": name, "label": knob.label, "a": a.get(name), "b": b.get(name)}
            for name, knob in KNOBS.items()
            if a.get(name) != b.get(name)]


def run_differences(a: Run, b: Run) -> list[dict[str, Any]]:
    """Return what differs between two runs, as `differences` does.

    An ensemble has settings of its images alone, so of a pair with one in it the other settings are left out; how it combines
    and its members stand in front.
    """
    rows, specs = differences(a.config, b.config), (a.ensemble, b.ensemble)
    if specs == (None, None):
        return rows
    own = [{"field": "ensemble", "label": "Network", "a": a.network_title, "b": b.network_title},
           {"field": "members", "label": "Members", **{letter: ", ".join(member.name for member in spec.members) if spec else "-"
                                                       for letter, spec in zip("ab", specs)}}]
    return [*(row for row in own if row["a"] != row["b"]), *(row for row in rows if row["field"].startswith("data."))]


def ensemble_sentences(a: Run, b: Run) -> list[str]:
    """Return what to know where one of two runs is an ensemble: of what, and what the other has to do with it; else nothing."""
    specs, said = (a.ensemble, b.ensemble), []
    for letter, run, spec in zip("AB", (a, b), specs):
        if spec:
            kind = "is a soup, one network" if spec.is_soup else "is an ensemble"
            names = ", ".join(member.name for member in spec.members)
            said.append(f"{letter} {kind}, {spec.title}: made from {names}.")
    for spec, letter, other, name in ((specs[0], "A", b, "B"), (specs[1], "B", a, "A")):
        if spec and other.id in {member.run for member in spec.members}:
            said.append(f"{name} is one of the members of {letter}.")
    if all(specs) and {member.sha256 for member in specs[0].members} == {member.sha256 for member in specs[1].members}:
        said.append("Both have the same members, so they differ in nothing but how these are combined.")
    return said


def same_but_for_the_seed(config: RunConfig) -> tuple:
    """Return what is equal for runs that differ only in their name, the seed of the training, and the
    machine."""
    return tuple(config.get(name) for name in KNOBS if name not in OF_THE_MACHINE | {"train.seed"})


# ------------------------------------------------------------------------------------------------ the answers

@dataclass(frozen=True)
class Pair:
    """The predictions of two runs for the same N images, in the order of A.

    Args:
        labels: (N,) int64, or (N, K) for several findings
        probs: (A, B), each (N, K) in [0, 1]
        preds: (A, B), each shaped as the labels, at each run's own threshold
        image_ids: N names
        groups: (N,) the patient of each image, None where no patient is known. An image whose patient is
            unknown stands alone
        notes: what to know about this pair, as sentences
    """
    labels: np.ndarray
    probs: tuple[np.ndarray, np.ndarray]
    preds: tuple[np.ndarray, np.ndarray]
    image_ids: np.ndarray
    groups: np.ndarray | None
    task: str
    class_names: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def of_finding(self, k: int) -> Pair:
        """Return one of several findings, as two classes, of the images of which it is known."""
        def one(probs: np.ndarray) -> np.ndarray:
            return np.stack([1 - probs[:, k], probs[:, k]], axis=1)
        name, rows = self.class_names[k], known_rows(self.labels, k)
        return Pair(self.labels[rows, k], tuple(one(probs[rows]) for probs in self.probs),
                    tuple(a[rows, k] for a in self.preds), self.image_ids[rows],
                    None if self.groups is None else self.groups[rows], "binary-class", (f"no {name}", name), self.notes)


def pair(run_a: Run, run_b: Run, split: str = "val") -> Pair:
    """Align the stored predictions of two runs.

    Raises:
        LightboxError: "compare.unanswered" where a run has no predictions for the split, "compare.classes",
            "compare.images" or "compare.labels" where what they predicted is not the same
    """
    (about_a, found_a), (about_b, found_b) = (_stored(run, split, name)
                                              for run, name in ((run_a, "A"), (run_b, "B")))
    if about_a["task"] != about_b["task"] or list(about_a["class_names"]) != list(about_b["class_names"]):
        a, b = (", ".join(about["class_names"][:6]) for about in (about_a, about_b))
        raise LightboxError("compare.classes", f"These two runs learned different classes: {a} against {b}.",
                            "Choose two runs with the same classes in the same order.")
    order_a, order_b = np.argsort(found_a.image_ids), np.argsort(found_b.image_ids)
    ids_a, ids_b = np.array(found_a.image_ids)[order_a], np.array(found_b.image_ids)[order_b]
    if not np.array_equal(ids_a, ids_b):
        both = len(np.intersect1d(ids_a, ids_b))
        raise LightboxError("compare.images",
                            f"These two runs have different {SPLITS[split]} images: A {len(ids_a):,}, "
                            f"B {len(ids_b):,}, of which they share {both:,}.",
                            "A paired test needs the same images. Choose two runs with the same data, split and split seed.")
    back = np.empty(len(order_a), np.int64)
    back[order_a] = order_b                                    # row of A -> row of B
    labels = found_a.labels
    if other := int((labels != found_b.labels[back]).reshape(len(labels), -1).any(axis=1).sum()):
        raise LightboxError("compare.labels",
                            f"{other:,} of the {len(labels):,} images are labelled differently in B.",
                            "The labels were changed between the two runs. Train again on the same labels.")
    if found_a.patients is None and (data := ready_dataset(run_a)) is not None:
        found_a = with_patients(found_a, data)
    probs, task = (found_a.probs.astype(float), found_b.probs[back].astype(float)), about_a["task"]
    preds = tuple(metrics.predict(p, task, thresholds.of(run)) for p, run in zip(probs, (run_a, run_b)))
    return Pair(labels, probs, preds, np.array(found_a.image_ids), _groups(found_a), task,
                tuple(about_a["class_names"]),
                tuple(_notes(about_a, about_b)))


def _stored(run: Run, split: str, name: str) -> tuple[dict, Predictions]:
    found = load_predictions(run, split)
    if found is None:
        hint = ("Open it on the page Evaluate, when all choices are made." if split == "test" else
                "The page Evaluate predicts them with its best epoch.")
        what = "The test set of run" if split == "test" else "Run"
        state = "has not been opened yet" if split == "test" else "has no predictions for the validation images yet"
        raise LightboxError("compare.unanswered", f"{what} {name} ({run.name}) {state}.", hint)
    return run.data(), found


def _groups(found: Predictions) -> np.ndarray | None:
    if found.patients is None:
        return None
    return np.array([f"patient {name}" if name else f"image {i}" for i, name in enumerate(found.patients)])


def _notes(a: dict, b: dict) -> list[str]:
    if a.get("fingerprint") == b.get("fingerprint"):
        return []
    return [f"The two runs read the images from different files ({a['title']}, {a['size']} px, and {b['title']}, {b['size']} "
            "px). Names and labels agree, so they are assumed to be the same images."]


# -------------------------------------------------------------------------------------------------- the tests

def compare(run_a: Run, run_b: Run, split: str = "val") -> dict:
    """Compare two runs; returns a dict for JSON.

    Returns:
        runs: [{"id", "name"}] of A and B; split; n images; n_patients or None; task; class_names
        differs: as `run_differences`
        roc_auc: the fields of AUCTest with "sentence", None where it is undefined; a mean over classes where
        there are more than
            two, over findings where there are several
        accuracy: the fields of AccuracyTest with "sentence"; None for several findings, whose predictions are
        correlated findings: for several findings both tests of each: [{"finding", "n_positive", "roc_auc",
        "accuracy"}] disagreements: images for which the two predict differently
        notes: plain sentences

    Raises:
        LightboxError: as `pair` does
    """
    found = describe(pair(run_a, run_b, split), run_a, run_b, split)
    return found | {"notes": [*data_notes((run_a, run_b), split), *found["notes"]]}


def data_notes(runs: Sequence[Run], split: str) -> list[str]:
    """Return a sentence for each of two runs whose images have changed since."""
    said = [(letter, data_note(run, load_predictions(run, split))) for letter, run in zip("AB", runs)]
    return [f"{letter}: {note.text}" for letter, note in said if note]


def describe(both: Pair, run_a: Run, run_b: Run, split: str) -> dict:
    """Do the same with a pair that one has."""
    findings = both.task == MULTI_LABEL
    each = [both.of_finding(k) for k in range(len(both.class_names))] if findings else []
    return {
        "runs": [{"id": run.id, "name": run.name} for run in (run_a, run_b)], "split": split,
        "n": len(both.labels), "positive_class": both.class_names[1] if both.task == "binary-class" else None,
        "n_patients": None if both.groups is None else len(np.unique(both.groups)), "task": both.task,
        "class_names": list(both.class_names), "differs": run_differences(run_a, run_b),
        "roc_auc": auc_of(both, split), "accuracy": None if findings else accuracy_of(both, split),
        "findings": [{"finding": name, "n_positive": int(one.labels.sum()), "roc_auc": auc_of(one, split),
                      "accuracy": accuracy_of(one, split)} for name, one in zip(both.class_names, each)],
        "disagreements": len(disagreements(both)), "notes": [*ensemble_sentences(run_a, run_b), *both.notes]}


def auc_of(both: Pair, split: str) -> dict | None:
    """Run DeLong's test on a pair; returns it with its sentence, None where ROC AUC is undefined."""
    first = 1 if both.task == "binary-class" else 0
    truth = metrics.one_against_rest(both.labels, len(both.class_names))[:, first:]
    known = metrics.is_known(both.labels, len(both.class_names))[:, first:]
    test = delong_test(truth, *(probs[:, first:] for probs in both.probs), both.groups, known)
    return None if test is None else asdict(test) | {"sentence": auc_sentence(test, len(both.labels), split)}


def accuracy_of(both: Pair, split: str) -> dict:
    """Run McNemar's test on a pair; returns it with its sentence. Not for several findings at once: see
    `Pair.of_finding`."""
    test = mcnemar(*(preds == both.labels for preds in both.preds), both.groups)
    return asdict(test) | {"sentence": accuracy_sentence(test, split)}


def disagreements(both: Pair, kind: str = "any") -> np.ndarray:
    """Return the (n,) rows of a pair for which the two predict differently.

    Args:
        kind: "any"; "a" only A is correct; "b" only B is; "neither": both are wrong, in different ways
    """
    unknown = both.labels < 0
    right = [((preds == both.labels) | unknown).reshape(len(both.labels), -1).all(axis=1) for preds in both.preds]
    differ = ((both.preds[0] != both.preds[1]) & ~unknown).reshape(len(both.labels), -1).any(axis=1)
    kept = {"any": differ, "a": differ & right[0] & ~right[1], "b": differ & right[1] & ~right[0],
            "neither": differ & ~right[0] & ~right[1]}[kind]
    return np.flatnonzero(kept)


# ---------------------------------------------------------------------------------------------- the sentences

def auc_sentence(test: AUCTest, n: int, split: str) -> str:
    """Return the result of DeLong's test as a sentence."""
    values = f"ROC AUC is {test.a:.3f} for A and {test.b:.3f} for B on the same {n:,} {SPLITS[split]} images."
    if test.p is None:
        return f"{values} There are too few images of one class for a test."
    if test.difference == 0:
        return f"{values} They are equal."
    better, by = ("A", test.difference) if test.difference > 0 else ("B", -test.difference)
    return (f"{values} {better} is better by {by:.3f}; the 95 % interval of the difference A - B is {test.low:+.3f} to "
            f"{test.high:+.3f}. {_verdict(test.p)} (DeLong's test, {p_text(test.p)}).")


def accuracy_sentence(test: AccuracyTest, split: str) -> str:
    """Return the result of McNemar's test as a sentence."""
    n, one = test.both + test.only_a + test.only_b + test.neither, test.only_a + test.only_b
    values = f"A is correct on {test.both + test.only_a:,} of {n:,} {SPLITS[split]} images, B on {test.both + test.only_b:,}."
    if not one:
        return f"{values} No image is correct for only one of them, so their accuracies are equal."
    image = "image" if one == 1 else "images"
    variant = "clustered by patient" if test.by_group else "mid-p"
    return (f"{values} On {one:,} {image} only one of the two is correct: A on {test.only_a:,}, B on {test.only_b:,}. "
            f"{_verdict(test.p)} (McNemar's test, {variant}, {p_text(test.p)}).")


def p_text(p: float) -> str:
    """Return p with as many digits as it needs.

    >>> p_text(0.1634), p_text(0.0213), p_text(0.00001)
    ('p = 0.16', 'p = 0.021', 'p < 0.001')
    """
    if p < 0.001:
        return "p < 0.001"
    return f"p = {p:.3f}" if p < 0.095 else f"p = {p:.2f}"


def _verdict(p: float) -> str:
    """What p means: how often equally good networks would differ at least as much."""
    if p < ALPHA:
        return "The difference is statistically significant"
    return f"The difference may be chance: equally good networks would differ at least as much in {100 * p:.0f} % of such samples"


def over_seeds(values: Sequence[float | None]) -> dict[str, float | int] | None:
    """Return mean and spread over several seeds of one setting: {"n", "mean", "sd", "low", "high"}; None
    where nothing is known.

    sd is that between the runs, sqrt(sum (x - mean)^2 / (n - 1)), None for a single run; low and high are the
    least and the largest value. It is no confidence interval: it shows how much the seed matters.
    """
    known = np.array([v for v in values if v is not None], float)
    if not len(known):
        return None
    return {"n": len(known), "mean": float(known.mean()), "sd": float(known.std(ddof=1)) if len(known) > 1
            else None,
            "low": float(known.min()), "high": float(known.max())}
