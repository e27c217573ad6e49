"""The parts of the page Errors: orders, confused pairs, marks, nearest training images, other runs, images of a patient."""

import csv
import io
from types import SimpleNamespace

import numpy as np
import pandas as pd

from core.datasets import open_dataset
from core.evaluation import thresholds
from core.metrics.operating_points import Threshold
from core.runs.marks import marks_csv, put_mark, read_marks
from core.runs.store import RunStore
from pages.errors import marks as marking
from pages.errors import related
from pages.errors.marks import has_mark
from pages.errors.related import images_of_patient, neighbours_in_words, others_html
from pages.shared import error_order
from pages.shared.error_order import SplitView, select_images
from tests import judged
from tests.judged import another_run, change_json, galleries, open_page, plant, press, text_of

run, trained = judged.run, judged.trained          # fixtures
N = 40          # validation images of the tiny set


def planted(run):
    """Two mistakes, 31 and 7; of each class twenty images."""
    labels = np.arange(N) % 2
    p = np.where(labels == 1, 0.9, 0.1)
    p[31], p[7] = 0.03, 0.45
    plant(run, "val", labels, np.stack([1 - p, p], 1))
    data = open_dataset(run.config.data)
    return data.table["image_id"].to_numpy()[data.indices("val")]


def test_each_order_by_hand():
    labels = np.array([0, 0, 1, 2, 1])
    probs = np.array([[.1, .2, .7], [.30, .36, .34], [.05, .9, .05], [.41, .35, .24], [.5, .45, .05]])
    view = SplitView(labels, probs, probs.argmax(1), ("a", "b", "c"))

    def order(name):
        return select_images(view, predicted="all", order=name).tolist()

    assert order("near") == [4, 1, 3, 0, 2]               # short by .05, .06, .17 and .6; then the right one
    assert order("loss") == [0, 3, 1, 4, 2]               # true class got .1, .24, .3, .45, .9
    assert order("unsure") == [1, 4, 3, 0, 2]             # ahead by .02, .05, .06, .5, .85
    assert order("suspect")[0] == 0
    two = np.array([[.8, .2], [.68, .32], [.4, .6]])
    view = SplitView(np.zeros(3, int), two, (two[:, 1] > 0.3).astype(int), ("a", "b"), threshold=0.3)
    assert order("unsure") == [1, 0, 2]


def test_most_confused_pairs():
    labels, predicted = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2]), np.array([1, 1, 0, 0, 1, 0, 0, 0, 2])
    view = SplitView(labels, np.zeros((9, 3)), predicted, ("a", "b", "c"))
    assert view.confused_pairs() == [(2, 0, 3, 4), (0, 1, 2, 3), (1, 0, 1, 2)]


def test_a_confused_pair_opens_its_images(run):
    planted(run)
    at = press(open_page("errors", run=run.id), "1 \u2192 0: 2 of 20")
    assert (at.query_params["true"], at.query_params["predicted"]) == ("1", "0") and len(galleries(at)[0]["captions"]) == 2


def test_predictions_are_at_the_chosen_threshold(run):
    planted(run)
    thresholds.freeze(run, Threshold(0.4))
    at = open_page("errors", run=run.id)
    assert galleries(at)[0]["captions"] == ["1 \u2192 0, 97 %"] and "Threshold 0.400" in text_of(at)


def test_an_image_is_marked_found_by_its_mark_and_exported(run):
    ids, dataset = planted(run), run.config.data.dataset
    at = open_page("errors", run=run.id, image=ids[7])
    at = next(c for c in at.segmented_control if c.label.startswith("Mark")).set_value("mislabelled").run()
    assert not at.exception and read_marks(dataset)[ids[7]].kind == "mislabelled"
    at = next(t for t in at.text_input if t.label == "Note").set_value("rib, not <mass>").run()
    put_mark(dataset, ids[31], "unclear")                           # another tab, meanwhile
    assert read_marks(dataset)[ids[7]].note == "rib, not <mass>" and len(read_marks(dataset)) == 2
    assert galleries(at.run())[0]["captions"] == ["1 \u2192 0, 97 %\n\u25cf Unclear", "1 \u2192 0, 55 %\n\u25cf Mislabelled"]
    button, = at.get("download_button")
    assert button.proto.label == "2 marks as CSV"
    assert [row["note"] for row in csv.DictReader(io.StringIO(marks_csv(dataset)))] == ["rib, not <mass>", ""]
    assert len(galleries(open_page("errors", run=run.id, mark="mislabelled"))[0]["captions"]) == 1
    at = press(open_page("errors", run=run.id, mark="interesting"), "Show all images, marked or not")
    assert len(galleries(at)[0]["captions"]) == N


def test_marks_that_cannot_be_read_are_said_and_the_page_stays(run):
    from core.runs.marks import marks_file
    ids = planted(run)
    put_mark(run.config.data.dataset, ids[7], "unclear")
    marks_file(run.config.data.dataset).write_text("{")
    at = open_page("errors", run=run.id, image=ids[7])
    assert "cannot be read" in text_of(at) and len(galleries(at)[0]["captions"]) == 2
    assert marks_file(run.config.data.dataset).read_text() == "{"


def test_what_a_mark_is_asked_for():
    from core.runs.marks import Mark
    marks = [None, Mark("unclear"), Mark("", "why"), Mark("interesting", "x")]
    asked = {wanted: [has_mark(mark, wanted) for mark in marks] for wanted in marking.mark_chip().options}
    assert asked["any"] == [True] * 4 and asked["marked"] == [False, True, False, True]
    assert asked["none"] == [True, False, True, False] and asked["note"] == [False, False, True, True]
    assert asked["unclear"] == [False, True, False, False] and not any(asked["mislabelled"])


def test_the_nearest_training_images_are_found_once(run):
    from core.evaluation.neighbours import features_of, nearest
    from core.runs.classifiers import load_classifier
    ids = planted(run)
    at = open_page("errors", run=run.id, image=ids[7])
    assert "all 160 training images" in text_of(at) and len(galleries(at)) == 1
    at = press(at, "Compute the features")
    data, model = open_dataset(run.config.data), load_classifier(run.id).model
    train, row = data.indices("train"), data.indices("val")[7]
    query = features_of(model, [data.images[row]])[0]
    found, near = nearest(features_of(model, list(data.images[train])), query, related.NEAREST)
    shown = galleries(at)[1]["captions"]
    assert [text.split(", ")[0] for text in shown] == [str(k) for k in data.labels[train[found]]]
    assert [float(text.split(", ")[1]) for text in shown] == [round(float(s), 2) for s in near]
    at = open_page("errors", run=run.id, image=ids[8])                # another image, another session: already there
    assert len(galleries(at)[1]["captions"]) == related.NEAREST
    assert "Compute the features" not in [b.label for b in at.button]


def test_neighbours_in_words():
    assert "2 of 3 have the same label, a." in neighbours_in_words(["a", "b", "a"], "a", ["", "", ""], "")
    said = neighbours_in_words(["a", "b"], "a", ["p1", "p2"], "p1")
    assert "1 of 2" in said and "1 image shows the same patient" in said
    assert neighbours_in_words(["a"], None, [""], "") == ""


def test_other_runs_on_the_same_images_say_what_they_predicted(run):
    store, ids = RunStore(), planted(run)
    right, elsewhere, unlike = (another_run(run, f"20990101-000000-{name}") for name in ("aaaa", "bbbb", "cccc"))
    labels = np.arange(N) % 2
    plant(right, "val", labels, np.eye(2)[labels] * 0.8 + 0.1)
    change_json(elsewhere, "data", split_hash="0")
    plant(unlike, "val", 1 - labels, np.eye(2)[labels])              # the same names, other labels: another set
    at = open_page("errors", run=run.id, image=ids[7])
    assert "Correct in 1 of 1 other run." in text_of(at)
    rows = next(e.proto.body for e in at.get("html") if "lb-others" in e.proto.body and "<table" in e.proto.body)
    assert rows.count("<tr>") == 1 and "<td>1</td><td>90 %</td>" in rows
    plant(run, "test", labels, np.eye(2)[labels])
    assert related.predictions_of_other_runs(run, store.list(), "test", ids[7], None) == [], "their test sets are locked"
    plant(right, "test", labels, np.eye(2)[labels])
    others = related.predictions_of_other_runs(run, store.list(), "test", ids[7], None)
    assert [other.run for other in others] == [f"{right.name}, seed 0"]
    hostile = others_html([related.OtherPrediction("<b>run</b>", "<script>", 0.5, False)])
    assert "<script>" not in hostile and "<b>" not in hostile


def test_all_images_of_a_patient_this_one_first_then_its_study():
    table = pd.DataFrame({"patient": ["p", "q", "p", "p", "", "p"], "study": ["s1", "s1", "s2", "s1", "", "s2"]})
    data = SimpleNamespace(table=table)
    assert images_of_patient(data, 2, 9).tolist() == [2, 5, 0, 3] and images_of_patient(data, 2, 2).tolist() == [2, 5]
    assert not len(images_of_patient(data, 1, 9)) and not len(images_of_patient(data, 4, 9))


def test_suspicion_in_words():
    from core.metrics.confident_learning import find_suspects
    labels = np.array([0, 0, 0, 1, 1, 2])
    probs = np.array([[.8, .1, .1], [.6, .3, .1], [.1, .7, .2], [.2, .5, .3], [.7, .2, .1], [.3, .3, .4]])
    said = error_order.suspicion(find_suspects(labels, probs), np.array([0, 2]))
    assert said.startswith("2 labels are suspected (1 of them shown here)") and "33.3 %" in said
    assert "about itself" in said
    clean = find_suspects(np.array([0, 1]), np.eye(2))
    assert "No label is suspected" in error_order.suspicion(clean, np.arange(2))


# --------------------------------------------------------------------------------------- by where the maps lie

def planted_maps(monkeypatch, hot):
    """Maps with a share of their heat on the first row, `hot` of each row of the set, and the rest in the middle."""
    asked = []

    def maps_of(address, data, rows, targets, layer, progress=None):
        asked.extend(rows)
        maps = np.zeros((len(rows), data.size, data.size), np.float32)
        for cam, row in zip(maps, rows):
            cam[0, :], cam[14, 10:18] = hot[row] / data.size, (1 - hot[row]) / 8
        progress("maps", len(rows), len(rows))
        return maps
    monkeypatch.setattr("pages.errors.map_places.maps_of", maps_of)
    return asked


def test_heat_on_the_border_sorts_first_and_is_computed_once(run, monkeypatch):
    planted(run)
    rows = open_dataset(run.config.data).indices("val")
    share = np.random.default_rng(0).permutation(np.linspace(0, 1, N))
    asked = planted_maps(monkeypatch, dict(zip(rows.tolist(), share)))
    at = open_page("errors", run=run.id, predicted="all", order="border")
    said = [caption.splitlines()[-1] for caption in galleries(at)[0]["captions"]]
    assert said == [f"{100 * one:.0f} % on the border" for one in np.sort(share)[::-1]]
    assert sorted(asked) == sorted(rows.tolist())
    at = open_page("errors", run=run.id, order="border")               # the two errors are among them, and known
    assert len(asked) == N and len(galleries(at)[0]["captions"]) == 2
    first, second = sorted((31, 7), key=lambda i: -share[i])
    assert [("97 %" in caption, "55 %" in caption) for caption in galleries(at)[0]["captions"]] == [
        (i == 31, i == 7) for i in (first, second)]


def test_heat_on_letters_sorts_first_where_they_are_known(run, monkeypatch):
    planted(run)
    rows = open_dataset(run.config.data).indices("val")
    share = np.random.default_rng(1).permutation(np.linspace(0, 1, N))
    planted_maps(monkeypatch, dict(zip(rows.tolist(), share)))
    at = open_page("errors", run=run.id, order="letters")
    assert "not known of these images" in text_of(at)
    assert galleries(at)[0]["captions"][0].startswith("1 \u2192 0, 97 %")
    top = np.zeros((28, 28), bool)
    top[0, :14] = True                                                  # half of the heat on the first row
    monkeypatch.setattr("pages.errors.map_places.letters_known", lambda data: True)
    monkeypatch.setattr("pages.errors.map_places.regions_of", lambda data, rows: {"letters": np.stack(
        [top & bool(row % 2) for row in rows])})                        # every second image has a letter
    at = open_page("errors", run=run.id, predicted="all", order="letters")
    with_letter = [one / 2 for row, one in zip(rows, share) if row % 2]
    said = galleries(at)[0]["captions"]
    assert [caption.splitlines()[-1] for caption in said if "letters" in caption] == [
        f"{100 * one:.0f} % on letters" for one in sorted(with_letter, reverse=True)]
    assert all("letters" in caption for caption in said[:len(with_letter)])
