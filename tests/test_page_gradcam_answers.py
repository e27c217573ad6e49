"""What the page Grad-CAM says of the answers: at the run's threshold, of the changed image, and never of a shut test set."""

import numpy as np
import pytest

from core.evaluation import thresholds
from core.explain import feature_maps
from core.metrics.operating_points import Threshold
from core.runs.classifiers import load_classifier
from pages.gradcam import one_map
from pages.gradcam.what_if import DEFAULTS, changes_of
from tests import judged
from tests.judged import open_page, pairs, plant, text_of

run, trained = judged.run, judged.trained          # fixtures
LABELS = np.arange(40) % 2


@pytest.fixture
def planted(run):
    """One mistake, number 31."""
    p = np.where(LABELS == 1, 0.9, 0.1)
    p[31] = 0.1
    plant(run, "val", LABELS, np.stack([1 - p, p], 1))
    return run


@pytest.fixture
def answers(monkeypatch):
    """In the place of the network: 0.4 for class 1 of each image as it is stored, 0.2 of any other."""
    def probs_of(address, pixels, token):
        asked.append(pixels)
        p = 0.4 if np.array_equal(pixels, asked[0]) else 0.2
        return np.array([1 - p, p])
    asked = []
    monkeypatch.setattr(one_map, "probs_of", probs_of)
    return asked


def turn(at, label: str, value):
    at = next(s for s in (*at.slider, *at.toggle) if s.label == label).set_value(value).run()
    assert not at.exception, at.exception
    return at


@pytest.mark.parametrize("threshold, note", [(None, "The prediction stays 0."), (0.3, "The prediction changes from 1 to 0.")])
def test_the_changed_image_is_predicted_at_the_threshold_of_the_run(planted, answers, threshold, note):
    if threshold:
        thresholds.freeze(planted, Threshold(threshold))
    at = turn(open_page("gradcam", run=planted.id, target="1"), "Invert", True)
    header, = pairs(at)
    assert [picture["text"] for picture in header["pictures"]] == ["1: 40.0 %", "1: 20.0 %"]
    assert header["pictures"][1]["moved"] == "\u221220.0 points" and header["note"] == note
    assert np.array_equal(answers[-1], 255 - answers[0])
    bars = next(e.proto.body for e in at.get("html") if "<small>(true)</small>" in e.proto.body)
    assert "20" in bars and "40" not in bars.replace("#", "") and "bars are those of the changed image" in text_of(at)
    assert ("Predicted 1 above 0.300" in text_of(at)) == bool(threshold)


def test_two_changes_of_one_kind_are_two_images(planted, answers):
    at = open_page("gradcam", run=planted.id)
    for value in (10, 20):
        turn(at, "Rotate", value)
    turned = {image.tobytes() for image in answers}
    assert len(turned) == 3, "each is answered by itself, though both are turned"


def test_the_map_beside_the_changed_image_is_its_own(planted, monkeypatch):
    seen = []

    def map_of(address, image, token, target, layer=None, method="grad_cam", against=None, **_):
        seen.append((np.asarray(image), target, layer, method, against))
        return np.float32([[1, 0], [0, 2 if len(seen) % 2 else 4]])
    monkeypatch.setattr(one_map, "map_of", map_of)
    monkeypatch.setattr(one_map, "is_quick", lambda *_: True)
    last = load_classifier(planted.id).model.stages[-1]
    at = turn(open_page("gradcam", run=planted.id, target="1", against="0", method="hires_cam"), "Invert", True)
    (before, *asked), (after, *again) = seen[-2:]
    assert np.array_equal(after, 255 - before) and asked == again == [1, last, "hires_cam", 0]
    header, = pairs(at)
    assert header["high"].startswith("4 "), "one scale for both: that of the higher map"
    model = load_classifier(planted.id).model
    layers = one_map.layers_of(planted.id)
    channels, height, width = layers[last]
    assert f"{list(layers).index(last) + 1} of {len(layers)}: {channels:,} feature maps of {width} x {height}" in text_of(at)
    assert list(layers) == list(feature_maps(model, one_map.as_input(model, [before])))


def test_a_class_is_not_set_against_itself_and_not_at_all_by_a_method_that_knows_no_classes(planted, monkeypatch):
    seen, map_of = [], one_map.map_of

    def noted(*asked):
        seen.append(asked[-3:])
        return map_of(*asked)
    monkeypatch.setattr(one_map, "map_of", noted)
    at = open_page("gradcam", run=planted.id, target="1", against="1")
    assert pairs(at)[0]["pictures"][1]["title"] == "Evidence for 1" and seen[-1][1:] == ("grad_cam", None)
    at = open_page("gradcam", run=planted.id, target="1", against="0", method="eigen_cam")
    assert pairs(at)[0]["pictures"][1]["title"] == "Activation of the layer" and seen[-1][1:] == ("eigen_cam", None)
    assert next(box for box in at.selectbox if box.label == "Contrast with").disabled


def test_what_the_form_asks_for():
    form = DEFAULTS | {"cover": True, "cover_side": 40, "cover_at": (0.2, 0.9), "letter": True, "letter_text": "R",
                       "invert": True}
    assert changes_of(DEFAULTS) == {} and changes_of(form) == {
        "invert": True, "cover": {"x": 0.2, "y": 0.9, "side": 0.4, "gray": None},
        "letter": {"x": 0.15, "y": 0.15, "side": 0.12, "text": "R"}}
    assert [changes_of(form | {"cover_fill": fill})["cover"]["gray"] for fill in ("black", "white")] == [0, 1]


def test_a_locked_test_set_is_not_opened_from_here(planted):
    at = open_page("gradcam", run=planted.id, split="test")
    assert "locked" in text_of(at) and not [b for b in at.button if b.label.startswith("Open the test set")]
    assert planted.times_test_opened() == 0
