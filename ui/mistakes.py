"""What the page Errors knows beside the answers: in which order to look, which classes are confused, what people marked, what
the network takes for the same, and what other runs said of an image.

N images of a split, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape as html_escape

import numpy as np
import streamlit as st

from core import metrics
from core.datasets import Dataset
from core.errors import LightboxError
from core.evaluation import Predictions
from core.judge import thresholds
from core.judge.neighbours import features_of, nearest, training_features
from core.judge.suspects import Suspects, find_suspects
from core.marks import KINDS, NOTE_LENGTH, Mark, marks_csv, marks_file, put_mark, read_marks
from core.metrics import MULTI_LABEL
from core.runs import Run
from ui.explaining import classifier, version
from ui.follow import follow
from ui.gallery import gallery
from ui.judging import number, one_finding, stamp, stored
from ui.loaders import thumbnails
from ui.shell import Chip, escape, format_percent, format_probability, go, long_task, set_param, show_error

NEAREST = 10           # training images beside one that is looked at
PAIRS = 5              # of classes that are confused most
WEAK = 0.25            # a network that takes more labels than this for wrong is no judge of them
OTHER_RUNS = 40        # at most so many other runs are asked, the newest


# ------------------------------------------------------------------------------------------------ in which order to look

@dataclass(frozen=True)
class Order:
    """title: in the menu; help: what comes first and why; rank: (labels, probs, answers, cut) -> (N,), the lowest first."""
    title: str
    help: str
    rank: Callable[[np.ndarray, np.ndarray, np.ndarray, float], np.ndarray] | None


def _of(probs: np.ndarray, classes: np.ndarray) -> np.ndarray:
    return probs[np.arange(len(probs)), classes]


def _sure(labels, probs, answers, cut):
    confidence = _of(probs, answers)
    return np.where(answers != labels, -confidence, confidence)


def _lead(labels, probs, answers, cut):
    """How far an answer is from being another: of two classes from the threshold, of more from the second likeliest."""
    if probs.shape[1] == 2:
        return np.abs(probs[:, 1] - cut)
    top = np.sort(probs, axis=1)
    return top[:, -1] - top[:, -2]


def _near(labels, probs, answers, cut):
    missing = _lead(labels, probs, answers, cut) if probs.shape[1] == 2 else _of(probs, answers) - _of(probs, labels)
    return np.where(answers != labels, missing - 2, missing)               # mistakes first


def _suspicious(labels, probs, answers, cut):
    rank = np.empty(len(labels))
    rank[find_suspects(labels, probs).order] = np.arange(len(labels))
    return rank


ORDERS = {
    "sure": Order("Most confident mistake first", "A network that is sure and wrong: what did it see? After the mistakes come "
                  "the right answers, from the least sure on.", _sure),
    "near": Order("Near misses first", "Mistakes that a little more would have made right.", _near),
    "loss": Order("Highest loss first", "The images whose true class got the least probability: where the loss comes from.",
                  lambda labels, probs, answers, cut: _of(probs, labels)),
    "suspect": Order("Suspected labels first", "Labels that may be wrong, ranked by confident learning (Northcutt, Jiang and "
                     "Chuang, 2021): the network did not learn from these images and is confidently of another opinion.",
                     _suspicious),
    "unsure": Order("Least sure first", "Right or wrong, the answers that hung in the balance.", _lead),
    "random": Order("Random order", "What the images are like, whatever the answers.", None),
}


def order_chip() -> Chip:
    return Chip("order", "Order", {name: order.title for name, order in ORDERS.items()}, width=250)


def choose(labels: np.ndarray, probs: np.ndarray, answers: np.ndarray, *, true: int | None = None,
           predicted: int | str = "wrong", order: str = "sure", seed: int = 0, cut: float = 0.5) -> np.ndarray:
    """Positions of the images of a cell of the confusion matrix, in the order in which they are worth looking at.

    Args:
        labels, answers: (N,) int64
        probs: (N, K)
        true: only images of this class; None takes all
        predicted: "wrong" takes the mistakes, "all" every answer, a number that answer
        order: a key of ORDERS; "random" goes by `seed`
        cut: of two classes the threshold of the second

    Returns:
        (n,) int64
    """
    kept = np.ones(len(labels), bool) if true is None else labels == true
    if predicted == "wrong":
        kept &= answers != labels
    elif predicted != "all":
        kept &= answers == predicted
    positions = np.flatnonzero(kept)
    if ORDERS[order].rank is None:
        return np.random.default_rng(seed).permutation(positions)
    return positions[np.argsort(ORDERS[order].rank(labels, probs, answers, cut)[positions], kind="stable")]


@dataclass(frozen=True)
class Answers:
    """A split of a run as this page sees it; of several findings the one that is looked at, as two classes.

    Args:
        labels, answers: (N,) int64
        probs: (N, K)
        names: K names
        cut: threshold of the second of two classes, or of the finding
        finding: which of several; None where an image has one class
    """
    labels: np.ndarray
    probs: np.ndarray
    answers: np.ndarray
    names: tuple[str, ...]
    cut: float
    finding: int | None

    def suspects(self) -> Suspects:
        return find_suspects(self.labels, self.probs)

    def confused(self) -> list[tuple[int, int, int, int]]:
        """(true class, answer, how many, of how many) of the pairs that are confused most often, the worst first."""
        matrix = metrics.confusion_matrix(self.labels, self.answers, len(self.names))
        pairs = [(int(matrix[t, a]), t, a) for t in range(len(matrix)) for a in range(len(matrix)) if t != a and matrix[t, a]]
        return [(t, a, n, int(matrix[t].sum())) for n, t, a in sorted(pairs, key=lambda p: (-p[0], p[1:]))[:PAIRS]]


def answers_for(run: Run, found: Predictions, finding: str | None = None) -> Answers:
    """The answers at the threshold that was chosen for the run. `finding` is its number as it stands in the address."""
    about = run.data()
    names, task, cut = tuple(about["class_names"]), about["task"], thresholds.of(run)
    labels, probs, answers, k = found.labels, found.probs, metrics.predict(found.probs, task, cut), None
    if task == MULTI_LABEL:
        k = number(finding, len(names)) or 0
        (labels, probs), answers = one_finding(labels, probs, k), answers[:, k]
        names = (f"no {names[k]}", names[k])
    return Answers(labels, probs, answers, names, float(np.broadcast_to(cut, found.probs.shape[1])[k or 0]), k)


def draw_confused(pairs: Sequence[tuple[int, int, int, int]], names: Sequence[str]) -> None:
    """The pairs of `Answers.confused` in a line; a click shows their images."""
    if not pairs:
        return

    def show(true: int, answer: int) -> None:
        set_param("true", str(true))
        set_param("predicted", str(answer))

    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="confused", width="content"):
        st.caption("Most confused", width="content", help="True class, answer, and how many of the images of that class. "
                                                          "A click shows them.")
        for true, answer, n, of in pairs:
            st.button(f"{escape(names[true])} \u2192 {escape(names[answer])}: {n:,} of {of:,}", type="tertiary",
                      key=f"pair_{true}_{answer}", on_click=show, args=(true, answer))


def suspicion(suspects: Suspects, shown: np.ndarray) -> str:
    """What confident learning says of the whole split, and how many of its suspects are among those that are shown."""
    n, here = int(suspects.suspected.sum()), int(suspects.suspected[shown].sum())
    if not n:
        return "No label is suspected: nowhere is the network confidently of another opinion."
    labels = "1 label is suspected" if n == 1 else f"{n:,} labels are suspected"
    where = "" if here == n else f" ({here:,} of them in this selection)"
    more = ("So weak a network says more about itself than about the labels." if suspects.noise > WEAK else
            "A hard image looks much like a wrong label, so look before you mark.")
    return f"{labels}{where}; by the network's estimate {format_percent(suspects.noise)} of all labels here are wrong. {more}"


# ---------------------------------------------------------------------------------------------------- what people marked

def mark_chip() -> Chip:
    return Chip("mark", "Marks", {"any": "Marks: any", "marked": "Marked", **KINDS, "note": "With a note", "none": "Not marked"},
                width=140)


def marks_of(dataset: str) -> dict[str, Mark] | None:
    """The marks of a set, read anew when the file changed. None, after a sentence, where the file is damaged."""
    try:
        changed = marks_file(dataset).stat()
    except OSError:
        return {}
    try:
        return _marks(dataset, str(marks_file(dataset)), changed.st_mtime_ns, changed.st_ino)
    except LightboxError as error:
        show_error(error)
        return None


@st.cache_resource(max_entries=16, show_spinner=False)
def _marks(dataset: str, path: str, changed: int, inode: int) -> dict[str, Mark]:
    return read_marks(dataset)


def has_mark(mark: Mark | None, wanted: str) -> bool:
    """Whether a mark is what the chip of `mark_chip` asks for."""
    if wanted in KINDS:
        return mark is not None and mark.kind == wanted
    return {"any": True, "marked": mark is not None and bool(mark.kind), "note": mark is not None and bool(mark.note),
            "none": mark is None or not mark.kind}[wanted]


def draw_mark(dataset: str, image_id: str, mark: Mark | None) -> None:
    """The three marks and the note of an image; what is chosen or typed is kept at once."""
    mark = mark or Mark()
    with st.container(gap="xsmall", key="mark"):
        st.segmented_control("Mark this image", list(KINDS), format_func=KINDS.get,
                             help="Kept for this data set: for all runs, and for everybody who uses this app.",
                             **follow(f"mark_{image_id}", mark.kind or None, _put, dataset, image_id, "kind"))
        st.text_input("Note", max_chars=NOTE_LENGTH, placeholder="A note for whoever looks next", label_visibility="collapsed",
                      **follow(f"note_{image_id}", mark.note, _put, dataset, image_id, "note"))
    if fault := st.session_state.pop("mark_fault", None):
        show_error(fault)


def _put(dataset: str, image_id: str, field: str, value: str | None) -> None:
    try:
        put_mark(dataset, image_id, **{field: value or ""})
    except LightboxError as error:
        st.session_state["mark_fault"] = error


def draw_download(dataset: str, marks: dict[str, Mark] | None) -> None:
    """The marks of the set as a file; nothing where there are none."""
    if marks:
        name = marks_file(dataset).stem.rsplit("-", 1)[0]
        st.download_button(f"{len(marks):,} mark{'' if len(marks) == 1 else 's'} as CSV", lambda: marks_csv(dataset),
                           f"marks-{name}.csv", "text/csv", icon=":material/download:", type="tertiary", on_click="ignore",
                           help=f"All marks of this data set. The same without a browser: python -m core marks {escape(dataset)}")


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
    st.caption(f"{right} of {len(said)} other run{'' if len(said) == 1 else 's'} {'is' if right == 1 else 'are'} right here.")
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


# ----------------------------------------------------------------------------------------------------------- the patient

def patient_views(data: Dataset, row: int, most: int) -> np.ndarray:
    """Rows of all images of the patient of `row`, itself first, then the rest of its study, at most `most`; none where it
    is the only one or nobody knows the patient."""
    patient = data.table["patient"].iat[row]
    views = np.flatnonzero(data.table["patient"].to_numpy() == patient) if patient else np.array([], int)
    if len(views) < 2:
        return views[:0]
    study = data.table["study"].to_numpy()
    return views[np.lexsort((views, study[views] != study[row], views != row))][:most]
