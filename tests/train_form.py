"""The form on the page Train, as tests fill it in, and the fixtures of those tests."""

import threading

import pytest

from core.datasets import open_dataset
from core.runs.recipes import RECIPES
from tests.followed import no_machine
from tests.tiny import tiny_config, tiny_npz


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    monkeypatch.setattr("pages.shared.open_data.warm_up", threading.current_thread)        # torch is always still on its way
    return no_machine(monkeypatch)


@pytest.fixture
def tiny(tmp_path):
    """The path of a small .npz whose pixels are in the store already."""
    path = tiny_npz(tmp_path)
    open_dataset(tiny_config(path).data)
    return path


def widgets(at) -> dict:
    """Knob -> its widget, for all that the page draws."""
    found = [*at.number_input, *at.selectbox, *at.slider, *at.toggle, *at.text_input]
    return {w.key.removeprefix("knob_").split("~")[0].removesuffix("_as_typed"): w
            for w in found if w.key and w.key.startswith("knob_")}


def by_key(at, kind: str, name: str):
    """A widget whose key changes with what it shows."""
    return next(widget for widget in getattr(at, kind) if widget.key and widget.key.split("~")[0] == name)


def choose_recipe(at, key: str):
    return recipe_of(at, RECIPES[key].report).set_value(key).run()


def recipe_of(at, group: str):
    return by_key(at, "selectbox", "recipe_report") if group else by_key(at, "pills", "recipe_basic")


def type_in(at, name: str, value) -> None:
    """What a browser sends when somebody types what is not among the options; AppTest only takes an option."""
    at.session_state["form_of_a_run"][name] = value


def can_queue(at) -> bool:
    return not at.button("queue_run").disabled


def queue(at):
    at.button("queue_run").click().run()
    assert not at.exception, at.exception
    return at
