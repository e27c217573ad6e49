"""Split: the page's numbers are those of the split, Train gets what was chosen, copies are shown, a wrong total is named."""

from __future__ import annotations

import re
import time
from html import unescape
from pathlib import Path

import cv2
import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core.audit import overlaps
from core.config import DataConfig
from core.datasets import open_dataset
from core.datasets.groups import copy_groups
from core.datasets.inspection import inspect
from pages.split import summary
from tests.copied import write_set
from tests.followed import no_machine, text_of

APP = str(Path(__file__).parents[1] / "pages" / "main.py")


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    st.cache_data.clear()
    st.cache_resource.clear()
    no_machine(monkeypatch)


@pytest.fixture
def folder(tmp_path) -> Path:
    """MURA's layout in small: 40 patients with 3 images in two studies each, one in four abnormal; one image is there twice."""
    rng = np.random.default_rng(0)
    for patient in range(40):
        for k in range(3):
            kind = "positive" if patient % 4 == 0 else "negative"
            place = tmp_path / "set" / "train" / "XR_ELBOW" / f"patient{patient:05d}" / f"study{1 + k // 2}_{kind}"
            place.mkdir(parents=True, exist_ok=True)
            image = cv2.GaussianBlur(rng.integers(0, 256, (96, 96)).astype(np.uint8), (0, 0), 1)
            cv2.imwrite(str(place / f"image{k + 1}.png"), image)
    (tmp_path / "set" / "train" / "XR_ELBOW" / "patient00039" / "study2_negative" / "image3.png").write_bytes(
        (tmp_path / "set" / "train" / "XR_ELBOW" / "patient00000" / "study1_positive" / "image1.png").read_bytes())
    return tmp_path / "set"


def split_page(folder: Path, **form) -> AppTest:
    page = AppTest.from_file(APP, default_timeout=60)
    page.session_state["form_of_a_run"] = {"data.dataset": str(folder), **form}
    page.run()
    page.switch_page("split/page.py")
    page.query_params.update(dataset=str(folder))
    page.run()
    assert not page.exception, page.exception
    return page


def chosen(page: AppTest, label: str):
    return next(w for kind in ("selectbox", "slider", "number_input") for w in page.get(kind) if w.label == label)


def table(page: AppTest) -> dict[str, list[float]]:
    rows = re.findall(r"<th scope='row'>(.*?)</th>(.*?)</tr>", "\n".join(e.proto.body for e in page.get("html")))
    return {unescape(name): [float(n.replace(",", "")) for n in re.findall(r"<td>([\d,.]+)", cells)] for name, cells in rows}


def test_the_numbers_are_those_of_the_split(folder):
    page = split_page(folder, **{"data.split": "image"})
    data = open_dataset(DataConfig(str(folder), split="image"))
    counts, found = data.counts(), overlaps(data.table, data.table["split"].to_numpy(dtype=object))
    shown = table(page)
    for name in data.class_names:
        assert shown[name][:4] == counts.loc[name].tolist()
    assert shown["All images"] == counts.loc["total"].tolist()
    train = data.labels[data.indices("train")]
    assert shown["abnormal"][4] == pytest.approx(len(train) / (2 * (train == 1).sum()), rel=1e-3)
    test = found["test"]
    assert f"**{test.patients:,} of {test.n:,} test images ({100 * test.patient_share:.1f} %)** show a patient who is also in " \
        "training" in text_of(page)
    assert 0 < test.patients


def test_train_gets_what_is_chosen_here(folder):
    page = split_page(folder)
    chosen(page, "Split").set_value("study").run()
    chosen(page, "Training fraction").set_value(0.5).run()
    here = table(page)["All images"]
    page.switch_page("train/page.py").run()
    assert not page.exception, page.exception
    form = page.session_state["form_of_a_run"]
    assert form["data.split"] == "study" and form["data.train_fraction"] == 0.5
    assert [int(m.value) for m in page.metric if m.label in ("Training", "Validation", "Test")] == here[:3]


def test_a_preset_sets_the_shares(folder):
    page = split_page(folder, **{"data.split": "patient"})
    page.pills[0].set_value("90/10").run()
    form = page.session_state["form_of_a_run"]
    assert (form["data.val_fraction"], form["data.test_fraction"]) == (0.1, 0.0)
    assert table(page)["All images"] == [108, 12, 120] and "There is no test set" in text_of(page).replace("\\", "")


def test_folds_are_numbered_from_1_and_kept_from_0(folder):
    page = split_page(folder, **{"data.split": "patient", "data.folds": 4, "data.test_fraction": 0.0})
    assert chosen(page, "Validation fold").options == ["1 of 4", "2 of 4", "3 of 4", "4 of 4"]
    chosen(page, "Validation fold").set_value(3).run()
    assert page.session_state["form_of_a_run"]["data.fold"] == 3 and table(page)["All images"] == [90, 30, 120]


def test_images_that_are_left_out_have_a_column(folder):
    page = split_page(folder, **{"data.split": "patient", "data.train_fraction": 0.5})
    train, val, test, out, total = table(page)["All images"]
    assert train + val + test + out == total == 120 and out > 30


def test_a_split_that_cannot_be_made_is_said_and_can_be_changed(folder):
    page = split_page(folder, **{"data.split": "official"})
    assert "no official split" in page.error[0].value.replace("\\", "")
    chosen(page, "Split").set_value("patient").run()
    assert not page.error and "None of" in text_of(page)


def test_the_search_shows_the_copy_that_was_planted(folder):
    page = split_page(folder, **{"data.split": "patient"})
    page.button("split_search").click().run()
    assert not page.exception, page.exception
    text = text_of(page).replace("\\", "")
    assert "**1 pair of duplicates**" in text and "1 with different labels" in text
    assert "patient00000/study1_positive/image1.png" in text and "Identical" in text
    chosen(page, "Split").set_value("image").run()
    assert "**1 pair of duplicates**" in text_of(page), "what was found is kept when the split changes"


def test_copies_in_training_are_the_first_number_and_one_click_keeps_them_together(tmp_path):
    """What the command line searched is known here at once; afterwards no image has a copy in training."""
    groups = [k // 3 for k in range(60)]
    folder = write_set(tmp_path / "copies", groups)
    config = DataConfig(str(folder))
    data = open_dataset(config)
    assert "not been searched yet" in text_of(split_page(folder))
    group = copy_groups(len(data), inspect(data).duplicates)
    copied = {part: int(np.isin(group[data.indices(part)], group[data.indices("train")]).sum()) for part in ("val", "test")}
    page = split_page(folder)
    for part, title in (("val", "validation"), ("test", "test")):
        assert f"**{copied[part]} of {len(data.indices(part))} {title} images" in text_of(page) and copied[part]
    assert "No patient IDs are known" in text_of(page) and "image by image" in text_of(page)
    next(b for b in page.button if b.label == "Keep copies together").click().run()
    assert not page.exception and chosen(page, "Split").value == "copies"
    assert re.search(r"\*\*None of \d+ test images", text_of(page))
    assert "Keep copies together" not in [button.label for button in page.button]


def test_a_pasted_table_with_a_wrong_total_is_named(folder):
    page = split_page(folder)
    page.text_area("split_table").set_value("Part\tTrain\tTest\tTotal\nElbow\t20\t5\t25\nTotal\t20\t5\t26").run()
    text = text_of(page).replace("\\", "")
    assert "Row Total: printed 26, but the numbers add up to 25." in text and "Row Elbow" not in text


def test_a_rerun_is_quick(folder):
    page = split_page(folder, **{"data.split": "patient"})
    page.run()
    began = time.process_time()
    for _ in range(3):
        page.run()
    assert (time.process_time() - began) / 3 < 0.12, "measured: 0.03 s"


def test_the_picture_marks_patients_on_both_sides():
    rows = [np.array([0, 1]), np.array([2, 3])]
    svg, words = summary.patients_svg(rows, np.array(["train", "train", "train", "test"], dtype=object))
    assert words == "2 patients, 1 of them in training and in validation or test"
    assert svg.count(summary.theme.OUTCOMES["wrong"]) == 1 and svg.count(summary.theme.SPLITS["train"]) == 3
    assert summary.patients_svg([], np.array([], dtype=object)) is None
