"""The table of runs: sorted by a click on a column, and picked from for all that is below.

The order comes from validation. Columns of test stand beside it, of runs whose test set somebody has opened,
and sort only after a person has said so.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import streamlit as st

from core.evaluation import leaderboard
from core.evaluation.leaderboard import BOARDS, RunGroup
from core.metrics import METRICS
from core.runs.summary import RunSummary
from pages.compare.choice import METRICS_AT_FIRST, NONE, about_columns, settings, take_board
from pages.shared import theme
from pages.shared.layout import choose_param, format_number, format_seconds, get_param, set_param

HERE = Path(__file__).parent
PICKS = 6                        # runs that can be picked: more lines in one chart cannot be told apart
SPLITS = {"val": "Validation", "test": "Test, where opened"}
LESSER = ("data", "seconds")     # only where the window is wide, until somebody chooses
LETTERS = "ABCDEF"
INTERVAL = "Below it the 95 % interval: Wilson's for proportions, otherwise a bootstrap by patient."
SHUT = "Sorting by test is off: see the switch above the table."

_element = st.components.v2.component(
    "lightbox_leaderboard", html="<div class='scroll' tabindex='0'><table></table></div>",
    css=(HERE / "leaderboard.css").read_text(), js=(HERE / "leaderboard.js").read_text())


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
    chosen = settings()
    rows = leaderboard.group_seeds(runs) if chosen["fold"] else leaderboard.ungrouped(runs)
    column, descending = _sorting(board)
    split, _, metric = column.partition(":")
    by = (lambda row: row.estimate(metric, split)[0]) if metric in METRICS else COLUMNS[column].value
    rows = leaderboard.order_by(rows, by, descending)[:BOARDS[board][2] or None]
    about = about_columns()
    opened = any("test" in run.scores for run in runs)
    several = len({run.data_title for run in runs}) > 1
    metrics = [m for m in dict.fromkeys((*METRICS_AT_FIRST, *METRICS)) if m in chosen["measures"]]
    return Shown(rows, _picked(rows), column, descending,
                 tuple(key for key in COLUMNS
                       if key == "name" or key in about and (key != "data" or several)),
                 ("val", "test") if "test" in about and opened else ("val",), tuple(metrics), "n" in about,
                 several, any(run.tags for run in runs))


def _heads(shown: Shown) -> list[dict]:
    """The head of each column."""
    heads = [{"title": "", "key": ""}]
    for key in shown.about:
        head = _head(key, COLUMNS[key].title, COLUMNS[key].help, wide=key == "name", numeric=key == "seconds")
        heads.append(head | {"lesser": settings()["about"] is None and key in LESSER})
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
    shut = key.startswith("test:") and not settings()["test"]
    return {"key": key, "title": title, "help": f"{help} {SHUT}" if shut else help, "numeric": numeric,
            "wide": wide,
            "shut": shut}


def _sorting(board: str) -> tuple[str, bool]:
    """(column, largest first): what the board or a click asks for; never a column of test while the switch is
    off."""
    chosen = settings()
    column, down = chosen["by"]
    if measure := BOARDS[board][1]:
        column, down = f"{'test' if chosen['test'] else 'val'}:{measure}", None
    split, _, measure = column.partition(":")
    if split == "test" and not chosen["test"]:
        column = f"val:{measure}"
    if down is None:
        down = METRICS[measure].higher_is_better if measure else False
    return column, down


def _sort_by(key: object, column: str, down: bool) -> None:
    """A click on a head: it sorts by that, and a second one turns the order round."""
    split, _, measure = str(key).partition(":")
    splits = SPLITS if settings()["test"] else ("val",)
    known = str(key) in COLUMNS or split in splits and measure in METRICS
    if known:
        settings()["by"] = str(key), (not down if key == column else None)
        take_board("all")


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
