"""Runs in a table: found by words and tags, sorted by a click on a column, chosen by a click on a row.

The one table of runs of all pages. Which columns a page shows at first and what a click on a row does is the
page's (`RunTable`, `draw_table`). A row is a `RunGroup` of `RunSummary`s: one run, or several seeds of one
setting.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import streamlit as st

from core.evaluation import leaderboard
from core.evaluation.leaderboard import COUNTS, RunGroup
from core.metrics import METRICS
from core.runs.summary import RunSummary
from pages.shared.run_columns import (
    AFTER,
    COLUMNS,
    NUMBER,
    OPTIONAL,
    cell,
    count_cells,
    images_cell,
    number_cell,
    plain,
)
from pages.shared.widget_state import follow

HERE = Path(__file__).parent
SPLITS = {"train": "Training", "val": "Validation", "test": "Test, where opened"}
MORE = {"n": "Images", "counts": "TP, FN, FP, TN", "train": "Training results",
        "test": "Test results"}                      # columns beside the metrics, where a page offers them
WHOLE = ("roc_auc", "accuracy", "macro_precision", "balanced_accuracy", "macro_f1")      # in every CSV, beside what is shown
COUNTS_HELP = {"tp": "True positives: images of the positive class that are predicted positive.",
               "fn": "False negatives: images of the positive class that are missed.",
               "fp": "False positives: images of the negative class that are predicted positive.",
               "tn": "True negatives: images of the negative class that are predicted negative."}
ONLY_TWO = "Empty for more than two classes, for several seeds in one row, and before the run has predictions."
UNKNOWN = {"train": "Empty for runs that did not evaluate the training images in the same way as the validation images: "
                    "\"Evaluate on training images\" on the page Train.",
           "val": "Empty before the first epoch has ended.",
           "test": "Empty for runs whose test set has not been opened, on the page Evaluate."}
INTERVAL = "Below it the 95 % interval: Wilson's for proportions, otherwise a bootstrap by patient."
SHUT = "Sorting by test is off: see the switch above the table."

_element = st.components.v2.component(
    "lightbox_run_table", html="<div class='scroll' tabindex='0'><table></table></div>",
    css=(HERE / "run_table.css").read_text(), js=(HERE / "run_table.js").read_text())


@dataclass(frozen=True)
class RunTable:
    """The table of a page.

    Args:
        page: stem of its keys
        columns: of COLUMNS and MORE, shown at first beside the name
        metrics: shown at first
        by: (column, largest first) that sorts it at first; None: in the order that is usual for the column
        offered: columns that a person may choose
        only_wide: columns that a narrow window leaves out until somebody has chosen columns
    """
    page: str
    columns: tuple[str, ...]
    metrics: tuple[str, ...]
    by: tuple[str, bool | None]
    offered: tuple[str, ...]
    only_wide: tuple[str, ...] = ()


ABOUT = tuple(key for key in COLUMNS if key != "name")
# On Runs. It stands here since the page Train says what it begins with.
RUNS = RunTable("runs", ("state", "data", "details", "epochs", "created", "curve", "tags", "note"),
                ("roc_auc",), ("created", None), ABOUT,
                only_wide=("data", "details", "epochs", "created", "curve", "tags", "note"))


# ------------------------------------------------------------------------------------------- what is shown

def kept(table: RunTable) -> dict:
    """What was chosen here, for the session."""
    return st.session_state.setdefault(f"{table.page}_table", {
        "words": "", "tags": [], "metrics": list(table.metrics), "columns": None, "by": table.by,
        "fold": False, "test": False})


def show_only(table: RunTable, tag: str) -> None:
    """Let a table begin with the runs of one tag."""
    kept(table).update(words="", tags=[tag])


def shown_columns(table: RunTable) -> list[str]:
    """The keys of COLUMNS and MORE that are shown."""
    chosen = kept(table)["columns"]
    return list(table.columns) if chosen is None else chosen


def all_tags(rows: Sequence[RunSummary]) -> list[str]:
    """Every tag of these runs, the most frequent first."""
    counted: dict[str, int] = {}
    for row in rows:
        for tag in row.tags:
            counted[tag] = counted.get(tag, 0) + 1
    return sorted(counted, key=lambda tag: (-counted[tag], tag))


def choose(table: RunTable, rows: Sequence[RunSummary], of: int | None = None) -> list[RunSummary]:
    """Draw the search, the menu of columns and the tags. Returns the runs that are left.

    Args:
        of: how many runs there are, if not these alone
    """
    chosen, known = kept(table), all_tags(rows)
    chosen["tags"] = [tag for tag in chosen["tags"] if tag in known]
    st.text_input("Search", placeholder="Name, tag, note, network, data or code", width=300,
                  icon=":material/search:", label_visibility="collapsed", **_follow(table, "words"),
                  help="Finds runs with all of these words. A code is a run name in the format of the report on MURA (R001), "
                       "such as DenseNet169_da_0_ts_224_224_t_0_s_1_bs_16_XR_HUMERUS_binary.")
    with st.popover("Columns", icon=":material/view_column:", key=f"{table.page}_columns",
                    on_change="rerun") as columns:
        if columns.open:
            st.pills("Metrics", list(METRICS), selection_mode="multi", format_func=lambda m: METRICS[m].title,
                     help="On the validation images, at the best epoch.", **_follow(table, "metrics"))
            st.pills("Other columns", list(table.offered), selection_mode="multi",
                     format_func=lambda key: MORE.get(key) or COLUMNS[key].title,
                     help="A narrow window shows only the most important ones until you choose.",
                     **follow(f"{table.page}_about", shown_columns(table), chosen.__setitem__, "columns"))
    if known:
        st.pills("Only runs with these tags", known, selection_mode="multi", label_visibility="collapsed",
                 **_follow(table, "tags"))
    left = [row for row in rows if set(chosen["tags"]) <= set(row.tags) and row.matches(chosen["words"])]
    if chosen["words"] or chosen["tags"] or len(left) < (of or 0):
        st.caption(f"{len(left):,} of {of or len(rows):,} runs", width="content")
    return left


def _follow(table: RunTable, what: str) -> dict:
    return follow(f"{table.page}_{what}", kept(table)[what], kept(table).__setitem__, what)


# ------------------------------------------------------------------------------------------- in which order

def sorting(table: RunTable) -> tuple[str, bool]:
    """Return (column, largest first); never a column of test while that is shut."""
    column, down = kept(table)["by"]
    split, _, metric = column.partition(":")
    if split == "test" and not kept(table)["test"]:
        column = f"val:{metric}"
    if down is None:
        down = METRICS[metric].higher_is_better if metric else COLUMNS[column].down
    return column, down


def sort_rows(rows: Sequence[RunGroup], column: str, down: bool) -> list[RunGroup]:
    """Sort rows by a column; those without a value come last."""
    split, _, metric = column.partition(":")
    by = (lambda row: row.estimate(metric, split)[0]) if metric else COLUMNS[column].value
    return leaderboard.order_by(rows, by, down)


def _sort_by(table: RunTable, key: object, now: tuple[str, bool]) -> bool:
    """Take a click on a head: it sorts by that, and a second one turns the order round."""
    split, _, metric = str(key).partition(":")
    splits = SPLITS if kept(table)["test"] else ("train", "val")
    known = str(key) in COLUMNS or split in splits and metric in METRICS
    if known:
        kept(table)["by"] = str(key), (not now[1] if key == now[0] else None)
    return known


# ------------------------------------------------------------------------------------------------ the table

def draw_table(table: RunTable, rows: Sequence[RunGroup], marks: Mapping[str, tuple[str, str]],
               on_pick: Callable[[str], None], *, sorted_by: tuple[str, bool], verb: str = "Pick",
               on_sort: Callable[[], None] = lambda: None, without: Sequence[str] = ()) -> None:
    """Draw rows in the order in which they come.

    Args:
        marks: id of the first run of a row that is chosen -> (its letter, its colour)
        on_pick: called with that id when a row is clicked
        sorted_by: (column, largest first), see `sorting`
        verb: what a click on a row does
        on_sort: called when a click has changed what sorts
        without: keys of COLUMNS that say nothing here
    """
    about, metrics, splits = _what(table, rows, without)
    several = len({row.first.data_title for row in rows}) > 1
    heads = _heads(table, about, metrics, splits, sorted_by)
    best = {(m, split): leaderboard.best(rows, m, split) for m in metrics for split in splits}
    lines = []
    for place, row in enumerate(rows):
        numbers = [one for split in splits for one in (
            *[images_cell(row, split)] * ("n" in shown_columns(table) and split != "train"),
            *count_cells(row, split) * ("counts" in shown_columns(table) and split != "train"),
            *(number_cell(row, m, split, place in best[m, split]) for m in metrics))]
        cells = [cell(key, row) for key in about if key not in AFTER]
        cells += numbers + [cell(key, row) for key in about if key in AFTER]
        cells[0]["data"] = row.first.data_title if several else ""
        letter, hue = marks.get(row.first.id, ("", ""))
        lines.append({"id": row.first.id, "name": row.name, "cells": cells, "letter": letter, "hue": hue,
                      "ink": hue and _ink(hue)})
    key = f"{table.page}_run_table"

    def sort() -> None:
        if _sort_by(table, st.session_state[key].get("sorted"), sorted_by):
            on_sort()

    def pick() -> None:
        run_id = st.session_state[key].get("picked")
        if any(row.first.id == run_id for row in rows):
            on_pick(str(run_id))
    _element(key=key, on_sorted_change=sort, on_picked_change=pick,
             data={"columns": heads, "rows": lines, "label": "Runs and their results", "verb": verb})


def draw_csv(table: RunTable, rows: Sequence[RunGroup], without: Sequence[str] = ()) -> None:
    """Draw the button that saves these rows and the columns that are shown."""
    st.download_button("CSV", lambda: as_csv(table, rows, without), "runs.csv", "text/csv", on_click="ignore",
                       icon=":material/download:", key=f"{table.page}_csv",
                       help="These rows and columns in full precision, with the best epoch, TP, FN, FP, TN, ROC AUC, "
                            "accuracy and macro precision, recall and F1 on training, validation and test.")


def as_csv(table: RunTable, rows: Sequence[RunGroup], without: Sequence[str] = ()) -> str:
    """Return the table as CSV: a line for each row, a metric with the ends of its interval, empty what is not known."""
    about, metrics, _ = _what(table, rows, without)
    lines = []
    for row in rows:
        line = {"id": row.first.id}
        line |= {COLUMNS[key].title: plain(key, row) for key in dict.fromkeys(["code", "best_epoch", *about])}
        for split in SPLITS:
            scores = row.first.scores.get(split, {})
            line[f"n, {split}"] = scores.get("n", row.first.n.get("train") if split == "train" else None)
            if split != "train":
                line |= {f"{title}, {split}": count for title, count in zip(COUNTS.values(), row.counts(split))}
            for m in dict.fromkeys((*metrics, *WHOLE)):
                ends = ("",) if split == "train" else ("", " low", " high")          # training has no intervals
                line |= {f"{METRICS[m].title}{end}, {split}": x for end, x in zip(ends, row.estimate(m, split))}
        lines.append(line)
    return pd.DataFrame(lines, dtype=object).to_csv(index=False)         # whole numbers stay whole beside empty cells


def _what(table: RunTable, rows: Sequence[RunGroup],
          without: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """(keys of COLUMNS, metrics, splits) that are shown."""
    shown = shown_columns(table)
    empty = {key for key in OPTIONAL if not any(COLUMNS[key].cell(row) for row in rows)}
    about = ["name", *(key for key in COLUMNS if key in shown and key not in {*without, *empty})]
    metrics = [m for m in dict.fromkeys((*table.metrics, *METRICS)) if m in kept(table)["metrics"]]
    # a table that nobody has changed has no columns that are empty in every row
    opened = kept(table)["columns"] is not None or any("test" in run.scores for row in rows for run in row.runs)
    return about, metrics, [split for split in SPLITS if split == "val" or split in shown and (split == "train" or opened)]


def _heads(table: RunTable, about: Sequence[str], metrics: Sequence[str], splits: Sequence[str],
           sorted_by: tuple[str, bool]) -> list[dict]:
    """The head of each column, of the one with the buttons too."""
    def head(key: str) -> dict:
        column = COLUMNS[key]
        return {"key": key, "title": column.title, "help": column.help, "look": column.look,
                "lesser": kept(table)["columns"] is None and key in table.only_wide}
    heads = [{"title": "", "key": ""}, *(head(key) for key in about if key not in AFTER)]
    for split in splits:
        shut = split == "test" and not kept(table)["test"]
        of = [{"title": "n", "help": "Number of images, and how many of them are positive.", "key": "",
               "look": NUMBER}] * ("n" in shown_columns(table) and split != "train")
        if "counts" in shown_columns(table) and split != "train":
            of += [{"title": title, "help": f"{COUNTS_HELP[key]} {ONLY_TWO} {UNKNOWN[split]}", "key": "", "look": NUMBER}
                   for key, title in COUNTS.items()]
        of += [{"key": f"{split}:{m}", "title": METRICS[m].title, "look": NUMBER, "shut": shut,
                "help": " ".join(filter(None, (METRICS[m].help, INTERVAL * (split != "train"), UNKNOWN[split], SHUT * shut)))}
               for m in metrics]
        heads += [one | {"group": SPLITS[split], "first": place == 0} for place, one in enumerate(of)]
    after = [key for key in about if key in AFTER]
    heads += [head(key) | {"first": place == 0} for place, key in enumerate(after)]
    order = "down" if sorted_by[1] else "up"
    return [one | ({"sorted": order} if one["key"] == sorted_by[0] else {}) for one in heads]


def _ink(hue: str) -> str:
    """Black or white, whichever is read better on a colour: equal at a relative luminance of 0.179 (WCAG
    2)."""
    parts = (int(hue[i:i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return "#000" if 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] > 0.179 else "#fff"
