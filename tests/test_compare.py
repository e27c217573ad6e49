"""Two runs side by side: the same images or a sentence, the numbers of the tests, the settings that differ."""

import json
import shutil

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from statsmodels.stats.contingency_tables import mcnemar as reference

from core import __main__
from core.config import RunConfig
from core.errors import LightboxError
from core.evaluation import thresholds
from core.evaluation.compare import compare, differences, disagreements, over_seeds, p_text, pair, same_but_for_the_seed
from core.metrics.operating_points import Threshold
from core.runs.store import RunStore
from tests import judged
from tests.judged import plant

run, trained = judged.run, judged.trained          # fixtures
N = 40                                             # validation images of the tiny set


def another(run, run_id="20200101-000000-beef", **changes):
    """A copy of a run under another id, with other settings."""
    folder = run.folder.with_name(run_id)
    shutil.copytree(run.folder, folder)
    about = json.loads((folder / "config.json").read_text())
    about["config"] = json.loads(RunConfig.from_json(json.dumps(about["config"])).with_(**changes).to_json())
    (folder / "config.json").write_text(json.dumps(about))
    return RunStore().get(folder.name)


@pytest.fixture
def two(run):
    """(run A, run B, labels, p_a, p_b): B's answers are stored in another order of the images."""
    rng = np.random.default_rng(5)
    labels = np.arange(N) % 2
    p_a, p_b = (np.clip(0.5 + shift * (2 * labels - 1) + rng.normal(0, 0.25, N), 0.01, 0.99) for shift in (0.3, 0.1))
    other = another(run, **{"optim.lr": 0.5, "train.seed": 9, "name": "another"})
    plant(run, "val", labels, np.stack([1 - p_a, p_a], 1))
    order = rng.permutation(N)
    plant(other, "val", labels[order], np.stack([1 - p_b, p_b], 1)[order])
    change(other, val_image_ids=lambda ids: ids[order])
    return run, other, labels, p_a.astype(np.float32), p_b.astype(np.float32)


def change(run, **how):
    with np.load(run.folder / "predictions.npz") as stored:
        arrays = dict(stored)
    np.savez(run.folder / "predictions.npz", **arrays | {name: f(arrays[name]) for name, f in how.items()})


def test_it_compares_image_by_image_whatever_their_order(two):
    a, b, labels, p_a, p_b = two
    found = compare(a, b)
    assert found["roc_auc"]["a"] == pytest.approx(roc_auc_score(labels, p_a))
    assert found["roc_auc"]["b"] == pytest.approx(roc_auc_score(labels, p_b))
    right = [(p > 0.5) == labels for p in (p_a, p_b)]
    table = [[(right[0] & right[1]).sum(), (right[0] & ~right[1]).sum()], [(right[1] & ~right[0]).sum(), 0]]
    assert [found["accuracy"][key] for key in ("both", "only_a", "only_b")] == [table[0][0], table[0][1], table[1][0]]
    assert found["accuracy"]["p_exact"] == pytest.approx(reference(table, exact=True).pvalue)
    assert found["disagreements"] == ((p_a > 0.5) != (p_b > 0.5)).sum() and found["n"] == N and found["n_patients"] is None
    assert {row["field"]: (row["a"], row["b"]) for row in found["differs"]} == {
        "optim.lr": (a.config.optim.lr, 0.5), "train.seed": (0, 9)}
    assert p_text(found["accuracy"]["p"]) in found["accuracy"]["sentence"]
    assert f"{found['roc_auc']['a']:.3f} for A" in found["roc_auc"]["sentence"] and "A is better" in found["roc_auc"]["sentence"]
    turned = compare(b, a)
    assert turned["roc_auc"]["difference"] == pytest.approx(-found["roc_auc"]["difference"])
    assert turned["roc_auc"]["p"] == pytest.approx(found["roc_auc"]["p"]) and "B is better" in turned["roc_auc"]["sentence"]


def test_each_run_answers_with_its_own_threshold(two):
    a, b, labels, p_a, p_b = two
    thresholds.freeze(a, Threshold(0.8))
    both = pair(a, b)
    assert (both.preds[0] == (p_a > 0.8)).all() and (both.preds[1] == (p_b > 0.5)).all()
    assert (both.image_ids == pair(a, a).image_ids).all()
    rows = {kind: set(disagreements(both, kind)) for kind in ("any", "a", "b", "neither")}
    assert rows["any"] == rows["a"] | rows["b"] and not rows["neither"] and not rows["a"] & rows["b"] and rows["a"] and rows["b"]


@pytest.mark.parametrize("code, harm", [
    ("compare.images", lambda run: change(run, val_image_ids=lambda ids: np.array([f"{i}x" for i in ids]))),
    ("compare.labels", lambda run: change(run, val_labels=lambda labels: 1 - labels)),
    ("compare.classes", lambda run: judged.rename_classes(run, "cat", "dog")),
    ("compare.unanswered", lambda run: (run.folder / "predictions.npz").unlink()),
])
def test_what_is_not_the_same_is_refused_in_a_sentence(two, code, harm, capsys):
    a, b, *_ = two
    harm(b)
    with pytest.raises(LightboxError) as refused:
        compare(a, b)
    assert refused.value.code == code and refused.value.hint
    assert __main__.main(["compare", a.id, b.id, "--json"]) == 2
    assert code in capsys.readouterr().err


def test_a_shut_test_set_stays_shut(two):
    a, b, *_ = two
    with pytest.raises(LightboxError, match="not been opened"):
        compare(a, b, "test")
    assert a.times_test_opened() == b.times_test_opened() == 0


def test_the_command_line_gives_the_same(two, capsys):
    a, b, *_ = two
    assert __main__.main(["compare", a.id, b.id, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(compare(a, b)))
    assert __main__.main(["compare", a.id, b.id]) == 0
    assert "optim.lr" in (said := capsys.readouterr().out) and "DeLong" in said and "McNemar" in said


def test_several_findings_are_tested_one_by_one(two):
    a, b, *_ = two
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 2, (N, 3))
    labels[:, 2] = 0                                # a finding that nobody has: no AUC, and no mean over all
    for one in (a, b):
        plant(one, "val", labels, rng.random((N, 3)))
        change(one, val_image_ids=lambda ids: np.sort(ids))
        about = json.loads((one.folder / "data.json").read_text())
        about |= {"task": "multi-label, binary-class", "class_names": ["mass", "fluid", "nodule"]}
        (one.folder / "data.json").write_text(json.dumps(about))
    found = compare(a, b)
    assert found["roc_auc"] is None and found["accuracy"] is None
    assert [row["roc_auc"] is None for row in found["findings"]] == [False, False, True]
    probs = pair(a, b).probs[0]
    assert found["findings"][1]["roc_auc"]["a"] == pytest.approx(roc_auc_score(labels[:, 1], probs[:, 1]))
    assert found["findings"][2]["accuracy"]["both"] == ((pair(a, b).preds[0] + pair(a, b).preds[1])[:, 2] == 0).sum()


def test_settings_that_differ_and_nothing_else():
    a = RunConfig()
    assert differences(a, a) == []
    b = a.with_(**{"train.seed": 3, "data.size": 28, "name": "b"})
    assert [row["field"] for row in differences(a, b)] == ["data.size", "train.seed"]
    assert same_but_for_the_seed(a) == same_but_for_the_seed(a.with_(**{"train.seed": 8, "name": "x", "train.threads": 2}))
    assert same_but_for_the_seed(a) != same_but_for_the_seed(b)


def test_seeds_are_folded_into_mean_and_spread():
    found = over_seeds([0.9, None, 0.8, 0.85])
    assert (found["n"], found["low"], found["high"]) == (3, 0.8, 0.9)
    assert found["mean"] == pytest.approx(0.85) and found["sd"] == pytest.approx(np.std([0.9, 0.8, 0.85], ddof=1))
    assert over_seeds([0.7])["sd"] is None and over_seeds([None]) is None
