"""Suggestions of members, and the images on which two members differ: against plain counting."""

import numpy as np
import pytest

from core.config import RunConfig
from core.evaluation.member_agreement import agreement_of, images_of_pair, predictions_of
from core.evaluation.member_choices import (
    best_by_validation,
    candidates,
    columns_of_experts,
    expert_column,
    for_all_parts,
    one_for_each_part,
)
from core.evaluation.member_predictions import MemberPredictions
from core.runs.members import Member
from core.runs.summary import RunSummary


def row(name, auc=0.8, images="x", state="finished", ensemble="", epoch=3, **changes):
    return RunSummary(name, name, RunConfig().with_(**changes), state=state, epoch=epoch, split_hash=images,
                      class_names=("a", "b"), recorded={"roc_auc": auc}, ensemble=ensemble)


def names(rows):
    return [one.id for one in rows]


def test_a_member_is_one_network_that_is_not_being_trained():
    rows = [row("good"), row("stopped", state="stopped"), row("trains", state="running"), row("new", epoch=0),
            row("vote", ensemble="soft"), row("soup", ensemble="soup")]
    assert names(candidates(rows)) == ["good", "stopped", "soup"]


def test_the_best_five_are_of_the_same_images_by_validation():
    rows = [row("alone", 0.99, "y"), *(row(f"r{k}", 0.7 + 0.01 * k) for k in range(7)), row("none", None),
            row("part", 0.99, **{"data.only": "side:L"}), row("fold", 0.99, **{"data.folds": 5})]
    assert names(best_by_validation(rows)) == ["r6", "r5", "r4", "r3", "r2"]
    assert best_by_validation([row("a"), row("b", images="z")]) == []


def test_of_each_part_the_best_expert_of_one_split():
    def expert(name, part, auc=0.8, **changes):
        return row(name, auc, images=name, **{"data.only": f"side:{part}", **changes})
    rows = [expert("l2", "L", 0.9), expert("l1", "L", 0.7), expert("r1", "R"),
            expert("other", "R", 0.99, **{"data.split_seed": 9}),
            row("all", 0.85), row("worse", 0.6), row("other split", 0.9, **{"data.split_seed": 9})]
    found = one_for_each_part(rows, "side")
    assert names(found) == ["l2", "r1"] and columns_of_experts(rows) == {"side": 2}
    assert expert_column([one.config for one in found]) == "side" and expert_column([rows[0].config, rows[1].config]) == ""
    assert expert_column([rows[0].config, rows[4].config]) == ""
    assert for_all_parts(rows, rows[0]).id == "all" and for_all_parts(rows[:4], rows[0]) is None


@pytest.fixture
def said():
    rng = np.random.default_rng(0)
    probs = rng.dirichlet([1, 1, 1], (3, 60)).astype(np.float32)
    labels = rng.integers(0, 3, 60)
    return MemberPredictions(tuple(Member(f"r{i}", f"Net {i}", 1, "", i) for i in range(3)), labels, probs,
                             [f"i{i}" for i in range(60)], None, None, "multi-class", ("a", "b", "c"))


def test_images_of_two_members_are_those_that_are_counted_and_the_surest_come_first(said):
    both, kinds = images_of_pair(said, 0, 2)
    preds = said.probs.argmax(axis=2)
    right = preds == said.labels
    wanted = {"both": ~right[0] & ~right[2], "a": right[0] & ~right[2], "b": ~right[0] & right[2], "differ": preds[0] != preds[2]}
    assert {kind: sorted(rows) for kind, rows in kinds.items()} == {
        kind: np.flatnonzero(rows).tolist() for kind, rows in wanted.items()}
    sure = np.minimum(said.probs[0].max(axis=1), said.probs[2].max(axis=1))[kinds["both"]]
    assert (np.diff(sure) <= 0).all()
    found = agreement_of(said)
    assert found.double_fault[0, 2] == pytest.approx(len(kinds["both"]) / 60)
    assert found.disagreement[0, 2] == pytest.approx((len(kinds["a"]) + len(kinds["b"])) / 60)
    assert (predictions_of(said) == preds).all()
