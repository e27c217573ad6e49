"""The epochs of a run that are kept, and the address by which each is loaded."""

import pytest
import torch

from core.errors import LightboxError
from core.runs import checkpoints
from core.runs.classifiers import classes_of, load_classifier, settings_of, split_address, task_of
from core.runs.initial_weights import weight_shapes
from core.worker import queue_worker
from tests.test_worker import here, store  # noqa: F401
from tests.tiny import tiny_config


@pytest.fixture
def run(store):  # noqa: F811
    return here(store, tiny_config(store.root / "tiny.npz", **{"model.name": "small_cnn", "train.epochs": 3}))


def test_the_address_of_an_epoch_loads_its_weights(run):
    assert checkpoints.snapshots(run.checkpoints)[-2:] == [2, 3]
    for epoch in (2, 3):
        loaded = load_classifier(f"{run.id}@{epoch}")
        saved = checkpoints.load(run.checkpoints / checkpoints.name_of(epoch)).weights
        assert loaded.epoch == epoch
        assert all(torch.equal(value, saved[name]) for name, value in loaded.model.state_dict().items())
    at_2, at_3 = (load_classifier(f"{run.id}@{epoch}").model.state_dict() for epoch in (2, 3))
    assert not all(torch.equal(at_2[name], at_3[name]) for name in at_2)
    assert load_classifier(run.id).epoch == checkpoints.best_epoch(run.checkpoints)


def test_what_is_known_of_a_run_is_known_of_its_epochs(run):
    address = f"{run.id}@3"
    assert split_address(address) == (run.id, 3) and split_address(run.id) == (run.id, None)
    assert settings_of(address) == run.config and task_of(address) == task_of(run.id)
    assert classes_of(address) == classes_of(run.id) and weight_shapes(address) == weight_shapes(run.id)


def test_an_epoch_that_was_not_kept_is_said_with_those_that_were(run):
    with pytest.raises(LightboxError, match="no checkpoint of epoch 7. It has epoch .*2, 3") as caught:
        load_classifier(f"{run.id}@7")
    assert caught.value.code == "checkpoint.missing"
    for address in ("20990101-0000-none@3", f"{run.id}@", f"{run.id}@x"):
        with pytest.raises(LightboxError) as caught:
            load_classifier(address)
        assert caught.value.code == "run.gone"


def snapshots_run(store, **changes):  # noqa: F811
    return tiny_config(store.root / "tiny.npz", **{"model.name": "small_cnn", "train.epochs": 6, "train.snapshots": 3, **changes})


def test_the_last_epoch_of_each_of_the_cycles_is_kept(store):  # noqa: F811
    run = here(store, snapshots_run(store, **{"optim.schedule": "cyclic", "optim.cycles": 3}))
    best = checkpoints.best_epoch(run.checkpoints)
    assert run.config.train.snapshot_epochs == (2, 4, 6)
    assert checkpoints.snapshots(run.checkpoints) == sorted({2, 4, 5, 6, best})
    rates = {record["epoch"]: record["lr"] for record in run.records("epoch")}
    assert max(rates[epoch] for epoch in (2, 4, 6)) < min(rates[epoch] for epoch in (1, 3, 5))


def test_a_resume_and_more_epochs_keep_them_too(store):  # noqa: F811
    run = here(store, snapshots_run(store, **{"optim.schedule": "constant"}))
    weights = checkpoints.load_epoch(run.checkpoints, 2).weights
    store.extend(run, 9)                                               # of nine epochs 3, 6 and 9 are kept
    store.queue.claim("cpu")
    queue_worker.train_run(run, store.root)
    assert {2, 4, 6, 9} <= set(checkpoints.snapshots(run.checkpoints)) <= {2, 4, 6, 8, 9, checkpoints.best_epoch(run.checkpoints)}
    again = load_classifier(f"{run.id}@2").model.state_dict()
    assert all(torch.equal(again[name], value) for name, value in weights.items())
