"""core.config: what a person may turn, read from JSON, from a command line and from a form alike."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest

from core.config import SECTIONS, RunConfig, home, knob_of, knobs
from core.errors import LightboxError

ALL = [pytest.param(section, f, id=f"{section}.{f.name}") for section, f in knobs()]
NUMBERS = [p for p in ALL if p.values[1].metadata["low"] is not None or p.values[1].metadata["high"] is not None]


def refused(code: str, *words: str, **changes) -> None:
    """with_(changes) must raise that code, and its sentences must contain the words."""
    with pytest.raises(LightboxError) as caught:
        RunConfig().with_(**changes)
    assert caught.value.code == code and caught.value.message.endswith(".") and caught.value.hint.endswith(".")
    for word in words:
        assert word in str(caught.value)


def another(section: str, f: dataclasses.Field):
    """A value of the field that is allowed and is not its default."""
    low, high, choices = (f.metadata[name] for name in ("low", "high", "choices"))
    if choices:
        return next(c for c in choices if c != f.default)
    if isinstance(f.default, bool):
        return not f.default
    if isinstance(f.default, str):
        return "something else"
    return low if f.default != low else (high + low) / 2 if isinstance(f.default, float) else low + 1


# ------------------------------------------------------------------------------------------------- what each knob says

@pytest.mark.parametrize("section, f", ALL)
def test_every_knob_explains_itself(section, f):
    assert f.metadata["label"].strip() and f.metadata["label"][0].isupper()
    assert f.metadata["help"].endswith(".") and len(f.metadata["help"]) > 15
    assert knob_of(f"{section}.{f.name}") is not None


@pytest.mark.parametrize("section, f", ALL)
def test_every_default_is_allowed_and_every_number_has_limits(section, f):
    m = f.metadata
    assert m["choices"] is None or f.default in m["choices"]
    if isinstance(f.default, int | float) and not isinstance(f.default, bool) and not m["choices"]:
        assert m["low"] <= f.default <= m["high"]


def test_the_defaults_pass_their_own_check():
    assert RunConfig().check() == RunConfig()


# ---------------------------------------------------------------------------------------------------------------- JSON

def test_json_brings_every_knob_back():
    changes = {f"{p.values[0]}.{p.values[1].name}": another(*p.values) for p in ALL}
    config = RunConfig().with_(name="Röntgen, \"first\"", **changes)
    assert RunConfig.from_json(config.to_json()) == config
    for name, value in changes.items():
        section, key = name.split(".")
        assert getattr(getattr(config, section), key) == value != getattr(getattr(RunConfig(), section), key)
        assert json.loads(config.to_json())[section][key] == value


def test_json_of_another_version_is_read():
    raw = json.loads(RunConfig().with_(**{"optim.lr": 0.5}).to_json())
    raw["optim"]["from_the_future"] = 1
    raw["another_section"] = {"x": 2}
    del raw["train"], raw["data"]["size"]
    config = RunConfig.from_json(json.dumps(raw))
    assert config.optim.lr == 0.5 and config.train == RunConfig().train and config.data.size == RunConfig().data.size


def test_json_with_a_value_out_of_its_limits_is_refused():
    raw = json.loads(RunConfig().to_json())
    raw["train"]["epochs"] = 0
    with pytest.raises(LightboxError, match="train.epochs is 0"):
        RunConfig.from_json(json.dumps(raw))


# -------------------------------------------------------------------------------------------------------------- limits

@pytest.mark.parametrize("section, f", NUMBERS)
def test_limits_are_allowed_and_what_lies_beyond_is_not(section, f):
    name, step = f"{section}.{f.name}", 1 if isinstance(f.default, int) else 1e-6
    for limit, beyond in ((f.metadata["low"], -step), (f.metadata["high"], step)):
        assert getattr(getattr(RunConfig().with_(**{name: limit}), section), f.name) == limit
        refused("config.value", name, str(f.metadata["low"]), str(f.metadata["high"]), **{name: limit + beyond})


@pytest.mark.parametrize("section, f", [p for p in ALL if p.values[1].metadata["choices"]])
def test_choices_are_named_when_another_is_given(section, f):
    wrong = "sideways" if isinstance(f.default, str) else 99
    refused("config.value", f"{section}.{f.name}", *map(str, f.metadata["choices"]), **{f"{section}.{f.name}": wrong})
    for choice in f.metadata["choices"]:
        RunConfig().with_(**{f"{section}.{f.name}": choice})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "nan", "inf"])
def test_a_number_that_is_none_is_refused(value):
    refused("config.value", "optim.lr", **{"optim.lr": value})


def test_validation_and_test_must_leave_something_to_train_on():
    refused("config.value", "90 %", **{"data.val_fraction": 0.5, "data.test_fraction": 0.5})
    RunConfig().with_(**{"data.val_fraction": 0.4, "data.test_fraction": 0.5})


# --------------------------------------------------------------------------------------------------------------- with_

@pytest.mark.parametrize("section, f", ALL)
def test_a_string_ends_as_the_fields_own_type(section, f):
    value = another(section, f)
    config = RunConfig().with_(**{f"{section}.{f.name}": str(value)})
    result = getattr(getattr(config, section), f.name)
    assert result == value and type(result) is type(f.default)


@pytest.mark.parametrize("text, value", [("true", True), ("True", True), ("1", True), ("yes", True),
                                         ("false", False), ("0", False), ("NO", False)])
def test_words_for_yes_and_no(text, value):
    assert RunConfig().with_(**{"train.class_weights": text}).train.class_weights is value


@pytest.mark.parametrize("name, value, kind", [("train.epochs", "many", "int"), ("train.epochs", "2.5", "int"),
                                               ("train.epochs", 2.5, "int"), ("train.epochs", None, "int"),
                                               ("train.epochs", math.inf, "int"), ("optim.lr", "fast", "float"),
                                               ("optim.lr", None, "float"), ("train.class_weights", "maybe", "bool")])
def test_a_value_of_the_wrong_kind_is_refused(name, value, kind):
    refused("config.value", name, repr(value), kind, **{name: value})


def test_a_whole_number_may_come_as_a_float():
    assert RunConfig().with_(**{"train.epochs": 3.0}).train.epochs == 3       # a slider gives 3.0


@pytest.mark.parametrize("name", ["optim.speed", "optim", "lr", "optim.lr.x", "", "Optim.lr"])
def test_an_unknown_setting_is_refused_with_the_list_of_those_that_there_are(name):
    refused("config.field", f"There is no setting called {name}.", "optim.lr", "data.dataset", **{name: 1})


def test_a_change_gives_a_copy_and_leaves_the_original():
    config = RunConfig()
    changed = config.with_(**{"optim.lr": 0.5, "train.epochs": 7}, name="mine")
    assert (changed.optim.lr, changed.train.epochs, changed.name) == (0.5, 7, "mine")
    assert config == RunConfig() and changed.data == config.data
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.optim.lr = 1.0


def test_the_order_of_two_changes_that_only_fit_together_does_not_matter():
    start = RunConfig().with_(**{"data.val_fraction": 0.5, "data.test_fraction": 0.4})
    for names in (("data.val_fraction", "data.test_fraction"), ("data.test_fraction", "data.val_fraction")):
        new = dict(zip(names, (0.4, 0.5) if names[0].startswith("data.val") else (0.5, 0.4)))
        assert start.with_(**new).data.test_fraction == 0.5


def test_sections_are_the_fields_of_a_run():
    assert {f.name for f in dataclasses.fields(RunConfig)} == set(SECTIONS) | {"name"}


def test_home_is_a_folder_of_the_persons_choice(monkeypatch, tmp_path):
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path))
    assert home() == tmp_path
    monkeypatch.setenv("LIGHTBOX_HOME", "~/elsewhere")
    assert home() == Path.home() / "elsewhere"
    monkeypatch.delenv("LIGHTBOX_HOME")
    assert home() == Path.home() / ".lightbox"
