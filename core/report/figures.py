"""The figures of a report, for paper: white ground, black text, as SVG or PNG.

Drawn by matplotlib, without pyplot and its global state: several people may ask at once.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from core.evaluation import thresholds
from core.metrics import METRICS, MULTI_LABEL
from core.metrics import confusion as answers
from core.metrics.calibration import reliability
from core.metrics.ranking import binary_auc, pr_curve, roc_curve
from core.report.contents import SPLIT_WORDS, Contents

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRAIN, VAL, QUIET = "#2f86d1", "#d97a1e", "#8a9097"            # as in the app
CLASSES = ("#8b5fd0", "#b5881c", "#2296a4", "#61693f", "#c44f86", "#2da184", "#136e9a", "#a0694b", "#9889d6", "#789f52",
           "#b0413a", "#216f65")
MOST_CLASSES = 8              # lines in one figure


def _new(width: float = 4.6, height: float = 3.4):
    from matplotlib.figure import Figure
    figure = Figure(figsize=(width, height), layout="constrained", dpi=100)
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    return figure, axes


def _curve(what: Contents, measure: str) -> Figure | None:
    """A measure of training and validation by epoch, the kept epoch marked."""
    rows = [(r["epoch"], r.get(f"train_{measure}"), r.get(f"val_{measure}")) for r in what.epochs]
    if not any(value is not None for _, *values in rows for value in values):
        return None
    figure, axes = _new()
    for column, color, name in ((1, TRAIN, "training"), (2, VAL, "validation")):
        points = [(row[0], row[column]) for row in rows if row[column] is not None]
        if points:
            axes.plot(*zip(*points), color=color, label=name, marker="o", markersize=2.5, linewidth=1.4)
    axes.axvline(what.found.epoch, color=QUIET, linewidth=1, linestyle=":", label=f"epoch {what.found.epoch}, kept")
    axes.set_xlabel("epoch")
    axes.set_ylabel(METRICS[measure].title if measure in METRICS else measure)
    axes.legend(frameon=False, fontsize=8)
    return figure


def _sides(what: Contents):
    """(name, colour, (N,) bool, (N,) scores) of each class that has a curve of its own: of two classes the second."""
    names, found = what.about["class_names"], what.found
    truth = answers.one_against_rest(found.labels, len(names))
    chosen = [1] if what.about["task"] == "binary-class" else range(min(len(names), MOST_CLASSES))
    for k in chosen:
        yield names[k], CLASSES[k % len(CLASSES)], truth[:, k], found.probs[:, k]


def _curves(what: Contents, curve_of: Callable):
    """`_sides` that have such a curve, with it, the name short enough for a legend."""
    for name, color, positive, scores in _sides(what):
        if (curve := curve_of(positive, scores)) is not None:
            yield _short(name), color, positive, scores, curve


def _shares(xlabel: str, ylabel: str, **more):
    """A figure on whose axes both numbers are shares."""
    figure, axes = _new(3.8, 3.6)
    axes.set(xlabel=xlabel, ylabel=ylabel, **{"xlim": (-0.01, 1.01), "ylim": (-0.01, 1.01)} | more)
    return figure, axes


def roc(what: Contents) -> Figure | None:
    """Sensitivity against false alarms over all thresholds."""
    figure, axes = _shares("false positive rate", "sensitivity", aspect="equal")
    for name, color, positive, scores, (false_alarms, found, *_) in _curves(what, roc_curve):
        axes.plot(false_alarms, found, color=color, linewidth=1.5, label=f"{name}, AUC {binary_auc(positive, scores):.3f}")
    if not axes.lines:
        return None
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=1, linestyle=":")
    _operating_point(what, axes)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    return figure


def _operating_point(what: Contents, axes) -> None:
    if what.about["task"] == "binary-class":
        (tn, fp), (fn, tp) = what.result.confusion_matrix
        if tn + fp and tp + fn:
            threshold = float(np.asarray(thresholds.of(what.run)))
            axes.plot(fp / (tn + fp), tp / (tp + fn), "o", color="black", markersize=5, label=f"threshold {threshold:.3g}")


def precision_recall(what: Contents) -> Figure | None:
    """Precision against sensitivity over all thresholds."""
    figure, axes = _shares("sensitivity (recall)", "precision", ylim=(-0.01, 1.02))
    for name, color, positive, _, (precision, found, *_) in _curves(what, pr_curve):
        axes.plot(found, precision, color=color, linewidth=1.5, label=f"{name}, {positive.mean():.0%} of the images")
        axes.axhline(positive.mean(), color=color, linewidth=0.8, linestyle=":")
    if not axes.lines:
        return None
    axes.legend(frameon=False, fontsize=8)
    return figure


def histogram(what: Contents) -> Figure | None:
    """Scores of the second class, or of the first finding, by the truth."""
    names, found = what.about["class_names"], what.found
    if what.about["task"] != "binary-class":
        return None
    figure, axes = _new()
    edges = np.linspace(0, 1, 31)
    for k, name in enumerate(names):
        axes.hist(found.probs[found.labels == k, 1], bins=edges, color=CLASSES[k], alpha=0.55, label=f"true: {_short(name)}")
    axes.axvline(float(np.asarray(thresholds.of(what.run))), color="black", linewidth=1, linestyle="--", label="threshold")
    axes.set(xlabel=f"probability of {_short(names[1])}", ylabel="images")
    axes.legend(frameon=False, fontsize=8)
    return figure


def calibration(what: Contents) -> Figure | None:
    """How often it is true what gets a probability: points on the diagonal keep their word."""
    if what.about["task"] == MULTI_LABEL:
        return None
    figure, axes = _shares("probability said", "share that is true", aspect="equal")
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=1, linestyle=":")
    for name, color, positive, scores in _sides(what):
        bins = reliability(positive, scores)
        there = bins.n > 0
        x, y = bins.said[there], bins.came[there]
        spread = np.abs(np.stack([bins.low[there], bins.high[there]]) - y)
        axes.errorbar(x, y, spread, color=color, fmt="o-", markersize=4, linewidth=1, elinewidth=0.8, label=_short(name))
    axes.legend(frameon=False, fontsize=8)
    return figure


def confusion(what: Contents) -> Figure | None:
    """Rows are the truth, columns the answers; the darker, the larger the share of the row."""
    names = what.about["class_names"]
    if what.about["task"] == MULTI_LABEL or len(names) > 20:
        return None
    matrix = what.result.confusion_matrix
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = 1.6 + 0.55 * len(names)
    figure, axes = _new(side + 0.6, side)
    axes.grid(False)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for i, j in np.ndindex(*matrix.shape):
        color = "white" if share[i, j] > 0.6 else "black"
        axes.text(j, i, f"{matrix[i, j]:,}", ha="center", va="center", color=color, fontsize=9)
    axes.set_xticks(range(len(names)), [_short(n) for n in names], rotation=30, ha="right", fontsize=8)
    axes.set_yticks(range(len(names)), [_short(n) for n in names], fontsize=8)
    axes.set(xlabel="answer", ylabel="truth")
    return figure


def architecture(stages) -> Figure:
    """The network as its stages, from the image to the classes: what each puts out and how many parameters it holds.

    Args:
        stages: `core.models.layers.stage_table` of it
    """
    figure, axes = _new(1.3 + 1.25 * len(stages), 3.2)
    axes.set_axis_off()
    for i, stage in enumerate(stages):
        side = stage.shape[-1] if len(stage.shape) == 3 else 1
        height = 0.25 + 0.75 * np.log2(max(side, 1) + 1) / 10                 # 1 pixel to 512 pixels
        axes.add_patch(_box(i, height, QUIET if stage.frozen else TRAIN))
        axes.text(i, 0.5 + height / 2 + 0.06, _short(stage.name, 14), ha="center", fontsize=8)
        axes.text(i, 0.5, " x ".join(map(str, stage.shape)), ha="center", va="center", fontsize=6.5, rotation=90)
        axes.text(i, 0.5 - height / 2 - 0.1, f"{stage.parameters:,}", ha="center", fontsize=7)
    axes.text(-0.5, -0.12, "below: parameters; gray stages keep their weights", fontsize=7, color=QUIET)
    axes.set(xlim=(-0.6, len(stages) - 0.4), ylim=(-0.15, 1.15))
    return figure


def _box(x: float, height: float, color: str):
    from matplotlib.patches import FancyBboxPatch
    return FancyBboxPatch((x - 0.3, 0.5 - height / 2), 0.6, height, boxstyle="round,pad=0.02", facecolor=color, alpha=0.3,
                          edgecolor=color)


FIGURES: dict[str, tuple[str, Callable[[Contents], Figure | None]]] = {          # file name: (caption, its function)
    "roc": ("ROC curve on the {split} images; the dot is the threshold in use.", roc),
    "precision_recall": ("Precision-recall curve; dotted is what guessing gives.", precision_recall),
    "confusion": ("Confusion matrix on the {split} images: rows are the truth, columns the answers.", confusion),
    "histogram": ("Scores by the truth.", histogram),
    "calibration": ("Reliability: what was said against what is true, in ten bins.", calibration),
    "loss": ("Cross-entropy by epoch.", partial(_curve, measure="loss")),
    "roc_auc": ("ROC AUC by epoch.", partial(_curve, measure="roc_auc")),
    "accuracy": ("Accuracy by epoch.", partial(_curve, measure="accuracy")),
}


def figures(what: Contents) -> dict[str, tuple[str, Figure]]:
    """Every figure that this run has: name -> (caption, figure)."""
    drawn = {name: (caption.format(split=SPLIT_WORDS[what.split]), draw(what)) for name, (caption, draw) in FIGURES.items()}
    return {name: pair for name, pair in drawn.items() if pair[1] is not None}


def as_svg(figure: Figure) -> str:
    """The figure as an <svg> element, text as text, without a date: the same answers give the same bytes."""
    import matplotlib
    text = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "lightbox", "font.family": "sans-serif"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg"):]


def as_png(figure: Figure) -> bytes:
    """The figure at 200 dots an inch."""
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=200)
    return image.getvalue()


def _short(name: str, length: int = 24) -> str:
    return name if len(name) <= length else name[:length - 1] + "\u2026"
