"""One image explained: which method, layer and classes, and the pictures that follow. No torch at module
level.

S x S pixels: the square that the network sees, and on which everything here is computed and shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from core.datasets import Dataset
from core.datasets.geometry import fit_views
from core.explain import METHODS, Method
from core.metrics import MULTI_LABEL
from core.metrics import predict as predict_class
from core.runs.classifiers import Loaded, as_input
from pages.gradcam.what_if import Picture, change_in_points, changed, class_and_probability, show_pair
from pages.shared.heatmaps import BY_PIXELS, LAYER_HELP, classifier, is_quick, map_of, probs_of, version
from pages.shared.layout import asked_among, choose_param, escape
from pages.shared.widget_state import follow


@dataclass(frozen=True)
class MapRequest:
    """What should be explained, and how.

    Args:
        method: a key of METHODS
        target: the class
        against: a class to contrast `target` with; None for `target` alone
        layer: dotted name; a method that works on the pixels ignores it
    """
    method: str
    target: int
    against: int | None
    layer: str


@dataclass(frozen=True, eq=False)
class Explanation:
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


# ----------------------------------------------------------------------------------------------- the controls

def draw_map_controls(address: str, loaded: Loaded, explained: int) -> MapRequest:
    """Method, class, class to contrast with, layer from first to last. They stand in the address, so that a
    link shows the same.

    Args:
        explained: the class that is explained by default
    """
    names = loaded.model.class_names
    classes = [str(k) for k in range(len(names))]
    name = asked_among("method", "Method", METHODS) or "grad_cam"
    chosen, against = (asked_among(which, "Class", classes) or "" for which in ("target", "against"))
    with st.container(horizontal=True, gap="small", key="explain_menus"):
        name = st.selectbox("Method", list(METHODS), format_func=lambda m: METHODS[m].title,
                            help=method_help(name),
                            **follow("gradcam_method", name, choose_param, "method"))
        method = METHODS[name]
        target = int(st.selectbox("Class to explain", ["", *classes],
                                  format_func=lambda k: names[int(k)] if k
                                  else f"{names[explained]} (predicted)",
                                  **follow("gradcam_target", chosen, choose_param, "target")) or explained)
        against = "" if against == str(target) else against
        against = st.selectbox("Contrast with", ["", *(k for k in classes if k != str(target))],
                               format_func=lambda k: names[int(k)] if k else "none",
                               disabled=not method.by_class,
                               help="Explains the difference of two logits: evidence for the one class and "
                                    "not for the other.",
                               **follow(f"gradcam_against_{target}", against, choose_param, "against"))
    return MapRequest(name, target, int(against) if against and method.by_class else None,
                      _draw_layer(address, loaded, method))


def _draw_layer(address: str, loaded: Loaded, method: Method) -> str:
    if hasattr(loaded.model, "networks"):               # the last layer of each member
        return ""
    layers = layers_of(address)
    layer = asked_among("layer", "Layer", layers) or loaded.model.stages[-1]
    layer = st.select_slider("Layer", list(layers), format_func=lambda name: name.removeprefix("network."),
                             help=LAYER_HELP,
                             **follow("gradcam_layer", layer, choose_param, "layer"))
    channels, height, width = layers[layer]
    notes = [f"Layer {list(layers).index(layer) + 1} of {len(layers)}: {channels:,} feature maps of {width} "
             f"x {height}."]
    if not method.layered:
        notes.append(f"{method.title} explains the pixels and ignores the layer.")
    if not method.by_class:
        notes.append("The map is the same for every class.")
    st.caption(" ".join(notes))
    return layer


def method_help(name: str) -> str:
    """What a method shows, its equation and its source, for a tooltip."""
    method = METHODS[name]
    return f"{method.help}\n\n$${method.equation}$$\n\n{escape(method.source)}"


def layers_of(address: str) -> dict[str, tuple[int, int, int]]:
    """Return each layer that gives maps, in the order in which they are computed: name -> (channels,
    height, width)."""
    return _layers_of(address, version(address))


@st.cache_data(max_entries=32, show_spinner=False)
def _layers_of(address: str, version: tuple) -> dict[str, tuple[int, int, int]]:
    from core.explain import feature_maps
    model = classifier(address).model
    p = model.preprocessing
    return feature_maps(model, as_input(model, [np.zeros((p.size, p.size * p.views, p.channels), np.uint8)]))


# ----------------------------------------------------------------------------------------------- the pictures

def draw_pictures(address: str, data: Dataset, row: int, request: MapRequest, changes: dict[str, Any],
                  threshold: float | np.ndarray) -> Explanation:
    """The image and its map; where something is changed, both maps beside each other. Returns the last
    picture.

    Args:
        changes: as `core.explain.what_if.change` takes them
        threshold: of the run, as `core.metrics.predict` takes it
    """
    loaded = classifier(address)
    names, method = loaded.model.class_names, METHODS[request.method]
    image, token = np.asarray(data.images[row]), token_of(data, row)
    target, title = names[request.target], map_title(request, names)
    before = probs_of(address, image, token)
    text = class_and_probability(target, before[request.target])
    missing = []
    # always there: what stands below keeps its place, and is not shown twice
    progress = st.container()

    def explained(pixels: np.ndarray, token: str) -> dict[str, Any]:
        """The map of a picture, or that it has none yet."""
        if is_quick(address, token, request.target, request.layer, request.method, request.against):
            with progress:
                return {"cam": _map(address, pixels, token, request)}
        missing.append((pixels, token))
        return {"cam": None, "waiting": "No map yet"}

    if changes:
        last, digest = changed(image, changes, data.views)
        after = probs_of(address, last, digest)
        pictures = [Picture(image, title="Original", text=text, label=f"The image. {title}",
                            **explained(image, token)),
                    Picture(last, title="Changed", text=class_and_probability(target, after[request.target]),
                            outlined=False,
                            moved=change_in_points(before[request.target], after[request.target]),
                            label=f"The changed image. {title}", **explained(last, digest))]
        note = prediction_change(loaded.model.task, names, before, after, threshold)
    else:
        last, digest, after, note = image, token, before, ""
        several = f", {data.views} views side by side" if data.views > 1 else ""
        size = f"{data.size} x {data.size} px{several}, the input of the network"
        pictures = [Picture(image, None, "Image", size, label="The image"),
                    Picture(image, title=title, text=text, label=f"The image. {title}",
                            **explained(image, token))]
    peak = show_pair(pictures, changes, key="what_if_pair", outline=mask_on_square(data, row),
                     unit=method.unit, note=note)
    st.caption("" if missing else scale_sentence(peak, method, bool(changes)))
    return Explanation(last, digest, after, tuple(missing))


def make_maps(address: str, request: MapRequest, explanation: Explanation) -> None:
    """Make the first of the maps that are missing, with progress and a Stop button, then draw the page
    anew. To be called last: by then the probabilities are on the page."""
    stopped, title = f"stopped_map_{request.method}", METHODS[request.method].title
    if st.session_state.get(stopped):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.caption(f"{title} was stopped; the probabilities are those of the image shown.",
                       width="content")
            st.button("Compute the map", key=f"{stopped}_go", on_click=st.session_state.pop,
                      args=(stopped, None))
        return
    pixels, token = explanation.missing[0]
    _map(address, pixels, token, request)
    st.rerun()


def map_title(request: MapRequest, names: Sequence[str]) -> str:
    """What the map shows, in words."""
    if not METHODS[request.method].by_class:
        return "Activation of the layer"
    return f"Evidence for {contrast_name(request, names)}"


def contrast_name(request: MapRequest, names: Sequence[str]) -> str:
    """The class that is explained, and the one that it is contrasted with: "A rather than B"."""
    contrast = "" if request.against is None else f" rather than {names[request.against]}"
    return f"{names[request.target]}{contrast}"


def token_of(data: Dataset, row: int) -> str:
    """Return what stands for the pixels of a row."""
    return f"{data.fingerprint} {data.size} {data.resize} {data.channels} {row}"


def _map(address: str, image: np.ndarray, token: str, request: MapRequest) -> np.ndarray:
    return map_of(address, image, token, request.target, request.layer, request.method, request.against)


def prediction_change(task: str, names: Sequence[str], before: np.ndarray, after: np.ndarray,
                      threshold: float | np.ndarray = 0.5) -> str:
    """Whether the prediction is another after the change, in a sentence."""
    old, new = predict_class(np.stack([before, after]), task, threshold)
    if task == MULTI_LABEL:
        changes = [f"{name} {'appears' if now else 'disappears'}" for name, then,
                   now in zip(names, old, new) if then != now]
        return f"The findings change: {', '.join(changes)}." if changes else "The findings stay the same."
    if old == new:
        return f"The prediction stays {names[old]}."
    return f"The prediction changes from {names[old]} to {names[new]}."


def scale_sentence(peak: float, method: Method, both: bool) -> str:
    """The raw scale in words."""
    if not peak > 0:
        return "No evidence for this class at this layer: the map is empty."
    start = "Both maps have the same scale: the" if both else "The"
    sentence = (f"{start} brightest colour is {peak:.3g} {method.unit}, not rescaled to 1, so layers and "
                "images can be compared.")
    return f"{sentence} Blue is evidence against the class." if method.signed else sentence


@st.cache_data(max_entries=64, show_spinner=False, hash_funcs=BY_PIXELS)
def mask_on_square(data: Dataset, row: int) -> np.ndarray | None:
    """Return where the finding truly is, on the square that the network sees: (S, S) bool; None where it
    is unknown."""
    mask = data.mask(row)
    return None if mask is None else fit_views(mask[..., None].astype(np.uint8) * 255, data.size, data.resize, 1,
                                               data.views)[..., 0] > 127
