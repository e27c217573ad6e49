"""What stands beside one image: its patient's other images, the training images nearest to it, the answers of other runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape as html_escape

import numpy as np
import streamlit as st

from core.datasets import Dataset
from core.errors import LightboxError
from core.evaluation.neighbours import features_of, nearest, training_features
from core.evaluation.predictions import Predictions
from core.runs.store import Run
from pages.shared.error_order import Answers, answers_for, caption
from pages.shared.gallery import gallery
from pages.shared.heatmaps import classifier, version
from pages.shared.layout import escape, format_probability, go, long_task, show_error
from pages.shared.open_data import thumbnails
from pages.shared.predictions import stamp, stored

NEAREST = 10           # training images beside one that is looked at
OTHER_RUNS = 40        # at most so many other runs are asked, the newest
VIEWS_OF_PATIENT = 24  # at most so many images of a patient


# ----------------------------------------------------------------------------------------------------------- the patient

def draw_patient(data: Dataset, row: int, rows: np.ndarray, said: Answers) -> None:
    """All images of the same patient, this one first, with the answers that the run gave; nothing where there is no other."""
    views = patient_views(data, row, VIEWS_OF_PATIENT)
    if not len(views):
        return
    table, place = data.table.iloc[views], {int(r): i for i, r in enumerate(rows)}
    patient, captions, edges = str(table["patient"].iat[0]), [], []
    for view, study, name, split in zip(views, table["study"], table["view"], table["split"]):
        i = place.get(int(view))
        what = f"{study} {name}".strip()
        answer = split if i is None else said.names[said.answers[i]] if said.finding is None else caption(said, i)
        captions.append(f"{what}\n{answer}".strip())
        edges.append(None if i is None else "right" if said.answers[i] == said.labels[i] else "wrong")
    st.markdown(f"**{'Both' if len(views) == 2 else f'All {len(views)}'} images of patient {escape(patient)}**")
    images, key = thumbnails(data, views)
    clicked = gallery(images, key="patient", aria_label=f"Images of patient {patient}", cache_key=key, tile=92, captions=captions,
                      marks=edges, selected=0)
    if clicked is not None and edges[clicked]:
        st.query_params["image"] = str(table["image_id"].iat[clicked])
        st.rerun()


def patient_views(data: Dataset, row: int, most: int) -> np.ndarray:
    """Rows of all images of the patient of `row`, itself first, then the rest of its study, at most `most`; none where it
    is the only one or nobody knows the patient."""
    patient = data.table["patient"].iat[row]
    views = np.flatnonzero(data.table["patient"].to_numpy() == patient) if patient else np.array([], int)
    if len(views) < 2:
        return views[:0]
    study = data.table["study"].to_numpy()
    return views[np.lexsort((views, study[views] != study[row], views != row))][:most]


# -------------------------------------------------------------------------------------------- nearest training images

def draw_nearest(run: Run, data: Dataset, row: int, names: Sequence[str]) -> None:
    """The training images whose features are most like those of an image, or the button that computes the features."""
    wanted, train = f"nearest_{run.id}", data.indices("train")
    st.markdown("**Nearest training images**", help="Those whose features, the numbers that the network decides by, point most "
                "nearly in the same direction. They show what it took the image for. 1.00 is the same direction.")
    if not len(train):
        st.caption("This split has no training images.")
        return
    model = classifier(run.id).model
    features = _kept(run.id, version(run.id), data.fingerprint, data.split_hash, run, data, model)
    if features is None:
        if st.session_state.get(wanted):
            try:
                with long_task("Computing the features of the training images, once", key=wanted) as progress:
                    training_features(run, data, model, progress)
            except LightboxError as error:
                show_error(error)
                return
            st.session_state.pop(wanted)
            _kept.clear(run.id, version(run.id), data.fingerprint, data.split_hash, run, data, model)
            st.rerun()
        st.caption(f"The features of {len(train):,} training images are computed once, then kept.")
        st.button("Find them", key=f"{wanted}_go", on_click=st.session_state.__setitem__, args=(wanted, True))
        return
    positions, similarity = _nearest((run.id, version(run.id), data.fingerprint, data.split_hash, row), features, model, data)
    rows = train[positions]
    table = data.table.iloc[rows]
    several = data.labels.ndim == 2
    words = [", ".join(names[k] for k in np.flatnonzero(data.labels[i])) or "none" if several else names[data.labels[i]]
             for i in rows]
    st.caption(neighbours_in_words(words, None if several else names[data.labels[row]],
                                   table["patient"].tolist(), data.table["patient"].iat[row]))
    images, key = thumbnails(data, rows)
    clicked = gallery(images, key="nearest", aria_label="Nearest training images", cache_key=key, tile=92,
                      captions=[f"{word}, {s:.2f}" for word, s in zip(words, similarity)])
    if clicked is not None:
        go("browse", dataset=run.config.data.dataset, image=str(table["image_id"].iat[clicked]))


def neighbours_in_words(words: Sequence[str], true: str | None, patients: Sequence[str], patient: str) -> str:
    """How many of the neighbours have the true class, and whether the same patient is among them. Markdown."""
    said = ""
    if true is not None:
        said = f"{sum(word == true for word in words)} of {len(words)} are {escape(true)}, as its label says. "
    same = sum(bool(patient) and other == patient for other in patients)
    if same:
        said += (f"{same} of them {'shows' if same == 1 else 'show'} the same patient: this split puts images of one patient on "
                 "both sides.")
    return said


@st.cache_resource(max_entries=8, show_spinner=False)
def _kept(address: str, version: tuple, fingerprint: str, split_hash: str, _run: Run, _data: Dataset,
          _model) -> np.ndarray | None:
    return training_features(_run, _data, _model, make=False)


@st.cache_data(max_entries=256, show_spinner=False)
def _nearest(key: tuple, _features: np.ndarray, _model, _data: Dataset) -> tuple[np.ndarray, np.ndarray]:
    return nearest(_features, features_of(_model, [_data.images[key[-1]]])[0], NEAREST)


# ------------------------------------------------------------------------------------------------------------ other runs

@dataclass(frozen=True)
class Said:
    """What a run said of one image: the run's name, its answer, the probability of that, and whether it is right."""
    run: str
    answer: str
    prob: float
    right: bool


def other_answers(run: Run, runs: Sequence[Run], split: str, image_id: str, finding: int | None) -> list[Said]:
    """What the other runs on the same images said of one of them, the newest first; of test only runs whose test set is open.

    The same images: the same split of the same ids, the same classes and the same label.
    """
    mine, found = _about(run), stored(run, split)
    at = _places(str(run.folder), split, stamp(run), found).get(image_id)
    said = []
    for other in [other for other in runs if other.id != run.id and _about(other) == mine][:OTHER_RUNS]:
        theirs = stored(other, split)
        if theirs is None or at is None:
            continue
        place = _places(str(other.folder), split, stamp(other), theirs).get(image_id)
        if place is None or not np.array_equal(theirs.labels[place], found.labels[at]):
            continue
        view = answers_for(other, Predictions(theirs.labels[[place]], theirs.probs[[place]], [image_id], theirs.epoch),
                           None if finding is None else str(finding))
        answer = int(view.answers[0])
        seed = f"seed {other.config.train.seed}"
        said.append(Said(other.name if seed in other.name else f"{other.name}, {seed}", view.names[answer],
                         float(view.probs[0, answer]), bool(answer == view.labels[0])))
    return said


def draw_others(said: Sequence[Said]) -> None:
    """The answers of other runs; nothing where there is no other run on the same images."""
    if not said:
        return
    st.markdown("**Other runs**", help="Runs that were trained and judged on the same images. An image that all get wrong is "
                                       "hard, unlike the others, or has a wrong label.")
    right = sum(s.right for s in said)
    runs, are = "run" if len(said) == 1 else "runs", "is" if 1 in (right, len(said)) else "are"
    st.caption(f"{right} of {len(said)} other {runs} {are} right here.")
    st.html(others_html(said))


def others_html(said: Sequence[Said]) -> str:
    """The rows: a sign, the run, its answer and how sure it was."""
    rows = "".join(
        f"<tr><td class='{'right' if s.right else 'wrong'}'>{'&#10003;' if s.right else '&#10007;'}</td>"
        f"<td>{html_escape(s.run)}</td><td>{html_escape(s.answer)}</td>"
        f"<td>{html_escape(format_probability(s.prob, 0))}</td></tr>" for s in said)
    return f"<div class='lb-others'><table aria-label='Answers of other runs'>{rows}</table></div>"


def _about(run: Run) -> tuple:
    """(split hash, task, classes); what never changes is read once. Of a run that has not begun it is the run itself."""
    known = _abouts()
    if str(run.folder) not in known:
        about = run.data()
        if not about:
            return (run.id,)
        known[str(run.folder)] = about["split_hash"], about["task"], tuple(about["class_names"])
    return known[str(run.folder)]


@st.cache_resource(show_spinner=False)
def _abouts() -> dict[str, tuple]:
    return {}


@st.cache_resource(max_entries=64, show_spinner=False)
def _places(folder: str, split: str, stamp: int, _found: Predictions) -> dict[str, int]:
    """image_id -> its position in the predictions."""
    return {image_id: i for i, image_id in enumerate(_found.image_ids)}
