"""Runs in a table: found by words and tags, sorted by a click on a column, chosen by a click on a row.

The one table of runs of all pages. Which columns a page shows at first and what a click on a row does is the
page's (`RunTable`, `draw_table`). A row is a `RunGroup` of `RunSummary`s: one run, or several seeds of one
setting.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from core.evaluation import leaderboard
from core.evaluation.leaderboard import RunGroup
from core.metrics import METRICS
from core.runs.summary import RunSummary
from pages.shared import theme
from pages.shared.charts import sparkline
from pages.shared.layout import format_ago, format_number, format_seconds
from pages.shared.widget_state import follow

HERE = Path(__file__).parent
SPLITS = {"val": "Validation", "test": "Test, where opened"}
MORE = {"n": "Images", "test": "Test results"}               # columns beside the metrics, where a page offers them
INTERVAL = "Below it the 95 % interval: Wilson's for proportions, otherwise a bootstrap by patient."
SHUT = "Sorting by test is off: see the switch above the table."
POINTS = 60                                                  # of a curve as small as a word
NUMBER, NAME = "number", "name"                              # looks of a column

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


@dataclass(frozen=True)
class Column:
    """A column that says what a run is.

    Args:
        cell: a text, a list of tags, or {"text", "small", "hue", "svg"}
        value: what it is sorted by
        down: whether the first click puts the largest first
    """
    title: str
    help: str
    cell: Callable[[RunGroup], Any]
    value: Callable[[RunGroup], str | float | None]
    look: str = ""
    down: bool = False


def _of_first(name: str) -> Callable[[RunGroup], str]:
    return lambda row: getattr(row.first, name)


def _state(row: RunGroup) -> dict:
    word, color = theme.STATES[row.first.state]
    return {"text": word, "hue": color}


def _name(row: RunGroup) -> dict:
    config = row.first.config
    seeds = f", {len(row.runs)} seeds" if len(row.runs) > 1 else f", seed {config.train.seed}"
    return {"text": row.name, "small": f"{config.model.name}, {config.data.size} px{seeds}"}


def _curve(row: RunGroup) -> dict:
    curve = row.first.curve
    if not curve:
        return {"text": ""}
    few = curve[::-1][::-(-len(curve) // POINTS)][::-1]             # the last one is always there
    best = f"{len(curve)} epochs, best {format_number(row.first.best_auc)}"
    return {"text": best, "svg": sparkline(few, domain=(0.5, 1.0), width=84, height=20)}


COLUMNS = {
    "name": Column("Run", "Its name, network and image size.", _name, lambda row: row.name.casefold(), NAME),
    "state": Column("State", "What it is doing, or how it ended.", _state, _of_first("state")),
    "data": Column("Data", "Results on different data sets are not comparable.", _of_first("data_title"),
                   lambda row: row.first.data_title.casefold()),
    "network": Column("Network", "The pretrained or new network.", _of_first("network"), _of_first("network")),
    "details": Column("Details", "Head, frozen layers and data augmentation.", _of_first("details"),
                      _of_first("details")),
    "epochs": Column("Epochs", "Finished epochs.", lambda row: f"{row.first.epoch} of {row.first.epochs}",
                     _of_first("epoch"), NUMBER),
    "created": Column("Queued", "When the run was made.", lambda row: format_ago(time.time() - row.first.created),
                      _of_first("created"), down=True),
    "seconds": Column("Training", "Time of training and validation, without waiting; the mean over several seeds. Not "
                      "comparable between machines.", lambda row: format_seconds(row.seconds),
                      lambda row: row.seconds, NUMBER),
    "curve": Column("Curve", "ROC AUC on validation over the epochs, from 0.5 to 1.", _curve, _of_first("best_auc"),
                    down=True),
    "tags": Column("Tags", "Written on the page Runs.", lambda row: list(row.first.tags),
                   lambda row: " ".join(row.first.tags).casefold() or None),
    "note": Column("Note", "Written on the page Runs.", _of_first("note"), lambda row: row.first.note.casefold() or None),
}
AFTER = ("curve", "tags", "note")                            # right of the metrics
OPTIONAL = ("details", "tags", "note")                       # left out where no row has any
ABOUT = tuple(key for key in COLUMNS if key != "name")
# On Runs. It stands here since the page Train says what it begins with.
RUNS = RunTable("runs", ("state", "data", "details", "epochs", "created", "curve", "tags", "note"), ("roc_auc",),
                ("created", None), ABOUT, only_wide=("data", "details", "epochs", "created", "curve", "tags", "note"))


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
    st.text_input("Search", placeholder="Name, tag, note, network, data or code", width=300, icon=":material/search:",
                  label_visibility="collapsed", **_follow(table, "words"),
                  help="Finds runs with all of these words. A code is a run name in the format of report R001, such as "
                       "DenseNet169_da_0_ts_224_224_t_0_s_1_bs_16_XR_HUMERUS_binary.")
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
    splits = SPLITS if kept(table)["test"] else ("val",)
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
        numbers = [cell for split in splits for cell in (
            *[_images(row, split)] * ("n" in shown_columns(table)),
            *(_number(row, m, split, place in best[m, split]) for m in metrics))]
        cells = [_cell(key, row) for key in about if key not in AFTER]
        cells += numbers + [_cell(key, row) for key in about if key in AFTER]
        cells[0]["data"] = row.first.data_title if several else ""
        letter, hue = marks.get(row.first.id, ("", ""))
        lines.append({"id": row.first.id, "name": row.name, "cells": cells, "letter": letter, "hue": hue,
                      "ink": hue and _ink(hue)})
    key = f"{table.page}_run_table"
    _element(key=key, on_sorted_change=lambda: _sort_by(table, st.session_state[key].get("sorted"), sorted_by) and on_sort(),
             on_picked_change=lambda: _pick(st.session_state[key].get("picked"), rows, on_pick),
             data={"columns": heads, "rows": lines, "label": "Runs and their results", "verb": verb})


def draw_csv(table: RunTable, rows: Sequence[RunGroup], without: Sequence[str] = ()) -> None:
    """Draw the button that saves these rows and the columns that are shown."""
    st.download_button("CSV", lambda: as_csv(table, rows, without), "runs.csv", "text/csv", icon=":material/download:",
                       key=f"{table.page}_csv", on_click="ignore", help="These rows and columns as a table, in full precision.")


def as_csv(table: RunTable, rows: Sequence[RunGroup], without: Sequence[str] = ()) -> str:
    """Return the table as CSV: a line for each row, a metric with the ends of its interval."""
    about, metrics, splits = _what(table, rows, without)
    lines = []
    for row in rows:
        line = {"id": row.first.id} | {COLUMNS[key].title: _plain(key, row) for key in about}
        for split in splits:
            if "n" in shown_columns(table):
                line[f"n, {split}"] = row.first.scores.get(split, {}).get("n")
            for m in metrics:
                value = row.estimate(m, split)
                line |= {f"{METRICS[m].title}{end}, {split}": x for end, x in zip(("", " low", " high"), value)}
        lines.append(line)
    return pd.DataFrame(lines).to_csv(index=False)


def _plain(key: str, row: RunGroup) -> object:
    if key in ("seconds", "curve"):
        return COLUMNS[key].value(row)
    if key == "created":
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row.first.created))
    cell = COLUMNS[key].cell(row)
    return cell["text"] if isinstance(cell, dict) else " ".join(cell) if isinstance(cell, list) else cell


def _what(table: RunTable, rows: Sequence[RunGroup], without: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """(keys of COLUMNS, metrics, splits) that are shown."""
    shown = shown_columns(table)
    empty = {key for key in OPTIONAL if not any(COLUMNS[key].cell(row) for row in rows)}
    about = ["name", *(key for key in COLUMNS if key in shown and key not in {*without, *empty})]
    metrics = [m for m in dict.fromkeys((*table.metrics, *METRICS)) if m in kept(table)["metrics"]]
    opened = "test" in shown and any("test" in run.scores for row in rows for run in row.runs)
    return about, metrics, ["val", "test"] if opened else ["val"]


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
               "look": NUMBER}] * ("n" in shown_columns(table))
        of += [{"key": f"{split}:{m}", "title": METRICS[m].title, "look": NUMBER, "shut": shut,
                "help": f"{METRICS[m].help} {INTERVAL} {SHUT if shut else ''}".strip()} for m in metrics]
        heads += [one | {"group": SPLITS[split], "first": place == 0} for place, one in enumerate(of)]
    heads += [head(key) | {"first": place == 0} for place, key in enumerate(key for key in about if key in AFTER)]
    order = "down" if sorted_by[1] else "up"
    return [one | ({"sorted": order} if one["key"] == sorted_by[0] else {}) for one in heads]


def _pick(run_id: object, rows: Sequence[RunGroup], on_pick: Callable[[str], None]) -> None:
    if any(row.first.id == run_id for row in rows):
        on_pick(str(run_id))


# ------------------------------------------------------------------------------------------------ the cells

def _cell(key: str, row: RunGroup) -> dict | list[str]:
    cell = COLUMNS[key].cell(row)
    return {"text": cell} if isinstance(cell, str) else cell


def _images(row: RunGroup, split: str) -> dict:
    found = row.first.scores.get(split)
    if not found:
        return {"text": "-"}
    return {"text": f"{found['n']:,}", "small": "" if found["n_positive"] is None
            else f"{found['n_positive']:,} pos."}


def _number(row: RunGroup, metric: str, split: str, best: bool) -> dict:
    value, low, high = row.estimate(metric, split)
    small = "" if low is None else f"{format_number(low)} to {format_number(high)}"
    if len(row.runs) > 1 and (found := row.over_seeds(metric, split)):
        small = f"SD {format_number(found['sd'])}, {found['n']} seeds" if found["sd"] is not None else "1 seed"
    return {"text": format_number(value), "small": small, "best": best}


def _ink(hue: str) -> str:
    """Black or white, whichever is read better on a colour: equal at a relative luminance of 0.179 (WCAG
    2)."""
    parts = (int(hue[i:i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return "#000" if 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] > 0.179 else "#fff"
