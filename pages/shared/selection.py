"""Which images of a run a page shows: the chips at the top of Errors and Grad-CAM, and what they select from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.datasets import Dataset
from core.evaluation.predictions import Predictions
from core.runs.store import Run
from pages.shared import error_order
from pages.shared.error_order import SplitView
from pages.shared.layout import Chip, empty, page_header, run_chip
from pages.shared.open_data import dataset
from pages.shared.predictions import (
    cell_chips,
    class_index,
    clear_on_run_change,
    current_run,
    dataset_rows,
    finding_chip,
    is_locked,
    list_runs,
    predicted_filter,
    predictions_of,
    split_chip,
)


@dataclass(frozen=True)
class Selection:
    """What the chips select. true, predicted, finding and more are values of the address."""
    runs: list[Run]
    run: Run
    split: str
    finding: str | None
    true: str
    predicted: str
    more: tuple[str, ...] = ()

    @property
    def key(self) -> tuple:
        """What tells it from another."""
        return self.run.id, self.split, self.finding, self.true, self.predicted, *self.more

    def cell(self, n: int) -> dict:
        """Return what `error_order.select_images` takes, of `n` classes."""
        return {"true": class_index(self.true, n), "predicted": predicted_filter(self.predicted, n)}


def draw_selection(title: str, invitation: str, *more: Chip, forget: Sequence[str] = ()) -> Selection | None:
    """Draw the line at the top of a page with its chips. None without a run; then the page invites to train.

    Args:
        more: chips that only this page has
        forget: parameters of the address that belong to one run, beside the chips
    """
    runs = list_runs()
    if not runs:
        page_header(title)
        empty(f"There are no runs yet. {invitation}", "Train a network", "train")
        return None
    run = current_run(runs)
    clear_on_run_change(run, "true", "predicted", "finding", *forget)
    finding = finding_chip(run)
    _, split, *values = page_header(title, run_chip(runs), split_chip(), *finding, *cell_chips(run), *more)
    true, predicted, *others = values[len(finding):]
    return Selection(runs, run, split, values[0] if finding else None, true, predicted, tuple(others))


@dataclass(frozen=True)
class OpenSplit:
    """N predicted images. rows: (N,) of the data set."""
    preds: Predictions
    data: Dataset
    view: SplitView
    rows: np.ndarray


def open_split(chosen: Selection) -> OpenSplit | None:
    """Return the predictions of a split with their images; None, with a sentence on the page, where it is
    locked. Missing predictions on validation are made.

    Raises:
        LightboxError: as `predictions_of`, `dataset` and `dataset_rows` do
    """
    if is_locked(chosen.run, chosen.split):
        return None
    preds, data = predictions_of(chosen.run, chosen.split), dataset(chosen.run.config.data)
    return OpenSplit(preds, data, error_order.split_view(chosen.run, preds, chosen.finding),
                     dataset_rows(chosen.run, chosen.split, preds, data))
