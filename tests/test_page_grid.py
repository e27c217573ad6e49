"""The page Train: grids of runs, and runs that cannot work, which it does not queue but mends."""

import shutil
import threading

import cv2
import numpy as np
import pytest

from core.config import KNOBS, DataConfig
from core.datasets import open_dataset
from core.datasets.custom import CustomDataset, save_custom_dataset
from core.runs.classifiers import SHIPPED
from core.runs.preflight import imagenet_file
from core.runs.store import RunStore
from tests import train_form
from tests.followed import epoch_record, open_page, put_run, start_record, text_of
from tests.test_mura import small
from tests.train_form import by_key, can_queue, choose_recipe, queue, widgets

machine, tiny = train_form.machine, train_form.tiny          # fixtures


def test_a_grid_is_counted_and_queued_once_with_a_tag(tiny):
    at = open_page("train", dataset=str(tiny))
    assert "queue_grid" not in [b.key for b in at.button] and "queue_quick" in [b.key for b in at.button]
    by_key(at, "multiselect", "grid_model.name").set_value(["resnet18", "squeezenet1_1"]).run()
    by_key(at, "multiselect", "grid_train.seed").set_value([0, 1, 2]).run()
    assert at.button("queue_grid").label == "Queue 6 runs" and "**6 runs**" in text_of(at)
    assert [at.button(key).proto.type for key in ("queue_run", "queue_grid")] == ["secondary", "primary"]
    assert "queue_quick" not in [b.key for b in at.button]
    at.button("queue_grid").click().run()
    assert at.title[0].value == "Runs" and "6 of 6 runs" in text_of(at)
    runs = RunStore().list()
    assert {(r.config.model.name, r.config.train.seed) for r in runs} == {
        (name, seed) for name in ("resnet18", "squeezenet1_1") for seed in range(3)}
    assert len({tuple(r.notes().tags) for r in runs}) == 1 and runs[0].notes().tags[0].startswith("grid-")
    assert all(r.config.name.startswith(("ResNet-18 on ", "SqueezeNet 1.1 on ")) for r in runs)


def test_a_grid_trains_a_run_for_each_part_of_the_body(tmp_path):
    data = DataConfig(str(small(tmp_path)), target="abnormality", size=28, val_fraction=0.4)
    open_dataset(data)
    at = open_page("train", dataset=data.dataset)
    at.session_state["form_of_a_run"] = {"data.dataset": data.dataset, "data.size": 28, "data.target": "abnormality",
                                         "data.val_fraction": 0.4}
    assert "body part: wrist" in widgets(at.run())["data.only"].options
    by_key(at, "multiselect", "grid_fields").set_value(["data.only"]).run()
    offered = by_key(at, "multiselect", "grid_data.only")
    assert "each body part" in offered.options and "body part: hand" in offered.options
    offered.set_value(["body_part:*"]).run()
    assert at.button("queue_grid").label == "Queue 3 runs" and "elbow only" in text_of(at)
    at.button("queue_grid").click().run()
    assert {run.config.data.only for run in RunStore().list()} == {f"body_part:{part}" for part in ("elbow", "hand", "wrist")}


def test_the_tasks_of_a_prepared_set_of_ones_own_are_offered(tmp_path):
    lines = ["image,diagnosis,side"]
    for k in range(40):
        cv2.imwrite(str(tmp_path / f"{k}.png"), np.full((20, 20), 6 * k, np.uint8))
        lines.append(f"{k}.png,{('well', 'ill')[k % 2]},{('left', 'right')[k // 2 % 2]}")
    (tmp_path / "set.csv").write_text("\n".join(lines))
    save_custom_dataset(CustomDataset("knees", "Knees", "table", str(tmp_path / "set.csv"), {"labels": ["diagnosis", "side"]}))
    open_dataset(DataConfig("knees", size=28))
    at = open_page("train", dataset="knees")
    at.session_state["form_of_a_run"] = {"data.dataset": "knees", "data.size": 28}
    assert set(widgets(at.run())["data.target"].options) == {"diagnosis", "side"}


def test_a_grid_varies_any_number_and_the_data_set(tiny):
    at = open_page("train", dataset=str(tiny))
    fields = by_key(at, "multiselect", "grid_fields")
    assert {KNOBS[name].label for name in ("data.dataset", "model.cnn_l2_kernel", "model.blocks", "model.block_layers",
                                           "model.dropout", "optim.weight_decay", "train.monitor")} <= set(fields.options)
    fields.set_value(["train.patience"]).run()
    at.session_state["grid_train.patience"] = [3, "5"]                 # the second was typed
    assert at.run().button("queue_grid").label == "Queue 2 runs"
    at.button("queue_grid").click().run()
    assert {run.config.train.patience for run in RunStore().list()} == {3, 5}


def test_a_grid_that_cannot_be_is_a_sentence():
    at = open_page("train")
    by_key(at, "multiselect", "grid_fields").set_value(["data.fold"]).run()
    assert "needs folds" in text_of(at) and "queue_grid" not in [b.key for b in at.button]
    at.session_state["form_of_a_run"]["data.folds"] = 5
    assert at.run().button("queue_grid").label == "Queue 5 runs"


def test_a_cross_validation_is_one_click(tiny):
    at = open_page("train", dataset=str(tiny))
    assert at.button("queue_folds").label == "Queue 5 folds" and "5 runs, each validated on another fold" in text_of(at)
    by_key(at, "segmented_control", "cross_validation_folds").set_value(3).run()
    at.button("queue_folds").click().run()
    assert at.title[0].value == "Runs" and "3 of 3 runs" in text_of(at)
    runs = RunStore().list()
    assert sorted((r.config.data.folds, r.config.data.fold) for r in runs) == [(3, 0), (3, 1), (3, 2)]
    assert len({tuple(r.notes().tags) for r in runs}) == 1 and runs[0].notes().tags[0].startswith("folds-")
    assert sorted(r.name for r in runs)[0].endswith("fold 1 of 3")
    sets = [open_dataset(r.config.data) for r in runs]
    validated = np.concatenate([data.indices("val") for data in sets])
    assert sorted(validated) == sorted({*range(len(sets[0].table))} - {*sets[0].indices("test")}), "each image once"


@pytest.fixture
def torch_is_here(monkeypatch):
    import torch  # noqa: F401
    monkeypatch.setattr("pages.shared.open_data.warm_up", lambda: threading.Thread())      # has ended


def test_going_on_with_another_network_or_split_is_advised_against(tiny):
    run = put_run("finished", [start_record(), epoch_record(1, 0.7)])
    (run.checkpoints / "e0001-s000000").mkdir()
    shutil.copy(SHIPPED / "phantom-body-part" / "weights.safetensors", run.checkpoints / "e0001-s000000")
    at = open_page("train", run=run.id)
    assert can_queue(at)
    widgets(at)["model.name"].set_value("squeezenet1_0")
    at.run()
    assert "only the layers that are alike" in at.warning[0].value and can_queue(at)
    widgets(at)["data.split_seed"].set_value(5)
    widgets(at)["model.name"].set_value("squeezenet1_1")
    assert "another split" in at.run().warning[0].value and can_queue(at)


def test_a_run_that_cannot_work_is_not_queued_and_mended_with_one_click(tiny, torch_is_here, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))             # no ImageNet weights on this disk
    at = choose_recipe(open_page("train", dataset=str(tiny)), "quick")
    assert can_queue(at) and "mend" not in [b.key for b in at.button]
    widgets(at)["model.name"].set_value("resnet18")
    at.run()
    assert "none of its weights fit a ResNet-18" in text_of(at).replace("\\", "") and not can_queue(at)
    assert at.button("mend").label == "Start from random weights instead"
    at.button("mend").click().run()
    assert widgets(at)["model.weights"].value == "none" and can_queue(at)
    queue(at)
    assert [run.config.model.name for run in RunStore().list()] == ["resnet18"]


def test_imagenet_weights_are_offered_where_they_are_on_this_disk(tiny, torch_is_here, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    file = imagenet_file("resnet18")
    file.parent.mkdir(parents=True)
    file.write_bytes(b"")
    at = choose_recipe(open_page("train", dataset=str(tiny)), "quick")
    widgets(at)["model.name"].set_value("resnet18")
    at.run().button("mend").click().run()
    assert widgets(at)["model.weights"].value == "imagenet" and can_queue(at)


def test_what_only_torch_knows_is_refused_when_the_button_is_pressed(tiny):
    at = choose_recipe(open_page("train", dataset=str(tiny)), "quick")
    widgets(at)["model.name"].set_value("resnet18")
    at.run().button("queue_run").click().run()
    assert "none of its weights fit" in text_of(at) and at.title[0].value == "Train" and not RunStore().list()


def test_of_a_grid_only_the_runs_that_can_work_are_queued(tiny, torch_is_here):
    at = choose_recipe(open_page("train", dataset=str(tiny)), "quick")
    by_key(at, "multiselect", "grid_model.name").set_value(["resnet18", "squeezenet1_1"]).run()
    by_key(at, "multiselect", "grid_train.seed").set_value([0, 1, 2]).run()
    assert "3 of 6 runs cannot work" in text_of(at) and at.button("queue_grid").label == "Queue the other 3 runs"
    at.button("queue_grid").click().run()
    assert [run.config.model.name for run in RunStore().list()] == ["squeezenet1_1"] * 3
    at = open_page("train", dataset=str(tiny))
    at.session_state["form_of_a_run"]["model.weights"] = "run:phantom-body-part"
    by_key(at.run(), "multiselect", "grid_model.name").set_value(["resnet18", "resnet34"]).run()
    assert at.button("queue_grid").disabled


def test_readers_for_an_ensemble_are_one_click(tiny):
    at = open_page("train", dataset=str(tiny))
    pills = by_key(at, "pills", "grid_series")
    assert pills.value is None
    pills.set_value("bootstrap").run()
    assert not at.exception and not at.warning
    assert by_key(at, "multiselect", "grid_data.bootstrap").value == [1, 2, 3, 4, 5]
    assert at.button("queue_grid").label == "Queue 5 runs" and "bootstrap draw 5" in text_of(at)
    by_key(at, "pills", "grid_series").set_value("seeds").run()
    assert by_key(at, "multiselect", "grid_train.seed").value == [0, 1, 2, 3, 4] and "bootstrap" not in text_of(at)
    by_key(at, "multiselect", "grid_train.seed").set_value([0, 1]).run()
    assert by_key(at, "pills", "grid_series").value is None and at.button("queue_grid").label == "Queue 2 runs"
    by_key(at, "pills", "grid_series").set_value("bootstrap").run()
    at.button("queue_grid").click().run()
    runs = RunStore().list()
    assert {run.config.data.bootstrap for run in runs} == {1, 2, 3, 4, 5} and {run.config.train.seed for run in runs} == {0}
