"""How much of an image's map lies on the border of the image, or on letters: computed once for each image, with a Stop."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import streamlit as st

from core.datasets import Dataset
from core.evaluation.shortcut_test import regions_of
from core.runs.store import Run
from pages.shared.heatmaps import classifier, maps_of, version
from pages.shared.layout import long_task

BATCH = 128            # images whose maps are held at once
KEPT = 16              # runs
PLACES = {"border": "on the border", "letters": "on letters"}
TITLE = "Where the maps lie"


def letters_known(data: Dataset) -> bool:
    """Return whether it is known where letters lie in the images: the phantoms know."""
    return hasattr(data.source, "marker_mask")


def shares_on(place: str, run: Run, data: Dataset, rows: Sequence[int], targets: Sequence[int]) -> np.ndarray:
    """Return the share of each map's heat in a place, (n,) in [0, 1]; NaN where a map is empty or an image has no such place.

    The maps are Grad-CAM at the last layer. Those that are missing are made, with progress; Stop keeps what is there.

    Args:
        place: a key of PLACES
        rows: of the data set, (n,)
        targets: (n,) the classes that are explained
    """
    from core.explain.localization import energy
    key = (run.id, version(run.id), data.fingerprint, data.size, data.resize, data.channels, place)
    known = _kept().setdefault(key, {})
    while len(_kept()) > KEPT:
        _kept().pop(next(iter(_kept())), None)
    wanted = [(int(row), int(target)) for row, target in zip(rows, targets)]
    missing = [one for one in wanted if one not in known]
    if missing:
        from core.explain.localization import energy  # torch, which is not imported at the start
        layer = (classifier(run.id).model.stages or ("",))[-1]
        with long_task(TITLE, key=f"map_places_{run.id}") as progress:
            for start in range(0, len(missing), BATCH):
                part = missing[start:start + BATCH]
                maps = maps_of(run.id, data, *zip(*part), layer, progress=partial(_report, progress, start, len(missing)))
                known.update(zip(part, energy(maps, _region(place, data, [row for row, _ in part])).tolist()))
    return np.array([known[one] for one in wanted])


def _region(place: str, data: Dataset, rows: Sequence[int]) -> np.ndarray:
    """(n, S, S) or (S, S) bool."""
    from core.explain.localization import border_ring
    if place == "border":
        from core.explain.localization import border_ring
        return np.tile(border_ring(data.size, data.size), (1, data.views))
    return regions_of(data, rows).get("letters", np.zeros((data.size, data.size * data.views), bool))


def _report(progress, start: int, total: int, phase: str, done: int, of: int) -> None:
    progress(TITLE, start + done, total)


@st.cache_resource(show_spinner=False)
def _kept() -> dict[tuple, dict[tuple[int, int], float]]:
    return {}
