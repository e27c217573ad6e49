"""Network: what stands on the page is what the network has; controls choose what Train trains; words warn where one should."""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
import torchvision
from streamlit.testing.v1 import AppTest

from core.config import ModelConfig, RunConfig
from core.datasets import open_dataset
from core.models import MODELS
from core.models.receptive import plan
from pages.network import drawing, layer_table, pooling, receptive_field, side_by_side
from pages.network.counts import count
from tests.followed import no_machine, text_of
from tests.tiny import count_parameters, tiny_config, tiny_npz

APP = str(Path(__file__).parents[1] / "pages" / "main.py")


@pytest.fixture(autouse=True)
def empty_caches(monkeypatch):
    """Every test has a LIGHTBOX_HOME of its own, so what an earlier one opened is let go."""
    st.cache_data.clear()
    st.cache_resource.clear()
    no_machine(monkeypatch)


@pytest.fixture
def tiny(tmp_path) -> Path:
    path = tiny_npz(tmp_path, classes=3)
    open_dataset(tiny_config(path).data)
    return path


def open_page(dataset: Path | str, **form) -> AppTest:
    at = AppTest.from_file(APP, default_timeout=60)
    at.session_state["form_of_a_run"] = {"data.size": 28, "model.name": "squeezenet1_1"} | {
        name.replace("__", "."): value for name, value in form.items()}
    at.run()
    at.query_params["dataset"] = str(dataset)
    at.switch_page("network/page.py")
    at.query_params["dataset"] = str(dataset)
    for _ in range(40):
        at.run()
        if "Starting PyTorch" not in text_of(at):
            break
        time.sleep(0.25)
    assert not at.exception, at.exception
    return at


def widget(at: AppTest, kind: str, name: str):
    return next(w for w in at.get(kind) if w.key and re.split("[@~]", w.key)[0] == name)


def metric(at: AppTest, label: str) -> str:
    return next(m.value for m in at.metric if m.label == label)


def html_of(at: AppTest) -> str:
    return "\n".join(element.proto.body for element in at.get("html"))


def table(at: AppTest):
    return at.dataframe[0].value


# --------------------------------------------------------------------------------------------------------------- what is counted

def test_the_set_decides_classes_and_channels_and_torchvision_agrees_on_the_rest(tiny):
    at = open_page(tiny, model__name="resnet18")
    other = torchvision.models.resnet18(num_classes=3)
    features = sum(p.numel() for name, p in other.named_parameters() if not name.startswith("conv1"))
    expected = features + 64 * 9                       # gray and small: 64 kernels of 3 x 3 instead of 7 x 7 on three colours
    assert metric(at, "Parameters") == metric(at, "Trainable") == f"{expected:,}" and metric(at, "Frozen") == "0"
    frame = table(at)
    assert frame["Parameters"].sum() == expected
    assert dict(zip(frame["Layer"], frame["Output"]))["layer4.1.conv2"] == "512 x 4 x 4"       # 28, 14, 7, 4
    assert 2 * frame["Multiply-adds"].sum() == pytest.approx(2 * 0.456e9, rel=0.05)            # MedMNIST's ResNet-18 at 28 px


def test_freezing_shows_at_once_in_numbers_picture_and_table(tiny):
    at = open_page(tiny, model__name="resnet18")
    widget(at, "selectbox", "knob_model.freeze").set_value("layer2")
    at.run()
    frame = table(at)
    frozen = frame[frame["Trainable"] == "no"]
    assert set(name.split(".")[0] for name in frozen["Layer"]) == {"conv1", "bn1", "layer1", "layer2"}
    assert metric(at, "Frozen") == f"{frozen['Parameters'].sum():,}"
    assert int(metric(at, "Frozen").replace(",", "")) + int(metric(at, "Trainable").replace(",", "")) == \
        int(metric(at, "Parameters").replace(",", ""))
    assert html_of(at).count("class='frozen'") == 3            # stem, layer1, layer2
    widget(at, "selectbox", "knob_model.freeze").set_value("all")
    at.run()
    assert metric(at, "Trainable") == f"{512 * 3 + 3:,}"


def test_heads_and_cuts_change_what_is_counted_and_what_train_gets(tiny):
    at = open_page(tiny, model__name="resnet18")
    widget(at, "selectbox", "knob_model.head").set_value("concat")
    widget(at, "selectbox", "knob_model.cut").set_value("layer2")
    at.run()
    config = ModelConfig("resnet18", head="concat", cut="layer2")
    assert metric(at, "Parameters") == f"{count_parameters(config, classes=3, size=28, channels=1):,}"
    assert "layer3" not in html_of(at)
    at.switch_page("train/page.py").run()
    assert not at.exception
    form = at.session_state["form_of_a_run"]
    assert (form["model.head"], form["model.cut"]) == ("concat", "layer2")


def test_what_another_network_does_not_have_is_let_go(tiny):
    at = open_page(tiny, model__name="densenet121", model__blocks=2, model__cut="denseblock1", model__freeze="denseblock1")
    assert widget(at, "slider", "knob_model.blocks").value == 2
    widget(at, "selectbox", "knob_model.name").set_value("squeezenet1_1")
    at.run()
    form = at.session_state["form_of_a_run"]
    assert (form["model.blocks"], form["model.cut"], form["model.freeze"]) == (0, "", "none")
    assert not at.error and metric(at, "Frozen") == "0"


def test_the_table_is_saved_with_its_totals(tiny):
    open_page(tiny)
    facts = count(ModelConfig("squeezenet1_1"), 3, 28, 1, 16, "adamw")
    lines = layer_table.layer_csv(facts.layers).strip().splitlines()
    assert len(lines) == len(facts.layers) + 2
    total = dict(zip(lines[0].split(","), lines[-1].split(",")))
    assert int(total["Parameters"]) == count_parameters(ModelConfig("squeezenet1_1"), classes=3, size=28, channels=1)


@pytest.mark.parametrize("name", ["resnet18", "vgg16", "cnn"])
def test_the_drawing_says_every_stage_to_those_who_do_not_see_it(name):
    facts = count(ModelConfig(name), 2, 64, 1, 2, "adamw")
    html = drawing.drawing("A <b>name", facts.stages, 64, 1)
    label = re.search("aria-label='([^']*)'", html)[1]
    for stage in facts.stages:
        assert f"{stage.name} ({' x '.join(map(str, stage.shape))})" in label
    assert html.count("<figure") == len(facts.stages) + 1 and "<b>name" not in html.split("figure")[0]
    heights = [float(h) for h in re.findall(r"height:(\d+)px", html)]
    sides = [stage.shape[1] for stage in facts.stages if len(stage.shape) == 3]
    for height, side in zip(heights, sides):
        assert height == pytest.approx(max(drawing.LOWEST, drawing.HIGHEST * side / 64), abs=0.51)


# -------------------------------------------------------------------------------------------------------------- the CNN builder

def test_the_builder_shows_its_field_and_warns_where_it_is_small(tiny):
    at = open_page(tiny, model__name="cnn")
    assert not at.warning and "the whole image" in text_of(at)
    widget(at, "slider", "knob_model.cnn_pool_stride").set_value(1)
    widget(at, "slider", "knob_model.cnn_layers").set_value(3)
    at.run()
    # 1 + 3 x 2 for the kernels + 3 x 1 for the pooling = 10 of 28 pixels
    assert "10 of 28 pixels, only 36 %" in at.warning[0].value
    assert metric(at, "Parameters") == f"{9 * 64 + 64 + 2 * (9 * 64 * 64 + 64) + 64 * 3 + 3:,}"
    assert RunConfig().with_(**at.session_state["form_of_a_run"]).model.cnn_layers == 3


def test_what_vanishes_is_said_and_the_controls_stay(tiny):
    at = open_page(tiny, model__name="cnn", model__cnn_layers=8)
    assert "vanishes at layer 6" in at.error[0].value                   # 28, 14, 7, 4, 2, 1
    widget(at, "slider", "knob_model.cnn_layers").set_value(5)
    at.run()
    assert not at.error and metric(at, "Parameters")


def test_the_field_on_the_image_is_the_plans(tiny, monkeypatch):
    sent = []
    monkeypatch.setattr(receptive_field, "_field", lambda data, key: sent.append(data))
    open_page(tiny, model__name="cnn", model__cnn_layers=2)
    data = sent[-1]
    steps = plan(ModelConfig("cnn", cnn_layers=2), 28, 1)
    assert [row["field"] for row in data["steps"]] == [step.field for step in steps] == [3, 4, 8, 10]
    for row, step in zip(data["steps"], steps):
        unit = step.size // 2
        assert row["first"] + unit * row["jump"] == step.window(unit)[0]
    assert data["size"] == 28 and data["image"].startswith("data:image/png")


def test_a_stage_name_that_the_builder_lost_is_let_go(tiny):
    at = open_page(tiny, model__name="cnn", model__freeze="layer4", model__cnn_layers=4)
    assert not at.error and metric(at, "Frozen") != "0"
    widget(at, "slider", "knob_model.cnn_layers").set_value(3)
    at.run()
    assert not at.error and at.session_state["form_of_a_run"]["model.freeze"] == "none"


# ------------------------------------------------------------------------------------------------------------------ side by side

def test_all_networks_stand_side_by_side_and_times_are_measured_on_request(tiny, monkeypatch):
    few = {name: MODELS[name] for name in ("squeezenet1_1", "small_cnn", "cnn")}
    monkeypatch.setattr(side_by_side, "MODELS", few)
    at = open_page(tiny)
    at.segmented_control(key="network_view").set_value("all")
    at.run()
    frame = table(at)
    assert list(frame["Network"]) == [spec.title for spec in few.values()] and frame["Time per image (ms)"].isna().all()
    counted = count_parameters(ModelConfig("small_cnn"), classes=3, size=28, channels=1)
    assert frame["Parameters (M)"][1] == pytest.approx(counted / 1e6)
    at.multiselect(key="network_measured").set_value(["small_cnn"])
    at.run()
    at.button(key="network_measure").click()
    at.run()
    assert not at.exception
    times = table(at)["Time per image (ms)"]
    assert np.isfinite(times[1]) and times[1] > 0 and times[[0, 2]].isna().all()


def test_densenets_and_resnets_have_the_block_tables_of_their_papers(tiny):
    at = open_page(tiny)
    at.segmented_control(key="network_view").set_value("blocks")
    at.run()
    assert table(at).set_index("Layer").loc["Dense block 4", "DenseNet-169"] == "[1 x 1, 128; 3 x 3, 32] x 32"
    at.segmented_control(key="network_family").set_value("resnet")
    at.run()
    assert not at.exception and table(at).set_index("Layer").loc["Stage 3 (conv4_x)", "ResNet-152"].endswith(" x 36")


def test_a_set_that_is_not_prepared_is_assumed_and_can_be_prepared(tmp_path):
    path = tiny_npz(tmp_path, classes=3)
    at = open_page(path)
    assert "two classes are assumed" in text_of(at)
    at.button(key="prepare").click()
    at.run()
    assert "assumed" not in text_of(at)
    assert metric(at, "Parameters") == f"{count_parameters(ModelConfig('squeezenet1_1'), classes=3, size=28, channels=1):,}"


def test_the_smallest_is_the_negative_of_the_largest_of_the_negative(tiny):
    at = open_page(tiny)
    at.segmented_control(key="network_view").set_value("pooling")
    at.run()
    at.slider(key="network_pool_window").set_value(3)
    at.run()
    assert not at.exception and html_of(at).count("<figcaption>") == 8
    image = np.random.default_rng(0).integers(0, 256, (9, 9, 1), np.uint8)
    blocks = image.reshape(3, 3, 3, 3)                             # rows, rows within, columns, columns within
    assert np.array_equal(pooling.pooled(image, "min", 3)[..., 0], blocks.min((1, 3)))
    assert np.array_equal(pooling.pooled(image, "max", 3)[..., 0], blocks.max((1, 3)))
    assert np.array_equal(pooling.pooled(image, "min", 3), 255 - pooling.pooled(255 - image, "max", 3))


def test_a_rerun_is_quick(tiny):
    """All is kept by the settings: the second time nothing is counted."""
    at = open_page(tiny, model__name="cnn")
    at.run()
    began = time.process_time()
    for _ in range(3):
        at.run()
    assert (time.process_time() - began) / 3 < 0.25         # AppTest's own work included; the page alone is measured by bench
