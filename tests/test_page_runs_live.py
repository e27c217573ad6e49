"""What one sees while a network learns: tracked images, curves with earlier runs behind, diagnoses."""

import base64
import re
import signal
import subprocess
import sys

import cv2
import numpy as np
import pytest

from core.config import RunConfig
from core.datasets import open_dataset
from core.files import write_json
from pages.runs import curves
from pages.runs.tracked_images import TrackedImages, cards
from pages.shared import run_feed
from tests.followed import (
    APP,
    curve,
    epoch_record,
    html_of,
    no_machine,
    open_page,
    put_run,
    start_record,
    step_record,
    text_of,
)
from tests.tiny import tiny_npz

TWO = [start_record(), step_record(1, 3), epoch_record(1, 0.61), step_record(2, 3, loss=0.5), epoch_record(2, 0.74)]


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    return no_machine(monkeypatch)


def plain(at) -> str:
    return text_of(at).replace("\\", "")


def widget(at, kind: str, label: str):
    return next(w for w in at.get(kind) if w.label == label)


# ---------------------------------------------------------------------------------------------------------------- tracked images

STRIP = [[[0.9, 0.1], [0.8, 0.2]], [[0.6, 0.4], [0.3, 0.7]], [[0.55, 0.45], [0.02, 0.98]]]


def run_with_tracked(tmp_path, epochs: int = 3):
    """A run on a real set that is open, whose tracked images are image 3 and image 5 of the validation split."""
    config = RunConfig().with_(**{"data.dataset": str(tiny_npz(tmp_path)), "data.size": 28})
    data = open_dataset(config.data)
    rows = data.indices("val")[[3, 5]]
    run = put_run("finished", [start_record(strip_rows=rows.tolist(), strip_labels=[0, 1])]
                  + [epoch_record(e + 1, 0.6 + 0.1 * e, strip=STRIP[e]) for e in range(epochs)],
                  **{"data.dataset": config.data.dataset})
    write_json(run.folder / "data.json", run.data() | {"split_hash": data.split_hash})
    return run, data, rows


def widths(at) -> list[float]:
    return [float(w) for w in re.findall(r"[;']width:([\d.]+)%", html_of(at, "<figure>"))]


def test_the_tracked_images_shows_the_newest_epoch_and_the_slider_goes_back(tmp_path):
    run, _, _ = run_with_tracked(tmp_path)
    at = open_page("runs", run=run.id)
    assert widths(at) == [55.0, 45.0, 2.0, 98.0] and "after epoch 3" in text_of(at)
    assert "--from:60.0%;width:55.0%" in html_of(at, "<figure>")            # it moves from where it stood an epoch before
    at.slider[0].set_value(1).run()
    assert widths(at) == [90.0, 10.0, 80.0, 20.0] and "after epoch 1" in text_of(at)
    assert "true class &lt;b&gt;$x$, predicted normal 80.0 %: wrong." in html_of(at, "<figure>")
    run.append(epoch_record(4, 0.9, strip=[[1, 0], [0, 1]]))
    at.run()
    assert "after epoch 1" in text_of(at)                                    # who went back stays there
    at.slider[0].set_value(4).run()
    run.append(epoch_record(5, 0.9, strip=[[0.5, 0.5], [0, 1]]))
    at.run()
    assert "after epoch 5" in text_of(at) and widths(at) == [50.0, 50.0, 0.0, 100.0]      # at the end it follows again


def test_the_pictures_are_those_rows_of_the_store(tmp_path):
    run, data, rows = run_with_tracked(tmp_path)
    style = html_of(open_page("runs", run=run.id), "background-image")
    coded = re.findall(r"picture-(\d) .*?base64,([^)]+)\)", style)
    assert [int(i) for i, _ in coded] == [0, 1]
    for (_, text), row in zip(coded, rows):
        image = cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), cv2.IMREAD_GRAYSCALE)
        small = cv2.resize(image, (28, 28), interpolation=cv2.INTER_AREA).astype(float)
        same = [np.corrcoef(small.ravel(), data.images[k].ravel().astype(float))[0, 1] for k in data.indices("val")]
        assert data.indices("val")[int(np.argmax(same))] == row and max(same) > 0.9


def test_without_the_images_there_are_bars_and_a_sentence(tmp_path):
    run, _, _ = run_with_tracked(tmp_path)
    write_json(run.folder / "data.json", run.data() | {"split_hash": "another"})
    at = open_page("runs", run=run.id)
    assert "The data set has changed since this run" in text_of(at) and len(widths(at)) == 4
    assert not html_of(at, "background-image: url")


def test_a_run_from_before_tracked_images_shows_none():
    put_run("finished", TWO)
    at = open_page("runs")
    assert not html_of(at, "<figure>") and not at.slider


def test_of_many_classes_the_true_one_comes_first_and_the_most_probable_next():
    examples = TrackedImages(np.array([4]), tuple("abcdef"))
    drawn = cards(examples, [[.1, .4, .05, .25, .15, .05]], None)
    assert re.findall(r"title='(\w)'", drawn) == ["e", "b", "d"] and ">wrong<" in drawn and "<b>e</b>" in drawn


def test_several_findings_are_right_only_when_all_are():
    names = ("effusion", "mass", "nodule")
    right = cards(TrackedImages(np.array([[1, 0, 1]]), names), [[.9, .2, .6]], None)
    wrong = cards(TrackedImages(np.array([[1, 0, 1]]), names), [[.9, .7, .6]], None)
    nothing = cards(TrackedImages(np.array([[0, 0, 0]]), names), [[.1, .2, .3]], None)
    assert ">right<" in right and "true class effusion, nodule" in right
    assert ">wrong<" in wrong and "mass 70.0 %" in wrong
    assert ">right<" in nothing and "true class no finding, predicted no finding: right" in nothing


# --------------------------------------------------------------------------------------------------------------- the curves

def test_a_measure_is_offered_where_it_was_recorded_and_drawn_when_chosen():
    old = put_run("finished", TWO)
    assert curves.offered(run_feed.follow(old)) == list(curves.ALWAYS)
    new = put_run("finished", [start_record(), step_record(1, 3, memory_bytes=3e9), epoch_record(1, 0.6, val_cohen_kappa=0.2),
                               epoch_record(2, 0.7, val_cohen_kappa=0.4, train_cohen_kappa=0.5)])
    assert set(curves.offered(run_feed.follow(new))) == {*curves.ALWAYS, "cohen_kappa", "memory_bytes"}
    at = open_page("runs", run=new.id)
    with pytest.raises(AssertionError):
        curve(at, "Cohen's kappa")
    pill(at, "curves_choice", "Metrics").set_value(["cohen_kappa"]).run()
    table, _, alt = curve(at, "Cohen's kappa")
    assert table.to_pydict() == {"epoch": [2, 1, 2], "value": [0.5, 0.2, 0.4], "line": ["training", "validation", "validation"]}
    assert "Higher is better" in alt
    with pytest.raises(AssertionError):
        curve(at, "ROC AUC")
    assert curve(at, "Learning rate")                     # the other group stands as it was
    pill(at, "curves_choice", "Training").set_value(["memory_bytes"]).run()
    assert curve(at, "Device memory, GB")[0]["value"].to_pylist() == [3.0]


def pill(at, popover: str, label: str):
    """Pills in a popover, which is opened for that: what is in it is drawn only then."""
    at.session_state[popover] = True
    return next(pill for pill in at.run().get("button_group") if pill.label == label)


def test_earlier_runs_are_drawn_behind_and_stand_in_the_address():
    first = put_run("finished", [start_record(), *(epoch_record(e, auc) for e, auc in enumerate((0.5, 0.55, 0.58), 1))],
                    name="first")
    far = put_run("finished", TWO, name="far", **{"data.dataset": "breastmnist"})
    run = put_run("finished", TWO, name="mine")
    waiting = put_run("queued", name="waits")
    at = open_page("runs", run=run.id, **{"with": f"{first.id},gone,{run.id}"})
    table, chart, _ = curve(at, "ROC AUC")
    behind = [row for row in table.to_pylist() if row["line"].startswith("first")]
    assert [row["value"] for row in behind] == [0.5, 0.55, 0.58]
    assert [row["value"] for row in table.to_pylist() if row["line"] == "validation"] == [0.61, 0.74]
    assert chart.axes["x_axis"]["domain"] == [0, 3] and "first" in html_of(at, "lightbox-legend")
    at.session_state["curves_behind"] = True
    chooser = at.run().multiselect(f"with_{run.id}")
    assert [one.split(" (")[0] for one in chooser.options] == ["first", "far"]  # the same data first; not itself; none waiting
    chooser.set_value([far.id]).run()
    assert at.query_params["with"] in (far.id, [far.id])
    assert {line.split(" (")[0] for line in curve(at, "ROC AUC")[0]["line"].to_pylist()} == {"validation", "far"}
    at.multiselect(f"with_{run.id}").set_value([]).run()
    assert "with" not in at.query_params and set(curve(at, "ROC AUC")[0]["line"].to_pylist()) == {"validation"}
    assert waiting.id not in chooser.options


def test_a_run_called_like_a_line_is_told_apart():
    other = put_run("finished", TWO, name="validation")
    run = put_run("finished", TWO)
    lines = set(curve(open_page("runs", run=run.id, **{"with": other.id}), "ROC AUC")[0]["line"].to_pylist())
    assert len(lines) == 2 and "validation" in lines


@pytest.mark.parametrize("measured, words", [("running", "running average"), ("evaluated", "evaluated like validation")])
def test_the_page_says_how_the_training_numbers_came_about(measured, words):
    put_run("finished", [start_record(), epoch_record(1, 0.6, measured=measured)])
    assert words in html_of(open_page("runs"), "lightbox-legend")


def test_memory_and_use_of_the_device_are_said_where_they_are_known():
    put_run("finished", [start_record(), step_record(1, 3, memory_bytes=6.2e9, device_use=0.934), epoch_record(1, 0.6)])
    at = open_page("runs")
    said = {m.label: m.value for m in at.metric}
    assert (said["Memory"], said["Utilisation"]) == ("6.2 GB", "93 %")
    put_run("finished", TWO)
    assert "Memory" not in {m.label for m in open_page("runs").metric}


def test_the_headline_is_the_measure_that_chose_the_best_epoch():
    put_run("finished", [start_record(), epoch_record(1, 0.9, monitor="cohen_kappa", val_cohen_kappa=0.1),
                         epoch_record(2, 0.8, monitor="cohen_kappa", val_cohen_kappa=0.3)])
    assert "Best Cohen's kappa 0.300" in text_of(open_page("runs"))


def test_a_measure_of_steps_is_lengthened_by_what_is_new_and_starts_again_after_a_kill():
    run = put_run("stopped", [start_record(), step_record(1, 3, loss=0.9), epoch_record(1, 0.6)])
    for more in ([step_record(2, 1, loss=0.8)], [step_record(2, 4, loss=0.7)], [start_record(1, 1), step_record(2, 2, loss=0.6)]):
        for record in more:
            run.append(record)
        run_feed.follow(run)
        steps = [r for r in run.records() if r["kind"] == "step"]
        xs, ys = run_feed.curve(run, "step", "loss")
        assert ys.tolist() == [r["loss"] for r in steps]
        assert xs.tolist() == [r["epoch"] - 1 + r["step"] / r["steps"] for r in steps]
    assert len(ys) == 3                                   # the step after the checkpoint was done again


# --------------------------------------------------------------------------------------------------------------- diagnoses

def test_an_alarm_stands_above_the_curves_and_a_healthy_run_has_none():
    put_run("finished", TWO)
    assert not open_page("runs").warning
    put_run("finished", [start_record(), *(epoch_record(e, 0.5, best=e == 1, predicted=[0, 24]) for e in (1, 2))])
    at = open_page("runs")
    assert len(at.warning) == 1 and r"\<b\>" in at.warning[0].value
    assert "all validation images get the class <b>$x$, since epoch 1" in plain(at)


def test_always_the_most_frequent_answer_is_said_where_the_images_are_open(tmp_path):
    run, data, _ = run_with_tracked(tmp_path)
    share = np.bincount(data.labels[data.indices("val")]).max() / len(data.indices("val"))
    path = run.folder / "metrics.jsonl"
    path.write_text(path.read_text().replace('"val_accuracy": 0.75', '"val_accuracy": 0.4'))
    at = open_page("runs", run=run.id)
    assert f"most frequent class {share:.3f}" in plain(at)


def test_a_run_that_ran_out_of_memory_offers_a_batch_that_fits():
    put_run("failed", [start_record(), {"kind": "oom", "fits": 24}], **{"train.batch_size": 96, "optim.lr": 0.0123})
    at = open_page("runs")
    at.button("run_again_smaller").click().run()
    assert at.title[0].value == "Train"
    assert (at.number_input("knob_train.batch_size").value, at.number_input("knob_optim.lr").value) == (24, 0.0123)
    put_run("failed", [start_record(), {"kind": "oom", "fits": 24}, start_record()])         # it was begun again since
    assert "run_again_smaller" not in {b.key for b in open_page("runs").button}


def test_killed_for_real_shows_within_two_looks():
    """A process that holds the run's lock and is killed with -9: the kernel lets go, the page says so."""
    run = put_run("running", TWO)
    holder = subprocess.Popen([sys.executable, "-c", "import sys, time; from pathlib import Path; from core.files import Lock\n"
                               "lock = Lock(Path(sys.argv[1])); assert lock.acquire(); print('held', flush=True); time.sleep(60)",
                               str(run.folder / "run.lock")], stdout=subprocess.PIPE, text=True, cwd=APP.parents[1])
    try:
        assert holder.stdout.readline() == "held\n"
        at = open_page("runs")
        assert "run_stop" in {b.key for b in at.button if not b.disabled}
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        at.run()
        assert "Interrupted" in text_of(at) and "run_resume" in {b.key for b in at.button}
    finally:
        holder.kill()
