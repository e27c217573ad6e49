"""All networks side by side: parameters, multiply-adds, memory and time. None follows from another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st

from core.charts import comparisons
from core.config import ModelConfig
from core.models import MODELS
from pages.network.counts import Images
from pages.shared import theme
from pages.shared.charts import heading, show_chart
from pages.shared.costs import count_costs, known_costs, known_times, measure_times
from pages.shared.layout import escape

if TYPE_CHECKING:                                     # core.models.costs imports torch
    from core.models.costs import Costs

FAMILIES = {"resnet": "ResNet", "densenet": "DenseNet", "squeezenet": "SqueezeNet", "vgg": "VGG"}
LABELLED = ("resnet18", "resnet152", "densenet264", "squeezenet1_0", "squeezenet1_1", "vgg16", "small_cnn",
            "cnn")
MEASURED = ("resnet18", "resnet50", "densenet121", "squeezenet1_1")       # unless others are chosen
COSTS = {                                             # column -> (title, tooltip)
    "Parameters": ("Parameters (M)", "In millions, with one linear layer as the head."),
    "Multiply-adds": ("Multiply-adds (G)", "To classify one image, in billions."),
    "Memory": ("Memory per image (MB)", "Activations that a training step keeps of each image, in float32."),
    "Time": ("Time per image (ms)", "To classify one image on one core of this machine: the median of seven. "
                                    "Measured on request."),
}


def show_side_by_side(model: ModelConfig, images: Images) -> None:
    """Count all networks, measure those that the person chooses, show table and charts."""
    configs = variants(model)
    count_costs((config, *images.shape) for config in configs.values())
    names, button = st.columns([4, 1], vertical_alignment="bottom")
    with names:
        chosen = st.multiselect("Networks to time", list(configs),
                                default=[n for n in MEASURED if n in configs],
                                format_func=lambda name: MODELS[name].title, key="network_measured",
                                persist_state="session",
                                help="How long one image takes on one core of this machine. Large networks "
                                "take some seconds to measure.")
    with button:
        if st.button("Measure", key="network_measure", disabled=not chosen, width="stretch"):
            st.session_state["network_measuring"] = chosen
    if measuring := st.session_state.get("network_measuring"):
        measure_times((configs[name], *images.shape) for name in measuring)
        st.session_state.pop("network_measuring")
    show_table(configs, images.shape)
    show_charts(side_by_side(configs, images.shape))


def variants(model: ModelConfig) -> dict[str, ModelConfig]:
    """Return every network with a linear head; the CNN builder with its settings as they are."""
    own = {name: value for name, value in vars(model).items() if name.startswith("cnn_")}
    return {name: ModelConfig(name=name, stem=model.stem, **own) for name in MODELS}


def side_by_side(configs: dict[str, ModelConfig], shape: tuple[int, int, int]) -> pd.DataFrame:
    """Return a row per network: name, family, title, and the columns of COSTS, NaN where not known."""
    rows = []
    for name, config in configs.items():
        costs, seconds = known_costs().get((config, *shape)), known_times().get((config, *shape))
        row = {"name": name, "Family": FAMILIES.get(MODELS[name].family, MODELS[name].title),
               "Network": MODELS[name].title, "Time": 1e3 * seconds if seconds is not None else None}
        if costs is not None and not isinstance(costs, str):
            row |= {"Parameters": costs.parameters / 1e6, "Multiply-adds": costs.flops / 1e9,
                    "Memory": costs.activation_bytes / 1e6}
        rows.append(row)
    frame = pd.DataFrame(rows, columns=["name", "Family", "Network", *COSTS])
    return frame.astype(dict.fromkeys(COSTS, float))


def show_table(configs: dict[str, ModelConfig], shape: tuple[int, int, int]) -> None:
    """Show what each network costs, and why one cannot be built."""
    costs: list[Costs | str] = [known_costs()[config, *shape] for config in configs.values()]
    for reason in dict.fromkeys(reason for reason in costs if isinstance(reason, str)):
        st.caption(escape(reason))
    frame = side_by_side(configs, shape).drop(columns=["name", "Family"])
    titles = {column: title for column, (title, _) in COSTS.items()}
    st.dataframe(frame.rename(columns=titles), hide_index=True, width="stretch", height="content",
                 placeholder="", key="network_all", alt="What each network costs",
                 column_config={title: st.column_config.NumberColumn(help=help, format="%.3g")
                                for title, help in COSTS.values()})


def show_charts(frame: pd.DataFrame) -> None:
    """Show each cost against the number of parameters."""
    frame = frame[~frame["name"].str.startswith("own_")]                # the same points twice
    colours = {family: theme.class_color(k) for k, family in enumerate(dict.fromkeys(frame["Family"]))}
    st.html(heading("Fewer parameters do not mean less computation, memory or time", colours))
    for column, y in zip(st.columns(3), ("Multiply-adds", "Memory", "Time")):
        with column:
            if frame[y].notna().any():
                show_against(frame, y, COSTS[y][0], colours, key=f"network_against_{y}")
            else:
                st.caption("Press Measure to see times here.")


def show_against(frame: pd.DataFrame, y: str, title: str, colours: dict[str, str], *, key: str,
                 height: int = 230) -> None:
    """Parameters against another cost, a point a network in its family's colour, both axes logarithmic."""
    there = frame.dropna(subset=["Parameters", y])
    said = "; ".join(f"{row['Network']} {row['Parameters']:.3g} M and {row[y]:.3g}"
                     for _, row in there.iterrows())
    points = pd.DataFrame({"x": there["Parameters"], "y": there[y], "low": np.nan, "high": np.nan,
                           "label": there["Network"].where(there["name"].isin(LABELLED), ""),
                           "color": there["Family"].map(colours), "name": there["Network"],
                           "details": there["Family"]})
    show_chart(comparisons.cost(points, "Parameters (M)", title, log_y=True, height=height,
                                alt=f"Parameters in millions against {title}: {said}."), key=key)
