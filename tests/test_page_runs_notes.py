"""Notes and tags of runs, the table of all runs, the queue in its order."""

import re

import pytest
from streamlit.testing.v1 import AppTest

from core.runs.run import Notes
from core.runs.store import RunStore
from pages.shared import run_feed
from tests.drawn import run_column, run_table
from tests.followed import APP, epoch_record, no_machine, open_page, put_run, start_record, step_record, text_of

TWO = [start_record(), step_record(1, 3), epoch_record(1, 0.61), step_record(2, 3, loss=0.5), epoch_record(2, 0.74)]


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    return no_machine(monkeypatch)


def plain(at) -> str:
    return text_of(at).replace("\\", "")


def widget(at, kind: str, label: str):
    return next(w for w in at.get(kind) if w.label == label)


def pill(at, popover: str, label: str):
    """Pills in a popover, which is opened for that: what is in it is drawn only then."""
    at.session_state[popover] = True
    return next(pill for pill in at.run().get("button_group") if pill.label == label)


# ------------------------------------------------------------------------------------------------------------ notes and tags

def test_a_note_is_saved_at_once_and_the_loser_is_told():
    run = put_run("finished", TWO)
    run.annotate(text="from before")
    one, two = open_page("runs", run=run.id), open_page("runs", run=run.id)
    assert widget(one, "text_area", "Note").value == "from before"
    widget(one, "text_area", "Note").set_value("<b>mine</b> $x$").run()
    assert run.notes().text == "<b>mine</b> $x$" and not one.warning
    two.run()                                             # the other window shows what it had, and says so
    assert widget(two, "text_area", "Note").value == "from before" and "<b>mine</b> $x$" in plain(two)
    widget(two, "text_area", "Note").set_value("theirs").run()
    assert run.notes().text == "theirs"                   # who writes last wins, and hears what was there
    assert "Yours is saved; the other one was: <b>mine</b> $x$" in plain(two)
    one.run()
    one.button("note_reload").click().run()
    assert widget(one, "text_area", "Note").value == "theirs" and "Another window" not in plain(one)


def test_tags_are_written_and_shown_beside_the_state():
    run = put_run("finished", TWO, tags=("grid 3",))
    at = open_page("runs", run=run.id)
    widget(at, "multiselect", "Tags").set_value(["grid 3"]).run()
    assert run.notes() == Notes("", ("grid 3",))
    run.annotate(tags=["grid 3", "x]$y$"])
    at.run()
    assert ":gray-badge[grid 3]" in text_of(at) and r"x\]\$y\$" in text_of(at)
    widget(at, "multiselect", "Tags").set_value([]).run()
    assert run.notes().tags == ()


def test_the_start_page_shows_the_tags_of_the_latest_runs():
    put_run("finished", TWO, tags=("x]$y$", "b", "c", "d"))
    said = text_of(AppTest.from_file(str(APP), default_timeout=60).run())
    assert r":gray-badge[x\]\$y\$] :gray-badge[b] :gray-badge[c]" in said and "badge[d]" not in said


def test_the_table_is_narrowed_by_tags_and_words_and_shows_the_measures_one_wants():
    a = put_run("finished", [start_record(), epoch_record(1, 0.6, val_cohen_kappa=0.25)], tags=("grid 3", "fold"), name="alpha",
                **{"model.freeze": "all", "augment.rotate": 5.0})
    put_run("finished", TWO, tags=("grid 3",), name="beta", **{"model.name": "densenet169", "data.size": 64})
    c = put_run("finished", TWO, name="gamma")
    c.annotate(text="Compare with the wrist")

    def runs(at):
        return [row["name"] for row in run_table(at)["rows"]]
    at = open_page("runs", run=a.id)
    assert runs(at) == ["gamma", "beta", "alpha"]
    assert run_column(at, "Details")[2] == "frozen, augmented" and run_column(at, "Note")[0] == "Compare with the wrist"
    assert run_column(at, "Tags")[2] == ["grid 3", "fold"]
    pills = {pill.label: pill for pill in at.get("button_group")}
    pills["Only runs with these tags"].set_value(["grid 3"]).run()
    assert runs(at) == ["beta", "alpha"]
    for words, found in (("BETA", ["beta"]), ("DenseNet169_da_0_ts_64_64_t_1_s_1_bs_16", ["beta"]), ("nothing such", [])):
        at.text_input("runs_words").set_value(words).run()
        assert runs(at) == found, words
    {pill.label: pill for pill in at.get("button_group")}["Only runs with these tags"].set_value([]).run()
    at.text_input[0].set_value("wrist compare").run()
    assert runs(at) == ["gamma"]
    at.text_input[0].set_value("").run()
    pill(at, "runs_columns", "Metrics").set_value(["cohen_kappa"]).run()
    titles = [column["title"] for column in run_table(at)["columns"]]
    assert run_column(at, "Cohen's kappa")[2] == "0.250" and "ROC AUC" not in titles
    pill(at, "runs_columns", "Other columns").set_value(["network"]).run()
    assert run_column(at, "Network")[1] == "DenseNet-169"
    assert [column["key"] for column in run_table(at)["columns"]] == ["", "name", "network", "val:cohen_kappa"]


def test_a_note_is_seen_by_the_list_of_runs_at_once():
    run = put_run("finished", TWO)
    assert run_feed.all_runs(RunStore())[0].tags == ()
    run.annotate(tags=["new"])
    assert run_feed.all_runs(RunStore())[0].tags == ("new",)


# ---------------------------------------------------------------------------------------------------------------- the queue

def test_the_queue_is_shown_in_order_moved_and_emptied():
    runs = [put_run("queued", name=f"run {i}") for i in range(3)]
    at = open_page("runs", run=runs[0].id)
    store = RunStore()

    def order():
        return [store.get(run_id).name for run_id, _ in store.queue.waiting()]
    lines = [m.value for m in at.markdown if re.match(r"\d\. run", m.value)]
    assert [line[:8] for line in lines] == ["1. run 0", "2. run 1", "3. run 2"]
    assert at.button(f"queue_up_{runs[0].id}").disabled
    at.button(f"queue_up_{runs[2].id}").click().run()
    assert order() == ["run 0", "run 2", "run 1"]
    at.button(f"queue_first_{runs[1].id}").click().run()
    assert order() == ["run 1", "run 0", "run 2"]
    at.button(f"queue_remove_{runs[0].id}").click().run()
    assert order() == ["run 1", "run 2"] and runs[0].status().state == "stopped"
    at.button("queue_clear").click().run()
    assert order() == [] and {run.status().state for run in runs} == {"stopped"}
    assert "No run is waiting" in text_of(at)


def test_stop_all_ends_what_waits_and_what_trains():
    waiting, training = put_run("queued"), put_run("running", TWO)
    lock = training.lock
    assert lock.acquire()
    try:
        at = open_page("runs", run=training.id)
        at.button("queue_stop_all").click().run()
        assert waiting.status().state == "stopped" and training.status().state == "stopping"
    finally:
        lock.release()


def test_the_time_of_the_queue_is_the_longest_device_and_says_what_it_does_not_know():
    put_run("finished", [start_record(), *(epoch_record(e, 0.7, seconds=s) for e, s in ((1, 9.0), (2, 3.0), (3, 4.0)))])
    store = RunStore()
    for _ in range(2):
        put_run("queued", **{"train.epochs": 10})
    assert run_feed.seconds_of_queue(store, run_feed.all_runs(store)) == (80.0, 0)               # the median epoch takes 4 s
    put_run("queued", **{"train.epochs": 10, "model.freeze": "all"})                      # nothing like it was trained
    assert run_feed.seconds_of_queue(store, run_feed.all_runs(store)) == (80.0, 1)
    said = text_of(open_page("runs"))
    assert "about **1 min 20 s**" in said and "not counting 1 run of unknown length" in said


def test_two_runs_of_the_same_name_can_both_be_chosen():
    one, two = put_run("finished", TWO), put_run("finished", [start_record(), epoch_record(1, 0.9)])
    at = open_page("runs", run=one.id)
    at.selectbox[0].set_value(two.id).run()
    assert at.query_params["run"] in (two.id, [two.id]) and "Best ROC AUC 0.900" in text_of(at)
    at.selectbox[0].set_value(one.id).run()
    assert "Best ROC AUC 0.740" in text_of(at)
