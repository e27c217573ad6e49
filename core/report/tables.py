"""Tables as CSV: the metrics, the predictions of each class, each image.

As report R001 had them: an evaluation report and a predictions report; here each number comes with its
interval and n.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from core.evaluation import thresholds
from core.metrics import METRICS, MULTI_LABEL, Estimate, confusion
from core.report.contents import SPLIT_WORDS, Contents

EXTRA = {"medmnist_auc": "AUC (MedMNIST evaluator)", "medmnist_acc": "ACC (MedMNIST evaluator)"}


def title_of(measure: str) -> str:
    return METRICS[measure].title if measure in METRICS else EXTRA.get(measure, measure)


def to_csv(header: Sequence[str], rows: Iterable[Sequence]) -> str:
    """Numbers as Python writes them, None as an empty cell; a cell never begins a formula in a
    spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([[_cell(value) for value in row] for row in rows])
    return text.getvalue()


def _cell(value):
    if value is None:
        return ""
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value


def evaluation_report(what: Contents) -> str:
    """Return a row for each metric, of all classes and of each one."""
    head = ("run", "code", "split", "epoch", "class", "metric", "value", "low", "high", "n", "n_positive",
            "interval_method", "positive_class")
    positive = what.result.positive_class or ""
    fixed = (what.run.name, what.run.code, SPLIT_WORDS[what.split], what.preds.epoch)
    rows = [(*fixed, "all", *_row_of(name, one), positive) for name, one in what.result.estimates.items()]
    if what.result.copies:
        rows += [(*fixed, "all, without copies in training", *_row_of(name, one), positive)
                 for name, one in what.result.copies.without.items()]
    for row in what.result.per_class:
        rows += [(*fixed, row.name, *_row_of(name, one), row.name) for name, one in row.estimates.items()]
    return to_csv(head, rows)


def _row_of(name: str, one: Estimate) -> tuple:
    return title_of(name), one.value, one.low, one.high, one.n, one.n_positive, one.method


def predictions_report(what: Contents) -> str:
    """Return a row for each class: how many images have it, are predicted to, and correctly so."""
    names = what.about["class_names"]
    tp, fn, fp, tn = confusion.counts(what.result.confusion_matrix)
    rows = [(what.run.name, SPLIT_WORDS[what.split], name, int(tp[k] + fn[k]), int(tp[k] + fp[k]), int(tp[k]),
             int(fn[k]),
             int(fp[k]), int(tn[k])) for k, name in enumerate(names)]
    return to_csv(("run", "split", "class", "images", "predicted", "true_positives", "false_negatives",
                   "false_positives",
                   "true_negatives"), rows)


def per_image(what: Contents) -> str:
    """Return a row for each image: patient and study where known, true and predicted class, probabilities.

    A finding that is not known stands with a ?.
    """
    found, names, several = what.preds, what.about["class_names"], what.about["task"] == MULTI_LABEL
    preds = confusion.predict(found.probs, what.about["task"], thresholds.of(what.run))
    head = ["image_id", "patient", "study", "true", "predicted", *(f"prob_{name}" for name in names)]
    blank = ("",) * len(found.labels)
    patients, studies = found.patients or blank, found.studies or blank

    def word(value) -> str:
        if not several:
            return names[int(value)]
        return "; ".join(name if there == 1 else f"{name}?" for name, there in zip(names, value) if there)
    rows = ((image, patient, study, word(true), word(pred), *(round(float(p), 6) for p in probs))
            for image, patient, study, true, pred, probs in zip(found.image_ids, patients, studies,
                                                                found.labels, preds,
                                                                  found.probs))
    return to_csv(head, rows)


def curves(what: Contents) -> str:
    """Return a row for each epoch: every number that the trainer reported."""
    epochs = what.epochs
    columns = [key for key in dict.fromkeys(key for record in epochs for key in record)
               if key != "kind" and all(not isinstance(record.get(key), (list, dict)) for record in epochs)]
    return to_csv(columns, [[record.get(key) for key in columns] for record in epochs])


TABLES = {          # file name: (what it is, its function)
    "evaluation_report.csv": ("every metric with its interval and n", evaluation_report),
    "predictions_report.csv": ("predictions of each class", predictions_report),
    "images.csv": ("each image with true class, predicted class and probabilities", per_image),
    "curves.csv": ("each epoch of the training", curves),
}
