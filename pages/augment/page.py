"""Augment: data augmentation, seen on the training images themselves.

?dataset= and ?image= stand in the address. What is chosen here is the form of the next run: Train shows the
same.
"""

from pathlib import Path

import numpy as np
import streamlit as st

from core.augment import AUGMENTATIONS, GROUPS, active, caveats
from core.config import KNOBS, AugmentConfig
from core.datasets import Dataset
from core.errors import LightboxError
from pages.augment.draws import DRAWS, cache_key, draws_of, is_gray, wait_for_torch
from pages.shared import augmentation, config_form, form_address, open_data, preview
from pages.shared.gallery import gallery
from pages.shared.image_facts import class_text, encode
from pages.shared.layout import dataset_chip, escape, next_step, page_header, show_error
from pages.shared.viewer import viewer
from pages.shared.widget_state import follow

EXAMPLES = 14                    # training images to choose from, classes in turn


def next_epochs() -> None:
    st.session_state["augment_first"] = st.session_state.get("augment_first", 0) + DRAWS
    st.session_state["augment_shown"] = 0


def show_pair(data: Dataset, row: int, pixels: np.ndarray, caption: str, epoch: int) -> None:
    """Show the original image and what one epoch sees of it."""
    original, augmented = st.columns(2)
    with original:
        show_one("Original", np.asarray(data.images[row]), class_text(data, row), "augment_original")
    with augmented:
        show_one(f"Epoch {epoch}", pixels, caption, "augment_epoch")


def show_one(title: str, pixels: np.ndarray, caption: str, key: str) -> None:
    kind, encoded = encode(pixels)
    viewer(encoded, kind, key=key, alt=f"{title}: {caption}")
    st.caption(f"**{title}**, {escape(caption)}")


def draw_images(data: Dataset) -> None:
    examples = preview.sample(data, EXAMPLES)
    if not len(examples):
        st.markdown("There are no training images. Choose another split on the page Train.")
        return
    ids = data.table["image_id"]
    wanted = np.flatnonzero((ids == st.query_params.get("image", "")).to_numpy())
    row = int(wanted[0]) if len(wanted) else int(examples[0])
    wait_for_torch()
    config, seed = augmentation.chosen(), config_form.value_of("train.seed")
    first, shown = st.session_state.get("augment_first", 0), st.session_state.get("augment_shown", 0)
    draws = draws_of(data, cache_key(data), row, config, seed if isinstance(seed, int) else 0, first)
    epochs = f"Epochs {first + 1} to {first + DRAWS}"
    pair = st.container(key="augment_pair")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(epochs, width="content",
                    help="This image as a run with these settings and this seed sees it in each epoch.")
        st.button("Next epochs", icon=":material/casino:", key="augment_again", on_click=next_epochs,
                  type="tertiary")
    clicked = gallery(draws.images, key="augment_draws", tile=92, selected=shown,
                      aria_label=f"{epochs}: click one to enlarge it")
    if clicked is not None:
        shown = st.session_state["augment_shown"] = clicked
    with pair:
        show_pair(data, row, draws.images[shown], draws.captions[shown], first + shown + 1)
    st.caption("Other images")
    pixels, token = open_data.thumbnails(data, examples)
    other = gallery(pixels, key="augment_examples", tile=50, cache_key=token,
                    aria_label="Other images: training images of each class",
                    selected=next((k for k, example in enumerate(examples) if example == row), None))
    if other is not None and examples[other] != row:
        st.query_params["image"] = ids.iat[examples[other]]
        st.rerun()
    draw_caveats(config, is_gray(pixels))


def draw_caveats(config: AugmentConfig, gray: bool) -> None:
    sentences = caveats(config, gray)
    if sentences:
        st.markdown("**Warnings**")
        with st.container(key="augment_caveats"):
            st.markdown("\n\n".join(map(escape, sentences)))


def draw_controls() -> None:
    preset, size = st.columns([3, 2])
    with preset:
        augmentation.draw_presets("augment")
    with size:
        config_form.draw("data.size", page="augment")
    draw_list()


def draw_list() -> None:
    """Draw each augmentation with its switch, by group; what is on shows its ranges beside it."""
    on = active(augmentation.chosen())
    for group, title in GROUPS.items():
        st.markdown(f"**{title}**")
        for name, entry in AUGMENTATIONS.items():
            if entry.group != group:
                continue
            with st.container(key=f"augment_row_{name}", horizontal=True, vertical_alignment="center",
                              gap="small"):
                tooltip = " ".join([entry.help, *(caveat.sentence for caveat in entry.caveats)])
                st.toggle(KNOBS[f"augment.{name}"].label, width=150, help=escape(tooltip),
                          **follow(f"augment_on_{name}", name in on, _switch, name))
                for knob in entry.knobs(name) if name in on else ():
                    config_form.draw(f"augment.{knob}", label=KNOBS[f"augment.{knob}"].beside, page="augment")


def _switch(name: str, on: bool) -> None:
    config_form.put(f"augment.{name}", AUGMENTATIONS[name].default if on else 0.0)


st.html(Path(__file__).with_suffix(".css"))
open_data.warm_up()
(dataset,) = page_header("Augment", dataset_chip())
config_form.choose_dataset(dataset)
form_address.follow_address()
body = st.container(key="augment_body", horizontal=True)
images, controls = body.container(key="augment_images"), body.container(key="augment_controls")
with controls:
    draw_controls()
with images:
    try:
        draw_images(open_data.open_set(config_form.read().data))
    except LightboxError as error:
        show_error(error)
next_step("Next: choose a network", "network", dataset=dataset)
