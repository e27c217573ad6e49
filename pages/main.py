"""The list of pages, in the order of the story, and what stands around each of them."""

from pathlib import Path

import streamlit as st

from pages.shared import gc_tuning, theme, widget_state

PAGES = (
    st.Page("start/page.py", title="Start", default=True, help="What this is, three ways to begin, the latest runs."),
    st.Page("browse/page.py", title="Browse", url_path="browse", help="Look at the images, by class and split."),
    st.Page("add/page.py", title="Add", url_path="add", help="Bring images of your own: a folder, a table, a zip."),
    st.Page("split/page.py", title="Split", url_path="split", help="Who learns and who judges; is the split honest."),
    st.Page("augment/page.py", title="Augment", url_path="augment", help="Random changes of the images, seen live."),
    st.Page("network/page.py", title="Network", url_path="network", help="What it is made of, costs and sees."),
    st.Page("train/page.py", title="Train", url_path="train", help="Choose data, network and settings; queue a run."),
    st.Page("runs/page.py", title="Runs", url_path="runs", help="Watch runs learn; stop and resume them."),
    st.Page("evaluate/page.py", title="Evaluate", url_path="evaluate", help="How good a run is, in numbers."),
    st.Page("errors/page.py", title="Errors", url_path="errors", help="What a run gets wrong, and where it looked."),
    st.Page("gradcam/page.py", title="Grad-CAM", url_path="gradcam", help="Why it said so, and is that map true."),
    st.Page("compare/page.py", title="Compare", url_path="compare", help="All runs; two of them on the same images."),
    st.Page("classify/page.py", title="Classify", url_path="classify", help="Drop in an image and read the answer."),
)

st.set_page_config(page_title="Lightbox", page_icon=str(Path(__file__).with_name("icon.png")), layout="wide")
theme.apply()
gc_tuning.spare_imports()
st.navigation(PAGES, position="top").run()
widget_state.count_run()
