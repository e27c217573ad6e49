"""The figures of a report: the charts of the pages, with a caption, on white.

A figure is made from what `contents` gathered; a run that lacks what a figure needs does not have it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from core.charts import curves, palette, probabilities
from core.charts.architecture import architecture as draw_stages
from core.charts.chart import Chart
from core.charts.save import as_png, as_svg
from core.evaluation import thresholds
from core.metrics import METRICS, MULTI_LABEL, confusion
from core.metrics.calibration import reliability
from core.metrics.operating_points import known_rows
from core.metrics.ranking import binary_auc, pr_curve, roc_curve
from core.report.contents import SPLIT_WORDS, Contents

__all__ = ["FIGURES", "architecture", "as_png", "as_svg", "figures"]

MOST_CLASSES = 8              # lines in one figure
MOST_ROWS = 20                # of a confusion matrix


def training(what: Contents, metric: str) -> Chart | None:
    """A metric of training and validation by epoch, the kept epoch marked."""
    if what.run.ensemble:                                   # it was not trained: what it has in place of an epoch is no curve
        return None
    lines = {}
    for line, column in ((curves.TRAIN, f"train_{metric}"), (curves.VAL, f"val_{metric}")):
        points = [(record["epoch"], record[column]) for record in what.epochs
                  if record.get(column) is not None]
        if points:
            lines[line] = tuple(np.array(points, float).T)
    if not lines:
        return None
    of = METRICS[metric]
    return curves.training(of.title, lines, epochs=what.epochs[-1]["epoch"], best=what.preds.epoch,
                           limits=of.range, higher_is_better=of.higher_is_better, legend=True)


def roc(what: Contents) -> Chart | None:
    """True positive rate over false positive rate, at all thresholds."""
    lines, labels, colors = {}, {}, []
    for name, color, positive, scores in _one_against_rest(what):
        curve = roc_curve(positive, scores)
        if curve is not None:
            lines[name], labels[name] = curve[:2], f"{name}, AUC {binary_auc(positive, scores):.3f}"
            colors.append(color)
    if not lines:
        return None
    point = None
    if _is_binary(what):
        (tn, fp), (fn, tp) = _matrix(what)[0]
        point = fp / (tn + fp), tp / (tp + fn)
    return curves.roc(lines, colors, point=point, point_label=_threshold_label(what), labels=labels)


def precision_recall(what: Contents) -> Chart | None:
    """Precision over recall, at all thresholds."""
    lines, labels, colors, prevalence = {}, {}, [], 0.0
    for name, color, positive, scores in _one_against_rest(what):
        curve = pr_curve(positive, scores)
        if curve is not None:
            lines[name], prevalence = (curve[1][:-1], curve[0][:-1]), float(positive.mean())
            labels[name] = f"{name}, {100 * prevalence:.0f} % of images"
            colors.append(color)
    if not lines:
        return None
    point = None
    if _is_binary(what):
        (_, fp), (fn, tp) = _matrix(what)[0]
        point = (tp / (tp + fn), tp / (tp + fp)) if tp + fp else None
    return curves.precision_recall(lines, colors, point=point, point_label=_threshold_label(what),
                                   labels=labels,
                                   prevalence=prevalence if _is_binary(what) else None)


def histogram(what: Contents) -> Chart | None:
    """Predicted probabilities of the positive one of two classes, by true class."""
    if not _is_binary(what):
        return None
    k = what.result.positive
    return probabilities.histogram(what.preds.labels, what.preds.probs[:, k], _shortened(what.about["class_names"]), k,
                                   threshold=_threshold(what))


def calibration(what: Contents) -> Chart | None:
    """How often a class is true that gets a probability: on the diagonal, as often as predicted."""
    if what.about["task"] == MULTI_LABEL:
        return None
    series, said = [], []
    for name, color, positive, scores in _one_against_rest(what):
        bins = reliability(positive, scores)
        series.append(probabilities.Bins(name, color, bins.predicted, bins.observed, bins.low, bins.high,
                                         bins.n))
        said.append(f"{name} {bins.ece:.3f}")
    alt = f"Reliability diagram. Expected calibration error: {', '.join(said)}."
    return probabilities.reliability(series, legend=True, alt=alt)


def confusion_matrix(what: Contents) -> Chart | None:
    """Rows are the true classes, columns the predicted ones."""
    if what.about["task"] == MULTI_LABEL or len(what.about["class_names"]) > MOST_ROWS:
        return None
    return probabilities.confusion(*_matrix(what))


def _matrix(what: Contents) -> tuple[np.ndarray, tuple[str, ...]]:
    return confusion.positive_last(what.result.confusion_matrix, _shortened(what.about["class_names"]), what.result.positive)


def architecture(stages: Sequence) -> Chart:
    """Draw a network as its stages, from the image to the classes.

    Args:
        stages: `core.models.layers.stage_table` of it
    """
    return draw_stages([(stage.name, stage.shape, stage.parameters, stage.frozen) for stage in stages])


FIGURES: dict[str, tuple[str, Callable[[Contents], Chart | None]]] = {      # file name: (caption, function)
    "roc": ("ROC curve on the {split} images{point}.", roc),
    "precision_recall": ("Precision-recall curve on the {split} images{chance}.", precision_recall),
    "confusion": ("Confusion matrix on the {split} images: rows are true classes, columns predicted classes.",
                  confusion_matrix),
    "histogram": ("Predicted probabilities by true class.", histogram),
    "calibration": ("Reliability diagram: observed frequency over predicted probability, in ten bins.",
                    calibration),
    "loss": ("Cross-entropy by epoch; the ring is the epoch whose weights are kept.",
             partial(training, metric="loss")),
    "roc_auc": ("ROC AUC by epoch.", partial(training, metric="roc_auc")),
    "accuracy": ("Accuracy by epoch.", partial(training, metric="accuracy")),
}


def figures(what: Contents) -> dict[str, tuple[str, Chart]]:
    """Return every figure that this run has: name -> (caption, chart)."""
    words = {"split": SPLIT_WORDS[what.split], "point": "", "chance": ""}
    if _is_binary(what):
        words |= {"point": "; the diamond is the threshold in use",
                  "chance": "; the dashed line is the chance level"}
    drawn = {name: (caption.format(**words), draw(what)) for name, (caption, draw) in FIGURES.items()}
    return {name: pair for name, pair in drawn.items() if pair[1] is not None}


def _one_against_rest(what: Contents) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    """(name, colour, (N,) bool, (N,) scores) of each class that has a curve of its own: of two classes the
    positive one."""
    names, found = _shortened(what.about["class_names"]), what.preds
    truth = confusion.one_against_rest(found.labels, len(names))
    chosen = [what.result.positive] if _is_binary(what) else range(min(len(names), MOST_CLASSES))
    for k in chosen:
        rows = known_rows(found.labels, k)
        yield names[k], palette.class_color(k), truth[rows, k], found.probs[rows, k]


def _is_binary(what: Contents) -> bool:
    return what.about["task"] == "binary-class"


def _threshold(what: Contents) -> float:
    of_second = float(np.asarray(thresholds.of(what.run)))
    return of_second if what.result.positive else 1 - of_second


def _threshold_label(what: Contents) -> str:
    return f"threshold {_threshold(what):.3g}" if _is_binary(what) else ""


def _shortened(names: Sequence[str], length: int = 24) -> list[str]:
    """Names that fit into a legend; where two would become the same, all are left whole."""
    short = [name if len(name) <= length else f"{name[:length - 1]}\u2026" for name in names]
    return short if len(set(short)) == len(set(names)) else list(names)
