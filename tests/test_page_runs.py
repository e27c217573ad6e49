"""The page that shows runs: each state in words, curves as recorded, buttons, and what happens when files vanish."""

import dataclasses
import io
import shutil
import time

import numpy as np
import pandas as pd
import pytest

from core.charts.chart import thin
from core.config import KNOBS, RunConfig
from core.evaluation.leaderboard import ungrouped
from core.metrics import METRICS
from core.runs.store import RunStore
from core.trainers.diagnostics import diagnose
from pages.runs import curves
from pages.shared import preview, run_feed
from pages.shared import run_table as tables
from pages.shared.run_table import RUNS, as_csv, sort_rows
from tests.drawn import run_column, run_table
from tests.followed import curve, epoch_record, no_machine, open_page, put_run, start_record, step_record, text_of

TWO = [start_record(), step_record(1, 3), epoch_record(1, 0.61), step_record(2, 3, loss=0.5), epoch_record(2, 0.74)]


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    return no_machine(monkeypatch)


def buttons(at) -> set[str]:
    return {b.key for b in at.button if b.key and b.key.startswith("run_") and not b.disabled}


# ------------------------------------------------------------------------------------------------------------------ the states

def test_without_runs_the_page_invites_to_train():
    at = open_page("runs")
    assert "Nothing has been trained yet" in text_of(at)
    at.button[0].click().run()
    assert "Train" in at.title[0].value and not at.exception


@pytest.mark.parametrize("state, words, wanted", [
    ("queued", "starts automatically", {"run_stop", "run_again", "run_delete_now"}),
    ("stopped", "Stop was pressed.", {"run_resume", "run_again", "run_delete_now"}),
    ("failed", "The learning rate is probably too high", {"run_resume", "run_again", "run_delete_now"}),
    ("interrupted", "it was killed", {"run_resume", "run_again", "run_delete_now"}),
    ("finished", "Best epoch: 2 of 2.", {"run_on_top", "run_again", "run_delete_now"}),
])
def test_a_run_that_does_not_train_says_why_and_offers_what_can_be_done(state, words, wanted):
    put_run(state, [] if state == "queued" else TWO, reason=words)
    at = open_page("runs")
    assert words.split(" ")[-1].rstrip(".") in text_of(at).replace("\\", "")
    assert run_feed.STATES[state][0] in text_of(at)
    assert buttons(at) == wanted
    assert bool([link for link in at.get("page_link") if "evaluate" in link.proto.label]) == (state == "finished")


@pytest.mark.parametrize("state, words", [("starting", "Epoch 3 of 3"), ("running", "Epoch 3 of 3, step 3 of 6"),
                                          ("stopping", "at most five seconds")])
def test_a_run_that_trains_says_where_it_is_and_can_only_be_stopped(state, words):
    run = put_run(state, TWO)
    lock = run.lock
    assert lock.acquire()
    try:
        at = open_page("runs")
        said = text_of(at)
        assert words in said and "134" in said.replace("135", "134") and "9.0 s" in said
        assert buttons(at) == ({"run_again"} if state == "stopping" else {"run_stop", "run_again"})
    finally:
        lock.release()


def test_a_trainer_that_died_reads_as_interrupted():
    put_run("running", TWO)                           # nobody holds its lock
    at = open_page("runs")
    assert "Interrupted" in text_of(at) and "run_resume" in buttons(at)
    assert RunStore().list()[0].written_state() == "interrupted"      # tended: written down, not only shown


def test_a_waiting_run_says_how_many_are_before_it():
    runs = [put_run("queued") for _ in range(3)]
    assert [run_feed.ahead_of(RunStore(), run) for run in runs] == [0, 1, 2]
    at = open_page("runs", run=runs[2].id)
    assert "2 runs before this one on cpu" in text_of(at)


# ------------------------------------------------------------------------------------------------------------------ the buttons

def test_stop_resume_and_delete_do_what_they_say(machine):
    run = put_run("queued")
    at = open_page("runs")
    at.button("run_stop").click().run()
    assert run.status().state == "stopped" and RunStore().queue.waiting() == []
    machine.clear()
    at.button("run_resume").click().run()
    assert run.status().state == "queued" and RunStore().queue.waiting() == [(run.id, "cpu")] and machine == ["cpu"]
    at.button("run_stop").click().run()
    at.button("run_delete_now").click().run()
    assert not at.exception and not run.folder.exists()
    assert "Nothing has been trained yet" in text_of(at.run())


def test_a_run_that_failed_at_once_shows_why_and_what_helps_not_empty_curves():
    reason = "The weights are of 3 classes. Choose another network."
    put_run("failed", [start_record()], reason=reason)
    at = open_page("runs")
    assert reason in text_of(at).replace("\\", "") and "so there are no curves" in text_of(at)
    assert not at.metric and not [one for one in at.get("vega_lite_chart")]
    assert at.button("run_again").proto.type == "primary" and at.button("run_resume").proto.type == "secondary"
    assert at.button("run_resume").label == "Try again"
    run = put_run("failed", TWO, reason="Later.")
    at = open_page("runs")
    assert at.metric and at.button("run_resume").label == "Resume" and at.button("run_resume").proto.type == "primary"
    for code, again in (("train.nan", "Try again"), ("disk.full", "Resume")):         # would repeat; is cured beside the run
        run.change("queued")
        run.change("failed", "It went wrong.", code=code)
        at = open_page("runs", run=run.id)
        assert at.button("run_resume").label == again
        assert (at.button("run_again").proto.type == "primary") == (again == "Try again")


def test_a_refusal_is_said_and_stays():
    run = put_run("finished", TWO)
    at = open_page("runs")
    lock = run.lock
    lock.acquire()                                    # another window began to train it in this moment
    try:
        at.button("run_delete_now").click().run()
        assert "Stop it first" in text_of(at).replace("\\", "") and run.folder.exists()
    finally:
        lock.release()


def test_again_opens_the_form_with_the_settings_of_the_run():
    put_run("finished", TWO, **{"optim.lr": 0.0123, "train.batch_size": 48, "train.seed": 7})
    at = open_page("runs")
    at.button("run_again").click().run()
    assert at.title[0].value == "Train"
    assert (at.number_input("knob_optim.lr").value, at.number_input("knob_train.batch_size").value) == (0.0123, 48)
    assert at.number_input("knob_train.seed").value == 7 and at.selectbox("knob_model.weights").value == "none"


def test_on_top_opens_the_form_with_the_weights_of_the_run():
    run = put_run("finished", TWO, **{"train.batch_size": 48})
    at = open_page("runs")
    at.button("run_on_top").click().run()
    assert at.selectbox("knob_model.weights").value == f"run:{run.id}"
    assert at.selectbox("knob_model.name").value == "squeezenet1_1" and at.number_input("knob_train.batch_size").value == 48


# ------------------------------------------------------------------------------------------------------------------- the curves

def test_curves_show_what_was_recorded_and_mark_the_best_epoch():
    put_run("finished", [*TWO, epoch_record(3, 0.70, best=False)])
    at = open_page("runs")
    table, chart, alt = curve(at, "ROC AUC")
    assert table.to_pydict() == {"epoch": [1, 2, 3], "value": [0.61, 0.74, 0.70], "line": ["validation"] * 3}
    assert [row["epoch"] for row in chart.rows("best")] == [2] and "0.74" not in alt.split("now")[1] and "best epoch is 2" in alt
    table, _, alt = curve(at, "Loss")
    loss = {name: [row["value"] for row in table.to_pylist() if row["line"] == name] for name in set(table["line"].to_pylist())}
    assert loss == {"training": [1, 1 / 2, 1 / 3], "validation": [1.2, 0.6, pytest.approx(0.4)], "single batches": [0.7, 0.5]}
    assert "Lower is better" in alt
    assert "0.740" in text_of(at) and "epoch 2" in str([m.proto.help for m in at.get("metric")])


def test_curves_are_smoothed_and_a_loss_is_logarithmic_on_request():
    put_run("finished", [*TWO, epoch_record(3, 0.70, best=False)])
    at = open_page("runs")
    at.session_state["curves_drawn"] = {"smoothing": 0.5, "log": True}
    table, chart, _ = curve(at.run(), "Loss")
    shown = [row["value"] for row in table.to_pylist() if row["line"] == "training"]
    assert shown == pytest.approx([1, (0.5 * 1 + 1 / 2) / 1.5, (0.25 * 1 + 0.5 / 2 + 1 / 3) / 1.75])
    assert any("smoothed, 0.50" in element.proto.body for element in at.get("html"))


def test_an_undefined_auc_is_a_dash_not_a_number():
    put_run("finished", [start_record(), epoch_record(1, None)])
    at = open_page("runs")
    assert "Best ROC AUC -" in text_of(at)
    assert "There is nothing to draw yet." in text_of(at)          # Vega would warn of an empty chart
    with pytest.raises(AssertionError, match="no chart ROC AUC"):
        curve(at, "ROC AUC")


def test_a_long_run_sends_at_most_500_points_a_curve_and_keeps_its_spike():
    steps = [step_record(1, i, steps=4000, loss=9.0 if i == 1234 else (i * 37 % 101) / 101) for i in range(1, 4001)]
    put_run("stopped", [start_record(), *steps])
    at = open_page("runs")
    table, _, _ = curve(at, "Loss")
    assert 400 < table.num_rows <= 500 and max(table["value"].to_pylist()) == 9.0
    x = table["epoch"].to_pylist()
    assert (x[0], x[-1]) == (1 / 4000, 1.0)


def test_following_a_file_equals_reading_it_whole_after_kills_and_torn_lines():
    run = put_run("stopped", [])
    path = run.folder / "metrics.jsonl"
    rng = np.random.default_rng(0)
    lines = [start_record(), *[step_record(1, i) for i in range(1, 7)], epoch_record(1, 0.6), step_record(2, 1),
             step_record(2, 4), start_record(1, 2), step_record(2, 3), step_record(2, 6), epoch_record(2, 0.7),
             start_record(2, 0), step_record(3, 2)]
    for i, record in enumerate(lines):
        run.append(record)
        if i % 3 == 1:
            with open(path, "ab") as file:
                file.write(b'{"kind": "step", "ep')              # somebody was killed here
        if rng.random() < 0.6:
            assert run_feed.follow(run) == run.records()
    assert run_feed.follow(run) == run.records()
    assert [r["step"] for r in run_feed.follow(run) if r["kind"] == "step"] == [1, 2, 3, 4, 5, 6, 1, 3, 6, 2]
    path.unlink()
    run.append(start_record())
    assert run_feed.follow(run) == run.records() == [start_record()]


# --------------------------------------------------------------------------------------------------------------- all the runs

def test_the_table_shows_every_run_with_its_best_value():
    first = put_run("finished", TWO)
    put_run("queued", name="<script>alert(1)</script> $x$")
    at = open_page("runs", run=first.id)
    assert run_column(at, "State") == ["Waiting", "Finished"] and run_column(at, "Run")[0] == "<script>alert(1)</script> $x$"
    assert run_column(at, "ROC AUC") == ["-", "0.740"] and run_column(at, "Epochs") == ["0 of 3", "2 of 3"]
    shown = run_table(at)
    assert [row["letter"] for row in shown["rows"]] == ["", "\u2713"] and shown["rows"][1]["id"] == first.id
    assert run_column(at, "Curve") == ["", "2 epochs, best 0.740"]
    at.session_state["runs_table"]["by"] = ("epochs", True)
    assert run_column(at.run(), "Epochs") == ["2 of 3", "0 of 3"]


def test_the_table_is_saved_as_csv_with_what_it_shows():
    put_run("finished", TWO, name='a, "quoted"', tags=("x y", "z"))
    put_run("stopped", [start_record(), epoch_record(1, None)], name="undefined")
    rows = sort_rows(ungrouped(run_feed.all_runs(RunStore())), "val:roc_auc", True)
    open_page("runs")                                           # as a page has it, without a choice
    saved = pd.read_csv(io.StringIO(as_csv(RUNS, rows)))
    assert saved["Run"].tolist() == ['a, "quoted"', "undefined"] and saved["State"].tolist() == ["Finished", "Stopped"]
    assert saved["ROC AUC, val"].tolist()[0] == 0.74 and np.isnan(saved["ROC AUC, val"][1]) and saved["Tags"][0] == "x y z"
    assert saved["id"].tolist() == [row.first.id for row in rows]


def test_what_a_browser_asks_to_sort_by_is_checked():
    table = dataclasses.replace(RUNS, page="asked")
    for nonsense in ("val:nope", "test:roc_auc", "", None, 7, "name:x", "__class__"):
        assert not tables._sort_by(table, nonsense, ("created", True)) and tables.sorting(table) == ("created", True)
    for asked, now, then in (("created", ("created", True), ("created", False)), ("name", ("created", True), ("name", False)),
                             ("val:brier", ("name", False), ("val:brier", METRICS["brier"].higher_is_better))):
        assert tables._sort_by(table, asked, now) and tables.sorting(table) == then


def test_the_list_of_runs_is_read_again_only_when_something_changed(monkeypatch):
    run = put_run("finished", TWO)
    assert run_feed.all_runs(RunStore())[0].epoch == 2
    with monkeypatch.context() as patch:
        patch.setattr(run_feed, "summarize", lambda run: pytest.fail("read again"))
        assert run_feed.all_runs(RunStore())[0].best_auc == 0.74
    run.append(epoch_record(3, 0.9))
    assert run_feed.all_runs(RunStore())[0].best_auc == 0.9


def test_labels_from_files_are_shown_as_they_were_typed():
    put_run("finished", TWO)
    said = text_of(open_page("runs"))
    assert r"\<b\>\$x\$" in said and "<b>$x$" not in said


def test_a_run_that_was_deleted_while_it_was_shown_is_a_sentence():
    run = put_run("finished", TWO)
    other = put_run("stopped", TWO)
    at = open_page("runs", run=run.id)
    shutil.rmtree(run.folder)
    at.run()
    assert not at.exception and "There is no run called" in text_of(at).replace("\\", "")
    assert at.query_params["run"] in (other.id, [other.id])


def test_a_run_that_loses_single_files_is_no_trace(tmp_path):
    for name in ("config.json", "status.json", "metrics.jsonl", "progress.json", "data.json"):
        run = put_run("finished", TWO)
        (run.folder / name).write_bytes(b"{ not json")
        at = open_page("runs", run=run.id)
        assert not at.exception
        shutil.rmtree(run.folder)


def test_settings_start_with_what_differs():
    put_run("finished", TWO, **{"train.class_weights": True})
    at = open_page("runs")
    table = next(d.value for d in at.dataframe if "setting" in d.value)
    changed = table[table["value"] != table["default"]]
    assert changed.index.tolist() == list(range(len(changed)))
    assert {"Class weights", "Epochs", "Network"} <= set(changed["setting"])
    assert len(table) == len(KNOBS)


def test_time_is_foretold_from_the_same_network_size_and_device_only():
    put_run("finished", [start_record(), *(epoch_record(e, 0.7, seconds=s) for e, s in ((1, 9.0), (2, 3.0), (3, 4.0)))])
    rows = run_feed.all_runs(RunStore())
    config = RunConfig().with_(**{"model.name": "squeezenet1_1", "data.size": 28, "train.epochs": 10})
    time_, why = preview.time_hint(config, "cpu", 192, rows)              # median 4 s for 96 images: 8 s for 192, ten times
    assert time_ == "1 min 20 s" and "8.0 s per epoch" in why
    for other in ({"data.size": 64}, {"model.name": "resnet18"}, {"model.stem": "standard"}):
        assert preview.time_hint(config.with_(**other), "cpu", 192, rows)[0] == "-"
    assert preview.time_hint(config, "cuda:0", 192, rows)[0] == "-"


def test_another_network_s_time_is_guessed_by_multiply_adds(monkeypatch):
    put_run("finished", [start_record(), epoch_record(1, 0.7, seconds=4.0)])                        # 96 images
    monkeypatch.setattr(preview, "_flops_of", {RunStore().list()[0].id: 100}.get)
    rows = run_feed.all_runs(RunStore())
    config = RunConfig().with_(**{"model.name": "resnet18", "data.size": 28, "train.epochs": 10})
    time_, why = preview.time_hint(config, "cpu", 192, rows, flops=300)    # 2 x the images, 3 x the work, 10 times
    assert time_ == "2 min to 8 min" and "estimate" in why
    assert preview.time_hint(config.with_(**{"model.freeze": "all"}), "cpu", 192, rows, flops=300)[0] == "-"


def test_a_look_costs_little(capsys):
    """The budget of a look is 20 ms; at most half of that for what is not Streamlit's own work."""
    run = put_run("stopped", [start_record(), *(step_record(1 + i // 500, i % 500 + 1, steps=500) for i in range(5000))])
    for _ in range(20):
        put_run("finished", TWO)
    store = RunStore()
    run_feed.states(store), run_feed.all_runs(store), run_feed.follow(run)
    began = time.process_time()
    for i in range(20):
        run.append(step_record(11, i + 1, steps=500))
        records = run_feed.follow(run)
        run_feed.states(store), run_feed.share_done(run.progress(), records), run_feed.best_epoch(records), diagnose(records, 20)
        curves.offered(records)
        for key in ("loss", "grad_norm", "lr", "images_per_second"):
            thin(*run_feed.curve(run, "step", key))
    assert (time.process_time() - began) / 20 < 0.010
