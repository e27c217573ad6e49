"""All runs as a table: searched, filtered by tags, with the metrics that one wants; a click chooses a run."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.metrics import METRICS
from core.runs.summary import RunSummary
from pages.shared import run_feed
from pages.shared.layout import format_ago, set_param
from pages.shared.widget_state import follow

MEASURES = {m: METRICS[m].title for m in ("roc_auc", "accuracy", *METRICS)}


def draw_table(rows: Sequence[RunSummary]) -> None:
    """The runs, the newest first; the head of a column sorts by it."""
    words, tags, measures = _choose(rows)
    shown = [row for row in rows if set(tags) <= set(row.tags) and row.matches(words)]
    if words or tags:
        st.caption(f"{len(shown):,} of {len(rows):,} runs")
    if not shown:
        st.caption("No runs match. Remove a word or a tag.")
        return
    table = pd.DataFrame([{
        "State": run_feed.STATES[row.state][0], "Run": row.name, "Tags": list(row.tags), "Data": row.dataset.rsplit("/", 1)[-1],
        "Network": row.network, "Details": row.details or None, **{_title(m): _value(row, m) for m in measures},
        "Epochs": f"{row.epoch} of {row.epochs}", "Queued": _ago(row), "Note": row.note or None} for row in shown])
    empty = [name for name in ("Tags", "Details", "Note") if not any(map(_is_there, table[name]))]
    numbers = {_title(m): st.column_config.NumberColumn(format="%.3f", help=METRICS[m].help + " On the validation images.")
               for m in measures}
    ids = tuple(row.id for row in shown)
    key = f"runs_{hash((ids, tuple(measures))):x}"
    st.dataframe(table.drop(columns=empty), key=key, hide_index=True, height="auto" if len(shown) < 8 else 320,
                 on_select=lambda: _choose_run(key, ids), selection_mode="single-row", alt="All runs, the newest first",
                 placeholder="-", column_config=numbers | {"Details": st.column_config.TextColumn(help=(
                     "Head, frozen layers and data augmentation."))})


def all_tags(rows: Sequence[RunSummary]) -> list[str]:
    """Every tag of these runs, the most frequent first."""
    counted: dict[str, int] = {}
    for row in rows:
        for tag in row.tags:
            counted[tag] = counted.get(tag, 0) + 1
    return sorted(counted, key=lambda tag: (-counted[tag], tag))


def show_only(tag: str) -> None:
    """Let the table begin with the runs of one tag."""
    _kept().update(words="", tags=[tag])


def _kept() -> dict:
    return st.session_state.setdefault("runs_found_by", {"words": "", "tags": [], "measures": ["roc_auc"]})


def _choose(rows: Sequence[RunSummary]) -> tuple[str, list[str], list[str]]:
    """What is searched for, which tags, which measures. Kept for the session."""
    kept, known = _kept(), all_tags(rows)
    kept["tags"] = [tag for tag in kept["tags"] if tag in known]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input("Search", placeholder="Name, tag, note, network, data or code", width=300, icon=":material/search:",
                      label_visibility="collapsed", **follow("runs_words", kept["words"], kept.__setitem__, "words"),
                      help="Finds runs with all of these words. A code is a run name in the format of report R001, such as "
                           "DenseNet169_da_0_ts_224_224_t_0_s_1_bs_16_XR_HUMERUS_binary.")
        with st.popover("Columns", icon=":material/view_column:", key="runs_columns", on_change="rerun") as columns:
            if columns.open:
                st.pills("Metrics on the validation images, at the best epoch", list(MEASURES), selection_mode="multi",
                         format_func=MEASURES.get, **follow("runs_measures", kept["measures"], kept.__setitem__, "measures"))
        if known:
            st.pills("Only runs with these tags", known, selection_mode="multi", label_visibility="collapsed",
                     **follow("runs_tags", kept["tags"], kept.__setitem__, "tags"))
    return kept["words"], kept["tags"], [m for m in MEASURES if m in kept["measures"]]


def _title(measure: str) -> str:
    return f"Best {MEASURES[measure]}" if measure == "roc_auc" else MEASURES[measure]


def _value(row: RunSummary, measure: str) -> float | None:
    return row.auc if measure == "roc_auc" else row.recorded.get(measure)


def _is_there(value: object) -> bool:
    return value is not None and value != [] and value == value


def _ago(row: RunSummary) -> str:
    return format_ago(time.time() - row.created)


def _choose_run(key: str, ids: Sequence[str]) -> None:
    chosen = st.session_state[key].selection.rows
    if chosen and chosen[0] < len(ids):
        set_param("run", ids[chosen[0]])
