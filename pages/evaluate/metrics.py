"""What a run's answers are worth, as a page shows it: alarms, one row of headline numbers, and the table of all measures.

A measure is always shown with its 95 % interval and with how many images it was made of. All numbers come from
`core.evaluation.evaluate`; nothing is computed here.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.evaluation.evaluate import LOGISTIC, RunEvaluation
from core.metrics import METRICS, MULTI_LABEL, Estimate
from pages.evaluate.threshold import first_sought
from pages.shared.layout import escape, format_interval, format_number

# What stands in the row at the top, for each task. What else there is stands in the table.
HEADLINES = {
    "binary-class": ("accuracy", "roc_auc", "sensitivity", "specificity", "cohen_kappa"),
    "multi-class": ("accuracy", "roc_auc", "balanced_accuracy", "macro_f1", "cohen_kappa"),
    "ordinal-regression": ("accuracy", "roc_auc", "balanced_accuracy", "cohen_kappa", "quadratic_kappa"),
    MULTI_LABEL: ("roc_auc", "average_precision", "sensitivity", "specificity", "cohen_kappa"),
}
SHORT = {"majority": "majority class", LOGISTIC: "logistic"}
BASELINE_HELP = {"majority": "What always giving the most frequent answer reaches.",
                 LOGISTIC: "Logistic regression on the image shrunk to 16 x 16 pixels: one weight for each pixel. What a network "
                           "adds to that, it has learned to see."}
MANY = 16                  # classes: a longer table scrolls
# Measures of MedMNIST's own evaluator, which are no rows of METRICS.
MEDMNIST = {
    "medmnist_auc": ("AUC as MedMNIST", "Exactly as the evaluator of the medmnist package gives it, to be compared with its "
                     "published tables."),
    "medmnist_acc": ("ACC as MedMNIST", "Exactly as the evaluator of the medmnist package gives it; it cuts every score at 0.5."),
}
WORDS = {"Wilson": "the interval of a share",
         "bootstrap by patient": "patients are drawn again, each with all its images",
         "bootstrap by image": "images are drawn again, since no patients are known",
         "Wilson, by patient": "the interval of a share, where a patient's images count for as many as they are worth",
         "Wilson, by image": "the interval of a share, where the answers to one image count for as many as they are worth",
         "bootstrap by study": "studies are drawn again, since no patients are known",
         "DeLong": "by the order of the images, where a class is too rare to be drawn",
         "Newcombe": "the interval of a ROC AUC that is perfect, from the numbers of images"}


def title_of(name: str) -> str:
    return METRICS[name].title if name in METRICS else MEDMNIST[name][0]


def help_of(name: str) -> str:
    return METRICS[name].help if name in METRICS else MEDMNIST[name][1]


def show_alarms(sentences: Sequence[str]) -> None:
    """What must be known before any number is read. The first sentences count most."""
    if sentences:
        with st.container(key="judged_alarms"):
            st.warning("  \n".join(escape(sentence) for sentence in sentences), icon=":material/info:")


def show_headline(result: RunEvaluation):
    """One row: each measure with its interval, and below it what a network that has learned nothing, or little, reaches.

    Returns the place below the number of images, for what else belongs to the whole run.
    """
    names = HEADLINES[result.task]
    with st.container(key="headline", gap=None):                     # pages/shared/theme.py: on a telephone two stand side by side
        columns = st.columns(len(names) + 1)
    for column, name in zip(columns, names):
        one = result.estimates[name]
        with column.container(gap="xxsmall"):
            st.metric(METRICS[name].title, format_number(one.value), help=METRICS[name].help)
            lines = []
            if one.low is not None:
                lines.append(f"95 %: {format_number(one.low)} to {format_number(one.high)}")
            elif one.value is not None:
                lines.append("95 %: too few images")
            if name in ("sensitivity", "specificity") and result.task == "binary-class":
                of = result.per_class[1 if name == "sensitivity" else 0]
                lines.append(f"of {of.n:,} {escape(of.name)}")
            lines += [f"{SHORT.get(base.name, escape(base.name))}: {format_number(getattr(base, name))}"
                      for base in result.baselines if getattr(base, name, None) is not None]
            first = column is columns[0]                                            # once is enough
            known = [f"{SHORT[base.name]}: {BASELINE_HELP[base.name]}" for base in result.baselines]
            st.caption("  \n".join(lines), help="  \n".join(known) if first and known else None)
    place = columns[-1].container(gap="xxsmall")
    with place:
        st.metric("Images", f"{result.n:,}", help="How many images these numbers are made of. Fewer images, wider intervals.")
        counted = list(result.n_per_class.items())
        if result.task == MULTI_LABEL:
            some = result.estimates["roc_auc"].n_positive
            st.caption(f"with any finding: {some:,}  \nnumbers are means over {len(counted)} findings")
        else:
            st.caption(", ".join(f"{escape(name)}: {n:,}" for name, n in counted[:5]) + (", ..." if len(counted) > 5 else ""))
    if result.task == "binary-class" and first_sought(result.class_names) == 0:
        healthy, sought = (escape(result.class_names[k]) for k in (1, 0))
        st.caption(f"The set calls {healthy} its positive class, so sensitivity is the share of {healthy} that was found, and "
                   f"specificity that of {sought}. The part Threshold looks for {sought}.")
    return place


def show_classes(result: RunEvaluation, *, key: str) -> None:
    """A row for each class: how many images, what was found of it, what was rightly left alone."""
    names = ("sensitivity", "specificity")
    frame = pd.DataFrame([{"class": row.name, "n": row.n,
                           **{name: _said(row.estimates.get(name), 2) for name in names}} for row in result.per_class])
    st.dataframe(frame, hide_index=True, key=key, height="content" if len(frame) <= 5 else 212, width="content",
                 alt="For each class: images, sensitivity, specificity",
                 column_config={"class": st.column_config.TextColumn(_kind_of_class(result), width=140),
                                "n": st.column_config.NumberColumn("n", help="Images of this class.", width=60)}
                 | {name: st.column_config.TextColumn(METRICS[name].title, help=METRICS[name].help, alignment="right", width=145)
                    for name in names})


def show_all(result: RunEvaluation) -> None:
    """Every measure: overall and for each class, with its interval, and of how many images."""
    st.header("Overall", anchor=False, help=_kinds(result.estimates.values()))
    rows = [(name, result.estimates[name]) for name in ("medmnist_auc", "medmnist_acc", *METRICS)
            if name in result.estimates and (name != "quadratic_kappa" or result.task == "ordinal-regression")]
    bases = {base.name: base for base in result.baselines}
    frame = pd.DataFrame([{
        "measure": title_of(name), "value": format_number(one.value), "low": format_number(one.low),
        "high": format_number(one.high), "n": one.n, "n_positive": one.n_positive, "interval": one.method or "-",
        **{base: format_number(getattr(row, name)) if getattr(row, name, None) is not None else "" for base, row in bases.items()},
        "help": help_of(name)} for name, one in rows])
    number = {name: st.column_config.TextColumn(title, alignment="right", width=width, help=help)
              for name, title, width, help in (("value", "Value", 60, "- where it is undefined."),
                                               ("low", "from", 60, "Lower end of the 95 % interval."),
                                               ("high", "to", 60, "Upper end of the 95 % interval."),
                                               *((base, SHORT[base].capitalize(), 100 if base == "majority" else 70,
                                                  BASELINE_HELP[base]) for base in bases))}
    st.dataframe(frame, hide_index=True, key="measures_overall", height="content", alt="All measures with their intervals",
                 column_config=number | {
                     "measure": st.column_config.TextColumn("Measure", width=146),
                     "n": st.column_config.NumberColumn("n", format="%d", width=50, help="Images."),
                     "n_positive": st.column_config.NumberColumn("n positive", format="%d", width=80, help=(
                         "Images of the class that is looked for. None where a measure is about all classes.")),
                     "interval": st.column_config.TextColumn("Interval", width=145, help=_kinds(result.estimates.values())),
                     "help": st.column_config.TextColumn("What it says", width=560)})
    with st.popover("What each says, and its equation", icon=":material/function:"):
        st.markdown("\n\n".join(f"**{METRICS[name].title}.** {METRICS[name].help}  \n${METRICS[name].equation}$"
                                for name, _ in rows if name in METRICS))
    findings = result.task == MULTI_LABEL
    st.header("Each finding" if findings else "Each class", anchor=False,
                 help="Each finding by itself." if findings else "Each class against all the others together.")
    names = [name for name in METRICS
             if any(name in row.estimates and row.estimates[name].value is not None for row in result.per_class)]
    table = pd.DataFrame([{"class": row.name, "n": result.n, "n_positive": row.n,
                           **{name: _said(row.estimates.get(name), 2) for name in names}} for row in result.per_class])
    st.dataframe(table, hide_index=True, key="measures_per_class", height="content" if len(table) <= MANY else 600,
                 alt="All measures of each class, with their intervals",
                 column_config={"class": st.column_config.TextColumn(_kind_of_class(result), pinned=True, width=150),
                                "n": st.column_config.NumberColumn("n", format="%d", width=60, help="Images."),
                                "n_positive": st.column_config.NumberColumn("n positive", format="%d", width=80, help=(
                                    "Images with this finding." if findings else "Images of this class."))}
                 | {name: st.column_config.TextColumn(METRICS[name].title, alignment="right", help=(
                     f"{METRICS[name].help} " + _kinds(row.estimates[name] for row in result.per_class
                                                       if name in row.estimates))) for name in names})


def _kind_of_class(result: RunEvaluation) -> str:
    return "Finding" if result.task == MULTI_LABEL else "Class"


def _said(one: Estimate | None, digits: int) -> str:
    return "-" if one is None else format_interval(one.value, one.low, one.high, digits)


def _kinds(measures) -> str:
    """Which intervals these are, in a sentence."""
    found = dict.fromkeys(one.method for one in measures if one.method)
    return f"95 % intervals. {'; '.join(f'{kind}: {WORDS[kind]}' for kind in found)}." if found else "There are no intervals."
