"""Series of folds among runs: found whatever their order, holes said, and compared only where the images are the same."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from core.__main__ import main
from core.config import RunConfig
from core.errors import LightboxError
from core.evaluation.cross_validation import comparable, compare_series, describe, find_series
from core.metrics.folds import corrected_t_test
from core.runs.summary import RunSummary
from core.runs.sweep import cross_validation


def made(name="net", values=(.8, .82, .81, .85, .79), state="finished", **changes) -> list[RunSummary]:
    """The runs of a cross-validation, as the grid names them."""
    config = replace(RunConfig().with_(**changes), name=name)
    return [RunSummary(f"{name}-{k}", one.name, one, state, created=k, epoch=3, split_hash=f"images of fold {k}",
                       class_names=("a", "b"), n={"train": 80 - k, "val": 20 + k, "test": 10}, recorded={"roc_auc": values[k]})
            for k, one in enumerate(cross_validation(config, len(values)))]


def test_the_folds_of_one_config_are_a_series_whatever_their_order():
    one, other = made(), made("other", **{"optim.lr": 0.5})
    plain = RunSummary("plain", "plain", RunConfig(), epoch=3)
    together = RunSummary("all", "out of fold", RunConfig().with_(**{"data.folds": 5, "data.fold": -1}), epoch=3)
    found = find_series([*other[::-1], plain, together, *one])
    assert [(series.name, series.folds, series.complete) for series in found] == [("other", 5, True), ("net", 5, True)]
    assert [run.id for run in found[1].runs] == [f"net-{k}" for k in range(5)]
    assert found[1].values("roc_auc") == [.8, .82, .81, .85, .79] and found[1].images("val") == [20, 21, 22, 23, 24]


def test_threads_and_device_make_no_other_series_but_the_seed_does():
    runs = made()
    runs[2] = replace(runs[2], config=runs[2].config.with_(**{"train.threads": 3}))
    assert len(find_series(runs)) == 1
    assert len(find_series(runs + made(**{"train.seed": 1}))) == 2


def test_series_of_one_name_are_told_apart_by_what_differs():
    names = [series.name for series in find_series(made() + made(**{"optim.lr": 0.5, "train.seed": 3}))]
    assert names == ["net, learning rate 0.001, seed 0", "net, learning rate 0.5, seed 3"]


def test_what_is_missing_is_known_and_can_be_trained():
    runs = made()
    del runs[3]
    runs[1] = replace(runs[1], state="running")
    series, = find_series(runs)
    assert series.missing == (3,) and series.waiting == (1,) and not series.complete
    wanted = series.config_of(3)
    assert (wanted.data.fold, wanted.data.folds, wanted.name) == (3, 5, "net, fold 4 of 5")
    whole, = find_series([*runs, replace(runs[0], id="new", config=wanted, name=wanted.name)])
    assert whole.missing == () and whole.runs[3].id == "new"
    assert "lacks fold 2, 4 of 5" in describe([series])["notes"][0]


def test_of_two_runs_of_one_fold_the_newest_counts_and_what_failed_does_not():
    runs = made()
    again = replace(runs[0], id="again", created=99)
    failed = replace(runs[0], id="failed", created=100, state="failed")
    series, = find_series([again, *runs, failed])
    assert series.runs[0].id == "again"
    assert find_series(made(state="queued")) == []


def test_the_test_is_that_of_the_folds_that_both_have():
    a, b = made(), made("b", values=(.7, .75, .72, .70, .74), **{"optim.lr": 0.5})
    del b[0]
    one, other = find_series(a + b)
    known = corrected_t_test([.82, .81, .85, .79], [.75, .72, .70, .74], [79, 78, 77, 76], [21, 22, 23, 24])
    assert compare_series(one, other, "roc_auc") == known
    result = describe([one, other])
    assert result["tests"][0]["p"] == known.p and "is better by" in result["tests"][0]["sentence"]
    assert result["series"][0]["mean"] == pytest.approx(np.mean([.8, .82, .81, .85, .79]))
    assert result["friedman"] is None and result["n"] == [20, 21, 22, 23, 24] and result["series"][1]["n"] == 90


def test_other_images_are_not_compared():
    a = made()
    b = [replace(run, split_hash="other " + run.split_hash) for run in made("b", **{"data.split_seed": 3})]
    one, other = find_series(a + b)
    assert [len(group) for group in comparable([one, other])] == [1, 1]
    with pytest.raises(LightboxError) as refused:
        compare_series(one, other, "roc_auc")
    assert refused.value.code == "folds.other"
    three, = find_series(made("c", values=(.7, .8, .9)))
    assert len(comparable([one, three])) == 2


def test_three_networks_have_friedmans_test_and_a_word_about_many_tests():
    runs = made() + made("b", values=(.7, .71, .72, .73, .74), **{"optim.lr": 0.5}) + made(
        "c", values=(.6, .61, .62, .63, .64), **{"optim.lr": 0.2})
    group, = comparable(find_series(runs))
    result = describe(group)
    assert result["friedman"]["ranks"] == (1.0, 2.0, 3.0) and len(result["tests"]) == 3
    assert "3 tests" in result["notes"][-1]
    lower = describe([replace(series, runs=tuple(replace(run, recorded={"loss": run.recorded["roc_auc"]})
                                                 for run in series.runs)) for series in group], "loss")
    assert lower["friedman"]["ranks"] == (3.0, 2.0, 1.0)
    with pytest.raises(LightboxError) as refused:
        describe(group, "beauty")
    assert refused.value.code == "folds.metric"


def test_the_command_prints_a_row_for_each_series_and_the_tests(monkeypatch, capsys):
    runs = {run.id: run for run in made() + made("b", values=(.7, .71, .72, .73, .74), **{"optim.lr": 0.5})}
    monkeypatch.setattr("core.runs.store.RunStore.list", lambda self: list(runs.values()))
    monkeypatch.setattr("core.runs.store.RunStore.get", lambda self, name: SimpleNamespace(id=runs[name].id, ensemble=None))
    monkeypatch.setattr("core.evaluation.leaderboard.summarize_scored", lambda run: run)
    assert main(["folds"]) == 0
    said = capsys.readouterr().out
    assert "roc_auc of 5 folds with 20, 21, 22, 23, 24 validation images" in said
    assert "0.8000  0.8200  0.8100  0.8500  0.7900   mean 0.8140 (SD 0.0230)   110 images   net" in said
    assert "net is better by 0.094; with 5 folds such a difference is more than chance" in said
    assert main(["folds", "b-2", "--json"]) == 0
    result, = json.loads(capsys.readouterr().out)
    assert [series["name"] for series in result["series"]] == ["b"] and result["tests"] == []
    monkeypatch.setattr("core.runs.store.RunStore.list", lambda self: [])
    assert main(["folds"]) == 2 and "train --folds 5" in capsys.readouterr().err
