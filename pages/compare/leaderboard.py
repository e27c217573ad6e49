"""The table of all runs: sorted by a click on a column, narrowed by data set and tags, and picked from for all that stands below.

The order comes from validation. Columns of test stand beside it, of runs whose test set somebody has opened, and sort only after
a person has said so.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import streamlit as st

from core.errors import LightboxError
from core.evaluation import leaderboard
from core.evaluation.leaderboard import BOARDS, Entry, Line
from core.metrics import METRICS
from core.runs.store import Run, RunStore
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
# What else a line may say. Until somebody chooses, all of it, but the first two only where the window is wide enough.
ABOUT = {"data": "Data set", "seconds": "Training time", "n": "Images", "test": "Test results"}
LESSER = ("data", "seconds")
FILES = ("status.json", "metrics.jsonl", "notes.json", "data.json", "predictions.npz", "threshold.json", "scores.json")
ALL, NONE = "all", "none"         # in the address: every data set; no run is picked
LETTERS = "ABCDEF"
SECONDS = 0.5                    # for intervals, before the page is drawn
INTERVAL = "Below it its 95 % interval: Wilson's for shares, else from images drawn again, those of a patient together."
SHUT = "The table is not sorted by test. The switch above the table changes that."
BY_TEST = ("Sorted by test. Whoever picks a network by its test result has made the test set a second validation set: the winner "
           "is partly the luckiest, and its number is too good. Report such a winner on images that nobody has looked at yet.")

_element = st.components.v2.component(
    "lightbox_leaderboard", html="<div class='scroll' tabindex='0'><table></table></div>",
    css=(HERE / "leaderboard.css").read_text(), js=(HERE / "leaderboard.js").read_text())


# ----------------------------------------------------------------------------------------------------------- what there is

def all_entries(store: RunStore) -> list[Entry]:
    """Every run with a finished epoch, newest first. A folder is read again only when its files have changed."""
    found, known = [], _known()
    for run_id, state in run_feed.states(store).items():
        run = Run(store.root / "runs" / run_id, store.queue)
        stamp = tuple(_stamp(f"{run.folder}/{name}") for name in FILES)
        kept = known.get(run.folder)
        if kept is None or kept[0] != stamp:
            try:
                kept = known[run.folder] = stamp, leaderboard.entry(run)
            except (LightboxError, OSError, KeyError, TypeError, ValueError):
                continue                                  # damaged, or deleted just now
        if kept[1].epochs:
            found.append(dataclasses.replace(kept[1], state=state))
    return sorted(found, key=lambda one: one.created, reverse=True)


def with_intervals(store: RunStore, entries: list[Entry]) -> list[Entry]:
    """The same with the intervals of some more runs. They are computed once for each run, and this takes half a second at most:
    while some are missing the page goes on with them by itself."""
    waiting = [(one, split) for one in entries for split in one.unscored]
    if not waiting:
        return entries
    began = time.monotonic()
    for one, split in waiting:
        leaderboard.score(store.get(one.id), split)
        if time.monotonic() - began > SECONDS:
            break
    entries = all_entries(store)
    if left := sum(len(one.unscored) for one in entries):
        st.fragment(_go_on, run_every=1.0)(left, time.monotonic())
    return entries


def _go_on(left: int, drawn: float) -> None:
    st.caption(f"Intervals are being computed: {left:,} to go.")
    if time.monotonic() - drawn > 0.9:
        st.rerun()


@st.cache_resource(show_spinner=False)
def _known() -> dict[Path, tuple[tuple, Entry]]:
    return {}


def _stamp(path: str) -> tuple[int, int]:
    try:
        stat = os.stat(path)
        return stat.st_mtime_ns, stat.st_size
    except OSError:
        return 0, 0


# ----------------------------------------------------------------------------------------------------------- which of them

def data_sets(entries: Sequence[Entry]) -> dict[str, str]:
    """Value of a chip -> what it says: the data sets that have runs, and all of them. First, and so shown where none is chosen,
    is that of the runs that the address picks, all where these are of several, else that of the run one comes from."""
    picked = (get_param("runs") or "").split(",")
    first = [one for one in entries if one.id in picked] or [one for one in entries if one.id == get_param("run")]
    names = list(dict.fromkeys(one.data for one in [*first, *entries]))
    every = {ALL: "All data sets"} if len(names) > 1 else {}
    shown = {name: name for name in names}
    return every | shown if len({one.data for one in first}) > 1 else shown | every


def say_unknown(entries: Sequence[Entry]) -> None:
    """A sentence for each run that the address picks and that is not there."""
    known = {NONE, *(one.id for one in entries)}
    for one in dict.fromkeys((asked_param("runs") or "").split(",")):
        if one and one not in known:
            st.warning(f"There is no run called {escape(shorten(one))}. It may have been deleted, or the link is wrong.")


def narrow(entries: Sequence[Entry], data: str | None) -> list[Entry]:
    """The runs of a data set, with the words and the tags that are asked for."""
    kept = _kept()
    here = [one for one in entries if data in (None, ALL, one.data)]
    words = kept["words"].casefold().split()
    here = [one for one in here if all(word in f"{one.name} {one.config.model.name}".casefold() for word in words)]
    known = list(dict.fromkeys(tag for one in here for tag in one.tags))
    kept["tags"] = [tag for tag in kept["tags"] if tag in known]
    if known:
        st.pills("Only runs with these tags", known, selection_mode="multi", label_visibility="collapsed",
                 **follow("compare_tags", kept["tags"], kept.__setitem__, "tags"))
    return [one for one in here if set(kept["tags"]) <= set(one.tags)]


def _kept() -> dict:
    """What was chosen here, for the session."""
    return st.session_state.setdefault("compare_kept", {"tags": [], "words": "", "measures": list(SHOWN), "about": None,
                                                        "fold": False, "test": False, "by": ("val:roc_auc", None)})


# ------------------------------------------------------------------------------------------------------------- the table

def draw_controls(entries: Sequence[Entry], data: str | None) -> tuple[list[Entry], str]:
    """One row: which board, which words, whether seeds are folded, the columns, tags. Returns the runs that are left, and the
    board."""
    kept = _kept()
    say_unknown(entries)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        asked_among("board", "choice of runs", BOARDS)
        board = get_param("board") if get_param("board") in BOARDS else "all"
        st.segmented_control("Which runs", list(BOARDS), format_func=lambda key: BOARDS[key][0], label_visibility="collapsed",
                             **follow("compare_board", board, _take_board),
                             help="The two leaderboards of report R001, but sorted by validation: R001 sorted by test.")
        st.text_input("Find runs", placeholder="Name or network", icon=":material/search:", width=190,
                      label_visibility="collapsed", **follow("compare_words", kept["words"], kept.__setitem__, "words"))
        st.toggle("Fold seeds", **follow("compare_fold", kept["fold"], kept.__setitem__, "fold"),
                  help="Runs that differ in nothing but their seed become one line: their mean, and the standard deviation (SD) "
                       "from seed to seed. The SD says how much luck there is in one training.")
        with st.popover("Columns", icon=":material/view_column:", key="compare_columns", on_change="rerun") as columns:
            if columns.open:
                st.pills("Measures", list(METRICS), selection_mode="multi", format_func=lambda m: METRICS[m].title,
                         **follow("compare_measures", kept["measures"], kept.__setitem__, "measures"))
                st.pills("And of each run", list(ABOUT), selection_mode="multi", format_func=ABOUT.get,
                         **follow("compare_about", list(ABOUT) if kept["about"] is None else kept["about"],
                                  kept.__setitem__, "about"),
                         help="In a narrow window data set and training time stand here only after you choose.")
        st.toggle("Sort by test", **follow("compare_test", kept["test"], kept.__setitem__, "test"),
                  help="Off: runs are put in order by validation, and test is only shown.")
        left = narrow(entries, data)
        st.caption(f"{len(left):,} of {len(entries):,} runs", width="content")
    if kept["test"]:
        st.warning(BY_TEST)
    return left, board


def draw_table(entries: Sequence[Entry], board: str) -> tuple[list[Line], list[Line]]:
    """The table. Returns its lines, and those that are picked, in the order in which they were."""
    kept = _kept()
    lines = leaderboard.fold(entries) if kept["fold"] else leaderboard.single(entries)
    column, down = _sorting(board)
    split, _, name = column.partition(":")
    by = (lambda line: line.cell(name, split)[0]) if name in METRICS else COLUMNS[column].value
    lines = leaderboard.order_by(lines, by, down)
    lines = lines[:BOARDS[board][2] or None]
    picked = _picked(lines)
    about = list(ABOUT) if kept["about"] is None else kept["about"]
    splits = [split for split in SPLITS
              if split == "val" or "test" in about and any("test" in one.scores for one in entries)]
    measures = [m for m in METRICS if m in kept["measures"]]
    measures = sorted(measures, key=lambda m: SHOWN.index(m) if m in SHOWN else len(SHOWN))
    best = {(m, split): leaderboard.best(lines, m, split) for m in measures for split in splits}
    several = len({one.data for one in entries}) > 1
    columns = {key: c for key, c in COLUMNS.items() if key == "name" or key in about and (key != "data" or several)}
    heads = [{"title": "", "key": ""}, *(_head(key, c.title, c.help, wide=key == "name", numeric=key == "seconds")
                                         | {"lesser": kept["about"] is None and key in LESSER} for key, c in columns.items())]
    for split in splits:
        of = [_head(f"{split}:{m}", METRICS[m].title, f"{METRICS[m].help} {INTERVAL}", numeric=True) for m in measures]
        if "n" in about:
            of.insert(0, {"title": "n", "help": "Images that the numbers are made of, and how many of them are positive.",
                          "key": "", "numeric": True})
        heads += [head | {"group": SPLITS[split], "first": place == 0} for place, head in enumerate(of)]
    tags = any(one.tags for one in entries)
    if tags:
        heads.append({"title": "Tags", "key": "", "first": True})
    for head in heads:
        if head["key"] == column:
            head["sorted"] = "down" if down else "up"
    rows = []
    for place, line in enumerate(lines):
        shown = {"name": {"text": line.name, "small": _about(line), "data": line.first.data if several else ""},
                 "data": {"text": line.first.data},
                 "seconds": {"text": format_seconds(_mean_seconds(line))}}
        cells = [shown[key] for key in columns]
        for split in splits:
            cells += [_images(line, split)] if "n" in about else []
            cells += [_number(line, m, split, place in best[m, split]) for m in measures]
        letter = picked.index(line) if line in picked else None
        rows.append({"id": line.first.id, "name": line.name, "cells": cells + ([list(line.first.tags)] if tags else []),
                     "letter": "" if letter is None else LETTERS[letter],
                     "hue": "" if letter is None else theme.class_color(letter),
                     "ink": "" if letter is None else _ink(theme.class_color(letter))})
    key = "compare_table"
    _element(key=key, on_sorted_change=lambda: _sort_by(st.session_state[key].get("sorted"), column, down),
             on_picked_change=lambda: _pick(st.session_state[key].get("picked"), [line.first.id for line in picked]),
             data={"columns": heads, "rows": rows, "label": "Runs and what they reached",
                   "tall": "24rem"})
    return lines, picked


@dataclasses.dataclass(frozen=True)
class Column:
    """A column that says what a run is. value: what it is sorted by."""
    title: str
    help: str
    value: Callable[[Line], str | float | None]


COLUMNS = {"name": Column("Run", "Its name, network and image size.", lambda line: line.name.casefold()),
           "data": Column("Data", "Numbers of different data sets cannot be compared.", lambda line: line.first.data.casefold()),
           "seconds": Column("Training", "Time of training and validation, without waiting; of several seeds the mean. Times of "
                             "different machines cannot be compared.", lambda line: _mean_seconds(line))}


def _head(key: str, title: str, help: str, *, numeric: bool = False, wide: bool = False) -> dict:
    shut = key.startswith("test:") and not _kept()["test"]
    return {"key": key, "title": title, "help": f"{help} {SHUT}" if shut else help, "numeric": numeric, "wide": wide,
            "shut": shut}


def _sorting(board: str) -> tuple[str, bool]:
    """(column, largest first): what the board or a click asks for; never a column of test while the switch is off."""
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


# -------------------------------------------------------------------------------------------------------------- the picks

def _picked(lines: Sequence[Line]) -> list[Line]:
    """Lines that the address names; without any the best that has another one of the same images and classes, and that one."""
    of = {one.id: line for line in lines for one in line.entries}
    asked = get_param("runs")
    chosen = list({of[one].first.id: of[one] for one in (asked or "").split(",") if one in of}.values())[:PICKS]
    if not chosen and asked != NONE and lines:
        known: dict[tuple, Line] = {}
        for line in lines:
            before = known.setdefault((line.first.images, line.first.class_names), line)
            if before is not line:
                return [before, line]
        chosen = lines[:1]
    return chosen


def _pick(run_id: object, now: Sequence[str]) -> None:
    """A click on a line takes it in or out. The oldest goes where there are too many."""
    ids = [one for one in now if one != run_id] if run_id in now else [*now, str(run_id)][-PICKS:]
    choose_param("runs", ",".join(ids) or NONE)
    set_param("runs", ",".join(ids) or NONE)


# -------------------------------------------------------------------------------------------------------------- the cells

def _about(line: Line) -> str:
    config = line.first.config
    seeds = f", {len(line.entries)} seeds" if len(line.entries) > 1 else f", seed {config.train.seed}"
    return f"{config.model.name}, {config.data.size} px{seeds}"


def _mean_seconds(line: Line) -> float | None:
    known = [one.seconds for one in line.entries if one.seconds is not None]
    return sum(known) / len(known) if known else None


def _images(line: Line, split: str) -> dict:
    found = line.first.scores.get(split)
    if not found:
        return {"text": "-"}
    return {"text": f"{found['n']:,}", "small": "" if found["n_positive"] is None else f"{found['n_positive']:,} pos."}


def _ink(hue: str) -> str:
    """Black or white, whichever is read better on a colour: equal at a relative luminance of 0.179 (WCAG 2)."""
    parts = (int(hue[i:i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return "#000" if 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] > 0.179 else "#fff"


def _number(line: Line, measure: str, split: str, best: bool) -> dict:
    value, low, high = line.cell(measure, split)
    small = "" if low is None else f"{format_number(low)} to {format_number(high)}"
    if len(line.entries) > 1 and (folded := line.folded(measure, split)):
        small = f"SD {format_number(folded['sd'])}, {folded['n']} seeds" if folded["sd"] is not None else "1 seed"
    return {"text": format_number(value), "small": small, "best": best}
