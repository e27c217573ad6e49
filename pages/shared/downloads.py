"""What one takes home from a run or a comparison.

Each file is made when its button is pressed: nobody waits for what they do not want.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import streamlit as st

from core.report import bundle, comparison, contents, report, zip_bundle
from core.report.figures import FIGURES, as_png, as_svg, figures
from core.report.tables import TABLES
from core.runs.store import Run
from pages.shared.layout import escape
from pages.shared.predictions import stored

SPLITS = {"val": "validation", "test": "test"}


def draw_take_away(run: Run, split: str) -> None:
    """A menu of files of one run.

    Args:
        split: what the page shows; its answers must be stored
    """
    with st.popover("Take away", icon=":material/download:", help="Files of this run, for a report or to go on elsewhere."):
        st.caption(f"Of the {SPLITS[split]} images, as this page shows them. A file is made when you press its button.")
        _button("Report to read and print", "One HTML page: tables, figures, intervals, data, versions. It loads nothing from "
                "elsewhere.", partial(_report, run, split), zip_bundle.file_name(run, ".html"), "text/html", primary=True)
        _button("Everything, zipped", "The report, tables, figures, config, curves, log and the weights with their model "
                "card, in the folders of report R001.", partial(bundle, run, split),
                zip_bundle.file_name(run, ".zip"), "application/zip")
        _button("Weights", "The best epoch as safetensors with its model card: put the folder into weights/ and it is a "
                "classifier of the app.", partial(zip_bundle.weights_zip, run),
                zip_bundle.file_name(run, "_weights.zip"), "application/zip")
        _button("Config", "All settings as JSON.", partial(_config, run), f"{run.id}_config.json", "application/json")
        for name, (what, table) in TABLES.items():
            _button(name.removesuffix(".csv").replace("_", " ").capitalize() + " (CSV)", f"{what.capitalize()}.",
                    partial(_table, run, split, table), f"{run.id}_{name}", "text/csv")
        st.caption("Figures")
        with st.container(horizontal=True, gap="small"):
            for kind, draw, mime in (("PNG", as_png, "image/png"), ("SVG", as_svg, "image/svg+xml")):
                _button(f"All as {kind}", "Curves, ROC, precision-recall, confusion matrix, scores, reliability: "
                        f"{', '.join(FIGURES)}.", partial(_figures, run, split, kind.lower(), draw),
                        f"{run.id}_{kind.lower()}.zip", "application/zip")


def draw_take_away_comparison(runs: Sequence[Run], split: str = "val") -> None:
    """The comparison as one HTML page, and each run's measures in one CSV.

    Args:
        runs: those that are picked; with fewer than two, or where one has no answers to `split`, a sentence says what to do
    """
    if len(runs) < 2:
        st.markdown("Pick a second run in the table: a comparison needs two.")
        return
    if shut := [run.name for run in runs if stored(run, split) is None]:
        st.markdown(f"No answers of {escape(', '.join(shut))} to the {SPLITS[split]} images are stored. Open the page "
                    "Evaluate for that, or take the run out.")
        return
    with st.container(width=480):
        st.caption(f"The picked runs, on the {SPLITS[split]} images. A file is made when you press its button.")
        name = "comparison_" + "_".join(run.id[-4:] for run in runs[:6])
        _button("Report to read and print", "One HTML page: side by side, paired tests, what differs, figures.",
                partial(comparison, list(runs), split), f"{name}.html", "text/html", primary=True)
        _button("Measures of all (CSV)", "Every measure of every run with its interval and n.", partial(_measures, runs, split),
                f"{name}.csv", "text/csv")
        _button("Everything, zipped", "The report, the measures of all, each run's config, tables and figures as PNG and SVG.",
                partial(zip_bundle.comparison_bundle, runs, split), f"{name}.zip", "application/zip")


def _button(label: str, help: str, make: Callable[[], str | bytes], file_name: str, mime: str, primary: bool = False) -> None:
    st.download_button(label, make, file_name, mime, help=help, on_click="ignore", icon=":material/download:", width="stretch",
                       type="primary" if primary else "secondary", key=f"take_{file_name}")


def _report(run: Run, split: str) -> str:
    return report(run, split)


def _config(run: Run) -> bytes:
    return (run.folder / "config.json").read_bytes()


def _table(run: Run, split: str, table: Callable) -> str:
    return table(contents(run, split))


def _figures(run: Run, split: str, ending: str, draw: Callable) -> bytes:
    return zip_bundle.zipped({f"{name}.{ending}": draw(figure) for name, (_, figure) in figures(contents(run, split)).items()})


def _measures(runs: Sequence[Run], split: str) -> str:
    return zip_bundle.measures_of_all([contents(run, split) for run in runs])
