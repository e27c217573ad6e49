"""What a layer computes: its feature maps of one image as a grid, one of them large, and the kernels that
compute it.

F feature maps of h x w places, C input maps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st

from core.runs.classifiers import as_input
from pages.gradcam.one_map import Explanation, MapRequest
from pages.shared.gallery import gallery
from pages.shared.heatmaps import classifier, version
from pages.shared.layout import escape

SHOWN = 60             # feature maps in the grid
KERNELS = 30           # of one feature map
ORDERS = {"for": "Most evidence for the class", "against": "Most evidence against it",
          "strong": "Highest activation",
          "first": "By number"}


@dataclass(frozen=True, eq=False)
class LayerActivations:
    """What a layer computes from an image.

    Args:
        maps: (F, h, w) float32, in the layer's own unit
        contributions: (F,) float32: what each map adds to the logit of the class, as Grad-CAM weighs it
        kernels: (F, C, kh, kw) of the layer's last convolution, or None; they fit the maps only where there
            are F of them
        conv: name of that convolution
    """
    maps: np.ndarray
    contributions: np.ndarray
    kernels: np.ndarray | None
    conv: str


@st.cache_resource(max_entries=8, show_spinner=False)
def _activations(address: str, version: tuple, token: str, layer: str, target: int, against: int | None,
                 _image: np.ndarray) -> LayerActivations:
    import torch

    from core.explain.activations import activations, contributions, kernels
    model = classifier(address).model
    batch = as_input(model, [_image])
    versus = None if against is None else torch.tensor([against])
    conv = kernels(model, layer)
    return LayerActivations(activations(model, batch, layer)[0],
                            contributions(model, batch, torch.tensor([target]), layer, against=versus)[0],
                            conv and conv.weights, conv.name.removeprefix("network.") if conv else "")


def order_of(acts: LayerActivations, order: str) -> np.ndarray:
    """Return the numbers of the maps in one of ORDERS."""
    by = {"for": -acts.contributions, "against": acts.contributions, "strong": -acts.maps.max(axis=(1, 2)),
          "first": np.zeros(len(acts.maps))}
    return np.argsort(by[order], kind="stable")


def draw_activations(address: str, shown: Explanation, request: MapRequest, class_name: str) -> None:
    """The grid of the layer's feature maps of the picture shown; a click shows one large, with its
    kernels."""
    acts = _activations(address, version(address), shown.token, request.layer, request.target,
                        request.against, shown.pixels)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        order = st.selectbox("Order", list(ORDERS), format_func=ORDERS.get, width=270, key="map_order",
                             persist_state="session",
                             help="The evidence of a map is large where its activation is large and raises "
                                  "the logit of the class. Grad-CAM is the sum over all maps.")
        shared = st.toggle("Same scale for all", key="map_scale", persist_state="session",
                           help="Off: each map from its own black to its own white, so that faint ones can "
                                "be seen. On: the same for all, to compare them.")
    numbers = order_of(acts, order)[:SHOWN]
    low, high = limits(acts.maps, shared)
    key = (address, version(address), shown.token, request, order, shared)
    chosen = st.session_state.get("map_chosen")
    chosen = chosen if chosen in numbers else int(numbers[0])
    grid, large = st.columns([62, 38], gap="large")
    with grid:
        clicked = gallery(grayed(acts.maps[numbers], low[numbers], high[numbers]), key="feature_maps",
                          cache_key=key, tile=64,
                          captions=[_minus(f"{k}: {acts.contributions[k]:+.2g}") for k in numbers],
                          selected=int(np.flatnonzero(numbers == chosen)[0]),
                          aria_label="Feature maps; a click shows one large")
        if clicked is not None and numbers[clicked] != chosen:
            st.session_state["map_chosen"] = int(numbers[clicked])
            st.rerun()
        st.caption(_grid_caption(acts, len(numbers), class_name, (low[0], high[0]) if shared else None))
    with large:
        _draw_one(acts, chosen, low[chosen], high[chosen], key)


def limits(maps: np.ndarray, shared: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return what is black and what is white in each of F maps (F, h, w): two (F,) arrays. Black is 0, or
    less where a map is."""
    low, high = np.minimum(0, maps.min(axis=(1, 2))), maps.max(axis=(1, 2))
    return (np.full_like(low, low.min()), np.full_like(high, high.max())) if shared else (low, high)


def _grid_caption(acts: LayerActivations, shown: int, class_name: str,
                  scale: tuple[float, float] | None) -> str:
    count, height, width = acts.maps.shape
    inactive = int((acts.maps.reshape(count, -1) <= 0).all(axis=1).sum())
    scaled = ", each on its own scale"
    if scale is not None:
        scaled = f"; black is {scale[0]:.3g}, white {scale[1]:.3g} in all of them"
    text = (f"{shown} of {count:,} maps of {width} x {height}{scaled}. Below each: its number and its "
            f"evidence for {escape(class_name)} in logits.")
    return f"{text} {inactive:,} of the {count:,} are inactive: nowhere above zero." if inactive else text


def _draw_one(acts: LayerActivations, k: int, low: float, high: float, key: tuple) -> None:
    st.markdown(_minus(f"**Map {k}**: black is {low:.3g}, white {high:.3g}"))
    gallery(grayed(acts.maps[k:k + 1], low, high), key="feature_map", cache_key=(*key, k), tile=230,
            aria_label=f"Feature map {k}, large")
    if acts.kernels is None:
        st.caption("This layer has no kernels: it adds, clips or pools the maps of others.")
    elif len(acts.kernels) != len(acts.maps):
        st.caption("This layer combines the outputs of several convolutions, so its maps have no kernels of "
                   f"their own. Choose {escape(acts.conv)} to see those of the last convolution.")
    else:
        _draw_kernels(acts.kernels[k], k, escape(acts.conv), key)


def _draw_kernels(weights: np.ndarray, k: int, conv: str, key: tuple) -> None:
    """The kernels (C, kh, kw) of feature map `k`, the largest first."""
    inputs, height, width = weights.shape
    largest = np.argsort(-np.abs(weights).sum(axis=(1, 2)), kind="stable")[:KERNELS]
    text = f"{conv}: {width} x {height} kernels, one for each of {inputs:,} input maps."
    if height * width == 1:
        values = ", ".join(f"{c} ({weights[c, 0, 0]:+.2g})" for c in largest[:8])
        st.caption(_minus(f"{text} Each is one number, by which an input map is multiplied. The largest: "
                          f"{values}."))
        return
    bound = float(np.abs(weights).max())
    gallery(grayed(weights[largest], -bound, bound), key="kernels", cache_key=("kernels", *key, k), tile=44,
            captions=[str(c) for c in largest] if inputs > 1 else None, aria_label=f"Kernels of map {k}")
    more = "" if len(largest) == inputs else f" The {len(largest)} largest are shown."
    st.caption(_minus(f"{text}{more} Gray is 0, black {-bound:.3g}, white {bound:+.3g}."))


def grayed(values: np.ndarray, low: float | np.ndarray, high: float | np.ndarray) -> np.ndarray:
    """Return (n, h, w) numbers as gray pictures (n, h, w, 1) uint8: `low` is black, `high` white, one for
    all or (n,). Small ones are enlarged, so that the browser draws squares and not a blur."""
    low, high = (np.broadcast_to(limit, len(values))[:, None, None] for limit in (low, high))
    scaled = (values - low) / np.where(high > low, high - low, 1)
    gray = np.rint(scaled.clip(0, 1) * 255).astype(np.uint8)
    times = max(1, -(-56 // max(gray.shape[1:])))
    return np.repeat(np.repeat(gray, times, axis=1), times, axis=2)[..., None]


def _minus(text: str) -> str:
    """Return text with a real minus sign before numbers."""
    return text.replace("-", "\u2212")
