"""Threshold and calibration as the page draws them: whose scores go to the browser, what it may say, what is refused."""

import json
import struct

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.datasets.positive import default_positive
from core.evaluation.predictions import load_predictions
from core.evaluation.thresholds import freeze, of
from core.metrics.calibration import ece, temperature
from core.metrics.operating_points import HAND, Threshold, choose
from core.runs import checkpoints
from pages.evaluate.threshold import choose_again, read_wanted
from tests import judged
from tests.judged import change_json, plant, text_of

run, trained = judged.run, judged.trained          # fixtures
RNG = np.random.default_rng(3)


def draw(run, split: str = "val", part: str = "threshold", **query: str) -> AppTest:
    def script(run_id, split, part):
        from core.evaluation.predictions import load_predictions
        from core.runs.store import RunStore
        from pages.evaluate.calibration import draw_calibration
        from pages.evaluate.threshold import draw_threshold
        run = RunStore().get(run_id)
        {"threshold": draw_threshold, "calibration": draw_calibration}[part](run, split, load_predictions(run, split))
    at = AppTest.from_function(script, args=(run.id, split, part), default_timeout=60)
    at.query_params.update(query)
    at.run()
    assert not at.exception, at.exception
    return at


def sent(at: AppTest) -> tuple[dict, np.ndarray, np.ndarray]:
    """What the browser gets: header, and the scores of positives and negatives as its points imply them, rising."""
    data, = (e.proto.bytes for e in at.get("bidi_component") if e.proto.component_name.endswith("lightbox_threshold"))
    length, = struct.unpack("<I", data[:4])
    header, columns = json.loads(data[4:4 + length]), np.frombuffer(data[4 + length:], "<f4")
    points = dict(zip(header["columns"], columns.reshape(len(header["columns"]), -1)))
    scores = [np.repeat(points["lowest"][1:], np.diff(points[side]).astype(int))[::-1] for side in ("tp", "fp")]
    assert (header["m"], header["n"]) == tuple(map(len, scores))
    return header, *scores


def softmax(z):
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


def test_the_browser_gets_the_scores_of_both_sides(run):
    labels, p = RNG.integers(0, 2, 40), RNG.random(40).astype(np.float32)
    plant(run, "val", labels, np.stack([1 - p, p], 1))
    header, positives, negatives = sent(draw(run, sought="1"))
    assert positives.tolist() == sorted(p[labels == 1].tolist()) and negatives.tolist() == sorted(p[labels == 0].tolist())
    assert not header["test"] and header["frozen"] is None and (header["name"], header["rest"]) == ("1", "0")
    header, positives, _ = sent(draw(run, sought="0"))                         # the other one is sought
    assert positives == pytest.approx(np.sort(1 - p[labels == 0])) and (header["name"], header["rest"]) == ("0", "1")


def test_one_class_of_several_and_one_finding_of_several(run):
    labels, probs = RNG.integers(0, 3, 40), softmax(RNG.normal(0, 1, (40, 3)))
    change_json(run, "data", task="multi-class", class_names=["a", "b", "c"])
    plant(run, "val", labels, probs)
    at = draw(run, sought="1")
    header, positives, negatives = sent(at)
    assert len(positives) == (labels == 1).sum() and positives == pytest.approx(np.sort(probs[labels == 1, 1]))
    assert header["rest"] == "the rest" and "still predicts the most probable class" in text_of(at)
    at = draw(run, part="calibration")                                          # the answer, whichever it is
    assert at.dataframe[0].value["ECE"][0] == f"{ece(probs.argmax(1) == labels, probs.max(1)):.3f}"
    several, probs = RNG.integers(0, 2, (40, 3)), RNG.random((40, 3))
    change_json(run, "data", task="multi-label, binary-class", class_names=["mass", "fluid", "<b>$x$"])
    plant(run, "val", several, probs)
    header, positives, _ = sent(draw(run, finding="2"))
    assert positives == pytest.approx(np.sort(probs[several[:, 2] == 1, 2])) and header["rest"] == "no <b>$x$"
    at = draw(run, part="calibration", finding="2")
    assert at.dataframe[0].value["ECE"][0] == f"{ece(several[:, 2], probs[:, 2].astype(np.float32)):.3f}"


def test_on_test_the_frozen_one_is_shown_and_nothing_can_be_sent(run):
    labels, p = RNG.integers(0, 2, 40), RNG.random(40)
    for split in ("val", "test"):
        plant(run, split, labels, np.stack([1 - p, p], 1))
    freeze(run, Threshold(0.25, positive_class=1))
    at = draw(run, "test", sought="1")
    header, *_ = sent(at)
    assert header["test"] and header["frozen"] == {"value": 0.25, "says": "by hand"}
    assert sent(draw(run, sought="0"))[0]["frozen"]["value"] == 0.75             # the same one from the other side


def test_calibration_is_fitted_on_validation_and_judged_on_test(run):
    z = RNG.normal(0, 1.5, (40, 2))
    labels = (RNG.random(40) < softmax(z)[:, 1]).astype(int)
    plant(run, "val", labels, softmax(4 * z))
    plant(run, "test", 1 - labels, softmax(z))
    at = draw(run, "test", part="calibration", sought="1")
    t = temperature(labels, softmax(4 * z).astype(np.float32), "binary-class")
    words = text_of(at)
    assert t > 2 and f"**T = {t:.2f}**" in words and "Over-confident" in words and "not well calibrated" in words
    assert at.dataframe[0].value["ECE"][0] == f"{ece(1 - labels, softmax(z)[:, 1].astype(np.float32)):.3f}"
    assert "The test set tells" not in words and "The test set tells" in text_of(draw(run, part="calibration"))


def test_one_side_alone_and_a_perfect_network_are_no_fault(run):
    plant(run, "val", np.ones(40, int), np.tile([0.2, 0.8], (40, 1)))
    header, positives, negatives = sent(draw(run, sought="1"))
    assert len(positives) == 40 and not len(negatives) and header["auc"] == "-"
    assert "every validation image is predicted correctly" in text_of(draw(run, part="calibration"))


@pytest.mark.parametrize("value", [None, 5, ["youden"], ["best", 0.5, None, 0.1], ["hand", "0.5", None, 0.1],
                                   ["hand", True, None, 0.1], ["cost", 0.5, "x", 0.1], ["hand", float("nan"), None, 0.1]])
def test_what_a_browser_must_not_say_is_nothing(value):
    assert read_wanted(value) is None


def test_what_is_frozen_is_chosen_again_from_the_answers(run):
    labels, p = RNG.integers(0, 2, 40), RNG.random(40).astype(np.float32)
    plant(run, "val", labels, np.stack([1 - p, p], 1))
    found, best = load_predictions(run, "val"), checkpoints.best_epoch(run.checkpoints)
    wanted = read_wanted(["cost", 0.999, 5, 0.2])                              # what it says the threshold was is not believed
    freeze(run, choose_again(found, "binary-class", 1, *wanted))
    assert of(run) == choose("cost", labels, p, cost=5.0, prevalence=0.2).value
    assert choose_again(found, "binary-class", 1, HAND, 0.3, None, 0.2) == Threshold(0.3, epoch=best)


def test_the_healthy_class_is_not_the_positive_one():
    def of(*names, **more):
        return default_positive({"class_names": names} | more)
    assert of("malignant", "normal, benign") == 0 and of("normal", "pneumonia") == 1
    assert of("malignant", "normal, benign", label_edit="") == 1                # so it was asked for
    assert of("0", "1", "2") == 2 and of("a", "b") == 1


def test_a_frozen_threshold_says_where_it_comes_from():
    names = ["well", "ill"]
    assert Threshold(.1, "sensitivity", {"sensitivity": .95},
                     positive_class=1).in_words(names) == "sensitivity for ill at least 0.95"
    assert Threshold(.1, "cost", {"cost": 10, "prevalence": .02}, positive_class=1).in_words(names) == (
        "a missed ill costs as much as 10 false positives at a prevalence of 2 %")
