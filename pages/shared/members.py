"""The members of an ensemble on a page that looks into networks: which one is looked into, and what each of them says."""

from __future__ import annotations

import numpy as np
import streamlit as st

from core.evaluation.thresholds import DEFAULT
from core.metrics import predict
from core.runs.run import Run
from pages.shared.gallery import gallery
from pages.shared.heatmap_image import on_original, overlays, scale_of
from pages.shared.heatmaps import classifier, map_of, probs_of
from pages.shared.layout import asked_among, choose_param, format_probability
from pages.shared.widget_state import follow

TILE = 128         # CSS pixels a side of a member's map


def choose_network(run: Run, place=st) -> str:
    """Draw a menu of an ensemble's members, which stands in the address, and return the address of the classifier that is looked
    into: the run's own for a run that was trained, a soup, and all members together."""
    spec = run.ensemble
    if spec is None or spec.is_soup:
        return run.id
    titles = {"": "All members, weighted mean"} | {member.address: member.name for member in spec.members}
    chosen = asked_among("member", "Member", titles) or ""
    chosen = place.selectbox("Network", list(titles), format_func=titles.get, help="One member alone, with its layers, or the "
                             "mean of the maps of all, each counting as much as it does in the ensemble.",
                             **follow("member_of_ensemble", chosen, choose_param, "member"))
    return chosen or run.id


def draw_members(run: Run, pixels: np.ndarray, token: str, target: int, key: str) -> None:
    """Draw what each member predicts of a picture, with its map beside those of the others; nothing for other runs.

    Args:
        pixels: (H, W, 1 or 3) uint8
        token: stands for them
        target: the class that is explained
    """
    spec = run.ensemble
    if spec is None or spec.is_soup:
        return
    model = classifier(run.id).model
    weights = model.weights([pixels])[0]
    maps, captions = [], []
    for member, weight in zip(spec.members, weights):
        cam = map_of(member.address, pixels, token, target, "")
        resize = classifier(member.address).model.preprocessing.resize
        maps.append(on_original(cam, *pixels.shape[:2], resize))
        probs = probs_of(member.address, pixels, token)
        said = predict(probs[None], model.task, DEFAULT)[0]
        named = ", ".join(model.class_names[k] for k in (np.flatnonzero(said) if np.ndim(said) else [said])) or "no finding"
        of_target = "" if named == model.class_names[target] else f"{model.class_names[target]} "
        captions.append(f"{member.name}\n{named}, {of_target}{format_probability(float(probs[target]))}\nweight {weight:.2f}")
    peak, _ = scale_of(np.stack(maps))
    st.markdown("**Each member**", help="Its prediction, its probability of the explained class, how much it counts, and its "
                "Grad-CAM. All maps have one scale.")
    gallery(lambda: overlays([pixels] * len(maps), maps, 0.6, peak, side=2 * TILE), key=key, aria_label="Maps of the members",
            captions=captions, tile=TILE, cache_key=("members", token, target, tuple(m.sha256 for m in spec.members)))
