"""A run's answers, for the pages that judge them: which there are, when they must be made, which of them to look at.

N images, K classes. Validation is predicted when it is missing or old; test only when somebody opens it (`open_test`).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import streamlit as st

from core import metrics
from core.datasets import Dataset, is_ready
from core.errors import LightboxError
from core.evaluation import evaluate, thresholds
from core.evaluation.baselines import kept_baseline, logistic_baseline
from core.evaluation.evaluate import RunEvaluation
from core.evaluation.predictions import Predictions, load_predictions, predict_split, ready_dataset, with_patients
from core.metrics import MULTI_LABEL
from core.metrics.estimates import PROPORTIONS
from core.metrics.groups import GroupEvaluation
from core.runs import checkpoints
from core.runs.states import LIVE
from core.runs.store import Run
from pages.shared.layout import Chip, get_param, link, long_task, set_param
from pages.shared.open_data import open_set

# ----------------------------------------------------------------------------------------------- which run, which split

def split_chip() -> Chip:
    """Validation by default: the test split is for the end."""
    return Chip("split", "Split", {"val": "Validation", "test": "Test"}, width=130)


def finding_chip(run: Run) -> list[Chip]:
    """Which of several findings; none where an image has one class."""
    about = run.data()
    if about.get("task") != MULTI_LABEL:
        return []
    return [Chip("finding", "Finding", {str(k): name for k, name in enumerate(about["class_names"])}, width=170)]


def cell_chips(run: Run) -> list[Chip]:
    """True class and answer: a cell of the confusion matrix, or several of them. Classes go by their numbers in the address."""
    about = run.data()
    names = about.get("class_names", [])
    if about.get("task") == MULTI_LABEL:
        k = number(get_param("finding"), len(names)) or 0
        names = [f"no {names[k]}", names[k]]
    classes = {str(k): f"True: {n}" for k, n in enumerate(names)}
    return [Chip("true", "True class", {"all": "True: any class"} | classes, width=170),
            Chip("predicted", "Answer", {"wrong": "Answer: wrong", "all": "Answer: any"}
                 | {str(k): f"Answer: {n}" for k, n in enumerate(names)}, width=180)]


def current_run(runs: Sequence[Run]) -> Run | None:
    """The run that the chip of `runs` is going to show: that of the address, else the newest."""
    wanted = get_param("run")
    return next((run for run in runs if run.id == wanted), runs[0] if runs else None)


def forget_on_change(run: Run, *names: str) -> None:
    """Take parameters that belong to one run, such as a class, out of the address when another run is chosen."""
    before = st.session_state.get("judged_run")
    if before not in (None, run.id):
        for name in names:
            set_param(name, None)
    st.session_state["judged_run"] = run.id


# ---------------------------------------------------------------------------------------------------------- its answers

def answers_of(run: Run, split: str) -> Predictions:
    """The answers of a run's best epoch. Where there are none yet, they are made (validation) or asked for (test).

    Ends the page with a sentence where there is nothing to show. Raises LightboxError as `predict_split` does.
    """
    best = checkpoints.best_epoch(run.checkpoints)
    if best is None:
        live = run.status().state in LIVE | {"queued"}
        st.info("This run has not finished an epoch yet, so there is nothing to judge. " + (
            "It is on its way." if live else "It was stopped before the first one."))
        link("Watch it" if live else "See what happened", "runs", run=run.id)
        st.stop()
    found = stored(run, split)
    if split == "test":
        return _opened(run, found, best)
    old = found is not None and found.epoch != best
    if found is None or old and run.status().state not in LIVE and (run.id, best) not in _tried():
        with long_task("Predicting the validation images", key=f"predict_{run.id}") as progress:
            found = predict_split(run, split, progress=progress)
        _tried().add((run.id, best))
        old = found.epoch != best
    if old and run.status().state in LIVE:
        st.caption(f"Answers of epoch {found.epoch}. The run is still learning; its best epoch so far is {best}.")
    elif old:
        st.warning(f"The weights of the best epoch, {best}, are damaged or gone. These are the answers of epoch {found.epoch}.")
    return found


def _opened(run: Run, found: Predictions | None, best: int) -> Predictions:
    """The answers on the test split, if it was opened; otherwise the button that opens it, and the end of the page."""
    opening = f"opening_{run.id}"
    if st.session_state.get(opening):
        with long_task("Predicting the test images", key=opening) as progress:
            predict_split(run, "test", progress=progress)
        st.session_state.pop(opening)
        st.rerun()
    if not run.data()["n"]["test"]:
        st.info("The split of this run keeps no test images back, so there is no test set to open. Judge it by validation, and "
                "keep some images for a test the next time.")
        link("Choose a split", "split", dataset=run.config.data.dataset)
        st.stop()
    times = run.times_test_opened()
    if found is not None:
        st.caption(f"The test set of this run was opened {'once' if times == 1 else f'{times} times'}."
                   + ("" if times <= 1 else " Whoever chooses by these numbers has made it a second validation set."))
        if found.epoch != best:
            st.info(f"These are the answers of epoch {found.epoch}. The run has a better epoch since: {best}.")
            _open_button(run, opening, "Open the test set again")
        return found
    st.markdown("The test set is shut. It is the exam: each look at it that changes what you do next makes its result "
                "too good to be true, so each opening is counted." + (f" It was opened {times} times." if times else ""))
    _open_button(run, opening, "Open the test set")
    st.stop()


def _open_button(run: Run, opening: str, label: str) -> None:
    def note() -> None:          # a callback runs once for each click, however often the page is drawn
        run.note_test_opened()
        st.session_state[opening] = True
    st.button(label, key=f"open_{run.id}", type="primary", on_click=note)


def stored(run: Run, split: str) -> Predictions | None:
    """`core.evaluation.predictions.load_predictions`, read once for each version of the file. Not to be changed: all sessions share it."""
    return _stored(str(run.folder), split, stamp(run), run)


def is_shut(run: Run, split: str) -> bool:
    """Whether the answers of a split may not be looked at yet: then the page says so, and where the test set is opened."""
    if split != "test" or stored(run, "test") is not None:
        return False
    st.markdown("The test set of this run is shut. It is opened on the evaluate page, when all choices are made.")
    link("Go there", "evaluate", run=run.id, split="test")
    return True


def stamp(run: Run) -> int:
    """Changes when the file of predictions does."""
    try:
        return (run.folder / "predictions.npz").stat().st_mtime_ns
    except OSError:
        return 0


@st.cache_resource(max_entries=64, show_spinner=False)
def _stored(folder: str, split: str, stamp: int, _run: Run) -> Predictions | None:
    return load_predictions(_run, split)


@st.cache_resource(show_spinner=False)
def _tried() -> set:
    """(run, best epoch) that were predicted by this server: a damaged best epoch is not tried at each rerun."""
    return set()


# -------------------------------------------------------------------------------------------------- what they are worth

def measures(run: Run, split: str, found: Predictions, each: bool = False) -> RunEvaluation:
    """`core.evaluation.evaluate.evaluate_predictions` of stored answers, once for each version of them and of the threshold. Opens nothing.

    The logistic baseline is in it where it was fitted before: see `fit_baseline`. Of each class by itself there are the shares,
    or with `each` all measures, for which more must be drawn.
    """
    opened = run.times_test_opened() if split == "test" else 0
    version = str(run.folder), split, stamp(run), repr(thresholds.of(run)), opened, _knows_people(run, found), each
    result = _measures(*version, run, found)
    return _with_baselines(*version, run, found, result) if _is_fitted(run, split) else result


@st.cache_data(max_entries=64, show_spinner="Judging: every measure with its interval ...")
def _measures(folder: str, split: str, stamp: int, threshold: str, opened: int, people: bool, each: bool,
              _run: Run, _found: Predictions) -> RunEvaluation:
    # With the baseline that is kept: a new one is fitted meanwhile. Studies and patients are judged when they are looked at.
    if kept_baseline(_run.data(), split) is None:
        _begin_fit(_run, split)
    return evaluate.evaluate_predictions(_run, split, known_people(_run, _found), groups=False,
                                         each=None if each else PROPORTIONS)


@st.cache_data(max_entries=64, show_spinner=False)
def _with_baselines(folder: str, split: str, stamp: int, threshold: str, opened: int, people: bool, each: bool,
                    _run: Run, _found: Predictions, _result: RunEvaluation) -> RunEvaluation:
    """Asked for by the set itself: what the run noted of the baseline may be of an older way to name sets."""
    return replace(evaluate.with_baselines(_run, _result, _found, _ready_set(_run)), fitted=True)


def by_people(run: Run, split: str, found: Predictions) -> dict[str, GroupEvaluation | None]:
    """`core.evaluation.evaluate.evaluate_by_group`, once for each version of the answers and of the threshold."""
    return _by_people(str(run.folder), split, stamp(run), repr(thresholds.of(run)), _knows_people(run, found), run, found)


@st.cache_data(max_entries=64, show_spinner="Judging studies and patients ...")
def _by_people(folder: str, split: str, stamp: int, threshold: str, people: bool, _run: Run,
               _found: Predictions) -> dict[str, GroupEvaluation | None]:
    return evaluate.evaluate_by_group(_run, known_people(_run, _found))


def _knows_people(run: Run, found: Predictions) -> bool:
    """Whether patients and studies can be told: they stand with the answers, or the set is ready. It may become so while the
    page is looked at, and the numbers by image must not stay then."""
    key = str(run.folder), stamp(run)
    if found.patients is None and found.studies is None and key not in _told():
        if not is_ready(run.config.data):
            return False
        _told().add(key)
    return True


@st.cache_resource(show_spinner=False)
def _told() -> set:
    """(folder of a run, stamp of its answers) of old answers whose set was ready once."""
    return set()


def known_people(run: Run, found: Predictions) -> Predictions:
    """With patients and studies, also where the answers are from before these were stored with them."""
    if found.patients is None and found.studies is None and (data := _ready_set(run)) is not None:
        return with_patients(found, data)
    return found


def fit_baseline(run: Run, split: str, result: RunEvaluation) -> None:
    """Have the logistic baseline fitted where it is missing, and draw the page again when it is there.

    It takes seconds on large images, so a thread does it, once for everybody, and the page can be used meanwhile.
    """
    if result.fitted or any(base.name == evaluate.LOGISTIC for base in result.baselines):
        return
    st.fragment(_wait_for_fit, run_every=1)(_begin_fit(run, split))


def _begin_fit(run: Run, split: str) -> tuple[str, str]:
    """Start the thread, unless somebody did. Returns its key."""
    key = str(run.folder), split
    if key not in _fits():
        _fits()[key] = threading.Thread(target=_fit, args=(run, split), daemon=True)
        _fits()[key].start()
    return key


def _fit(run: Run, split: str) -> None:
    data = ready_dataset(run)
    if data is not None:
        logistic_baseline(data, split)


def _wait_for_fit(key: tuple[str, str]) -> None:
    if _fits()[key].is_alive():
        st.caption("Fitting the logistic regression on 16 x 16 pixels, to compare with ...")
    else:
        st.rerun()


def _is_fitted(run: Run, split: str) -> bool:
    """Whether this server has had the baseline fitted, or could not."""
    fits, key = _fits(), (str(run.folder), split)
    return key in fits and not fits[key].is_alive()


@st.cache_resource(show_spinner=False)
def _fits() -> dict:
    """(folder of a run, split) -> the thread that fits its baseline, or has."""
    return {}


def _ready_set(run: Run) -> Dataset | None:
    """The open set, where nobody has to wait for it and its images are still those that the run was trained on."""
    try:
        data = open_set(run.config.data) if is_ready(run.config.data) else None
    except LightboxError:
        return None
    return data if data is not None and data.split_hash == run.data().get("split_hash") else None


@dataclass(frozen=True)
class Judgement:
    """What the page shows of a split of a run; of several findings the curves and the matrix are about one.

    Args:
        finding: which one, None where an image has one class
        names: of the K classes of the matrix
        threshold: above which an image is called back; None with more than two classes
        matrix: (K, K)
        curves: class -> (false positive rate, sensitivity), a point for each threshold
        point: the same two numbers at the threshold; None with more than two classes
        pr_curves: class -> (sensitivity, precision), a point for each threshold
        pr_point: the same two numbers at the threshold; None too where nothing is called
        share: of class 1 among all images; None with more than two classes
    """

    finding: int | None
    names: tuple[str, ...]
    threshold: float | None
    matrix: np.ndarray
    curves: dict[int, tuple[np.ndarray, np.ndarray]]
    point: tuple[float, float] | None
    pr_curves: dict[int, tuple[np.ndarray, np.ndarray]]
    pr_point: tuple[float, float] | None
    share: float | None


def judge(run: Run, split: str, found: Predictions, finding: str | None = None) -> Judgement:
    """All of it, from the cache where nobody answered or chose anew. `finding` is its number as it stands in the address.

    Raises LightboxError as `core.metrics.check`.
    """
    about, threshold = run.data(), thresholds.of(run)
    k = (number(finding, len(about["class_names"])) or 0) if about["task"] == MULTI_LABEL else None
    return _judge(str(run.folder), split, stamp(run), repr(threshold), k, found, about, threshold)


@st.cache_resource(max_entries=64, show_spinner=False)
def _judge(folder: str, split: str, stamp: int, threshold: str, k: int | None, _found: Predictions, _about: dict,
           _threshold: float | np.ndarray) -> Judgement:
    labels, probs, task, names = _found.labels, _found.probs, _about["task"], tuple(_about["class_names"])
    metrics.check(labels, probs, task)
    cut = np.broadcast_to(_threshold, probs.shape[1])[k or 0]
    if k is not None:
        labels, probs = one_finding(labels, probs, k)
        task, names = "binary-class", (f"no {names[k]}", names[k])
    two = task == "binary-class"
    matrix = metrics.confusion_matrix(labels, metrics.predict(probs, task, cut), len(names))
    curves = roc_curves(labels, probs, task, names)
    point = (float(1 - metrics.specificity(matrix)[1]), float(metrics.sensitivity(matrix)[1])) if two and curves else None
    truth = metrics.one_against_rest(labels, len(names))
    precision = float(metrics.precision(matrix)[1])
    return Judgement(k, names, float(cut) if two else None, matrix, curves, point,
                     {c: tuple(axis[:-1] for axis in metrics.pr_curve(truth[:, c], probs[:, c])[1::-1]) for c in curves},
                     (point[1], precision) if point and np.isfinite(precision) else None,
                     float(truth[:, 1].mean()) if two else None)


def one_finding(labels: np.ndarray, probs: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Of several findings one, as two classes: labels (N,) of 0 and 1, probabilities (N, 2) of its absence and presence."""
    return labels[:, k], np.stack([1 - probs[:, k], probs[:, k]], axis=1)


def roc_curves(labels: np.ndarray, probs: np.ndarray, task: str, class_names: Sequence[str]) -> dict[int, tuple]:
    """Class -> (false positive rate, sensitivity). Two classes have one curve, that of class 1; a class that is absent none."""
    truth = metrics.one_against_rest(labels, len(class_names))
    classes = [1] if task == "binary-class" else range(len(class_names))
    curves = {k: metrics.roc_curve(truth[:, k], probs[:, k]) for k in classes}
    return {k: curve[:2] for k, curve in curves.items() if curve is not None}


# ----------------------------------------------------------------------------------------------- which rows of the set

def rows_of(run: Run, split: str, found: Predictions, data: Dataset) -> np.ndarray:
    """(N,) rows of the data set for the images of the predictions. Raises LightboxError "run.data_changed"."""
    return _rows_of(str(run.folder), split, stamp(run), data.fingerprint, found, data)


@st.cache_resource(max_entries=64, show_spinner=False)
def _rows_of(folder: str, split: str, stamp: int, fingerprint: str, _found: Predictions, _data: Dataset) -> np.ndarray:
    rows = pd.Index(_data.table["image_id"].astype(str)).get_indexer(pd.Index(_found.image_ids))
    if (rows < 0).any():
        raise LightboxError("run.data_changed", "Some images that this run answered are no longer in the data set.",
                            "Put the old images back, or train again on the new ones.")
    return rows


def number(value: str | None, below: int) -> int | None:
    """A class from the address, or None where it is none: "1" -> 1."""
    return int(value) if value and value.isdecimal() and int(value) < below else None
