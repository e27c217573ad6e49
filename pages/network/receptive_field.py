"""How much of an image one unit of a layer sees: a square on the image, moved by the browser alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import streamlit as st

from core.models.receptive import Step
from pages.shared.layout import format_percent
from pages.shared.resize_preview import data_uri

HERE = Path(__file__)
SMALL = 0.5                                           # below this share of the image's side the page warns

_field = st.components.v2.component(
    "lightbox_receptive_field",
    html="<div class='field'><div class='picture'><img><svg></svg></div><div class='side'></div></div>",
    css=HERE.with_suffix(".css").read_text(),
    js=HERE.with_suffix(".js").read_text(),
)


def show_field(pixels: np.ndarray, steps: Sequence[Step], *, key: str) -> None:
    """Show the receptive field of one unit of each layer as a square that follows the pointer.

    Args:
        pixels: (S, S, C) uint8
        steps: the layers, as core.models.receptive.plan gives them
    """
    size = len(pixels)
    rows = [{"title": f"{step.name.replace('layer', 'Layer ')}, {step.kind} {step.kernel} x {step.kernel}"
                      + (f", stride {step.stride}" if step.stride > 1 else ""),
             "maps": f"{step.channels} maps of {step.size} x {step.size}", "size": step.size,
             "field": step.field, "jump": step.jump, "first": step.window(0)[0],
             "share": format_percent(min(1, step.field / size), 0)}
            for step in steps]
    _field(data={"image": data_uri(pixels), "size": size, "steps": rows,
                 "alt": f"A training image; a unit of the last layer sees {steps[-1].field} of its {size} "
                        "pixels"},
           key=key)


def field_sentence(steps: Sequence[Step], size: int) -> tuple[str, bool]:
    """Return what the receptive field means for images of `size` pixels, and whether that is a warning."""
    field = steps[-1].field
    if field >= size:
        return f"A unit of the last feature map sees the whole image ({field} px; the image has {size} px).", False
    seen = f"A unit of the last feature map sees {field} of {size} pixels"
    share = format_percent(field / size, 0)
    if field / size >= SMALL:
        return f"{seen}, {share} of the image's side. Larger structures are never seen as a whole.", False
    return (f"{seen}, only {share} of the image's side. The network can judge texture, but not larger "
            "findings or how structures lie to each other. A larger pooling stride widens the field most."), True
