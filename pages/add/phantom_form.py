"""The form that generates a data set of phantom radiographs: its contents, planted faults, a few examples.

Every setting is a field of core.datasets.phantom.PhantomConfig. What a person chose lives in one dictionary
of the session, so it outlasts a change of page. Saving writes the settings down under a name; the images are
generated when it is opened.
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
STUDIES = 90                # so many studies are generated to find examples: more would be slow, fewer might have none
PAIRED = "patient "         # how the captions of a pair begin
MOST_PATIENTS = 2000        # of a data set that is generated here; the command line allows more


@dataclass(frozen=True)
class Switch:
    """A fault that can be planted: its label, what it does to the images, what a student can learn."""

    label: str
    does: str
    shows: str
    high: float = 1.0


SWITCHES = {
    "letters": Switch(
        "Lead marker predicts the label",
        "A lead marker on each image: in this share R on abnormal and L on normal images, in the rest the true side.",
        "The network reads the marker instead of the bone. Grad-CAM lights up in the corner, and accuracy drops when the marker "
        "is covered."),
    "hospital": Switch(
        "Hospital name predicts the label",
        "A printed hospital name in the corner: in this share on the abnormal images only, in the rest at random.",
        "As if all sick patients came from one hospital: excellent here, useless elsewhere."),
    "exposure": Switch(
        "Exposure predicts the label",
        "Abnormal images are underexposed, pale and noisy, in this share; at random in the rest.",
        "A shortcut that no heat-map can point at, because it is everywhere. Brightness augmentation helps."),
    "sites": Switch(
        "Site predicts the label",
        "Two sites collimate differently (A: wide borders, B: round corners). In this share abnormal images come from B; in the "
        "rest at random. The column site names it.",
        "Evaluate each site separately: the border gave the label away."),
    "two_numbers": Switch(
        "Patients with two IDs",
        "This share of the patient IDs belongs to somebody who also has another ID, as after a change of the hospital's system.",
        "A split by patient ID still puts one person into two splits. Only the column person shows it."),
    "wrong_labels": Switch(
        "Label noise",
        "This share of the studies has the wrong label, in training and in test.",
        "No network can look better than the labels it is evaluated with. Its most confident mistakes are often correct."),
    "copies": Switch(
        "Duplicates under another patient",
        "This share of the images is filed a second time under somebody else: identical, saved as JPEG, noisier, brighter or "
        "slightly cropped.",
        "The audit on the page Split finds them. A test image that was memorised in training tests nothing.", high=0.5),
}


def draw_phantom_form() -> None:
    """Draw the whole form. Leads to Browse when the data set is saved."""
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


def _set(name: str, value: Any) -> None:
    _values()[name] = value


def _follow(name: str, shown: Any = None) -> dict[str, Any]:
    return follow(f"phantom_{name}", _value_of(name) if shown is None else shown, _set, name)


def _draw_contents() -> None:
    st.multiselect("Body parts", list(PARTS), **follow("phantom_parts", list(_value_of("parts")), _set, "parts"),
                   help="Most visits of a patient are for one of them. They are the classes of one of the tasks, in this order.")
    one, two = st.columns(2)
    with one:
        st.number_input("Patients", 1, MOST_PATIENTS, step=10, **_follow("patients"),
                        help="Few patients with many visits each make a set that looks large and is not.")
    with two:
        st.number_input("Visits per patient", 0, 50, step=1, **_follow("studies"),
                        help="Studies of one patient; each has two or three images. 0: one to three, at random.")
    st.slider("Prevalence", 0.02, 0.98, step=0.01, format="percent", **_follow("abnormal"),
              help="Share of the studies with a finding. It is low in screening: accuracy then looks high even if nothing is "
                   "detected.")
    st.toggle("Side markers L and R", **_follow("markers"),
              help="A lead marker on each image that shows the side, as in a hospital. By itself it is no shortcut.")


def _draw_switches() -> None:
    st.markdown("**Planted faults**", help="Off at 0. For a shortcut this is the share of images in which it follows the "
                "label; in the rest it is random.")
    for name, switch in SWITCHES.items():
        st.slider(switch.label, 0.0, switch.high, step=0.05, format="percent", **_follow(name),
                  help=f"{switch.does} {switch.shows}")
    st.toggle("Reverse the lead marker", **_follow("contrary"), disabled=not _value_of("letters"),
              help="R on normal and L on abnormal images: a network that learned to read the marker is wrong here nearly every "
                   "time.")
    st.toggle("Ground truth in the table", **_follow("truth"),
              help="Columns that show what was planted, such as copy_of and true_finding. Off: a riddle for the class.")


def _draw_examples(config: PhantomConfig) -> None:
    pixels, captions = _examples(json.dumps(dataclasses.asdict(config)))
    single = sum(not caption.startswith(PAIRED) for caption in captions)
    for key, label, rows in (("examples", "Examples of this data set", slice(single)),
                             ("pairs", "Pairs of images of one person", slice(single, None))):
        gallery(pixels[rows], key=f"phantom_{key}", aria_label=label, captions=captions[rows], tile=EXAMPLE)
    st.caption(f"About {config.expected_images():,.0f} images. They are generated when the data set is first opened.")
    lessons = [f"- **{switch.label}.** {switch.shows}" for name, switch in SWITCHES.items() if getattr(config, name)]
    if lessons:
        st.markdown("What a student can learn:\n\n" + "\n".join(lessons))


def _draw_save(config: PhantomConfig) -> None:
    title = st.text_input("Name of the data set", placeholder="My phantom radiographs", max_chars=80,
                          key="phantom_title", persist_state="session",
                          help="What the class sees. It need not reveal the faults.")
    if st.button("Save this data set", type="primary", icon=":material/save:", key="phantom_save"):
        try:
            name = save_phantom(config, title)
        except LightboxError as error:
            show_error(error)
        else:
            go("browse", dataset=name)


def save_phantom(config: PhantomConfig, title: str) -> str:
    """Save a data set under its title and return its name. The same settings and title give the same data
    set: a double click makes one."""
    title = " ".join(title.split()) or "My phantom radiographs"
    options = json.loads(json.dumps(options_to_json(config)))
    for custom in list_custom_datasets():
        if (custom.format, custom.title, custom.options) == ("phantom", title, options):
            return custom.name
    custom = CustomDataset(free_name(title), title, "phantom", "", options)
    save_custom_dataset(custom)
    return custom.name


# --------------------------------------------------------------------------------------------------- examples

@st.cache_data(max_entries=128, show_spinner=False)
def _examples(settings: str) -> tuple[list[np.ndarray], list[str]]:
    """Return images and captions: two normal, two abnormal, and a pair for each fault that is about pairs.

    They are taken from the first few patients, so that it is quick however large the set will be.
    """
    from core.datasets.phantom.source import render_image, truth_table
    config = PhantomConfig(**json.loads(settings))
    few = max(min(config.patients, STUDIES // (config.studies or 2)), 1)
    config = dataclasses.replace(config, patients=few, studies=min(config.studies, STUDIES))
    table = truth_table(config)
    chosen = [*_by_label(table), *_pair_of_copies(table), *_pair_of_numbers(table)]
    pixels = [render_image(config, image_id, EXAMPLE, marker=False).pixels[:, :, None] for image_id, _ in chosen]
    return pixels, [caption for _, caption in chosen]


def _by_label(table: pd.DataFrame) -> list[tuple[str, str]]:
    """Return (image_id, caption) of two normal and two abnormal studies, of different body parts where there
    are several."""
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
                         (row.image_id, f"{PAIRED}{row.patient}: duplicate ({row.copy_how})"))]


def _pair_of_numbers(table: pd.DataFrame) -> list[tuple[str, str]]:
    """Return two images of a person under two IDs, of the same part and view where there are such."""
    visits = table[table["copy_of"] == ""] if "copy_of" in table else table
    if "person" not in visits:
        return []
    for _, group in sorted(visits.groupby(["body_part", "view", "person"]), key=lambda item: item[0][2]):
        both = group.drop_duplicates("patient")
        if len(both) > 1:
            return [(both["image_id"].iloc[0], f"{PAIRED}{both['patient'].iloc[0]}"),
                    (both["image_id"].iloc[1], f"{PAIRED}{both['patient'].iloc[1]}: the same person")]
    return []
