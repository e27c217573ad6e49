"""The run store: legal changes only, honest states, records that never run twice over one place."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from core.config import RunConfig
from core.errors import LightboxError
from core.files import Lock
from core.runs.run import Notes
from core.runs.states import TRANSITIONS
from core.runs.store import Run, RunStore
from tests.tiny import tiny_config

HOLD = "import sys, time; from core.files import Lock; Lock(sys.argv[1]).acquire(); print('held', flush=True); time.sleep(60)"


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr("core.runs.store.machine", lambda: {"devices": [
        {"device": "cpu", "name": "2 CPU cores", "memory_bytes": 1}]})
    monkeypatch.setattr("core.runs.store.start_worker", lambda root, device: None)       # nothing trains in these tests
    return RunStore(tmp_path)


@pytest.fixture
def run(store) -> Run:
    return store.create(tiny_config("nowhere.npz", name="first"))


def hold(run: Run) -> subprocess.Popen:
    """A process that holds the run's lock, as a living trainer does."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(run.folder / "run.lock")], stdout=subprocess.PIPE, text=True,
                               env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])})
    assert process.stdout.readline() == "held\n"
    return process


def test_a_new_run_is_queued_and_says_all_that_is_needed_to_run_it_again(store, run):
    assert run.status().state == "queued" and store.queue.waiting() == [(run.id, "cpu")]
    about = json.loads((run.folder / "config.json").read_text())
    assert run.config == tiny_config("nowhere.npz", name="first")
    assert about["device"] == "cpu" and about["seed"] == 0 and {"torch", "python", "lightbox"} <= about["versions"].keys()


def test_a_device_that_is_not_there_is_a_sentence(store):
    with pytest.raises(LightboxError, match="no device cuda:7"):
        store.create(RunConfig().with_(**{"train.device": "cuda:7"}))


def test_only_what_the_table_allows_can_happen(run):
    for state, allowed in TRANSITIONS.items():
        for to in TRANSITIONS:
            (run.folder / "status.json").write_text(json.dumps({"state": state}))
            if to in allowed:
                assert run.change(to)
            else:
                with pytest.raises(LightboxError, match=f"is {state}, so it cannot become {to}"):
                    run.change(to)


def test_only_a_run_that_has_ended_gets_more_epochs_and_only_more(store, run):
    has = run.config.train.epochs
    with pytest.raises(LightboxError, match="waiting or training"):
        store.extend(run, has + 1)
    store.queue.remove(run.id)
    for state in ("finished", "stopped", "failed"):
        (run.folder / "status.json").write_text(json.dumps({"state": state}))
        if state == "finished":
            with pytest.raises(LightboxError, match="Early stopping ended this run after 0 of"):
                store.extend(run, has + 1)
            run.append({"kind": "epoch", "epoch": has})
        with pytest.raises(LightboxError, match=f"has {has} epochs"):
            store.extend(run, has)
        assert run.status().state == state and store.queue.waiting() == []
        store.extend(run, has := has + 2)
        assert run.status().state == "queued" and run.config.train.epochs == has and store.queue.waiting() == [(run.id, "cpu")]
        assert run.device == "cpu" and run.name == "first"
        store.queue.remove(run.id)
        run.append({"kind": "epoch", "epoch": has})


def test_sixteen_presses_of_stop_and_resume_make_one_change(run, store):
    (run.folder / "status.json").write_text(json.dumps({"state": "stopped"}))
    store.queue.remove(run.id)
    changed = []
    threads = [threading.Thread(target=lambda: changed.append(run.change("queued", only_from={"stopped"}))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(changed) == 1


def test_running_without_a_living_trainer_is_interrupted(run, store):
    trainer = hold(run)
    run.change("starting")
    run.change("running")
    assert run.status().state == "running"
    trainer.send_signal(signal.SIGKILL)
    trainer.wait()
    assert run.status().state == "interrupted"
    store.recover()
    assert json.loads((run.folder / "status.json").read_text())["state"] == "interrupted"
    store.resume(run)
    store.resume(run)                                             # a second tab
    assert run.status().state == "queued" and store.queue.waiting() == [(run.id, "cpu")]


def test_stop_takes_a_waiting_run_out_of_the_queue(run, store):
    run.stop()
    assert run.status().state == "stopped" and store.queue.waiting() == []


def test_a_lost_queue_is_made_again_from_the_folders(run, store):
    store.queue.path.unlink()
    store.recover()
    assert store.queue.waiting() == [(run.id, "cpu")]


def test_a_queued_run_that_a_worker_just_claimed_is_not_queued_twice(run, store):
    from core.runs.workers import worker_lock
    assert store.queue.claim("cpu") == run.id
    lock = Lock(worker_lock(store.root, "cpu"))
    lock.acquire()
    store.recover()
    assert store.queue.waiting() == []
    lock.release()


def test_records_after_a_kill_do_not_run_twice_over_one_place(run):
    for record in ({"kind": "start", "epoch": 0, "step": 0},
                   {"kind": "step", "epoch": 1, "step": 5}, {"kind": "epoch", "epoch": 1},
                   {"kind": "step", "epoch": 2, "step": 3}, {"kind": "step", "epoch": 2, "step": 6},
                   {"kind": "epoch", "epoch": 2},
                   {"kind": "start", "epoch": 1, "step": 4},      # killed; its last checkpoint: four steps of epoch 2
                   {"kind": "step", "epoch": 2, "step": 6}, {"kind": "epoch", "epoch": 2}):
        run.append(record)
    places = [(r["epoch"], r.get("step")) for r in run.records()]
    assert places == [(0, 0), (1, 5), (1, None), (2, 3), (1, 4), (2, 6), (2, None)]
    assert [r["epoch"] for r in run.records("epoch")] == [1, 2]


def test_a_torn_line_is_ignored_and_never_glued_to(run):
    run.append({"kind": "epoch", "epoch": 1})
    with open(run.folder / "metrics.jsonl", "ab") as file:
        file.write(b'{"kind": "epoch", "epo')
    run.append({"kind": "epoch", "epoch": 2})
    assert [r["epoch"] for r in run.records("epoch")] == [1, 2]


def test_a_run_deleted_while_it_is_shown_is_a_sentence(run, store):
    store.delete(run)
    for look in (run.status, lambda: run.config, lambda: store.get(run.id), lambda: run.change("stopped"), run.stop):
        with pytest.raises(LightboxError, match="There is no run"):
            look()
    assert store.list() == [] and run.records() == [] and run.progress().at == 0 and not run.folder.exists()


@pytest.mark.parametrize("wrong", ["", "..", "../etc", "nosuchrun", ".hidden"])
def test_an_address_that_is_no_run_is_a_sentence(store, wrong):
    with pytest.raises(LightboxError) as error:
        store.get(wrong)
    assert error.value.code == "run.gone"


def test_a_living_run_is_not_deleted(run, store):
    trainer = hold(run)
    with pytest.raises(LightboxError, match="Stop it first"):
        store.delete(run)
    trainer.kill()
    trainer.wait()
    store.delete(run)


def test_a_damaged_folder_does_not_hide_the_others(run, store):
    time.sleep(0.01)
    other = store.create(tiny_config("nowhere.npz"))
    (run.folder / "config.json").write_text("{")
    assert [r.id for r in store.list()] == [other.id]


# --------------------------------------------------------------------------------------------------------------------- the notes

def test_notes_are_kept_beside_the_config_which_never_changes(store, run):
    before = (run.folder / "config.json").read_bytes()
    assert run.notes() == Notes()
    assert run.annotate(text="<b>wrist</b> $x$\nsecond line") == Notes()
    assert run.annotate(tags=[" first  lesson ", "wrist", "wrist", ""]) == Notes("<b>wrist</b> $x$\nsecond line")
    assert store.get(run.id).notes() == Notes("<b>wrist</b> $x$\nsecond line", ("first lesson", "wrist"))
    assert run.annotate(text="") == Notes("<b>wrist</b> $x$\nsecond line", ("first lesson", "wrist"))  # what was there before
    assert run.notes() == Notes("", ("first lesson", "wrist"))
    assert (run.folder / "config.json").read_bytes() == before


def test_a_run_can_be_made_with_tags(store):
    assert store.create(tiny_config("nowhere.npz"), tags=("grid 3", "fold")).notes().tags == ("grid 3", "fold")
    with pytest.raises(LightboxError, match="11 tags"):
        store.create(tiny_config("nowhere.npz"), tags=map(str, range(11)))
    assert len(store.list()) == 1                          # what is refused leaves nothing behind


@pytest.mark.parametrize("wrong", [{"text": "x" * 2001}, {"tags": ["x" * 41]}, {"tags": [str(i) for i in range(11)]}])
def test_too_much_is_refused_and_changes_nothing(run, wrong):
    run.annotate("kept", ["kept"])
    with pytest.raises(LightboxError) as caught:
        run.annotate(**wrong)
    assert caught.value.code == "run.notes" and run.notes() == Notes("kept", ("kept",))


def test_two_writers_at_once_do_not_undo_each_other(run):
    def write(**what) -> None:
        for i in range(20):
            run.annotate(**{key: value(i) for key, value in what.items()})
    threads = [threading.Thread(target=write, kwargs={"text": lambda i: f"text {i}"}),
               threading.Thread(target=write, kwargs={"tags": lambda i: [f"tag {i}"]})]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert run.notes() == Notes("text 19", ("tag 19",))


def test_damaged_notes_are_no_notes_and_a_deleted_run_takes_none(store, run):
    (run.folder / "notes.json").write_text("[1, 2")
    assert run.notes() == Notes()
    (run.folder / "notes.json").write_text('{"text": 3}')
    assert run.notes() == Notes()
    store.delete(run)
    with pytest.raises(LightboxError, match="no run"):
        run.annotate(text="too late")
    assert not run.folder.exists()


def test_stopping_what_waits_leaves_what_trains(store, run):
    others = [store.create(tiny_config("nowhere.npz")) for _ in range(3)]
    run.change("starting"), run.queue.remove(run.id)
    assert store.stop_waiting() == 3
    assert [other.status().state for other in others] == ["stopped"] * 3 and run.written_state() == "starting"
    assert store.queue.waiting() == []


def test_runs_made_in_the_same_moment_that_draw_the_same_number_are_two(store, monkeypatch):
    drawn = iter(["aaaa", "aaaa", "aaaa", "bbbb", "bbbb", "cccc"])
    monkeypatch.setattr("core.runs.store.secrets.token_hex", lambda n: next(drawn))
    monkeypatch.setattr("core.runs.store.time.strftime", lambda form: "20260101-000000")
    runs = [store.create(tiny_config("nowhere.npz", name=name)) for name in ("one", "two", "three")]
    assert [run.id[-4:] for run in runs] == ["aaaa", "bbbb", "cccc"] and [run.name for run in runs] == ["one", "two", "three"]
    assert not list((store.root / "runs").glob(".*"))
