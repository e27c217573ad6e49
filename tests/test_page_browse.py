"""Browse: the numbers on the page are the set's own, filters narrow to the right rows, the address brings everything back."""

from __future__ import annotations

import re
import time
from html import unescape
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core.config import DataConfig
from core.datasets import open_dataset
from ui import browsing

APP = str(Path(__file__).parents[1] / "app.py")


@pytest.fixture(autouse=True)
def empty_caches():
    """Every test has a LIGHTBOX_HOME of its own, so what an earlier one opened is let go."""
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture
def folder(tmp_path) -> Path:
    """70 images of 40 x 30 px in three classes, 10 with unusual names; the gray value is the number of the image."""
    rng = np.random.default_rng(0)
    for name, count in (("<script>", 20), ("$x$", 20), ("*b*", 30)):
        (tmp_path / "odd" / name).mkdir(parents=True)
        for i in range(count):
            image = rng.integers(0, 256, (30, 40), np.uint8)
            cv2.imwrite(str(tmp_path / "odd" / name / f"{i:03d}.png"), image)
    (tmp_path / "odd" / "$x$" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    return tmp_path / "odd"


def browse(**address: str) -> AppTest:
    page = AppTest.from_file(APP, default_timeout=60)
    page.query_params.update(address)
    page.run()
    page.switch_page("screens/data/browse.py")
    page.query_params.update(address)          # changing the page has emptied the address
    page.run()
    assert not page.exception, page.exception
    return page


def html(page: AppTest) -> str:
    return "\n".join(element.proto.body for element in page.get("html"))


def numbers(page: AppTest) -> dict[str, list[int]]:
    """The table of counts as the page shows it: class -> train, val, test, all."""
    rows = re.findall(r"<th scope='row'>(.*?)</th>((?:<td>[\d,]+</td>)+)", html(page))
    return {unescape(name): [int(n.replace(",", "")) for n in re.findall(r"<td>([\d,]+)</td>", cells)] for name, cells in rows}


def headline(page: AppTest) -> tuple[int, int]:
    """(chosen, all) of the sentence "1,204 of 12,901 images"."""
    found = [re.fullmatch(r"\*\*([\d,]+)\*\* of ([\d,]+) images", m.value) for m in page.markdown]
    return next(tuple(int(n.replace(",", "")) for n in m.groups()) for m in found if m)


# ------------------------------------------------------------------------------------------------------------- on the page

def test_counts_on_the_page_are_those_of_the_set(folder):
    page = browse(dataset=str(folder), px="64")
    counts = open_dataset(DataConfig(str(folder), size=64)).counts()
    assert numbers(page) == {("All images" if name == "total" else name): list(row) for name, row
                             in zip(counts.index, counts[["train", "val", "test", "total"]].to_numpy().tolist())}
    assert headline(page) == (70, 70)


def test_names_of_classes_are_shown_as_typed_and_never_become_markup(folder):
    page = browse(dataset=str(folder), px="64")
    assert {"<script>", "$x$", "*b*"} <= set(numbers(page)), "after unescaping they are what the folders are called"
    assert "<script>" not in html(page)
    assert {"<script>", "$x$", "*b*"} <= set(page.selectbox("chip_class").options)


def test_filters_narrow_to_the_right_rows(folder):
    page = browse(dataset=str(folder), px="64")
    data = open_dataset(DataConfig(str(folder), size=64))
    page.selectbox("chip_class").select("*b*").run()
    assert headline(page) == (30, 70)
    page.selectbox("chip_split").select("test").run()
    expected = ((data.table["split"] == "test") & data.table["path"].str.startswith("*b*")).sum()
    assert headline(page) == (expected, 70)
    assert (page.query_params["class"], page.query_params["split"]) == ("*b*", "test"), "and the address says so"


def test_an_address_brings_the_view_back(folder):
    data = open_dataset(DataConfig(str(folder), size=64))
    image_id = data.table["image_id"].iloc[data.labels == 1].iloc[3]
    page = browse(dataset=str(folder), px="64", **{"class": data.class_names[1]}, image=image_id, per="60")
    assert page.selectbox("chip_class").value == data.class_names[1] and page.selectbox("browse_per").value == "60"
    assert headline(page)[0] == int((data.labels == 1).sum())
    drawer = html(page)
    assert "<dt>Original</dt><dd>40 x 30 px, gray</dd>" in drawer
    assert any(image_id.split("/")[-1][:3] in m.value for m in page.markdown if m.value.startswith("**"))


def test_a_link_to_an_image_opens_the_page_where_it_stands(folder):
    data = open_dataset(DataConfig(str(folder), size=64))
    page = browse(dataset=str(folder), px="64", per="60", image=data.table["image_id"].iat[65])
    assert page.number_input[0].value == 2


def test_pages_go_to_the_last_and_no_further(folder):
    page = browse(dataset=str(folder), px="64", per="60", page="99")
    assert page.number_input[0].value == 2 and page.button("browse_next").disabled
    page.button("browse_previous").click().run()
    assert page.number_input[0].value == 1 and page.button("browse_previous").disabled
    page.button("browse_next").click().run()
    page.selectbox("chip_class").select("*b*").run()
    assert headline(page) == (30, 70)
    assert not page.number_input, "30 images are one page: there is nothing to turn"


def test_other_filters_begin_at_the_first_page(folder):
    page = browse(dataset=str(folder), px="64", per="60", page="2")
    assert page.number_input[0].value == 2
    page.selectbox("browse_sort").select("random").run()
    assert page.number_input[0].value == 1


def test_an_unknown_image_is_said(folder):
    page = browse(dataset=str(folder), px="64", image="no/such.png")
    assert "There is no image called no" in page.warning[0].value


def test_what_could_not_be_read_is_listed_with_its_reason(folder):
    page = browse(dataset=str(folder), px="64")
    assert [e.label for e in page.expander if "could not be read" in e.label] == ["1 file could not be read"]
    assert "$x$/broken.png" in unescape(html(page))


def test_a_path_that_does_not_exist_is_said_and_kept(tmp_path):
    page = browse(dataset=str(tmp_path / "nowhere"))
    assert "There is no data set, folder or file called" in page.error[0].value.replace("\\", "")
    assert page.selectbox("chip_dataset").value == str(tmp_path / "nowhere")


def test_a_folder_with_one_class_is_said(tmp_path):
    (tmp_path / "set" / "only").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "set" / "only" / "a.png"), np.zeros((20, 20), np.uint8))
    page = browse(dataset=str(tmp_path / "set"))
    assert "there is only one class, only" in page.error[0].value.replace("\\", "")


def test_a_set_that_is_not_here_says_what_a_download_would_bring(monkeypatch):
    page = browse(dataset="dermamnist")
    text = " ".join(m.value for m in page.markdown).replace("\\", "")
    assert "10,015 images of 28 x 28 px" in text and "CC BY-NC 4.0" in text
    assert not page.error, "nothing is fetched before it is asked for"

    def no_network(*_, **__):
        raise OSError("no network")
    monkeypatch.setattr("urllib.request.urlopen", no_network)
    page.button("browse_fetch_dermamnist_28_go").click().run()
    assert "To do it by hand: download dermamnist.npz" in page.error[0].value.replace("\\", "")
    assert page.button("browse_fetch_dermamnist_28_go"), "it can be tried again"
    page.run()
    assert not page.error, "and only when asked"


def test_real_images_are_browsed(real_data, monkeypatch):
    monkeypatch.setenv("MEDMNIST_ROOT", str(real_data / "medmnist"))
    page = browse(dataset="breastmnist", split="test")
    assert numbers(page)["malignant"] == [147, 21, 42, 210], "as in the paper's table"
    assert headline(page) == (156, 780)


# ----------------------------------------------------------------------------------------------------- the functions beneath

def table(n: int) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame({"image_id": [f"i{k}" for k in range(n)], "patient": [f"p{k // 4}" for k in range(n)], "study": "",
                         "view": rng.choice(["AP", "lateral"], n), "path": "", "split": rng.choice(["train", "val", "test"], n),
                         "part": rng.choice(["wrist", "elbow"], n), "age": [str(k % 90) for k in range(n)]})


def test_rows_are_those_that_a_plain_loop_finds():
    rows, labels = table(500), np.random.default_rng(2).integers(0, 3, 500)
    expected = [i for i in range(500) if rows["split"][i] == "val" and labels[i] == 2 and rows["part"][i] == "wrist"]
    assert browsing.select_rows(labels, rows, "val", 2, {"part": "wrist"}).tolist() == expected


def test_rows_of_several_findings_and_of_none():
    labels = np.array([[1, 0], [1, 1], [0, 0], [0, 1]])
    assert browsing.select_rows(labels, table(4), label=1).tolist() == [1, 3]
    assert browsing.select_rows(labels, table(4), label=browsing.NO_FINDING).tolist() == [2]


@pytest.mark.parametrize("count, per_page", [(0, 60), (1, 60), (60, 60), (61, 60), (2423, 120)])
def test_pages_show_every_row_once(count, per_page):
    pages = range(1, browsing.pages(count, per_page) + 1)
    seen = [i for page in pages for i in range(count)[browsing.page_slice(page, count, per_page)]]
    assert seen == list(range(count))
    for row in range(0, count, 37):
        part = browsing.page_slice(browsing.page_of(row, np.arange(count), per_page), count, per_page)
        assert part.start <= row < part.stop


@pytest.mark.parametrize("text, page", [("3", 3), (None, 1), ("", 1), ("-2", 1), ("two", 1), ("²", 1), ("9" * 400, 1)])
def test_a_page_number_may_be_anything(text, page):
    assert browsing.parse_page(text) == page


def test_random_order_is_the_same_for_everybody():
    rows = np.arange(1000)
    one, other = browsing.arrange(rows, "random"), browsing.arrange(rows, "random")
    assert (one == other).all() and (one != rows).any() and sorted(one) == list(rows)


def test_columns_with_few_values_become_filters():
    assert browsing.filter_columns(table(400)) == {"part": ("elbow", "wrist"), "view": ("AP", "lateral")}
    assert browsing.filter_columns(table(400), target="part") == {"view": ("AP", "lateral")}


def test_a_patient_has_all_of_their_images_and_nobody_else_s():
    rows = table(40)
    assert browsing.patient_rows(rows, 6).tolist() == [4, 5, 6, 7]
    assert browsing.patient_rows(rows.assign(patient=""), 6).tolist() == [6], "unknown patients are not one patient"


def test_the_outline_goes_round_the_mask_and_leaves_it_alone():
    pixels, mask = np.full((100, 120, 1), 90, np.uint8), np.zeros((100, 120), bool)
    mask[40:60, 50:70] = True
    drawn = browsing.outline(pixels, mask)
    changed = (drawn != 90).any(axis=2)
    assert drawn.shape == (100, 120, 3) and changed.any() and not changed[mask].any()
    filled = cv2.floodFill(changed.astype(np.uint8), None, (0, 0), 2)[1]
    assert (filled[mask] == 0).all(), "the line is closed: a flood from outside does not get in"


def test_small_originals_are_sent_without_loss():
    pixels = np.random.default_rng(3).integers(0, 256, (60, 50, 3), np.uint8)
    kind, data = browsing.encode(pixels)
    decoded = cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    assert kind == "image/png" and (decoded == pixels).all()


def test_100_000_rows_are_filtered_and_paged_quickly():
    rows, labels = table(100_000), np.random.default_rng(4).integers(0, 2, 100_000)
    began = time.process_time()
    found = browsing.select_rows(labels, rows, "train", 1, {"part": "elbow"})
    filtering = time.process_time() - began
    began = time.process_time()
    for page in range(1, 101):
        found[browsing.page_slice(page, len(found), 120)]
    paging = (time.process_time() - began) / 100
    assert filtering < 0.25, "measured: 0.02 s"
    assert paging < 0.001, "the page's rows are a view: independent of how many there are"
