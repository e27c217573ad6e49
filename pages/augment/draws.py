"""An image as several epochs of a run see it.

The page and the trainer ask the same function for the same numbers: draw k of an image is what a run with
this seed sees of it in its epoch k.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import streamlit as st

from core.augment import AUGMENTATIONS
from core.config import AugmentConfig
from core.datasets import Dataset
from pages.shared import open_data

DRAWS = 8

# What happened to an image, from its numbers. An empty text is nothing.
HAPPENED: dict[str, Callable[[list[float]], str]] = {
    "flip": lambda v: "flipped left-right" if v[0] else "",
    "flip_vertical": lambda v: "flipped up-down" if v[0] else "",
    "crop": lambda v: f"cropped by {', '.join(f'{100 * x:.0f}' for x in v)} % (left, right, top, bottom)",
    "scale": lambda v: f"scaled to {100 * v[0]:.0f} %",
    "shear": lambda v: f"sheared by {v[0]:.0f}°",
    "rotate": lambda v: f"rotated {abs(v[0]):.0f}° {'clockwise' if v[0] > 0 else 'anticlockwise'}",
    "shift": lambda v: f"shifted {100 * abs(v[0]):.0f} % {'right' if v[0] > 0 else 'left'} and "
                       f"{100 * abs(v[1]):.0f} % {'down' if v[1] > 0 else 'up'}",
    "blur": lambda v: f"blurred by {v[0]:.1f} px" if v[0] else "",
    "brightness": lambda v: f"{100 * abs(v[0]):.0f} % {'brighter' if v[0] > 0 else 'darker'}",
    "contrast": lambda v: f"contrast x {v[0]:.2f}",
    "linear_contrast": lambda v: f"linear contrast x {v[0]:.2f}" if v[0] != 1 else "",
    "multiply": lambda v: f"multiplied by {v[0]:.2f}" if v[0] != 1 else "",
    "saturation": lambda v: f"saturation x {v[0]:.2f}",
    "hue": lambda v: f"hue rotated by {100 * v[0]:.0f} %",
    "noise": lambda v: f"noise of {100 * v[0]:.0f} %{', per channel' if v[1] else ''}" if v[0] else "",
}


@dataclass(frozen=True)
class Draws:
    """One image as `DRAWS` epochs see it.

    Attributes:
        images: (DRAWS, S, S, C) uint8
        captions: what happened to each
    """

    images: np.ndarray
    captions: tuple[str, ...]


def wait_for_torch() -> None:
    """Wait until torch, which makes the changes, is imported: that takes seconds, once per server."""
    thread = open_data.warm_up()
    if thread.is_alive():
        with st.spinner("Starting PyTorch ... (once per server)"):
            thread.join()


@st.cache_data(max_entries=128, show_spinner=False)
def draws_of(_data: Dataset, known_by: tuple, row: int, config: AugmentConfig, seed: int,
             first: int) -> Draws:
    """Return what a run with this seed sees of an image in the epochs `first`, `first` + 1 ..., counted from
    0.

    `known_by` stands for the data set in the cache, as `cache_key` gives it.
    """
    import torch

    from core.augment.images import draw
    from core.trainers.augmenting import augment_inputs
    index = torch.tensor([row])
    image = torch.from_numpy(np.array(_data.images[row])).permute(2, 0, 1)[None].float() / 255
    out, captions = [], []
    before = torch.get_num_threads()
    torch.set_num_threads(1)                     # the work is small: a second thread would only wait
    try:
        for epoch in range(first, first + DRAWS):
            changed = augment_inputs(image, _data.views, config, (seed, epoch), index)
            out.append((changed[0] * 255).round().byte().permute(1, 2, 0).numpy())
            drawn = draw(config, (seed, epoch), index * _data.views)          # of several views the first
            changes = [HAPPENED[name](values[0].tolist()) for name, values in drawn.items()
                       if image.shape[1] == 3 or AUGMENTATIONS[name].group != "colour"]
            captions.append(", ".join(filter(None, changes)))
    finally:
        torch.set_num_threads(before)
    return Draws(np.stack(out), tuple(text or "unchanged" for text in captions))


def cache_key(data: Dataset) -> tuple:
    """Return what identifies the pixels of an open data set."""
    return data.fingerprint, data.size, data.resize, data.channels


def is_gray(pixels: np.ndarray) -> bool:
    """Return whether (N, S, S, C) uint8 have no colour: one channel, or three equal ones."""
    return pixels.shape[3] == 1 or bool((pixels == pixels[..., :1]).all())
