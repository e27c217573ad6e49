"""What Browse filters, sorts, pages and draws, beneath the widgets: compared with plain loops."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pandas as pd
import pytest

from pages.browse import drawer
from pages.browse import rows as browse_rows
from pages.browse.counts import read_cell
from pages.shared import filters, image_facts


def table(n: int) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame({"image_id": [f"i{k}" for k in range(n)], "patient": [f"p{k // 4}" for k in range(n)], "study": "",
                         "view": rng.choice(["AP", "lateral"], n), "path": "", "split": rng.choice(["train", "val", "test"], n),
                         "part": rng.choice(["wrist", "elbow"], n), "age": [str(k % 90) for k in range(n)]})


def test_rows_are_those_that_a_plain_loop_finds():
    rows, labels = table(500), np.random.default_rng(2).integers(0, 3, 500)
    expected = [i for i in range(500) if rows["split"][i] == "val" and labels[i] == 2 and rows["part"][i] == "wrist"]
    assert filters.select_rows(labels, rows, "val", 2, {"part": "wrist"}).tolist() == expected


def test_rows_of_several_findings_and_of_none():
    labels = np.array([[1, 0], [1, 1], [0, 0], [0, 1]])
    assert filters.select_rows(labels, table(4), label=1).tolist() == [1, 3]
    assert filters.select_rows(labels, table(4), label=filters.NO_FINDING).tolist() == [2]


@pytest.mark.parametrize("count, per_page", [(0, 60), (1, 60), (60, 60), (61, 60), (2423, 120)])
def test_pages_show_every_row_once(count, per_page):
    pages = range(1, browse_rows.pages(count, per_page) + 1)
    seen = [i for page in pages for i in range(count)[browse_rows.page_slice(page, count, per_page)]]
    assert seen == list(range(count))
    for row in range(0, count, 37):
        part = browse_rows.page_slice(browse_rows.page_of(row, np.arange(count), per_page), count, per_page)
        assert part.start <= row < part.stop


@pytest.mark.parametrize("text, page", [("3", 3), (None, 1), ("", 1), ("-2", 1), ("two", 1), ("²", 1), ("9" * 400, 1)])
def test_a_page_number_may_be_anything(text, page):
    assert browse_rows.parse_page(text) == page


def test_random_order_is_the_same_for_everybody():
    rows = np.arange(1000)
    one, other = filters.arrange(rows, "random"), filters.arrange(rows, "random")
    assert (one == other).all() and (one != rows).any() and sorted(one) == list(rows)


def test_columns_with_few_values_become_filters():
    columns = filters.columns_of(table(400))
    chips = filters.chip_columns(columns)
    assert {name: column.values for name, column in chips.items()} == {"part": ("elbow", "wrist"), "view": ("AP", "lateral")}
    assert list(filters.chip_columns(columns, target="part")) == ["view"]
    assert list(columns) == ["image_id", "patient", "view", "part", "age"], "what is the same everywhere tells nothing"
    assert (columns["age"].low, columns["age"].high, columns["age"].whole) == (0, 89, True)
    assert columns["patient"].low is None, "a name, even if it were a number"


@pytest.mark.parametrize("asked, expected", [("20..40", lambda v: 20 <= v <= 40), ("..7", lambda v: v <= 7),
                                             ("85..", lambda v: v >= 85), ("20", lambda v: v == 20), ("8..6", lambda v: False)])
def test_a_range_of_numbers(asked, expected):
    ages = table(500)["age"]
    assert filters.matches(ages, asked).tolist() == [expected(int(v)) for v in ages]


def test_what_is_asked_of_a_column_is_the_whole_value_else_a_part_of_it():
    values = pd.Series(["patient1", "patient10", "", "Patient 2"])
    assert filters.matches(values, "patient1").tolist() == [True, False, False, False]
    assert filters.matches(values, "PATIENT").tolist() == [True, True, False, True]
    assert filters.matches(values, filters.EMPTY).tolist() == [False, False, True, False]
    assert not filters.matches(values, "1..5").any(), "no value is a number"


def test_search_finds_all_words_in_any_column_and_in_the_class():
    rows, labels = table(300), np.random.default_rng(5).integers(0, 2, 300)
    text = filters.text_of(rows, labels, ("normal", "Broken (a.b)"))
    expected = [rows["view"][i] == "lateral" and labels[i] == 1 and "i1" in " ".join(rows.iloc[i]) for i in range(300)]
    assert filters.search(text, "LATERAL (a.b) i1").tolist() == expected
    several = filters.text_of(rows[:2].copy(), np.array([[1, 0], [1, 1]]), ("x-ray", "y-ray"))
    assert filters.search(several, "y-ray").tolist() == [False, True]


def test_sorting_is_by_number_by_name_or_by_class_and_empty_comes_last():
    rows = pd.DataFrame({"n": ["10", "9", "", "2.5"], "name": ["wrist 10", "Wrist 2", "", "elbow"]})
    every = np.arange(4)
    assert filters.arrange(every, "n", rows).tolist() == [3, 1, 0, 2]
    assert filters.arrange(every, "-n", rows).tolist() == [0, 1, 3, 2]
    assert filters.arrange(every, "name", rows).tolist() == [3, 1, 0, 2]
    assert filters.arrange(np.array([2, 0, 3]), "-name", rows).tolist() == [0, 3, 2]
    assert filters.arrange(every, "class", rows, np.array([1, 0, 1, 0])).tolist() == [1, 3, 0, 2]
    assert filters.arrange(every, "no such column", rows).tolist() == [0, 1, 2, 3]
    assert filters.arrange(np.arange(2), "name", pd.DataFrame({"name": ["9" * 10_000, "8" * 9_999]})).tolist() == [1, 0]


def test_studies_are_brought_together_in_the_order_in_which_they_come():
    rows = pd.DataFrame({"study": ["a", "b", "", "a", "", "b"], "patient": "p"})
    order, starts = filters.by_study(rows, np.array([5, 4, 3, 2, 1, 0]))
    assert order.tolist() == [5, 1, 4, 3, 0, 2] and starts.tolist() == [0, 2, 3, 5], "unknown studies stand alone"
    order, starts = filters.by_study(rows.assign(study=""), np.arange(6))
    assert starts.tolist() == [0], "without studies by patient"
    many = pd.DataFrame({"study": ["a"] * 150, "patient": ""})
    assert filters.by_study(many, np.arange(150))[1].tolist() == [0, 60, 120]


def test_pages_of_studies_show_every_image_once_and_cut_no_study():
    rows = table(401).assign(study=[f"s{k // 3}" for k in range(401)])
    order, starts = filters.by_study(rows, np.arange(401)[::-1])
    seen = []
    for page in range(1, browse_rows.pages(len(starts), 30) + 1):
        part, breaks = browse_rows.part_of_page(page, len(order), 30, starts)
        shown = order[part]
        assert rows["study"].iloc[shown[breaks]].nunique() == len(breaks) == rows["study"].iloc[shown].nunique()
        assert all(browse_rows.page_of(row, order, 30, starts) == page for row in shown)
        seen += shown.tolist()
    assert sorted(seen) == list(range(401))


@pytest.mark.parametrize("asked, expected", [("", (0, 90)), ("20..40", (20, 40)), ("..40", (0, 40)), ("40..20", (20, 40)),
                                             ("-5..999", (0, 90)), ("x", (0, 90))])
def test_a_range_in_the_address_may_be_anything(asked, expected):
    assert browse_rows.limits(asked, 0, 90) == expected


@pytest.mark.parametrize("value, cell", [([0, 1], (0, 1)), ([-1, 2], (None, 2)), ([1, -1], (1, None)), ([2, 0], None),
                                         ([0, 3], None), ([-2, 0], None), ("01", None), (None, None), ([0.0, 1], None)])
def test_what_the_browser_says_of_a_click_is_checked(value, cell):
    assert read_cell(value, classes=2, splits=3) == cell


def test_a_patient_has_all_of_their_images_and_nobody_else_s():
    rows = table(40)
    assert drawer.patient_rows(rows, 6).tolist() == [4, 5, 6, 7]
    assert drawer.patient_rows(rows.assign(patient=""), 6).tolist() == [6], "unknown patients are not one patient"


def test_the_outline_goes_round_the_mask_and_leaves_it_alone():
    pixels, mask = np.full((100, 120, 1), 90, np.uint8), np.zeros((100, 120), bool)
    mask[40:60, 50:70] = True
    drawn = drawer.outline(pixels, mask)
    changed = (drawn != 90).any(axis=2)
    assert drawn.shape == (100, 120, 3) and changed.any() and not changed[mask].any()
    filled = cv2.floodFill(changed.astype(np.uint8), None, (0, 0), 2)[1]
    assert (filled[mask] == 0).all(), "the line is closed: a flood from outside does not get in"


def test_small_originals_are_sent_without_loss():
    pixels = np.random.default_rng(3).integers(0, 256, (60, 50, 3), np.uint8)
    kind, data = image_facts.encode(pixels)
    decoded = cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    assert kind == "image/png" and (decoded == pixels).all()


def test_100_000_rows_are_filtered_and_paged_quickly():
    rows, labels = table(100_000), np.random.default_rng(4).integers(0, 2, 100_000)
    began = time.process_time()
    found = filters.select_rows(labels, rows, "train", 1, {"part": "elbow"})
    filtering = time.process_time() - began
    began = time.process_time()
    for page in range(1, 101):
        found[browse_rows.page_slice(page, len(found), 120)]
    paging = (time.process_time() - began) / 100
    assert filtering < 0.25, "measured: 0.02 s"
    assert paging < 0.001, "the page's rows are a view: independent of how many there are"
