"""Who learns and who judges: choose the split, see whether it is honest, look for copies. Train uses what is chosen here."""

from pathlib import Path

import numpy as np
import streamlit as st

from core.audit import check_totals, inspect
from core.errors import LightboxError
from pages.shared import config_form, open_data, theme
from pages.shared.gallery import gallery
from pages.shared.layout import dataset_chip, escape, long_task, next_step, page_header, show_error
from pages.shared.widget_state import follow
from pages.split import leaks

PAIRS, ODD = 24, 60          # so many pairs and odd images on the page


def take_preset(name: str | None) -> None:
    if name:
        for knob, value in zip(("data.val_fraction", "data.test_fraction"), leaks.PRESETS[name]):
            config_form.put(knob, value)


def draw_controls(official: set[str]) -> None:
    """Task, strategy, shares, folds, seed, share of training. What has no effect is not shown."""
    config_form.draw_target()
    config_form.draw("data.split")
    how = config_form.value_of("data.split")
    as_it_came = how == "official" or how == "auto" and bool(official)
    folds = config_form.value_of("data.folds")
    shares = [name for part, name in (("val", "data.val_fraction"), ("test", "data.test_fraction"))
              if not (as_it_came and part in official) and not (part == "val" and folds)]
    if not as_it_came and not folds:
        lit = [name for name, values in leaks.PRESETS.items()
               if values == (config_form.value_of("data.val_fraction"), config_form.value_of("data.test_fraction"))]
        st.pills("Shares", list(leaks.PRESETS), **follow("split_shares", lit[0] if lit else None, take_preset),
                 help="In percent: training / validation / test. With two numbers no image is taken for test: a test part that "
                      "the set came with stays as it is.")
    for name in shares:
        config_form.draw(name)
    if as_it_came and not shares and not folds:
        st.caption("The shares are those that the set came with. Choose by patient, by study or by image to make other ones.")
    left, right = st.columns(2)
    with left:
        config_form.draw("data.folds")
    with right:
        if isinstance(folds, int) and folds > 1:
            config_form.draw("data.fold")
        else:
            config_form.draw("data.split_seed")
    if isinstance(folds, int) and folds > 1:
        config_form.draw("data.split_seed")
    config_form.draw("data.train_fraction")


def draw_side(title: str, parts: dict, picture: tuple[str, str] | None) -> None:
    st.markdown(f"**{title}**")
    for sentence in leaks.sentences(parts):
        st.markdown(sentence)
    if picture:
        st.image(picture[0], alt=picture[1], width="stretch")


def draw_leaks(facts: leaks.Facts) -> None:
    if facts.patients is None:
        st.markdown("**No patient IDs are known**, so nobody can tell whether a patient is on both sides. The search for "
                    "copies below works without them.")
        return
    this, ignoring = st.columns(2, gap="large")
    with this:
        draw_side("This split", facts.parts, facts.picture)
    with ignoring:
        draw_side("The same shares, ignoring patients", facts.ignoring, facts.picture_ignoring)
    if facts.picture:
        keys = "".join(f"<span><i style='background:{theme.SPLITS[part]}'></i>{title}</span>"
                       for part, title in theme.SPLIT_TITLES.items() if part == "train" or facts.parts[part].n)
        st.html(f"<div class='lightbox-heading' style='font-weight:400'>A column is a patient, a square an image.{keys}"
                f"<span><i style='background:{theme.ANSWERS['wrong']};height:.28em'></i>in training and elsewhere</span></div>")
        st.caption(f"{facts.patients:,} patients; the picture shows some of those with several images, the same on both sides. A "
                   "network that has seen a patient may know the patient instead of the disease.")


def draw_table(data, facts: leaks.Facts) -> None:
    st.header("Classes", anchor=False)
    st.html(leaks.table_html(facts, data.class_names))
    st.markdown(escape(facts.imbalance.sentence),
                help="Cramér's V comes from the chi-square test of class and part: 0 when the classes have the same shares in "
                     "all parts, 1 when each class lies in a part of its own.")
    for part, names in facts.absent.items():
        st.warning(escape(f"No image of {', '.join(names)} is in {theme.SPLIT_TITLES[part]}: it cannot be judged there."))
    if not leaks.totals_add_up(facts, data.labels):
        st.warning("The rows and columns of this table do not add up to its totals.")
    st.caption("Weight: how much an image of the class counts in the loss when class weights are switched on in Train: the "
               "training images divided by the number of classes and by those of the class, as scikit-learn's \"balanced\"."
               if data.labels.ndim == 1 else
               "Weight: how much an image with the finding counts in the loss when class weights are switched on in Train: "
               "training images without the finding for each one with it.")


def draw_search(data) -> None:
    st.header("Copies and odd images", anchor=False)
    found = leaks.inspection_of(data)
    key = f"split_search_{data.fingerprint}_{data.size}"
    if found is None:
        st.markdown("The same picture may be there twice: in two parts, under two patients, with two labels. All images are "
                    "compared with all others, also mirrored, a little cropped, brighter or saved again.")
        if st.session_state.get(key):
            with long_task("Looking for copies", key=key) as progress:
                leaks.keep_inspection(data, inspect(data, progress))
            st.session_state.pop(key)
            st.rerun()
        st.button("Look for copies and odd images", key="split_search", on_click=st.session_state.__setitem__, args=(key, True))
        return
    audit = leaks.audit_of(data, found)
    across, labels = sum(map(audit.crosses, audit.duplicates)), sum(map(audit.contradicts, audit.duplicates))
    n = len(audit.duplicates)
    st.markdown(f"**{n:,} pair{'' if n == 1 else 's'} of copies**, {across:,} of them in different parts, {labels:,} with "
                f"different labels. **{len(audit.outliers):,} odd image{'' if len(audit.outliers) == 1 else 's'}.**"
                if n or audit.outliers else
                "**No copies and no odd images** among these.")
    for note in audit.notes:
        st.caption(escape(note))
    if n:
        with st.container(key="split_copies"):
            for start in range(0, min(n, PAIRS), 3):
                for column, pair in zip(st.columns(3), audit.duplicates[start:start + 3]):
                    with column:
                        draw_pair(data, audit, pair)
        if n > PAIRS:
            st.caption(f"The first {PAIRS} of {n:,} pairs; those in different parts come first. python -m core audit lists all.")
    if audit.outliers:
        shown = audit.outliers[:ODD]
        st.markdown("Odd images", help="Blank or tiny, or far from the others in brightness, size or shape (six robust standard "
                                       "deviations). They may be right; they are worth a look.")
        pixels, token = open_data.thumbnails(data, np.array([odd.row for odd in shown]))
        chosen = gallery(pixels, key="split_odd", aria_label=f"{len(shown)} odd images", tile=96, cache_key=token,
                         captions=[odd.kind for odd in shown])
        if chosen is not None:
            st.session_state["split_odd_chosen"] = shown[chosen].row
        odd = next((o for o in shown if o.row == st.session_state.get("split_odd_chosen")), None)
        if odd:
            st.markdown(escape(f"{audit.image_ids[odd.row]}: {odd.why}."))
        if len(audit.outliers) > ODD:
            st.caption(f"The first {ODD} of {len(audit.outliers):,}.")


def draw_pair(data, audit, pair) -> None:
    pixels, token = open_data.thumbnails(data, np.array([pair.a, pair.b]))
    gallery(pixels, key=f"split_pair_{pair.a}_{pair.b}", tile=128, cache_key=token,
            captions=leaks.pair_captions(audit, pair), aria_label=leaks.pair_words(audit, pair))
    st.caption(escape(f"{leaks.pair_words(audit, pair)}. {audit.image_ids[pair.a]} and {audit.image_ids[pair.b]}"))


def draw_checker() -> None:
    with st.expander("Check a printed table"):
        text = st.text_area("Table of counts", key="split_table", height=140, persist_state="session",
                            placeholder="Part\tTrain\tVal\tTest\tTotal\nElbow\t2048\t292\t585\t2925\n...",
                            help="Paste a table from a report: a line a row, with a row or a column called Total.")
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
try:
    data = open_data.open_set(config_form.read().data)
    facts, fault = leaks.facts_of(data), None
except LightboxError as error:
    data, facts, fault = None, None, error
controls, picture = st.columns([27, 73], gap="large")
with controls:
    draw_controls(leaks.has_official(data) if data is not None else set())
with picture:
    if fault:
        show_error(fault)
    else:
        draw_leaks(facts)
        draw_table(data, facts)
        st.caption(escape(f"{data.split_note} Split {data.split_hash[:8]}."),
                   help="The letters stand for exactly this assignment of images. Two runs with the same can be compared.")
if data is not None:
    draw_search(data)
draw_checker()
next_step("Next: change the images at random", "augment", dataset=dataset)
