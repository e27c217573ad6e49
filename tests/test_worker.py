"""Training in a process of its own, as the app starts it: stop, resume, start on top, failures in words."""

import json
import os
import shutil
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from core.errors import LightboxError
from core.evaluation.evaluate import evaluate
from core.evaluation.predictions import load_predictions
from core.runs import checkpoints
from core.runs.store import RunStore
from core.runs.workers import start_worker, worker_lock
from core.worker import queue_worker
from tests.tiny import tiny_config, tiny_npz


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr("core.runs.store.machine", lambda: {"devices": [
        {"device": "cpu", "name": "2 CPU cores", "memory_bytes": 1}]})
    tiny_npz(tmp_path)
    return RunStore(tmp_path)


def wait_for(run, *states, seconds=120):
    begun = time.monotonic()
    while (status := run.status()).state not in states:
        assert time.monotonic() - begun < seconds, f"still {status}; log: {run.log()[-2000:]}"
        time.sleep(0.05)
    return status


def here(store, config):
    """Create a run and train it in this process."""
    run = store.create(config)
    store.queue.claim("cpu")
    queue_worker.train_run(run, store.root)
    return run


def test_two_runs_are_queued_trained_one_after_the_other_and_judged(store):
    config = tiny_config(store.root / "tiny.npz")
    runs = [store.create(config), store.create(config)]
    start_worker(store.root, "cpu")
    start_worker(store.root, "cpu")                               # two tabs press at once: the second finds a worker
    for run in runs:
        assert wait_for(run, "finished", "failed").state == "finished", run.log()
    assert runs[0].records("start")[0]["at"] < runs[0].records("end")[0]["at"] < runs[1].records("start")[0]["at"]
    assert [r["epoch"] for r in runs[0].records("epoch")] == [1, 2, 3]
    found = load_predictions(runs[0], "val")
    assert found.probs.shape == (24, 2) and len(found.image_ids) == 24
    best = max(r["val_roc_auc"] for r in runs[0].records("epoch"))
    assert evaluate(runs[0], "val").as_dict()["roc_auc"] == pytest.approx(best)
    assert runs[0].data()["n"] == {"train": 96, "val": 24, "test": 24}
    assert load_predictions(runs[0], "test") is None and runs[0].times_test_opened() == 0
    assert evaluate(runs[0], "test").n == 24 and evaluate(runs[0], "test").times_test_opened == 2


@pytest.mark.slow      # three quarters of a minute of training
def test_stop_takes_less_than_five_seconds_and_resume_ends_in_the_same_weights(store):
    config = tiny_config(store.root / "tiny.npz", **{"train.epochs": 60})
    run = store.create(config)
    start_worker(store.root, "cpu")
    wait_for(run, "running")
    while len(run.records("epoch")) < 2:
        time.sleep(0.02)
    begun = time.monotonic()
    run.stop()
    wait_for(run, "stopped")
    assert time.monotonic() - begun < 5
    saved, said = checkpoints.load_latest(run.checkpoints)
    assert not said and saved.epoch >= 2 and saved.epoch < 60
    store.resume(run)
    store.recover()
    wait_for(run, "finished", "failed")
    assert [r["epoch"] for r in run.records("epoch")] == list(range(1, 61))

    whole = here(store, config)
    a, b = (checkpoints.load_latest(r.checkpoints)[0].weights for r in (run, whole))
    assert all((a[k] == b[k]).all() for k in a)


def test_a_stop_in_the_middle_of_a_slow_step_does_not_wait_for_it(store, monkeypatch):
    """One forward pass takes 60 seconds here: the watcher gives it up and saves the state after the step before."""
    child = os.fork()
    run = None
    if child == 0:
        import torch
        torch.set_num_threads(1)
        from core.trainers import classifier
        real = classifier.train

        def slow(state, *args, **kwargs):
            for record in real(state, *args, **kwargs):
                yield record
                time.sleep(1.2 if state.step < 3 else 60)
        classifier.train = slow
        try:
            run = store.create(tiny_config(store.root / "tiny.npz", name="slow"))
            store.queue.claim("cpu")
            queue_worker.train_run(run, store.root)
        finally:
            os._exit(1)
    while not store.list():
        time.sleep(0.05)
    run = store.list()[0]
    wait_for(run, "running")
    time.sleep(5)
    begun = time.monotonic()
    run.stop()
    wait_for(run, "stopped")
    assert time.monotonic() - begun < 5 and os.waitpid(child, 0)[1] == 0
    saved = checkpoints.load_latest(run.checkpoints)[0]
    assert (saved.epoch, saved.step) == (0, 3)
    store.resume(run)
    store.queue.claim("cpu")
    queue_worker.train_run(run, store.root)
    whole = here(store, tiny_config(store.root / "tiny.npz"))
    a, b = (checkpoints.load_latest(r.checkpoints)[0].weights for r in (run, whole))
    assert all((a[k] == b[k]).all() for k in a)


def test_a_killed_trainer_is_interrupted_and_the_next_in_line_is_trained(store):
    first = store.create(tiny_config(store.root / "tiny.npz", **{"train.epochs": 500}))
    second = store.create(tiny_config(store.root / "tiny.npz"))
    start_worker(store.root, "cpu")
    wait_for(first, "running")
    while first.progress().epoch < 2:
        time.sleep(0.02)
    os.kill(first.progress().pid, signal.SIGKILL)
    wait_for(first, "interrupted")
    assert wait_for(second, "finished", "failed").state == "finished"
    assert "signal 9" in first.status().reason and "Resume" in first.status().reason


def test_a_run_on_top_of_another_starts_with_its_best_weights(store):
    first = here(store, tiny_config(store.root / "tiny.npz"))
    on_top = here(store, tiny_config(store.root / "tiny.npz", **{"model.weights": f"run:{first.id}", "train.epochs": 1,
                                                                 "optim.lr": 1e-7, "optim.weight_decay": 0.0}))
    assert on_top.status().state == "finished", on_top.log()
    a = checkpoints.load_best(first.checkpoints)[0].weights
    b = checkpoints.load_best(on_top.checkpoints)[0].weights
    assert all(np.allclose(a[k], b[k], atol=1e-4) for k in a if a[k].is_floating_point() and "running" not in k)


def test_a_run_on_top_of_another_network_is_refused_in_words(store):
    first = here(store, tiny_config(store.root / "tiny.npz", **{"train.epochs": 1}))
    other = here(store, tiny_config(store.root / "tiny.npz", **{"model.weights": f"run:{first.id}", "model.name": "resnet18"}))
    assert other.status().state == "failed" and "different network" in other.status().reason


def test_a_set_that_changed_between_stop_and_resume_is_refused(store):
    run = here(store, tiny_config(store.root / "tiny.npz", **{"train.epochs": 1}))
    facts = run.data() | {"split_hash": "of other images"}
    (run.folder / "data.json").write_text(json.dumps(facts))
    (run.folder / "status.json").write_text(json.dumps({"state": "stopped"}))
    store.resume(run)
    store.queue.claim("cpu")
    queue_worker.train_run(run, store.root)
    assert run.status().state == "failed" and "images have changed" in run.status().reason
    with pytest.raises(LightboxError, match="changed"):
        (run.folder / "predictions.npz").unlink()
        evaluate(run, "val")


def test_a_missing_set_fails_in_words_and_leaves_the_queue_alive(store):
    bad, good = store.create(tiny_config(store.root / "gone.npz")), store.create(tiny_config(store.root / "tiny.npz"))
    start_worker(store.root, "cpu")
    assert wait_for(good, "finished", "failed").state == "finished"
    assert bad.status().state == "failed" and "gone.npz" in bad.status().reason


def test_a_folder_deleted_under_the_trainer_ends_it_quietly(store):
    run = store.create(tiny_config(store.root / "tiny.npz", **{"train.epochs": 500}))
    start_worker(store.root, "cpu")
    wait_for(run, "running")
    begun = time.monotonic()
    while run.folder.exists():                   # the trainer writes into it meanwhile
        assert time.monotonic() - begun < 20
        shutil.rmtree(run.folder, ignore_errors=True)
    from core.files import Lock
    while Lock.is_held(worker_lock(store.root, "cpu")):
        assert time.monotonic() - begun < 20
        time.sleep(0.1)
    assert not run.folder.exists()


def test_a_full_disk_fails_in_words_and_keeps_the_finished_epochs(store, monkeypatch):
    import errno

    from core import files
    real, calls = files.os.replace, []

    def full(source, target):
        if "e0002" in str(target):
            raise OSError(errno.ENOSPC, "No space left on device")
        calls.append(target)
        return real(source, target)
    monkeypatch.setattr(files.os, "replace", full)
    run = here(store, tiny_config(store.root / "tiny.npz"))
    assert run.status().state == "failed" and "is full" in run.status().reason and "kept" in run.status().reason
    assert checkpoints.load_latest(run.checkpoints)[0].epoch == 1
    monkeypatch.undo()
    monkeypatch.setenv("LIGHTBOX_HOME", str(store.root))
    store.resume(run)
    store.queue.claim("cpu")
    queue_worker.train_run(run, store.root)
    assert run.status().state == "finished" and [r["epoch"] for r in run.records("epoch")] == [1, 2, 3]


def test_a_damaged_checkpoint_falls_back_and_says_so(store):
    run = here(store, tiny_config(store.root / "tiny.npz"))
    path = run.checkpoints / "e0003-s000000" / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x99")
    (run.folder / "status.json").write_text(json.dumps({"state": "stopped"}))
    store.resume(run)
    store.queue.claim("cpu")
    queue_worker.train_run(run, store.root)
    assert run.status().state == "finished"
    assert any("checksum does not match" in note for note in run.records("start")[-1]["notes"])


# Out of memory, exactness, what the records carry

def refuse_batches(monkeypatch, limit: int, error: Exception) -> None:
    """Make networks refuse batches of more than `limit` images, as a device does that has no memory for them."""
    from core.models.classifier import Classifier
    real = Classifier.forward

    def forward(model, images):
        if len(images) > limit and images.device.type != "meta":         # counting on paper needs no memory
            raise error
        return real(model, images)
    monkeypatch.setattr(Classifier, "forward", forward)


@pytest.mark.parametrize("error", [
    MemoryError(), RuntimeError("[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: "
                                "you tried to allocate 8589934592 bytes. Error code 12 (Cannot allocate memory)"),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")])
def test_out_of_memory_is_said_with_a_batch_that_should_fit(store, monkeypatch, error):
    from core.models.costs import costs
    refuse_batches(monkeypatch, 20, error)
    config = tiny_config(store.root / "tiny.npz", **{"train.batch_size": 64, "model.name": "small_cnn"})
    need = {n: costs(config.model, 2, 28, 1, n, config.optim.name).training_bytes for n in (8, 16, 32)}
    monkeypatch.setattr("core.worker.job.free_memory", lambda: int(need[16] / 0.8) + 1)      # 16 fit, 32 do not
    run = here(store, config)
    assert run.status().state == "failed"
    assert [int(word) for word in run.status().reason.replace(".", " ").split() if word.isdigit()] == [64, 16]
    record, = run.records("oom")
    assert (record["batch_size"], record["fits"]) == (64, 16)


def test_where_nothing_fits_no_batch_is_named(store, monkeypatch):
    refuse_batches(monkeypatch, 0, MemoryError())
    monkeypatch.setattr("core.worker.job.free_memory", lambda: 1000)
    run = here(store, tiny_config(store.root / "tiny.npz"))
    assert run.records("oom")[0]["fits"] is None and "smaller images" in run.status().reason


def test_on_a_gpu_halves_are_tried_until_one_goes_through(store, monkeypatch):
    """As on a GPU, where the memory says no and nothing else suffers."""
    from core.models import build_model
    from core.trainers.memory import first_that_fits, try_step
    tried = []
    config = tiny_config("x", **{"train.batch_size": 100, "model.name": "small_cnn"})
    model = build_model(config.model, classes=2, size=28, channels=1, task="binary-class")
    refuse_batches(monkeypatch, 14, torch.OutOfMemoryError("CUDA out of memory."))

    def fits(batch):
        tried.append(batch)
        return try_step(model, config, batch, "float32", True)
    assert first_that_fits(50, fits) == 12 and tried == [50, 25, 12]
    assert all(p.grad is None for p in model.parameters())
    refuse_batches(monkeypatch, 0, RuntimeError("shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="multiplied"):                # another error is no question of memory
        fits(2)


def test_the_records_say_where_when_and_how_exactly(store):
    run = here(store, tiny_config(store.root / "tiny.npz", **{"train.epochs": 2, "model.name": "small_cnn"}))
    start, end = run.records("start")[0], run.records("end")[0]
    labels = dict(zip(range(96, 120), run_labels(store)))
    assert start["strip_labels"] == [0, 1] * 4 == [labels[row] for row in start["strip_rows"]]
    assert start["exact"] is True and any("same seed" in note for note in start["notes"])
    assert all(r["memory_bytes"] > 10**7 and 0 <= r["device_use"] <= 1 for r in run.records("step"))
    assert all(np.shape(r["strip"]) == (8, 2) for r in run.records("epoch"))
    assert end["stopped_early"] is False and end["why"] == run.status().reason


def run_labels(store) -> list[int]:
    with np.load(store.root / "tiny.npz") as arrays:
        return arrays["val_labels"][:, 0].tolist()


def test_an_early_stop_is_a_finished_run_that_says_why(store):
    run = here(store, tiny_config(store.root / "tiny.npz", **{
        "train.epochs": 50, "train.patience": 1, "train.monitor": "loss", "optim.lr": 0.05, "model.name": "small_cnn"}))
    end, epochs = run.records("end")[0], run.records("epoch")
    assert run.status().state == "finished" and "Stopped early" in run.status().reason
    assert end["stopped_early"] and end["why"] == run.status().reason
    assert len(epochs) == end["epoch"] == end["best"]["epoch"] + 1 < 50


def test_a_frozen_backbone_embeds_once_and_is_judged_as_a_whole(store):
    config = tiny_config(store.root / "tiny.npz", **{"model.freeze": "all", "model.name": "small_cnn", "train.epochs": 4})
    run = here(store, config)
    assert run.status().state == "finished", run.log()
    assert any("computed once" in note for note in run.records("start")[0]["notes"])
    again = here(store, config)
    assert any("earlier run" in note for note in again.records("start")[0]["notes"])
    a, b = (checkpoints.load_latest(r.checkpoints)[0].weights for r in (run, again))
    assert all((a[k] == b[k]).all() for k in a)
    best = max(r["val_roc_auc"] for r in run.records("epoch"))
    assert evaluate(run, "val").as_dict()["roc_auc"] == pytest.approx(best, abs=1e-6)


def test_the_remembered_layout_belongs_to_everything_that_changes_a_step():
    from core.trainers.probe import network_key
    config = tiny_config("x").model
    keys = [network_key(replace(config, **change)) for change in (
        {}, {"head": "mlp"}, {"cut": "layer3"}, {"freeze": "all"}, {"cnn_layers": 3}, {"stem": "standard"}, {"name": "resnet18"})]
    assert len(set(keys)) == len(keys) and network_key(replace(config, weights="run:x")) == keys[0]


def test_a_step_that_cannot_be_compiled_trains_without(store, monkeypatch):
    def broken(model):
        raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found")
    monkeypatch.setattr(torch, "compile", broken)
    config = tiny_config(store.root / "tiny.npz", **{"train.epochs": 1, "model.name": "small_cnn"})
    run, plain = here(store, config.with_(**{"train.compile": "on"})), here(store, config)
    assert run.status().state == "finished", run.log()
    assert any("Not compiled: RuntimeError" in note for note in run.records("start")[0]["notes"])
    a, b = (checkpoints.load_latest(r.checkpoints)[0].weights for r in (run, plain))
    assert all((a[k] == b[k]).all() for k in a)                          # trying left no trace
