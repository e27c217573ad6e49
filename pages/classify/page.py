"""Classify: drop in an image and read the answer."""

import streamlit as st

from core.errors import LightboxError
from core.evaluation.decision import Chosen, Decision
from core.runs.classifiers import list_classifiers
from pages.classify.image import Subject, answer_of, chosen_of, headline, how_called, read_file, samples_of, steps_of
from pages.shared.charts import show_probabilities
from pages.shared.gallery import gallery
from pages.shared.heatmap_image import on_original, show_map
from pages.shared.heatmaps import LAYER_HELP, classifier, map_of, stage_names, warm_up_classifier
from pages.shared.layout import Chip, empty, escape, next_step, page_header, show_error

CAUTION = ("A teaching tool, not a medical device: nothing here is fit for a decision about a patient. It knows only its "
           "own classes and answers for any picture, even for one of a cat.")


def take_drop() -> None:
    """Make what was dropped, here or on the start page, the image to classify. Each drop counts once."""
    file, dropped = st.session_state.get("file"), st.session_state.pop("dropped", None)
    if file is not None and file.file_id != st.session_state.get("taken"):
        st.session_state["taken"] = file.file_id
        dropped = (file.name, file.getvalue())
    if dropped:
        st.session_state.pop("subject", None)
        st.session_state.pop("refused", None)
        try:
            st.session_state["subject"] = read_file(*dropped)
        except LightboxError as error:
            st.session_state["refused"] = (dropped[0], error)


def show_intake(info, small: bool) -> None:
    """The drop zone, what was wrong with the last file, and samples to try."""
    with st.container(key="drop_small" if small else "drop"):
        st.file_uploader("Drop an image here", key="file", help="PNG, JPEG, BMP, TIFF, WebP, GIF or DICOM, 8 or 16 bits, up to "
                         "25 million pixels. It stays on this machine and is forgotten when you leave.")
    if "refused" in st.session_state:
        name, error = st.session_state["refused"]
        st.markdown(f"{escape(name)}:")
        show_error(error)
    samples = samples_of(info)
    if samples is None:
        return
    st.markdown("Or try one of these:")
    clicked = gallery(samples.images, key="samples", aria_label="Samples to try", tile=56 if small else 112,
                      cache_key=samples.key)
    if clicked is not None:
        st.session_state.pop("refused", None)
        st.session_state["subject"] = samples.open(clicked)
        st.rerun()


def show_answer(info, subject: Subject) -> None:
    """The answer in words and bars, the image with its map, and what was done to it."""
    with st.spinner("Loading the network"):
        loaded = classifier(info.address)
    probs = answer_of(info.address, subject)
    chosen, names = chosen_of(info.address), info.class_names
    picture, answer = st.columns([6, 5], gap="large")
    with answer:
        place = st.container()
        calibrated = chosen.temperature is not None and st.toggle(
            "Calibrated probabilities", key="calibrated", persist_state="session", help="Divides all scores by the temperature "
            f"{chosen.temperature:.2f}, which was fitted on {chosen.images:,} validation images, so that of all images with 80 % "
            "eight in ten have the class. What the image is called stays the same. Page Evaluate shows how well it works, under "
            "Calibration.")
        decided = chosen.decide(probs, calibrated)
        best = max(decided.called or range(len(names)), key=decided.probs.__getitem__)
        show_decision(place, info, subject, chosen, decided)
        left, right = st.columns(2)
        with left:
            target = st.selectbox("Class to explain", range(len(names)), index=best, format_func=names.__getitem__,
                                  key=f"explain_{info.address}_{subject.token}")
        with right:
            layers = stage_names(loaded.model.stages)
            layer = st.selectbox("Layer", list(layers), index=len(layers) - 1, format_func=layers.get,
                                 key=f"layer_{info.address}", help=LAYER_HELP)
        show_steps(subject, loaded.model.preprocessing)
        st.caption(CAUTION)
        for note in loaded.notes:
            st.caption(escape(note))
    with picture:
        pixels, p = subject.pixels, loaded.model.preprocessing
        cam = map_of(info.address, pixels, subject.token, target, layer)
        show_map(pixels, on_original(cam, *pixels.shape[:2], p.resize), key="large", height=560,
                 token=f"{subject.token} {info.address} {loaded.epoch} {target} {layer}",
                 label=f"The image, with the map of what speaks for {names[target]}")
        st.caption("The map shows which places speak for the class that is explained. A bright place is a reason of the network, "
                   "not a proof of disease.")


def show_decision(place, info, subject: Subject, chosen: Chosen, decided: Decision) -> None:
    """In words, and as bars with the thresholds."""
    names = info.class_names
    with place:
        st.header(escape(headline(names, decided)), anchor=False)
        said = f"says {escape(info.title)}."
        if subject.truth is not None:
            said += f" The label of this sample is {escape(subject.truth)}."
        st.markdown(f"{said} {escape(how_called(names, chosen, decided))}")
        show_probabilities(names, decided.probs, thresholds=decided.thresholds)


def show_steps(subject: Subject, preprocessing) -> None:
    """What was done to the image, in three small pictures and as many sentences as it takes."""
    st.markdown("**What was done to the image**")
    pictures, sentences = steps_of(subject, preprocessing)
    for column, (title, pixels) in zip(st.columns(3), pictures):
        with column:
            st.image(pixels, width="stretch", alt=title)
            st.caption(title)
    st.caption(" ".join(escape(sentence) for sentence in sentences))


found = {info.address: info for info in list_classifiers()}
if not found:
    page_header("Classify")
    empty("There is no trained classifier yet. Train a small network; it takes a few minutes.", "Train a network", "train")
else:
    address, = page_header("Classify", Chip("run", "Classifier", {a: info.title for a, info in found.items()}, width=340))
    info = found[address]
    try:
        warm_up_classifier(address)
        take_drop()
        subject = st.session_state.get("subject")
        if subject is None:
            left, right = st.columns([5, 4], gap="large")
            with left:
                show_intake(info, small=False)
            with right:
                st.caption(f"Tells apart: {escape(', '.join(info.class_names))}. {CAUTION}")
                if info.card:
                    with st.expander("About this classifier"):
                        st.markdown(info.card)
        else:
            left, right = st.columns([25, 100], gap="large")
            with left:
                show_intake(info, small=True)
            with right:
                show_answer(info, subject)
    except LightboxError as error:
        show_error(error)
    next_step("Next: train a network of your own", "train")
