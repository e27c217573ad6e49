"""A resume against an unbroken run, to the last bit."""

import copy
import dataclasses
import json
import random

import numpy as np
import pytest
import torch

from core.errors import LightboxError
from core.trainers.classifier import TrainState, train
from core.trainers.records import EpochRecord
from core.trainers.validation import stops_early, why_it_ended
from tests import trained
from tests.tiny import tiny_config
from tests.trained import EVERYTHING, build, epochs_of, learn, run, same, small

one_thread, splits = trained.one_thread, trained.splits          # fixtures

OPTIMISERS, SCHEDULES = ("adamw", "adam", "sgd"), ("constant", "cosine", "step", "every", "one_cycle", "cyclic")


def as_in_a_file(tensors: dict) -> dict:
    """Copies without a memory of channels_last."""
    return {key: value.clone(memory_format=torch.contiguous_format) for key, value in tensors.items()}


def without_clocks(record: EpochRecord) -> EpochRecord:
    return dataclasses.replace(record, seconds=0.0, seconds_left=0.0, images_per_second=0.0)


def resumed(config, splits, stop_after: int):
    """Train the small network, stop after so many records, go on from what a checkpoint keeps, in a new process's place."""
    broken, state = [], TrainState.fresh(small(config), config)
    loop = train(state, *splits, config)
    for record in loop:
        broken.append(record)
        if len(broken) == stop_after:
            loop.close()
            break
    weights, moments = (as_in_a_file(part) for part in state.tensors())
    meta = json.loads(json.dumps(state.meta()))
    again = TrainState.fresh(small(config), config)
    with torch.no_grad():
        for p in again.model.parameters():
            p.fill_(7.0)                                                 # nothing of the start may be left
    again.load(weights, moments, meta)
    records = list(train(again, *splits, config))
    return again, epochs_of(broken) + epochs_of(records)


@pytest.mark.parametrize("changes", [
    *({"optim.name": name, "optim.schedule": schedule, "optim.every": 2, "optim.cycles": 2}
      for name in OPTIMISERS for schedule in SCHEDULES),
    *({key: value} for key, value in EVERYTHING.items() if key != "model.unfreeze_epoch"),
    *({"optim.name": name} | EVERYTHING for name in OPTIMISERS),
    {"train.loss": "focal", "train.measure_train": True},
], ids=lambda changes: "-".join(map(str, changes.values()))[:40])
def test_a_resume_ends_in_the_same_bits(splits, changes):
    config = tiny_config("x", **{"train.epochs": 4, "train.batch_size": 9, "optim.lr": 0.01} | changes)
    whole, records = learn(config, splits)
    chance = random.Random(1)
    for _ in range(2):
        again, epochs = resumed(config, splits, chance.randrange(1, len(records)))
        assert same(whole.model, again.model)
        assert [without_clocks(e) for e in epochs] == [without_clocks(e) for e in epochs_of(records)]
        assert again.best == whole.best


def test_a_resume_of_a_whole_network_ends_in_the_same_bits(splits):
    config = tiny_config("x", **{"model.dropout": 0.5, "augment.rotate": 10.0, "train.epochs": 2})
    whole, records = run(config, splits)
    broken, _ = run(config, splits, steps=8)
    again = TrainState.fresh(build(config), config)
    again.load(*(as_in_a_file(part) for part in broken.tensors()), copy.deepcopy(broken.meta()))
    assert same(whole.model, run(config, splits, state=again)[0].model)


def test_a_checkpoint_that_numbered_its_weights_still_resumes(splits):
    """Before the groups of backbone and head the moments were named after their number, decayed weights first."""
    config = tiny_config("x", **{"train.epochs": 2})
    state = TrainState.fresh(small(config), config)
    loop = train(state, *splits, config)
    for record in loop:
        if isinstance(record, EpochRecord):
            loop.close()
            break
    weights, moments = (as_in_a_file(part) for part in state.tensors())
    named = list(state.model.named_parameters())
    order = [n for n, p in named if p.ndim > 1] + [n for n, p in named if p.ndim <= 1]
    numbered = {f"{order.index(name.rpartition('.')[0])}.{name.rpartition('.')[2]}": v for name, v in moments.items()}
    meta = state.meta() | {"total": [0.0, 0.0], "best": {"epoch": 1, "roc_auc": 0.0, "accuracy": 0.5, "loss": 0.7}}
    again = TrainState.fresh(small(config), config)
    again.load(weights, numbered, meta)
    list(train(again, *splits, config))
    assert same(again.model, learn(config, splits)[0].model)
    assert again.best["epoch"] == 2 and "cohen_kappa" in again.best


def test_the_optimisers_state_of_another_network_is_refused(splits):
    config = tiny_config("x", **{"train.epochs": 1})
    state, _ = learn(config, splits)
    weights, moments = state.tensors()
    name = next(name for name, value in moments.items() if value.ndim > 1)
    for wrong in ({name: moments[name][:1]}, {f"network.elsewhere.{name.rpartition('.')[2]}": moments[name]}):
        with pytest.raises(LightboxError, match="does not fit") as error:
            TrainState.fresh(small(config), config).load(weights, wrong, state.meta())
        assert error.value.code == "checkpoint.unlike"


def test_an_early_stop_comes_when_it_must_and_survives_a_resume(splits):
    """A high rate on small batches: the loss of validation soon stops falling."""
    config = tiny_config("x", **{"train.patience": 2, "train.monitor": "loss", "train.epochs": 50, "optim.name": "sgd",
                                 "optim.lr": 0.3, "optim.schedule": "constant", "train.batch_size": 4})
    state, records = learn(config, splits)
    losses = [r.val["loss"] for r in epochs_of(records)]
    assert len(losses) == state.epoch < 50 and state.epoch == np.argmin(losses) + 3
    assert all(min(losses[:e]) > min(losses[:e + 2]) for e in range(1, len(losses) - 2))       # and not before
    assert stops_early(state.epoch, state.best, config.train)
    assert list(train(state, *splits, config)) == []                          # nothing is left to do
    for stop in (1, len(records) // 2, len(records) - 1):
        again, epochs = resumed(config, splits, stop)
        assert again.epoch == state.epoch and same(again.model, state.model)
    reason = why_it_ended(state.epoch, state.best, config.train)
    assert f"after epoch {state.epoch} of 50" in reason and f"Best epoch: {state.best['epoch']}" in reason
    assert why_it_ended(50, {"epoch": 50}, config.train) == "Best epoch: 50 of 50."
