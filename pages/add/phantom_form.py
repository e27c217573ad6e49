"""The panel that makes a set of phantom radiographs: what is in it, what is wrong with it, and a few examples at once.

Every setting is a field of core.datasets.phantom.PhantomConfig. What a person chose lives in one dictionary of the session, so
it outlasts a change of page. Saving writes the settings down under a name; the images are made when the set is opened.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.datasets.custom import CustomDataset, free_name, list_custom_datasets, save_custom_dataset
from core.datasets.formats import options_to_json
from core.datasets.phantom.cohort import PARTS, PhantomConfig
from core.errors import LightboxError
from pages.shared.gallery import gallery
from pages.shared.layout import go, show_error
from pages.shared.widget_state import follow

EXAMPLE = 170               # longer side of an example, pixels
STUDIES_LOOKED_AT = 90      # so many studies are drawn by lot to find examples: more would be slow, fewer might have none
PAIRED = "patient "         # how the captions of a pair begin
MOST_PATIENTS = 2000        # of a set that is made here; the command line allows more


@dataclass(frozen=True)
class Switch:
    """A setting that makes something wrong: its label, what it does to the images, and what a student can find out with it."""

    label: str
    does: str
    shows: str
    high: float = 1.0


SWITCHES = {
    "letters": Switch(
        "Lead letter tells the label",
        "A letter of lead on each image: R on abnormal and L on normal images in this share, the true side in the rest.",
        "A network reads the letter instead of the bone. Grad-CAM lights up in the corner, and accuracy falls when the letter is "
        "covered."),
    "hospital": Switch(
        "Hospital mark tells the label",
        "A printed name in the corner: it stands on the abnormal images in this share, by chance in the rest.",
        "As where all sick patients came from one hospital: excellent here, useless elsewhere."),
    "exposure": Switch(
        "Exposure tells the label",
        "Abnormal images are taken with little light, pale and grainy, in this share; by chance in the rest.",
        "A shortcut that no heat-map can point at, because it is everywhere. Changing brightness in augmentation helps."),
    "sites": Switch(
        "Site tells the label",
        "Two sites frame their fields differently (A: blades well inside, B: round corners). The abnormal come from B in this "
        "share; by chance in the rest. The column site says which.",
        "Judge each site by itself: the border gave the label away."),
    "two_numbers": Switch(
        "Patients with two numbers",
        "This share of the patient numbers belongs to somebody who has another number too, as after a change of system.",
        "A split by patient number still puts one person on both sides. Only the column person shows it."),
    "wrong_labels": Switch(
        "Wrong labels",
        "This share of the studies has the wrong label, in training and in test.",
        "No network can be seen to be better than the labels that it is judged by. Its most confident mistakes are often right."),
    "copies": Switch(
        "Copies under another patient",
        "So many images, as a share of the others, are filed a second time under somebody else: exactly, as a JPEG, noisier, "
        "brighter or cropped a little.",
        "The audit on the page Split finds them. A test image that was learned by heart is no test.", high=0.5),
}


def draw_phantom_form() -> None:
    """The whole panel. Leads to Browse when the set is saved."""
    controls, pictures = st.columns([2, 3], gap="large")
    with controls:
        _draw_contents()
        _draw_switches()
    with pictures:
        try:
            config = PhantomConfig(**_values())
        except LightboxError as error:
            show_error(error)
            return
        _draw_examples(config)
        _draw_save(config)


def _values() -> dict[str, Any]:
    return st.session_state.setdefault("phantom_form", {})


def _value_of(name: str) -> Any:
    return _values().get(name, getattr(PhantomConfig, name))


def _take(name: str, value: Any) -> None:
    _values()[name] = value


def _follow(name: str, shown: Any = None) -> dict[str, Any]:
    return follow(f"phantom_{name}", _value_of(name) if shown is None else shown, _take, name)


def _draw_contents() -> None:
    st.multiselect("Parts of the body", list(PARTS), **follow("phantom_parts", list(_value_of("parts")), _take, "parts"),
                   help="Each patient comes mostly for one of them. The order is that of the classes.")
    one, two = st.columns(2)
    with one:
        st.number_input("Patients", 1, MOST_PATIENTS, step=10, **_follow("patients"),
                        help="Few patients with many visits each make a set that looks large and is not.")
    with two:
        st.number_input("Visits of each", 0, 50, step=1, **_follow("studies"),
                        help="Studies of one patient; each has two or three images. 0: one to three, as it comes.")
    st.slider("Abnormal", 0.02, 0.98, step=0.01, format="percent", **_follow("abnormal"),
              help="Share of the studies with a finding. A small share is how it is in a screening: accuracy looks high while "
                   "nothing is found.")
    st.toggle("Letters L and R for the side", **_follow("markers"),
              help="A letter of lead on each image that tells which side it is, as in a hospital. By itself it is no shortcut.")


def _draw_switches() -> None:
    st.markdown("**What goes wrong**", help="Off at 0. Where a sign follows the label, this is the share of images in which the "
                "label decides; chance decides in the rest.")
    for name, switch in SWITCHES.items():
        st.slider(switch.label, 0.0, switch.high, step=0.05, format="percent", **_follow(name),
                  help=f"{switch.does} {switch.shows}")
    st.toggle("The letter tells the contrary", **_follow("contrary"), disabled=not _value_of("letters"),
              help="R on normal and L on abnormal images. A network that learned where the letter tells the label, and reads "
                   "it, is wrong here nearly each time.")
    st.toggle("The table tells what is wrong", **_follow("truth"),
              help="Columns that say what was planted, such as copy_of and true_finding. Off: a riddle for the class.")


def _draw_examples(config: PhantomConfig) -> None:
    pixels, captions = _examples(json.dumps(dataclasses.asdict(config)))
    single = sum(not caption.startswith(PAIRED) for caption in captions)
    for key, label, rows in (("examples", "Examples of this set", slice(single)),
                             ("pairs", "Pairs of images of one person", slice(single, None))):
        gallery(pixels[rows], key=f"phantom_{key}", aria_label=label, captions=captions[rows], tile=EXAMPLE)
    st.caption(f"About {config.expected_images():,.0f} images. They are made when the set is first opened.")
    lessons = [f"- **{switch.label}.** {switch.shows}" for name, switch in SWITCHES.items() if getattr(config, name)]
    if lessons:
        st.markdown("What a student can find out:\n\n" + "\n".join(lessons))


def _draw_save(config: PhantomConfig) -> None:
    title = st.text_input("Name of the set", placeholder="My phantom radiographs", max_chars=80,
                          **follow("phantom_title", st.session_state.get("phantom_form_title", ""), _take_title),
                          help="What the class sees. It need not say what is wrong.")
    if st.button("Save this set", type="primary", icon=":material/save:", key="phantom_save"):
        try:
            name = save_phantom(config, title)
        except LightboxError as error:
            show_error(error)
        else:
            go("browse", dataset=name)


def _take_title(title: str) -> None:
    st.session_state["phantom_form_title"] = title


def save_phantom(config: PhantomConfig, title: str) -> str:
    """Keep a set under its title; its name. The same settings under the same title are the same set: a double click makes one."""
    title = " ".join(title.split()) or "My phantom radiographs"
    reading = json.loads(json.dumps(options_to_json(config)))
    for own in list_custom_datasets():
        if (own.format, own.title, own.options) == ("phantom", title, reading):
            return own.name
    own = CustomDataset(free_name(title), title, "phantom", "", reading)
    save_custom_dataset(own)
    return own.name


# -------------------------------------------------------------------------------------------------------------- examples

@st.cache_data(max_entries=128, show_spinner=False)
def _examples(settings: str) -> tuple[list[np.ndarray], list[str]]:
    """Pictures and what stands under them: two normal, two abnormal, and a pair for each switch that is about pairs.

    They are taken from the first few patients, so that it is quick however large the set will be.
    """
    from core.datasets.phantom.source import render_image, truth_table
    config = PhantomConfig(**json.loads(settings))
    few = max(min(config.patients, STUDIES_LOOKED_AT // (config.studies or 2)), 1)
    config = dataclasses.replace(config, patients=few, studies=min(config.studies, STUDIES_LOOKED_AT))
    table = truth_table(config)
    chosen = [*_by_label(table), *_pair_of_copies(table), *_pair_of_numbers(table)]
    pixels = [render_image(config, image_id, EXAMPLE, marker=False).pixels[:, :, None] for image_id, _ in chosen]
    return pixels, [caption for _, caption in chosen]


def _by_label(table: pd.DataFrame) -> list[tuple[str, str]]:
    """(image_id, caption) of two normal and two abnormal studies, of different parts of the body where there are several."""
    first = table.drop_duplicates("study")
    chosen = []
    for _, group in first.groupby(first["finding"] != "none"):
        some = pd.concat([group.drop_duplicates("body_part"), group]).drop_duplicates("image_id")
        chosen += [(row.image_id, _label(row)) for row in some.head(2).itertuples()]
    return chosen


def _label(row) -> str:
    label = "normal" if row.finding == "none" else row.finding
    truth = getattr(row, "true_finding", row.finding)
    if (truth == "none") == (row.finding == "none"):
        return label
    return f"labelled {label}, but {'normal' if truth == 'none' else truth}"


def _pair_of_copies(table: pd.DataFrame) -> list[tuple[str, str]]:
    if "copy_of" not in table:
        return []
    copies = table[table["copy_of"] != ""]
    copies = copies.sort_values("copy_how", key=lambda how: how == "exact", kind="stable")       # a near one shows more
    return [pair for row in copies.head(1).itertuples()
            for pair in ((row.copy_of, f"{PAIRED}{row.copy_of.split('-')[0]}"),
                         (row.image_id, f"{PAIRED}{row.patient}: a copy ({row.copy_how})"))]


def _pair_of_numbers(table: pd.DataFrame) -> list[tuple[str, str]]:
    """Two images of a person under two numbers, of the same part and view where there are such."""
    visits = table[table["copy_of"] == ""] if "copy_of" in table else table
    if "person" not in visits:
        return []
    for _, group in sorted(visits.groupby(["body_part", "view", "person"]), key=lambda item: item[0][2]):
        both = group.drop_duplicates("patient")
        if len(both) > 1:
            return [(both["image_id"].iloc[0], f"{PAIRED}{both['patient'].iloc[0]}"),
                    (both["image_id"].iloc[1], f"{PAIRED}{both['patient'].iloc[1]}: the same person")]
    return []
