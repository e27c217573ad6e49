"""One image of a run, opened beside the gallery: where the network looked, what it predicted, and what
else is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import streamlit as st

from core.datasets import Dataset
from core.evaluation import thresholds
from core.evaluation.predictions import Predictions
from core.metrics import MULTI_LABEL
from core.metrics.confusion import thresholds_of_classes
from core.runs.marks import Mark
from core.runs.store import Run
from pages.errors.marks import draw_mark
from pages.errors.related import draw_nearest, draw_other_runs, draw_patient, predictions_of_other_runs
from pages.shared.charts import show_probabilities
from pages.shared.error_order import SplitView, description
from pages.shared.heatmap_image import on_original, show_map
from pages.shared.heatmaps import choose_layer, classifier, map_of, original_of
from pages.shared.image_facts import facts_html
from pages.shared.layout import escape
from pages.shared.members import draw_members


def draw_details(run: Run, runs: Sequence[Run], split: str, data: Dataset, rows: np.ndarray, i: int,
                 view: SplitView,
                 preds: Predictions, marks: Mapping[str, Mark] | None, explained: int) -> None:
    """Image `i` of the split in full resolution: its prediction, where the network looked, and what else is
    known.

    Args:
        runs: among which others on the same images are looked for
        rows: (N,) of the data set, for the N images of the split
        marks: of the data set; None where they cannot be read
        explained: the class that is explained at first
    """
    st.html(Path(__file__).with_suffix(".css"))
    row = int(rows[i])
    facts = data.table.iloc[row]
    image_id = str(facts["image_id"])
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header(escape(image_id), anchor=False, width="stretch")
        if st.button("Close", icon=":material/close:", type="tertiary"):
            st.query_params.pop("image", None)
            st.rerun()
    st.markdown(description(view, i))
    task, class_names = run.data()["task"], run.data()["class_names"]
    multi_label = task == MULTI_LABEL
    if multi_label:
        labelled = [escape(name) for name, there in zip(class_names, preds.labels[i]) if there == 1]
        unknown = [escape(name) for name, there in zip(class_names, preds.labels[i]) if there < 0]
        st.caption(f"Labels: {', '.join(labelled) or 'no finding'}." + (f" Not known: {', '.join(unknown)}." if unknown else ""))
    pixels, mask = original_of(data, row)
    place = st.container()
    with st.spinner("Loading the network"):
        loaded = classifier(run.id)
    left, right = st.columns(2)
    with left:
        target = st.selectbox("Class to explain", range(len(class_names)), index=explained,
                              format_func=class_names.__getitem__, key=f"target_{run.id}_{row}")
    with right:
        layer = choose_layer(loaded, "details_layer")
    token = f"{data.fingerprint} {row}"
    cam = map_of(run.id, pixels, token, target, layer)
    with place:
        show_map(pixels, on_original(cam, *pixels.shape[:2], loaded.model.preprocessing.resize), key="large",
                 outline=mask,
                 token=f"{token} {run.id} {loaded.epoch} {target} {layer}", height=330,
                 label=f"Image {image_id} with its Grad-CAM for {class_names[target]}")
    draw_members(run, pixels, token, target, "members")
    if loaded.epoch != preds.epoch:
        st.caption(f"The predictions are of epoch {preds.epoch}, the map of epoch {loaded.epoch}.")
    if marks is not None:
        draw_mark(run.config.data.dataset, image_id, marks.get(image_id), () if multi_label else class_names)
    show_probabilities(class_names, preds.probs[i], true=None if multi_label else int(view.labels[i]),
                       limit=5,
                       always=[target],
                       thresholds=thresholds_of_classes(thresholds.of(run), task, len(class_names)))
    draw_patient(data, row, rows, view)
    draw_nearest(run, data, row, class_names)
    draw_other_runs(predictions_of_other_runs(run, runs, split, image_id, view.finding))
    st.markdown("**Metadata**")
    known = [("Image size", f"{pixels.shape[1]} x {pixels.shape[0]} px, "
                            f"{'gray' if pixels.shape[2] == 1 else 'colour'}")]
    known += [(name.replace("_", " ").capitalize(), value) for name,
              value in facts.items() if str(value) != "nan"]
    st.html(facts_html(known))
