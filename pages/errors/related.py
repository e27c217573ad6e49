"""What is related to one image: its patient's other images, the nearest training images, the predictions
of other runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape as html_escape

import numpy as np
import streamlit as st

from core.datasets import Dataset
from core.errors import LightboxError
from core.evaluation.neighbours import features_of, nearest, training_features, training_rows
from core.evaluation.predictions import Predictions
from core.runs.store import Run
from pages.shared.error_order import SplitView, caption, split_view
from pages.shared.gallery import gallery
from pages.shared.heatmaps import classifier, version
from pages.shared.layout import escape, format_probability, go, long_task, show_error
from pages.shared.open_data import thumbnails
from pages.shared.predictions import BY_PREDICTIONS, stored_predictions

NEAREST = 10           # training images beside one that is looked at
OTHER_RUNS = 40        # at most so many other runs are shown, the newest
IMAGES_OF_PATIENT = 24


# ------------------------------------------------------------------------------------------------ the patient

def draw_patient(data: Dataset, row: int, rows: np.ndarray, view: SplitView) -> None:
    """All images of the same patient, this one first, with the predictions of the run; nothing where there
    is no other."""
    images = images_of_patient(data, row, IMAGES_OF_PATIENT)
    if not len(images):
        return
    table, place = data.table.iloc[images], {int(r): i for i, r in enumerate(rows)}
    patient, captions, marks = str(table["patient"].iat[0]), [], []
    for image, study, name, split in zip(images, table["study"], table["view"], table["split"]):
        text, mark = split, None
        if (i := place.get(int(image))) is not None:
            text = view.names[view.predicted[i]] if view.finding is None else caption(view, i)
            mark = "right" if view.correct[i] else "wrong"
        captions.append(f"{f'{study} {name}'.strip()}\n{text}".strip())
        marks.append(mark)
    st.markdown(f"**{'Both' if len(images) == 2 else f'All {len(images)}'} images of patient "
                f"{escape(patient)}**")
    pictures, key = thumbnails(data, images)
    clicked = gallery(pictures, key="patient", aria_label=f"Images of patient {patient}", cache_key=key,
                      tile=92,
                      captions=captions, marks=marks, selected=0)
    if clicked is not None and marks[clicked]:
        st.query_params["image"] = str(table["image_id"].iat[clicked])
        st.rerun()


def images_of_patient(data: Dataset, row: int, most: int) -> np.ndarray:
    """Return the rows of all images of the patient of `row`, itself first, then the rest of its study, at
    most `most`; none where it is the only one or the patient is unknown."""
    patient = data.table["patient"].iat[row]
    images = np.flatnonzero(data.table["patient"].to_numpy() == patient) if patient else np.array([], int)
    if len(images) < 2:
        return images[:0]
    study = data.table["study"].to_numpy()
    return images[np.lexsort((images, study[images] != study[row], images != row))][:most]


# ------------------------------------------------------------------------------------ nearest training images

def draw_nearest(run: Run, data: Dataset, row: int, names: Sequence[str]) -> None:
    """The training images whose features are most like those of an image, or the button that computes the
    features."""
    computing, train = f"nearest_{run.id}", training_rows(data)
    st.markdown("**Nearest training images**",
                help="The training images whose features, the input of the last layer, have the highest "
                     "cosine similarity with those of this image (1.00: same direction). They show what the "
                     "network takes the image for.")
    if not len(train):
        st.caption("This split has no training images.")
        return
    model = classifier(run.id).model
    if (spec := run.ensemble) and not spec.is_soup:
        model = model.lead
        st.caption(f"By the features of {spec.members[classifier(run.id).model.networks.index(model)].name}, one of the members.")
    of_training = run.id, version(run.id), data.fingerprint, data.split_hash
    features = _training_features(*of_training, run, data, model)
    if features is None and st.session_state.get(computing):
        try:
            with long_task("Computing the features of the training images, once", key=computing) as progress:
                training_features(run, data, model, progress)
        except LightboxError as error:
            show_error(error)
            return
        st.session_state.pop(computing)
        _training_features.clear(*of_training, run, data, model)
        st.rerun()
    if features is None:
        st.caption(f"This needs the features of all {len(train):,} training images. They are computed once.")
        st.button("Compute the features", key=f"{computing}_go", on_click=st.session_state.__setitem__,
                  args=(computing, True))
        return
    positions, similarity = _nearest((*of_training, row), features, model, data)
    table, labels = data.table.iloc[train[positions]], data.labels[train[positions]]
    true = names[data.labels[row]] if labels.ndim == 1 else None
    classes = [names[label] if true is not None else _findings(names, label) for label in labels]
    st.caption(neighbours_in_words(classes, true, table["patient"].tolist(), data.table["patient"].iat[row]))
    images, key = thumbnails(data, train[positions])
    clicked = gallery(images, key="nearest", aria_label="Nearest training images", cache_key=key, tile=92,
                      captions=[f"{name}, {s:.2f}" for name, s in zip(classes, similarity)])
    if clicked is not None:
        go("browse", dataset=run.config.data.dataset, image=str(table["image_id"].iat[clicked]))


def _findings(names: Sequence[str], label: np.ndarray) -> str:
    return ", ".join(names[k] for k in np.flatnonzero(label == 1)) or "no finding"


def neighbours_in_words(classes: Sequence[str], true: str | None, patients: Sequence[str],
                        patient: str) -> str:
    """How many of the neighbours have the true class, and whether the same patient is among them.
    Markdown."""
    sentences = []
    if true is not None:
        sentences.append(f"{sum(name == true for name in classes)} of {len(classes)} have the same label, "
                         f"{escape(true)}.")
    same = sum(bool(patient) and other == patient for other in patients)
    if same:
        show = "image shows" if same == 1 else "images show"
        sentences.append(f"{same} {show} the same patient: this split puts images of one patient on both "
                         "sides.")
    return " ".join(sentences)


@st.cache_resource(max_entries=8, show_spinner=False)
def _training_features(address: str, version: tuple, fingerprint: str, split_hash: str, _run: Run,
                       _data: Dataset,
                       _model) -> np.ndarray | None:
    return training_features(_run, _data, _model, make=False)


@st.cache_data(max_entries=256, show_spinner=False)
def _nearest(key: tuple, _features: np.ndarray, _model, _data: Dataset) -> tuple[np.ndarray, np.ndarray]:
    return nearest(_features, features_of(_model, [_data.images[key[-1]]])[0], NEAREST)


# ------------------------------------------------------------------------------------------------- other runs

@dataclass(frozen=True)
class OtherPrediction:
    """What another run predicted for one image: its name, the class, the probability of that, and whether
    it is correct."""
    run: str
    predicted: str
    prob: float
    correct: bool


def predictions_of_other_runs(run: Run, runs: Sequence[Run], split: str, image_id: str,
                              finding: int | None) -> list[OtherPrediction]:
    """Return what other runs on the same images predicted for one, the newest first; on test only runs whose
    test set is open.

    The same images: the same split of the same ids, the same classes and the same label.
    """
    images, preds = _images_of(run), stored_predictions(run, split)
    at = _places(run, preds).get(image_id)
    others = [other for other in runs if other.id != run.id and _images_of(other) == images]
    result = []
    for other in others[:OTHER_RUNS] if at is not None else []:
        theirs = stored_predictions(other, split)
        if theirs is None:
            continue
        place = _places(other, theirs).get(image_id)
        if place is None or not np.array_equal(theirs.labels[place], preds.labels[at]):
            continue
        view = split_view(other,
                          Predictions(theirs.labels[[place]], theirs.probs[[place]], [image_id],
                                      theirs.epoch),
                          None if finding is None else str(finding))
        k, seed = int(view.predicted[0]), f"seed {other.config.train.seed}"
        name = other.name if seed in other.name or other.ensemble else f"{other.name}, {seed}"
        result.append(OtherPrediction(name, view.names[k], float(view.probs[0, k]), bool(view.correct[0])))
    return result


def draw_other_runs(others: Sequence[OtherPrediction]) -> None:
    """The predictions of other runs; nothing where there is no other run on the same images."""
    if not others:
        return
    st.markdown("**Other runs**", help="Runs that were trained and evaluated on the same images. An image "
                                       "that all get wrong is hard, an outlier, or mislabelled.")
    correct = sum(other.correct for other in others)
    st.caption(f"Correct in {correct} of {len(others)} other run{'' if len(others) == 1 else 's'}.")
    st.html(others_html(others))


def others_html(others: Sequence[OtherPrediction]) -> str:
    """The rows: a sign, the run, its prediction and how probable it is."""
    rows = []
    for other in others:
        kind, sign = ("right", "&#10003;") if other.correct else ("wrong", "&#10007;")
        cells = (other.run, other.predicted, format_probability(other.prob, 0))
        rows.append(f"<tr><td class='{kind}'>{sign}</td>"
                    + "".join(f"<td>{html_escape(cell)}</td>" for cell in cells) + "</tr>")
    label = "Predictions of other runs"
    return f"<div class='lb-others'><table aria-label='{label}'>{''.join(rows)}</table></div>"


def _images_of(run: Run) -> tuple:
    """(split hash, task, classes); what never changes is read once. Of a run that has not begun it is the
    run itself."""
    known = _known_images()
    if str(run.folder) not in known:
        about = run.data()
        if not about:
            return (run.id,)
        known[str(run.folder)] = about["split_hash"], about["task"], tuple(about["class_names"])
    return known[str(run.folder)]


@st.cache_resource(show_spinner=False)
def _known_images() -> dict[str, tuple]:
    return {}


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs=BY_PREDICTIONS)
def _places(run: Run, preds: Predictions) -> dict[str, int]:
    """image_id -> its position in the predictions."""
    return {image_id: i for i, image_id in enumerate(preds.image_ids)}
