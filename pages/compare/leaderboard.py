"""The table of all runs: sorted by a click on a column, filtered by data set and tags, and picked from for
all that is below.

The order comes from validation. Columns of test stand beside it, of runs whose test set somebody has opened,
and sort only after a person has said so.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import streamlit as st

from core.evaluation import leaderboard
from core.evaluation.leaderboard import BOARDS, RunGroup
from core.metrics import METRICS
from core.runs.store import RunStore
from core.runs.summary import RunSummary
from pages.shared import run_feed, theme
from pages.shared.layout import (
    asked_among,
    asked_param,
    choose_param,
    escape,
    format_number,
    format_seconds,
    get_param,
    set_param,
    shorten,
)
from pages.shared.widget_state import follow

HERE = Path(__file__).parent
PICKS = 6                        # runs that can be picked: more lines in one chart cannot be told apart
SPLITS = {"val": "Validation", "test": "Test, where opened"}
SHOWN = ("roc_auc", "cohen_kappa", "accuracy")         # measures that stand there at first
# What else a line may say. Until somebody chooses, all of it, but the first two only where the window is wide
# enough.
ABOUT = {"data": "Data set", "seconds": "Training time", "n": "Images", "test": "Test results"}
LESSER = ("data", "seconds")
ALL, NONE = "all", "none"         # in the address: every data set; no run is picked
LETTERS = "ABCDEF"
SECONDS = 0.5                    # for intervals, before the page is drawn
INTERVAL = "Below it the 95 % interval: Wilson's for proportions, otherwise a bootstrap by patient."
SHUT = "Sorting by test is off: see the switch above the table."
BY_TEST = ("Sorted by test. Choosing a network by its test result makes the test set a second validation set, and the result of "
           "the winner optimistic. Report the winner on images that nobody has used yet.")

_element = st.components.v2.component(
    "lightbox_leaderboard", html="<div class='scroll' tabindex='0'><table></table></div>",
    css=(HERE / "leaderboard.css").read_text(), js=(HERE / "leaderboard.js").read_text())


# ---------------------------------------------------------------------------------------------- what there is

def trained_runs(store: RunStore) -> list[RunSummary]:
    """Every run with a finished epoch, newest first."""
    return [run for run in run_feed.all_runs(store) if run.epoch]


def with_intervals(store: RunStore, runs: list[RunSummary]) -> list[RunSummary]:
    """The same with the intervals of some more runs. They are computed once for each run, and this takes half
    a second at most: while some are missing the page goes on with them by itself."""
    waiting = [(run, split) for run in runs for split in run.unscored]
    if not waiting:
        return runs
    began = time.monotonic()
    for run, split in waiting:
        leaderboard.score(store.get(run.id), split)
        if time.monotonic() - began > SECONDS:
            break
    runs = trained_runs(store)
    if left := sum(len(run.unscored) for run in runs):
        st.fragment(_go_on, run_every=1.0)(left, time.monotonic())
    return runs


def _go_on(left: int, drawn: float) -> None:
    st.caption(f"Computing intervals: {left:,} runs left.")
    if time.monotonic() - drawn > 0.9:
        st.rerun()


# ---------------------------------------------------------------------------------------------- which of them

def data_sets(entries: Sequence[RunSummary]) -> dict[str, str]:
    """Value of a chip -> what it says: the data sets that have runs, and all of them. First, and so shown
    where none is chosen, is that of the runs that the address picks, all where these are of several, else
    that of the run one comes from."""
    picked = (get_param("runs") or "").split(",")
    first = [one for one in entries if one.id in picked] or [one for one in entries
                                                             if one.id == get_param("run")]
    names = list(dict.fromkeys(one.data_title for one in [*first, *entries]))
    every = {ALL: "All data sets"} if len(names) > 1 else {}
    shown = {name: name for name in names}
    return every | shown if len({one.data_title for one in first}) > 1 else shown | every


def say_unknown(entries: Sequence[RunSummary]) -> None:
    """A sentence for each run that the address picks and that is not there."""
    known = {NONE, *(one.id for one in entries)}
    for one in dict.fromkeys((asked_param("runs") or "").split(",")):
        if one and one not in known:
            st.warning(f"There is no run called {escape(shorten(one))}. It may have been deleted, or the link is wrong.")


def narrow(entries: Sequence[RunSummary], data: str | None) -> list[RunSummary]:
    """The runs of a data set, with the words and the tags that are asked for."""
    kept = _kept()
    here = [one for one in entries if data in (None, ALL, one.data_title)]
    words = kept["words"].casefold().split()
    here = [one for one in here if all(word in f"{one.name} {one.config.model.name}".casefold()
                                       for word in words)]
    known = list(dict.fromkeys(tag for one in here for tag in one.tags))
    kept["tags"] = [tag for tag in kept["tags"] if tag in known]
    if known:
        st.pills("Only runs with these tags", known, selection_mode="multi", label_visibility="collapsed",
                 **follow("compare_tags", kept["tags"], kept.__setitem__, "tags"))
    return [one for one in here if set(kept["tags"]) <= set(one.tags)]


def _kept() -> dict:
    """What was chosen here, for the session."""
    return st.session_state.setdefault("compare_kept", {
        "tags": [], "words": "", "measures": list(SHOWN), "about": None, "fold": False, "test": False,
        "by": ("val:roc_auc", None)})


# -------------------------------------------------------------------------------------------------- the table

def draw_controls(entries: Sequence[RunSummary], data: str | None) -> tuple[list[RunSummary], str]:
    """One row: which board, which words, whether seeds are folded, the columns, tags. Returns the runs that
    are left, and the board."""
    kept = _kept()
    say_unknown(entries)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        asked_among("board", "choice of runs", BOARDS)
        board = get_param("board") if get_param("board") in BOARDS else "all"
        st.segmented_control("Which runs", list(BOARDS), format_func=lambda key: BOARDS[key][0],
                             label_visibility="collapsed",
                             **follow("compare_board", board, _take_board),
                             help="The two leaderboards of report R001, but sorted by validation: R001 sorted by test.")
        st.text_input("Find runs", placeholder="Name or network", icon=":material/search:", width=190,
                      label_visibility="collapsed",
                      **follow("compare_words", kept["words"], kept.__setitem__, "words"))
        st.toggle("Group seeds", **follow("compare_fold", kept["fold"], kept.__setitem__, "fold"),
                  help="Shows runs that differ only in their seed as one row: their mean, and the standard deviation (SD) "
                       "between seeds, which shows how much the seed matters.")
        with st.popover("Columns", icon=":material/view_column:", key="compare_columns",
                        on_change="rerun") as columns:
            if columns.open:
                st.pills("Metrics", list(METRICS), selection_mode="multi",
                         format_func=lambda m: METRICS[m].title,
                         **follow("compare_measures", kept["measures"], kept.__setitem__, "measures"))
                st.pills("Other columns", list(ABOUT), selection_mode="multi", format_func=ABOUT.get,
                         **follow("compare_about", list(ABOUT) if kept["about"] is None else kept["about"],
                                  kept.__setitem__, "about"),
                         help="A narrow window shows data set and training time only if you choose them.")
        st.toggle("Sort by test", **follow("compare_test", kept["test"], kept.__setitem__, "test"),
                  help="Off: runs are sorted by validation, and test is only shown.")
        left = narrow(entries, data)
        st.caption(f"{len(left):,} of {len(entries):,} runs", width="content")
    if kept["test"]:
        st.warning(BY_TEST)
    return left, board


@dataclasses.dataclass(frozen=True)
class Shown:
    """What the table shows: its rows in their order, and which columns."""
    rows: list[RunGroup]
    picked: list[RunGroup]
    sorted_by: str
    descending: bool
    about: tuple[str, ...]             # keys of COLUMNS
    splits: tuple[str, ...]
    metrics: tuple[str, ...]
    counts: bool                       # whether the numbers of images stand beside the metrics
    several: bool                      # data sets
    tags: bool


def draw_table(runs: Sequence[RunSummary], board: str) -> tuple[list[RunGroup], list[RunGroup]]:
    """Draw the table. Returns its rows, and those that are picked, in the order in which they were."""
    shown = _shown(runs, board)
    key = "compare_table"
    best = {(m, split): leaderboard.best(shown.rows, m, split) for m in shown.metrics
            for split in shown.splits}
    _element(key=key,
             on_sorted_change=lambda: _sort_by(st.session_state[key].get("sorted"), shown.sorted_by,
                                               shown.descending),
             on_picked_change=lambda: _pick(st.session_state[key].get("picked"),
                                            [row.first.id for row in shown.picked]),
             data={"columns": _heads(shown), "rows": [_row(shown, place, best)
                                                      for place in range(len(shown.rows))],
                   "label": "Runs and their results", "tall": "24rem"})
    return shown.rows, shown.picked


def _shown(runs: Sequence[RunSummary], board: str) -> Shown:
    kept = _kept()
    rows = leaderboard.group_seeds(runs) if kept["fold"] else leaderboard.ungrouped(runs)
    column, descending = _sorting(board)
    split, _, metric = column.partition(":")
    by = (lambda row: row.estimate(metric, split)[0]) if metric in METRICS else COLUMNS[column].value
    rows = leaderboard.order_by(rows, by, descending)[:BOARDS[board][2] or None]
    about = list(ABOUT) if kept["about"] is None else kept["about"]
    opened = any("test" in run.scores for run in runs)
    several = len({run.data_title for run in runs}) > 1
    metrics = sorted((m for m in METRICS if m in kept["measures"]), key=lambda m: SHOWN.index(m) if m in SHOWN
                     else len(SHOWN))
    return Shown(rows, _picked(rows), column, descending,
                 tuple(key for key in COLUMNS
                       if key == "name" or key in about and (key != "data" or several)),
                 ("val", "test") if "test" in about and opened else ("val",), tuple(metrics), "n" in about,
                 several,
                 any(run.tags for run in runs))


def _heads(shown: Shown) -> list[dict]:
    """The head of each column."""
    heads = [{"title": "", "key": ""}]
    for key in shown.about:
        head = _head(key, COLUMNS[key].title, COLUMNS[key].help, wide=key == "name", numeric=key == "seconds")
        heads.append(head | {"lesser": _kept()["about"] is None and key in LESSER})
    for split in shown.splits:
        of = [{"title": "n", "help": "Number of images, and how many of them are positive.", "key": "",
               "numeric": True}]
        of = of * shown.counts + [_head(f"{split}:{m}", METRICS[m].title, f"{METRICS[m].help} {INTERVAL}",
                                        numeric=True)
                                  for m in shown.metrics]
        heads += [head | {"group": SPLITS[split], "first": place == 0} for place, head in enumerate(of)]
    if shown.tags:
        heads.append({"title": "Tags", "key": "", "first": True})
    order = "down" if shown.descending else "up"
    return [head | ({"sorted": order} if head["key"] == shown.sorted_by else {}) for head in heads]


def _row(shown: Shown, place: int, best: dict[tuple[str, str], set[int]]) -> dict:
    """A row with its cells."""
    row = shown.rows[place]
    facts = {"name": {"text": row.name, "small": _about(row), "data": row.first.data_title if shown.several
                      else ""},
             "data": {"text": row.first.data_title}, "seconds": {"text": format_seconds(row.seconds)}}
    cells = [facts[key] for key in shown.about]
    for split in shown.splits:
        cells += [_images(row, split)] * shown.counts
        cells += [_number(row, m, split, place in best[m, split]) for m in shown.metrics]
    cells += [list(row.first.tags)] * shown.tags
    letter, hue = "", ""
    if row in shown.picked:
        place = shown.picked.index(row)
        letter, hue = LETTERS[place], theme.class_color(place)
    return {"id": row.first.id, "name": row.name, "cells": cells, "letter": letter, "hue": hue,
            "ink": hue and _ink(hue)}


@dataclasses.dataclass(frozen=True)
class Column:
    """A column that says what a run is. value: what it is sorted by."""
    title: str
    help: str
    value: Callable[[RunGroup], str | float | None]


COLUMNS = {"name": Column("Run", "Its name, network and image size.", lambda row: row.name.casefold()),
           "data": Column("Data", "Results on different data sets are not comparable.",
                          lambda row: row.first.data_title.casefold()),
           "seconds": Column("Training",
                             "Time of training and validation, without waiting; the mean over several seeds. Not "
                             "comparable between machines.", lambda row: row.seconds)}


def _head(key: str, title: str, help: str, *, numeric: bool = False, wide: bool = False) -> dict:
    shut = key.startswith("test:") and not _kept()["test"]
    return {"key": key, "title": title, "help": f"{help} {SHUT}" if shut else help, "numeric": numeric,
            "wide": wide,
            "shut": shut}


def _sorting(board: str) -> tuple[str, bool]:
    """(column, largest first): what the board or a click asks for; never a column of test while the switch is
    off."""
    kept = _kept()
    column, down = kept["by"]
    if measure := BOARDS[board][1]:
        column, down = f"{'test' if kept['test'] else 'val'}:{measure}", None
    split, _, measure = column.partition(":")
    if split == "test" and not kept["test"]:
        column = f"val:{measure}"
    if down is None:
        down = METRICS[measure].higher_is_better if measure else False
    return column, down


def _sort_by(key: object, column: str, down: bool) -> None:
    """A click on a head: it sorts by that, and a second one turns the order round."""
    split, _, measure = str(key).partition(":")
    known = str(key) in COLUMNS or split in SPLITS and measure in METRICS and (split == "val" or _kept()["test"])
    if known:
        _kept()["by"] = str(key), (not down if key == column else None)
        _take_board("all")


def _take_board(board: str | None) -> None:
    if board in BOARDS:
        choose_param("board", board)
        set_param("board", board)


# -------------------------------------------------------------------------------------------------- the picks

def _picked(rows: Sequence[RunGroup]) -> list[RunGroup]:
    """Rows that the address names; without any the best that has another one of the same images and classes,
    and that one."""
    of = {run.id: row for row in rows for run in row.runs}
    asked = get_param("runs")
    chosen = list({of[one].first.id: of[one] for one in (asked or "").split(",")
                   if one in of}.values())[:PICKS]
    if chosen or asked == NONE:
        return chosen
    known: dict[tuple, RunGroup] = {}
    for row in rows:
        before = known.setdefault((row.first.split_hash, row.first.class_names), row)
        if before is not row:
            return [before, row]
    return list(rows[:1])


def _pick(run_id: object, now: Sequence[str]) -> None:
    """A click on a line takes it in or out. The oldest goes where there are too many."""
    ids = [one for one in now if one != run_id] if run_id in now else [*now, str(run_id)][-PICKS:]
    choose_param("runs", ",".join(ids) or NONE)
    set_param("runs", ",".join(ids) or NONE)


# -------------------------------------------------------------------------------------------------- the cells

def _about(row: RunGroup) -> str:
    config = row.first.config
    seeds = f", {len(row.runs)} seeds" if len(row.runs) > 1 else f", seed {config.train.seed}"
    return f"{config.model.name}, {config.data.size} px{seeds}"


def _images(row: RunGroup, split: str) -> dict:
    found = row.first.scores.get(split)
    if not found:
        return {"text": "-"}
    return {"text": f"{found['n']:,}", "small": "" if found["n_positive"] is None
            else f"{found['n_positive']:,} pos."}


def _ink(hue: str) -> str:
    """Black or white, whichever is read better on a colour: equal at a relative luminance of 0.179 (WCAG
    2)."""
    parts = (int(hue[i:i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return "#000" if 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] > 0.179 else "#fff"


def _number(row: RunGroup, measure: str, split: str, best: bool) -> dict:
    value, low, high = row.estimate(measure, split)
    small = "" if low is None else f"{format_number(low)} to {format_number(high)}"
    if len(row.runs) > 1 and (found := row.over_seeds(measure, split)):
        small = f"SD {format_number(found['sd'])}, {found['n']} seeds" if found["sd"] is not None else "1 seed"
    return {"text": format_number(value), "small": small, "best": best}
