"""The columns of a table of runs: what each says of a row, by what it is sorted, and its cells."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from core.evaluation.leaderboard import RunGroup
from pages.shared import theme
from pages.shared.charts import sparkline
from pages.shared.layout import format_ago, format_number, format_seconds

POINTS = 60                                                  # of a curve as small as a word
NUMBER, NAME = "number", "name"                              # looks of a column


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
    first = row.first
    seeds = f", {len(row.runs)} seeds" if len(row.runs) > 1 else f", seed {first.config.train.seed}"
    return {"text": row.name, "small": f"{first.network_title}, {first.size} px{seeds if first.was_trained else ''}"}


def _network(row: RunGroup) -> str:
    return row.first.network_title


def _best_epoch(row: RunGroup) -> str:
    return ", ".join(str(run.best_epoch) for run in row.runs if run.best_epoch and run.was_trained)


def _epochs(row: RunGroup) -> str:
    return f"{row.first.epoch} of {row.first.epochs}" if row.first.was_trained else "ensemble"


def _created(row: RunGroup) -> str:
    return format_ago(time.time() - row.first.created)


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
    "network": Column("Network", "Its architecture; of an ensemble how it combines how many.", _network, _network),
    "details": Column("Details", "Head, frozen layers and data augmentation.", _of_first("details"),
                      _of_first("details")),
    "code": Column("Code", "Its name in the format of report R001, as it stands in reports and file names.", _of_first("code"),
                   _of_first("code")),
    "epochs": Column("Epochs", "Finished epochs.", _epochs,
                     lambda row: row.first.epoch if row.first.was_trained else None, NUMBER),
    "best_epoch": Column("Best epoch", "The epoch whose weights are kept, by the metric that was chosen for that on validation; "
                         "empty before the first epoch has ended, and for ensembles.", _best_epoch,
                         lambda row: row.first.best_epoch if row.first.was_trained else None, NUMBER),
    "created": Column("Queued", "When the run was made.", _created,
                      _of_first("created"), down=True),
    "seconds": Column("Training time", "Time of training and validation, without waiting; the mean over several "
                      "seeds, the sum over the members of an ensemble. Not comparable between machines.",
                      lambda row: format_seconds(row.seconds), lambda row: row.seconds, NUMBER),
    "curve": Column("Curve", "ROC AUC on validation over the epochs, from 0.5 to 1.", _curve,
                    _of_first("best_auc"), down=True),
    "tags": Column("Tags", "Written on the page Runs.", lambda row: list(row.first.tags),
                   lambda row: " ".join(row.first.tags).casefold() or None),
    "note": Column("Note", "Written on the page Runs.", _of_first("note"),
                   lambda row: row.first.note.casefold() or None),
}
AFTER = ("curve", "tags", "note")                            # right of the metrics
OPTIONAL = ("details", "tags", "note")                       # left out where no row has any


def cell(key: str, row: RunGroup) -> dict | list[str]:
    """Return what the browser draws of a row in a column of COLUMNS."""
    found = COLUMNS[key].cell(row)
    return {"text": found} if isinstance(found, str) else found


def plain(key: str, row: RunGroup) -> object:
    """Return the same for a CSV."""
    if key in ("seconds", "curve"):
        return COLUMNS[key].value(row)
    if key == "created":
        return time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(row.first.created))
    found = cell(key, row)
    return " ".join(found) if isinstance(found, list) else found["text"]


def images_cell(row: RunGroup, split: str) -> dict:
    """Return how many images a split has, and how many of them are positive."""
    found = row.first.scores.get(split)
    if not found:
        return {"text": "-"}
    return {"text": f"{found['n']:,}", "small": "" if found["n_positive"] is None
            else f"{found['n_positive']:,} pos."}


def count_cells(row: RunGroup, split: str) -> list[dict]:
    """Return true positives, false negatives, false positives and true negatives."""
    return [{"text": "-" if count is None else f"{count:,}"} for count in row.counts(split)]


def number_cell(row: RunGroup, metric: str, split: str, best: bool) -> dict:
    """Return a metric with its interval, or over seeds with its standard deviation."""
    value, low, high = row.estimate(metric, split)
    small = "" if low is None else f"{format_number(low)} to {format_number(high)}"
    if len(row.runs) > 1 and (found := row.over_seeds(metric, split)):
        one = found["sd"] is None
        small = "1 seed" if one else f"SD {format_number(found['sd'])}, {found['n']} seeds"
    return {"text": format_number(value), "small": small, "best": best}
