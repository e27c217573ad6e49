"""More epochs for a run that has ended: the same weights as with all of them from the start, and the way there on the page."""

import torch

from core.evaluation.predictions import load_predictions
from core.runs import checkpoints
from core.worker import queue_worker
from tests.followed import epoch_record, no_machine, open_page, put_run, start_record, text_of
from tests.test_worker import here, store  # noqa: F401
from tests.tiny import tiny_config


def test_a_run_that_is_trained_longer_ends_as_one_with_all_the_epochs(store):  # noqa: F811
    changes = {"optim.schedule": "constant", "train.patience": 0}
    short, whole = (tiny_config(store.root / "tiny.npz", **changes, **{"train.epochs": n}) for n in (2, 4))
    expected, run = here(store, whole), here(store, short)
    assert run.status().state == "finished"
    store.extend(run, 4)
    assert run.status().state == "queued" and run.config == expected.config and store.queue.claim("cpu") == run.id
    queue_worker.train_run(run, store.root)
    assert run.status().state == "finished" and [r["epoch"] for r in run.records("epoch")] == [1, 2, 3, 4]
    a, b = (checkpoints.load(one.checkpoints / checkpoints.name_of(4)).weights for one in (run, expected))
    assert a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)
    assert load_predictions(run, "val").epoch == load_predictions(expected, "val").epoch


def test_a_finished_run_is_trained_longer(monkeypatch):
    no_machine(monkeypatch)
    run = put_run("finished", [start_record(), epoch_record(1, 0.61), epoch_record(2, 0.74)], **{"train.epochs": 2})
    at = open_page("runs")
    at.session_state["run_longer"] = True
    at = at.run()
    at.number_input("run_epochs").set_value(7).run()
    at.button("run_extend").click().run()
    assert not at.exception and run.status().state == "queued" and run.config.train.epochs == 7
    assert "2 of 7" in text_of(open_page("runs"))
