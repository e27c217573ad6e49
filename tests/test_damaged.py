"""Files that the app wrote are damaged: what cannot be read is set aside with a sentence, and all else is shown.

The mutants come from tests/fuzz_home.py. `python -m tests.fuzz_home --mutants 100000` runs longer.
"""

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from core.__main__ import main
from core.config import DataConfig
from core.datasets import open_dataset, open_source
from core.datasets.custom import CustomDataset, damaged_custom_datasets, list_custom_datasets, save_custom_dataset
from core.datasets.moved import note_moved
from core.errors import LightboxError
from core.evaluation.data_state import data_note
from core.evaluation.predictions import damaged_predictions, load_predictions
from core.files import Damaged, fit_shape, parse_json, read_json, write_json
from core.files.shapes import NUMBER, Between
from core.models.weights import load_file
from core.runs import checkpoints
from core.runs.queue import Queue
from core.runs.store import RunStore
from tests import fuzz_home
from tests.judged import change_json, open_page, run, store_arrays, stored_arrays, trained  # noqa: F401

ROOT = Path(__file__).parents[1]


def class_folders(folder: Path, names: tuple[str, ...] = ("dark", "light"), n: int = 20) -> None:
    """n images a class, of noise."""
    rng = np.random.default_rng(0)
    for name in names:
        (folder / name).mkdir(parents=True)
        for i in range(n):
            cv2.imwrite(str(folder / name / f"{name}{i:02}.png"), rng.integers(0, 255, (30, 30), np.uint8))


@pytest.mark.parametrize("text", ["", "[]", "NaN", '{"a": 1e999}', '{"a": -Infinity}', '{"a": ' + "9" * 400 + "}",
                                  '{"a": 18446744073709551616}', "[" * 100_000, '{"a": "\\ud800"}', b"\xff{}"])
def test_what_is_no_json_that_the_app_writes_is_damage(text):
    with pytest.raises(Damaged):
        parse_json(text)


@pytest.mark.parametrize("value, shape, fits", [
    (3, range(4), True), (4, range(4), False), (3.0, range(4), False), (True, range(4), False), (True, bool, True),
    (0.5, Between(0, 1), True), (1.5, Between(0, 1), False), (None, NUMBER, True), ("", NUMBER, False),
    ([1, 2], [range(3)], True),
    ([1, "a"], [range(3), str], True), ([1], [range(3), str], False), ({}, [str], False), ({"a": 1}, {"a": int, "b?": str}, True),
    ({"a": 1, "b": 2}, {"a": int, "b?": str}, False), ({}, {"a": int}, False), ({"x_1": 2}, {"x_*": str}, False),
    ("a", ("a", "b"), True), ("c", ("a", "b"), False), (None, (str, None), True)])
def test_a_value_has_a_shape_or_not(value, shape, fits):
    try:
        assert fit_shape(value, shape) == value and fits
    except Damaged:
        assert not fits


def test_a_folder_or_a_long_file_is_no_json(tmp_path):
    (tmp_path / "long").write_text("{}" + " " * 1000)
    for path, most in ((tmp_path, 10**6), (tmp_path / "long", 100)):
        with pytest.raises(Damaged):
            read_json(path, dict, most)
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "none")


# ----------------------------------------------------------------------------------------------- mutants of a home

def fuzzed(*words: str) -> dict:
    """Run the fuzzer in a process of its own, because it changes what a home is for the whole process."""
    done = subprocess.run([sys.executable, "-m", "tests.fuzz_home", "--json", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip(), done.stderr[-2000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_no_mutant_of_a_home_ends_in_a_traceback():
    found = fuzzed("--mutants", "200", "--seed", "7")
    assert found["tracebacks"] == 0 and found["mutants"] == 200, found
    assert found["said"] > 60 and {"run.damaged", "custom.damaged", "marks.damaged", "checkpoint.damaged"} <= set(found["codes"])


@pytest.mark.slow
def test_no_mutant_of_a_long_run_ends_in_a_traceback():
    found = fuzzed("--mutants", "3000", "--seed", "8")
    assert found["tracebacks"] == 0, found["where"]


@pytest.mark.slow
def test_no_mutant_ends_in_a_traceback_on_a_page():
    found = fuzzed("--mutants", "25", "--seed", "9", "--pages")
    assert found["tracebacks"] == 0, found["where"]


def test_mutants_are_the_same_for_the_same_seed():
    def some(seed):
        stream = fuzz_home.mutants("data.json", b'{"a": [1, 2], "b": "x"}', random.Random(seed))
        return [next(stream) for _ in range(40)]
    assert some(1) == some(1) != some(2)


# --------------------------------------------------------------------------------------------------- runs

DAMAGE = {"config.json": b"{", "data.json": b'{"task": 3}', "status.json": b"[]"}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_run_is_set_aside_and_the_others_are_listed(run, name):          # noqa: F811
    store, bad = RunStore(), run.folder.with_name("20210101-000000-bad0")
    shutil.copytree(run.folder, bad)
    (bad / name).write_bytes(DAMAGE[name])
    assert [one.id for one in store.list()] == [run.id]
    assert {run_id: error.code for run_id, error in store.damaged().items()} == {bad.name: "run.damaged"}
    for page in ("runs", "start", "evaluate", "compare"):
        at = open_page(page)
        assert any("damaged" in one.label for one in at.expander), page
    at = open_page("runs")
    next(button for button in at.button if button.key == f"damaged_run_{bad.name}").click().run()
    assert not store.damaged() and [one.id for one in store.list()] == [run.id]


def test_lines_of_metrics_that_are_damaged_are_left_out(run):                       # noqa: F811
    before = run.records()
    path = run.folder / "metrics.jsonl"
    damaged = b'{"kind": "epoch", "epoch": "two"}\n{"kind": "step", "epoch": 1, "step": 1, "steps": 0}\n[[\n'
    path.write_bytes(damaged + path.read_bytes())
    assert run.records() == before


@pytest.mark.parametrize("arrays", [
    {"val_probs": np.full((3, 2), np.nan, np.float32)}, {"val_labels": np.array([9])}, {"val_epoch": np.array("x")},
    {"val_image_ids": np.array(["a", "a"])}])
def test_damaged_predictions_are_said_and_made_again(run, arrays):                  # noqa: F811
    assert load_predictions(run, "val") is not None and damaged_predictions(run, "val") is None
    store_arrays(run, **arrays)
    assert load_predictions(run, "val") is None and damaged_predictions(run, "val").code == "predictions.damaged"
    assert damaged_predictions(run, "test") is None
    at = open_page("evaluate", run=run.id)
    assert any("damaged" in one.value for one in at.warning) and load_predictions(run, "val") is not None


def test_weights_that_do_not_fit_the_settings_are_refused_in_words(run):             # noqa: F811
    from core.runs.classifiers import load_classifier
    change_json(run, "config", **{"model.name": "resnet18"})
    with pytest.raises(LightboxError) as caught:
        load_classifier(run.id)
    assert caught.value.code == "checkpoint.unlike"


@pytest.mark.parametrize("shape", ["[1e999]", "[Infinity]", "[-1]", "[1.5]", '["a"]', "[[1]]", "[" * 5000])
def test_a_safetensors_file_with_impossible_shapes_is_refused(tmp_path, shape):
    from torch import nn
    header = ('{"weight": {"dtype": "F32", "shape": ' + shape + ', "data_offsets": [0, 4]}}').encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0\0\0\0")
    with pytest.raises(LightboxError) as caught:
        load_file(nn.Linear(1, 1), path, "network")
    assert caught.value.code == "weights.broken"


def test_a_folder_in_place_of_the_queue_is_put_aside(tmp_path):
    (tmp_path / "queue.db").mkdir()
    queue = Queue(tmp_path / "queue.db")
    queue.put("a", "cpu")
    assert queue.waiting() == [("a", "cpu")] and (tmp_path / "queue.broken").is_dir()


# --------------------------------------------------------------------------------------- sets, moved and changed

def test_a_damaged_set_is_named_and_can_be_removed(lightbox_home, tmp_path):
    save_custom_dataset(CustomDataset("good", "Good", "folder", str(tmp_path)))
    for name, text in (("bad", "{"), ("odd", '{"title": "x", "kind": "folder", "path": "/", "reading": {"no": 1}}')):
        (lightbox_home / "sets" / f"{name}.json").write_text(text)
    assert [one.name for one in list_custom_datasets()] == ["good"]
    codes = {name: error.code for name, error in damaged_custom_datasets().items()}
    assert codes == {"bad": "custom.damaged", "odd": "custom.option"}
    at = open_page("add")
    next(button for button in at.button if button.key == "damaged_data_set_bad").click().run()
    assert list(damaged_custom_datasets()) == ["odd"]


def test_a_moved_folder_is_pointed_to_and_keeps_its_store(tmp_path, capsys):
    old, new = tmp_path / "old", tmp_path / "new"
    class_folders(old)
    config = DataConfig(str(old), size=28)
    before = open_dataset(config)
    old.rename(new)
    with pytest.raises(LightboxError) as caught:
        open_source(config)
    assert caught.value.code == "dataset.unknown" and str(old) in str(caught.value) and "datasets moved" in str(caught.value)
    assert main(["datasets", "moved", str(old), str(tmp_path / "nowhere")]) == 2
    assert main(["datasets", "moved", str(old), str(new), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == len(before)
    after = open_dataset(config, lambda sentence, done, total: pytest.fail(sentence))           # nothing is decoded again
    assert (after.fingerprint, after.split_hash, after.title) == (before.fingerprint, before.split_hash, before.title)


def test_a_moved_set_says_where_it_was_and_only_its_own_images_are_taken(tmp_path):
    old, new, other = (tmp_path / name for name in ("old", "new", "other"))
    class_folders(old)
    class_folders(other, names=("cat", "dog"))
    save_custom_dataset(CustomDataset("mine", "Mine", "folder", str(old), {}, {"class_names": ["dark", "light"]}))
    old.rename(new)
    with pytest.raises(LightboxError) as caught:
        open_source(DataConfig("mine"))
    assert caught.value.code == "dataset.moved" and str(old) in caught.value.message
    from core.datasets.opening import move_dataset
    with pytest.raises(LightboxError) as caught:
        move_dataset("mine", other)
    assert caught.value.code == "moved.other"
    at = open_page("browse", dataset="mine")
    next(field for field in at.text_input if field.key == "moved_to_mine").set_value(str(new)).run()
    next(button for button in at.button if button.key == "moved_go_mine").click().run()
    assert open_source(DataConfig("mine")).title == "Mine"
    with pytest.raises(LightboxError) as caught:
        note_moved(new, other)
    assert caught.value.code == "moved.there"


def test_what_has_changed_about_the_images_is_said(run, capsys):                     # noqa: F811
    assert data_note(run, load_predictions(run, "val")) is None
    change_json(run, "data", fingerprint="another")
    note = data_note(run, load_predictions(run, "val"))
    assert note.code == "data.files_changed"
    assert main(["evaluate", run.id]) == 0
    assert capsys.readouterr().out.splitlines()[0] == note.text
    assert main(["evaluate", run.id, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["data_note"]["code"] == note.code and found["alarms"][0] == note.text
    for page in ("evaluate", "errors", "gradcam"):
        assert any("changed" in one.value for one in open_page(page, run=run.id).warning), page
    labels = 1 - stored_arrays(run)["val_labels"]
    store_arrays(run, val_labels=labels)
    assert data_note(run, load_predictions(run, "val")).code == "data.labels_changed"
    change_json(run, "data", split_hash="another")
    assert data_note(run, load_predictions(run, "val")).code == "data.split_changed"
    change_json(run, "config", **{"data.dataset": run.config.data.dataset + ".away"})
    assert data_note(run, load_predictions(run, "val")).code == "data.gone"


def test_pixels_edited_in_place_are_noticed_and_a_touched_file_is_not(tmp_path, run):        # noqa: F811
    folder = tmp_path / "set"
    class_folders(folder)
    config = DataConfig(str(folder), size=28)
    data = open_dataset(config)
    change_json(run, "config", **{"data.dataset": str(folder), "data.size": 28})
    change_json(run, "data", fingerprint=data.fingerprint, split_hash=data.split_hash, class_names=list(data.class_names),
                task=data.task)
    assert data_note(run) is None
    image = next(folder.rglob("*.png"))
    os.utime(image, (1, 1))
    assert data_note(run).code == "data.files_changed"             # not prepared yet: what is in them is not known
    open_dataset(config)
    assert data_note(run) is None                                  # the same pixels
    cv2.imwrite(str(image), 255 - cv2.imread(str(image)))
    open_dataset(config)
    assert data_note(run).code == "data.pixels_changed"


# ------------------------------------------------------------------------------------------- resume, and what is gone

def test_settings_cannot_be_changed_on_resume(run, capsys):                          # noqa: F811
    for words in (["--epochs", "9", "--seed", "1"], ["--set", "optim.lr=0.5"], ["--dataset", "phantom"], ["--right"]):
        assert main(["train", "--resume", run.id, *words]) == 2
        assert "resume" in capsys.readouterr().err


def test_a_run_that_starts_from_a_deleted_one_says_so_and_one_under_way_needs_it_no_more(run):       # noqa: F811
    from core.runs.initial_weights import build_for_run
    saved, _ = checkpoints.load_latest(run.checkpoints)
    data = open_dataset(run.config.data)
    change_json(run, "config", **{"model.weights": "run:20200101-000000-gone"})
    with pytest.raises(LightboxError) as caught:
        build_for_run(run, data)
    assert caught.value.code == "weights.gone"
    assert set(build_for_run(run, data, saved).state_dict()) == set(saved.weights)


def test_a_folder_where_a_file_is_to_be_written_is_said(tmp_path):
    (tmp_path / "a.json").mkdir()
    with pytest.raises(LightboxError) as caught:
        write_json(tmp_path / "a.json", {})
    assert caught.value.code == "disk.in_the_way" and list(tmp_path.iterdir()) == [tmp_path / "a.json"]


def test_a_damaged_threshold_is_said_on_the_page(run):                               # noqa: F811
    (run.folder / "threshold.json").write_text("[")
    at = open_page("evaluate", run=run.id)
    assert any("threshold" in one.value for one in at.error)
