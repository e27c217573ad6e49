"""The page Grad-CAM, "Can we trust these heat-maps?" and the shortcut test: what is tested, what is kept, what is said."""


import numpy as np
import pytest
import torch

from core.datasets import open_dataset
from core.datasets.custom import CustomDataset, save_custom_dataset
from core.evaluation import thresholds
from core.evaluation.shortcut_test import LetterResult, ShortcutTest
from core.explain.localization import Place
from core.explain.randomisation import Randomised
from core.explain.sanity_checks import CheckResults
from core.metrics.operating_points import Threshold
from core.runs.classifiers import classify, load_classifier
from core.runs.store import RunStore
from pages.gradcam.sanity_checks import another_seed
from tests import judged
from tests.drawn import charts
from tests.judged import another_run, change_json, open_page, plant, press, stored_arrays, text_of

run, trained = judged.run, judged.trained          # fixtures
LETTERS = {"patients": 6, "studies": 1, "parts": ["wrist"], "letters": 1.0}


def curve(first: float, last: float) -> np.ndarray:
    return np.linspace(first, last, 5)


def found(**changed) -> CheckResults:
    names = ("the map", "random places", "the centre", "the edges")
    facts = {"images": 16, "empty": 2, "randomised": Randomised(("trained", "features.12.expand", "features.0"),
                                                                np.array([1, 0.4, 0.1]), np.array([1, 0.6, 0.3])),
             "deletion": {name: curve(0.9, 0.1 * k) for k, name in enumerate(names)},
             "insertion": {name: curve(0.2 * k, 0.8) for k, name in enumerate(names)},
             "gain": 0.21, "best_baseline": "the centre", "shifts": 0.93, "seeds": None,
             "places": {"finding": Place(9, 0.12, 0.04, 0.5), "letters": Place(16, 0.55, 0.05, 0.75)}} | changed
    return CheckResults(**facts)


@pytest.fixture
def examined(monkeypatch):
    """In the place of the tests themselves: it notes what it is asked and answers what stands in "says"."""
    asked = {"calls": [], "says": found()}

    def examine(model, images, targets, method, layer, **more):
        asked["calls"].append({"images": images, "targets": targets, "method": method, "layer": layer} | more)
        return asked["says"]
    monkeypatch.setattr("core.explain.sanity_checks.run_checks", examine)
    return asked


def labels_of(at) -> list[str]:
    return [b.label for b in at.button]


def test_the_images_that_are_surest_of_the_class_are_put_to_the_test(run, examined):
    rng = np.random.default_rng(0)
    plant(run, "val", rng.integers(0, 2, 40), rng.dirichlet([1, 1], 40))
    at = open_page("gradcam", run=run.id, target="1", against="0", method="layer_cam", layer="network.features.3")
    assert not examined["calls"] and "LayerCAM on 16 images" in text_of(at).replace("-", "")
    at = press(at, "Run the sanity checks")
    call, = examined["calls"]
    data, model = open_dataset(run.config.data), load_classifier(run.id).model
    rows = data.indices("val")
    sure = classify(model, list(data.images[rows]))[:, 1]
    places = {np.asarray(data.images[row])[..., 0].tobytes(): k for k, row in enumerate(rows)}
    chosen = [places[image.tobytes()] for image in (call["images"][:, 0].numpy() * 255).round().astype(np.uint8)]
    assert chosen == sorted(set(chosen)) and len(chosen) == 16
    assert np.sort(sure[chosen]) == pytest.approx(np.sort(sure)[-16:], abs=1e-4) and np.sort(sure)[:16].max() < 0.9
    assert torch.equal(call["targets"], torch.ones(16, dtype=torch.int64)) and call["other"] is None
    assert (call["method"], call["layer"], call["regions"]) == ("layer_cam", "network.features.3", {})
    at.run()
    assert len(examined["calls"]) == 1 and "Run the sanity checks" not in labels_of(at)                # it is kept
    again = open_page("gradcam", run=run.id, target="0", method="layer_cam", layer="network.features.3")
    assert "Run the sanity checks" in labels_of(again), "of another class nothing is known yet"
    assert run.times_test_opened() == 0


def test_newer_weights_are_tested_anew(run, examined):
    press(open_page("gradcam", run=run.id, predicted="all"), "Run the sanity checks")
    assert "Run the sanity checks" not in labels_of(open_page("gradcam", run=run.id, predicted="all"))
    for meta in run.checkpoints.glob("e*/meta.json"):
        meta.touch()
    assert "Run the sanity checks" in labels_of(open_page("gradcam", run=run.id, predicted="all"))


@pytest.mark.parametrize("says, kind, words, pointing", [
    (found(), "success", "The maps of 16 images", "warning"),
    (found(gain=-0.1, places={"finding": Place(9, 0.6, 0.1, 1.0)}), "warning", "Doubtful", "success"),
    (found(empty=16, places={"letters": Place(1, 0.05, 0.05, 0.0)}), "error", "No heat-map", "warning")])
def test_the_verdict_and_the_charts_show_what_was_found(run, examined, says, kind, words, pointing):
    examined["says"] = says
    at = press(open_page("gradcam", run=run.id, predicted="all"), "Run the sanity checks")
    verdict, = (box.value for box in at.get(kind) if "point at" not in box.value)
    assert verdict.startswith(words) and [box.value for box in at.get(pointing) if "point at" in box.value]
    (forgets,), (covers,), (where,) = (charts(at, begins) for begins in ("Rank corr", "Deletion and ins", "Where the heat"))
    spec = covers.spec
    assert "trained 1.00, features.12.expand 0.40, features.0 0.10" in forgets.alt
    assert [(row["block"], row["value"]) for row in forgets.rows("maps") if row["measure"] == "SSIM"] == [
        ("trained", 1.0), ("features.12.expand", 0.6), ("features.0", 0.3)]
    goes = [(row["share"], row["value"]) for row in covers.rows("curve")
            if (row["way"], row["order"]) == ("deletion", "the centre")]
    assert np.array(goes) == pytest.approx(np.stack([np.linspace(0, 1, 5), says.deletion["the centre"]], 1))
    assert spec["encoding"]["strokeDash"]["scale"]["domain"] == ["deletion", "insertion"]
    assert f"the map beats the centre by {says.gain:+.2f}" in covers.alt
    assert [(row["region"], row["energy"], row["area"], row["pointing"]) for row in where.rows("regions")] == [
        (name, place.energy, place.area, place.pointing) for name, place in says.places.items()]
    name, place = next(iter(says.places.items()))
    assert f"{name}: {100 * place.energy:.0f} % of the heat on {100 * place.area:.0f} % of the image" in where.alt
    assert f"16 maps. {says.empty} of them are empty" in text_of(at)
    assert "0.93; there is no run with the same settings" in text_of(at)


def test_maps_that_are_all_empty_lie_nowhere(run, examined):
    examined["says"] = found(empty=16, places={})
    at = press(open_page("gradcam", run=run.id, predicted="all"), "Run the sanity checks")
    assert "Nowhere: all maps are empty" in text_of(at) and not list(charts(at, "Where the heat"))


def test_another_seed_is_a_finished_run_that_differs_in_nothing_else(run):
    def copy(name: str, state: str = "finished", split: str = "", **changed):
        settings = {place.replace("_", ".", 1): value for place, value in changed.items()}
        other = another_run(run, f"20260101-000000-{name}", name=name, **settings)
        change_json(other, "status", state=state)
        if split:
            change_json(other, "data", split_hash=split)

    copy("same")
    copy("rate", train_seed=5, optim_lr=0.5)
    copy("half", train_seed=5, state="failed")
    copy("elsewhere", train_seed=5, split="of other images")
    assert len(RunStore().list()) == 5 and another_seed(run) is None
    copy("other", train_seed=5)
    assert another_seed(run).name == "other"


def test_the_other_seed_is_compared_with_and_named(run, examined):
    another_run(run, "20260101-000000-bbbb", name="*second*", **{"train.seed": 7})
    examined["says"] = found(seeds=0.44)
    at = press(open_page("gradcam", run=run.id, predicted="all"), "Run the sanity checks")
    assert examined["calls"][0]["other"] is not None
    assert "another seed (\\*second\\*) 0.44" in text_of(at)


# ---- the letter ----

@pytest.fixture
def phantoms(run):
    """The trained run, as if it had been trained on phantom radiographs with letters that tell the label."""
    save_custom_dataset(CustomDataset("letters", "letters", "phantom", "", LETTERS))
    change_json(run, "config", **{"data.dataset": "letters", "data.split": "official"})
    data = open_dataset(run.config.data)
    change_json(run, "data", class_names=list(data.class_names), split_hash=data.split_hash, target=data.target)
    rows = data.indices("val")
    np.savez(run.folder / "predictions.npz", val_labels=data.labels[rows], val_epoch=stored_arrays(run)["val_epoch"],
             val_probs=np.tile(np.float32([0.5, 0.5]), (len(rows), 1)),
             val_image_ids=data.table["image_id"].to_numpy()[rows].astype(str))
    return run


def letters(verdict: str) -> ShortcutTest:
    def row(name: str, title: str, trained: bool, accuracy: float) -> LetterResult:
        return LetterResult(name, title, trained, 200, accuracy, (accuracy - 0.05, accuracy + 0.04), 0.91, 0.72, 0.83)
    return ShortcutTest((row("agrees", "One", True, 0.9), row("contrary", "Two", False, 0.3)), verdict == "reads",
                        "What was found.", verdict)


@pytest.mark.parametrize("verdict, box", [("reads", "error"), ("no", "success"), ("unknown", "info")])
def test_a_lying_letter_is_judged_on_validation_once_for_each_threshold(phantoms, monkeypatch, verdict, box):
    calls = []

    def run_shortcut_test(*asked, **more):
        calls.append((*asked, *more))
        return letters(verdict)
    monkeypatch.setattr("pages.gradcam.shortcut_test.run_shortcut_test", run_shortcut_test)
    at = open_page("gradcam", run=phantoms.id, predicted="all")
    assert not calls
    at = press(at, "Run the shortcut test")
    assert [c[1:] for c in calls] == [("data", "progress")] and calls[0][0].id == phantoms.id          # not the test set
    assert [shown.value for shown in at.get(box)] == ["What was found."]
    table, = (frame.value for frame in at.dataframe if "letter" in frame.value)
    assert table.to_dict("list") == {
        "letter": ["One, as in training", "Two"], "n": [200, 200], "accuracy": ["0.90 (0.85 to 0.94)", "0.30 (0.25 to 0.34)"],
        "roc_auc": ["0.83"] * 2, "sensitivity": ["0.91"] * 2, "specificity": ["0.72"] * 2}
    at.run()
    assert len(calls) == 1 and "Run the shortcut test" not in labels_of(at)
    thresholds.freeze(phantoms, Threshold(0.3))
    assert "Run the shortcut test" in labels_of(at.run()), "at another threshold there are other answers"
    thresholds.unfreeze(phantoms)
    for meta in phantoms.checkpoints.glob("e*/meta.json"):
        meta.touch()
    assert "Run the shortcut test" in labels_of(at.run()), "of newer weights nothing is known"


def test_images_that_cannot_be_taken_again_are_not_offered_to_be(run):
    assert "Run the shortcut test" not in labels_of(open_page("gradcam", run=run.id, predicted="all"))
