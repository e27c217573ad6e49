"""Network: its layers, what it costs, what a unit sees. What is chosen here is what the page Train trains.

?dataset= stands in the address.
"""

from pathlib import Path

import streamlit as st

from core.config import RunConfig
from core.errors import LightboxError
from core.models import MODELS
from core.models.receptive import plan
from core.models.registry import IDEAS
from pages.network.block_tables import show_block_tables
from pages.network.counts import Counts, Images, count, images_of, short, torch_is_ready
from pages.network.drawing import show_drawing
from pages.network.layer_table import show_layers
from pages.network.pooling import show_pooling
from pages.network.receptive_field import field_sentence, show_field
from pages.network.side_by_side import show_side_by_side
from pages.shared import config_form, form_address, open_data, preview
from pages.shared.layout import dataset_chip, escape, format_bytes, next_step, page_header, show_error

VIEWS = {"layers": "Layers", "all": "All networks", "blocks": "Block tables", "pooling": "Max, mean and min pooling"}
# What is chosen on this page. The rest of the network's settings stand on Train.
SHAPE = ("model.blocks", "model.block_layers", "model.head", "model.dropout", "model.cut", "model.freeze")


def draw_controls() -> None:
    config_form.draw_many(("model.name", "data.size"), columns=2, page="network")
    spec = MODELS[config_form.value_of("model.name")]
    st.caption(escape(f"{spec.description} {IDEAS[spec.family]}".strip()))
    config_form.draw_many((*config_form.names_in("cnn"), *SHAPE), columns=2, page="network")


def draw_totals(counts: Counts, batch_size: int) -> None:
    totals, costs = counts.totals, counts.costs
    parameters, trainable, frozen = st.columns(3)
    parameters.metric("Parameters", f"{totals.parameters:,}", help="All weights of the network.")
    trainable.metric("Trainable", f"{totals.trainable:,}", help="Weights that training changes.")
    frozen.metric("Frozen", f"{totals.frozen:,}", help="Weights that stay as they are.")
    work, memory, step = st.columns(3)
    work.metric("Multiply-adds", short(totals.flops), help="To classify one image (MACs). Where a "
                "multiplication and an addition count as two operations (FLOPs), the number is twice as "
                "large.")
    memory.metric("Memory per image", format_bytes(costs.activation_bytes),
                  help="Activations that a training step keeps of each image for the backward pass, in "
                       "float32.")
    step.metric("Memory per step", format_bytes(costs.training_bytes),
                help=f"Training with a batch size of {batch_size}, in float32: parameters, gradients, "
                "optimiser state, and the activations of the batch.")


def draw_picture(config: RunConfig, images: Images) -> Counts | None:
    """Draw the network and the CNN builder's receptive field. Return the counts, None while torch starts."""
    sample, counts = images.sample(), None
    steps = plan(config.model, images.size, images.channels) if config.model.name == "cnn" else ()
    if torch_is_ready():
        counts = count(config.model, *images.shape, config.train.batch_size, config.optim.name, images.views)
        show_drawing(MODELS[config.model.name].title, counts.stages, images.size, images.channels, sample)
    if steps:
        st.markdown("**Receptive field**", help="A unit of a feature map depends on a square of the image. "
                    "Choose a layer, or move the pointer over the image to look from another place.")
        sentence, warn = field_sentence(steps, images.size)
        (st.warning if warn else st.caption)(sentence)
        show_field(sample, steps, key="network_field")
    return counts


def draw_unprepared(config: RunConfig) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("These images are not prepared at this size yet. Until then, two classes are assumed.")
        if st.button("Prepare now", key="prepare"):
            open_data.open_set(config.data)
            preview.ready.clear()
            st.rerun()


def draw_views(config: RunConfig, images: Images, counts: Counts) -> None:
    view = st.segmented_control("View", list(VIEWS), format_func=VIEWS.get, default="layers", required=True,
                                key="network_view", persist_state="session", label_visibility="collapsed")
    if view == "layers":
        show_layers(counts.layers, f"{config.model.name}_{images.size}px_layers.csv")
    elif view == "all":
        show_side_by_side(config.model, images)
    elif view == "blocks":
        show_block_tables()
    else:
        show_pooling(images.sample())


st.html(Path(__file__).with_suffix(".css"))
open_data.warm_up()
(dataset,) = page_header("Network", dataset_chip())
config_form.choose_dataset(dataset)
form_address.follow_address()
body = st.container(key="network_body", horizontal=True)
picture, controls, views = (body.container(key=f"network_{part}")
                            for part in ("picture", "controls", "views"))
with controls:
    draw_controls()
try:
    with picture:
        config = config_form.read()
        images = images_of(config)
        counts = draw_picture(config, images)
        if images.data is None:
            draw_unprepared(config)
    if counts:
        with controls:
            draw_totals(counts, config.train.batch_size)
        with views:
            draw_views(config, images, counts)
except LightboxError as error:
    with picture:
        show_error(error)
next_step("Next: train it", "train", dataset=dataset)
