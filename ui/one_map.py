"""One image explained: which method, layer and classes, and the pictures that follow. No torch at module level.

S x S pixels: the square that the network sees, and on which everything here is computed and shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from core.classifiers import Loaded, as_input
from core.classifiers import classify as predict
from core.datasets import Dataset, fit
from core.metrics import MULTI_LABEL
from ui.explaining import LAYER_HELP, classifier, map_of, original_of, version
from ui.follow import follow
from ui.shell import asked_param, choose_param
from ui.what_if import Picture, changed, moved_by, say, show_pair


@dataclass(frozen=True)
class Asked:
    """What should be explained: the class `target`, at `layer`."""
    target: int
    layer: str


# -------------------------------------------------------------------------------------------------------- what is asked

def draw_map_controls(address: str, loaded: Loaded, explained: int) -> Asked:
    """Layer from first to last, and class. They stand in the address, so that a link shows the same."""
    layers = layers_of(address)
    names = loaded.model.class_names
    asked = asked_param("layer")
    layer = asked if asked in layers else loaded.model.stages[-1]
    layer = st.select_slider("Layer", list(layers), format_func=lambda name: name.removeprefix("network."), help=LAYER_HELP,
                             **follow("gradcam_layer", layer, choose_param, "layer"))
    channels, height, width = layers[layer]
    st.caption(f"{list(layers).index(layer) + 1} of {len(layers)}: {channels:,} feature maps of {width} x {height}")
    asked = asked_param("target")
    target = int(asked) if asked and asked.isdecimal() and int(asked) < len(names) else explained
    target = st.selectbox("Class to explain", range(len(names)), format_func=names.__getitem__,
                          **follow("gradcam_target", target, lambda k: choose_param("target", str(k))))
    return Asked(target, layer)


def layers_of(address: str) -> dict[str, tuple[int, int, int]]:
    """Each layer that gives maps, in the order in which they are computed: name -> (channels, height, width)."""
    return _layers_of(address, version(address))


@st.cache_data(max_entries=32, show_spinner=False)
def _layers_of(address: str, version: tuple) -> dict[str, tuple[int, int, int]]:
    from core.explain import feature_maps
    model = classifier(address).model
    p = model.preprocessing
    return feature_maps(model, as_input(model, [np.zeros((p.size, p.size, p.channels), np.uint8)]))


# ---------------------------------------------------------------------------------------------------------- the answers

def draw_pictures(address: str, data: Dataset, row: int, asked: Asked, wanted: dict[str, Any]) -> np.ndarray:
    """The image with its map and, where something is changed, the changed one beside it. Returns the last one's (K,) answers."""
    loaded = classifier(address)
    image = np.asarray(data.images[row])
    token = f"{data.fingerprint} {data.size} {data.resize} {data.channels} {row}"
    name = loaded.model.class_names[asked.target]
    before = _answer_of(address, version(address), token, image)
    cam = map_of(address, image, token, asked.target, asked.layer)
    pictures = [Picture(image, cam, "As it is", say(name, before[asked.target]), label=f"The image, with what speaks for {name}")]
    after, note = before, ""
    if wanted:
        new, digest = changed(image, wanted)
        after = _answer_of(address, version(address), digest, new)
        cam = map_of(address, new, digest, asked.target, asked.layer)
        pictures.append(Picture(new, cam, "Changed", say(name, after[asked.target]),
                                moved_by(before[asked.target], after[asked.target]),
                                label=f"The changed image, with what speaks for {name}"))
        note = answer_moved(loaded.model.task, loaded.model.class_names, before, after)
    mask = mask_on_square(data, row)
    peak = show_pair(pictures, wanted, key="what_if_pair", outline=mask, note=note)
    st.caption(scale_sentence(peak, len(pictures), data.size))
    return after


@st.cache_data(max_entries=512, show_spinner=False)
def _answer_of(address: str, version: tuple, token: str, _pixels: np.ndarray) -> np.ndarray:
    return predict(classifier(address).model, [_pixels])[0]


def answer_moved(task: str, names: Sequence[str], before: np.ndarray, after: np.ndarray) -> str:
    """Whether the answer is another after the change, in a sentence."""
    if task == MULTI_LABEL:
        changes = [f"{name} {'appears' if new else 'goes'}" for name, old, new in zip(names, before > 0.5, after > 0.5)
                   if old != new]
        return f"The findings change: {', '.join(changes)}." if changes else "The findings stay as they were."
    old, new = int(before.argmax()), int(after.argmax())
    return f"The answer changes from {names[old]} to {names[new]}." if old != new else f"The answer stays {names[old]}."


def scale_sentence(peak: float, pictures: int, size: int) -> str:
    """The raw scale in words."""
    if not peak > 0:
        return "Nothing at this layer speaks for this class: the map is empty."
    both = "Both maps are drawn on one scale: the" if pictures > 1 else "The"
    return (f"{both} brightest colour is {peak:.3g} logits. Nothing is rescaled to 1, so that layers and images can be compared. "
            f"Shown is what the network sees: {size} x {size} px.")


def mask_on_square(data: Dataset, row: int) -> np.ndarray | None:
    """Where the finding truly is, on the square that the network sees: (S, S) bool; None where nobody knows."""
    mask = original_of(data, row)[1]
    if mask is None:
        return None
    return fit(mask[..., None].astype(np.uint8) * 255, data.size, data.resize, 1)[..., 0] > 127
