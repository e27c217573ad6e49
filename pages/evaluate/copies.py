"""Metrics with and without the images that have a copy in training, side by side."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.evaluation.copies import CopyEvaluation
from core.metrics import METRICS
from pages.shared.layout import escape, format_interval, link


def draw_copies(evaluation: CopyEvaluation | None, dataset: str) -> None:
    """Draw how many images have a copy in training and what the metrics are without them; where nobody has searched, say so.

    Args:
        dataset: where the search stands, on the page Split
    """
    if evaluation is None:
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key="copies_unknown"):
            st.caption("Copies of training images: not searched yet.", width="content",
                       help="An image that is also in training, exactly or saved again, may be known by heart. The page Split "
                            "searches all images once; then this page shows the metrics without them.")
            link("Search on the page Split", "split", dataset=dataset)
        return
    if not evaluation.without:
        st.caption(escape(evaluation.sentence))
        return
    names = [name for name in evaluation.every if name in evaluation.without]
    rows = ((f"All {evaluation.n:,} images", evaluation.every),
            (f"Without copies in training: {evaluation.n - evaluation.copied:,}", evaluation.without))
    frame = pd.DataFrame([{"images": title} | {name: format_interval(of[name].value, of[name].low, of[name].high, 3)
                                               for name in names} for title, of in rows])
    st.dataframe(frame, hide_index=True, key="copies", alt="Metrics with and without the images that have a copy in training",
                 column_config={"images": st.column_config.TextColumn("Images", pinned=True)}
                 | {name: st.column_config.TextColumn(METRICS[name].title, alignment="right",
                                                      help=f"{METRICS[name].help} In brackets the 95 % interval.")
                    for name in names})
