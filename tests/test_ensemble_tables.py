"""Tables of runs, time estimates, studies and initial weights never take an ensemble for a network that was trained."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.__main__ import main
from core.datasets import open_dataset
from core.errors import LightboxError
from core.evaluation import studies
from core.evaluation.ensembles import make_ensemble
from core.evaluation.leaderboard import group_seeds, ungrouped
from core.evaluation.members import members_of
from core.runs.classifiers import load_classifier
from core.runs.codes import parse, run_code
from core.runs.initial_weights import build_for, weight_shapes
from core.runs.members import EnsembleSpec, Member
from core.runs.summary import summarize
from pages.shared import preview
from pages.shared.run_columns import COLUMNS, cell, plain
from tests.judged import open_page


def ensemble_of(readers, how="soft", names="abc", **more):
    return make_ensemble(members_of([readers[name].id for name in names]), how, **more)


@pytest.fixture
def ensemble(readers):
    return ensemble_of(readers)


def spec(how, columns, **more):
    return EnsembleSpec(how, tuple(Member(f"r{i}", "x", 1, "", column) for i, column in enumerate(columns)), **more)


def test_the_code_says_how_of_how_many_and_is_none_of_a_network(ensemble, capsys):
    assert ensemble.code == summarize(ensemble).code == "Ensemble_soft_3_ts_28_28_sides_binary"
    with pytest.raises(LightboxError, match="is the code of an ensemble") as error:
        parse(ensemble.code)
    assert "python -m core ensemble" in error.value.hint
    main(["name", ensemble.id])
    assert capsys.readouterr().out == "Ensemble_soft_3_ts_28_28_sides_binary\n"
    config = ensemble.config
    for one, expected in ((spec("greedy_soup", (0, 1)), "Ensemble_greedy-soup_2"), (spec("soft", (0, 0, 0)), "Ensemble_folds_3"),
                          (spec("soft", (0,), draws=8), "Ensemble_tta_8"),
                          (spec("stacking", (0, 1), on_features=True), "Ensemble_stacking-features_2"),
                          (spec("logits", (0, 1), draws=4), "Ensemble_logits_2_tta_4")):
        assert run_code(config, {"task": "multi-class"}, one) == f"{expected}_ts_28_28_sides_multiclass"


def test_tables_say_what_an_ensemble_is_and_no_epochs(ensemble, readers):
    row, = ungrouped([summarize(ensemble)])
    assert cell("network", row)["text"] == "Soft vote of 3" and cell("name", row)["small"] == "Soft vote of 3, 28 px"
    assert cell("epochs", row)["text"] == "ensemble" and plain("best_epoch", row) == "" and cell("curve", row)["text"] == ""
    assert COLUMNS["best_epoch"].value(row) is None and COLUMNS["epochs"].value(row) is None
    members = [summarize(readers[name]).seconds for name in "abc"]
    assert row.seconds == pytest.approx(sum(members))
    assert row.first.best_auc == row.first.value("roc_auc") and row.first.members == tuple(readers[name].id for name in "abc")
    trained, = ungrouped([summarize(readers["a"])])
    assert cell("network", trained)["text"] == "Small CNN" and cell("epochs", trained)["text"] == "2 of 2"


def test_words_find_an_ensemble_and_not_by_its_first_members_network(ensemble, readers):
    assert all(summarize(ensemble).matches(words) for words in ("ensemble", "soft vote", "ENSEMBLE of 3", "soft"))
    assert not summarize(ensemble).matches("small_cnn") and not summarize(ensemble).matches("Small CNN")
    assert summarize(readers["a"]).matches("small_cnn") and not summarize(readers["a"]).matches("ensemble")


@pytest.mark.parametrize("how", ["soft", "soup"])
def test_seeds_are_grouped_without_the_ensembles_of_their_config(readers, how):
    run = ensemble_of(readers, how)
    rows = group_seeds([summarize(one) for one in (readers["a"], run, readers["b"], readers["c"])])
    assert [[one.id for one in row.runs] for row in rows] == [[readers[name].id for name in "abc"], [run.id]]
    assert summarize(run).is_like(summarize(readers["a"])) is summarize(readers["a"]).is_like(summarize(run)) is False
    assert summarize(readers["a"]).is_like(summarize(readers["b"]))


def test_the_time_of_a_run_is_never_guessed_from_an_ensemble(ensemble, readers):
    config, of_ensemble = readers["a"].config, replace(summarize(ensemble), epoch_seconds=1e6)
    assert preview._similar(config, "cpu", [of_ensemble]) is None
    assert preview._similar(config, "cpu", [of_ensemble, summarize(readers["a"])]).id == readers["a"].id
    assert preview._guess(config.with_(**{"data.size": 32}), "cpu", 100, [of_ensemble], 10**6) is None


def test_an_ensemble_is_no_point_of_a_learning_curve(ensemble, readers):
    a, b, both = (studies.Member(summarize(run)) for run in (readers["a"], readers["b"], ensemble))
    assert [one.id for one in studies.members(a, [a, b, both], "images")] == [a.id, b.id]
    assert [one.id for one in studies.members(both, [a, b, both], "images")] == [both.id]


def test_a_run_starts_from_a_soup_or_a_member_but_not_from_an_ensemble(ensemble, readers, capsys):
    data = open_dataset(readers["a"].config.data)
    config = readers["a"].config.with_(**{"model.weights": f"run:{ensemble.id}"})
    for refused in (lambda: build_for(config, data), lambda: weight_shapes(ensemble.id)):
        with pytest.raises(LightboxError, match="is an ensemble: it has no weights") as error:
            refused()
        assert readers["a"].id in error.value.hint
    assert main(["train", "--dataset", config.data.dataset, "--model", "small_cnn", "--size", "28", "--queue",
                 "--set", f"model.weights=run:{ensemble.id}"]) == 2
    assert "is an ensemble: it has no weights of its own" in capsys.readouterr().err
    soup = ensemble_of(readers, "soup")
    started = build_for(config.with_(**{"model.weights": f"run:{soup.id}"}), data)
    theirs = load_classifier(soup.id).model.network.state_dict()
    assert all(value.equal(theirs[name]) for name, value in started.network.state_dict().items() if "num_batches" not in name)


def test_the_menu_of_initial_weights_has_soups_and_no_ensembles(ensemble, readers):
    soup = ensemble_of(readers, "soup")
    at = open_page("train", run=readers["a"].id, again="1")
    offered = next(box.options for box in at.selectbox if box.label == "Initial weights")
    assert any(soup.name in one for one in offered) and not any(ensemble.name in one for one in offered)
