"""The answers of a run as the pages Errors and Grad-CAM look at them: of which images, in which order, and in what words.

N images of a split, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from core import metrics
from core.evaluation import thresholds
from core.evaluation.predictions import Predictions
from core.metrics import MULTI_LABEL
from core.metrics.confident_learning import Suspects, find_suspects
from core.runs.store import Run
from pages.shared.layout import Chip, escape, format_number, format_percent, format_probability, set_param
from pages.shared.predictions import number, one_finding

PAIRS = 5              # of classes that are confused most
WEAK = 0.25            # a network that takes more labels than this for wrong is no judge of them


# ------------------------------------------------------------------------------------------------ in which order to look

@dataclass(frozen=True)
class Order:
    """title: in the menu; help: what comes first and why; rank: (labels, probs, answers, cut) -> (N,), the lowest first."""
    title: str
    help: str
    rank: Callable[[np.ndarray, np.ndarray, np.ndarray, float], np.ndarray] | None


def _of(probs: np.ndarray, classes: np.ndarray) -> np.ndarray:
    return probs[np.arange(len(probs)), classes]


def _sure(labels, probs, answers, cut):
    confidence = _of(probs, answers)
    return np.where(answers != labels, -confidence, confidence)


def _lead(labels, probs, answers, cut):
    """How far an answer is from being another: of two classes from the threshold, of more from the second likeliest."""
    if probs.shape[1] == 2:
        return np.abs(probs[:, 1] - cut)
    top = np.sort(probs, axis=1)
    return top[:, -1] - top[:, -2]


def _near(labels, probs, answers, cut):
    missing = _lead(labels, probs, answers, cut) if probs.shape[1] == 2 else _of(probs, answers) - _of(probs, labels)
    return np.where(answers != labels, missing - 2, missing)               # mistakes first


def _suspicious(labels, probs, answers, cut):
    rank = np.empty(len(labels))
    rank[find_suspects(labels, probs).order] = np.arange(len(labels))
    return rank


ORDERS = {
    "sure": Order("Most confident mistake first", "A network that is sure and wrong: what did it see? After the mistakes come "
                  "the right answers, from the least sure on.", _sure),
    "near": Order("Near misses first", "Mistakes that a little more would have made right.", _near),
    "loss": Order("Highest loss first", "The images whose true class got the least probability: where the loss comes from.",
                  lambda labels, probs, answers, cut: _of(probs, labels)),
    "suspect": Order("Suspected labels first", "Labels that may be wrong, ranked by confident learning (Northcutt, Jiang and "
                     "Chuang, 2021): the network did not learn from these images and is confidently of another opinion.",
                     _suspicious),
    "unsure": Order("Least sure first", "Right or wrong, the answers that hung in the balance.", _lead),
    "random": Order("Random order", "What the images are like, whatever the answers.", None),
}


def order_chip() -> Chip:
    return Chip("order", "Order", {name: order.title for name, order in ORDERS.items()}, width=250)


def choose(labels: np.ndarray, probs: np.ndarray, answers: np.ndarray, *, true: int | None = None,
           predicted: int | str = "wrong", order: str = "sure", seed: int = 0, cut: float = 0.5) -> np.ndarray:
    """Positions of the images of a cell of the confusion matrix, in the order in which they are worth looking at.

    Args:
        labels, answers: (N,) int64
        probs: (N, K)
        true: only images of this class; None takes all
        predicted: "wrong" takes the mistakes, "all" every answer, a number that answer
        order: a key of ORDERS; "random" goes by `seed`
        cut: of two classes the threshold of the second

    Returns:
        (n,) int64
    """
    kept = np.ones(len(labels), bool) if true is None else labels == true
    if predicted == "wrong":
        kept &= answers != labels
    elif predicted != "all":
        kept &= answers == predicted
    positions = np.flatnonzero(kept)
    if ORDERS[order].rank is None:
        return np.random.default_rng(seed).permutation(positions)
    return positions[np.argsort(ORDERS[order].rank(labels, probs, answers, cut)[positions], kind="stable")]


@dataclass(frozen=True)
class Answers:
    """A split of a run as this page sees it; of several findings the one that is looked at, as two classes.

    Args:
        labels, answers: (N,) int64
        probs: (N, K)
        names: K names
        cut: threshold of the second of two classes, or of the finding
        finding: which of several; None where an image has one class
    """
    labels: np.ndarray
    probs: np.ndarray
    answers: np.ndarray
    names: tuple[str, ...]
    cut: float
    finding: int | None

    def suspects(self) -> Suspects:
        return find_suspects(self.labels, self.probs)

    def confused(self) -> list[tuple[int, int, int, int]]:
        """(true class, answer, how many, of how many) of the pairs that are confused most often, the worst first."""
        matrix = metrics.confusion_matrix(self.labels, self.answers, len(self.names))
        pairs = [(int(matrix[t, a]), t, a) for t in range(len(matrix)) for a in range(len(matrix)) if t != a and matrix[t, a]]
        return [(t, a, n, int(matrix[t].sum())) for n, t, a in sorted(pairs, key=lambda p: (-p[0], p[1:]))[:PAIRS]]


def answers_for(run: Run, found: Predictions, finding: str | None = None) -> Answers:
    """The answers at the threshold that was chosen for the run. `finding` is its number as it stands in the address."""
    about = run.data()
    names, task, cut = tuple(about["class_names"]), about["task"], thresholds.of(run)
    labels, probs, answers, k = found.labels, found.probs, metrics.predict(found.probs, task, cut), None
    if task == MULTI_LABEL:
        k = number(finding, len(names)) or 0
        (labels, probs), answers = one_finding(labels, probs, k), answers[:, k]
        names = (f"no {names[k]}", names[k])
    return Answers(labels, probs, answers, names, float(np.broadcast_to(cut, found.probs.shape[1])[k or 0]), k)


def draw_confused(pairs: Sequence[tuple[int, int, int, int]], names: Sequence[str]) -> None:
    """The pairs of `Answers.confused` in a line; a click shows their images."""
    if not pairs:
        return

    def show(true: int, answer: int) -> None:
        set_param("true", str(true))
        set_param("predicted", str(answer))

    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="confused", width="content"):
        st.caption("Most confused", width="content", help="True class, answer, and how many of the images of that class. "
                                                          "A click shows them.")
        for true, answer, n, of in pairs:
            st.button(f"{escape(names[true])} \u2192 {escape(names[answer])}: {n:,} of {of:,}", type="tertiary",
                      key=f"pair_{true}_{answer}", on_click=show, args=(true, answer))


def suspicion(suspects: Suspects, shown: np.ndarray) -> str:
    """What confident learning says of the whole split, and how many of its suspects are among those that are shown."""
    n, here = int(suspects.suspected.sum()), int(suspects.suspected[shown].sum())
    if not n:
        return "No label is suspected: nowhere is the network confidently of another opinion."
    labels = "1 label is suspected" if n == 1 else f"{n:,} labels are suspected"
    where = "" if here == n else f" ({here:,} of them in this selection)"
    more = ("So weak a network says more about itself than about the labels." if suspects.noise > WEAK else
            "A hard image looks much like a wrong label, so look before you mark.")
    return f"{labels}{where}; by the network's estimate {format_percent(suspects.noise)} of all labels here are wrong. {more}"


# -------------------------------------------------------------------------------------------------------------- in words

FINDINGS = {(1, 0): "missed", (0, 1): "false alarm", (1, 1): "found", (0, 0): "not called"}        # (label, answer)


def words_about(said: Answers, positions: np.ndarray) -> str:
    """The line above the gallery."""
    wrong = int((said.answers[positions] != said.labels[positions]).sum())
    words = (f"{wrong:,} mistake{'' if wrong == 1 else 's'} in {len(said.labels):,} images." if wrong == len(positions)
             else f"{len(positions):,} of {len(said.labels):,} images, {wrong:,} of them mistakes.")
    if len(said.names) == 2 and said.cut != 0.5:
        words += f" Answers at the threshold {format_number(said.cut)}, as chosen on validation."
    return words


def caption(said: Answers, i: int) -> str:
    """Label and answer of an image in a few words; of a finding how it was met, and its probability."""
    label, answer = int(said.labels[i]), int(said.answers[i])
    if said.finding is not None:
        return f"{FINDINGS[label, answer]}, {format_probability(float(said.probs[i, 1]), 0)}"
    words = f"{said.names[answer]}, {format_probability(float(said.probs[i, answer]), 0)}"
    return words if label == answer else f"{said.names[label]} \u2192 {words}"


def sentence(said: Answers, i: int) -> str:
    """The same for one image that is looked at. Markdown."""
    label, answer = int(said.labels[i]), int(said.answers[i])
    names, sure = [escape(name) for name in said.names], format_probability(float(said.probs[i, answer]))
    if said.finding is not None:
        got = format_probability(float(said.probs[i, 1]))
        return f"{FINDINGS[label, answer].capitalize()}: {names[1]} is {'' if label else 'not '}labelled and got {got}."
    if label == answer:
        return f"Right: {names[answer]}, {sure} sure."
    return f"Wrong: it is {names[label]}, the answer was {names[answer]}, {sure} sure."
