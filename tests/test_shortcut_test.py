"""The counter set of a network that reads letters: the right pixels, the right regions, the right sentence."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from statsmodels.stats.proportion import proportion_confint

from core.config import DataConfig
from core.datasets import open_dataset
from core.datasets.custom import CustomDataset, save_custom_dataset
from core.datasets.phantom import PhantomSource
from core.errors import LightboxError
from core.evaluation import thresholds
from core.evaluation.shortcut_test import CONDITIONS, LetterResult, can_test, conclude, regions_of, retaken, run_shortcut_test
from core.metrics.operating_points import Threshold
from tests import judged as fixtures

run, trained = fixtures.run, fixtures.trained          # fixtures
READINGS = {"letters": {"letters": 1.0}, "plain": {"letters": 0.0}, "sides": {"markers": True}}


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Eight patients with letters that tell the label, the same without, and with letters that tell the side, open."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTBOX_HOME", str(tmp_path_factory.mktemp("home")))
        opened = {}
        for name, reading in READINGS.items():
            options = {"patients": 8, "studies": 1, "parts": ["wrist"]} | reading
            save_custom_dataset(CustomDataset(name, name, "phantom", "", options))
            opened[name] = open_dataset(DataConfig(name, size=48))
        yield opened


def test_taken_again_is_what_a_set_of_its_own_would_have(sets):
    """Pixel for pixel: the same people without their letter are the set that never had one, and the other way round."""
    letters, plain = sets["letters"], sets["plain"]
    rows = np.arange(4)
    for one, other in ((letters, plain), (plain, letters)):
        again = retaken(one, rows, other.source.config)
        assert np.array_equal(np.stack(again), other.images[:4]) and not np.array_equal(np.stack(again), one.images[:4])
    contrary = dataclasses.replace(letters.source.config, contrary=True)
    assert not np.array_equal(np.stack(retaken(letters, rows, contrary)), letters.images[:4])


def test_regions_lie_where_the_picture_has_them(sets):
    data = sets["letters"]
    rows = [int(i) for i in np.flatnonzero(data.labels == 1)[:2]] + [int(np.flatnonzero(data.labels == 0)[0])]
    found = regions_of(data, rows)
    assert set(found) == {"finding", "letters"} and found["letters"].shape == (3, 48, 48)
    assert found["finding"][:2].any((1, 2)).all() and not found["finding"][2].any()           # a normal image has none
    assert 0.01 < found["letters"].mean() < 0.1
    without = np.stack(retaken(data, rows, sets["plain"].source.config))[..., 0].astype(int)
    changed = np.abs(data.images[rows][..., 0].astype(int) - without) > 60
    assert changed.any((1, 2)).all() and not (changed & ~found["letters"]).any()
    assert set(regions_of(sets["plain"], rows)) == {"finding"}
    parts = dataclasses.replace(data, target="body_part")                    # what such a run predicts is no finding
    assert set(regions_of(parts, rows)) == {"letters"}


def test_a_region_that_is_not_known_of_every_image_is_left_out(sets):
    """Of a set with masks of its own, not phantoms."""
    mask = np.zeros((60, 48), bool)
    mask[20:25, 10:15] = True
    data = SimpleNamespace(source=None, target="finding", size=48, resize="pad", views=1,
                           mask={0: mask, 1: ~mask, 2: None, 3: 0 * mask}.get)
    found = regions_of(data, [0, 1])["finding"]
    assert found.shape == (2, 48, 48) and found[0, 18, 16] and not found[0, 40, 40] and found[1, 40, 40]
    assert regions_of(data, [0, 2]) == {} and regions_of(data, [3]) == {} and set(regions_of(data, [3, 0])) == {"finding"}


def test_only_phantoms_can_be_taken_again(sets, run):
    assert can_test(sets["letters"])
    assert not can_test(dataclasses.replace(sets["letters"], target="body_part"))
    with_copies = dataclasses.replace(sets["letters"].source.config, copies=0.1)
    assert not can_test(dataclasses.replace(sets["letters"], source=PhantomSource(with_copies)))
    with pytest.raises(LightboxError) as fault:
        run_shortcut_test(run)
    assert fault.value.code == "conflict.data"


SAYS = {"agrees": (0.1, 0.9), "none": (0.6, 0.6), "contrary": (0.9, 0.2)}           # p where it is normal, abnormal
LETTERS = {"agrees": {"letters": 1.0}, "none": {}, "contrary": {"letters": 1.0, "contrary": True}}


@pytest.fixture
def reader(run, sets, monkeypatch):
    """In the place of the run's network one that tells by the pixels which X-ray and letter this is, and says as in SAYS."""
    known = {}                                          # pixels -> probability of abnormal

    def watch(data):
        plain = dataclasses.replace(data.source.config, markers=False, letters=0.0)
        for name, changes in LETTERS.items():
            again = retaken(data, np.arange(len(data)), dataclasses.replace(plain, **changes))
            known.update((image.tobytes(), SAYS[name][label]) for image, label in zip(again, data.labels))

    def answer(model, images):
        assert model == f"the network of {run.id}"
        known["asked"] = known.get("asked", 0) + len(images)
        p = np.array([known[image.tobytes()] for image in images])
        return np.stack([1 - p, p], 1)
    monkeypatch.setattr("core.runs.classifiers.load_classifier",
                        lambda address: SimpleNamespace(model=f"the network of {address}"))
    monkeypatch.setattr("core.runs.classifiers.classify", answer)
    return watch, known


def split_anew(data):
    """Eighteen images on validation, of both classes, and five normal ones for the test."""
    return dataclasses.replace(data, table=data.table.assign(split=["val"] * 18 + ["test"] * 5))


@pytest.mark.parametrize("name, threshold, own", [("letters", None, "agrees"), ("plain", 0.65, "none"), ("sides", None, "own")])
def test_each_letter_is_judged_on_all_validation_images_at_the_threshold_of_the_run(run, sets, reader, name, threshold, own):
    watch, known = reader
    data, steps = split_anew(sets[name]), []
    watch(data)
    if threshold:
        thresholds.freeze(run, Threshold(threshold))
    found = run_shortcut_test(run, data=data, progress=lambda *step: steps.append(step[1:]))
    asked = (["own"] if own == "own" else []) + list(CONDITIONS)
    assert [row.name for row in found.rows] == asked and [row.name for row in found.rows if row.as_trained] == [own]
    assert known["asked"] == 18 * len(asked) and steps[-1] == (18 * len(asked),) * 2 and steps == sorted(steps)
    labels = data.labels[:18]
    for row in found.rows:
        # a letter that tells the side happens to tell the label, or the contrary: the picture is then the same
        p = (np.array([known[image.tobytes()] for image in data.images[:18]]) if row.name == "own" else
             np.where(labels == 1, *SAYS[row.name][::-1]))
        right = (p > (threshold or 0.5)) == (labels == 1)
        assert (row.n, row.accuracy, row.sensitivity, row.specificity) == pytest.approx(
            (18, right.mean(), right[labels == 1].mean(), right[labels == 0].mean())), row.name
        assert row.accuracy_interval == pytest.approx(proportion_confint(right.sum(), 18, method="wilson"))
        assert row.roc_auc == pytest.approx(roc_auc_score(labels, p))
    assert found.reads is (name != "plain") and run.times_test_opened() == 0       # that one never saw a letter


def test_to_take_the_test_images_again_is_to_open_the_test_set(run, sets, reader):
    data = split_anew(sets["letters"])
    reader[0](data)
    found = run_shortcut_test(run, "test", data)
    assert [(row.n, row.accuracy) for row in found.rows] == [(5, 1), (5, 0), (5, 0)]          # normal ones only
    assert run.times_test_opened() == 1
    with pytest.raises(LightboxError, match="no test images"):
        run_shortcut_test(run, "test", dataclasses.replace(data, table=data.table.assign(split="val")))
    assert run.times_test_opened() == 1


# What a planted network says: log odds of abnormal from the finding, from the letter, and whatever the image shows.
# kind: (weight of the finding, of the letter, of any letter at all, bias, images, verdict, words)
PLANTED = {
    "reads it": (1.0, 1.5, 0, 0, 400, "reads", "relies on the letter: its ROC AUC"),
    "does not": (2.0, 0.0, 0, 0, 400, "no", "does not rely on the letter"),
    "the other way round": (2.0, -1.5, 0, 0, 400, "reverse", "the other way round"),
    "constant": (0.0, 0.0, 0, 4, 400, "unknown", "does not tell normal from abnormal"),
    "knows nothing, and never saw letters": (1e-9, -1.0, 0, 0, 400, "unknown", "does not tell normal from abnormal"),
    "never saw letters, which disturb it": (2.0, -1.0, 0, 0, 400, "no", "these, which it never saw, disturb it"),
    "too few": (1.0, 0.0, 1.0, 0, 16, "unknown", "too few images"),
    "threshold far off": (1.0, 1.5, 0, 5, 400, "reads", "of the images abnormal: the accuracy says little"),
    "does not, threshold far off": (2.0, 0.0, 0, -9, 400, "no", "of the images normal: the accuracy says little"),
    "disturbed by any": (3.0, 0.0, 3.0, 0, 1600, "no", "any letter disturbs it"),
}


def plant(finding, letter, noise, bias, n, seed):
    """Return labels, the log odds of each condition and the patients, of two images each."""
    chance = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    sign, own = 2 * labels - 1, chance.normal(size=n) * bool(finding)
    odds = {name: bias + finding * sign / 2 + own + letter * sign * way + noise * abs(way) * chance.normal(size=n)
            for name, way in (("agrees", 1), ("none", 0), ("contrary", -1))}
    return labels, odds, np.arange(n) // 4


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", PLANTED)
def test_the_verdict_on_a_planted_network_is_right(kind, seed):
    *planted, n, verdict, words = PLANTED[kind]
    labels, odds, people = plant(*planted, n, seed)
    probs = {name: np.stack([1 - p, p], 1) for name, p in ((name, 1 / (1 + np.exp(-z))) for name, z in odds.items())}
    own = "none" if "never saw" in kind else ""
    rows = tuple(LetterResult(name, title, name == own, n, float(((odds[name] > 0) == labels).mean()), (0.0, 1.0), None, None,
                              roc_auc_score(labels, odds[name])) for name, (title, _) in CONDITIONS.items())
    found = conclude(rows, labels, probs, "binary-class", 0.5, people)
    assert (found.verdict, found.reads) == (verdict, verdict in ("reads", "reverse")), found.sentence
    assert words in found.sentence
    if verdict != "unknown":
        assert f"{roc_auc_score(labels, odds['contrary']):.2f} where it contradicts it" in found.sentence


def test_where_one_class_is_all_the_threshold_decides():
    """No ranking is defined; what is predicted still follows the letter, or it cannot be told."""
    labels, titles = np.ones(60, int), CONDITIONS.items()
    for contrary, verdict in ((0.1, "reads"), (0.9, "unknown")):
        probs = {name: np.tile([1 - p, p], (60, 1)) for name, p in (("agrees", 0.9), ("none", 0.8), ("contrary", contrary))}
        rows = tuple(LetterResult(name, title, False, 60, float(probs[name][0, 1] > 0.5), (0.0, 1.0), None, None, None)
                     for name, (title, _) in titles)
        assert conclude(rows, labels, probs, "binary-class").verdict == verdict
