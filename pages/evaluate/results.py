"""The numbers of the page Evaluate: metrics with their intervals, baselines, confusion matrix and curves. Cached."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

import numpy as np
import streamlit as st

from core import metrics
from core.datasets import Dataset, is_ready
from core.errors import LightboxError
from core.evaluation import evaluate, thresholds
from core.evaluation.baselines import kept_baseline, logistic_baseline
from core.evaluation.evaluate import RunEvaluation
from core.evaluation.predictions import Predictions, ready_dataset
from core.evaluation.predictions import with_patients as add_patients
from core.metrics import MULTI_LABEL
from core.metrics.estimates import PROPORTIONS
from core.metrics.groups import GroupEvaluation
from core.runs.store import Run
from pages.shared.open_data import open_set
from pages.shared.predictions import class_index, one_finding, predictions_version, roc_curves

# ------------------------------------------------------------------------------------------------ metrics, by image

def evaluation_of(run: Run, split: str, preds: Predictions, each: bool = False) -> RunEvaluation:
    """Return `core.evaluation.evaluate.evaluate_predictions` of stored predictions, computed once for each version and threshold.

    The logistic baseline is in it where it was fitted before: see `await_baseline`.

    Args:
        each: all metrics for each class too, for which more must be resampled; otherwise only proportions
    """
    opened = run.times_test_opened() if split == "test" else 0
    version = (str(run.folder), split, predictions_version(run), repr(thresholds.of(run)), opened,
               _patients_known(run, preds), each)
    result = _evaluation(*version, run, preds)
    thread = _baseline_threads().get((str(run.folder), split))
    return result if thread is None or thread.is_alive() else _with_baselines(*version, run, preds, result)


@st.cache_data(max_entries=64, show_spinner="Evaluating: all metrics with their intervals ...")
def _evaluation(folder: str, split: str, version: int, threshold: str, opened: int, patients: bool, each: bool,
                _run: Run, _preds: Predictions) -> RunEvaluation:
    if kept_baseline(_run.data(), split) is None:
        _fit_baseline(_run, split)                           # meanwhile, in a thread
    return evaluate.evaluate_predictions(_run, split, with_patients(_run, _preds), groups=False,
                                         each=None if each else PROPORTIONS)


@st.cache_data(max_entries=64, show_spinner=False)
def _with_baselines(folder: str, split: str, version: int, threshold: str, opened: int, patients: bool, each: bool,
                    _run: Run, _preds: Predictions, _result: RunEvaluation) -> RunEvaluation:
    """Asked of the set itself: what the run noted of the baseline may be of an older way to name sets."""
    return replace(evaluate.with_baselines(_run, _result, _preds, _ready_set(_run)), fitted=True)


# ------------------------------------------------------------------------------------------ by study and by patient

def grouped_evaluation(run: Run, split: str, preds: Predictions) -> dict[str, GroupEvaluation | None]:
    """Return `core.evaluation.evaluate.evaluate_by_group`, computed once for each version of the predictions and of the threshold."""
    return _grouped(str(run.folder), split, predictions_version(run), repr(thresholds.of(run)), _patients_known(run, preds),
                    run, preds)


@st.cache_data(max_entries=64, show_spinner="Evaluating by study and by patient ...")
def _grouped(folder: str, split: str, version: int, threshold: str, patients: bool, _run: Run,
             _preds: Predictions) -> dict[str, GroupEvaluation | None]:
    return evaluate.evaluate_by_group(_run, with_patients(_run, _preds))


def with_patients(run: Run, preds: Predictions) -> Predictions:
    """Return predictions with patients and studies, also where they were stored before these were stored with them."""
    if preds.patients is None and preds.studies is None and (data := _ready_set(run)) is not None:
        return add_patients(preds, data)
    return preds


def _patients_known(run: Run, preds: Predictions) -> bool:
    """Whether patients and studies are known: stored with the predictions, or in the set once it is ready. That may happen while
    the page is open, and intervals by image must not stay then."""
    key = str(run.folder), predictions_version(run)
    if preds.patients is None and preds.studies is None and key not in _once_ready():
        if not is_ready(run.config.data):
            return False
        _once_ready().add(key)
    return True


@st.cache_resource(show_spinner=False)
def _once_ready() -> set:
    """(folder of a run, version of its predictions) of old predictions whose set has been ready."""
    return set()


def _ready_set(run: Run) -> Dataset | None:
    """The open set, where nobody has to wait for it and its images are still those that the run was trained on."""
    try:
        data = open_set(run.config.data) if is_ready(run.config.data) else None
    except LightboxError:
        return None
    return data if data is not None and data.split_hash == run.data().get("split_hash") else None


# ------------------------------------------------------------------------------------------------- logistic baseline

def await_baseline(run: Run, split: str, result: RunEvaluation) -> None:
    """Have the logistic baseline fitted where it is missing, and draw the page again when it is there.

    It takes seconds on large images, so a thread does it, once for everybody, and the page can be used meanwhile.
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


# --------------------------------------------------------------------------------------------------- matrix and curves

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
        prevalence: proportion of class 1; None with more than two classes
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


def overview_of(run: Run, split: str, preds: Predictions, finding: str | None = None) -> Overview:
    """Return matrix and curves, from the cache unless predictions or threshold are new.

    `finding` is its number as in the address. Raises LightboxError as `core.metrics.check`.
    """
    about, threshold = run.data(), thresholds.of(run)
    k = (class_index(finding, len(about["class_names"])) or 0) if about["task"] == MULTI_LABEL else None
    return _overview(str(run.folder), split, predictions_version(run), repr(threshold), k, preds, about, threshold)


@st.cache_resource(max_entries=64, show_spinner=False)
def _overview(folder: str, split: str, version: int, threshold: str, k: int | None, _preds: Predictions, _about: dict,
              _threshold: float | np.ndarray) -> Overview:
    labels, probs, task, names = _preds.labels, _preds.probs, _about["task"], tuple(_about["class_names"])
    metrics.check(labels, probs, task)
    cut = float(np.broadcast_to(_threshold, probs.shape[1])[k or 0])
    if k is not None:
        labels, probs = one_finding(labels, probs, k)
        task, names = "binary-class", (f"no {names[k]}", names[k])
    matrix = metrics.confusion_matrix(labels, metrics.predict(probs, task, cut), len(names))
    roc = roc_curves(labels, probs, task, names)
    truth = metrics.one_against_rest(labels, len(names))
    pr = {c: tuple(axis[:-1] for axis in metrics.pr_curve(truth[:, c], probs[:, c])[1::-1]) for c in roc}
    if task != "binary-class":
        return Overview(k, names, None, matrix, roc, None, pr, None, None)
    roc_point = pr_point = None
    if roc:
        sensitivity, precision = float(metrics.sensitivity(matrix)[1]), float(metrics.precision(matrix)[1])
        roc_point = float(1 - metrics.specificity(matrix)[1]), sensitivity
        pr_point = (sensitivity, precision) if np.isfinite(precision) else None
    return Overview(k, names, cut, matrix, roc, roc_point, pr, pr_point, float(truth[:, 1].mean()))
