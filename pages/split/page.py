"""Split: choose training, validation and test images, check for leakage, find duplicates. Train uses what is
chosen here."""

from pathlib import Path

import numpy as np
import streamlit as st

from core.audit import inspect
from core.datasets.inspection import copied_counts
from core.errors import LightboxError
from core.metrics.table_check.totals import check_totals
from pages.shared import config_form, form_address, open_data, theme
from pages.shared.gallery import gallery
from pages.shared.layout import dataset_chip, escape, long_task, next_step, page_header, show_error
from pages.shared.widget_state import follow
from pages.split import summary as summaries

PAIRS, OUTLIERS = 24, 60     # so many are shown


def take_preset(name: str | None) -> None:
    if name:
        for knob, value in zip(("data.val_fraction", "data.test_fraction"), summaries.PRESETS[name]):
            config_form.put(knob, value)


def draw_controls(official: set[str]) -> None:
    """Task, strategy, fractions, folds, seed, fraction of training. What has no effect is not shown."""
    for name in ("data.target", "data.label_map", "data.positive", "data.unit", "data.view_column", "data.views",
                 "data.incomplete", "data.split", "data.copies"):
        if config_form.applies(name):
            config_form.draw(name)
    draw_fractions(official)
    folds = config_form.value_of("data.folds")
    has_folds = isinstance(folds, int) and folds > 1
    left, right = st.columns(2)
    with left:
        config_form.draw("data.folds")
    with right:
        config_form.draw("data.fold" if has_folds else "data.split_seed")
    if has_folds:
        config_form.draw("data.split_seed")
    config_form.draw("data.train_fraction")


def draw_fractions(official: set[str]) -> None:
    """The fractions that have an effect: not of a part that is official, nor of validation among folds."""
    how, folds = config_form.value_of("data.split"), config_form.value_of("data.folds")
    keeps_official = how == "official" or how == "auto" and bool(official)
    parts = {"val", "test"} - (official if keeps_official else set()) - ({"val"} if folds else set())
    if not keeps_official and not folds:
        draw_presets()
    for part in ("val", "test"):
        if part in parts:
            config_form.draw(f"data.{part}_fraction")
    if keeps_official and not parts and not folds:
        st.caption("This is the official split. Choose by patient, by study or by image to make another one.")


def draw_presets() -> None:
    """The usual fractions, to be chosen with one click."""
    now = config_form.value_of("data.val_fraction"), config_form.value_of("data.test_fraction")
    chosen = next((name for name, values in summaries.PRESETS.items() if values == now), None)
    st.pills("Fractions", list(summaries.PRESETS), **follow("split_shares", chosen, take_preset),
             help="Percent of training / validation / test images. With two numbers no test images are "
                  "taken; an official test set stays as it is.")


def draw_side(title: str, parts: dict, picture: tuple[str, str] | None) -> None:
    st.markdown(f"**{title}**")
    for sentence in summaries.sentences(parts):
        st.markdown(sentence)
    if picture:
        st.image(picture[0], alt=picture[1], width="stretch")


def draw_copied(data) -> None:
    """The number that matters most, where copies have been searched: how many images have a copy in training."""
    counts = copied_counts(data)
    if counts is None:
        st.markdown("**Copies have not been searched yet**: an image may be in training and in test. The search stands below.")
        return
    for sentence in summaries.copied_texts(counts):
        st.markdown(sentence)
    if any(copied for copied, _ in counts.values()):
        with st.container(horizontal=True, key="split_copied"):
            st.button("Keep copies together", on_click=keep_copies, args=("data.split", "copies"),
                      help="A new split, in which copies of an image, and all images of a patient where patients are known, are "
                           "in one part.")
            st.button("Keep one of each", on_click=keep_copies, args=("data.copies", "first"),
                      help="One image of each group of copies is kept, of an official test set first; the others are in no part.")


def keep_copies(knob: str, value: str) -> None:
    config_form.put(knob, value)


def draw_leakage(data, summary: summaries.SplitSummary) -> None:
    if summary.patients is None:
        st.markdown(summaries.unknown_patients_text(data))
        return
    this, ignoring = st.columns(2, gap="large")
    with this:
        draw_side("This split", summary.parts, summary.picture)
    with ignoring:
        draw_side("Same fractions, ignoring patients", summary.ignoring, summary.picture_ignoring)
    if summary.picture:
        keys = "".join(f"<span><i style='background:{theme.SPLITS[part]}'></i>{title}</span>"
                       for part, title in theme.SPLIT_TITLES.items() if part == "train" or summary.parts[part].n)
        leak = f"<span><i style='background:{theme.OUTCOMES['wrong']};height:.28em'></i>leakage: in training and elsewhere</span>"
        st.html("<div class='lightbox-heading' style='font-weight:400'>One column per patient, one square per image."
                f"{keys}{leak}</div>")
        st.caption(f"{summary.patients:,} patients; shown are some with several images, the same ones on both sides. A network "
                   "may recognise a patient it has seen in training instead of the disease.")


def draw_table(data, summary: summaries.SplitSummary) -> None:
    st.header("Classes", anchor=False)
    if not data.has_labels:
        st.markdown(f"{len(data):,} images, none with a label.")
        return
    st.html(summaries.table_html(summary, data.class_names))
    st.markdown(escape(summary.imbalance.sentence),
                help="Cramér's V, from the chi-square test of class and split: 0 when the classes have the same shares in all "
                     "splits, 1 when each class lies in a split of its own.")
    for part, names in summary.absent.items():
        st.warning(escape(f"There are no {theme.SPLIT_TITLES[part]} images of {', '.join(names)}."))
    if not summaries.totals_add_up(summary, data.labels):
        st.warning("The rows and columns of this table do not add up to its totals.")
    what = ("training images / (classes x training images of the class), as scikit-learn's \"balanced\"" if data.labels.ndim == 1
            else "training images without the finding for each one with it")
    st.caption(f"Weight: in the loss, if class weights are switched on in Train: {what}.")


def draw_search(data) -> None:
    st.header("Duplicates and outliers", anchor=False)
    inspection = summaries.inspection_of(data)
    key = f"split_search_{data.fingerprint}_{data.size}"
    if inspection is None:
        st.markdown("An image may occur twice: in two splits, under two patients or with two labels. This compares all images "
                    "with each other and also recognises mirrored, slightly cropped, brightened and re-compressed ones.")
        if st.session_state.get(key):
            with long_task("Searching for duplicates", key=key) as progress:
                summaries.keep_inspection(data, inspect(data, progress))
            st.session_state.pop(key)
            st.rerun()
        st.button("Find duplicates and outliers", key="split_search", on_click=st.session_state.__setitem__, args=(key, True))
        return
    audit = summaries.audit_of(data, inspection)
    st.markdown(summaries.audit_text(audit))
    for note in audit.notes:
        st.caption(escape(note))
    draw_pairs(data, audit)
    draw_outliers(data, audit)


def draw_pairs(data, audit) -> None:
    n = len(audit.duplicates)
    with st.container(key="split_copies"):
        for start in range(0, min(n, PAIRS), 3):
            for column, pair in zip(st.columns(3), audit.duplicates[start:start + 3]):
                with column:
                    draw_pair(data, audit, pair)
    if n > PAIRS:
        st.caption(f"The first {PAIRS} of {n:,} pairs, those across splits first. `python -m core audit D --all` lists all.")


def draw_outliers(data, audit) -> None:
    shown = audit.outliers[:OUTLIERS]
    if not shown:
        return
    st.markdown("Outliers", help="Blank or tiny images, or far from the others in brightness, size or shape (six robust standard "
                                 "deviations). They may be fine, but are worth a look.")
    pixels, token = open_data.thumbnails(data, np.array([outlier.row for outlier in shown]))
    clicked = gallery(pixels, key="split_odd", aria_label=f"{len(shown)} outliers", tile=96, cache_key=token,
                      captions=[outlier.kind for outlier in shown])
    if clicked is not None:
        st.session_state["split_odd_chosen"] = shown[clicked].row
    chosen = next((o for o in shown if o.row == st.session_state.get("split_odd_chosen")), None)
    if chosen:
        st.markdown(escape(f"{audit.image_ids[chosen.row]}: {chosen.why}."))
    if len(audit.outliers) > OUTLIERS:
        st.caption(f"The first {OUTLIERS} of {len(audit.outliers):,}.")


def draw_pair(data, audit, pair) -> None:
    pixels, token = open_data.thumbnails(data, np.array([pair.a, pair.b]))
    gallery(pixels, key=f"split_pair_{pair.a}_{pair.b}", tile=128, cache_key=token,
            captions=summaries.pair_captions(audit, pair), aria_label=summaries.pair_words(audit, pair))
    st.caption(escape(f"{summaries.pair_words(audit, pair)}. {audit.image_ids[pair.a]} and {audit.image_ids[pair.b]}"))


def draw_checker() -> None:
    with st.expander("Check the totals of a printed table"):
        text = st.text_area("Table of counts", key="split_table", height=140, persist_state="session",
                            placeholder="Body part\tTrain\tVal\tTest\tTotal\nElbow\t2048\t292\t585\t2925\n...",
                            help="Paste a table from a paper or a report: one row per line, with a row or a column called Total.")
        if text.strip():
            wrong, checked = check_totals(text)
            if not checked:
                st.markdown("No totals were found. A row or a column must be called Total.")
            elif wrong:
                st.markdown("\n\n".join(escape(line) for line in wrong))
            else:
                st.markdown(f"All {checked:,} totals add up." if checked > 1 else "The total adds up.")


st.html(Path(__file__).with_suffix(".css"))
(dataset,) = page_header("Split", dataset_chip())
config_form.choose_dataset(dataset)
form_address.follow_address()
try:
    data = open_data.open_set(config_form.read().data)
    summary, fault = summaries.summary_of(data), None
except LightboxError as error:
    data, summary, fault = None, None, error
controls, picture = st.columns([27, 73], gap="large")
with controls:
    draw_controls(summaries.has_official(data) if data is not None else set())
with picture:
    if fault:
        show_error(fault)
    else:
        draw_copied(data)
        draw_leakage(data, summary)
        draw_table(data, summary)
        for one in data.understood:
            if one.code.startswith("labels."):
                st.caption(escape(one.text))
        st.caption(escape(f"{data.split_note} Split {data.split_hash[:8]}."),
                   help="A fingerprint of this assignment of images: runs with the same one can be compared.")
if data is not None:
    draw_search(data)
draw_checker()
next_step("Next: augment the images", "augment", dataset=dataset)
