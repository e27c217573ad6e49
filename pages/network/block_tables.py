"""DenseNets and ResNets side by side as in their papers: parts, output sizes and blocks."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.config import ModelConfig
from core.models import MODELS
from pages.network.counts import short

FAMILIES = {"densenet": "DenseNet", "resnet": "ResNet"}
SIZE, CLASSES = 224, 1000                             # of the papers


def show_block_tables() -> None:
    """Show the table of a family, for the images of the papers."""
    family = st.segmented_control("Family", list(FAMILIES), format_func=FAMILIES.get, default="densenet", required=True,
                                  key="network_family", persist_state="session", label_visibility="collapsed")
    st.caption(f"Counted on the networks as they are built here, for colour images of {SIZE} px and {CLASSES:,} classes. "
               + HELP[family])
    st.dataframe(table_of(family), hide_index=True, width="stretch", height="content", key="network_blocks",
                 alt=f"Blocks and output sizes of each {FAMILIES[family]}",
                 column_config={"Layer": st.column_config.TextColumn(width=145, pinned=True),
                                "Output": st.column_config.TextColumn(width=85, help="Height x width of the feature map.")})


HELP = {"densenet": "[1 x 1, 128; 3 x 3, 32] x 6: six blocks of two convolutions, with the output channels of each. Each "
                    "block gets the outputs of all earlier ones of its dense block; a transition halves the map.",
        "resnet": "[3 x 3, 64; 3 x 3, 64] x 2: two blocks of two convolutions, with the output channels of each. Each block "
                  "has a shortcut around it. As in torchvision the bottlenecks of ResNet-50, 101 and 152 halve the map in their "
                  "3 x 3 convolution; the paper does so in the 1 x 1 before it, with 0.2 to 0.3 G fewer multiply-adds (3.8, 7.6 "
                  "and 11.3 G)."}


@st.cache_data(max_entries=8, show_spinner="Counting")
def table_of(family: str) -> pd.DataFrame:
    """Return a row for each part of the networks of a family: its output, and what stands there in each of them."""
    from core.models.blocks import block_table
    from core.models.costs import build_on_meta
    from core.models.layers import layer_table, totals
    columns, sums = {}, {}
    for name, spec in MODELS.items():
        if spec.family == family and spec.torchvision_name == name:            # what is written by hand is the same network
            network = build_on_meta(ModelConfig(name, stem="standard"), CLASSES, SIZE, 3)
            rows, sums[spec.title] = block_table(network), totals(layer_table(network))
            columns.setdefault("Layer", [row.name for row in rows])
            columns.setdefault("Output", [f"{row.size} x {row.size}" for row in rows])
            columns[spec.title] = [f"{row.what} x {row.blocks}" if row.blocks else row.what for row in rows]
    last = [{"Layer": "Parameters", "Output": ""} | {title: short(total.parameters) for title, total in sums.items()},
            {"Layer": "Multiply-adds", "Output": ""} | {title: short(total.flops) for title, total in sums.items()}]
    return pd.concat([pd.DataFrame(columns), pd.DataFrame(last)], ignore_index=True)
