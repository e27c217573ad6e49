"""Tables with the names of images: read as they stand, guessed rightly on real ones, and nothing ever shifted or merged."""

import csv
import os
import time

import cv2
import numpy as np
import pandas as pd
import pytest

from core.config import DataConfig
from core.datasets import open_dataset
from core.datasets.delimited import MAX_ROWS, read_delimited
from core.datasets.file_index import NOT_FOUND, FileIndex
from core.datasets.source import COLUMNS
from core.datasets.table import Table, TableOptions
from core.datasets.table_preview import preview
from core.errors import LightboxError


@pytest.fixture
def images(tmp_path):
    """Ten images of which each has its own gray value: images/0.png to images/9.png."""
    (tmp_path / "images").mkdir()
    for i in range(10):
        cv2.imwrite(str(tmp_path / "images" / f"{i}.png"), np.full((20, 30), 10 * i, np.uint8))
    return tmp_path


def write(folder, text, name="set.csv", encoding="utf-8"):
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return folder / name


def ten(labels, header="file,label", more=lambda i: ""):
    return header + "\n" + "".join(f"{i}.png,{label}{more(i)}\n" for i, label in enumerate(labels))


def code_of(path, **reading):
    with pytest.raises(LightboxError) as caught:
        Table(path, TableOptions(**reading)).scan()
    assert str(caught.value).count(".") < 12 and len(str(caught.value)) < 900 and "Traceback" not in str(caught.value)
    return caught.value.code


# --------------------------------------------------------------------------------------------------------------- real ones

def test_nih_chest_xrays_are_read_without_a_word(real_data):
    """The oracle counts with the csv module. The table says .png, the files are .jpg."""
    path = real_data / "nih_cxr14" / "labels.csv"
    rows = list(csv.DictReader(path.open()))
    seen = preview(path)
    assert seen.error is None and (seen.rows, seen.files_found) == (621, 621) and len(rows) == 621
    assert {c.name: c.role for c in seen.columns} == {
        "file": "file", "finding_labels": "label", "patient_id": "patient", "follow_up": "study", "view": "view",
        "age": "other", "sex": "other"}
    target = seen.index.targets["finding_labels"]
    assert target.task == "multi-label, binary-class" and len(target.class_names) == 14
    for k, name in enumerate(target.class_names):
        assert target.labels[:, k].sum() == sum(name in row["finding_labels"].split("|") for row in rows), name
    assert (target.labels.sum(axis=1) == 0).sum() == sum(row["finding_labels"] == "No Finding" for row in rows)
    table = seen.index.table
    assert list(table["patient"]) == [row["patient_id"] for row in rows] and list(table["sex"]) == [row["sex"] for row in rows]
    assert table["path"].str.endswith(".jpg").all() and list(table.columns[:6]) == list(COLUMNS)
    one = Table(path, seen.options)
    one.scan()
    wanted = cv2.imread(str(real_data / "nih_cxr14" / "images" / rows[3]["file"].replace(".png", ".jpg")), 0)
    np.testing.assert_array_equal(one.original(3)[..., 0], wanted)


def test_covid_patients_stay_together_and_their_deaths_are_counted(real_data):
    path = real_data / "covid_mortality" / "labels.csv"
    rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    data = open_dataset(DataConfig(str(path), size=32))
    assert data.task == "binary-class" and data.class_names == ("0", "1") and len(data) == 157
    assert list(data.counts()["total"]) == [125, 32, 157] and data.table["patient"].nunique() == 78
    assert list(data.table["patient"]) == list(rows["patient"]) and list(data.table["age"]) == list(rows["age"])
    splits = data.table.groupby("patient")["split"].nunique()
    assert (splits == 1).all()


def test_the_folder_with_the_table_is_enough(real_data):
    assert open_dataset(DataConfig(str(real_data / "covid_mortality"), size=28)).target == "died"


# ------------------------------------------------------------------------------------------- how it is written does not matter

@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "latin-1"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_encoding_and_delimiter_are_found(images, encoding, delimiter):
    text = ten(["gesund", "Knochenbrüche"] * 5, "file,label,Größe", lambda i: f",{i}").replace(",", delimiter)
    seen = preview(write(images, text, encoding=encoding))
    assert seen.error is None and seen.options.delimiter == delimiter
    assert seen.index.targets["label"].class_names == ("Knochenbrüche", "gesund")
    assert [c.name for c in seen.columns] == ["file", "label", "Größe"] and seen.files_found == 10


def test_what_was_found_can_be_changed(images):
    path = write(images, ten(["größer", "kleiner"] * 5), encoding="cp1252")
    assert preview(path).options.encoding == "cp1252"
    assert "gr÷і" not in preview(path, TableOptions(encoding="cp1251")).index.targets["label"].class_names[0]
    assert preview(path, TableOptions(encoding="cp1251")).index.targets["label"].class_names != ("größer", "kleiner")
    assert code_of(path, encoding="utf-8") == "table.encoding" and code_of(path, encoding="klingon") == "table.encoding"
    assert code_of(path, delimiter=";") == "table.columns" and code_of(path, delimiter='"') == "table.delimiter"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_quotes_and_empty_lines(images, end):
    text = 'file,label,note\n"0.png","a, b","says ""no"""\n\n1.png,c,\n2.png,"a, b","two\nlines"\n'.replace("\n", end)
    index = Table(write(images, text), TableOptions(labels=("label",), separator="-")).scan()
    assert index.targets["label"].class_names == ("a, b", "c") and list(index.targets["label"].labels) == [0, 1, 0]
    assert list(index.table["note"]) == ['says "no"', "", f"two{end}lines"]


# --------------------------------------------------------------------------------------------------- values stay what they are

def test_01_is_not_1_and_na_is_a_class_where_one_says_so(images):
    path = write(images, ten(["01", "1", "NA", "None", "nan", "01", "1", "NA", "None", "1.0"]))
    guessed = Table(path).scan()
    assert guessed.targets["label"].class_names == ("1", "01", "None") and guessed.left_out["missing"] == 3
    assert list(guessed.targets["label"].labels) == [1, 0, 2, 1, 0, 2, 0], "1.0 is 1, and it is said"
    assert {"labels.alike"} <= {one.code for one in guessed.understood}
    index = Table(path, TableOptions(missing="class", as_typed=True)).scan()
    target = index.targets["label"]
    assert target.class_names == ("1", "01", "1.0", "NA", "None", "nan")
    typed = ["01", "1", "NA", "None", "nan", "01", "1", "NA", "None", "1.0"]
    assert [target.class_names[k] for k in target.labels] == typed
    assert any("look alike" in note for note in index.notes) and any("NA, None, nan" in note for note in index.notes)
    data = open_dataset(DataConfig(str(images / "set.csv"), size=16))      # and they survive the store
    assert [data.class_names[k] for k in data.labels] == ["01", "1", "None", "01", "1", "None", "1"]


def test_grades_are_in_their_natural_order(images):
    index = Table(write(images, ten(["10", "9", "2", "1", "0"] * 2)), TableOptions(ordinal=True)).scan()
    assert index.targets["label"].task == "ordinal-regression"
    assert index.targets["label"].class_names == ("0", "1", "2", "9", "10")


@pytest.mark.parametrize("label", ["<script>alert(1)</script>", "$x$", "\u202eevil\u202c", "a\u200fb", "日本", "-1", "=cmd()"])
def test_odd_labels_come_out_as_they_were_typed(images, label):
    index = Table(write(images, ten([label, "other"] * 5)), TableOptions(separator="-")).scan()
    assert set(index.targets["label"].class_names) == {label, "other"}


def test_labels_that_differ_only_where_nobody_sees_it_are_told(images):
    index = Table(write(images, ten(["ill", "ill\u200f", "Ill", "well", "well"] * 2))).scan()
    assert len(index.targets["label"].class_names) == 4 and sum("look alike" in note for note in index.notes) == 2


# --------------------------------------------------------------------------------------------------------------- several findings

def test_separators_are_found_and_can_be_refused(images):
    for separator in "|;,/+":
        joined = ["a", "b", f"a{separator}b", "No Finding", "a"] * 2
        path = write(images, ten([f'"{label}"' for label in joined]))
        index = Table(path).scan()
        target = index.targets["label"]
        assert target.task.startswith("multi-label") and target.class_names == ("a", "b"), separator
        np.testing.assert_array_equal(target.labels, [[1, 0], [0, 1], [1, 1], [0, 0], [1, 0]] * 2)
        assert len(Table(path, TableOptions(separator="-")).scan().targets["label"].class_names) == 4
    path = write(images, ten(['"tumour, large"', '"tumour, small"'] * 5))
    assert Table(path).scan().targets["label"].class_names == ("tumour, large", "tumour, small"), "this comma joins nothing"


def test_nothing_and_a_finding_contradict_and_it_is_said(images):
    index = Table(write(images, ten(["a", "b", "a|b", "none", "none|a"] * 2))).scan()
    assert list(index.targets["label"].labels[4]) == [1, 0] and any("2 rows have both none" in note for note in index.notes)


def test_columns_of_0_and_1_are_tasks_or_together_one_task(images):
    text = ten([0, 1] * 5, "file,edema,mass,stage", lambda i: f",{int(i < 3)},{i % 4}")
    guessed = Table(write(images, text)).scan()
    assert list(guessed.targets) == ["findings"] and guessed.targets["findings"].class_names == ("edema", "mass")
    np.testing.assert_array_equal(guessed.targets["findings"].labels, [[i % 2, i < 3] for i in range(10)])
    apart = Table(images / "set.csv", TableOptions(labels=("edema", "stage"), ordinal=True)).scan()
    assert [(t.title, t.task) for t in apart.targets.values()] == [("edema", "binary-class"), ("stage", "ordinal-regression")]
    both = Table(images / "set.csv", TableOptions(labels=("edema", "mass", "stage"), together=True)).scan()
    assert list(both.targets) == ["findings", "stage"]
    data = open_dataset(DataConfig(str(images / "set.csv"), size=16))
    assert data.labels.shape == (10, 2)


# ------------------------------------------------------------------------------------------------------------------ the rows

def test_each_row_that_cannot_be_used_is_counted_and_named(images):
    text = ("file,label,patient\n0.png,a,1\n1.png,b,1\n2.png,a,2,extra\n3.png,b\n4.png,,3\nmissing.png,a,3\n"
            "0.png,a,1\n5.png,a,4\n5.png,b,4\n6.png," + "x" * 10_000 + ",5\n,a,5\n")
    index = Table(write(images, text)).scan()
    assert list(index.table["path"]) == ["images/0.png", "images/1.png"]
    reasons = {s["path"].partition("line ")[2].partition(":")[0]: s["reason"] for s in index.skipped}
    assert reasons["4"] == "It has 4 cells, the header has 3." and reasons["5"] == "It has 2 cells, the header has 3."
    assert reasons["6"] == "It has no label." and reasons["7"] == NOT_FOUND
    assert "says the same" in reasons["8"] and "10,000 characters" in reasons["11"] and "names no file" in reasons["12"]
    assert "something else" in reasons["9"] and "something else" in reasons["10"]
    assert any(note.startswith("2 lines do not have as many cells") for note in index.notes)
    assert any(note.startswith("2 of 9 rows contradict") for note in index.notes)


def test_files_are_found_however_they_are_called():
    find = FileIndex(["a/1.png", "a/2.JPG", "b/1.png", "b/x.y.png", "c/d/3.tif", "c/4"]).find
    for cell, place in {"a/1.png": 0, "b\\1.png": 2, "./a/1.png": 0, "/data/set/a/1.png": 0, "2.png": 1, "2": 1, "a/2.jpeg": 1,
                        "x.y": 3, "3.png": 4, "D:\\x\\d\\3.tif": 4, "4": 5, " 3.tif ": 4, "set/b/1": 2}.items():
        assert find(cell) == (place, ""), cell
    for cell, words in {"1.png": "2 files", "5.png": "no file", "": "names no file", "../../etc/passwd": "no file"}.items():
        assert find(cell)[0] == -1 and words in find(cell)[1], cell


def test_nothing_outside_the_folder_is_opened(images, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    cv2.imwrite(str(other / "secret.png"), np.full((9, 9), 7, np.uint8))
    (images / "linked").symlink_to(other)
    (images / "loop").symlink_to(images)
    text = f"file,label\n0.png,a\n1.png,b\n{other}/secret.png,a\n../{other.name}/secret.png,b\nlinked/secret.png,b\n"
    index = Table(write(images, text)).scan()
    assert list(index.table["path"]) == ["images/0.png", "images/1.png"] and len(index.skipped) == 3


def test_columns_of_the_table_stay_and_none_hides_another(images):
    text = ten(["a", "b"] * 5, "file,label,path,width,split,label,,patient", lambda i: f",p{i},{i},7,again,e,{i // 2}")
    seen = preview(write(images, text))
    table = seen.index.table
    assert list(table["path (table)"]) == [f"p{i}" for i in range(10)] and list(table["width (table)"]) == list("0123456789")
    assert seen.options.split == "-", "a column whose values are no split is none, whatever its name"
    assert set(table["label (2)"]) == {"again"} and set(table["column 7"]) == {"e"} and set(table["split (table)"]) == {"7"}
    assert sum("is shown as" in note for note in seen.index.notes) == 2 and table["path"].str.startswith("images/").all()


def test_a_split_of_the_table_is_taken(images):
    path = write(images, ten(["a", "b"] * 5, "file,label,Set", lambda i: f",{['Training', 'valid', 'TEST'][i % 3]}"))
    assert list(Table(path).scan().table["split"]) == [["train", "val", "test"][i % 3] for i in range(10)]
    path = write(images, ten(["a", "b"] * 5, "file,label,Set", lambda i: f",{i}"))
    assert code_of(path, split="Set") == "table.split"


# ----------------------------------------------------------------------------------------------- what cannot be a table at all

BAD = {
    "empty": (b"", "table.empty"), "only a mark": (b"\xef\xbb\xbf", "table.empty"), "only lines": (b"\n\n\n", "table.empty"),
    "only a header": (b"file,label\n", "table.empty"), "one column": (b"file\n0.png\n", "table.columns"),
    "a workbook": (b"PK\x03\x04" + b"\0" * 50, "table.not_text"),
    "an old workbook": (b"\xd0\xcf\x11\xe0" + b"\0" * 50, "table.not_text"),
    "zeros": (b"file,label\n" + b"\0" * 9999, "table.not_text"),
    "an image": (b"\x89PNG\r\n\x1a\n", "table.not_text"), "quotes": (b'file,label\n"0.png,a\n1.png,b\n', "table.quotes"),
    "ragged": (b"file,label\n0.png,a,b,c\n1.png\n2.png,a,b,c,d\n", "table.ragged"),
    "a cell without end": (b'file,label\n0.png,"' + b"x" * 200_000 + b'"\n', "table.quotes"),
    "one label": (b"file,label\n0.png,a\n1.png,a\n", "table.classes"),
    "no labels": (b"file,age\n0.png,7\n1.png,8\n", "table.label"),
    "no images": (b"file,label\nx.png,a\ny.png,b\n", "table.files"),
    "all labels empty": (b"file,label\n0.png,\n1.png,\n", "table.rows"),
}


@pytest.mark.parametrize("content, code", BAD.values(), ids=BAD)
def test_what_is_wrong_is_said_in_words(images, content, code):
    assert code_of(write(images, content)) == code


def test_wrong_choices_are_answered_with_those_that_there_are(images):
    path = write(images, ten(["a", "b"] * 5))
    assert code_of(path, file="picture") == "table.column" and code_of(path, labels=("x",)) == "table.column"
    assert code_of(path, patient="x") == "table.column" and code_of(path, labels=("file",)) == "table.label"
    assert code_of(path, file="file", more_files=("second",)) == "table.column"
    assert code_of(path, folder=str(images / "nowhere")) == "table.folder"
    assert code_of(images / "none.csv") == "table.missing"
    assert preview(path, TableOptions(labels=("x",))).error.code == "table.column", "the preview shows the rest all the same"


def test_thousands_of_classes_are_no_label(images, monkeypatch):
    files = [f"{i}.png" for i in range(1500)]
    monkeypatch.setattr("core.datasets.table.list_images", lambda folder: files)
    path = write(images, "file,label\n" + "".join(f"{i}.png,c{i}\n" for i in range(1500)))
    assert code_of(path) == "table.classes"
    path = write(images, "file,label\n" + "".join(f"{i}.png,c{i}|c{i + 1}\n" for i in range(1500)))
    assert code_of(path) == "table.findings"


def test_more_than_two_million_rows_are_refused_at_once(images):
    path = write(images, b"file,label\n" + b"0.png,a\n" * 2_100_000)
    began = time.process_time()
    assert code_of(path) == "table.too_large" and time.process_time() - began < 2
    with open(images / "huge.csv", "wb") as file:      # takes no room on the disk
        file.truncate(10**11)
    assert code_of(images / "huge.csv") == "table.too_large"


def test_every_row_up_to_the_limit_is_read(images):
    n = 100_000
    assert n < MAX_ROWS
    began = time.process_time()
    grid = read_delimited(write(images, "file,label,patient\n" + "".join(f"a{i}.png,c{i % 7},{i // 3}\n" for i in range(n))))
    assert len(grid.lines) == n and grid.columns["file"][-1] == f"a{n - 1}.png" and grid.lines[-1] == n + 1
    assert time.process_time() - began < 2


def test_another_content_or_reading_is_another_fingerprint(images):
    path = write(images, ten(["a", "b"] * 5))
    first = Table(path).fingerprint()
    assert Table(path).fingerprint() == first and Table(path, TableOptions(ordinal=True)).fingerprint() != first
    os.utime(images / "images" / "3.png", (1, 1))
    touched = Table(path).fingerprint()
    assert touched != first
    write(images, ten(["b", "a"] * 5))
    assert Table(path).fingerprint() not in (first, touched)
