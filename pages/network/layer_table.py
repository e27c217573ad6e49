"""The layers of a network as a table, on the page and as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

if TYPE_CHECKING:                                     # core.models.layers imports torch
    from core.models.layers import Layer

TITLES = {"Conv2d": "Convolution", "BatchNorm2d": "Batch norm", "BatchNorm1d": "Batch norm",
          "DroppedLinear": "Linear", "PooledConv": "Linear", "MaxPool2d": "Max pooling",
          "AvgPool2d": "Average pooling", "AdaptiveAvgPool2d": "Global average pooling",
          "AdaptiveMaxPool2d": "Global max pooling", "AverageAndMaximum": "Global average and max pooling",
          "GlobalPool": "Global pooling", "Pool": "Pooling", "Dropout2d": "Spatial dropout",
          "Identity": "Identity (left out)"}


def show_layers(layers: list[Layer], file_name: str) -> None:
    """Show the table, and a button that saves it as `file_name`."""
    frame = layer_frame(layers)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"{len(frame)} layers in the order in which they run; outputs are channels x height x "
                   "width for one image.", width="content")
        st.download_button("Download CSV", layer_csv(layers), file_name, "text/csv",
                           icon=":material/download:", type="tertiary", key="network_csv")
    whole = st.column_config.NumberColumn(format="localized")
    st.dataframe(frame, hide_index=True, height=360, width="stretch", key="network_layers",
                 alt="The layers of the network",
                 column_config={"Parameters": whole, "Multiply-adds": whole,
                                "Layer": st.column_config.TextColumn(width="medium")})


def layer_frame(layers: Sequence[Layer]) -> pd.DataFrame:
    """Return one row per layer, as it is shown and downloaded."""
    return pd.DataFrame({"Layer": [layer.name.removeprefix("network.") for layer in layers],
                         "Type": [TITLES.get(layer.kind, layer.kind) for layer in layers],
                         "Output": [" x ".join(map(str, layer.output_shape)) for layer in layers],
                         "Parameters": [layer.parameters for layer in layers],
                         "Trainable": [_trainable(layer) for layer in layers],
                         "Multiply-adds": [layer.flops for layer in layers]})


def _trainable(layer: Layer) -> str:
    if not layer.parameters:
        return ""
    return "yes" if layer.trainable else "no"


@st.cache_data(max_entries=32, show_spinner=False)
def layer_csv(layers: list[Layer]) -> str:
    """Return the table as CSV, with a last line of totals."""
    frame = layer_frame(layers)
    sums = {"Layer": "total", "Parameters": frame["Parameters"].sum(),
            "Multiply-adds": frame["Multiply-adds"].sum()}
    return pd.concat([frame, pd.DataFrame([sums])]).to_csv(index=False)
