"""Classify: drop an image and read the prediction, or many and read the table."""

from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.datasets.decode import warm as warm_decoder
from core.errors import LightboxError
from core.evaluation.decision import Chosen, Decision
from core.runs.classifiers import ClassifierInfo, list_classifiers
from core.runs.store import RunStore
from pages.classify.batch import show_batch, take_files, take_folder
from pages.classify.image import (
    InputImage,
    choose_calibration,
    decision_rule,
    headline,
    preprocessing_steps,
    read_as,
    read_file,
    samples_of,
    threshold_note,
)
from pages.shared.charts import show_probabilities
from pages.shared.gallery import gallery
from pages.shared.heatmap_image import on_original, show_map
from pages.shared.heatmaps import choose_layer, classifier, map_of, probs_of, warm_up_classifier
from pages.shared.intensity import draw_intensity
from pages.shared.layout import Chip, empty, escape, next_step, page_header, shorten, show_error, upload_limit
from pages.shared.members import draw_members
from pages.shared.widget_state import follow

CAUTION = ("A teaching tool, not a medical device: do not use it for decisions about patients. It knows only "
           "its own classes and predicts one of them for any image, even for a photo of a cat.")


def take_upload() -> None:
    """Make what was dropped, here or on the start page, the image to classify; several files together are a table. Each drop
    counts once."""
    files, dropped = st.session_state.get("file") or [], st.session_state.pop("dropped", None)
    known = st.session_state.get("uploaded", ())
    new = [file for file in files if file.file_id not in known]
    st.session_state["uploaded"] = tuple(file.file_id for file in files)
    if len(new) > 1:
        take_files([(file.name, file.getvalue()) for file in new])
        return
    if new:
        dropped = (new[0].name, new[0].getvalue())
    if dropped:
        for key in ("image_to_classify", "rejected", "batch"):
            st.session_state.pop(key, None)
        try:
            st.session_state["image_to_classify"] = read_file(*dropped)
        except LightboxError as error:
            st.session_state["rejected"] = (dropped[0], error)


def show_upload(info: ClassifierInfo, small: bool) -> None:
    """The drop zone, what was wrong with the last file, and samples to try."""
    with st.container(key="drop_small" if small else "drop"):
        st.file_uploader("Images", key="file", accept_multiple_files=True,
                         help="One image or many: PNG, JPEG, BMP, TIFF, WebP, GIF, PGM, JPEG 2000, AVIF, HEIC or DICOM, of "
                              f"any depth, up to 25 million pixels. {upload_limit()} They stay on this machine "
                              "and are deleted when you leave.")
        st.text_input("Or a folder on this machine", key="batch_folder", on_change=take_folder, placeholder="/data/ward-7",
                      help="All images in it, and in the folders below, are classified: a table that can be downloaded as CSV.")
    if "rejected" in st.session_state:
        name, error = st.session_state["rejected"]
        st.markdown(f"{escape(name)}:")
        show_error(error)
    samples = samples_of(info)
    if samples is None:
        return
    st.markdown("Or try a sample:")
    clicked = gallery(samples.images, key="samples", aria_label="Samples to try", tile=56 if small else 112,
                      cache_key=samples.key)
    if clicked is not None:
        for key in ("rejected", "batch"):
            st.session_state.pop(key, None)
        st.session_state["image_to_classify"] = samples.open(clicked)
        st.rerun()


def show_prediction(info: ClassifierInfo, image: InputImage) -> None:
    """The prediction in words and bars, the image with its map, and the preprocessing."""
    with st.spinner("Loading the network"):
        loaded = classifier(info.address)
    if image.content:
        image = choose_reading(image, loaded.model)
    rule, names, preprocessing = decision_rule(info.address), info.class_names, loaded.model.preprocessing
    picture, text = st.columns([6, 5], gap="large")
    with text:
        place = st.container()
        decision = rule.decide(probs_of(info.address, image.pixels, image.token), choose_calibration(rule))
        best = max(decision.predicted or range(len(names)), key=decision.probs.__getitem__)
        show_decision(place, info, image, rule, decision)
        left, right = st.columns(2)
        with left:
            target = st.selectbox("Class to explain", range(len(names)), index=best,
                                  format_func=names.__getitem__,
                                  key=f"explain_{info.address}_{image.token}")
        with right:
            layer = choose_layer(loaded, f"layer_{info.address}")
        show_preprocessing(image, preprocessing)
        st.caption(CAUTION)
        for note in loaded.notes:
            st.caption(escape(note))
    with picture:
        cam = map_of(info.address, image.pixels, image.token, target, layer)
        show_map(image.pixels, on_original(cam, *image.pixels.shape[:2], preprocessing.resize), key="large",
                 height=560,
                 token=f"{image.token} {info.address} {loaded.epoch} {target} {layer}",
                 label=f"The image with its Grad-CAM for {names[target]}")
        if not info.shipped:
            draw_members(RunStore().get(info.address), image.pixels, image.token, target, "classify_members")
        st.caption("Grad-CAM: bright regions are evidence for the explained class. They show what the "
                   "network looked at and do not prove disease.")


def choose_reading(image: InputImage, model) -> InputImage:
    """Offer the frame and how intensities are read, where there is something to choose; return the image so read."""
    chosen = st.session_state.get("reading", {})
    if chosen.get("of") != image.token:
        chosen = st.session_state["reading"] = {"of": image.token, "intensity": None, "frame": 1}
    trained = model.preprocessing.intensity
    value = trained if chosen["intensity"] is None else chosen["intensity"]
    both = image.frames > 1 and image.values is not None
    frame, intensity = st.columns([2, 5]) if both else [st.container()] * 2
    if image.frames > 1:
        with frame:
            st.number_input(f"Frame (of {image.frames:,})", 1, image.frames, help="The file holds several images, one a frame; "
                            "one of them is classified.", **follow("frame", chosen["frame"], chosen.__setitem__, "frame"))
    if image.values is not None:
        with intensity:
            draw_intensity("intensity", "Intensities", value, partial(chosen.__setitem__, "intensity"), lambda: image.values,
                           trained)
    return read_as(image, model, chosen["intensity"], chosen["frame"] - 1)


def show_decision(place: DeltaGenerator, info: ClassifierInfo, image: InputImage, rule: Chosen,
                  decision: Decision) -> None:
    """In words, and as bars with the thresholds."""
    names = info.class_names
    with place:
        st.header(escape(headline(names, decision)), anchor=False)
        label = "" if image.truth is None else f" Label of this sample: {escape(image.truth)}."
        st.markdown(f"Predicted by {escape(info.title)}.{label} "
                    f"{escape(threshold_note(names, rule, decision))}")
        show_probabilities(names, decision.probs, thresholds=decision.thresholds)


def show_preprocessing(image: InputImage, preprocessing) -> None:
    """Three small pictures, and as many sentences as it takes."""
    st.markdown("**Preprocessing**")
    pictures, sentences = preprocessing_steps(image, preprocessing)
    with st.container(key="preprocessing"):
        for column, (title, pixels) in zip(st.columns(3), pictures):
            with column:
                st.image(pixels, width="stretch", alt=title)
                st.caption(title)
    st.caption(" ".join(escape(sentence) for sentence in sentences))


classifiers = {info.address: info for info in list_classifiers()}
if not classifiers:
    page_header("Classify")
    empty("There is no trained classifier yet. Train a small network; it takes a few minutes.",
          "Train a network", "train")
else:
    address, = page_header("Classify",
                           Chip("run", "Classifier", {a: info.title for a, info in classifiers.items()},
                                width=340))
    info = classifiers[address]
    try:
        warm_up_classifier(address)
        warm_decoder()
        take_upload()
        image, batch = st.session_state.get("image_to_classify"), st.session_state.get("batch")
        small = image is not None or batch is not None
        left, right = st.columns([25, 100] if small else [5, 4], gap="large")
        with left:
            show_upload(info, small)
        with right:
            if image is not None:
                if batch is not None:
                    st.button(f"Back to {shorten(batch.title)}", icon=":material/arrow_back:", type="tertiary",
                              on_click=st.session_state.pop, args=("image_to_classify", None))
                show_prediction(info, image)
            elif batch is not None:
                show_batch(info, batch)
                st.caption(CAUTION)
            else:
                st.caption(f"Classes: {escape(', '.join(info.class_names))}. {CAUTION}")
                if info.card:
                    with st.expander("Model card"):
                        st.markdown(info.card)
    except LightboxError as error:
        show_error(error)
    next_step("Next: train a network of your own", "train")
