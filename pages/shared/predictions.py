"""A run's stored predictions, for the pages that evaluate them: which run and split, when to predict, which
rows of the set.

N images, K classes. Validation is predicted when its predictions are missing or old; test only when somebody
opens it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from core import metrics
from core.datasets import Dataset, is_ready
from core.errors import LightboxError
from core.evaluation import thresholds
from core.evaluation.data_state import data_note
from core.evaluation.predictions import Predictions, damaged_predictions, load_predictions, predict_split
from core.metrics import MULTI_LABEL
from core.metrics.evaluation import Note
from core.runs import checkpoints
from core.runs.states import LIVE
from core.runs.store import Run, RunStore
from pages.shared import open_data
from pages.shared.damaged import draw_moved
from pages.shared.layout import Chip, escape, get_param, link, long_task, set_param

# ------------------------------------------------------------------------------------- which run, which split

def split_chip() -> Chip:
    """Validation by default: the test split is for the end."""
    return Chip("split", "Split", {"val": "Validation", "test": "Test"}, width=130)


def finding_chip(run: Run) -> list[Chip]:
    """One of several findings; empty where an image has one class."""
    about = run.data()
    if about.get("task") != MULTI_LABEL:
        return []
    return [Chip("finding", "Finding", {str(k): name for k, name in enumerate(about["class_names"])},
                 width=170)]


def cell_chips(run: Run) -> list[Chip]:
    """True and predicted class: one cell of the confusion matrix, or several. In the address a class is
    its number."""
    about = run.data()
    names = about.get("class_names", [])
    if about.get("task") == MULTI_LABEL:
        k = class_index(get_param("finding"), len(names)) or 0
        names = [f"no {names[k]}", names[k]]
    true = {"all": "True: any class"} | {str(k): f"True: {name}" for k, name in enumerate(names)}
    predicted = {"wrong": "Errors only", "all": "Predicted: any class"}
    predicted |= {str(k): f"Predicted: {name}" for k, name in enumerate(names)}
    return [Chip("true", "True class", true, width=170),
            Chip("predicted", "Predicted class", predicted, width=190)]


def predicted_filter(value: str, n: int) -> int | str | None:
    """Return what the chip of the predicted class stands for: "wrong", "all" or the number of a class
    below `n`."""
    return value if value in ("wrong", "all") else class_index(value, n)


def class_index(value: str | None, n: int) -> int | None:
    """Return a class number from the address, or None where it is not one below `n`: "1" -> 1."""
    return int(value) if value and value.isdecimal() and int(value) < n else None


def list_runs() -> list[Run]:
    """Return all runs, the newest first; those that cannot be evaluated yet, without a finished epoch, after the others."""
    def waits(run: Run) -> bool:
        return not (run.folder / "predictions.npz").exists() and not checkpoints.places(run.checkpoints)

    return sorted(RunStore().list(), key=waits)


def current_run(runs: Sequence[Run]) -> Run | None:
    """Return the run that the chip of `runs` is going to show: that of the address, else the newest."""
    wanted = get_param("run")
    return next((run for run in runs if run.id == wanted), runs[0] if runs else None)


def clear_on_run_change(run: Run, *names: str) -> None:
    """Remove parameters that belong to one run, such as a class, from the address when another run is
    chosen."""
    before = st.session_state.get("evaluated_run")
    if before not in (None, run.id):
        for name in names:
            set_param(name, None)
    st.session_state["evaluated_run"] = run.id


# ------------------------------------------------------------------------------------------------ predictions

def predictions_of(run: Run, split: str) -> Predictions:
    """Return the predictions of a run's best epoch. Missing ones are made (validation) or offered to be made
    (test).

    Ends the page with a sentence where there is nothing to show. Raises LightboxError as `predict_split`
    does.
    """
    best = checkpoints.best_epoch(run.checkpoints)
    if best is None:
        live = run.status().state in LIVE | {"queued"}
        st.info("This run has not finished an epoch yet, so there is nothing to evaluate. "
                + ("It is queued or training." if live else "It stopped before the end of the first epoch."))
        link("Follow it" if live else "See what happened", "runs", run=run.id)
        st.stop()
    preds = _test_predictions(run, best) if split == "test" else _validation_predictions(run, best)
    show_data_note(run, preds)
    return preds


def show_data_note(run: Run, preds: Predictions | None = None) -> None:
    """Say what has changed about a run's images since its training or its predictions, and offer to point to moved ones."""
    try:
        now = open_data.fingerprint_of(run.config.data)
        note = _note(str(run.folder), predictions_version(run), now, is_ready(run.config.data), run, preds)
    except LightboxError:
        note = data_note(run, preds)
    if note:
        st.warning(escape(note.text))
    if note and note.code == "data.gone":
        draw_moved(run.config.data.dataset)


def _say_damage(run: Run, split: str, preds: Predictions | None) -> None:
    """Say that stored predictions were damaged, in this session even after they are made again."""
    said = st.session_state.setdefault("damaged_predictions", {})
    if preds is None and (error := damaged_predictions(run, split)):
        said[run.id, split] = escape(error)
    if (run.id, split) in said:
        st.warning(said[run.id, split])


@st.cache_data(max_entries=256, show_spinner=False)
def _note(folder: str, version: int, now: str, ready: bool, _run: Run, _preds: Predictions | None) -> Note | None:
    return data_note(_run, _preds, now)


def _validation_predictions(run: Run, best: int) -> Predictions:
    preds, live = stored_predictions(run, "val"), run.status().state in LIVE
    _say_damage(run, "val", preds)
    if preds is None or preds.epoch != best and not live and (run.id, best) not in _tried():
        with long_task("Predicting the validation images", key=f"predict_{run.id}") as progress:
            preds = predict_split(run, "val", progress=progress)
        _tried().add((run.id, best))
    if preds.epoch != best and live:
        st.caption(f"Predictions of epoch {preds.epoch}. The run is still training; its best epoch so far is "
                   f"{best}.")
    elif preds.epoch != best:
        st.warning(f"The weights of the best epoch ({best}) are damaged or missing. "
                   f"These are the predictions of epoch {preds.epoch}.")
    return preds


def _test_predictions(run: Run, best: int) -> Predictions:
    """The predictions on the test split if it was opened; otherwise the button that opens it, and the end
    of the page."""
    opening = f"opening_{run.id}"
    if st.session_state.get(opening):
        with long_task("Predicting the test images", key=opening) as progress:
            predict_split(run, "test", progress=progress)
        st.session_state.pop(opening)
        st.rerun()
    if not run.data()["n"]["test"]:
        st.info("The split of this run has no test images. Evaluate it on validation, and keep a test set "
                "next time.")
        link("Choose a split", "split", dataset=run.config.data.dataset)
        st.stop()
    preds, times = stored_predictions(run, "test"), run.times_test_opened()
    opened = "once" if times == 1 else f"{times} times"
    _say_damage(run, "test", preds)
    if preds is None:
        st.markdown("**The test set is locked.** It is the final exam: each look that changes what you do "
                    "next makes its result too optimistic. So every opening is counted."
                    + (f" It was opened {opened}." if times else ""))
        _open_button(run, opening, "Open the test set")
        st.stop()
    st.caption(f"The test set of this run was opened {opened}."
               + (" Choosing a model by these numbers turns it into a second validation set." if times > 1
                  else ""))
    if preds.epoch != best:
        st.info(f"These are the predictions of epoch {preds.epoch}. The run has a better epoch now: {best}.")
        _open_button(run, opening, "Open the test set again")
    return preds


def _open_button(run: Run, opening: str, label: str) -> None:
    def count() -> None:          # a callback runs once for each click, however often the page is drawn
        run.note_test_opened()
        st.session_state[opening] = True
    st.button(label, key=f"open_{run.id}", type="primary", on_click=count)


def is_locked(run: Run, split: str) -> bool:
    """Whether the predictions of a split may not be seen yet. If so, the page says where the test set is
    opened."""
    if split != "test" or stored_predictions(run, "test") is not None:
        return False
    st.markdown("The test set of this run is locked. Open it on the page Evaluate once all choices are made.")
    link("Go to Evaluate", "evaluate", run=run.id, split="test")
    return True


def predictions_version(run: Run) -> int:
    """Return a number that changes when the file of predictions does."""
    try:
        return (run.folder / "predictions.npz").stat().st_mtime_ns
    except OSError:
        return 0


# How a cached function tells its arguments apart: by the version of the predictions, and by that and the
# threshold.
BY_PREDICTIONS = {Run: lambda run: (str(run.folder), predictions_version(run)),
                  Dataset: lambda data: data.fingerprint,
                  Predictions: lambda preds: (preds.epoch, len(preds.labels), preds.image_ids[:1],
                                              preds.patients is None)}
BY_THRESHOLD = BY_PREDICTIONS | {Run: lambda run: (str(run.folder), predictions_version(run), _threshold_words(run))}


def _threshold_words(run: Run) -> str:
    """What stands for the threshold; of a damaged one its sentence, which the cached function raises itself."""
    try:
        return repr(thresholds.of(run))
    except LightboxError as error:
        return str(error)


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs=BY_PREDICTIONS)
def stored_predictions(run: Run, split: str) -> Predictions | None:
    """Return `core.evaluation.predictions.load_predictions`, read once for each version of the file.
    Shared: do not change it."""
    return load_predictions(run, split)


@st.cache_resource(show_spinner=False)
def _tried() -> set:
    """(run, best epoch) that this server has predicted: a damaged best epoch is not tried again at each
    rerun."""
    return set()


def one_finding(labels: np.ndarray, probs: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return finding `k` of several as two classes: labels (N,) of 0 and 1, probabilities (N, 2) of absent
    and present."""
    return labels[:, k], np.stack([1 - probs[:, k], probs[:, k]], axis=1)


def roc_curves(labels: np.ndarray, probs: np.ndarray, task: str,
               class_names: Sequence[str], positive: int = 1) -> dict[int, tuple]:
    """Return class -> (false positive rate, sensitivity). Two classes have one curve, that of the positive one; an
    absent class none."""
    truth = metrics.one_against_rest(labels, len(class_names))
    classes = [positive] if task == "binary-class" else range(len(class_names))
    curves = {k: metrics.roc_curve(truth[:, k], probs[:, k]) for k in classes}
    return {k: curve[:2] for k, curve in curves.items() if curve is not None}


# -------------------------------------------------------------------------------------- which rows of the set

@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs=BY_PREDICTIONS)
def dataset_rows(run: Run, split: str, preds: Predictions, data: Dataset) -> np.ndarray:
    """Return the (N,) rows of the data set for the images of the predictions. Raises LightboxError
    "run.data_changed"."""
    rows = pd.Index(data.table["image_id"].astype(str)).get_indexer(pd.Index(preds.image_ids))
    if (rows < 0).any():
        raise LightboxError("run.data_changed",
                            "Some images that this run predicted are no longer in the data set.",
                            "Put the old images back, or train again on the new ones.")
    return rows
