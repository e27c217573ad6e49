"""The numbers of the page Evaluate: metrics with their intervals, baselines, confusion matrix and curves.
Cached."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

import numpy as np
import streamlit as st

from core import metrics
from core.datasets import Dataset, is_ready
from core.datasets.inspection import Inspection, known_inspection
from core.errors import LightboxError
from core.evaluation import evaluate, thresholds
from core.evaluation.baselines import kept_baseline, logistic_baseline
from core.evaluation.copies import evaluate_copies
from core.evaluation.predictions import Predictions, ready_dataset
from core.evaluation.predictions import with_patients as add_patients
from core.evaluation.run_evaluation import RunEvaluation
from core.metrics import MULTI_LABEL
from core.metrics.estimates import PROPORTIONS
from core.metrics.groups import GroupEvaluation
from core.metrics.operating_points import known_rows
from core.runs.store import Run
from pages.shared.open_data import open_set
from pages.shared.predictions import BY_PREDICTIONS, BY_THRESHOLD, class_index, one_finding, roc_curves

# ---------------------------------------------------------------------------------------------------- metrics

def evaluation_of(run: Run, split: str, preds: Predictions, each: bool = False) -> RunEvaluation:
    """Return `core.evaluation.evaluate.evaluate_predictions` of stored predictions, cached. Opens nothing.

    The logistic baseline is in it where it was fitted before: see `await_baseline`.

    Args:
        each: all metrics for each class too, for which more must be resampled; otherwise only proportions
    """
    preds, opened = with_patients(run, preds), run.times_test_opened() if split == "test" else 0
    result, thread = _evaluation(run, split, preds, each,
                                 opened), _baseline_threads().get((str(run.folder), split))
    if thread is not None and not thread.is_alive():
        result = _with_baselines(run, split, preds, each, opened, result)
    data = _set_of(run)
    known = known_inspection(data) if data is not None else None
    return result if known is None else _with_copies(run, split, preds, each, (opened, result.fitted), result, data, known)


@st.cache_data(max_entries=64, show_spinner=False, hash_funcs=BY_THRESHOLD | {Inspection: id})
def _with_copies(run: Run, split: str, preds: Predictions, each: bool, about: tuple, _result: RunEvaluation, _data: Dataset,
                 known: Inspection) -> RunEvaluation:
    """With the metrics without copies of training images, once somebody has searched for them."""
    copies = evaluate_copies(preds, _data, split, _result.task, _result.estimates, thresholds.of(run))
    return evaluate.with_copies(run, _result, copies)


@st.cache_resource(ttl=10, max_entries=16, show_spinner=False, hash_funcs={Run: lambda run: str(run.folder)})
def _set_of(run: Run) -> Dataset | None:
    """`_ready_set`, at most every ten seconds: to look whether it is ready lists its files."""
    return _ready_set(run)


@st.cache_data(max_entries=64, show_spinner="Evaluating: all metrics with their intervals ...",
               hash_funcs=BY_THRESHOLD)
def _evaluation(run: Run, split: str, preds: Predictions, each: bool, opened: int) -> RunEvaluation:
    if kept_baseline(run.data(), split) is None:
        _fit_baseline(run, split)                           # meanwhile, in a thread
    return evaluate.evaluate_predictions(run, split, preds, groups=False, each=None if each else PROPORTIONS)


@st.cache_data(max_entries=64, show_spinner=False, hash_funcs=BY_THRESHOLD)
def _with_baselines(run: Run, split: str, preds: Predictions, each: bool, opened: int,
                    _result: RunEvaluation) -> RunEvaluation:
    """Asked of the set itself: what the run noted of the baseline may be of an older way to name sets."""
    return replace(evaluate.with_baselines(run, _result, preds, _ready_set(run)), fitted=True)


@st.cache_data(max_entries=64, show_spinner="Evaluating by study and by patient ...", hash_funcs=BY_THRESHOLD)
def grouped_evaluation(run: Run, split: str, preds: Predictions, pool: str = "mean",
                       positive: int = 1) -> dict[str, GroupEvaluation | None]:
    """Return `core.evaluation.evaluate.evaluate_by_group` of predictions `with_patients`."""
    return evaluate.evaluate_by_group(run, preds, pool=pool, positive=positive)


def with_patients(run: Run, preds: Predictions) -> Predictions:
    """Return predictions with patients and studies. Old ones were stored without: they get them once the
    set is ready."""
    known = preds.patients is not None or preds.studies is not None
    data = None if known else _ready_set(run)
    return preds if data is None else _joined(run, preds, data)


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs=BY_PREDICTIONS)
def _joined(run: Run, preds: Predictions, data: Dataset) -> Predictions:
    return add_patients(preds, data)


def _ready_set(run: Run) -> Dataset | None:
    """The open set, where nobody has to wait for it and its images are still those that the run was
    trained on."""
    try:
        data = open_set(run.config.data) if is_ready(run.config.data) else None
    except LightboxError:
        return None
    return data if data is not None and data.split_hash == run.data().get("split_hash") else None


# ------------------------------------------------------------------------------------------ logistic baseline

def await_baseline(run: Run, split: str, result: RunEvaluation) -> None:
    """Have the logistic baseline fitted where it is missing, and draw the page again when it is there.

    It takes seconds on large images, so a thread does it, once for everybody, and the page can be used
    meanwhile.
    """
    if result.fitted or any(base.name == evaluate.LOGISTIC for base in result.baselines):
        return
    st.fragment(_wait_for, run_every=1)(_fit_baseline(run, split))


def _fit_baseline(run: Run, split: str) -> threading.Thread:
    """The thread that fits the baseline, started unless somebody did."""
    threads, key = _baseline_threads(), (str(run.folder), split)
    if key not in threads:
        threads[key] = threading.Thread(target=_fit, args=(run, split), daemon=True)
        threads[key].start()
    return threads[key]


def _fit(run: Run, split: str) -> None:
    data = ready_dataset(run)
    if data is not None:
        logistic_baseline(data, split)


def _wait_for(thread: threading.Thread) -> None:
    if not thread.is_alive():
        st.rerun()
    st.caption("Fitting the baseline: logistic regression on 16 x 16 pixels ...")


@st.cache_resource(show_spinner=False)
def _baseline_threads() -> dict[tuple[str, str], threading.Thread]:
    """(folder of a run, split) -> the thread that fits its baseline, or has."""
    return {}


# ------------------------------------------------------------------------------------------ matrix and curves

@dataclass(frozen=True)
class Overview:
    """Confusion matrix and curves of a split of a run; of several findings they are about one.

    Args:
        finding: which one; None where an image has one class
        names: of the K classes of the matrix
        threshold: above which class 1 is predicted; None with more than two classes
        matrix: (K, K) counts, rows are the true class
        roc: class -> (false positive rate, sensitivity), a point for each threshold
        roc_point: the same two numbers at the threshold; None with more than two classes
        pr: class -> (sensitivity, precision), a point for each threshold
        pr_point: the same two numbers at the threshold; None too where nothing is predicted positive
        prevalence: proportion of the positive class; None with more than two classes
        positive: which of two classes that is, whose curves, points and threshold these are
    """

    finding: int | None
    names: tuple[str, ...]
    threshold: float | None
    matrix: np.ndarray
    roc: dict[int, tuple[np.ndarray, np.ndarray]]
    roc_point: tuple[float, float] | None
    pr: dict[int, tuple[np.ndarray, np.ndarray]]
    pr_point: tuple[float, float] | None
    prevalence: float | None
    positive: int = 1


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs=BY_THRESHOLD)
def overview_of(run: Run, split: str, preds: Predictions, finding: str | None = None,
                positive: int = 1) -> Overview:
    """Return matrix and curves. `finding` is its number as in the address; `positive` is one of two classes.

    Raises LightboxError as `core.metrics.check`.
    """
    about, labels, probs = run.data(), preds.labels, preds.probs
    task, names = about["task"], tuple(about["class_names"])
    metrics.check(labels, probs, task)
    k = (class_index(finding, len(names)) or 0) if task == MULTI_LABEL else None
    cut = float(np.broadcast_to(thresholds.of(run), probs.shape[1])[k or 0])
    if k is not None:
        rows = known_rows(labels, k)
        labels, probs = one_finding(labels[rows], probs[rows], k)
        task, names = "binary-class", (f"no {names[k]}", names[k])
        positive = 1
    matrix = metrics.confusion_matrix(labels, metrics.predict(probs, task, cut), len(names))
    roc = roc_curves(labels, probs, task, names, positive)
    truth = metrics.one_against_rest(labels, len(names))
    pr = {c: tuple(axis[:-1] for axis in metrics.pr_curve(truth[:, c], probs[:, c])[1::-1]) for c in roc}
    if task != "binary-class":
        return Overview(k, names, None, matrix, roc, None, pr, None, None)
    roc_point = pr_point = None
    if roc:
        sensitivity, precision = float(metrics.sensitivity(matrix)[positive]), float(metrics.precision(matrix)[positive])
        roc_point = float(1 - metrics.specificity(matrix)[positive]), sensitivity
        pr_point = (sensitivity, precision) if np.isfinite(precision) else None
    return Overview(k, names, cut if positive else 1 - cut, matrix, roc, roc_point, pr, pr_point,
                    float(truth[:, positive].mean()), positive)
