"""The metrics of a run as the page shows them: warnings, one row of headline numbers, and the table of all
metrics.

A metric is always shown with its 95 % interval and the number of images behind it. All numbers come from
`core.evaluation.evaluate`; nothing is computed here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.evaluation.run_evaluation import LOGISTIC, RunEvaluation
from core.metrics import METRICS, MULTI_LABEL, Estimate
from core.metrics.evaluation import Note
from pages.shared.layout import escape, format_interval, format_number

# What stands in the row at the top, for each task. The rest stands in the table.
HEADLINES = {
    "binary-class": ("accuracy", "roc_auc", "sensitivity", "specificity", "cohen_kappa"),
    "multi-class": ("accuracy", "roc_auc", "balanced_accuracy", "macro_f1", "cohen_kappa"),
    "ordinal-regression": ("accuracy", "roc_auc", "balanced_accuracy", "cohen_kappa", "quadratic_kappa"),
    MULTI_LABEL: ("roc_auc", "average_precision", "sensitivity", "specificity", "cohen_kappa"),
}
BASELINES = {"majority": ("majority class", "Always predicting the most frequent class."),
             LOGISTIC: ("logistic", "Logistic regression on the image shrunk to 16 x 16 pixels: one weight "
                                    "for each pixel. A network should do better than this.")}
MANY = 16                  # classes: a longer table scrolls
# Metrics of MedMNIST's own evaluator, which are no rows of METRICS.
MEDMNIST = {
    "medmnist_auc": ("MedMNIST AUC", "Exactly as the evaluator of the medmnist package computes it, to "
                                     "compare with its published tables."),
    "medmnist_acc": ("MedMNIST ACC", "Exactly as the evaluator of the medmnist package computes it: every "
                                     "score is cut at 0.5."),
}
INTERVALS = {
    "Wilson": "score interval of a proportion",
    "bootstrap by patient": "patients are resampled, each with all images",
    "bootstrap by image": "images are resampled, since the patients are unknown",
    "bootstrap by study": "studies are resampled, since the patients are unknown",
    "Wilson, by patient": "score interval of a proportion; images of a patient are alike, so the effective n "
                          "is used",
    "Wilson, by image": "score interval of a proportion; labels of an image are correlated, so the effective "
                        "n is used",
    "DeLong": "from the ranks of the images, where a class is too rare to be resampled",
    "Newcombe": "interval of a perfect ROC AUC, from the numbers of images"}


def title_of(name: str) -> str:
    return METRICS[name].title if name in METRICS else MEDMNIST[name][0]


def help_of(name: str) -> str:
    return METRICS[name].help if name in METRICS else MEDMNIST[name][1]


def show_warnings(warnings: Sequence[Note]) -> None:
    """What must be known before any number is read. The first count most."""
    if warnings:
        with st.container(key="evaluation_warnings"):
            st.warning("  \n".join(escape(warning.text) for warning in warnings), icon=":material/info:")


def show_headline(result: RunEvaluation) -> DeltaGenerator:
    """One row: each metric with its interval, and below it what a baseline that has learned nothing, or
    little, reaches.

    Returns the place below the number of images, for what else belongs to the whole run.
    """
    names, known = HEADLINES[result.task], [BASELINES[base.name] for base in result.baselines]
    # on a telephone two stand side by side: pages/evaluate/page.py
    with st.container(key="headline", gap=None):
        first, *others, last = st.columns(len(names) + 1)
    for column, name in zip((first, *others), names):
        one = result.estimates[name]
        with column.container(gap="xxsmall"):
            st.metric(METRICS[name].title, format_number(one.value), help=METRICS[name].help)
            explained = column is first and known                                           # once is enough
            st.caption("  \n".join(_lines_below(result, name, one)),
                       help="  \n".join(f"{title}: {help}" for title, help in known) if explained else None)
    place = last.container(gap="xxsmall")
    with place:
        st.metric("Images", f"{result.n:,}",
                  help="The images behind these numbers. The fewer, the wider the intervals.")
        st.caption(_class_counts(result))
    return place


def _lines_below(result: RunEvaluation, name: str, one: Estimate) -> list[str]:
    """What stands below a headline number."""
    lines = []
    if one.low is not None:
        lines.append(f"95 % CI: {format_number(one.low)} to {format_number(one.high)}")
    elif one.value is not None:
        lines.append("95 % CI: undefined")
    if name in ("sensitivity", "specificity") and result.task == "binary-class":
        of = result.per_class[result.positive if name == "sensitivity" else 1 - result.positive]
        lines.append(f"of {of.n:,} {escape(of.name)}")
    return lines + [f"{BASELINES[base][0]}: {format_number(value)}"
                    for base, value in _of_baselines(result, name).items() if value is not None]


def _class_counts(result: RunEvaluation) -> str:
    counts = list(result.n_per_class.items())
    if result.task == MULTI_LABEL:
        positive = result.estimates["roc_auc"].n_positive
        return f"with any finding: {positive:,}  \nmetrics are means over {len(counts)} findings"
    return ", ".join(f"{escape(name)}: {n:,}" for name,
                     n in counts[:5]) + (", ..." if len(counts) > 5 else "")


def show_classes(result: RunEvaluation, *, key: str) -> None:
    """A row for each class: images, sensitivity, specificity."""
    names = ("sensitivity", "specificity")
    frame = pd.DataFrame([{"class": row.name, "n": row.n,
                           **{name: _interval(row.estimates.get(name), 2) for name in names}}
                          for row in result.per_class])
    st.dataframe(frame, hide_index=True, key=key, height="content" if len(frame) <= 5 else 212,
                 width="content",
                 alt="For each class: images, sensitivity, specificity",
                 column_config={"class": st.column_config.TextColumn(_class_or_finding(result), width=140),
                                "n": st.column_config.NumberColumn("n", help="Images of the class.",
                                                                   width=60)}
                 | {name: st.column_config.TextColumn(METRICS[name].title, help=METRICS[name].help,
                                                      alignment="right", width=145)
                    for name in names})


def show_all(result: RunEvaluation) -> None:
    """Every metric: overall and for each class, with its interval, and of how many images."""
    _show_overall(result)
    _show_per_class(result)


def _show_overall(result: RunEvaluation) -> None:
    of = f" (positive class: {escape(result.positive_class)})" if result.positive_class else ""
    st.header(f"Overall{of}", anchor=False, help=_interval_kinds(result.estimates.values()))
    rows = [(name, result.estimates[name]) for name in (*MEDMNIST, *METRICS)
            if name in result.estimates
            and (name != "quadratic_kappa" or result.task == "ordinal-regression")]
    bases = [base.name for base in result.baselines]
    frame = pd.DataFrame([{
        "metric": title_of(name), "value": format_number(one.value), "low": format_number(one.low),
        "high": format_number(one.high), "n": one.n, "n_positive": one.n_positive,
        "interval": one.method or "-",
        **{base: format_number(value) if value is not None else "" for base,
           value in _of_baselines(result, name).items()},
        "help": help_of(name)} for name, one in rows])
    texts = [("value", "Value", 60, "- where it is undefined."),
             ("low", "from", 60, "Lower end of the 95 % interval."),
             ("high", "to", 60, "Upper end of the 95 % interval.")]
    texts += [(base, BASELINES[base][0].capitalize(), 100 if base == "majority" else 70, BASELINES[base][1])
              for base in bases]
    columns = {name: st.column_config.TextColumn(title, alignment="right", width=width, help=help)
               for name, title, width, help in texts}
    columns |= {"metric": st.column_config.TextColumn("Metric", width=146),
                "n": st.column_config.NumberColumn("n", format="%d", width=50, help="Images."),
                "n_positive": st.column_config.NumberColumn("n positive", format="%d", width=80, help=(
                    "Images of the positive class. Empty where a metric is about all classes.")),
                "interval": st.column_config.TextColumn("Interval", width=145,
                                                        help=_interval_kinds(result.estimates.values())),
                "help": st.column_config.TextColumn("Meaning", width=560)}
    st.dataframe(frame, hide_index=True, key="metrics_overall", height="content",
                 alt="All metrics with their intervals",
                 column_config=columns)
    with st.popover("Definitions and equations", icon=":material/function:"):
        st.markdown("\n\n".join(f"**{METRICS[name].title}.** {METRICS[name].help}  "
                                f"\n${METRICS[name].equation}$"
                                for name, _ in rows if name in METRICS))


def _of_baselines(result: RunEvaluation, name: str) -> dict[str, float | None]:
    """A metric of each baseline; None where it is not known of it."""
    return {base.name: getattr(base, name, None) for base in result.baselines}


def _show_per_class(result: RunEvaluation) -> None:
    findings, classes = result.task == MULTI_LABEL, result.per_class
    st.header("Each finding" if findings else "Each class", anchor=False,
                 help="Each finding by itself." if findings else "Each class against all others.")
    names = [name for name in METRICS
             if any(name in row.estimates and row.estimates[name].value is not None for row in classes)]
    table = pd.DataFrame([{"class": row.name, "n": result.n, "n_positive": row.n,
                           **{name: _interval(row.estimates.get(name), 2) for name in names}}
                          for row in classes])
    columns = {"class": st.column_config.TextColumn(_class_or_finding(result), pinned=True, width=150),
               "n": st.column_config.NumberColumn("n", format="%d", width=60, help="Images."),
               "n_positive": st.column_config.NumberColumn("n positive", format="%d", width=80, help=(
                   "Images with this finding." if findings else "Images of this class."))}
    for name in names:
        kinds = _interval_kinds(row.estimates[name] for row in classes if name in row.estimates)
        columns[name] = st.column_config.TextColumn(METRICS[name].title, alignment="right",
                                                    help=f"{METRICS[name].help} {kinds}")
    st.dataframe(table, hide_index=True, key="metrics_per_class",
                 height="content" if len(table) <= MANY else 600,
                 alt="All metrics of each class, with their intervals", column_config=columns)


def _class_or_finding(result: RunEvaluation) -> str:
    return "Finding" if result.task == MULTI_LABEL else "Class"


def _interval(one: Estimate | None, digits: int) -> str:
    return "-" if one is None else format_interval(one.value, one.low, one.high, digits)


def _interval_kinds(estimates: Iterable[Estimate]) -> str:
    """Which intervals these are, in a sentence."""
    kinds = dict.fromkeys(one.method for one in estimates if one.method)
    words = "; ".join(f"{kind}: {INTERVALS[kind]}" for kind in kinds)
    return f"95 % intervals. {words}." if kinds else "No intervals."
