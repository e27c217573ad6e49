"""The files of a run or of a comparison, for download. Each is made when its button is pressed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import streamlit as st

from core.errors import LightboxError
from core.report import bundle, comparison, contents, report, zip_bundle
from core.report.figures import FIGURES, as_png, as_svg, figures
from core.report.tables import names_of_reports, of_one_task, reports_of_runs, tables_of
from core.runs.store import Run
from pages.shared.layout import escape
from pages.shared.predictions import stored_predictions

SPLITS = {"val": "validation", "test": "test"}


def draw_downloads(run: Run, split: str) -> None:
    """A menu of files of one run.

    Args:
        split: what the page shows; its predictions must be stored
    """
    with st.popover("Download", icon=":material/download:",
                    help="Files of this run, for a report or for other programs."):
        st.caption(f"About the {SPLITS[split]} images. A file is made when you press its button.")
        _button("Report (HTML)", "One page to read and print: tables, figures, intervals, data, versions. It "
                                 "loads nothing from elsewhere.", partial(_report, run, split),
                zip_bundle.file_name(run, ".html"),
                "text/html", primary=True)
        weights = "the weights of every member and how they are combined" if run.ensemble else "the weights with their model card"
        _button("Everything (ZIP)", f"The report, tables, figures, config, curves, log and {weights}, in the folders that the "
                                    "report on MURA (R001) has.",
                partial(bundle, run, split),
                zip_bundle.file_name(run, ".zip"), "application/zip")
        if not run.ensemble or run.ensemble.is_soup:
            _button("Weights", "The best epoch as safetensors with its model card. Put the folder into weights/ "
                               "and the app lists it as a classifier.", partial(zip_bundle.weights_zip, run),
                    zip_bundle.file_name(run, "_weights.zip"), "application/zip")
        _button("Config", "All settings as JSON.", partial(_config, run), f"{run.id}_config.json",
                "application/json")
        for name, (what, table) in tables_of(run).items():
            _button(name.removesuffix(".csv").replace("_", " ").capitalize() + " (CSV)",
                    f"{what.capitalize()}.",
                    partial(_table, run, split, table), f"{run.id}_{name}", "text/csv")
        st.caption("Figures")
        with st.container(horizontal=True, gap="small"):
            for kind, draw, mime in (("PNG", as_png, "image/png"), ("SVG", as_svg, "image/svg+xml")):
                _button(f"All as {kind}",
                        "Curves, ROC, precision-recall, confusion matrix, scores, reliability: "
                        f"{', '.join(FIGURES)}.", partial(_figures, run, split, kind.lower(), draw),
                        f"{run.id}_{kind.lower()}.zip", "application/zip")


def draw_comparison_downloads(runs: Sequence[Run], split: str = "val") -> None:
    """The comparison as one HTML page, and the metrics of all runs in one CSV.

    Args:
        runs: those that are picked; with fewer than two, or where one has no predictions on `split`, a
            sentence says what to do
    """
    if len(runs) < 2:
        st.markdown("Select a second run in the table: a comparison needs two.")
        return
    if missing := [run.name for run in runs if stored_predictions(run, split) is None]:
        st.markdown(f"{escape(', '.join(missing))}: no predictions on the {SPLITS[split]} images are stored. "
                    "Open the page Evaluate to make them, or deselect the run.")
        return
    with st.container(width=480):
        st.caption(f"The selected runs, on the {SPLITS[split]} images. A file is made when you press its "
                   "button.")
        name = "comparison_" + "_".join(run.id[-4:] for run in runs[:6])
        _button("Report (HTML)", "One page to read and print: runs side by side, paired tests, what differs, "
                                 "figures.",
                partial(comparison, list(runs), split), f"{name}.html", "text/html", primary=True)
        _button("All metrics (CSV)", "Every metric of every run with its interval and n.",
                partial(_metrics, runs, split),
                f"{name}.csv", "text/csv")
        _button("Everything (ZIP)",
                "The report, all metrics, each run's config, tables and figures as PNG and SVG.",
                partial(zip_bundle.comparison_bundle, runs, split), f"{name}.zip", "application/zip")


def draw_table_downloads(runs: Sequence[Run], split: str) -> None:
    """Report R001's two tables of all runs of one task: a row for each run, and a row for each image.

    Args:
        runs: all that the page shows; those without predictions on `split` are left out, and counted
    """
    with st.container(width=480):
        try:
            having = of_one_task(runs, split)
        except LightboxError as error:
            st.caption(escape(f"Tables of all models: {error}"))
            return
        left = len(runs) - len(having)
        st.caption(f"All {len(having):,} runs of the table, on the {SPLITS[split]} images."
                   + (f" {left:,} without predictions on them {'is' if left == 1 else 'are'} left out." if left else ""))
        evaluation, predictions = names_of_reports(having)
        _button("Evaluation of all models (CSV)", "As in report R001, a row for each run: loss, accuracy, AUC, macro precision, "
                "recall and F1, kappa; besides TP, FN, FP, TN, results on training, validation and test, and every metric with "
                "its interval.", partial(_of_all, having, split, evaluation), evaluation, "text/csv")
        _button("Predictions of all models (CSV)", "As in report R001, a row for each image: its file, its label, and what each "
                "run predicts with which probability.", partial(_of_all, having, split, predictions), predictions, "text/csv")


def _of_all(runs: Sequence[Run], split: str, name: str) -> str:
    return reports_of_runs(runs, split)[name]


def _button(label: str, help: str, make: Callable[[], str | bytes], file_name: str, mime: str,
            primary: bool = False) -> None:
    st.download_button(label, make, file_name, mime, help=help, on_click="ignore", icon=":material/download:",
                       width="stretch",
                       type="primary" if primary else "secondary", key=f"download_{file_name}")


def _report(run: Run, split: str) -> str:
    return report(run, split)


def _config(run: Run) -> bytes:
    return (run.folder / "config.json").read_bytes()


def _table(run: Run, split: str, table: Callable) -> str:
    return table(contents(run, split))


def _figures(run: Run, split: str, suffix: str, draw: Callable) -> bytes:
    return zip_bundle.zipped({f"{name}.{suffix}": draw(figure) for name,
                              (_, figure) in figures(contents(run, split)).items()})


def _metrics(runs: Sequence[Run], split: str) -> str:
    return zip_bundle.measures_of_all([contents(run, split) for run in runs])
