"""Averages of weights against torch.optim.swa_utils, and the greedy soup against brute force."""

import copy
import itertools

import numpy as np
import pytest
import torch
from torch.optim.swa_utils import AveragedModel, update_bn

from core.datasets import open_dataset
from core.errors import LightboxError
from core.evaluation.soup import make_soup
from core.runs import checkpoints
from core.runs.classifiers import load_classifier
from core.trainers.batches import SplitData
from core.trainers.soup import average, greedy_soup, needs_statistics, update_batch_norm
from tests.test_worker import here, store  # noqa: F401
from tests.tiny import tiny_config
from tests.trained import small


def members(n=4, **how):
    """Networks of one shape whose weights, statistics and counters differ."""
    models = []
    for seed in range(n):
        model = small(tiny_config("x", **{"train.seed": seed}), **how)
        model.train()
        for _ in range(seed + 1):
            model(torch.rand(8, 1, 28, 28))
        models.append(model.eval())
    return models


def batches(n=5, size=16):
    generator = torch.Generator().manual_seed(3)
    return [torch.rand(size, 1, 28, 28, generator=generator) for _ in range(n)]


def close(a, b, to=1e-6) -> bool:
    return a.keys() == b.keys() and all(torch.allclose(a[name].double(), b[name].double(), rtol=0, atol=to) for name in a)


def test_mean_and_statistics_are_those_of_pytorch():
    models, images = members(), batches()
    theirs = AveragedModel(models[0])
    for model in models:
        theirs.update_parameters(model)
    weights = average([model.state_dict() for model in models])
    named = dict(theirs.module.named_parameters())
    assert close({name: weights[name] for name in named}, named)
    update_bn(images, theirs)
    ours = copy.deepcopy(models[0])
    ours.load_state_dict(weights)
    done = []
    update_batch_norm(ours, iter(images), done.append)
    assert close(ours.state_dict(), theirs.module.state_dict()) and done == [16, 32, 48, 64, 80] and not ours.training
    assert ours.state_dict()["network.norm.num_batches_tracked"] == 5
    before = models[0].state_dict()["network.norm.running_mean"]
    assert not torch.allclose(ours.state_dict()["network.norm.running_mean"], before, atol=1e-3)


def test_the_statistics_are_the_same_with_dropout_each_time_and_frozen_ones_stay():
    model = small(tiny_config("x", **{"model.dropout": 0.5}))
    again = copy.deepcopy(model)
    for one in (model, again):
        update_batch_norm(one, batches())
    assert close(model.state_dict(), again.state_dict(), to=0)
    model.freeze("all")
    kept = copy.deepcopy(model.state_dict())
    update_batch_norm(model, (pytest.fail("read") for _ in "1"))
    assert close(model.state_dict(), kept, to=0) and not needs_statistics(model)
    assert not needs_statistics(small(tiny_config("x"), norm=False)) and needs_statistics(again)
    assert [norm.momentum for norm in again.modules() if isinstance(norm, torch.nn.BatchNorm2d)] == [0.1]


def test_whole_numbers_are_the_firsts_and_the_members_stay_as_they_are():
    states = [{"n": torch.tensor(3), "w": torch.tensor([1.0])}, {"n": torch.tensor(8), "w": torch.tensor([2.0])}]
    mean = average(states)
    assert mean["n"] == 3 and mean["w"].item() == 1.5 and mean["w"].dtype == torch.float32
    mean["n"] += 1
    assert states[0]["n"] == 3


def test_networks_of_another_shape_have_no_mean():
    one, other = (small(tiny_config("x"), classes=k).state_dict() for k in (2, 3))
    for states in ([one, other], [one, {}]):
        with pytest.raises(LightboxError, match="Network 2 of 2 has other weights") as caught:
            average(states)
        assert caught.value.code == "soup.unlike"


@pytest.mark.parametrize("seed", range(6))
def test_the_greedy_soup_is_what_brute_force_finds_step_by_step(seed):
    rng = np.random.default_rng(seed)
    points = torch.from_numpy(rng.normal(size=(6, 3)))
    goal = torch.from_numpy(rng.normal(size=3))

    def value(state):
        return -float((state["w"] - goal).norm())
    states = [{"w": point} for point in points]
    values = [value(state) for state in states]
    chosen, curve = greedy_soup(states, values, value)
    # all 2^5 ways to take or leave the others: the first, in the order of taking early, of which no step makes it worse and
    # no left member would not have
    order = sorted(range(6), key=lambda place: -values[place])

    def of(places):
        return -float((points[list(places)].mean(dim=0) - goal).norm())
    fitting = []
    for takes in itertools.product((True, False), repeat=5):
        inside, right = [order[0]], True
        for take, place in zip(takes, order[1:]):
            right &= (of([*inside, place]) >= of(inside)) == take
            inside += [place] * take
        fitting += [inside] if right else []
    assert fitting == [chosen]
    assert [step.member for step in curve] == order and [step.member for step in curve if step.kept] == chosen
    assert value(average([states[place] for place in chosen])) >= max(values)


def test_a_planted_pair_is_found_and_what_harms_is_left():
    states = [{"w": torch.tensor([x, y])} for x, y in ((3.0, 1.0), (-1.0, -1.0), (9.0, 0.0))]      # the mean of two is the goal
    def value(state):
        return -float((state["w"] - torch.tensor([1.0, 0.0])).norm())
    chosen, curve = greedy_soup(states, [value(state) for state in states], value)
    assert set(chosen) == {0, 1} and curve[-1].member == 2 and not curve[-1].kept


def test_equally_good_is_no_worse():
    states = [{"w": torch.tensor([1.0])}] * 3
    assert greedy_soup(states, [0.5, 0.5, 0.5], lambda state: 0.5)[0] == [0, 1, 2]


# ---------------------------------------------------------------------------------------------------------------------- of runs

@pytest.fixture
def run(store):  # noqa: F811
    return here(store, tiny_config(store.root / "tiny.npz", **{
        "model.name": "small_cnn", "model.head": "concat", "train.epochs": 3, "train.snapshots": 3, "optim.schedule": "cyclic",
        "optim.cycles": 3}))


def test_snapshots_of_a_run_averaged_are_swa(run):
    addresses, data, said = [f"{run.id}@{epoch}" for epoch in (1, 2, 3)], open_dataset(run.config.data), []
    soup = make_soup(addresses, data, "soup", lambda *progress: said.append(progress))
    theirs = AveragedModel(load_classifier(addresses[0]).model)
    for address in addresses:
        theirs.update_parameters(load_classifier(address).model)
    split = SplitData.of(data, "train")
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(0)).numpy()
    images = torch.from_numpy(split.images[split.indices[order]]).permute(0, 3, 1, 2).float() / 255
    update_bn(images.split(64), theirs)
    assert close(soup.model.state_dict(), theirs.module.state_dict(), to=1e-5)
    assert soup.chosen == tuple(addresses) and not soup.notes and not soup.model.training
    assert {sentence for sentence, _, _ in said} == {"Computing batch norm's statistics", "Predicting the validation images"}


def test_a_greedy_soup_of_snapshots_is_no_worse_than_its_best_member(run):
    addresses, data = [f"{run.id}@{epoch}" for epoch in (1, 2, 3)], open_dataset(run.config.data)
    soup = make_soup(addresses, data, "greedy_soup")
    records = {record["epoch"]: record["val_roc_auc"] for record in run.records("epoch")}
    best = max(records.values())
    assert soup.curve[0].value == pytest.approx(best) and soup.chosen[0] == soup.curve[0].address
    assert [step.address for step in soup.curve if step.kept] == list(soup.chosen) and len(soup.curve) == 3
    alone = make_soup(soup.chosen, data, "soup") if len(soup.chosen) > 1 else None
    assert alone is None or alone.curve[0].value == pytest.approx([step for step in soup.curve if step.kept][-1].value)
    single = make_soup(addresses[:1], data, "greedy_soup").model.state_dict()
    saved = checkpoints.load_epoch(run.checkpoints, 1).weights
    assert all(torch.equal(value, saved[name]) for name, value in single.items())


def test_members_that_have_no_mean_are_refused_and_other_beginnings_are_said(store, run):  # noqa: F811
    data = open_dataset(run.config.data)
    other = here(store, run.config.with_(**{"train.seed": 1, "train.epochs": 1, "optim.cycles": 1, "train.snapshots": 0}))
    assert "no better than chance" in make_soup([run.id, other.id], data).notes[0]
    unlike = here(store, other.config.with_(**{"model.name": "squeezenet1_1"}))
    for addresses, how, code in (([run.id, unlike.id], "soup", "soup.unlike"), ([run.id], "broth", "soup.how"),
                                 ([], "soup", "soup.empty"), ([f"{run.id}@9"], "soup", "checkpoint.missing")):
        with pytest.raises(LightboxError) as caught:
            make_soup(addresses, data, how)
        assert caught.value.code == code and caught.value.hint
