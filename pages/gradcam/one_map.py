"""One image explained: which method, layer and classes, and the pictures that follow. No torch at module level.

S x S pixels: the square that the network sees, and on which everything here is computed and shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from core.datasets import Dataset, fit
from core.explain import METHODS, Method
from core.metrics import MULTI_LABEL
from core.metrics import predict as predict_class
from core.runs.classifiers import Loaded, as_input
from core.runs.classifiers import classify as predict
from pages.gradcam.what_if import Picture, changed, moved_by, say, show_pair
from pages.shared.heatmaps import LAYER_HELP, at_hand, classifier, map_of, version
from pages.shared.layout import asked_among, choose_param, escape
from pages.shared.widget_state import follow


@dataclass(frozen=True)
class Asked:
    """What should be explained, and how.

    Args:
        method: a key of METHODS
        target: the class
        against: another one, for what speaks for `target` rather than for it; None for the class alone
        layer: dotted name; a method that works on the pixels leaves it aside
    """
    method: str
    target: int
    against: int | None
    layer: str


@dataclass(frozen=True, eq=False)
class Shown:
    """The last picture on the page.

    Args:
        pixels: (S, S, C) uint8
        token: stands for them
        probs: (K,)
        missing: pictures whose maps are still to be made, by `make_maps`: (pixels, token) of each
    """
    pixels: np.ndarray
    token: str
    probs: np.ndarray
    missing: tuple[tuple[np.ndarray, str], ...] = ()


# -------------------------------------------------------------------------------------------------------- what is asked

def draw_map_controls(address: str, loaded: Loaded, explained: int) -> Asked:
    """Method, class, another class, layer from first to last. They stand in the address, so that a link shows the same.

    Args:
        explained: the class that is explained where none was asked for
    """
    names = loaded.model.class_names
    classes = [str(k) for k in range(len(names))]
    name = asked_among("method", "Method", METHODS) or "grad_cam"
    chosen, against = (asked_among(which, "Class", classes) or "" for which in ("target", "against"))
    with st.container(horizontal=True, gap="small", key="explain_menus"):
        name = st.selectbox("Method", list(METHODS), format_func=lambda m: METHODS[m].title, help=method_help(name),
                            **follow("gradcam_method", name, choose_param, "method"))
        method = METHODS[name]
        target = int(st.selectbox("Class to explain", ["", *classes],
                                  format_func=lambda k: names[int(k)] if k else f"answer: {names[explained]}",
                                  **follow("gradcam_target", chosen, choose_param, "target")) or explained)
        against = "" if against == str(target) else against
        against = st.selectbox("rather than", ["", *(str(k) for k in range(len(names)) if k != target)],
                               format_func=lambda k: names[int(k)] if k else "nothing", disabled=not method.by_class,
                               help="The difference of two classes: what speaks for the one and not for the other.",
                               **follow(f"gradcam_against_{target}", against, choose_param, "against"))
    return Asked(name, target, int(against) if against and method.by_class else None, _draw_layer(address, loaded, method))


def _draw_layer(address: str, loaded: Loaded, method: Method) -> str:
    layers = layers_of(address)
    layer = asked_among("layer", "Layer", layers) or loaded.model.stages[-1]
    layer = st.select_slider("Layer", list(layers), format_func=lambda name: name.removeprefix("network."), help=LAYER_HELP,
                             **follow("gradcam_layer", layer, choose_param, "layer"))
    channels, height, width = layers[layer]
    more = "" if method.layered else f". {method.title} looks at the pixels, not into it."
    more += "" if method.by_class else ". The same map for every class."
    st.caption(f"{list(layers).index(layer) + 1} of {len(layers)}: {channels:,} feature maps of {width} x {height}{more}")
    return layer


def method_help(name: str) -> str:
    """What a method shows, its equation and where it comes from, for a tooltip."""
    method = METHODS[name]
    return f"{method.help}\n\n$${method.equation}$$\n\n{escape(method.source)}"


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

def draw_pictures(address: str, data: Dataset, row: int, asked: Asked, wanted: dict[str, Any],
                  threshold: float | np.ndarray) -> Shown:
    """The image and its map; where something is changed, both maps beside each other. Returns the last picture.

    Args:
        wanted: what is changed, as `core.explain.what_if.change` takes it
        threshold: of the run, as `core.metrics.predict` takes it
    """
    loaded = classifier(address)
    names, method = loaded.model.class_names, METHODS[asked.method]
    image = last = np.asarray(data.images[row])
    token = digest = token_of(data, row)
    name, speaks = names[asked.target], speaks_for(asked, names)
    before = after = _answer_of(address, version(address), token, image)
    said, note, missing = say(name, before[asked.target]), "", []
    progress = st.container()                    # always there: what stands below keeps its place, and is not shown twice

    def explained(pixels: np.ndarray, token: str) -> dict[str, Any]:
        """The map of a picture, or that it has none yet."""
        if at_hand(address, token, asked.target, asked.layer, asked.method, asked.against):
            with progress:
                return {"cam": _map(address, pixels, token, asked)}
        missing.append((pixels, token))
        return {"cam": None, "waiting": "No map yet"}

    if wanted:
        last, digest = changed(image, wanted)
        after = _answer_of(address, version(address), digest, last)
        pictures = [Picture(image, title="As it is", said=said, label=f"The image. {speaks}", **explained(image, token)),
                    Picture(last, title="Changed", said=say(name, after[asked.target]), outlined=False,
                            moved=moved_by(before[asked.target], after[asked.target]), label=f"The changed image. {speaks}",
                            **explained(last, digest))]
        note = answer_moved(loaded.model.task, names, before, after, threshold)
    else:
        size = f"{data.size} x {data.size} px, as the network sees it"
        pictures = [Picture(image, None, "The image", size, label="The image"),
                    Picture(image, title=speaks, said=said, label=f"The image. {speaks}", **explained(image, token))]
    peak = show_pair(pictures, wanted, key="what_if_pair", outline=mask_on_square(data, row), unit=method.unit, note=note)
    st.caption("" if missing else scale_sentence(peak, method, bool(wanted)))
    return Shown(last, digest, after, tuple(missing))


def make_maps(address: str, asked: Asked, shown: Shown) -> None:
    """Make the first of the maps that are missing, with progress and a Stop button, then draw the page anew. To be called last:
    by then the answers are on the page."""
    stopped, title = f"stopped_map_{asked.method}", METHODS[asked.method].title
    if st.session_state.get(stopped):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.caption(f"{title} was stopped; the probabilities are those of the image shown.", width="content")
            st.button("Make the map", key=f"{stopped}_go", on_click=st.session_state.pop, args=(stopped, None))
        return
    pixels, token = shown.missing[0]
    _map(address, pixels, token, asked)
    st.rerun()


def speaks_for(asked: Asked, names: Sequence[str]) -> str:
    """What the map shows, in words."""
    if not METHODS[asked.method].by_class:
        return "What the layer sees"
    rather = f" rather than {names[asked.against]}" if asked.against is not None else ""
    return f"What speaks for {names[asked.target]}{rather}"


def token_of(data: Dataset, row: int) -> str:
    """Stands for the pixels of a row."""
    return f"{data.fingerprint} {data.size} {data.resize} {data.channels} {row}"


def _map(address: str, image: np.ndarray, token: str, asked: Asked) -> np.ndarray:
    return map_of(address, image, token, asked.target, asked.layer, asked.method, asked.against)


@st.cache_data(max_entries=512, show_spinner=False)
def _answer_of(address: str, version: tuple, token: str, _pixels: np.ndarray) -> np.ndarray:
    return predict(classifier(address).model, [_pixels])[0]


def answer_moved(task: str, names: Sequence[str], before: np.ndarray, after: np.ndarray,
                 threshold: float | np.ndarray = 0.5) -> str:
    """Whether the answer is another after the change, in a sentence."""
    old, new = predict_class(np.stack([before, after]), task, threshold)
    if task == MULTI_LABEL:
        changes = [f"{name} {'appears' if now else 'goes'}" for name, then, now in zip(names, old, new) if then != now]
        return f"The findings change: {', '.join(changes)}." if changes else "The findings stay as they were."
    return f"The answer changes from {names[old]} to {names[new]}." if old != new else f"The answer stays {names[old]}."


def scale_sentence(peak: float, method: Method, both: bool) -> str:
    """The raw scale in words."""
    if not peak > 0:
        return "Nothing at this layer speaks for this class: the map is empty."
    the = "Both maps are drawn on one scale: the" if both else "The"
    said = f"{the} brightest colour is {peak:.3g} {method.unit}. Nothing is rescaled to 1: layers and images can be compared."
    return f"{said} Blue speaks against the class." if method.signed else said


def mask_on_square(data: Dataset, row: int) -> np.ndarray | None:
    """Where the finding truly is, on the square that the network sees: (S, S) bool; None where nobody knows."""
    mask = _mask_of((data.fingerprint, row), data)
    if mask is None:
        return None
    return fit(mask[..., None].astype(np.uint8) * 255, data.size, data.resize, 1)[..., 0] > 127


@st.cache_data(max_entries=64, show_spinner=False)
def _mask_of(key: tuple, _data: Dataset) -> np.ndarray | None:
    return _data.mask(key[1])
