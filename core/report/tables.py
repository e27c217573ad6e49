"""Tables as CSV: the metrics, the predictions of each class, each image; of one run, or of all runs of a task.

As report R001 had them: an evaluation report and a predictions report; here each number comes with its
interval and n.

    evaluation_report, predictions_report, per_image, curves      of one run
    reports_of_runs                                               R001's two, a row and some columns for each run
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from core.config import Task
from core.errors import LightboxError
from core.evaluation import thresholds
from core.evaluation.leaderboard import COUNTS, RunGroup, summarize_scored
from core.evaluation.predictions import damaged_predictions, load_predictions, no_images
from core.files import to_csv
from core.metrics import METRICS, MULTI_LABEL, Estimate, confusion
from core.models import MODELS
from core.report.contents import SPLIT_WORDS, Contents
from core.runs.codes import ENSEMBLE, FAMILIES
from core.runs.store import Run
from core.runs.summary import RunSummary, stored_splits

Progress = Callable[[str, int, int], None]
EXTRA = {"medmnist_auc": "AUC (MedMNIST evaluator)", "medmnist_acc": "ACC (MedMNIST evaluator)"}


def title_of(measure: str) -> str:
    return METRICS[measure].title if measure in METRICS else EXTRA.get(measure, measure)


def evaluation_report(what: Contents) -> str:
    """Return a row for each metric, of all classes and of each one."""
    head = ("run", "code", "split", "epoch", "class", "metric", "value", "low", "high", "n", "n_positive",
            "interval_method", "positive_class")
    positive = what.result.positive_class or ""
    fixed = (what.run.name, what.run.code, SPLIT_WORDS[what.split], None if what.run.ensemble else what.preds.epoch)
    rows = [(*fixed, "all", *_row_of(name, one), positive) for name, one in what.result.estimates.items()]
    if positive:
        rows += [(*fixed, "all", title, count, None, None, what.result.n, None, None, positive)
                 for title, count in counts_of(what).items()]
    if what.result.copies:
        rows += [(*fixed, "all, without copies in training", *_row_of(name, one), positive)
                 for name, one in what.result.copies.without.items()]
    for row in what.result.per_class:
        rows += [(*fixed, row.name, *_row_of(name, one), row.name) for name, one in row.estimates.items()]
    return to_csv(head, rows)


def counts_of(what: Contents) -> dict[str, int]:
    """Return "TP", "FN", "FP", "TN" -> how many images, of the positive class of two; of more classes nothing."""
    if what.result.positive_class is None:
        return {}
    k = what.result.class_names.index(what.result.positive_class)
    return dict(zip(COUNTS.values(), (int(count[k]) for count in confusion.counts(what.result.confusion_matrix))))


# The averages that R001 printed of its runs, under their full names, -> what each is called in METRICS.
OF_R001 = {"loss": "loss", "accuracy": "accuracy", "roc_auc": "roc_auc", "macro_precision": "macro_precision",
           "macro_recall": "balanced_accuracy", "macro_f1": "macro_f1", "cohen_kappa": "cohen_kappa"}


def reports_of_runs(runs: Sequence[Run], split: str = "val", progress: Progress | None = None) -> dict[str, str]:
    """Return R001's two reports with all models, file name -> CSV: CNN_DenseNet_evaluation_report.csv has a row for each run,
    CNN_DenseNet_predictions_report.csv one for each image, with what every run predicts for it.

    Args:
        runs: of one task; those without stored predictions on the split are left out
        progress: called with (sentence, runs done, runs); may raise to stop

    Raises:
        LightboxError: as `of_one_task`; "compare.labels" where runs were evaluated with different labels
    """
    runs, rows = of_one_task(runs, split), []
    for done, run in enumerate(runs):
        if progress:
            progress("Computing metrics", done, len(runs))
        rows.append(_evaluation_row(summarize_scored(run), split))
    evaluation, predictions = names_of_reports(runs)
    return {evaluation: to_csv(list(rows[0]), [list(row.values()) for row in rows]),
            predictions: _predictions_of_runs(runs, split)}


def names_of_reports(runs: Iterable[Run]) -> tuple[str, str]:
    """Return the file names of R001's two reports, which begin with the families of the networks."""
    families = "_".join(sorted({ENSEMBLE if run.ensemble else FAMILIES[MODELS[run.config.model.name].family] for run in runs}))
    return f"{families}_evaluation_report.csv", f"{families}_predictions_report.csv"


def of_one_task(runs: Sequence[Run], split: str) -> list[Run]:
    """Return those of several runs that have stored predictions on a split. The test set is not opened for that.

    Raises:
        LightboxError: "report.empty" where none has, "report.tasks" where they are of different data sets or tasks
    """
    having = [run for run in runs if split in stored_splits(run)]
    if not having:
        raise LightboxError("report.empty", f"None of these runs has predictions on the {SPLIT_WORDS[split]} images.",
                            "Open the page Evaluate, or python -m core evaluate RUN"
                            + (" --split test; each opening is counted." if split == "test" else "."))
    tasks = {(about["title"], about.get("target", ""), *about["class_names"]) for about in (run.data() for run in having)}
    if len(tasks) > 1:
        named = sorted(f"{title}: {', '.join(names[:3])}" for title, _, *names in tasks)
        raise LightboxError("report.tasks", f"These runs have {len(tasks)} different tasks: {'; '.join(named[:4])}.",
                            "Choose runs of one data set and one task.")
    return having


def _evaluation_row(run: RunSummary, split: str) -> dict[str, object]:
    """Return column -> value; None where it is not known: training that was not measured, a test set that was not opened."""
    row, found = RunGroup(run.name, (run,)), run.scores.get(split, {})
    values = {"run": run.name, "id": run.id, "code": run.code, "data": run.data_title, "network": run.network_title,
              "split": SPLIT_WORDS[split], "best_epoch": run.best_epoch or None if run.was_trained else None, "n": found.get("n"),
              "n_positive": found.get("n_positive")}
    names = OF_R001 | {"macro_recall": "sensitivity"} if run.task == MULTI_LABEL else OF_R001
    values |= {title: row.estimate(name, split)[0] for title, name in names.items()}
    values |= zip(COUNTS, row.counts(split))
    values |= {f"{part}_{name}": run.value(name, part) for part in SPLIT_WORDS for name in ("roc_auc", "accuracy")}
    for name in METRICS:
        value, low, high = row.estimate(name, split)
        values |= {name: value, f"{name}_low": low, f"{name}_high": high}
    return values


def _predictions_of_runs(runs: Sequence[Run], split: str) -> str:
    """A row for each image that a run has predicted: its file, its label, and of each run the predicted class and the
    probability of the positive class, or of every class where there are more than two."""
    about, head, columns = runs[0].data(), ["file", "label"], []
    names, several = about["class_names"], about["task"] == MULTI_LABEL
    shown = [1] if about["task"] == Task.BINARY else list(range(len(names)))
    labels: dict[str, str] = {}
    for run in runs:
        found = load_predictions(run, split)
        if found is None:
            raise damaged_predictions(run, split) or no_images(split)
        preds = confusion.predict(found.probs, about["task"], thresholds.of(run))
        words = {image: _class_word(label, names, several) for image, label in zip(found.image_ids, found.labels)}
        if other := [image for image, word in words.items() if labels.setdefault(image, word) != word]:
            raise LightboxError("compare.labels", f"{run.name} was evaluated with other labels for {len(other):,} images, such "
                                f"as {other[0]}.", "Evaluate the runs again, or leave this one out.")
        columns.append({image: (_class_word(pred, names, several), *(round(float(probs[k]), 6) for k in shown))
                        for image, pred, probs in zip(found.image_ids, preds, found.probs)})
        head += [f"{run.code}_{run.id} {what}" for what in ("predicted", *(f"prob_{names[k]}" for k in shown))]
    blank = (None,) * (1 + len(shown))
    return to_csv(head, ((image, label, *(value for column in columns for value in column.get(image, blank)))
                         for image, label in labels.items()))


def _class_word(value, names: Sequence[str], several: bool) -> str:
    """Return a class, "" where it is not known; or of several findings those that are there, with a ? where that is not known."""
    if not several:
        return names[int(value)] if value >= 0 else ""
    return "; ".join(name if there == 1 else f"{name}?" for name, there in zip(names, value) if there)


def _row_of(name: str, one: Estimate) -> tuple:
    return title_of(name), one.value, one.low, one.high, one.n, one.n_positive, one.method


def predictions_report(what: Contents) -> str:
    """Return a row for each class: how many images have it, are predicted to, and correctly so."""
    names = what.about["class_names"]
    tp, fn, fp, tn = confusion.counts(what.result.confusion_matrix)
    rows = [(what.run.name, what.run.code, SPLIT_WORDS[what.split], name, int(tp[k] + fn[k]), int(tp[k] + fp[k]), int(tp[k]),
             int(fn[k]),
             int(fp[k]), int(tn[k])) for k, name in enumerate(names)]
    return to_csv(("run", "code", "split", "class", "images", "predicted", "true_positives", "false_negatives",
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
    rows = ((image, patient, study, _class_word(true, names, several), _class_word(pred, names, several),
             *(round(float(p), 6) for p in probs))
            for image, patient, study, true, pred, probs in zip(found.image_ids, patients, studies, found.labels, preds,
                                                                found.probs))
    return to_csv(head, rows)


def curves(what: Contents) -> str:
    """Return a row for each epoch: every number that the trainer reported."""
    epochs = what.epochs
    columns = [key for key in dict.fromkeys(key for record in epochs for key in record)
               if key != "kind" and all(not isinstance(record.get(key), (list, dict)) for record in epochs)]
    return to_csv(columns, [[record.get(key) for key in columns] for record in epochs])


def tables_of(run: Run) -> dict[str, tuple[str, Callable[[Contents], str]]]:
    """Return the tables of TABLES that a run has: an ensemble was not trained, so it has no epochs."""
    return {name: row for name, row in TABLES.items() if not (run.ensemble and name == "curves.csv")}


TABLES = {          # file name: (what it is, its function)
    "evaluation_report.csv": ("every metric with its interval and n", evaluation_report),
    "predictions_report.csv": ("predictions of each class", predictions_report),
    "images.csv": ("each image with true class, predicted class and probabilities", per_image),
    "curves.csv": ("each epoch of the training", curves),
}
