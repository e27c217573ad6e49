"""Can we trust these heat-maps? A button that runs the checks of core/explain/sanity_checks.py, and their
verdict with charts.

No torch at module level.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
from pages.gradcam.slow_test import SlowTest
from pages.shared.charts import heading, show_chart
from pages.shared.heatmaps import classifier, version
from pages.shared.layout import escape, format_number

IMAGES = 16            # that are tested: the verdict is the same with more, and it takes half a minute
SAMPLED = 64           # at random, of which those with the highest probability of the class are taken
BOXES = {"yes": (st.success, ":material/check_circle:"), "doubtful": (st.warning, ":material/help:"),
         "no": (st.error, ":material/cancel:")}


def draw_sanity_checks(run: Run, data: Dataset, rows: Sequence[int],
                       request: MapRequest, address: str) -> Callable[[], None] | None:
    """The whole section: a button, and once it was pressed the verdict with its charts.

    Args:
        rows: of the data set, from which the images are sampled
        request: of what the maps are
        address: of the network, a member's where the run is an ensemble

    Returns:
        what takes long and is still to be done, for the end of the page; None where there is nothing
    """
    method, name = METHODS[request.method], contrast_name(request, classifier(address).model.class_names)
    st.header("Can we trust these heat-maps?", anchor=False)
    key = ("sanity checks", address, version(address), data.fingerprint, data.size, data.resize, data.channels,
           np.asarray(rows).tobytes(), request)
    long = " This method needs many passes: it takes minutes." if method.many else ""
    return SlowTest(
        key, title="Checking the maps", button="Run the sanity checks",
        text=f"Sanity checks for {method.title} on {min(IMAGES, len(rows))} images: do the maps change when "
             "the weights are randomised, does the prediction depend on the pixels that they mark, do they "
             "move with the image?",
        help=f"On the images with the highest probability of {escape(name)} among {SAMPLED} random ones. "
             f"Adebayo et al. 2018 (randomised weights), Petsiuk et al. 2018 (deletion and insertion).{long}",
        work=lambda progress: _examine(run, data, rows, request, address, progress),
        show=lambda result: _show(*result, name, contrast=request.against is not None)).draw()


def _examine(run: Run, data: Dataset, rows: Sequence[int], request: MapRequest, address: str, progress) -> tuple:
    """The result of all checks, and the name of the other run that was compared with."""
    import torch

    from core.explain.sanity_checks import run_checks
    model = classifier(address).model
    sample = np.random.default_rng(0).permutation(np.asarray(rows))[:SAMPLED]
    probs = predict(model, list(data.images[sample]))
    confidence = probs[:, request.target] - (0 if request.against is None else probs[:, request.against])
    chosen = np.sort(sample[np.argsort(-confidence, kind="stable")[:IMAGES]])
    other = another_seed(run) if address == run.id else None
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
    the same split; an ensemble or a soup has no seed."""
    if run.ensemble:
        return None
    alike = same_but_for_the_seed(run.config)
    for other in RunStore().list():
        try:
            if (other.id != run.id and other.written_state() == "finished" and other.ensemble is None
                and same_but_for_the_seed(other.config) == alike
                    and other.config.train.seed != run.config.train.seed
                    and other.data().get("split_hash") == run.data().get("split_hash")):
                return other
        except (LightboxError, OSError, KeyError):
            continue
    return None


def _show(result, other: str, name: str, contrast: bool) -> None:
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
                   key="sanity_randomised")
        st.caption("Similarity to the map of the trained network while its layers are randomised, from the "
                   "last to the first. It should fall below the dotted line; a map that only draws the image "
                   "stays at 1.")
    with two:
        st.html(heading("Deletion and insertion"))
        show_chart(sanity.deletion_insertion(
            result.deletion, result.insertion,
            f"Deletion and insertion: the map beats {result.best_baseline} by {result.gain:+.2f}."),
            key="sanity_deletion")
        st.caption(f"Probability of {escape(name)}{', of these two classes' if contrast else ''}. Solid: "
                   "pixels are deleted, the highest in the map first; it should fall fast. Dashed: they are "
                   "inserted; it should rise fast. Deleted pixels show the blurred image.")
    with three:
        st.html(heading("Where the heat lies"))
        if result.places:
            show_chart(sanity.heat_by_region([
                (name, place.energy, place.area, place.pointing, place.images)
                for name, place in result.places.items()]), key="sanity_places")
        else:
            st.markdown("Nowhere: all maps are empty.")
        empty = f" {result.empty} of them are empty." if result.empty else ""
        st.caption(f"{result.images} maps.{empty} The tick is the share of a uniform map. Regions are "
                   f"widened by {100 * TOLERANCE:.0f} % of the side, since maps are coarse.")
    seeds = "there is no run with the same settings and another seed to compare with."
    if other:
        seeds = f"with the maps of another seed ({escape(other)}) {format_number(result.seeds, 2)}."
    moved = f"after the images move by {100 * SHIFT:.0f} % of their side {format_number(result.shifts, 2)}"
    st.caption(f"Rank correlation of the maps: {moved}; {seeds}")
