"""Add images: what is seen before anything is made, how it is changed, what is kept, and that a mistake loses nothing typed."""

from __future__ import annotations

import io
import re
import zipfile
from html import unescape
from pathlib import Path

import cv2
import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core.datasets.custom import CustomDataset, list_custom_datasets, load_custom_dataset, save_custom_dataset

APP = str(Path(__file__).parents[1] / "pages" / "main.py")


@pytest.fixture(autouse=True)
def empty_caches():
    st.cache_data.clear()
    st.cache_resource.clear()


def add(**address: str) -> AppTest:
    page = AppTest.from_file(APP, default_timeout=60)
    page.run()
    page.switch_page("add/page.py")
    page.query_params.update(address)
    page.run()
    assert not page.exception, page.exception
    return page


def widget(page: AppTest, kind: str, label: str):
    """By its label, since its key changes with its value."""
    found = [element for element in getattr(page, kind) if element.label == label]
    assert len(found) == 1, (label, [element.label for element in getattr(page, kind)])
    return found[0]


def counts(page: AppTest) -> dict[str, list[int]]:
    body = "\n".join(element.proto.body for element in page.get("html"))
    rows = re.findall(r"<th scope='row'>(.*?)</th>((?:<td>[\d,]+</td>)+)", body)
    return {unescape(re.sub("<.*?>", "", name)): [int(n.replace(",", "")) for n in re.findall(r"<td>([\d,]+)</td>", cells)]
            for name, cells in rows}


def numbers(page: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in page.metric}


def texts(page: AppTest) -> str:
    elements = [element for kind in ("caption", "markdown", "error", "success") for element in getattr(page, kind)]
    return "\n".join(element.value for element in elements).replace("\\", "")


@pytest.fixture
def odd_set(tmp_path) -> Path:
    """A table that needs help: the label's column has a name that says nothing, and a class is called <script>."""
    (tmp_path / "pictures").mkdir()
    lines = ["pic;wert;who;when"]
    for i in range(12):
        cv2.imwrite(str(tmp_path / "pictures" / f"{i}.jpg"), np.full((20, 40), 20 * i, np.uint8))
        lines.append(f"{i}.png;{'<script>' if i % 3 else '$x$'};p{i // 2};{i % 4}")
    lines.append("missing.png;$x$;p9;1")
    (tmp_path / "table.csv").write_text("\n".join(lines))
    return tmp_path


# ----------------------------------------------------------------------------------------------------------- what is seen

def test_an_empty_page_shows_what_it_understands():
    page = add()
    assert [h.value for h in page.header] == ["Class folders", "Table and images", "A zip or an .npz", "MURA"]
    assert len(page.code) == 4 and page.title[0].value == "Add images"


def test_a_real_table_is_read_shown_and_kept(real_data):
    page = add(path=str(real_data / "nih_cxr14"))
    assert numbers(page) == {"Images": "621", "Patients": "621", "Skipped": "0"}
    assert counts(page)["Infiltration"] == [123] and counts(page)["images"] == [621] and len(counts(page)) == 15
    shown = page.dataframe[0].value
    assert dict(zip(shown["column"], shown["role"])) == {
        "file": "file", "finding_labels": "label", "follow_up": "study", "patient_id": "patient", "age": "other",
        "sex": "other", "view": "view"}
    assert widget(page, "selectbox", "Separator").value == "|"
    assert widget(page, "text_input", "Word for no finding").value == "No Finding"
    widget(page, "text_input", "Title").set_value("Chests").run()
    page.button(key="add_go").click().run()
    assert page.title[0].value == "Browse" and page.query_params["dataset"] == "chests"
    chests = load_custom_dataset("chests")
    assert chests.options["labels"] == ["finding_labels"] and chests.title == "Chests"
    assert "already been added" in texts(add(path=str(real_data / "nih_cxr14")))


def test_roles_can_be_changed_and_the_rest_follows(real_data):
    page = add(path=str(real_data / "covid_mortality" / "labels.csv"))
    assert numbers(page)["Patients"] == "78" and counts(page) == {"0": [125], "1": [32], "images": [157]}
    widget(page, "selectbox", "Patient").set_value("-").run()
    assert numbers(page)["Patients"] == "-"
    widget(page, "multiselect", "Labels").set_value(["died", "sex"]).run()
    assert numbers(page)["Skipped"] == "9" and "9 of 157 rows have no label" in texts(page), "sex is not always known"
    widget(page, "multiselect", "Labels").set_value([]).run()
    assert counts(page)["1"] == [32], "without a choice the page looks for itself again"
    widget(page, "selectbox", "Image file").set_value("view").run()
    assert "There is no file" in texts(page) and "add_go" not in {button.key for button in page.button}
    assert widget(page, "selectbox", "Image file").value == "view", "what was chosen stays"


def test_grades_patients_and_patterns_of_class_folders(real_data):
    page = add(path=str(real_data / "knee_oa"))
    assert numbers(page)["Patients"] == "1,376" and counts(page)["4"] == [66, 11, 16, 93]
    widget(page, "toggle", "Ordinal classes").set_value(True).run()
    assert "Ordinal: the classes in this order." in texts(page)
    page.segmented_control[0].set_value("own").run()
    widget(page, "text_input", "Pattern").set_value(r"(?P<patient>\d+[LR])").run()
    assert numbers(page)["Patients"] == "2,752", "a pattern with the side takes each knee for a person"
    names = page.dataframe[0].value
    assert len(names) == 10 and all(patient in path for path, patient in zip(names["path"], names["patient"]))
    widget(page, "text_input", "Pattern").set_value(r"(?P<patient>\d+").run()
    assert "regular expression" in texts(page) and widget(page, "text_input", "Pattern").value == r"(?P<patient>\d+"
    page.segmented_control[0].set_value("none").run()
    assert numbers(page)["Patients"] == "-"


def test_an_npz_needs_no_word(real_data):
    page = add(path=str(real_data / "medmnist" / "breastmnist.npz"))
    assert counts(page)["images"] == [546, 78, 156, 780]


def test_names_from_a_file_are_shown_as_they_are(odd_set):
    page = add(path=str(odd_set / "table.csv"))
    assert counts(page)["<script>"] == [8] and counts(page)["$x$"] == [4] and numbers(page)["Skipped"] == "1"
    body = "\n".join(element.proto.body for element in page.get("html"))
    assert "<script>" not in body and "missing.png" in texts(page)
    assert widget(page, "selectbox", "Patient").value == "-"
    widget(page, "selectbox", "Patient").set_value("who").run()
    assert numbers(page)["Patients"] == "6"
    widget(page, "text_input", "Title").set_value("<b>*Mine*</b>").run()
    page.button(key="add_go").click().run()
    assert list_custom_datasets()[0].title == "<b>*Mine*</b>" and list_custom_datasets()[0].name == "b-mine-b"


# ----------------------------------------------------------------------------------------------------------- mistakes and files

@pytest.mark.parametrize("path, words", [("/nowhere/<b>at</b>/all", "There is no folder or file"), ("/etc/passwd", "supported"),
                                         ("x" * 5000, "cannot be opened"), ("/proc/self/mem", "supported")])
def test_a_wrong_path_is_said_in_words_and_kept(path, words):
    page = add()
    page.text_input[0].set_value(path).run()
    assert words in texts(page) and page.text_input[0].value == path and not page.exception


def test_a_table_in_the_wrong_encoding_can_be_set_right_again(odd_set):
    (odd_set / "table.csv").write_bytes((odd_set / "table.csv").read_text().replace("$x$", "größer").encode("cp1252"))
    page = add(path=str(odd_set / "table.csv"))
    assert counts(page)["größer"] == [4] and widget(page, "selectbox", "Encoding").value == "cp1252"
    widget(page, "selectbox", "Encoding").set_value("utf-8").run()
    assert "is not encoded in UTF-8" in texts(page) and not counts(page)
    widget(page, "selectbox", "Encoding").set_value("cp1252").run()
    assert counts(page)["größer"] == [4]


def test_a_zip_is_sent_unpacked_and_added(lightbox_home):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name in ("ill", "well"):
            for i in range(4):
                file.writestr(f"{name}/{i}.png", cv2.imencode(".png", np.full((20, 30), 9 * i, np.uint8))[1].tobytes())
    page = add()
    page.file_uploader[0].set_value(("../../my knees.zip", content.getvalue(), "application/zip")).run()
    assert not page.exception and counts(page) == {"ill": [4], "well": [4], "images": [8]}
    assert not list(lightbox_home.rglob("*.zip")), "what was unpacked is not kept twice"
    page.button(key="add_go").click().run()
    own = list_custom_datasets()[0]
    assert own.format == "folder" and Path(own.path).is_relative_to(lightbox_home / "unpacked")


def test_a_bad_zip_is_refused_in_words(lightbox_home):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("../../evil.png", b"x")
    page = add()
    page.file_uploader[0].set_value(("bad.zip", content.getvalue(), "application/zip")).run()
    assert "leads outside the folder" in texts(page) and not list(lightbox_home.rglob("*.png"))


def test_a_table_that_was_sent_asks_for_the_folder_of_its_images(odd_set):
    page = add()
    page.file_uploader[0].set_value(("table.csv", (odd_set / "table.csv").read_bytes(), "text/csv")).run()
    assert "Give the folder with the images" in texts(page)
    widget(page, "text_input", "Folder with the images").set_value(str(odd_set / "pictures")).run()
    assert counts(page)["images"] == [12]


# -------------------------------------------------------------------------------------------------------------- what was added

def test_a_set_is_removed_only_after_a_second_click_and_no_image_goes(odd_set):
    before = sorted(odd_set.rglob("*"))
    save_custom_dataset(CustomDataset("mine", "Mine *", "table", str(odd_set / "table.csv"), {"labels": ["wert"]}))
    page = add()
    assert "Remove" in texts(page) and len(list_custom_datasets()) == 1
    page.button(key="add_remove_mine_go").click().run()
    assert list_custom_datasets() == [] and sorted(odd_set.rglob("*")) == before and not page.exception
