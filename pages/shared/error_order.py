"""The predictions of a split as the pages Errors and Grad-CAM show them: which images, in which order,
described how.

N images of a split, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import streamlit as st

from core import metrics
from core.evaluation import thresholds
from core.evaluation.predictions import Predictions
from core.metrics import MULTI_LABEL
from core.metrics.confident_learning import Suspects, find_suspects
from core.runs.store import Run
from pages.shared.layout import Chip, escape, format_number, format_percent, format_probability, set_param
from pages.shared.positive_class import positive_class
from pages.shared.predictions import class_index, one_finding

PAIRS = 5              # of classes that are confused most
WEAK = 0.25            # a network that suspects more labels than this cannot judge them


# -------------------------------------------------------------------------------------------------- the split

@dataclass(frozen=True)
class SplitView:
    """Predictions on a split at the run's threshold; of several findings the one that is looked at, as two
    classes.

    Args:
        labels, predicted: (N,) int64; a label of -1 is not known: such an image is neither right nor wrong
        probs: (N, K)
        names: K names
        threshold: of the second of two classes, or of the finding
        finding: which of several; None where an image has one class
        positive: of two classes the positive one
    """
    labels: np.ndarray
    probs: np.ndarray
    predicted: np.ndarray
    names: tuple[str, ...]
    threshold: float = 0.5
    finding: int | None = None
    positive: int = 1

    @property
    def correct(self) -> np.ndarray:
        """(N,) bool."""
        return self.predicted == self.labels

    def probs_of(self, classes: np.ndarray) -> np.ndarray:
        """Return the (N,) probabilities of a class of each image."""
        return self.probs[np.arange(len(self.probs)), classes]

    def suspects(self) -> Suspects:
        known = self.known
        found = find_suspects(self.labels[known], self.probs[known])
        every = {"suspected": np.zeros(len(known), bool), "likely": self.labels.copy(), "margin": np.ones(len(known))}
        for name, values in every.items():
            values[known] = getattr(found, name)
        return replace(found, **every)

    @property
    def known(self) -> np.ndarray:
        """(N,) bool: is the label known?"""
        return self.labels >= 0

    def confused_pairs(self) -> list[tuple[int, int, int, int]]:
        """Return (true class, predicted class, how many, of how many) of the pairs confused most often,
        the worst first."""
        matrix = metrics.confusion_matrix(self.labels, self.predicted, len(self.names))
        pairs = [(int(matrix[t, p]), t, p) for t, p in np.argwhere(matrix).tolist() if t != p]
        return [(t, p, n, int(matrix[t].sum())) for n, t,
                p in sorted(pairs, key=lambda pair: (-pair[0], pair[1:]))[:PAIRS]]


def split_view(run: Run, preds: Predictions, finding: str | None = None) -> SplitView:
    """Return the predictions at the threshold chosen for the run. `finding` is its number as in the
    address."""
    about = run.data()
    names, task, threshold = tuple(about["class_names"]), about["task"], thresholds.of(run)
    predicted = metrics.predict(preds.probs, task, threshold)
    if task != MULTI_LABEL:
        cut = float(np.broadcast_to(threshold, preds.probs.shape[1])[0])
        return SplitView(preds.labels, preds.probs, predicted, names, cut, positive=positive_class(about))
    k = class_index(finding, len(names)) or 0
    cut = float(np.broadcast_to(threshold, len(names))[k])
    return SplitView(*one_finding(preds.labels, preds.probs, k), predicted[:, k],
                     (f"no {names[k]}", names[k]), cut, k)


# ------------------------------------------------------------------------------------- in which order to look

@dataclass(frozen=True)
class Order:
    """title: in the menu; help: what comes first and why; rank: view -> (N,), the lowest first; None is
    random; place: of the image, by the heat of the maps in it, which takes a while and is for the page to ask."""
    title: str
    help: str
    rank: Callable[[SplitView], np.ndarray] | None
    place: str = ""


def _confident_errors(view: SplitView) -> np.ndarray:
    confidence = view.probs_of(view.predicted)
    return np.where(view.correct, confidence, -confidence)


def _margin(view: SplitView) -> np.ndarray:
    """How far a prediction is from being another: of two classes from the threshold, of more from the
    second likeliest."""
    if view.probs.shape[1] == 2:
        return np.abs(view.probs[:, 1] - view.threshold)
    top = np.sort(view.probs, axis=1)
    return top[:, -1] - top[:, -2]


def _near_misses(view: SplitView) -> np.ndarray:
    two = view.probs.shape[1] == 2
    missing = _margin(view) if two else view.probs_of(view.predicted) - view.probs_of(view.labels)
    return np.where(view.correct, missing, missing - 2)               # errors first


def _suspected_labels(view: SplitView) -> np.ndarray:
    rank = np.empty(len(view.labels))
    rank[view.suspects().order] = np.arange(len(view.labels))
    return rank


ORDERS = {
    "sure": Order("Most confident errors first",
                  "Where the network is confident and wrong: what did it see? After the errors come the "
                  "correct predictions, the least confident first.", _confident_errors),
    "near": Order("Near misses first", "Errors that were almost predicted correctly.", _near_misses),
    "loss": Order("Highest loss first", "Images whose true class got the lowest probability: they contribute "
                                        "most to the loss.",
                  lambda view: view.probs_of(view.labels)),
    "suspect": Order("Suspected label errors first",
                     "Labels that may be wrong, ranked by confident learning (Northcutt, Jiang and Chuang, "
                     "2021): the network was not trained on these images and confidently disagrees.",
                     _suspected_labels),
    "unsure": Order("Least confident first",
                    "Correct or wrong, the predictions closest to being another class.", _margin),
    "border": Order("Map on the border first",
                    "Images whose Grad-CAM for the predicted class, at the last layer, has the largest share of its heat in the "
                    "outermost tenth of the image, where the patient mostly is not.", _confident_errors, "border"),
    "letters": Order("Map on the letters first",
                     "The same for letters and printed marks, which say nothing about the patient. Where they lie is known of "
                     "phantoms only.", _confident_errors, "letters"),
    "random": Order("Random order", "A sample of the images, whatever was predicted.", None),
}


def order_chip() -> Chip:
    return Chip("order", "Order", {name: order.title for name, order in ORDERS.items()}, width=250)


def select_images(view: SplitView, *, true: int | None = None, predicted: int | str | None = "wrong",
                  order: str = "sure",
                  seed: int = 0) -> np.ndarray:
    """Return the (n,) positions of the images of a cell of the confusion matrix, in the order in which to
    look at them.

    Args:
        true: only images of this class; None takes all
        predicted: "wrong" takes the errors, "all" everything, a number the images predicted as that class
        order: a key of ORDERS; "random" goes by `seed`
    """
    kept = view.known if true is None else view.labels == true
    if predicted == "wrong":
        kept &= ~view.correct
    elif predicted != "all":
        kept &= view.predicted == predicted
    positions, rank = np.flatnonzero(kept), ORDERS[order].rank
    if rank is None:
        return np.random.default_rng(seed).permutation(positions)
    return positions[np.argsort(rank(view)[positions], kind="stable")]


def draw_confused_pairs(view: SplitView) -> None:
    """The pairs of classes that are confused most, in a line; a click shows their images."""
    pairs = view.confused_pairs()
    if not pairs:
        return

    def show(true: int, predicted: int) -> None:
        set_param("true", str(true))
        set_param("predicted", str(predicted))

    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="confused",
                      width="content"):
        st.caption("Most confused", width="content",
                   help="True class \u2192 predicted class, and how many of all images of the true class. A "
                        "click shows them.")
        for true, predicted, n, of in pairs:
            st.button(f"{escape(view.names[true])} \u2192 {escape(view.names[predicted])}: {n:,} of {of:,}",
                      type="tertiary",
                      key=f"pair_{true}_{predicted}", on_click=show, args=(true, predicted))


# --------------------------------------------------------------------------------------------------- in words

# (label, predicted)
OUTCOMES = {(-1, 0): "label not known", (-1, 1): "label not known",
            (1, 0): "missed", (0, 1): "false positive", (1, 1): "detected", (0, 0): "not flagged"}


def selection_summary(view: SplitView, positions: np.ndarray) -> str:
    """The line above the gallery."""
    wrong, n, total = int((~view.correct[positions]).sum()), len(positions), int(view.known.sum())
    errors = "1 error" if wrong == 1 else f"{wrong:,} errors"
    words = f"{errors} in {total:,} images." if wrong == n else f"{n:,} of {total:,} images, {errors}."
    if len(view.names) == 2:
        words += f" Positive class: {escape(view.names[view.positive])}."
    if len(view.names) == 2 and view.threshold != 0.5:
        threshold = view.threshold if view.positive else 1 - view.threshold
        words += f" Threshold {format_number(threshold)}, chosen on validation."
    return words


def suspicion(suspects: Suspects, shown: np.ndarray) -> str:
    """What confident learning says of the whole split, and how many of its suspects are among those that
    are shown."""
    n, here = int(suspects.suspected.sum()), int(suspects.suspected[shown].sum())
    if not n:
        return "No label is suspected: the network never confidently disagrees with one."
    labels = "1 label is suspected" if n == 1 else f"{n:,} labels are suspected"
    where = "" if here == n else f" ({here:,} of them shown here)"
    advice = ("So weak a network says more about itself than about the labels." if suspects.noise > WEAK else
              "A hard image looks much like a wrong label, so look before you mark it.")
    share = format_percent(suspects.noise)
    return f"{labels}{where}; the network estimates that {share} of all labels are wrong. {advice}"


def caption(view: SplitView, i: int) -> str:
    """Label and prediction of an image in a few words; of a finding the outcome and its probability."""
    label, predicted = int(view.labels[i]), int(view.predicted[i])
    if view.finding is not None:
        return f"{OUTCOMES[label, predicted]}, {format_probability(float(view.probs[i, 1]), 0)}"
    words = f"{view.names[predicted]}, {format_probability(float(view.probs[i, predicted]), 0)}"
    return words if label == predicted else f"{view.names[label]} \u2192 {words}"


def description(view: SplitView, i: int) -> str:
    """The same in a sentence, for one image. Markdown."""
    label, predicted = int(view.labels[i]), int(view.predicted[i])
    names, p = [escape(name) for name in view.names], format_probability(float(view.probs[i, predicted]))
    if view.finding is not None:
        labelled = {1: "labelled", 0: "not labelled", -1: "not known"}[label]
        return (f"{OUTCOMES[label, predicted].capitalize()}: {names[1]} is {labelled}, its predicted "
                f"probability is {format_probability(float(view.probs[i, 1]))}.")
    if label == predicted:
        return f"Correct: predicted {names[predicted]} ({p})."
    return f"Wrong: predicted {names[predicted]} ({p}), true class {names[label]}."
