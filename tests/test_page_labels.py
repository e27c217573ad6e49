"""The label editor on Add: counts before anything is kept, what is kept, and what every run on it then gets."""

import cv2
import numpy as np
import pytest

from core.config import DataConfig
from core.datasets import open_dataset
from core.datasets.custom import list_custom_datasets, load_custom_dataset
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
