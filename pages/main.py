"""The list of pages, in the order of the story, and what stands around each of them."""

from pathlib import Path

import streamlit as st

from pages.shared import first_imports, gc_tuning, theme, widget_state

PAGES = (
    st.Page("start/page.py", title="Start", default=True, help="Choose images to begin with; your latest runs."),
    st.Page("browse/page.py", title="Browse", url_path="browse", help="Look at the images of a data set, by class and split."),
    st.Page("add/page.py", title="Add", url_path="add", help="Add images of your own: a folder, a table, a zip."),
    st.Page("split/page.py", title="Split", url_path="split", help="Split the images; find leakage and duplicates."),
    st.Page("augment/page.py", title="Augment", url_path="augment", help="Data augmentation, seen live."),
    st.Page("network/page.py", title="Network", url_path="network", help="Layers, costs and receptive field of a network."),
    st.Page("train/page.py", title="Train", url_path="train", help="Choose data, network and settings; start a training."),
    st.Page("runs/page.py", title="Runs", url_path="runs", help="Watch, stop and resume trainings."),
    st.Page("evaluate/page.py", title="Evaluate", url_path="evaluate", help="How good a network is, in numbers."),
    st.Page("errors/page.py", title="Errors", url_path="errors", help="What a network gets wrong, and where it looked."),
    st.Page("gradcam/page.py", title="Grad-CAM", url_path="gradcam", help="Which part of an image decided."),
    st.Page("compare/page.py", title="Compare", url_path="compare", help="All runs in one table; two of them in a paired test."),
    st.Page("ensemble/page.py", title="Ensemble", url_path="ensemble", help="Several networks that predict together."),
    st.Page("classify/page.py", title="Classify", url_path="classify", help="Classify an image of your own."),
)

widget_state.begin_run()
st.set_page_config(page_title="Lightbox", page_icon=str(Path(__file__).with_name("icon.png")), layout="wide")
theme.apply()
gc_tuning.spare_imports()
page = st.navigation(PAGES, position="top")
first_imports.import_first(page.url_path or "start")
page.run()
widget_state.count_run()
