"""Tracked images: a few validation images with their predictions after each epoch, as bars that move.

The images go to the browser once, as a rule of style; what is drawn anew after each epoch is a few kilobytes
of HTML.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import streamlit as st

from core.errors import LightboxError
from core.metrics import MULTI_LABEL, majority_baseline
from core.runs.store import Run
from pages.shared import open_data, preview, theme
from pages.shared.layout import format_probability

SIDE = 144             # pixels of an image as it is sent: twice what is shown, for screens with small pixels
BARS = 3               # classes of each image; the true one is always there


@dataclass(frozen=True)
class TrackedImages:
    """The tracked images of one run.

    Args:
        labels: (n,) class numbers, or (n, K) of 0 and 1 where an image may have several findings
        class_names: K names
        style: a <style> element with the images; "" where they are not open
        why_not: a sentence on why they are not
        majority: accuracy on the validation images of always predicting the most frequent class; None where
            it is not known
    """
    labels: np.ndarray
    class_names: tuple[str, ...]
    style: str = ""
    why_not: str = ""
    majority: float | None = None


def load_tracked(run: Run, records: Sequence[Mapping]) -> TrackedImages:
    """Load the tracked images of a run. Opens a data set that is prepared, but prepares none."""
    start = next((r for r in reversed(records) if r["kind"] == "start"), {})
    about = run.data()
    names = tuple(about.get("class_names", ()))
    rows, labels = start.get("strip_rows") or [], _labels(start.get("strip_labels") or [], len(names))
    try:
        if not preview.ready(run.config.data):
            return TrackedImages(labels, names, why_not="The data set is not prepared at this size: only the bars are shown.")
        data = open_data.open_set(run.config.data)
        if data.split_hash != about.get("split_hash"):
            return TrackedImages(labels, names, why_not="The data set has changed since this run: only the bars are shown.")
        rows = rows if max(rows, default=0) < len(data) else []
        style = _style(data, tuple(rows), data.fingerprint) if rows else ""
        return TrackedImages(labels, names, style, majority=_majority(data, data.split_hash + data.label_edit))
    except LightboxError as error:
        return TrackedImages(labels, names, why_not=f"Only the bars are shown. {error.message}")


def _labels(stored: list, classes: int) -> np.ndarray:
    """(n,) class numbers or (n, K) of 0 and 1, as the trainer reported them; (0,) where they are of no class."""
    several = any(isinstance(one, list) for one in stored)
    sound = all(isinstance(one, list) and len(one) == classes if several else one < classes for one in stored)
    return np.array(stored if sound else [], np.int64)


def by_epoch(images: TrackedImages, records: Sequence[Mapping]) -> dict[int, list[list[float]]]:
    """Return epoch -> (n, K) probabilities of the tracked images, of each epoch that reported them all."""
    def whole(strip: list[list[float]] | None) -> bool:
        return bool(strip) and len(strip) >= len(images.labels) and {len(one) for one in strip} == {len(images.class_names)}
    return {r["epoch"]: r["strip"] for r in records if r["kind"] == "epoch" and whole(r.get("strip"))}


def draw_tracked(run_id: str, images: TrackedImages, records: Sequence[Mapping]) -> None:
    """Draw the tracked images, with a slider over the epochs that follows the newest until it is moved.
    Nothing without them."""
    probs_of = by_epoch(images, records)
    if not probs_of or not len(images.labels) or not images.class_names:
        return
    newest, oldest = max(probs_of), min(probs_of)
    held_run, held = st.session_state.get("tracked_epoch", (run_id, None))
    epoch = held if held_run == run_id and held in probs_of else newest
    with st.container(key="tracked", gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{len(images.labels)} validation images** after epoch {epoch}", width="content", help=(
                "Predictions for the same images after each epoch; the network does not learn from them. Bars are probabilities: "
                "the true class is bold with a green bar, orange is a wrong prediction. Move the slider to go back; at its end "
                "it follows the newest epoch."))
            if newest > oldest:
                # Not by widget_state.follow: that sends a new widget its value at each look, under the hand that drags it.
                key = f"tracked_{run_id}_{newest}"
                st.slider("Epoch of the tracked images", oldest, newest, epoch, key=key, label_visibility="collapsed", width=300,
                          on_change=_hold, args=(run_id, newest, key))
        if images.why_not:
            st.caption(images.why_not)
        st.html(cards(images, probs_of[epoch], probs_of.get(epoch - 1)))


def cards(images: TrackedImages, probs: Sequence[Sequence[float]], before: Sequence[Sequence[float]] | None) -> str:
    """Return HTML of the tracked images: a card for each.

    Args:
        probs: (n, K) after this epoch
        before: the same after the epoch before, from which the bars move; None where there is none
    """
    return "<div class='lightbox-tracked'>" + "".join(
        _card(i, images, np.array(now), np.array(now if before is None else before[i]))
        for i, now in enumerate(probs[:len(images.labels)])) + "</div>"


def _card(i: int, images: TrackedImages, now: np.ndarray, before: np.ndarray) -> str:
    names, label = images.class_names, images.labels[i]
    several = images.labels.ndim == 2
    true = label == 1 if several else np.arange(len(now)) == label
    predicted = now >= 0.5 if several else np.arange(len(now)) == now.argmax()
    right = bool((true == predicted)[label >= 0 if several else slice(None)].all())
    # The true ones first, then the most probable; two or three classes keep their order, so that nothing jumps.
    order = np.lexsort((-now, ~true))[:BARS] if len(now) > BARS else np.arange(len(now))
    bars = "".join(_bar(names[k], true[k], predicted[k], now[k], before[k]) for k in order)
    truth = ", ".join(names[k] for k in np.flatnonzero(true)) or "no finding"
    prediction = ", ".join(f"{names[k]} {format_probability(float(now[k]))}" for k in np.flatnonzero(predicted)) or "no finding"
    alt = html.escape(f"Validation image {i + 1}: true class {truth}, predicted {prediction}: {'right' if right else 'wrong'}.",
                      quote=True)
    verdict = "right" if right else "wrong"
    return (f"<figure><div class='picture picture-{i}' role='img' aria-label='{alt}' "
            f"style='border-color:{theme.OUTCOMES[verdict]}'></div>"
            f"<figcaption aria-hidden='true'><small>{verdict}</small>{bars}</figcaption></figure>")


def _bar(name: str, true: bool, predicted: bool, now: float, before: float) -> str:
    color = theme.OUTCOMES["right" if true else "wrong"] if predicted or true else theme.QUIET
    word = f"<b>{html.escape(name)}</b>" if true else html.escape(name)
    return (f"<div class='name'><span title='{html.escape(name, quote=True)}'>{word}</span>"
            f"<span>{html.escape(format_probability(float(now), 0))}</span></div>"
            f"<div class='bar'><i style='--from:{100 * before:.1f}%;width:{100 * now:.1f}%;background:{color}'></i></div>")


def _hold(run_id: str, newest: int, key: str) -> None:
    """At its end the slider follows the training again."""
    epoch = st.session_state[key]
    st.session_state["tracked_epoch"] = run_id, None if epoch == newest else epoch


@st.cache_data(max_entries=32, show_spinner=False)
def _style(_data, rows: tuple[int, ...], fingerprint: str) -> str:
    rules = []
    for i, row in enumerate(rows):
        image = np.asarray(_data.images[row])
        scale = SIDE / max(image.shape[:2])
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        if image.ndim == 3:
            image = image[..., ::-1]                     # cv2 writes BGR
        coded = base64.b64encode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1]).decode()
        rules.append(f".lightbox-tracked .picture-{i} {{ background-image: url(data:image/jpeg;base64,{coded}); }}")
    return "<style>" + "\n".join(rules) + "</style>"


@st.cache_data(max_entries=64, show_spinner=False)
def _majority(_data, split_hash: str) -> float | None:
    rows = _data.indices("val")
    return majority_baseline(_data.labels[rows], len(_data.class_names))[0] if len(rows) and _data.task != MULTI_LABEL else None
