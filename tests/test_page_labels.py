"""The label editor on Add: counts before anything is kept, what is kept, and what every run on it then gets."""

import json

import cv2
import numpy as np
import pytest

from core.config import DataConfig, RunConfig, home
from core.datasets import open_dataset
from core.datasets.custom import list_custom_datasets, load_custom_dataset
from core.datasets.formats import parse_options
from core.datasets.scan import add_custom_dataset
from core.evaluation.baselines import kept_baseline, logistic_baseline
from tests.test_page_add import add, counts, texts, widget


@pytest.fixture
def folder(lightbox_home, tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path / "home"))
    for name, n in {"died": 6, "lived": 5, "unclear": 2, "mild": 7}.items():
        for i in range(n):
            path = tmp_path / "images" / name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.random.default_rng(i).integers(0, 256, (20, 20), dtype=np.uint8))
    return tmp_path / "images"


def test_edited_classes_are_counted_kept_and_opened(folder):
    page = add(path=str(folder))
    assert counts(page)["died"][-1] == 6 and counts(page)["mild"][-1] == 7
    widget(page, "text_input", "As text").set_value("lived+mild=survived, unclear=-").run()
    assert not page.exception and counts(page)["survived"][-1] == 12 and counts(page)["died"][-1] == 6
    assert "positive class is died" in texts(page)
    widget(page, "selectbox", "Positive class").set_value("survived").run()
    assert "positive class is survived" in texts(page)
    page.button(key="add_go").click().run()
    own, = list_custom_datasets()
    assert own.labels == {"map": "lived+mild=survived, unclear=-", "positive": "survived", "target": ""}
    assert own.summary["class_names"] == ["died", "survived"]
    data = open_dataset(DataConfig(own.name, size=16))
    assert data.class_names == ("died", "survived") and data.counts()["total"].tolist() == [6, 12, 20]
    assert (data.table["split"] == "").sum() == 2 == (data.labels < 0).sum()
    turned = open_dataset(DataConfig(own.name, size=16, positive="died"))
    assert turned.class_names == ("survived", "died") and turned.label_edit != data.label_edit


def test_a_mistake_is_said_and_nothing_can_be_added(folder):
    page = add(path=str(folder))
    widget(page, "text_input", "As text").set_value("dide=x").run()
    assert not page.exception and "'died'" in texts(page) and not [b for b in page.button if b.key == "add_go"]
    assert load_custom_dataset("images") is None


def test_what_was_kept_before_keeps_its_order_of_classes(folder):
    """A set file and a config.json without a word on the positive class were made with the second class of the store."""
    new, _ = add_custom_dataset("folder", folder, parse_options("folder", {}), "new", labels={"map": "unclear=-, mild=-"})
    file = home() / "sets" / "new.json"
    old = json.loads(file.read_text())
    assert old.pop("labels") == new.labels and old["found"]["class_names"] == ["lived", "died"]
    (file.parent / "old.json").write_text(json.dumps(old))
    edit = "unclear=-, mild=-"
    assert open_dataset(DataConfig("new", size=16)).class_names == ("lived", "died")
    assert open_dataset(DataConfig("old", size=16, label_map=edit)).class_names == ("died", "lived")
    assert open_dataset(DataConfig("old", size=16, label_map=edit, positive="died")).class_names == ("lived", "died")
    config = RunConfig().with_(**{"data.dataset": str(folder), "data.size": 16, "labels.map": edit})
    raw = json.loads(config.to_json())
    assert open_dataset(RunConfig.from_json(json.dumps(raw)).data).class_names == ("lived", "died")
    del raw["data"]["positive"]
    stored = open_dataset(RunConfig.from_json(json.dumps(raw)).data)
    assert stored.class_names == ("died", "lived")
    turned = open_dataset(config.data)
    assert (turned.labels[stored.labels >= 0] == 1 - stored.labels[stored.labels >= 0]).all()
    for split in ("train", "val"):                   # what is kept of one is not taken for the other
        a, b = logistic_baseline(stored, split), logistic_baseline(turned, split)
        assert a.shape == (len(stored.indices(split)), 2) and b == pytest.approx(kept_baseline(vars(turned), split))
