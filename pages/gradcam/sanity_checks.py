"""Can we trust these heat-maps? A button that runs the checks of core/explain/sanity_checks.py, and their
verdict with charts.

No torch at module level.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import streamlit as st

from core.charts import sanity
from core.datasets import Dataset
from core.errors import LightboxError
from core.evaluation.compare import same_but_for_the_seed
from core.evaluation.shortcut_test import TOLERANCE, regions_of
from core.explain import METHODS
from core.runs.classifiers import as_input
from core.runs.classifiers import classify as predict
from core.runs.store import Run, RunStore
from pages.gradcam.one_map import MapRequest, contrast_name
from pages.shared.charts import heading, show_chart
from pages.shared.heatmaps import classifier, version
from pages.shared.layout import escape, format_number, long_task

IMAGES = 16            # that are tested: the verdict is the same with more, and it takes half a minute
SAMPLED = 64           # at random, of which those with the highest probability of the class are taken
RESULTS = 64           # that are kept
BOXES = {"yes": (st.success, ":material/check_circle:"), "doubtful": (st.warning, ":material/help:"),
         "no": (st.error, ":material/cancel:")}


def draw_sanity_checks(run: Run, data: Dataset, rows: Sequence[int],
                       request: MapRequest) -> Callable[[], None] | None:
    """The whole section: a button, and once it was pressed the verdict with its charts.

    Args:
        rows: of the data set, from which the images are sampled
        request: of what the maps are

    Returns:
        what takes long and is still to be done, for the end of the page; None where there is nothing
    """
    method, name = METHODS[request.method], contrast_name(request, classifier(run.id).model.class_names)
    st.header("Can we trust these heat-maps?", anchor=False)
    key = (run.id, version(run.id), data.fingerprint, data.size, data.resize, data.channels,
           np.asarray(rows).tobytes(), request)
    started = f"sanity_{abs(hash(key))}"
    if st.session_state.pop(f"stopped_{started}", False):          # Stop ends the test, not the page
        st.session_state.pop(started, None)
    result, place = _results().get(key), st.empty()
    if result is None and st.session_state.get(started):
        return partial(_run_checks, run, data, rows, request, name, key, started, place)
    with place.container():
        if result is not None:
            _show(*result, name, request.against is not None, key=started)
            return None
        st.markdown(f"Sanity checks for {method.title} on {min(IMAGES, len(rows))} images: do the maps "
                    "change when the weights are randomised, does the prediction depend on the pixels that "
                    "they mark, do they move with the image?")
        long = " This method needs many passes: it takes minutes." if method.many else ""
        st.button("Run the sanity checks", key=f"{started}_go", on_click=st.session_state.__setitem__,
                  args=(started, True),
                  help=f"On the images with the highest probability of {escape(name)} among {SAMPLED} random "
                       "ones. Adebayo et al. 2018 (randomised weights), Petsiuk et al. 2018 (deletion and "
                       f"insertion).{long}")
    return None


def _run_checks(run: Run, data: Dataset, rows: Sequence[int], request: MapRequest, name: str, key: tuple,
                started: str,
                place) -> None:
    with place.container(), long_task("Checking the maps", key=started) as progress:
        result = _examine(run, data, rows, request, progress)
    results = _results()
    results[key] = result
    while len(results) > RESULTS:
        results.popitem(last=False)
    st.session_state.pop(started, None)
    with place.container():
        _show(*result, name, request.against is not None, key=started)


def _examine(run: Run, data: Dataset, rows: Sequence[int], request: MapRequest, progress) -> tuple:
    """The result of all checks, and the name of the other run that was compared with."""
    import torch

    from core.explain.sanity_checks import run_checks
    model = classifier(run.id).model
    sample = np.random.default_rng(0).permutation(np.asarray(rows))[:SAMPLED]
    probs = predict(model, list(data.images[sample]))
    confidence = probs[:, request.target] - (0 if request.against is None else probs[:, request.against])
    chosen = np.sort(sample[np.argsort(-confidence, kind="stable")[:IMAGES]])
    other = another_seed(run)
    with torch.random.fork_rng(devices=[]):
        result = run_checks(model, as_input(model, list(data.images[chosen])),
                            torch.full((len(chosen),), request.target),
                            request.method, request.layer,
                            against=None if request.against is None
                            else torch.full((len(chosen),), request.against),
                            regions=regions_of(data, chosen),
                            other=classifier(other.id).model if other else None,
                            progress=progress)
    return result, other.name if other else ""


def another_seed(run: Run) -> Run | None:
    """Return a finished run, the newest, that differs from this one in nothing but its seed and name, on
    the same split."""
    alike = same_but_for_the_seed(run.config)
    for other in RunStore().list():
        try:
            if (other.id != run.id and other.written_state() == "finished"
                and same_but_for_the_seed(other.config) == alike
                    and other.config.train.seed != run.config.train.seed
                    and other.data().get("split_hash") == run.data().get("split_hash")):
                return other
        except (LightboxError, OSError, KeyError):
            continue
    return None


def _show(result, other: str, name: str, contrast: bool, *, key: str) -> None:
    from core.explain.sanity_checks import SHIFT
    from core.explain.verdict import SAME, points_at, verdict, where
    overall = verdict(result)
    box, icon = BOXES[overall.trust]
    box(overall.sentence, icon=icon)
    if pointed := where(result):            # a faithful map may show that the network reads the letter
        (st.success if points_at(result) == "finding" else st.warning)(pointed, icon=":material/my_location:")
    one, two, three = st.columns(3, gap="medium")
    with one:
        st.html(heading("Randomised weights"))
        randomised = result.randomised
        show_chart(sanity.randomisation(randomised.blocks, randomised.spearman, randomised.ssim, SAME),
                   key=f"{key}_randomised")
        st.caption("Similarity to the map of the trained network while its layers are randomised, from the "
                   "last to the first. It should fall below the dotted line; a map that only draws the image "
                   "stays at 1.")
    with two:
        st.html(heading("Deletion and insertion"))
        show_chart(sanity.deletion_insertion(
            result.deletion, result.insertion,
            f"Deletion and insertion: the map beats {result.best_baseline} by {result.gain:+.2f} of probability."),
            key=f"{key}_deletion")
        st.caption(f"Probability of {escape(name)}{', of these two classes' if contrast else ''}. Solid: "
                   "pixels are deleted, the highest in the map first; it should fall fast. Dashed: they are "
                   "inserted; it should rise fast. Deleted pixels show the blurred image.")
    with three:
        st.html(heading("Where the heat lies"))
        show_chart(sanity.heat_by_region([
            (name, place.energy, place.area, place.pointing, place.images)
            for name, place in result.places.items()]), key=f"{key}_places")
        empty = f" {result.empty} of them are empty." if result.empty else ""
        st.caption(f"{result.images} maps.{empty} The tick is the share of a uniform map. Regions are "
                   f"widened by {100 * TOLERANCE:.0f} % of the side, since maps are coarse.")
    seeds = "there is no run with the same settings and another seed to compare with."
    if other:
        seeds = f"with the maps of another seed ({escape(other)}) {format_number(result.seeds, 2)}."
    moved = f"after the images move by {100 * SHIFT:.0f} % of their side {format_number(result.shifts, 2)}"
    st.caption(f"Rank correlation of the maps: {moved}; {seeds}")


@st.cache_resource(show_spinner=False)
def _results() -> OrderedDict[tuple, tuple]:
    """The results of this server, the oldest forgotten first."""
    return OrderedDict()
