"""The errors page: which images, in which order, with which maps; and what is said where there are none."""

import shutil

import numpy as np
import pytest

from core.datasets import open_dataset
from core.runs.classifiers import as_input, load_classifier
from pages.shared.error_order import SplitView, select_images
from pages.shared.heatmap_image import on_original, overlays, scale_of
from tests import judged
from tests.judged import (
    change_json,
    galleries,
    maps,
    open_page,
    plant,
    press,
    rename_classes,
    store_arrays,
    stored_arrays,
    text_of,
)

run, trained = judged.run, judged.trained          # fixtures

N = 40          # validation images of the tiny set


def planted(run):
    """Three mistakes, surest 31, then 7, then 20; image 5 is the right answer of which it is least sure."""
    labels = np.arange(N) % 2
    p = np.where(labels == 1, 0.9, 0.1)
    p[31], p[7], p[20], p[5] = 0.03, 0.2, 0.6, 0.51
    plant(run, "val", labels, np.stack([1 - p, p], 1))
    return labels, p


def test_the_most_confident_mistake_comes_first(run):
    planted(run)
    grid, = galleries(open_page("errors", run=run.id))
    assert grid["captions"] == ["1 \u2192 0, 97 %", "1 \u2192 0, 80 %", "0 \u2192 1, 60 %"]
    assert grid["marks"] == ["wrong"] * 3


def test_a_cell_of_the_matrix_shows_its_images(run):
    planted(run)
    grid, = galleries(open_page("errors", run=run.id, true="1", predicted="0"))
    assert grid["captions"] == ["1 \u2192 0, 97 %", "1 \u2192 0, 80 %"]
    grid, = galleries(open_page("errors", run=run.id, true="1", predicted="1", order="unsure"))
    assert grid["captions"][0] == "1, 51 %" and len(grid["captions"]) == 18 and set(grid["marks"]) == {"right"}
    at = open_page("errors", run=run.id, predicted="all")
    assert "40 of 40 images, 3 errors" in text_of(at)
    assert galleries(at)[0]["captions"][3] == "1, 51 %"           # after the mistakes the right answer that is least sure


def test_no_mistakes_is_said_and_right_ones_are_offered(run):
    labels = np.arange(N) % 2
    plant(run, "val", labels, np.eye(2)[labels] * 0.8 + 0.1)
    at = open_page("errors", run=run.id)
    assert "No errors here" in text_of(at) and not galleries(at)
    at = press(at, "Show the correct predictions")
    assert set(galleries(at)[0]["marks"]) == {"right"}
    assert "No image of class 1 was predicted 0" in text_of(open_page("errors", run=run.id, true="1", predicted="0"))


def test_grad_cam_over_the_gallery_and_side_by_side(run):
    planted(run)
    at = open_page("errors", run=run.id, view="gradcam")
    assert len(galleries(at)) == 1 and galleries(at)[0]["captions"][0] == "1 \u2192 0, 97 %"
    assert "same scale" in text_of(at) or "maps are empty" in text_of(at)
    assert len(galleries(open_page("errors", run=run.id, view="side"))) == 2


def test_the_scale_that_is_said_is_that_of_the_maps(run):
    from torch import tensor

    from core.explain import grad_cam
    labels, p = planted(run)
    data = open_dataset(run.config.data)
    rows = data.indices("val")[[31, 7, 20]]
    model = load_classifier(run.id).model
    cam = grad_cam(model, as_input(model, list(data.images[rows])), tensor([0, 0, 1])).numpy()
    assert scale_of(cam)[1] in text_of(open_page("errors", run=run.id, view="gradcam")).replace("\\", "")


def test_the_details_show_one_image_its_row_and_its_map(run):
    planted(run)
    data = open_dataset(run.config.data)
    image_id = data.table["image_id"].iloc[data.indices("val")[7]]
    at = open_page("errors", run=run.id, image=image_id)
    assert "Wrong: predicted 0 (80.0 %), true class 1" in text_of(at)
    shown, = maps(at)
    assert shown["ratio"] == 1 and galleries(at)[0]["selected"] == 1          # the second in the gallery
    assert image_id in "".join(e.proto.body for e in at.get("html"))
    assert not maps(press(at, "Close"))


def test_test_answers_are_not_shown_before_the_set_was_opened(run):
    at = open_page("errors", run=run.id, split="test")
    assert "locked" in text_of(at) and not galleries(at) and run.times_test_opened() == 0
    assert not [b for b in at.button if b.label.startswith("Open")]          # it is opened on the evaluate page only
    labels, p = planted(run)
    plant(run, "test", labels, np.stack([1 - p, p], 1))
    data = open_dataset(run.config.data)
    store_arrays(run, test_image_ids=data.table["image_id"].to_numpy()[data.indices("test")].astype(str))
    assert len(galleries(open_page("errors", run=run.id, split="test"))[0]["captions"]) == 3


def test_several_findings_are_looked_at_one_at_a_time(run):
    rng = np.random.default_rng(2)
    labels, probs = rng.integers(0, 2, (N, 3)), rng.random((N, 3))
    plant(run, "val", labels, probs)
    change_json(run, "data", task="multi-label, binary-class", class_names=["mass", "fluid", "nodule"])
    grid, = galleries(open_page("errors", run=run.id, finding="1"))
    wrong = (probs[:, 1] > 0.5) != labels[:, 1]
    assert len(grid["captions"]) == wrong.sum()
    first = np.argmax(np.maximum(probs[:, 1], 1 - probs[:, 1]) * wrong)
    assert grid["captions"][0] == f"{'missed' if labels[first, 1] else 'false positive'}, {100 * probs[first, 1]:.0f} %"
    data = open_dataset(run.config.data)
    said = text_of(open_page("errors", run=run.id, finding="1", image=data.table["image_id"].iloc[data.indices("val")[first]]))
    assert f"{'Missed' if labels[first, 1] else 'False positive'}: fluid is {'' if labels[first, 1] else 'not '}labelled" in said
    labelled = [name for name, there in zip(("mass", "fluid", "nodule"), labels[first]) if there]
    assert f"Labels: {', '.join(labelled) or 'no finding'}." in said


def test_an_image_that_is_not_there_is_said_and_one_of_another_run_is_forgotten(run):
    planted(run)
    at = open_page("errors", run=run.id, image="<b>none</b>", view="upside down")
    assert "There is no image called \\<b\\>none" in text_of(at) and "no view called upside down" in text_of(at)
    assert len(galleries(at)[0]["captions"]) == 3, "the page stays"
    data = open_dataset(run.config.data)
    at.query_params["image"] = data.table["image_id"].iloc[data.indices("val")[7]]
    assert maps(at.run()) and "no image called" not in text_of(at)
    rest = np.arange(N) != 7                                          # as if another run were chosen, which never saw it
    store_arrays(run, **{name: array[rest] for name, array in stored_arrays(run).items()
                         if name.startswith("val_") and array.ndim})
    assert not maps(at.run()) and "no image called" not in text_of(at) and "image" not in at.query_params


def test_images_that_changed_and_a_broken_network_get_sentences(run):
    planted(run)
    for folder in run.checkpoints.glob("e*"):
        path = folder / "weights.safetensors"
        path.write_bytes(path.read_bytes()[:-1] + b"\x99")
    at = open_page("errors", run=run.id)
    assert len(galleries(at)) == 1                                # the images do not need the network
    assert "damaged" in text_of(open_page("errors", run=run.id, view="gradcam"))
    store_arrays(run, val_image_ids=np.array([f"other-{i}" for i in range(N)]))
    assert "no longer in the data set" in text_of(open_page("errors", run=run.id))
    shutil.rmtree(run.folder)
    assert "no runs yet" in text_of(open_page("errors", run=run.id))


def test_names_from_files_are_shown_as_typed(run):
    planted(run)
    rename_classes(run, "<script>", "$x$")
    at = open_page("errors", run=run.id, true="0", predicted="0")
    assert galleries(at)[0]["captions"][-1] == "<script>, 90 %"
    empty = text_of(open_page("errors", run=run.id, true="0", predicted="wrong"))
    assert "<script>" not in empty


def test_images_are_ordered_by_hand_made_confidences():
    labels = np.array([0, 0, 1, 1])
    probs = np.array([[.9, .1], [.3, .7], [.8, .2], [.45, .55]])
    view = SplitView(labels, probs, probs.argmax(1), ("a", "b"))
    assert select_images(view).tolist() == [2, 1]
    assert select_images(view, predicted="all").tolist() == [2, 1, 3, 0]
    assert select_images(view, predicted="all", order="unsure").tolist() == [3, 1, 2, 0]
    assert select_images(view, true=0, predicted=0).tolist() == [0]
    a, b = (select_images(view, predicted="all", order="random", seed=s) for s in (1, 1))
    assert a.tolist() == b.tolist() and sorted(a) == [0, 1, 2, 3]


@pytest.mark.parametrize("resize", ["pad", "stretch", "crop"])
@pytest.mark.parametrize("shape", [(60, 100), (100, 60), (80, 80)])
def test_a_map_lands_where_the_picture_was_bright(resize, shape):
    """A bright square goes through the geometry of the classifier; the square seen there must come back onto itself."""
    import cv2

    from core.datasets import fit
    picture = np.zeros((*shape, 1), np.uint8)
    y, x = shape[0] // 2 + 4, shape[1] // 2 - 12
    picture[y:y + 12, x:x + 12] = 255
    seen = fit(picture, 64, resize, 1)[..., 0].astype(np.float32)
    back = on_original(seen, *shape, resize)
    back = cv2.resize(back, shape[::-1])
    inside = back[y + 2:y + 10, x + 2:x + 10].mean()
    assert inside > 200 and back.sum() < 1.35 * 255 * 144


def test_one_map_far_above_the_others_does_not_leave_them_dark():
    maps = np.zeros((40, 3, 3), np.float32)
    maps[:, 1, 1] = np.linspace(0.01, 0.4, 40)
    maps[17] *= 100                                     # a single outlier
    peak, said = scale_of(maps)
    assert abs(peak - 0.4) < 1e-6 and "1 map exceeds it" in said
    assert scale_of(maps[:18])[0] == maps[17].max(), "of a few maps the largest"
    one = np.zeros((40, 2, 2), np.float32)
    one[3, 0, 0] = 0.5
    assert scale_of(one)[0] == 0.5 and scale_of(np.zeros((5, 2, 2)))[0] is None


def test_overlays_leave_an_image_alone_where_nothing_speaks():
    images = np.random.default_rng(0).integers(0, 255, (2, 20, 20, 1), np.uint8)
    drawn = overlays(images, np.zeros((2, 20, 20), np.float32), 0.6, None, side=20)
    assert (drawn == images).all()
