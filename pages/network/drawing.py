"""A network drawn from image to output: a box for each stage."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import log2
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from pages.network.counts import short
from pages.shared.resize_preview import data_uri

if TYPE_CHECKING:                                     # core.models.layers imports torch
    from core.models.layers import Stage

STYLE = Path(__file__).with_suffix(".css")
HIGHEST, LOWEST = 132, 5                              # of a box, in pixels


def show_drawing(title: str, stages: Sequence[Stage], size: int, channels: int,
                 pixels: np.ndarray | None = None) -> None:
    """Draw a network of `size` x `size` images with `channels` channels.

    Args:
        pixels: (S, S, C) uint8, an image to begin with
    """
    st.html(STYLE)
    st.html(drawing(title, stages, size, channels, pixels))
    st.caption("Box height: rows of the feature map. Box width: number of channels, on a logarithmic scale. "
               "Below: channels x height x width, layers with weights, parameters.")


def drawing(title: str, stages: Sequence[Stage], size: int, channels: int,
            pixels: np.ndarray | None = None) -> str:
    """Return the HTML of `show_drawing`."""
    kind = "gray" if channels == 1 else "colour"
    image = f"<img src='{data_uri(pixels)}' alt=''>" if pixels is not None else "<i class='picture'></i>"
    first = _figure(f"Image: {size} x {size} pixels, {kind}", image, "image", f"{channels} x {size} x {size}")
    high = max([size, *(stage.shape[1] for stage in stages if len(stage.shape) == 3)])
    boxes = "".join(_stage(stage, high) for stage in stages)
    description = ", then ".join([f"{title}: an image of {size} pixels", *(
        f"{stage.name} ({_shape(stage)}{', frozen' if stage.frozen else ''})" for stage in stages)])
    return f"<div class='lb-net' role='img' aria-label='{escape(description)}'>{first}{boxes}</div>"


def _stage(stage: Stage, high: int) -> str:
    width, height = _box(stage, high)
    state = ""
    if stage.parameters:
        state = "frozen" if stage.frozen else "trainable"
    layers = f"{stage.depth} layer{'' if stage.depth == 1 else 's'}"
    tooltip = f"{stage.name}: {_shape(stage)}, {layers} with weights, {stage.parameters:,} parameters"
    return _figure(f"{tooltip}, {state}" if state else tooltip,
                   f"<i class='{state}' style='width:{width:.0f}px;height:{height:.0f}px'></i>",
                   stage.name, _shape(stage), layers, short(stage.parameters),
                   "frozen" if stage.frozen else "")


def _figure(tooltip: str, picture: str, name: str, *lines: str) -> str:
    below = "".join(f"<span>{escape(line)}</span>" for line in lines if line)
    return (f"<figure title='{escape(tooltip)}'><div class='space'>{picture}</div>"
            f"<b>{escape(name)}</b>{below}</figure>")


def _shape(stage: Stage) -> str:
    return " x ".join(map(str, stage.shape))


def _box(stage: Stage, high: int) -> tuple[float, float]:
    """Width by the logarithm of the channels, height by the rows of a map. A vector is a narrow column."""
    if len(stage.shape) == 3:
        return 4 + 5.5 * log2(1 + stage.shape[0]), max(LOWEST, HIGHEST * stage.shape[1] / high)
    return 7, 10 + 4 * log2(1 + (stage.shape or (1,))[0])
