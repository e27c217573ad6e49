"""The page Grad-CAM: which image, what speaks for which class at which layer, and what is said of the changed image."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest
from torch import tensor

from core.datasets import open_dataset
from core.errors import LightboxError
from core.explain import METHODS, explain, feature_maps
from core.runs.classifiers import as_input, classify, load_classifier
from pages.gradcam.one_map import MapRequest, map_title, prediction_change
from pages.gradcam.what_if import DEFAULTS, changes_of
from tests import judged
from tests.judged import APP, change_json, galleries, open_page, pairs, plant, press, rename_classes, text_of

run, trained = judged.run, judged.trained          # fixtures
N = 40                                             # validation images of the tiny set


@pytest.fixture
def planted(run):
    """Three mistakes: surest 31, then 7, then 20."""
    labels = np.arange(N) % 2
    p = np.where(labels == 1, 0.9, 0.1)
    p[31], p[7], p[20] = 0.03, 0.2, 0.6
    plant(run, "val", labels, np.stack([1 - p, p], 1))
    return run


def image_of(run, position: int) -> tuple[str, np.ndarray]:
    data = open_dataset(run.config.data)
    row = data.indices("val")[position]
    return data.table["image_id"].iloc[row], np.asarray(data.images[row])


def shown(at) -> dict:
    header, = pairs(at)
    return header


def test_the_surest_mistake_comes_first_with_its_map_on_the_raw_scale(planted):
    at = open_page("gradcam", run=planted.id)
    _, image = image_of(planted, 31)
    model = load_classifier(planted.id).model
    peak = float(explain("grad_cam", model, as_input(model, [image]), tensor([0])).max())
    header = shown(at)
    assert [p["title"] for p in header["pictures"]] == ["Image", "Evidence for 0"]
    assert header["pictures"][0]["map"] is None and (header["pictures"][1]["map"] is not None) == (peak > 0)
    assert f"brightest colour is {peak:.3g} logits" in text_of(at) if peak else "map is empty" in text_of(at)
    assert "true class 1" in text_of(at) and "1 of 3" in text_of(at)
    assert galleries(at)[0]["marks"] == ["wrong"] * 3 and galleries(at)[0]["selected"] == 0


def test_without_a_mistake_the_least_certain_right_answer_is_shown(planted):
    labels = np.arange(N) % 2
    p = np.where(labels == 1, 0.9, 0.1)
    p[12], p[5] = 0.45, 0.52                                       # right, and closest to the threshold: 5
    plant(planted, "val", labels, np.stack([1 - p, p], 1))
    at = open_page("gradcam", run=planted.id)
    header = shown(at)
    assert [p["title"] for p in header["pictures"]] == ["Image", "Evidence for 1"]
    assert "No errors here" in text_of(at) and "Correct: predicted 1 (52.0 %)" in text_of(at) and f"1 of {N}" in text_of(at)
    assert set(galleries(at)[0]["marks"]) == {"right"}
    at = open_page("gradcam", run=planted.id, true="0")            # of one class alone
    assert "Correct: predicted 0 (55.0 %)" in text_of(at) and f"1 of {N // 2}" in text_of(at)


def test_next_goes_through_the_mistakes_and_a_link_shows_any_image(planted):
    at = open_page("gradcam", run=planted.id)
    at = press(at, "Next")
    assert image_of(planted, 7)[0] in at.query_params["image"] and "2 of 3" in text_of(at)
    assert not next(b for b in at.button if b.label == "Previous").disabled
    at = open_page("gradcam", run=planted.id, image=image_of(planted, 4)[0])
    assert "Correct: predicted 0" in text_of(at) and "not among these 3" in text_of(at) and galleries(at)[0]["selected"] is None
    assert next(b for b in at.button if b.label == "Previous").disabled


def test_the_address_says_layer_class_difference_and_method(planted):
    model = load_classifier(planted.id).model
    _, image = image_of(planted, 31)
    batch = as_input(model, [image])
    layers = list(feature_maps(model, batch))
    at = open_page("gradcam", run=planted.id, layer=layers[2], target="1", against="0", method="layer_cam")
    peak = float(explain("layer_cam", model, batch, tensor([1]), layers[2], against=tensor([0])).max())
    assert peak > 0 and shown(at)["pictures"][1]["title"] == "Evidence for 1 rather than 0"
    assert f"brightest colour is {peak:.3g} logits" in text_of(at)
    slider, = at.select_slider
    assert slider.options == [name.removeprefix("network.") for name in layers] and f"3 of {len(layers)}" in text_of(at)
    method = next(box for box in at.selectbox if box.label == "Method")
    assert method.options == [m.title for m in METHODS.values()] and METHODS["layer_cam"].equation in method.help


def test_a_signed_method_has_two_colours_and_no_layer(planted):
    at = open_page("gradcam", run=planted.id, method="guided_backprop")
    header = shown(at)
    assert header["low"].startswith("\u2212") and header["high"].endswith(METHODS["guided_backprop"].unit)
    assert "explains the pixels" in text_of(at) and "Blue is evidence against" in text_of(at)


def test_what_if_shows_the_probability_of_the_changed_image(planted):
    at = open_page("gradcam", run=planted.id)
    next(s for s in at.slider if s.label == "Rotate").set_value(180).run()
    assert not at.exception, at.exception
    _, image = image_of(planted, 31)
    before, after = classify(load_classifier(planted.id).model, [image, np.rot90(image, 2)])[:, 0]
    header = shown(at)
    assert abs(after - before) > 0.5, "the network reads where the square is"
    assert [p["title"] for p in header["pictures"]] == ["Original", "Changed"]
    assert header["pictures"][1]["moved"] == f"{100 * (after - before):+.1f} points".replace("-", "\u2212")
    assert ("changes from" in header["note"]) == ((before > .5) != (after > .5))
    at = press(at, "Reset")
    assert shown(at)["pictures"][0]["title"] == "Image" and next(s for s in at.slider if s.label == "Rotate").value == 0


def test_a_slow_map_is_waited_for_after_the_answer_and_can_be_stopped(planted, monkeypatch):
    from pages.gradcam import one_map
    monkeypatch.setattr(one_map, "_map", lambda *_: pytest.fail("the page waited for the map"))
    at = AppTest.from_file(str(APP), default_timeout=60).run()
    at.session_state["stopped_map_occlusion"] = True                       # what the Stop button does
    at.query_params.update({"run": planted.id, "method": "occlusion"})
    at = at.switch_page("gradcam/page.py").run()
    next(t for t in at.toggle if t.label == "Invert").set_value(True).run()
    assert not at.exception, at.exception
    _, image = image_of(planted, 31)
    before, after = classify(load_classifier(planted.id).model, [image, 255 - image])[:, 0]
    header = shown(at)
    assert header["pictures"][1]["moved"] == f"{100 * (after - before):+.1f} points".replace("-", "\u2212")
    assert [(p["map"], p["waiting"]) for p in header["pictures"]] == [(None, "No map yet")] * 2
    assert "Occlusion was stopped" in text_of(at) and "map is empty" not in text_of(at)
    assert [b for b in at.button if b.label == "Run the sanity checks"], "the rest of the page is there"
    monkeypatch.undo()
    monkeypatch.setenv("LIGHTBOX_HOME", str(planted.folder.parents[1]))
    at = press(at, "Compute the map")
    model, header = load_classifier(planted.id).model, shown(at)
    maps = explain("occlusion", model, as_input(model, [image, 255 - image]), tensor([0, 0]))
    assert [p["waiting"] for p in header["pictures"]] == ["", ""] and header["high"] == f"{float(maps.abs().max()):.3g} logits"


def test_the_maps_of_a_difference_are_tested_as_such(planted, monkeypatch):
    from core.explain import sanity_checks
    asked = []

    def examine(model, images, targets, *rest, against, **more):
        asked.append((targets.tolist(), None if against is None else against.tolist()))
        raise LightboxError("test.enough", "That is enough.")
    monkeypatch.setattr(sanity_checks, "run_checks", examine)
    for more, want in (({}, None), ({"against": "0"}, [0] * 16)):
        at = open_page("gradcam", run=planted.id, target="1", **more)
        press(at, "Run the sanity checks")
        assert asked.pop() == ([1] * 16, want) and "That is enough" in text_of(at)


def test_what_the_address_asks_for_in_vain_is_said(planted):
    at = open_page("gradcam", run=planted.id, image="nowhere", target="99", against="<i>", layer="conv7", method="tea leaves")
    said = text_of(at)
    assert "There is no image called nowhere among the 40" in said and shown(at)["pictures"][1]["title"] == "Evidence for 0"
    for sentence in ("no class called 99", "no class called \\<i\\>", "no layer called conv7", "no method called tea leaves"):
        assert sentence in said, sentence


def test_squares_and_letters_can_be_dragged_and_stay_where_they_were_put(planted):
    at = open_page("gradcam", run=planted.id)
    at.session_state["what_if"] = DEFAULTS | {"cover_at": (0.25, 0.75), "cover_side": 50}
    next(t for t in at.toggle if t.label == "Cover a square").set_value(True).run()
    next(t for t in at.toggle if t.label == "Paste a letter").set_value(True).run()
    cover, letter = shown(at)["handles"]
    assert (cover["x"], cover["y"], cover["width"]) == (0.25, 0.75, 0.5) and letter["text"] == "L"


@pytest.mark.parametrize("place", ["<b>", [0.5], [2, 0], [None, 1], [float("nan"), 0], {"x": 1}, True])
def test_a_place_that_is_none_is_not_believed(place, monkeypatch):
    import streamlit as st

    from pages.gradcam.what_if import _set_place
    monkeypatch.setattr(st, "session_state", {"pair": {"cover": place}})
    _set_place("pair", "cover")
    assert st.session_state.get("what_if", DEFAULTS)["cover_at"] == DEFAULTS["cover_at"]
    st.session_state["pair"] = {"cover": [0.1, 1]}
    _set_place("pair", "cover")
    assert changes_of(st.session_state["what_if"] | {"cover": True})["cover"] == {"x": 0.1, "y": 1, "side": 0.25, "gray": None}


def test_the_test_set_stays_locked_and_a_missing_error_is_no_dead_end(run):
    at = open_page("gradcam", run=run.id, split="test")
    assert "locked" in text_of(at) and not pairs(at) and run.times_test_opened() == 0
    labels = np.arange(N) % 2
    plant(run, "val", labels, np.eye(2)[labels] * 0.8 + 0.1)
    at = open_page("gradcam", run=run.id)
    assert "No errors" in text_of(at) and shown(at)
    at = press(open_page("gradcam", run=run.id, true="0", predicted="1"), "Show all images")
    assert shown(at) and "1 of 40" in text_of(at)


def test_several_findings_are_explained_one_at_a_time(run):
    rng = np.random.default_rng(2)
    plant(run, "val", rng.integers(0, 2, (N, 2)), rng.random((N, 2)))
    change_json(run, "data", task="multi-label, binary-class", class_names=["mass", "fluid"])
    at = open_page("gradcam", run=run.id, finding="1", predicted="all")
    assert "fluid" in text_of(at) and "1 (predicted)" in next(b for b in at.selectbox if b.label == "Class to explain").options[0]


def test_names_from_files_are_shown_as_typed_and_without_a_run_there_is_a_way(planted):
    rename_classes(planted, "<SCRIPT>", "$x$")
    at = open_page("gradcam", run=planted.id)
    assert "predicted \\<SCRIPT\\> (97.0 %), true class \\$x\\$" in text_of(at)
    shutil.rmtree(planted.folder)
    assert "no runs yet" in text_of(open_page("gradcam"))


def test_feature_maps_come_in_the_order_of_what_they_say_for_the_class(planted):
    from core.explain.activations import activations, contributions
    model = load_classifier(planted.id).model
    batch, layer = as_input(model, [image_of(planted, 31)[1]]), "network.features.0"
    at = open_page("gradcam", run=planted.id, layer=layer)
    assert not [g for g in galleries(at) if g["label"].startswith("Feature")], "not before they are asked for"
    at = next(t for t in at.toggle if t.label == "Feature maps and kernels").set_value(True).run()
    assert not at.exception, at.exception
    says, maps = contributions(model, batch, tensor([0]), layer)[0], activations(model, batch, layer)[0]
    grid = next(g for g in galleries(at) if g["label"].startswith("Feature maps"))
    order = np.argsort(-says, kind="stable")[:60]
    assert [int(caption.split(":")[0]) for caption in grid["captions"]] == order.tolist() and grid["selected"] == 0
    assert f"of {len(maps)} maps" in text_of(at) and f"white {maps[order[0]].max():.3g}" in text_of(at)
    next(t for t in at.toggle if t.label == "Same scale for all").set_value(True).run()
    assert f"white {maps.max():.3g} in all of them" in text_of(at)
    weights = model.get_submodule(layer).weight
    assert f"3 x 3 kernels, one for each of {weights.shape[1]} input maps" in text_of(at).replace("\\", "")
    assert [g for g in galleries(at) if g["label"].startswith("Kernels")][0]["n"] == weights.shape[1]


def test_gray_pictures_of_maps_are_on_one_scale():
    from pages.gradcam.activations import grayed, limits
    values = np.array([[[0.0, 1.0], [2.0, 4.0]], [[1.0, 1.0], [1.0, 9.0]]])
    gray = grayed(values, 0.0, 4.0)
    assert gray.shape[1] == 56 and gray[0, ::28, ::28, 0].tolist() == [[0, 64], [128, 255]]
    assert gray[1, 0, 0, 0] == gray[0, 0, 28, 0] and gray[1, -1, -1, 0] == 255
    low, high = limits(values, shared=False)
    assert low.tolist() == [0, 0] and high.tolist() == [4, 9] and grayed(values, low, high)[1, 0, 0, 0] == round(255 / 9)
    assert limits(values - 2, shared=True)[0].tolist() == [-2, -2] and limits(values, shared=True)[1].tolist() == [9, 9]
    assert not grayed(np.zeros((1, 2, 2)), 0.0, 0.0).any(), "a silent map is black"


def test_the_title_of_a_map_keeps_the_names_of_the_classes():
    asked = MapRequest("grad_cam", 1, 0, "network.features.0")
    assert map_title(asked, ["normal", "PNEUMONIA"]) == "Evidence for PNEUMONIA rather than normal"
    assert map_title(replace(asked, method="eigen_cam"), ["a", "b"]) == "Activation of the layer"


def test_the_prediction_changes_at_the_threshold_of_the_run():
    a, b = np.array([0.8, 0.2]), np.array([0.6, 0.4])
    assert prediction_change("binary-class", ["well", "ill"], a, b) == "The prediction stays well."
    assert prediction_change("binary-class", ["well", "ill"], a, b, 0.3) == "The prediction changes from well to ill."
    several = prediction_change("multi-label, binary-class", ["mass", "fluid"], np.array([0.2, 0.6]), np.array([0.7, 0.6]),
                           np.array([0.5, 0.5]))
    assert several == "The findings change: mass appears."
