"""What a layer sees: its feature maps of one image as a grid, one of them large, and the kernels that make it.

F feature maps of h x w places, C maps that go in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st

from core.runs.classifiers import as_input
from pages.gradcam.one_map import Asked, Shown
from pages.shared.gallery import gallery
from pages.shared.heatmaps import classifier, version
from pages.shared.layout import escape
from pages.shared.widget_state import follow

SHOWN = 60             # feature maps in the grid; kernels of one map
ORDERS = {"for": "what says most for the class", "against": "what says most against it", "strong": "the strongest",
          "first": "as they are numbered"}


@dataclass(frozen=True, eq=False)
class Seen:
    """What a layer makes of an image.

    Args:
        maps: (F, h, w) float32, in the layer's own unit
        says: (F,) float32: what each map says for the class, in logits, as Grad-CAM weighs it
        kernels: (F, C, kh, kw) of the layer's last convolution, or None; they fit the maps only where there are F of them
        name: of that convolution
    """
    maps: np.ndarray
    says: np.ndarray
    kernels: np.ndarray | None
    name: str


def seen_by(address: str, image: np.ndarray, token: str, layer: str, target: int, against: int | None) -> Seen:
    """What `layer` makes of an image (S, S, C), and what that says for `target` (rather than `against`)."""
    return _seen_by(address, version(address), token, layer, target, against, image)


@st.cache_resource(max_entries=8, show_spinner=False)
def _seen_by(address: str, version: tuple, token: str, layer: str, target: int, against: int | None,
             _image: np.ndarray) -> Seen:
    import torch

    from core.explain.activations import activations, contributions, kernels
    model = classifier(address).model
    batch = as_input(model, [_image])
    versus = None if against is None else torch.tensor([against])
    found = kernels(model, layer)
    says = contributions(model, batch, torch.tensor([target]), layer, against=versus)[0]
    return Seen(activations(model, batch, layer)[0], says, found and found.weights, found.name if found else "")


def order_of(seen: Seen, order: str) -> np.ndarray:
    """Numbers of the maps in one of ORDERS."""
    by = {"for": -seen.says, "against": seen.says, "strong": -seen.maps.max(axis=(1, 2)), "first": np.zeros(len(seen.says))}
    return np.argsort(by[order], kind="stable")


def draw_activations(address: str, shown: Shown, asked: Asked, class_name: str) -> None:
    """The grid of the maps that the layer asked for gives of the picture shown; a click shows one large, with its kernels."""
    seen = seen_by(address, shown.pixels, shown.token, asked.layer, asked.target, asked.against)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        order = st.selectbox("First", list(ORDERS), format_func=ORDERS.get, width=270, help="A map says something for a class "
                             "where it is large and the logit would rise with it. That is what Grad-CAM adds up.",
                             **follow("activations_order", st.session_state.get("map_order", "for"), _keep, "map_order"))
        together = st.toggle("One scale for all", key="map_scale", persist_state="session", help="Off: each map from its own "
                             "black to its own white, so that faint ones can be seen. On: the same for all, to compare them.")
    numbers = order_of(seen, order)[:SHOWN]
    low, high = limits(seen.maps, together)
    key = (address, version(address), shown.token, asked, order, together)
    chosen = st.session_state.get("map_chosen")
    chosen = chosen if chosen in numbers else int(numbers[0])
    grid, large = st.columns([62, 38], gap="large")
    with grid:
        clicked = gallery(grayed(seen.maps[numbers], low[numbers], high[numbers]), key="feature_maps", cache_key=key, tile=64,
                          captions=[f"{k}: {seen.says[k]:+.2g}".replace("-", "\u2212") for k in numbers],
                          selected=int(np.flatnonzero(numbers == chosen)[0]),
                          aria_label="Feature maps; a click shows one large")
        if clicked is not None and numbers[clicked] != chosen:
            st.session_state["map_chosen"] = int(numbers[clicked])
            st.rerun()
        count, (height, width) = len(seen.maps), seen.maps.shape[1:]
        silent = int((seen.maps.reshape(count, -1) <= 0).all(axis=1).sum())
        scale = f"; black is {low[0]:.3g}, white {high[0]:.3g}, in all of them" if together else ", each on its own scale"
        st.caption(f"{len(numbers)} of {count:,} maps of {width} x {height}{scale}. Below each: its number and what it says for "
                   f"{escape(class_name)}, in logits. " + (f"{silent:,} of the {count:,} are silent: nowhere above zero."
                                                           if silent else ""))
    with large:
        _draw_one(seen, chosen, low[chosen], high[chosen], key)


def limits(maps: np.ndarray, together: bool) -> tuple[np.ndarray, np.ndarray]:
    """What is black and what is white in each of F maps (F, h, w): two (F,) arrays. Black is 0, or less where a map is."""
    low, high = np.minimum(0, maps.min(axis=(1, 2))), maps.max(axis=(1, 2))
    return (np.full_like(low, low.min()), np.full_like(high, high.max())) if together else (low, high)


def _draw_one(seen: Seen, k: int, low: float, high: float, key: tuple) -> None:
    st.markdown(f"**Map {k}**, black is {low:.3g}, white {high:.3g}".replace("-", "\u2212"))
    gallery(grayed(seen.maps[k:k + 1], low, high), key="feature_map", cache_key=(*key, k), tile=230,
            aria_label=f"Feature map {k}, large")
    if seen.kernels is None:
        st.caption("This layer has no kernels: it adds, cuts off or pools what others made.")
        return
    if len(seen.kernels) != len(seen.maps):
        st.caption(f"This layer puts together what several convolutions made, so its maps have no kernels of their own. "
                   f"Choose {escape(seen.name.removeprefix('network.'))} to see those of its last one.")
        return
    weights = seen.kernels[k]                                               # (C, kh, kw)
    inputs, height, width = weights.shape
    most = np.argsort(-np.abs(weights).sum(axis=(1, 2)), kind="stable")[:SHOWN // 2]
    bound = float(np.abs(weights).max())
    of = f"{escape(seen.name.removeprefix('network.'))}: {width} x {height} kernels, one for each of {inputs:,} maps that go in"
    if height * width == 1:
        largest = ", ".join(f"{c} ({weights[c, 0, 0]:+.2g})" for c in most[:8]).replace("-", "\u2212")
        st.caption(f"{of}. They have no shape: each is one number, by which a map is multiplied. The largest: {largest}.")
        return
    gallery(grayed(weights[most], -bound, bound), key="kernels", cache_key=("kernels", *key, k), tile=44,
            captions=[str(c) for c in most] if inputs > 1 else None, aria_label=f"Kernels of map {k}")
    more = "" if len(most) == inputs else f" The {len(most)} largest are shown."
    st.caption(f"{of}.{more} Gray is 0, black {-bound:.3g}, white {bound:+.3g}.".replace("-", "\u2212"))


def grayed(values: np.ndarray, low: float | np.ndarray, high: float | np.ndarray) -> np.ndarray:
    """(n, h, w) numbers as gray pictures (n, h, w, 1) uint8: `low` is black, `high` white, one for all or (n,). Small ones are
    enlarged, so that the browser draws squares and not a blur."""
    low, high = (np.broadcast_to(limit, len(values))[:, None, None] for limit in (low, high))
    scaled = (values - low) / np.where(high > low, high - low, 1)
    gray = np.rint(scaled.clip(0, 1) * 255).astype(np.uint8)
    times = max(1, -(-56 // max(gray.shape[1:])))
    return np.repeat(np.repeat(gray, times, axis=1), times, axis=2)[..., None]


def _keep(name: str, value: str) -> None:
    st.session_state[name] = value
