"""Max, mean and min pooling of an image and of its negative, side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import streamlit as st

from core.config import KNOBS
from pages.shared.resize_preview import data_uri

STYLE = Path(__file__).with_suffix(".css")


def show_pooling(pixels: np.ndarray) -> None:
    """Show (S, S, C) uint8 and its negative, each pooled over windows of a size that the person chooses."""
    window = st.slider("Window (px)", 2, 8, 4, key="network_pool_window", persist_state="session", width=300,
                       help="Each window of this many pixels a side becomes one pixel.")
    figures = []
    for name, image in (("Image", pixels), ("Negative", 255 - pixels)):
        figures.append(_figure(name, "original", image))
        figures += [_figure(title, name.lower(), pooled(image, kind, window))
                    for kind, title in KNOBS["model.cnn_pool"].choices.items()]
    st.html(STYLE)
    st.html(f"<div class='lb-pool'>{''.join(figures)}</div>")
    st.markdown("Max pooling keeps what is bright; min pooling keeps what is dark, such as a fracture line "
                "in a bone. On the negative they swap: min(x) = 255 - max(255 - x). So a network with max "
                "pooling can also learn to keep what is dark: its filters can flip the sign before the "
                "pooling.")


def _figure(title: str, below: str, pixels: np.ndarray) -> str:
    return (f"<figure><img src='{data_uri(np.ascontiguousarray(pixels))}' alt='{title}, {below}'>"
            f"<figcaption><b>{title}</b>{below}</figcaption></figure>")


@st.cache_data(max_entries=64, show_spinner=False)
def pooled(pixels: np.ndarray, kind: str, window: int) -> np.ndarray:
    """Pool (S, S, C) uint8 to S / window pixels a side, by the layer that the network itself has."""
    import torch

    from core.models.cnn import Pool
    maps = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float()
    return Pool(kind, window, window)(maps)[0].permute(1, 2, 0).round().byte().numpy()
