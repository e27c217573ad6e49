"""Start: what this is, ways to begin, the latest runs, this machine."""

import time
from collections.abc import Sequence

import streamlit as st

from core.datasets import list_datasets
from core.datasets.medmnist import INFO
from core.errors import LightboxError
from core.runs.states import LIVE
from core.runs.store import RunStore
from core.runs.summary import RunSummary
from pages.shared import run_feed
from pages.shared.charts import show_sparkline
from pages.shared.damaged import draw_damaged_runs, draw_damaged_sets
from pages.shared.layout import escape, format_ago, format_number, go, link, page_header, shorten, show_error, upload_limit
from pages.shared.open_data import look_at, show_machine
from pages.shared.theme import STATES
from pages.start import hero_image

RUNS = 4                # as many as stand beside each other
TAGS = 3                # of a run on its card


def draw_ways() -> None:
    """Three ways to images, and one that needs none."""
    phantom, medmnist, own, drop = st.columns(4, gap="medium")
    with phantom:
        st.header("Phantom X-rays", anchor=False)
        st.markdown("Synthetic X-rays made by simulation, so the truth is known: three body parts, normal or with a "
                    "fracture, a lesion or metal.")
        if st.button("Start with phantom X-rays", type="primary", width="stretch", wrap=True):
            go("browse", dataset="phantom")
    with medmnist:
        st.header("MedMNIST", anchor=False)
        st.markdown("Twelve public data sets of small medical images: ultrasound, CT, skin, retina, tissue and more.")
        sets = {info.name: info for info in list_datasets() if info.name in INFO}
        there = [name for name in sets if sets[name].available]
        name = st.selectbox("MedMNIST data set", list(sets), label_visibility="collapsed",
                            index=list(sets).index(there[0] if there else "breastmnist"),
                            format_func=lambda n: sets[n].title + ("" if sets[n].available else " (download)"),
                            key="start_medmnist", persist_state="session")
        if st.button(f"Use {sets[name].title}", width="stretch", key="start_medmnist_go"):
            go("browse", dataset=name)
    with own:
        st.header("My images", anchor=False)
        st.markdown("Class folders, a table with images, a zip, MURA or an .npz file. Your files stay where they are.")
        path = st.text_input("Path of a folder, table, zip or .npz file", placeholder="/path/to/images",
                             label_visibility="collapsed", key="start_path", persist_state="session").strip()
        if st.button("Use my images", width="stretch", key="start_path_go"):
            st.session_state.pop("add_form", None)
            go("add", path=path or st.session_state.get("last_path"))
        if path:
            draw_path_check(path)
    with drop:
        st.header("Classify an image", anchor=False)
        st.markdown("Let a small pretrained network classify an image, and see where it looked.")
        image = st.file_uploader("Image to classify", key="start_drop", label_visibility="collapsed",
                                 help=upload_limit())
        if image is not None:
            st.session_state["dropped"] = (image.name, image.getvalue())
            go("classify")
        link("Try a sample image", "classify")


def draw_path_check(path: str) -> None:
    """Show at once what is wrong with a path, or what there is."""
    try:
        st.caption(escape(look_at(path)))
    except LightboxError as error:
        show_error(error)


def draw_runs(runs: Sequence[RunSummary]) -> None:
    """The latest runs as cards: name, the validation AUC as it went, state."""
    st.header("Latest runs", anchor=False)
    for run, column in zip(runs, st.columns(RUNS, gap="medium")):
        best = "no result yet" if run.best_auc is None else (
            f"{'best ' if run.curve else ''}validation AUC {format_number(run.best_auc)}")
        with column:
            link(escape(shorten(run.name, 42)), "evaluate" if run.state == "finished" else "runs", run=run.id)
            show_sparkline(run.curve, f"Validation AUC of {run.name} over {len(run.curve)} epochs: {best}" if run.was_trained else
                           f"{run.name}: {best}", domain=(0.5, 1.0))
            when = "" if run.state in LIVE else f", {format_ago(time.time() - run.since)}"
            tags = "".join(f" :gray-badge[{escape(tag)}]" for tag in run.tags[:TAGS])
            st.caption(f"{STATES[run.state][0].lower()}{when} | {best}{tags}")


page_header("Lightbox")
st.markdown("A laboratory for medical image classification: look at the images, train a network on this machine, evaluate "
            "it, see what it gets wrong and where it looked.", width="content")
st.image(str(hero_image.PICTURE), width="stretch", alt=hero_image.ALT)
draw_ways()
runs = run_feed.all_runs(RunStore())[:RUNS]
if runs:
    draw_runs(runs)
draw_damaged_runs()
draw_damaged_sets()
show_machine()
