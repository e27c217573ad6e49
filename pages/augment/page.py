"""Augment: the random changes that a run makes to its training images, seen on the images themselves.

?dataset= and ?image= stand in the address. What is chosen here is the form of the next run: the page Train shows the same.
"""

from pathlib import Path

import numpy as np
import streamlit as st

from core.augment import caveats
from core.errors import LightboxError
from pages.shared import augmentation, config_form, open_data, preview
from pages.shared.gallery import gallery
from pages.shared.image_facts import class_text, encode
from pages.shared.layout import dataset_chip, escape, next_step, page_header, show_error
from pages.shared.viewer import viewer

EXAMPLES = 14                    # training images to choose from, classes in turn


def draw_again() -> None:
    st.session_state["augment_first"] = st.session_state.get("augment_first", 0) + augmentation.DRAWS
    st.session_state["augment_shown"] = 0


def show_pair(data, row: int, pixels, words: str, epoch: int) -> None:
    """The image as it is and as one epoch sees it."""
    for column, picture, name, below in zip(st.columns(2), (np.asarray(data.images[row]), pixels), ("Original", f"Epoch {epoch}"),
                                            (class_text(data, row), words)):
        with column:
            kind, encoded = encode(picture)
            viewer(encoded, kind, key=f"augment_{name.split()[0].lower()}", alt=f"{name}: {class_text(data, row)}")
            st.caption(f"**{name}**, {escape(below)}")


def draw_images(data) -> None:
    examples = preview.sample(data, EXAMPLES)
    if not len(examples):
        st.markdown("This set has no training images. Choose another split on the page Train.")
        return
    ids = data.table["image_id"]
    asked = np.flatnonzero((ids == st.query_params.get("image", "")).to_numpy())
    row = int(asked[0]) if len(asked) else int(examples[0])
    augmentation.wait_for_torch()
    config, seed, first = augmentation.chosen(), config_form.value_of("train.seed"), st.session_state.get("augment_first", 0)
    draws = augmentation.draws_of(data, augmentation.stands_for(data), row, config, seed if isinstance(seed, int) else 0, first)

    shown = st.session_state.get("augment_shown", 0)
    pair = st.container(key="augment_pair")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"Epochs {first + 1} to {first + augmentation.DRAWS}", width="content",
                    help="The same image as a run with these settings and this seed gets it in each epoch.")
        st.button("Draw again", icon=":material/casino:", key="augment_again", on_click=draw_again, type="tertiary")
    clicked = gallery(draws.images, key="augment_draws", tile=92, selected=shown,
                      aria_label=f"The image in epochs {first + 1} to {first + augmentation.DRAWS}; a click shows one large")
    if clicked is not None:
        shown = st.session_state["augment_shown"] = clicked
    with pair:
        show_pair(data, row, draws.images[shown], draws.words[shown], first + shown + 1)
    st.caption("Another image")
    pixels, token = open_data.thumbnails(data, examples)
    other = gallery(pixels, key="augment_examples", tile=50, cache_key=token,
                    aria_label="Another image: training images of each class",
                    selected=next((k for k, example in enumerate(examples) if example == row), None))
    if other is not None and examples[other] != row:
        st.query_params["image"] = ids.iat[examples[other]]
        st.rerun()
    draw_doubts(config, augmentation.is_gray(pixels))


def draw_doubts(config, gray: bool) -> None:
    sentences = caveats(config, gray)
    if sentences:
        st.markdown("**Think twice**")
        with st.container(key="augment_doubts"):
            st.markdown("\n\n".join(map(escape, sentences)))


def draw_controls() -> None:
    preset, size = st.columns([3, 2])
    with preset:
        augmentation.draw_presets("augment")
    with size:
        config_form.draw("data.size", {size: f"{size} px" for size in config_form.SIZES}, free=True,
                   page="augment")
    augmentation.draw_list()


st.html(Path(__file__).with_suffix(".css"))
open_data.warm_up()
(dataset,) = page_header("Augment", dataset_chip())
config_form.choose_dataset(dataset)
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
