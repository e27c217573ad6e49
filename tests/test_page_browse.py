"""Browse: the numbers on the page are the set's own, filters narrow to the right rows, the address brings everything back."""

from __future__ import annotations

import base64
import json
import re
from html import unescape
from pathlib import Path

import cv2
import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core.config import DataConfig
from core.datasets import open_dataset
from core.datasets.source import Source
from pages.shared import open_data
from tests.judged import galleries

APP = str(Path(__file__).parents[1] / "pages" / "main.py")


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
    page.switch_page("browse/page.py")
    page.query_params.update(address)          # changing the page has emptied the address
    page.run()
    assert not page.exception, page.exception
    return page


def html(page: AppTest) -> str:
    return "\n".join(element.proto.body for element in page.get("html"))


def numbers(page: AppTest) -> dict[str, list[int]]:
    """The table of counts as the browser gets it: class -> train, val, test, all."""
    shown = table_of_counts(page)
    rows = {name: [*row, total] for name, row, total in zip(shown["names"], shown["counts"], shown["totals"])}
    return rows | {"All images": shown["all"]}


def table_of_counts(page: AppTest) -> dict:
    return next(json.loads(e.proto.json) for e in page.get("bidi_component")
                if e.proto.component_name.endswith("lightbox_counts"))


def curves(page: AppTest) -> list[int]:
    """How many curves each picture of gray values has."""
    return [base64.b64decode(svg).count(b"<polyline") for svg in re.findall(r"svg\+xml;base64,([\w+/=]+)", html(page))]


def grid(page: AppTest) -> dict:
    """What the browser is told of the grid."""
    return next(header for header in galleries(page) if header["label"].startswith("Images "))


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
    assert "<script>" not in html(page), "the browser's side of the counts makes text of them (test_browser_browse.py)"
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
    page.session_state["browse_view"] = True                          # the popover is opened
    page.run()
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


def test_search_and_filters_of_any_column_stand_in_the_address(folder):
    page = browse(dataset=str(folder), px="64", q="*B* 00")
    assert headline(page) == (10, 70), "000 to 009 of the class *b*"
    page.text_input("browse_q").set_value("009").run()
    assert headline(page) == (3, 70) and page.query_params["q"] == "009"
    page.button("browse_drop_q").click().run()
    assert headline(page) == (70, 70) and "q" not in page.query_params
    page = browse(dataset=str(folder), px="64", path="/02")
    assert headline(page) == (10, 70), "020 to 029 of one class"
    page.button("browse_drop_path").click().run()
    assert headline(page) == (70, 70) and "path" not in page.query_params


def test_images_are_sorted_by_any_column_both_ways(folder):
    data = open_dataset(DataConfig(str(folder), size=64))
    expected = [data.class_names[k] for k in sorted(data.labels, reverse=True)]
    page = browse(dataset=str(folder), px="64", sort="class")
    page.button("browse_turn").click().run()
    assert page.query_params["sort"] == "-class" and grid(page)["captions"] == expected
    page = browse(dataset=str(folder), px="64")
    page.selectbox("browse_sort").select("path").run()
    assert page.query_params["sort"] == "path" and grid(page)["captions"][0] == "$x$"


@pytest.fixture
def studies(tmp_path) -> Path:
    """Six patients as MURA names them, two studies each, three views a study. Heights from 30 to 65 px."""
    for k in range(36):
        study = f"patient{k // 6:05d}/study{k // 3 % 2 + 1}"
        path = tmp_path / "set" / ("sick" if k % 12 < 6 else "well") / study / f"image{k % 3}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((30 + k, 40), 5 * k, np.uint8))
    return tmp_path / "set"


def test_one_row_for_each_study(studies):
    page = browse(dataset=str(studies), px="28")
    assert grid(page)["breaks"] == []
    page.session_state["browse_view"] = True
    page.run().toggle("browse_rows").set_value(True).run()
    assert page.query_params["rows"] == "study" and grid(page)["breaks"] == list(range(0, 36, 3))
    assert grid(page)["captions"][0].startswith("patient00000/study1")


def test_a_number_is_filtered_by_its_range(studies):
    page = browse(dataset=str(studies), px="28", height="40..49")
    assert headline(page) == (10, 36) and [b.label for b in page.button if b.key == "browse_drop_height"] == ["Height 40 to 49"]
    page.session_state["browse_more"] = True
    page.run().selectbox("browse_column").select("height").run()
    assert page.slider("browse_filter_height").value == (40, 49)
    page.slider("browse_filter_height").set_range(60, 65).run()
    assert headline(page) == (6, 36) and page.query_params["height"] == "60..65"
    page.slider("browse_filter_height").set_range(30, 65).run()
    assert headline(page) == (36, 36) and "height" not in page.query_params


def test_the_whole_of_a_set_is_shown_in_three_ways(studies):
    page = browse(dataset=str(studies), px="28", **{"class": "sick"})
    assert "Originals are 40 px wide" in html(page) and "px high" in html(page)
    page.segmented_control("browse_overview").set_value("gray").run()
    data = open_dataset(DataConfig(str(studies), size=28))
    splits = data.table["split"][data.labels == data.class_names.index("sick")].nunique()
    assert curves(page) == [1, splits], "one for the class that is chosen, and one for each split that it is in"
    page.segmented_control("browse_overview").set_value("mean").run()
    averages = next(h for h in galleries(page) if h["label"].startswith("Mean"))
    assert averages["captions"] == ["sick, mean of 18", "std. deviation"]


def test_the_ways_to_make_an_image_square_are_compared(studies):
    data = open_dataset(DataConfig(str(studies), size=28))
    page = browse(dataset=str(studies), px="28", image=data.table["image_id"].iat[-1])
    assert "stretched" not in html(page)
    page.toggle("browse_fits").set_value(True).run()
    assert "by 1.62" in html(page), "65 x 40 px"


def test_a_folder_that_takes_long_to_list_is_looked_at_less_often(monkeypatch):
    """Each look takes 2 s here: the next one comes no sooner than 200 s later; one that takes no time after 10 s."""
    now, looks, cost = [0.0], [], [2.0]

    class Slow(Source):
        def fingerprint(self):
            looks.append(now[0])
            now[0] += cost[0]
            return "f"
    monkeypatch.setattr(open_data, "open_source", lambda data: Slow())
    monkeypatch.setattr(open_data.time, "monotonic", lambda: now[0])
    for _ in range(300):
        open_data._stamp(DataConfig("slow"))
        now[0] += 1
    assert looks == [0, 201]
    cost[0], looks[:] = 0, []
    for _ in range(25):
        open_data._stamp(DataConfig("quick"))
        now[0] += 1
    assert len(looks) == 3


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
    assert "one class" in page.error[0].value


def test_a_set_that_is_not_here_says_what_a_download_would_bring(monkeypatch):
    page = browse(dataset="dermamnist")
    text = " ".join(m.value for m in page.markdown).replace("\\", "")
    assert "10,015 images of 28 x 28 px" in text and "CC BY-NC 4.0" in text
    assert not page.error, "nothing is fetched before it is asked for"

    def no_network(*_, **__):
        raise OSError("no network")
    monkeypatch.setattr("urllib.request.urlopen", no_network)
    page.button("browse_fetch_dermamnist_28_go").click().run()
    assert "download dermamnist.npz from" in page.error[0].value.replace("\\", "")
    assert page.button("browse_fetch_dermamnist_28_go"), "it can be tried again"
    page.run()
    assert not page.error, "and only when asked"


def test_real_images_are_browsed(real_data, monkeypatch):
    monkeypatch.setenv("MEDMNIST_ROOT", str(real_data / "medmnist"))
    page = browse(dataset="breastmnist", split="test")
    assert numbers(page)["malignant"] == [147, 21, 42, 210], "as in the paper's table"
    assert headline(page) == (156, 780)
