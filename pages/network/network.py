"""What the page Network shows: a network counted and drawn, what one of its units sees, and all networks side by side.

Counting needs torch, which nobody waits for: until it is there, the page shows what sums alone can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from math import log2
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st

from core.config import ModelConfig, RunConfig
from core.datasets import Dataset
from core.errors import LightboxError
from core.models import MODELS, ModelSpec
from core.models.receptive import Step
from pages.shared import config_form, open_data, preview, theme
from pages.shared.charts import heading
from pages.shared.costs import known_costs, known_times
from pages.shared.layout import escape as escape_markdown
from pages.shared.layout import format_percent
from pages.shared.resize_preview import data_uri

if TYPE_CHECKING:                                     # core.models.layers imports torch
    from core.models.costs import Costs
    from core.models.layers import Layer, Stage, Totals

HERE = Path(__file__).parent
WORDS = {"model.head": {"linear": "One linear layer", "mlp": "MLP 1024, 512", "concat": "Average and maximum, 512"},
         "model.cnn_pool": {"max": "Maximum", "avg": "Average", "min": "Minimum"},
         "model.cnn_global_pool": {"max": "Maximum", "avg": "Average", "min": "Minimum"},
         "model.cnn_kernels": {"constant": "3, 3, 3 ...", "funnel_out": "3, 5, 7 ...", "funnel_in": "... 7, 5, 3"},
         "model.cnn_filters": {"constant": "64, 64, 64 ...", "funnel_out": "32, 64, 128 ...", "funnel_in": "128, 64, 32 ..."}}
FAMILIES = {"resnet": "ResNet", "densenet": "DenseNet", "squeezenet": "SqueezeNet", "vgg": "VGG"}
NAMED = ("resnet18", "resnet152", "densenet264", "squeezenet1_0", "squeezenet1_1", "vgg16", "small_cnn", "cnn")
USUAL = ("resnet18", "resnet50", "densenet121", "squeezenet1_1")      # those that are measured unless others are chosen
SMALL_FIELD = 0.5                                     # below this share of the image's side the page warns
HIGHEST, LOWEST = 132, 5                              # of a box in the drawing, in pixels
KINDS = {"Conv2d": "Convolution", "BatchNorm2d": "Batch norm", "BatchNorm1d": "Batch norm", "ReLU": "ReLU", "Linear": "Linear",
         "DroppedLinear": "Linear", "MaxPool2d": "Max pooling", "AvgPool2d": "Average pooling", "AdaptiveAvgPool2d":
         "Global average", "AdaptiveMaxPool2d": "Global maximum", "Dropout2d": "Spatial dropout", "Identity": "Left out",
         "PooledConv": "Linear", "AverageAndMaximum": "Average and maximum",
         "GlobalPool": "Global pooling", "Pool": "Pooling"}

TITLES = {"Parameters": "Parameters (M)", "Multiply-adds": "Multiply-adds (G)", "Memory": "Memory an image (MB)",
          "Time": "Time an image (ms)"}


_field = st.components.v2.component(
    "lightbox_field",
    html="<div class='field'><div class='picture'><img><svg></svg></div><div class='says'></div></div>",
    css=(HERE / "field.css").read_text(),
    js=(HERE / "field.js").read_text(),
)


@dataclass(frozen=True)
class Given:
    """What the images decide. `data` is the open set; None while it is not prepared, and the rest is then what the form says."""

    data: Dataset | None
    classes: int
    size: int
    channels: int


@dataclass(frozen=True)
class Facts:
    """A network, counted."""

    layers: list[Layer]
    stages: list[Stage]
    totals: Totals
    costs: Costs


def given(config: RunConfig) -> Given:
    """Raises LightboxError where there is no such set."""
    if preview.ready(config.data):
        data = open_data.open_set(config.data)
        return Given(data, len(data.class_names), data.size, data.channels)
    return Given(None, 2, config.data.size, config.data.channels or 3)


def sample_image(given: Given) -> np.ndarray:
    """(S, S, C) uint8: the first training image; plain gray where none is there yet."""
    rows = preview.sample(given.data, 1) if given.data is not None else ()
    return np.asarray(given.data.images[int(rows[0])]) if len(rows) else np.full((given.size, given.size, 1), 70, np.uint8)


def stages_to_choose(spec: ModelSpec, cnn_layers: int) -> tuple[str, ...]:
    """Names for cut and freeze. The network with knobs of its own has as many as layers."""
    return spec.stage_names[:cnn_layers] if spec.name == "cnn" else spec.stage_names


def drop_unknown_stages() -> None:
    """What was chosen for another network and this one does not have goes back to nothing. Call it before widgets are drawn."""
    spec = MODELS.get(config_form.value_of("model.name"))
    if spec is None:
        config_form.put("model.name", next(iter(MODELS)))
        return drop_unknown_stages()
    stages = stages_to_choose(spec, config_form.value_of("model.cnn_layers"))
    cut = config_form.value_of("model.cut")
    if cut not in ("", *stages) and not cut.strip().lstrip("-").isdecimal():
        config_form.put("model.cut", "")
    if config_form.value_of("model.freeze") not in ("none", "all", *stages):
        config_form.put("model.freeze", "none")
    if spec.family != "densenet":
        config_form.put("model.blocks", 0)
        config_form.put("model.block_layers", 0)


def counting() -> bool:
    """Whether torch is still on its way; then this says so, and the page runs again when it has come."""
    thread = open_data.warm_up()
    thread.join(0.05)
    if thread.is_alive():
        st.fragment(_wait, run_every=0.7)()
    return thread.is_alive()


def _wait() -> None:
    if open_data.warm_up().is_alive():
        st.caption("Counting ... PyTorch starts, once for this server.")
    else:
        st.rerun()


@st.cache_data(max_entries=128, show_spinner=False)
def facts_of(model: ModelConfig, classes: int, size: int, channels: int, batch_size: int, optimiser: str) -> Facts:
    """Count a network. Raises LightboxError where it cannot be built."""
    from core.models.costs import build_on_meta, costs
    from core.models.layers import layer_table, stage_table, totals
    network = build_on_meta(model, classes, size, channels)
    layers = layer_table(network)
    return Facts(layers, stage_table(network), totals(layers),
                 costs(model, classes, size, channels, max(2, batch_size), optimiser))


# ------------------------------------------------------------------------------------------------------------------ the drawing

def show_drawing(title: str, stages: Sequence[Stage], size: int, channels: int, pixels: np.ndarray | None = None) -> None:
    """The network from the image to the answer: a box a stage, as high as its maps have rows, as wide as it has maps.

    Args:
        pixels: (S, S, C) uint8 of an image to begin with
    """
    st.html(drawing(title, stages, size, channels, pixels))
    st.caption("A box is as high as its maps have rows and, by the logarithm, as wide as it has maps. Below: maps x rows x "
               "columns, layers with weights, parameters.")


def drawing(title: str, stages: Sequence[Stage], size: int, channels: int, pixels: np.ndarray | None = None) -> str:
    """HTML of `show_drawing`."""
    kind = "gray" if channels == 1 else "colour"
    image = f"<img src='{data_uri(pixels)}' alt=''>" if pixels is not None else "<i class='picture'></i>"
    parts = [f"<figure title='The image: {size} x {size} pixels, {kind}'><div class='space'>{image}</div>"
             f"{_lines('image', f'{channels} x {size} x {size}')}</figure>"]
    high = max([size, *(stage.shape[1] for stage in stages if len(stage.shape) == 3)])
    for stage in stages:
        width, height = _box(stage, high)
        state = "frozen" if stage.frozen else "learns" if stage.parameters else "bare"
        shape, layers = " x ".join(map(str, stage.shape)), f"{stage.depth} layer{'' if stage.depth == 1 else 's'}"
        says = (f"{stage.name}: {shape}, {layers} with weights, {stage.parameters:,} parameters"
                + {"frozen": ", frozen", "learns": ", learns", "bare": ""}[state])
        parts.append(f"<figure title='{escape(says)}'><div class='space'><i class='{state}' style='width:{width:.0f}px;"
                     f"height:{height:.0f}px'></i></div>"
                     + _lines(stage.name, shape, layers, short(stage.parameters), "frozen" if state == "frozen" else "")
                     + "</figure>")
    spoken = f"{title}: an image of {size} pixels, then " + ", then ".join(
        f"{stage.name} ({' x '.join(map(str, stage.shape))}{', frozen' if stage.frozen else ''})" for stage in stages)
    return f"<div class='lb-net' role='img' aria-label='{escape(spoken)}'>{''.join(parts)}</div>"


def _box(stage: Stage, high: int) -> tuple[float, float]:
    """Width by the logarithm of the channels, height by the rows of a map. What has no rows is a column of numbers."""
    if len(stage.shape) == 3:
        return 4 + 5.5 * log2(1 + stage.shape[0]), max(LOWEST, HIGHEST * stage.shape[1] / high)
    return 7, 10 + 4 * log2(1 + (stage.shape or (1,))[0])


def _lines(name: str, *below: str) -> str:
    return f"<b>{escape(name)}</b>" + "".join(f"<span>{escape(line)}</span>" for line in below if line)


def short(count: float) -> str:
    """11,689,512 -> "11.7 M"; 264 -> "264"."""
    for unit, size in ((" G", 1e9), (" M", 1e6), (" k", 1e3)):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return f"{count:g}"


# ----------------------------------------------------------------------------------------------------------- what a unit sees

def show_field(pixels: np.ndarray, steps: Sequence[Step], *, key: str) -> None:
    """What one unit of each layer sees of an image, as a square on it: it grows as one goes from layer to layer, and follows the
    pointer. The browser does that alone.

    Args:
        pixels: (S, S, C) uint8
        steps: the layers, as core.models.receptive.plan gives them
    """
    size = len(pixels)
    rows = [{"says": f"{step.name.replace('layer', 'Layer ')}, {step.kind} {step.kernel} x {step.kernel}"
                     + (f", stride {step.stride}" if step.stride > 1 else ""),
             "maps": f"{step.channels} maps of {step.size} x {step.size}", "size": step.size, "field": step.field,
             "jump": step.jump, "first": step.window(0)[0], "share": format_percent(min(1, step.field / size), 0)}
            for step in steps]
    _field(data={"image": data_uri(pixels), "size": size, "steps": rows,
                 "alt": f"A training image; a unit of the last layer sees {steps[-1].field} of its {size} pixels a side"},
           key=key)


def field_sentence(steps: Sequence[Step], size: int) -> tuple[str, bool]:
    """What the receptive field means for these images, and whether it is a warning."""
    field = steps[-1].field
    if field >= size:
        return f"A unit of the last map sees {field} pixels a side: the whole image of {size} px.", False
    share = format_percent(field / size, 0)
    if field / size >= SMALL_FIELD:
        return (f"A unit of the last map sees {field} of {size} pixels, {share} of the image's side. A larger finding, or "
                "parts that lie further apart, no unit sees together."), False
    return (f"A unit of the last map sees {field} of {size} pixels, only {share} of the image's side. A finding larger than that "
            "is never seen as a whole, and how parts lie to each other is lost: the network can only judge texture. "
            "A larger pooling stride widens the field most."), True


# --------------------------------------------------------------------------------------------------------------------- pooling

def show_pooling(pixels: np.ndarray, window: int) -> None:
    """An image and its negative, each pooled by the largest, the mean and the smallest value of `window` x `window` pixels."""
    rows = []
    for name, image in (("Image", pixels), ("Negative", 255 - pixels)):
        pictures = [(name, "as it is", image)] + [(WORDS["model.cnn_pool"][kind], name.lower(), pooled(image, kind, window))
                                                  for kind in WORDS["model.cnn_pool"]]
        rows += [f"<figure><img src='{data_uri(np.ascontiguousarray(picture))}' alt='{title}, {below}'>"
                 f"<figcaption><b>{title}</b>{below}</figcaption></figure>" for title, below, picture in pictures]
    st.html(f"<div class='lb-pool'>{''.join(rows)}</div>")


@st.cache_data(max_entries=64, show_spinner=False)
def pooled(pixels: np.ndarray, kind: str, window: int) -> np.ndarray:
    """(S, S, C) uint8 -> the same with S / window pixels a side, by the network's own pooling."""
    import torch

    from core.models.cnn import Pool
    maps = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float()
    return Pool(kind, window, window)(maps)[0].permute(1, 2, 0).round().byte().numpy()


# -------------------------------------------------------------------------------------------------------------------- the tables

def show_layers(layers: list[Layer], file_name: str) -> None:
    """The table of layers, and a button that saves it."""
    frame = layer_frame(layers)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"{len(frame)} layers in the order in which they run; outputs are maps x rows x columns of one image.",
                   width="content")
        st.download_button("Save as CSV", layer_csv(layers), file_name, "text/csv", icon=":material/download:", type="tertiary",
                           key="network_csv")
    whole = st.column_config.NumberColumn(format="localized")
    st.dataframe(frame, hide_index=True, height=360, width="stretch", key="network_layers",
                 alt="The layers of the network",
                 column_config={"Parameters": whole, "Multiply-adds": whole,
                                "Layer": st.column_config.TextColumn(width="medium")})


def layer_frame(layers: Sequence[Layer]) -> pd.DataFrame:
    """The table of layers as it is shown and downloaded."""
    return pd.DataFrame({"Layer": [layer.name.removeprefix("network.") for layer in layers],
                         "Kind": [KINDS.get(layer.kind, layer.kind) for layer in layers],
                         "Output": [" x ".join(map(str, layer.output_shape)) for layer in layers],
                         "Parameters": [layer.parameters for layer in layers],
                         "Learns": ["yes" if layer.trainable else "no" if layer.parameters else "" for layer in layers],
                         "Multiply-adds": [layer.flops for layer in layers]})


@st.cache_data(max_entries=32, show_spinner=False)
def layer_csv(layers: list[Layer]) -> str:
    """The same for a spreadsheet, with a last line of sums."""
    frame = layer_frame(layers)
    sums = {"Layer": "total", "Parameters": frame["Parameters"].sum(), "Multiply-adds": frame["Multiply-adds"].sum()}
    return pd.concat([frame, pd.DataFrame([sums])]).to_csv(index=False)


# ------------------------------------------------------------------------------------------------------------ all side by side

def variants(model: ModelConfig) -> dict[str, ModelConfig]:
    """Every network with one linear layer as its head; the one with knobs of its own as they stand."""
    own = {name: value for name, value in vars(model).items() if name.startswith("cnn_")}
    return {name: ModelConfig(name=name, stem=model.stem, **own) for name in MODELS}


def count_all(configs: dict[str, ModelConfig], place: tuple[int, int, int], progress: Callable[[str, int, int], None]) -> None:
    """Fill `known_costs` for these networks at (classes, size, channels)."""
    from core.models.costs import costs
    for n, (name, config) in enumerate(configs.items()):
        progress(f"Counting {MODELS[name].title}", n, len(configs))
        if (config, *place) not in known_costs():
            try:
                found: Costs | str = costs(config, *place, batch_size=64)
            except LightboxError as error:
                found = error.message
            known_costs()[config, *place] = found


def measure(configs: dict[str, ModelConfig], place: tuple[int, int, int], progress: Callable[[str, int, int], None]) -> None:
    """Fill `known_times` with the time that each takes to classify one image on this machine's CPU, random weights."""
    from dataclasses import replace

    from core.models import build_model
    from core.models.costs import latency
    classes, size, channels = place
    for n, (name, config) in enumerate(configs.items()):
        progress(f"Measuring {MODELS[name].title}", n, len(configs))
        network = build_model(replace(config, weights="none"), classes=classes, size=size, channels=channels)
        known_times()[config, *place] = latency(network)


def side_by_side(configs: dict[str, ModelConfig], place: tuple[int, int, int]) -> pd.DataFrame:
    """One row a network: its name in a config, family and title; parameters in millions, multiply-adds in billions, memory in
    megabytes, time in milliseconds, each NaN where it is not known."""
    rows = []
    for name, config in configs.items():
        found, seconds = known_costs().get((config, *place)), known_times().get((config, *place))
        counted = found is not None and not isinstance(found, str)
        rows.append({"name": name, "Family": FAMILIES.get(MODELS[name].family, MODELS[name].title),
                     "Network": MODELS[name].title, "Parameters": found.parameters / 1e6 if counted else None,
                     "Multiply-adds": found.flops / 1e9 if counted else None,
                     "Memory": found.activation_bytes / 1e6 if counted else None,
                     "Time": None if seconds is None else 1e3 * seconds})
    return pd.DataFrame(rows).astype({name: float for name in ("Parameters", "Multiply-adds", "Memory", "Time")})


def show_side_by_side(configs: dict[str, ModelConfig], place: tuple[int, int, int]) -> None:
    """The table of all networks, and two charts that say that no cost follows from another."""
    frame, found = side_by_side(configs, place), [known_costs()[config, *place] for config in configs.values()]
    for sentence in dict.fromkeys(reason for reason in found if isinstance(reason, str)):
        st.caption(escape_markdown(sentence))

    def number(help: str) -> st.column_config.NumberColumn:
        return st.column_config.NumberColumn(help=help, format="%.3g")

    st.dataframe(frame.drop(columns=["name", "Family"]).rename(columns=TITLES), hide_index=True, width="stretch",
                 height="content", placeholder="", key="network_all",
                 alt="What each network costs", column_config={
        TITLES["Parameters"]: number("Numbers that the network holds, with one linear layer as its head."),
        TITLES["Multiply-adds"]: number("To classify one image, in billions."),
        TITLES["Memory"]: number("What a training step keeps of each image, in float32."),
        TITLES["Time"]: number("To classify one image on one core of this machine: median of seven. Measured on request.")})
    frame = frame[~frame["name"].str.startswith("own_")]                # the same points twice
    colours = {family: theme.class_color(k) for k, family in enumerate(dict.fromkeys(frame["Family"]))}
    st.html(heading("Few parameters are not little work, little memory or little time", colours))
    for column, y in zip(st.columns(3), ("Multiply-adds", "Memory", "Time")):
        with column:
            if frame[y].notna().any():
                show_against(frame, y, TITLES[y], colours, key=f"network_against_{y}")
            else:
                st.caption("Measured times stand here.")


def show_against(frame: pd.DataFrame, y: str, title: str, colours: dict[str, str], *, key: str, height: int = 230) -> None:
    """Parameters against another cost, a point a network in its family's colour, both axes logarithmic."""
    there = frame.dropna(subset=["Parameters", y])
    there = there.assign(label=there["Network"].where(there["name"].isin(NAMED), ""))
    axis = {"type": "quantitative", "scale": {"type": "log", "nice": False, "padding": 14}}
    hover = [{"field": "Network"}, {"field": "Parameters", "format": ".3g", "title": "Parameters (M)"},
             {"field": y, "format": ".3g", "title": title}]
    across = {"field": "Parameters", "title": "Parameters (M)", "axis": {"format": "~g", "tickCount": 4, "grid": False}, **axis}
    up = {"field": y, "title": title, "axis": {"format": "~g", "tickCount": 4, "grid": False}, **axis}
    colour = {"field": "Family", "type": "nominal", "legend": None,
              "scale": {"domain": list(colours), "range": list(colours.values())}}
    spec = {"height": height, "padding": {"left": 0, "right": 8, "top": 4, "bottom": 0}, "encoding": {"x": across, "y": up},
            "layer": [{"mark": {"type": "point", "filled": True, "size": 55, "opacity": 1},
                       "encoding": {"tooltip": hover, "color": colour}},
                      {"mark": {"type": "text", "align": "left", "dx": 6, "dy": -5, "fontSize": 10},
                       "encoding": {"text": {"field": "label"}}}]}
    said = "; ".join(f"{row['Network']} {row['Parameters']:.3g} M and {row[y]:.3g}" for _, row in there.iterrows())
    st.vega_lite_chart(there, spec, key=key, width="stretch", alt=f"Parameters in millions against {title}: {said}.")
