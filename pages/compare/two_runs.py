"""Two runs against each other: what differs between their settings, which one is better, and where they
disagree."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import streamlit as st

from core.charts import comparisons
from core.errors import LightboxError
from core.evaluation import compare
from core.evaluation.compare import Pair, disagreements, ensemble_sentences, run_differences
from core.metrics import MULTI_LABEL
from core.runs.names import network_title
from core.runs.store import Run
from core.runs.summary import RunSummary
from pages.shared.charts import show_chart
from pages.shared.gallery import gallery
from pages.shared.layout import escape, format_number, format_probability, get_param, go, link, set_param, show_error
from pages.shared.open_data import open_set, thumbnails
from pages.shared.widget_state import follow

PAGE = 48              # images of the gallery; the surest disagreements come first
KINDS = {"any": "Different predictions", "a": "Only A correct", "b": "Only B correct",
         "neither": "Both wrong, differently"}
OPENS = {"errors": "Errors", "gradcam": "Grad-CAM"}


def draw_two_runs(a: Run, b: Run, split: str, seeds: Mapping[str, Sequence[RunSummary]]) -> None:
    """Everything about run A and run B.

    Args:
        seeds: run's id -> all runs with its settings, that run among them
    """
    left, right = st.columns([42, 58], gap="large")
    with left:
        draw_differences(a, b)
    try:
        both, result = compared(a, b, split)
    except LightboxError as error:
        with right:
            st.header("Which is better?", anchor=False)
            show_error(error)
            if error.code == "compare.unanswered":
                link("Go to Evaluate", "evaluate", run=(b if "un B (" in error.message else a).id,
                     split=split)
        return
    with right:
        k = _choose_finding(result) if result["task"] == MULTI_LABEL else None
        draw_tests(result if k is None else result["findings"][k] | {"notes": result["notes"],
                                                                     "n": result["n"]}, a, b, seeds,
                   mean=result["roc_auc"] if k is not None else None)
    draw_disagreements(a, b, split, both if k is None else both.of_finding(k), k)


def compared(a: Run, b: Run, split: str) -> tuple[Pair, dict]:
    """`pair` and `describe` of core.evaluation.compare, once for each version of the answers and
    thresholds."""
    return _compared(str(a.folder), str(b.folder), split, _stamp(a), _stamp(b), a, b)


@st.cache_resource(max_entries=32, show_spinner=False)
def _compared(a: str, b: str, split: str, stamp_a: tuple, stamp_b: tuple, _a: Run,
              _b: Run) -> tuple[Pair, dict]:
    both = compare.pair(_a, _b, split)
    return both, compare.describe(both, _a, _b, split)


def _stamp(run: Run) -> tuple:
    found = []
    for name in ("predictions.npz", "threshold.json"):
        try:
            found.append(os.stat(run.folder / name).st_mtime_ns)
        except OSError:
            found.append(0)
    return tuple(found)


# ----------------------------------------------------------------------------------------------- what differs

def draw_differences(a: Run, b: Run) -> None:
    """The settings that differ, and nothing else."""
    rows, sentences = run_differences(a, b), ensemble_sentences(a, b)
    st.header("Differences", anchor=False,
              help="The settings in which the two runs differ. A controlled experiment changes one "
              "thing at a time.")
    for said in sentences:
        st.markdown(escape(said))
    if not rows and sentences:
        return
    if not rows:
        st.markdown("No setting differs. Any difference comes from the machine, its threads or software versions.")
        return
    alone = [row["field"] for row in rows] == ["train.seed"]
    frame = pd.DataFrame([{"Setting": row["label"], "A": _written(row["field"], row["a"]), "B": _written(row["field"], row["b"])}
                          for row in rows])
    st.dataframe(frame, hide_index=True, height="content" if len(rows) < 12 else 420, key="compare_differs",
                 alt="Settings that differ",
                 column_config={"Setting": st.column_config.TextColumn(width="small")})
    if alone:
        st.caption("Only the seed differs: any difference between the two is chance.")


def _written(name: str, value: object) -> str:
    if name == "model.name":
        return network_title(str(value))
    if isinstance(value, bool):
        return "on" if value else "off"
    text = str(value)
    return text.rstrip("/").rsplit("/", 1)[-1] if "/" in text else text or "-"


# -------------------------------------------------------------------------------------------------- the tests

def _choose_finding(result: dict) -> int:
    names = result["class_names"]
    asked = get_param("finding")
    k = int(asked) if asked and asked.isdecimal() and int(asked) < len(names) else 0
    st.selectbox("Finding", range(len(names)), format_func=names.__getitem__, width=260,
                 **follow("compare_finding", k, _take_finding),
                 help="An image may have several findings. Each is tested separately.")
    return k


def _take_finding(k: int) -> None:
    set_param("finding", str(k))


def draw_tests(tests: dict, a: Run, b: Run, seeds: Mapping[str, Sequence[RunSummary]],
               mean: dict | None = None) -> None:
    """The two tests as a picture and as sentences.

    Args:
        tests: with "roc_auc", "accuracy", "notes" of core.evaluation.compare.compare
        mean: for several findings, the test of the mean over all of them
    """
    st.header("Which is better?", anchor=False,
              help="Both runs predict the same images, so paired tests can show a difference even "
              "where the two intervals overlap.")
    shown = {"ROC AUC": tests["roc_auc"], "Accuracy": tests["accuracy"]}
    _draw_intervals({name: test for name, test in shown.items() if test and test["low"] is not None})
    if mean:
        st.markdown(f"**Over all findings.** {escape(mean['sentence'])}")
    for name, test in shown.items():
        said = escape(test["sentence"]) if test else "ROC AUC is undefined: it needs images of each class."
        st.markdown(said if said.startswith(name) else f"**{name}.** {said}")
    for note in [one for one in tests["notes"] if one not in ensemble_sentences(a, b)]:      # those stand beside
        st.caption(escape(note))
    st.caption(_about_seeds(a, b, seeds))


def _about_seeds(a: Run, b: Run, seeds: Mapping[str, Sequence[RunSummary]]) -> str:
    """The test is of two trained networks. What is known of other seeds, in a sentence."""
    if a.ensemble or b.ensemble:
        return ("An ensemble has no seed: with members of other seeds the other may be better. What it fits is fitted on other "
                "patients of validation than those that it is scored on.")
    said = "This compares two trained networks, not their settings: with another seed the other may be better."
    parts = []
    for letter, run in (("A", a), ("B", b)):
        folded = compare.over_seeds([one.value("roc_auc") for one in seeds.get(run.id, ())])
        if folded and folded["sd"] is not None:
            parts.append(f"{letter} {format_number(folded['mean'])} (SD {format_number(folded['sd'])}, "
                         f"{folded['n']} seeds)")
    if not parts:
        return f"{said} Train more seeds to find out."
    return f"{said} Mean ROC AUC over seeds, on validation: {'; '.join(parts)}."


def _draw_intervals(tests: Mapping[str, dict]) -> None:
    """Difference A - B with its interval beside zero."""
    if not tests:
        return
    rows = [(name, test["difference"], test["low"], test["high"], test["p"] < compare.ALPHA)
            for name, test in tests.items()]
    show_chart(comparisons.differences(rows), key="compare_intervals")


# ---------------------------------------------------------------------------------------- where they disagree

def draw_disagreements(a: Run, b: Run, split: str, both: Pair, k: int | None) -> None:
    """Images that the two answer differently; a click opens one on another page.

    Args:
        k: which of several findings the pair is about
    """
    rows = {kind: disagreements(both, kind) for kind in KINDS}
    kinds = {kind: f"{KINDS[kind]}: {len(found):,}" for kind, found in rows.items()
             if len(found) or kind == "any"}
    st.header("Where they disagree", anchor=False,
              help="The images for which the two runs predict differently, the most "
              "confident first.")
    if not len(rows["any"]):
        st.markdown(f"Nowhere: both predict the same for all {len(both.labels):,} images.")
        return
    kept = st.session_state.setdefault("compare_disagree", {"kind": "any", "opens": "errors", "of": "a"})
    if kept["kind"] not in kinds:
        kept["kind"] = "any"
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.segmented_control("Which images", list(kinds), format_func=kinds.get, label_visibility="collapsed",
                             **follow("compare_kind", kept["kind"], _keep, kept, "kind"))
        with st.container(horizontal=True, vertical_alignment="center", width="content"):
            st.markdown("A click opens", width="content")
            st.segmented_control("Page", list(OPENS), format_func=OPENS.get, label_visibility="collapsed",
                                 **follow("compare_opens", kept["opens"], _keep, kept, "opens"))
            st.segmented_control("Of run", ["a", "b"], format_func=str.upper, label_visibility="collapsed",
                                 **follow("compare_of", kept["of"], _keep, kept, "of"))
    try:
        data = open_set(a.config.data)
    except LightboxError as error:
        show_error(error)
        return
    chosen = _surest_first(both, rows[kept["kind"]])[:PAGE]
    places = pd.Index(data.table["image_id"].astype(str)).get_indexer(both.image_ids[chosen])
    if (places < 0).any():
        show_error(LightboxError("run.data_changed", "Some of these images are no longer in the data set.",
                                 "Restore them."))
        return
    images, cache_key = thumbnails(data, places)
    names = both.class_names if k is None else ("no", "yes")
    captions = [f"true {names[both.labels[i]]}\n{_said('A', names, both, 0, i)}\n{_said('B', names, both, 1, i)}" for i in chosen]
    clicked = gallery(images, key="compare_gallery",
                      aria_label="Images that the two runs predict differently", tile=132,
                      captions=captions, cache_key=cache_key)
    if len(rows[kept["kind"]]) > PAGE:
        st.caption(f"The first {PAGE} of {len(rows[kept['kind']]):,}.")
    if clicked is not None:
        go(kept["opens"], run=(a if kept["of"] == "a" else b).id, split=split, true="all", predicted="all",
           image=str(both.image_ids[chosen[clicked]]), finding=None if k is None else str(k))


def _keep(kept: dict, name: str, value: str | None) -> None:
    kept[name] = value or kept[name]


def _surest_first(both: Pair, rows: np.ndarray) -> np.ndarray:
    """By the lesser of the two probabilities that the runs give to their own answers."""
    sure = [probs[rows, answers[rows]] for probs, answers in zip(both.probs, both.preds)]
    return rows[np.argsort(-np.minimum(*sure), kind="stable")]


def _said(letter: str, names: Sequence[str], both: Pair, which: int, row: int) -> str:
    answer = both.preds[which][row]
    return f"{letter}: {names[answer]}, {format_probability(float(both.probs[which][row, answer]), 0)}"
