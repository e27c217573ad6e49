"""Lightbox: the list of its pages, in the order of the story. `streamlit run app.py` starts it."""

import streamlit as st

from ui import follow, garbage, theme

PAGES = (
    st.Page("screens/home/start.py", title="Start", default=True, help="What this is, three ways to begin, the latest runs."),
    st.Page("screens/data/browse.py", title="Browse", url_path="browse", help="Look at the images, by class and split."),
    st.Page("screens/data/add.py", title="Add", url_path="add", help="Bring images of your own: a folder, a table, a zip."),
    st.Page("screens/data/split.py", title="Split", url_path="split", help="Who learns and who judges; is the split honest."),
    st.Page("screens/data/augment.py", title="Augment", url_path="augment", help="Random changes of the images, seen live."),
    st.Page("screens/train/network.py", title="Network", url_path="network", help="What it is made of, costs and sees."),
    st.Page("screens/train/train.py", title="Train", url_path="train", help="Choose data, network and settings; queue a run."),
    st.Page("screens/train/runs.py", title="Runs", url_path="runs", help="Watch runs learn; stop and resume them."),
    st.Page("screens/judge/evaluate.py", title="Evaluate", url_path="evaluate", help="How good a run is, in numbers."),
    st.Page("screens/judge/errors.py", title="Errors", url_path="errors", help="What a run gets wrong, and where it looked."),
    st.Page("screens/judge/gradcam.py", title="Grad-CAM", url_path="gradcam", help="Why it said so, and is that map true."),
    st.Page("screens/judge/compare.py", title="Compare", url_path="compare", help="All runs; two of them on the same images."),
    st.Page("screens/use/classify.py", title="Classify", url_path="classify", help="Drop in an image and read the answer."),
)

st.set_page_config(page_title="Lightbox", page_icon="ui/icon.png", layout="wide")
theme.apply()
garbage.spare_imports()
st.navigation(PAGES, position="top").run()
follow.count_run()
