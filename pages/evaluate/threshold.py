"""The threshold that one drags: true positives, misses and false positives, at once.

The rates and limits at every threshold are computed here, once, by core/metrics/operating_points.py, and sent
to the browser, which looks them up: the numbers change with the pointer and not after a round trip. What is
frozen is chosen again here, from the scores themselves: what a browser sends is not trusted.

The bytes that go to the browser are

    4 bytes   length of the header, little-endian
    header    JSON, padded with spaces so that what follows starts at a multiple of four
    columns   float32, (T,) each: those of COLUMNS
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from pathlib import Path

import numpy as np
import streamlit as st

from core.errors import LightboxError
from core.evaluation import thresholds
from core.evaluation.predictions import Predictions
from core.metrics import MULTI_LABEL
from core.metrics.intervals import as_codes
from core.metrics.operating_points import (
    HAND,
    RULES,
    OperatingPoints,
    Threshold,
    choose,
    known_rows,
    one_class,
    operating_points,
)
from core.runs.store import Run
from pages.evaluate.results import evaluation_of, with_patients
from pages.shared import theme
from pages.shared.layout import format_interval, show_error
from pages.shared.positive_class import choose_positive_class, positive_class
from pages.shared.predictions import BY_PREDICTIONS, predictions_version

HERE = Path(__file__).parent

RULES_SHOWN = [{"rule": name, "title": rule.title, "help": rule.help,
                "parameter": rule.parameter and dict(zip(("name", "value", "low", "high"), rule.parameter))}
               for name, rule in RULES.items()]
INTERVALS = ("sensitivity", "specificity", "lr_positive", "lr_negative")
COLUMNS = ["lowest", "tp", "fp", *(f"{rate}_{end}" for rate in INTERVALS for end in ("low", "high"))]

_element = st.components.v2.component(
    "lightbox_threshold",
    html="<div class='threshold'></div>",
    css=(HERE / "threshold.css").read_text(),
    js=(HERE / "threshold_parts.js").read_text() + (HERE / "threshold.js").read_text(),
)


def draw_threshold(run: Run, split: str, preds: Predictions, k: int | None = None) -> None:
    """Draw the panel; freeze or unfreeze what the browser asks for.

    Args:
        preds: the predictions on `split`, "val" or "test"; only on "val" a threshold can be frozen
        k: the positive class, or finding; None: that of the address
    """
    about = run.data()
    names = about["class_names"]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header("Threshold", anchor=False, width="content", help="A network gives a score; the threshold above "
                  "which an image is flagged is for people to choose. Drag the line to see the trade-off.")
        if k is None:             # of two classes it is chosen above the headline numbers, for the whole page
            k = positive_class(about) if about["task"] == "binary-class" else choose_positive_class(about, "threshold")
    key = f"threshold_{run.id}_{split}_{k}"
    frozen = thresholds.frozen(run, k)
    points, m, by_patient = _points(run, preds, k)
    area = evaluation_of(run, split, preds, each=True).per_class[k].estimates["roc_auc"]
    version = f"{run.folder}|{split}|{k}|{predictions_version(run)}"
    header = {
        "id": hashlib.sha256(version.encode()).hexdigest()[:16], "columns": COLUMNS,
        "m": m, "n": len(known_rows(preds.labels, k)) - m, "by_patient": by_patient, "rules": RULES_SHOWN,
        "auc": format_interval(area.value, area.low, area.high), "auc_interval": area.method,
        "name": names[k], "rest": rest_of(about, k), "test": split == "test", "opened": run.times_test_opened(),
        "frozen": None if frozen is None else {"value": frozen.value, "says": frozen.in_words(names)},
        "color": theme.class_color(k), "quiet": theme.QUIET, "point": theme.ACCENT}
    if error := st.session_state.pop(f"{key}_error", None):
        show_error(error)

    def handle() -> None:
        state = st.session_state[key]
        try:
            if state.get("let_go"):
                thresholds.unfreeze(run, k)
            elif wanted := read_wanted(state.get("froze")):
                thresholds.freeze(run, choose_again(preds, about["task"], k, *wanted), k)
        except LightboxError as error:
            st.session_state[f"{key}_error"] = error
    # Test has no such buttons.
    tools = {} if split == "test" else {"on_froze_change": handle, "on_let_go_change": handle}
    _element(key=key, data=pack(header, *columns_of(points)), **tools)
    if about["task"] not in ("binary-class", MULTI_LABEL):
        st.caption("This is one class against the rest. The network still predicts the most probable class, whatever is "
                   "frozen here.")


def rest_of(about: dict, k: int) -> str:
    """What an image is called that is not of class k."""
    names = about["class_names"]
    if about["task"] == MULTI_LABEL:
        return f"no {names[k]}"
    return "the rest" if len(names) > 2 else names[1 - k]


def choose_again(preds: Predictions, task: str, k: int, rule: str, value: float, parameter: float | None,
           prevalence: float) -> Threshold:
    """Return the threshold that was asked for, chosen again from the predictions on validation.

    Raises:
        LightboxError: as `choose` does
    """
    if rule == HAND:
        return Threshold(value, epoch=preds.epoch)
    wanted = RULES[rule].parameter
    return choose(rule, *one_class(preds.labels, preds.probs, task, k), prevalence=prevalence, epoch=preds.epoch,
                  **({wanted[0]: parameter} if wanted else {}))


def read_wanted(value: object) -> tuple[str, float, float | None, float] | None:
    """What the browser sent, [rule, threshold, parameter, prevalence], if it can be that."""
    if not isinstance(value, (list, tuple)) or len(value) != 4:
        return None
    rule, at, parameter, prevalence = value
    if rule not in (HAND, *RULES) or not all(map(_real, (at, prevalence, 0 if parameter is None else parameter))):
        return None
    return rule, float(at), None if parameter is None else float(parameter), float(prevalence)


def columns_of(points: OperatingPoints) -> list[np.ndarray]:
    """The (T,) columns of COLUMNS."""
    limits = (getattr(points, rate) for rate in INTERVALS)
    return [points.lowest, points.tp, points.fp, *(side for both in limits for side in both.T)]


def pack(header: dict, *arrays: np.ndarray) -> bytes:
    """The bytes for the browser, as the module says."""
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 4)
    return b"".join([struct.pack("<I", len(text)), text, *(array.astype("<f4").tobytes() for array in arrays)])


def _real(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


@st.cache_data(max_entries=64, show_spinner=False, hash_funcs=BY_PREDICTIONS)
def _points(run: Run, preds: Predictions, k: int) -> tuple[OperatingPoints, int, bool]:
    """The operating points, how many images are positive, and whether patients have several images."""
    positive, scores = one_class(preds.labels, preds.probs, run.data()["task"], k)
    patients = with_patients(run, preds).patients
    patients = patients and [patients[row] for row in known_rows(preds.labels, k)]
    by_patient = patients is not None and len(np.unique(as_codes(patients))) < len(patients)
    return operating_points(positive, scores, patients if by_patient else None), int(positive.sum()), by_patient
