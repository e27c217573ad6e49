"""Network: what it is made of, what it costs, what one of its units sees. What is chosen here is what the page Train trains.

?dataset= stands in the address.
"""

from pathlib import Path

import streamlit as st

from core.errors import LightboxError
from core.models import MODELS
from core.models.receptive import plan
from pages.network import network
from pages.shared import config_form, open_data, preview
from pages.shared.costs import known_costs
from pages.shared.layout import dataset_chip, escape, format_bytes, long_task, next_step, page_header, show_error

VIEWS = {"layers": "Layers", "all": "Networks side by side", "pooling": "Max, mean or min pooling"}


def draw_controls() -> None:
    name, size = st.columns([3, 2])
    with name:
        config_form.draw("model.name", config_form.WORDS["model.name"], page="network")
    with size:
        config_form.draw("data.size", {size: f"{size} px" for size in config_form.SIZES}, free=True, page="network")
    spec = MODELS[config_form.value_of("model.name")]
    st.caption(escape(spec.description))
    if spec.name == "cnn":
        draw_many(("model.cnn_layers", "model.cnn_kernels", "model.cnn_filters", "model.cnn_pool", "model.cnn_pool_size",
                   "model.cnn_pool_stride", "model.cnn_global_pool", "model.cnn_spatial_dropout", "model.cnn_l2_kernel",
                   "model.cnn_l2_activity"))
    if spec.family == "densenet":
        draw_many(("model.blocks", "model.block_layers"))
    stages = network.stages_to_choose(spec, config_form.value_of("model.cnn_layers"))
    draw_many(("model.head", "model.dropout"))
    cut, freeze = st.columns(2)
    with cut:
        config_form.draw("model.cut", {"": "Whole network"} | {stage: f"After {stage}" for stage in stages}, page="network")
    with freeze:
        config_form.draw("model.freeze", {"none": "Nothing", "all": "All but the head"} | {stage: f"Up to {stage}" for stage in stages},
                   page="network")


def draw_many(names: tuple[str, ...]) -> None:
    for start in range(0, len(names), 2):
        for column, name in zip(st.columns(2), names[start:start + 2]):
            with column:
                config_form.draw(name, network.WORDS.get(name), page="network")


def draw_totals(facts: network.Facts, batch_size: int) -> None:
    sums, costs = facts.totals, facts.costs
    held, learned, frozen = st.columns(3)
    held.metric("Parameters", f"{sums.parameters:,}", help="Numbers that the network holds.")
    learned.metric("Learned", f"{sums.trainable:,}", help="Those that training changes.")
    frozen.metric("Frozen", f"{sums.frozen:,}", help="Those that stay as they are.")
    work, memory, step = st.columns(3)
    work.metric("Multiply-adds", network.short(sums.flops), help="To classify one image. Who counts a multiplication and an "
                "addition as two operations gets twice as many.")
    memory.metric("Memory an image", format_bytes(costs.activation_bytes),
                  help="What a training step keeps of each image until the gradients are computed, in float32.")
    step.metric("Memory a step", format_bytes(costs.training_bytes),
                help=f"Of training with {batch_size} images at a time, in float32: parameters, gradients, what the optimiser "
                "keeps, and the memory of the images.")


def draw_picture(config, given: network.Given) -> network.Facts | None:
    """The drawing, for the CNN what a unit sees, and a table. Returns what was counted; None while that cannot be known."""
    sample = network.sample_image(given)
    if config.model.name == "cnn":
        steps = plan(config.model, given.size, given.channels)
        sentence, warn = network.field_sentence(steps, given.size)
    facts = None
    if not network.counting():
        facts = network.facts_of(config.model, given.classes, given.size, given.channels, config.train.batch_size,
                                 config.optim.name)
        network.show_drawing(MODELS[config.model.name].title, facts.stages, given.size, given.channels, sample)
    if config.model.name == "cnn":
        st.markdown("**What one unit sees**", help="A unit of a map depends on a square of the image, its receptive field. "
                    "Choose a layer, or move the pointer over the image to look from another place.")
        (st.warning if warn else st.caption)(sentence)
        network.show_field(sample, steps, key="network_field")
    return facts


def draw_unprepared(config) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("These images are not prepared at this size yet: two classes are assumed here.")
        if st.button("Prepare them now", key="prepare"):
            open_data.open_set(config.data)
            preview.ready.clear()
            st.rerun()


def draw_views(config, given: network.Given, facts: network.Facts) -> None:
    view = st.segmented_control("View", list(VIEWS), format_func=VIEWS.get, default="layers", key="network_view",
                                label_visibility="collapsed") or "layers"
    if view == "layers":
        network.show_layers(facts.layers, f"{config.model.name}_{given.size}px_layers.csv")
    elif view == "all":
        draw_side_by_side(config, given)
    else:
        draw_pooling(given)


def draw_pooling(given: network.Given) -> None:
    window = st.slider("Window (px)", 2, 8, 4, key="network_pool_window", width=300,
                       help="Each square of so many pixels a side becomes one.")
    network.show_pooling(network.sample_image(given), window)
    st.markdown("The maximum keeps what is bright, the minimum what is dark, such as a fracture line in a bone. On the negative "
                "they change places: the minimum of an image is the negative of the maximum of its negative. So a network with "
                "max pooling can learn to keep what is dark as well: its filters may turn the sign before the pooling.")


def draw_side_by_side(config, given: network.Given) -> None:
    configs, place = network.variants(config.model), (given.classes, given.size, given.channels)
    if not all((each, *place) in known_costs() for each in configs.values()):
        with long_task("Counting all networks", key=f"count_{place}") as progress:
            network.count_all(configs, place, progress)
    names, button = st.columns([4, 1], vertical_alignment="bottom")
    with names:
        wanted = st.multiselect("Measure the time of", list(configs), default=[n for n in network.USUAL if n in configs],
                                format_func=lambda name: MODELS[name].title, key="network_measured",
                                help="How long one image takes on one core of this machine. Large networks take some seconds to "
                                "measure.")
    with button:
        if st.button("Measure", key="network_measure", disabled=not wanted, width="stretch"):
            st.session_state["network_measuring"] = wanted
    if measuring := st.session_state.get("network_measuring"):
        with long_task("Measuring", key="network_time") as progress:
            network.measure({name: configs[name] for name in measuring}, place, progress)
        st.session_state.pop("network_measuring")
    network.show_side_by_side(configs, place)


st.html(Path(__file__).with_suffix(".css"))
st.html(Path(network.__file__).with_suffix(".css"))
open_data.warm_up()
(dataset,) = page_header("Network", dataset_chip())
config_form.choose_dataset(dataset)
network.drop_unknown_stages()
body = st.container(key="network_body", horizontal=True)
picture, controls, views = (body.container(key=f"network_{part}") for part in ("picture", "controls", "views"))
with controls:
    draw_controls()
try:
    with picture:
        config = config_form.read()
        given = network.given(config)
        facts = draw_picture(config, given)
        if given.data is None:
            draw_unprepared(config)
    if facts:
        with controls:
            draw_totals(facts, config.train.batch_size)
        with views:
            draw_views(config, given, facts)
except LightboxError as error:
    with picture:
        show_error(error)
next_step("Next: train it", "train", dataset=dataset)
