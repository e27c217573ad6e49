"""The panel that makes phantom sets: every switch is there, examples follow it, saving makes a set that opens by its name."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core.config import DataConfig
from core.datasets import open_source
from core.datasets.custom import list_custom_datasets
from core.datasets.phantom.cohort import LIMITS, PhantomConfig
from core.datasets.phantom.source import truth_table
from pages.add import phantom_form
from pages.add.phantom_form import SWITCHES, save_phantom

PAGE = Path(__file__).with_name("phantom_page.py")


@pytest.fixture
def page(monkeypatch, tmp_path):
    """The page, and where it leads."""
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path))
    led = []
    monkeypatch.setattr(phantom_form, "go", lambda page, **query: led.append((page, query)))
    at = AppTest.from_file(str(PAGE), default_timeout=60).run()
    assert not at.exception, at.exception
    return at, led


def widget(at, name: str):
    """A widget by its setting; its key changes with its value."""
    return next(w for w in (*at.slider, *at.toggle, *at.number_input, *at.multiselect, *at.text_input)
                if w.key.split("~")[0] == f"phantom_{name}")


def examples(**changes) -> tuple[list[np.ndarray], list[str]]:
    st.cache_data.clear()
    return phantom_form._examples(json.dumps(dataclasses.asdict(PhantomConfig(**changes))))


def test_every_setting_of_a_phantom_set_is_in_the_form(page):
    at, _ = page
    names = {w.key.split("~")[0].removeprefix("phantom_") for w in (*at.slider, *at.toggle, *at.number_input, *at.multiselect)}
    assert names == {f.name for f in dataclasses.fields(PhantomConfig)} - {"seed", "longest", "noise"}
    for name, switch in SWITCHES.items():
        slider = widget(at, name)
        assert (slider.min, slider.max) == LIMITS[name] and slider.value == 0 and slider.max == switch.high
        assert switch.does in slider.help and switch.shows in slider.help
    assert not any("What a student can learn" in m.value for m in at.markdown)


def test_what_was_chosen_is_the_set_that_is_saved(page):
    at, led = page
    widget(at, "letters").set_value(0.8).run()
    widget(at, "copies").set_value(0.2).run()
    widget(at, "patients").set_value(12).run()
    widget(at, "parts").set_value(["wrist"]).run()
    widget(at, "truth").set_value(False).run()
    widget(at, "title").set_value("Wrists of <b>Monday</b>").run()
    lessons = next(m.value for m in at.markdown if "What a student can learn" in m.value)
    assert SWITCHES["letters"].shows in lessons and SWITCHES["sites"].shows not in lessons
    at.button("phantom_save").click().run()
    assert not at.exception and not at.error
    (where, query), = led
    assert where == "browse"
    own, = list_custom_datasets()
    assert (own.name, own.title, own.format) == (query["dataset"], "Wrists of <b>Monday</b>", "phantom")
    source = open_source(DataConfig(own.name))
    assert source.config == PhantomConfig(letters=0.8, copies=0.2, patients=12, parts=("wrist",), truth=False)
    assert (source.name, source.title) == (own.name, own.title) and "copy_of" not in source.scan().table
    at.button("phantom_save").click().run()
    assert led[0] == led[1] and len(list_custom_datasets()) == 1              # a double click makes one set


def test_no_part_of_the_body_is_said_and_the_rest_stays(page):
    at, _ = page
    widget(at, "letters").set_value(0.5).run()
    widget(at, "parts").set_value([]).run()
    assert "Choose one or more of" in at.error[0].value.replace("\\", "") and not at.exception
    widget(at, "parts").set_value(["elbow", "wrist"]).run()
    assert not at.error and widget(at, "letters").value == 0.5


def test_examples_show_what_is_set():
    plain, said = examples()
    assert len(plain) == 4 and said[:2] == ["normal", "normal"] and not {"normal"} & set(said[2:])
    assert all(max(image.shape) == phantom_form.EXAMPLE for image in plain)
    for switch in ("letters", "hospital", "exposure", "sites"):
        other, same = examples(**{switch: 1.0})
        assert same == said and not all(np.array_equal(a, b) for a, b in zip(plain, other)), switch
    _, wrong = examples(wrong_labels=1.0)
    assert all(text.startswith("labelled") for text in wrong)
    pair, said = examples(copies=0.3)
    assert len(pair) == 6 and "duplicate (saved as JPEG)" in said[-1]
    assert np.corrcoef(pair[-1].ravel(), pair[-2].ravel())[0, 1] > 0.99
    _, said = examples(two_numbers=0.5)
    truth = truth_table(PhantomConfig(two_numbers=0.5, patients=45))
    person = dict(zip(truth["patient"], truth["person"]))
    one, other = (text.split()[1].rstrip(":") for text in said[-2:])
    assert one != other and person[one] == person[other]


@pytest.mark.parametrize("change", [{"abnormal": 0.02}, {"patients": 1}, {"patients": 1, "copies": 0.5, "two_numbers": 1.0},
                                    {"studies": 50, "copies": 0.5}, {"patients": 2, "studies": 1}])
def test_examples_of_odd_sets(change):
    pixels, said = examples(**change)
    assert 1 <= len(pixels) == len(said) <= 8


def test_the_same_set_is_saved_once_and_another_under_another_name(monkeypatch, tmp_path):
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path))
    first = save_phantom(PhantomConfig(letters=0.5), "  Elbows ")
    assert save_phantom(PhantomConfig(letters=0.5), "Elbows") == first == "elbows"
    assert save_phantom(PhantomConfig(letters=0.6), "Elbows") == "elbows-2"
    assert save_phantom(PhantomConfig(), "") == "my-phantom-radiographs"


def test_the_page_add_images_leads_to_the_panel(monkeypatch, tmp_path):
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path))
    at = AppTest.from_file(str(PAGE.parents[1] / "pages" / "main.py"), default_timeout=60).run()
    at.query_params["way"] = "phantom"
    at = at.switch_page("add/page.py").run()
    assert not at.exception and widget(at, "letters").value == 0 and at.button("phantom_save")
    way = next(pills for pills in at.pills if pills.key.split("~")[0] == "add_from")
    way.set_value("files").run()
    assert not at.exception and not any(button.key == "phantom_save" for button in at.button)
