"""The page Ensemble: its numbers are those of core, it says what does not fit, and one click makes a run."""

import json

import numpy as np
import pytest

from core.evaluation import ensembles
from core.evaluation.ensemble_scores import against_best, best_of, member_scores, part_scores, way_scores, without_each
from core.evaluation.gate import gate_confusion
from core.evaluation.member_agreement import agreement_of, images_of_pair
from core.evaluation.member_predictions import gather
from core.evaluation.members import members_of
from core.evaluation.predictions import load_predictions, store_predictions
from core.models.combine import WAYS
from core.runs.store import RunStore
from pages.ensemble import cached
from pages.shared.layout import format_interval
from tests import readers as made
from tests.drawn import charts, run_table
from tests.followed import no_machine
from tests.judged import galleries, open_page
from tests.judged import text_of as written
from tests.test_ensembles import ids

readers, trained_readers = made.readers, made.trained_readers          # fixtures
SEEDS = ("a", "b", "c")


@pytest.fixture
def three(readers):
    """Three seeds that are good and make different mistakes: the tiny networks themselves all say the same."""
    rng = np.random.default_rng(0)
    for name in SEEDS:
        preds = load_predictions(readers[name], "val")
        p = np.clip(0.5 + 0.2 * (2 * preds.labels - 1) + rng.normal(0, 0.25, len(preds.labels)), 0.02, 0.98)
        probs = np.stack([1 - p, p], axis=1).astype(np.float32)
        store_predictions(readers[name], "val", type(preds)(**vars(preds) | {"probs": probs}))
    return readers


def opened(readers, *names, **query):
    return open_page("ensemble", members=",".join(ids(readers, *names)), **query)


def text_of(at) -> str:
    return written(at).replace("\\", "")


def said_of(readers, *names, gate=""):
    return gather(members_of(ids(readers, *names), gate), "val")


def matrix(at) -> dict:
    found, = [json.loads(e.proto.json) for e in at.get("bidi_component") if e.proto.component_name.endswith("pair_matrix")]
    return found


def test_without_runs_one_click_trains_three_seeds(lightbox_home, monkeypatch):
    no_machine(monkeypatch)
    at = open_page("ensemble")
    assert "no networks to combine" in text_of(at)
    at.button("ensemble_seeds").click().run()
    assert at.title[0].value == "Runs"
    assert sorted(run.config.train.seed for run in RunStore().list()) == [0, 1, 2]


def test_with_one_run_more_seeds_of_it_are_one_click(readers, monkeypatch):
    no_machine(monkeypatch)
    store = RunStore()
    for name, run in readers.items():
        if name != "a":
            store.delete(run)
    at = open_page("ensemble")
    assert "there is one: a" in text_of(at)
    at.button("ensemble_seeds").click().run()
    runs = [run.config for run in RunStore().list() if run.id != readers["a"].id]
    assert sorted(config.train.seed for config in runs) == [1, 2] and {config.data.size for config in runs} == {28}


def test_the_scores_are_those_of_core_beside_the_best_and_the_mean_member(three):
    at = opened(three, *SEEDS, way="weighted")
    said = said_of(three, *SEEDS)
    members, ways = member_scores(said), way_scores(said, [*WAYS][:-1])
    drawn, = charts(at, "ROC AUC of members")
    rows = drawn.rows("scores")
    values = [one.value() for one in [*members, *ways]]
    assert rows[0]["name"] == "Mean member" and rows[0]["value"] == pytest.approx(np.mean(values[:3]))
    assert [row["value"] for row in rows[1:]] == pytest.approx(values) and {row["n"] for row in rows} == {len(said.labels)}
    assert [row["name"] for row in rows if row["chosen"]] == ["Weighted mean"]
    assert drawn.rows("best")[0]["value"] == pytest.approx(max(values[:3]))
    weighted = next(one for one in ways if one.key == "weighted")
    assert against_best(said, weighted, members)["sentence"] in text_of(at)
    table = next(one.value for one in at.dataframe if "Cross-entropy" in one.value)
    one = weighted.estimates["accuracy"]
    assert table.set_index("Name").loc["Weighted mean", "Accuracy"] == format_interval(one.value, one.low, one.high)
    assert [row["letter"] for row in run_table(at)["rows"] if row["letter"]] and not at.warning


def test_nothing_picked_takes_the_best_by_validation(three):
    at = open_page("ensemble")
    wanted = sorted((name for name in (*SEEDS, "small", "snapshots")), key=lambda name: -(
        best_of(member_scores(said_of(three, name, "a" if name != "a" else "b"))[:1]).value()))
    picked = {row["id"] for row in run_table(at)["rows"] if row["letter"]}
    assert picked == set(ids(three, *wanted))
    at.button("ensemble_pick_none").click().run()
    assert "Pick members in the table" in text_of(at) and at.query_params["members"] == "none"
    at.button("ensemble_pick_each_side").click().run()
    assert set(at.query_params["members"].split(",")) == set(ids(three, "left", "right"))
    assert at.query_params["way"] == "experts"
    at.button("ensemble_pick_series_0").click().run()
    assert set(at.query_params["members"].split(",")) == set(ids(three, "fold 0", "fold 1", "fold 2"))


def test_a_way_shows_its_weights_its_growth_and_what_each_member_adds(three):
    at = opened(three, *SEEDS, way="greedy")
    said = said_of(three, *SEEDS)
    fitted = ensembles.fit("greedy", said)
    weights, = charts(at, "Weight:")
    assert [row["weight"] for row in weights.rows("weights")] == pytest.approx(fitted["weights"])
    growth, = charts(at, "Cross-entropy on validation after")
    assert [row["loss"] for row in growth.rows("growth")] == pytest.approx(fitted["curve"])
    assert [row["count"] for row in growth.rows("growth") if row["kept"]] == [int(fitted["kept"])]
    gains, = charts(at, "Gain in ROC AUC")
    whole = next(one for one in way_scores(said, ["greedy"])).value()
    assert [row["weight"] for row in gains.rows("weights")] == pytest.approx(
        [whole - left for left in without_each(said, "greedy")])
    flow, = [e.proto.body for e in at.get("html") if "lb-flow" in e.proto.body and "Greedy selection" in e.proto.body]
    assert flow.count("28 px, pad with black, gray, mean 0.5, SD 0.5") == 3


def test_the_way_and_the_metric_are_kept_in_the_address(three):
    at = opened(three, *SEEDS)
    assert "way" not in at.query_params and charts(at, "ROC AUC of members")[0].rows("scores")[4]["chosen"]      # the soft vote
    next(c for c in at.segmented_control if c.label == "Way to combine").set_value("stacking").run()
    next(c for c in at.segmented_control if c.label == "Metric").set_value("loss").run()
    assert at.query_params["way"] == "stacking" and at.query_params["metric"] == "loss"
    assert charts(at, "Cross-entropy of members") and charts(at, "Coefficient") and not at.exception


def test_disagreement_is_that_of_core_and_a_cell_opens_its_images(three):
    at = opened(three, *SEEDS, measure="double_fault", pair="AC")
    said = said_of(three, *SEEDS)
    found = agreement_of(said)
    shown = matrix(at)
    assert shown["names"] == ["A", "B", "C"] and shown["texts"][1][1] == ""
    assert shown["texts"][0][1] == shown["texts"][1][0] == f"{found.double_fault[0, 1]:.2f}"
    assert shown["selected"] == [0, 2]
    counts = next(one.value for one in at.dataframe if "Members that are right" in one.value)
    assert counts["Images"].tolist() == found.right.tolist()
    _, kinds = images_of_pair(said, 0, 2)
    tiles = galleries(at)[-1] if len(kinds["both"]) else {"n": 0}
    assert tiles["n"] == len(kinds["both"])
    next(c for c in at.segmented_control if c.label == "Which images").set_value("a").run()
    assert galleries(at)[-1]["n"] == len(kinds["a"]) and "true " in galleries(at)[-1]["captions"][0]


def test_runs_that_do_not_fit_are_said_with_the_click_that_trains_the_missing_one(three):
    at = opened(three, "a", "other split")
    assert "other split has other validation images than a" in text_of(at)
    link, = [e.proto for e in at.get("page_link") if e.proto.label == "Train the missing run"]
    assert "data.val_fraction=0.25" in link.query_string and "split_seed" not in link.query_string
    lone = opened(three, "fold 0", "fold 1")
    assert "Fold 3 of 3" in text_of(lone) and "data.fold=2" in next(
        e.proto.query_string for e in lone.get("page_link") if e.proto.label == "Train the missing run")


def test_experts_stand_on_their_own_part_and_on_the_others_with_n(three):
    at = opened(three, "left", "right")
    said = said_of(three, "left", "right", gate="side")
    assert [row["name"] for row in charts(at, "ROC AUC of members")[0].rows("scores") if row["chosen"]] == ["Mixture of experts"]
    table = next(one.value for one in at.dataframe if "Network" in one.value).set_index("Network")
    assert list(table.columns) == [f"{part}, {int((said.parts == k).sum())} images" for k, part in enumerate("LR")]
    scores = {(one.network, one.part): one for one in part_scores(said)}
    for name, part, place in (("left", "L", 0), ("left", "R", 1), ("right", "R", 1)):
        one = scores[name, part].estimates["roc_auc"]
        own = "→ " if scores[name, part].own else ""
        assert table.loc[name].iloc[place] == own + format_interval(one.value, one.low, one.high)
    assert any(name.startswith("All parts: ") for name in table.index) and "Mixture, known part" in table.index
    at.toggle(key="ensemble_learned").set_value(True).run()
    assert not at.exception
    drawn, = charts(at, "Confusion matrix")
    counts = [row["n"] for row in drawn.rows("cells")]
    assert sum(counts) == len(said.labels) and "The gate finds the side of" in text_of(at)
    assert gate_confusion(np.eye(2)[said.parts], said.parts).sum() == sum(counts)


@pytest.mark.parametrize("names, way, how", [(SEEDS, "soft", "soft"), (("left", "right"), "experts", "experts"),
                                             (("fold 0", "fold 1", "fold 2"), None, None)])
def test_one_click_makes_a_run_of_it(three, names, way, how):
    at = opened(three, *names, **({"way": way} if way else {}))
    next(one for one in at.text_input if one.label == "Name").set_value("My readers").run()
    at.button("ensemble_make").click().run()
    assert not at.exception and not at.error, [one.value for one in at.error]
    run = RunStore().list()[0]
    assert run.name == "My readers" and run.ensemble.how == (how or "soft")
    assert {member.run for member in run.ensemble.members} == set(ids(three, *names))
    labels = [e.proto.label for e in at.get("page_link")]
    assert {"Evaluate", "Errors", "Grad-CAM", "Classify"} <= set(labels) and "My readers is a run now" in text_of(at)


@pytest.mark.parametrize("query", [{"members": "x" * 3000}, {"members": "../..,@@,a@9@9"}, {"way": "<b>"}, {"pair": "ZZ"},
                                   {"measure": "1e999"}, {"metric": "?"}, {"members": "none"}])
def test_a_hostile_address_is_a_page(three, query):
    at = opened(three, *SEEDS, **query) if "members" not in query else open_page("ensemble", **query)
    assert not at.exception and at.title[0].value == "Ensemble"


def test_test_labels_play_no_part(three):
    """The page says the same where the test images have no predictions, and opens no test set."""
    opened(three, *SEEDS)
    assert all(three[name].times_test_opened() == 0 and load_predictions(three[name], "test") is None for name in SEEDS)


def test_what_takes_long_is_computed_beside_the_page_and_shown_then(three, monkeypatch):
    monkeypatch.setattr(cached, "AT_ONCE", {"stacking": 0, "mlp": 0})
    cached.forget()
    at = opened(three, *SEEDS, way="stacking")
    names = [row["name"] for row in charts(at, "ROC AUC of members")[0].rows("scores")]
    assert "Stacking" not in names and "Greedy selection" in names and "Computing stacking ..." in text_of(at)
    assert "Computing stacking by mlp" not in text_of(at), "only when it is chosen"
    picked = cached.choice_of(ids(three, *SEEDS), "")
    assert cached.start(picked, said_of(three, *SEEDS), "stacking") is None
    cached._kept("threads")[picked.key, "stacking"].join()
    found = next(row for row in charts(at.run(), "ROC AUC of members")[0].rows("scores") if row["name"] == "Stacking")
    assert found["value"] == way_scores(said_of(three, *SEEDS), ["stacking"])[0].value()


def test_a_way_that_cannot_be_computed_is_a_sentence(three, monkeypatch):
    monkeypatch.setattr(cached, "way_score", lambda *_: 1 / 0)
    picked, said = cached.choice_of(ids(three, *SEEDS), ""), said_of(three, *SEEDS)
    cached.forget()
    cached.start(picked, said, "mlp")
    cached._kept("threads")[picked.key, "mlp"].join()
    assert "could not be computed" in cached.start(picked, said, "mlp").message


def test_the_folds_of_one_config_are_one_member_out_of_fold(three):
    at = opened(three, "fold 0", "fold 1", "fold 2")
    rows = charts(at, "ROC AUC of members")[0].rows("scores")
    stored = [load_predictions(three[f"fold {k}"], "val") for k in range(3)]
    assert len(rows) == 1 and rows[0]["n"] == sum(len(one.labels) for one in stored)
    assert "out of fold" in text_of(at) and not [c for c in at.segmented_control if c.label == "Way to combine"]
