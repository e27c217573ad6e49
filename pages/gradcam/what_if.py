"""What if the image were another? The controls, and the picture: an image with its map, beside it the changed
one with its own.

What can be dragged moves in the browser at once; the prediction follows when it is released. S pixels a side,
C channels.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import streamlit as st

from core.explain.what_if import CHANGES, LETTERS, change, is_change
from pages.shared.heatmap_image import OVERLAY_CSS, OVERLAY_JS, colours, map_png, outline_path, pack_parts
from pages.shared.layout import format_probability
from pages.shared.widget_state import follow

HERE = Path(__file__).parent
FILLS = {"mean": "mean gray", "black": "black", "white": "white"}
GRAYS = {"mean": None, "black": 0.0, "white": 1.0}
# What a person may set, and its default. The places are dragged on the picture.
DEFAULTS = {name: row.neutral for name, row in CHANGES.items() if not row.placed} | {
    "cover": False, "cover_side": 25, "cover_fill": "mean", "cover_at": (0.5, 0.5),
    "letter": False, "letter_side": 12, "letter_text": "L", "letter_at": (0.15, 0.15)}

_element = st.components.v2.component(
    "lightbox_what_if",
    html="<div class='what-if'></div>",
    css=OVERLAY_CSS + (HERE / "what_if.css").read_text(),
    js=OVERLAY_JS + (HERE / "what_if.js").read_text(),
)


# --------------------------------------------------------------------------------------------------- controls

def draw_controls() -> dict[str, Any]:
    """Sliders and switches for everything in CHANGES. Returns what `core.explain.what_if.change` takes."""
    form = _form()
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute",
                      key="what_if_head"):
        st.header("What if ...", anchor=False, width="content",
                  help="Change the image and see how the prediction and the map follow.")
        if any(form[name] != value for name, value in DEFAULTS.items()):
            st.button("Reset", icon=":material/undo:", type="tertiary", key="what_if_reset",
                      on_click=form.update,
                      args=(DEFAULTS,))
    sliders = [name for name, row in CHANGES.items() if row.step]
    for pair in zip(sliders[::2], sliders[1::2]):
        for column, name in zip(st.columns(2, gap="medium"), pair):
            row = CHANGES[name]
            with column:
                st.slider(row.title, row.low, row.high, step=row.step, format=row.unit, help=row.help,
                          **_follow(name))
    st.toggle(CHANGES["invert"].title, help=CHANGES["invert"].help, **_follow("invert"))
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="what_if_cover_row"):
        st.toggle(CHANGES["cover"].title, help=CHANGES["cover"].help, width=170, **_follow("cover"))
        if form["cover"]:
            st.slider("Size of the square", 2, 60, format="%d %%", width=112, label_visibility="collapsed",
                      help="As a share of the image.", **_follow("cover_side"))
            st.selectbox("Fill of the square", list(FILLS), format_func=FILLS.get, width=118,
                         label_visibility="collapsed",
                         **_follow("cover_fill"))
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="what_if_letter_row"):
        st.toggle(CHANGES["letter"].title, help=CHANGES["letter"].help, width=170, **_follow("letter"))
        if form["letter"]:
            st.slider("Height of the letter", 4, 40, format="%d %%", width=112, label_visibility="collapsed",
                      help="As a share of the image.", **_follow("letter_side"))
            st.selectbox("Letter", list(LETTERS), width=118, label_visibility="collapsed",
                         **_follow("letter_text"))
    return changes_of(form)


def changes_of(form: dict[str, Any]) -> dict[str, Any]:
    """Return what the form changes, as `core.explain.what_if.change` takes it; only what is not neutral."""
    changes = {name: form[name] for name, row in CHANGES.items() if not row.placed}
    for name, more in (("cover", {"gray": GRAYS[form["cover_fill"]]}),
                       ("letter", {"text": form["letter_text"]})):
        x, y = form[f"{name}_at"]
        changes[name] = {"x": x, "y": y, "side": form[f"{name}_side"] / 100, **more} if form[name] else None
    return {name: value for name, value in changes.items() if is_change(name, value)}


def _form() -> dict[str, Any]:
    return st.session_state.setdefault("what_if", dict(DEFAULTS))


def _follow(name: str) -> dict[str, Any]:
    return follow(f"what_if_{name}", _form()[name], _set, name)


def _set(name: str, value: Any) -> None:
    _form()[name] = value


# ------------------------------------------------------------------------------------------------ the picture

@dataclass(frozen=True)
class Picture:
    """One of the pictures, with its map and the line above it.

    Args:
        pixels: (S, S, C) uint8
        cam: (h, w) float of any sign, or None
        title, text, moved: what it is, the probability of the class, how that has changed
        label: for people who do not see it
        outlined: whether the true outline belongs on it
        waiting: shown on it as long as its map is missing
    """
    pixels: np.ndarray
    cam: np.ndarray | None
    title: str
    text: str = ""
    moved: str = ""
    label: str = ""
    outlined: bool = True
    waiting: str = ""


def changed(pixels: np.ndarray, changes: dict[str, Any], views: int = 1) -> tuple[np.ndarray, str]:
    """Return the image after the changes, and a token that stands for its pixels."""
    new = change(pixels, changes, views)
    return new, hashlib.sha256(np.ascontiguousarray(new)).hexdigest()


def change_in_points(before: float, after: float) -> str:
    """Return the change of a probability in percentage points: "+12.3 points"."""
    return f"{100 * (after - before):+.1f} points".replace("-", "\u2212")


def class_and_probability(name: str, p: float) -> str:
    """Return a class and its predicted probability: "pneumonia: 91.3 %"."""
    return f"{name}: {format_probability(p)}"


def show_pair(pictures: Sequence[Picture], changes: dict[str, Any], *, key: str,
              outline: np.ndarray | None = None,
              unit: str = "logits", note: str = "") -> float:
    """Draw pictures beside each other, their maps on one scale. Returns the value of the brightest colour.

    Opacity and outline are changed in the browser; squares and letters among `changes` are dragged on the
    last picture.

    Args:
        outline: (H, W) bool, where the finding truly is
        unit: of the maps
        note: a sentence below
    """
    cams = [picture.cam for picture in pictures if picture.cam is not None]
    peak = max((float(np.abs(cam).max()) for cam in cams), default=0.0)
    signed = any(float(cam.min()) < 0 for cam in cams)
    parts, shown = [], []
    for picture in pictures:
        image, cam = len(parts), None
        parts.append(("image/png", _encoded(picture.pixels)))
        if picture.cam is not None and peak > 0:
            cam = len(parts)
            parts.append(("image/png", map_png(picture.cam, peak)))
        shown.append({"image": image, "map": cam, "title": picture.title, "text": picture.text,
                      "moved": picture.moved,
                      "label": picture.label, "outlined": picture.outlined, "waiting": picture.waiting})
    height, width = pictures[0].pixels.shape[:2]
    header = {"pictures": shown, "ratio": width / height, "few": max(height, width) <= 96,
              "outline": outline_path(outline), "handles": _handles(changes), "note": note,
              "colours": colours(signed),
              "low": f"\u2212{peak:.3g}" if signed else "0", "high": f"{peak:.3g} {unit}"}
    header["id"] = hashlib.sha256(json.dumps(header).encode()
                                  + b"".join(content for _, content in parts)).hexdigest()
    _element(data=pack_parts(header, parts), key=key, on_cover_change=partial(_set_place, key, "cover"),
             on_letter_change=partial(_set_place, key, "letter"))
    return peak


def _set_place(key: str, name: str) -> None:
    """Note where something was dragged to. It comes from the browser, so it is checked."""
    place = (st.session_state.get(key) or {}).get(name)
    if (isinstance(place, (list, tuple)) and len(place) == 2
            and all(isinstance(v, (int, float)) and math.isfinite(v) and 0 <= v <= 1 for v in place)):
        _form()[f"{name}_at"] = (float(place[0]), float(place[1]))


def _handles(changes: dict[str, Any]) -> list[dict]:
    """Return what can be dragged: its centre and size as fractions of the picture."""
    handles = []
    for name, label in (("cover", "The covered square"), ("letter", "The letter")):
        if name in changes:
            place = changes[name]
            handles.append({"name": name, "label": label, "x": place["x"], "y": place["y"],
                            "width": place["side"],
                            "height": place["side"], "text": place.get("text", "")})
    return handles


def _encoded(pixels: np.ndarray) -> bytes:
    image = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.shape[2] == 3 else pixels
    return cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
