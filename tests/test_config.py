"""core.config: what a person may turn, read from JSON, from a command line and from a form alike."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest

from core.config import GROUPS, KNOBS, SECTIONS, RunConfig, collect_knobs, home, knob
from core.errors import LightboxError

ALL = [pytest.param(entry, id=name) for name, entry in KNOBS.items()]
NUMBERS = [pytest.param(entry, id=name) for name, entry in KNOBS.items() if entry.low is not None]


def refused(code: str, *words: str, **changes) -> None:
    """with_(changes) must raise that code, and its sentences must contain the words."""
    with pytest.raises(LightboxError) as caught:
        RunConfig().with_(**changes)
    assert caught.value.code == code and caught.value.message.endswith(".") and caught.value.hint.endswith(".")
    for word in words:
        assert word in str(caught.value)


def another(entry):
    """A value of the setting that is allowed and is not its default."""
    if entry.choices:
        return next(c for c in entry.choices if c != entry.default)
    if isinstance(entry.default, bool):
        return not entry.default
    if isinstance(entry.default, str):
        return "something else"
    middle = (entry.high + entry.low) / 2 if isinstance(entry.default, float) else entry.low + 1
    return entry.low if entry.default != entry.low else middle


# ------------------------------------------------------------------------------------------------- what each knob says

@pytest.mark.parametrize("entry", ALL)
def test_every_knob_explains_itself(entry):
    assert entry.label.strip() and entry.label[0].isupper()
    assert entry.help.endswith(".") and len(entry.help) > 15


@pytest.mark.parametrize("entry", ALL)
def test_every_default_is_allowed_and_every_number_has_limits(entry):
    entry.check(entry.default)
    if isinstance(entry.default, int | float) and not isinstance(entry.default, bool) and not entry.choices:
        assert entry.low <= entry.default <= entry.high
    for value in entry.grid:
        assert type(value) is type(entry.default)
        entry.check(value)


def test_every_choice_has_words_and_every_condition_names_a_setting():
    for name, entry in KNOBS.items():
        assert all(entry.choices.values()) and all(entry.offered.values()), name
        assert set(entry.shown_if) | set(entry.hidden_if) <= set(KNOBS) - {name}
        assert (entry.group in GROUPS) == (entry.group not in ("header", "augment")), name


def test_a_knob_says_when_it_has_an_effect():
    def applies(name: str, **changes) -> bool:
        return KNOBS[name].applies(RunConfig().with_(**{k.replace("__", "."): v for k, v in changes.items()}).get)
    assert not applies("optim.momentum") and applies("optim.momentum", optim__name="sgd")
    assert applies("optim.warmup") and not applies("optim.warmup", optim__schedule="one_cycle")
    assert not applies("model.blocks") and applies("model.blocks", model__name="densenet169")
    assert applies("train.copies", model__freeze="all")
    assert not applies("train.copies", model__freeze="all", model__unfreeze_epoch=2)


def test_values_in_words():
    words = [KNOBS["train.sampling"].words("balanced"), KNOBS["optim.lr"].words(1e-4), KNOBS["train.class_weights"].words(True),
             KNOBS["data.size"].words(96)]
    assert words == ["Balanced classes", "0.0001", "on", "96"]


def test_a_field_is_all_that_a_new_knob_needs():
    @dataclasses.dataclass(frozen=True)
    class Longer(SECTIONS["train"]):
        ema: float = knob(0.0, "Weight averaging", "Decay of the moving average of the weights.", low=0.0, high=1.0, step=0.01)
    entry = collect_knobs(SECTIONS | {"train": Longer})["train.ema"]
    assert (entry.name, entry.group, entry.default) == ("train.ema", "train", 0.0)


def test_the_defaults_pass_their_own_check():
    assert RunConfig().check() == RunConfig() and RunConfig().changed() == {}


# ---------------------------------------------------------------------------------------------------------------- JSON

def test_json_brings_every_knob_back():
    changes = {name: another(entry) for name, entry in KNOBS.items()}
    config = RunConfig().with_(name="Röntgen, \"first\"", **changes)
    assert RunConfig.from_json(config.to_json()) == config and config.changed() == changes
    for name, value in changes.items():
        section, key = name.split(".")
        assert config.get(name) == value != RunConfig().get(name)
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

@pytest.mark.parametrize("entry", NUMBERS)
def test_limits_are_allowed_and_what_lies_beyond_is_not(entry):
    step = 1 if isinstance(entry.default, int) else 1e-6
    for limit, beyond in ((entry.low, -step), (entry.high, step)):
        assert RunConfig().with_(**{entry.name: limit}).get(entry.name) == limit
        refused("config.value", entry.name, str(entry.low), str(entry.high), **{entry.name: limit + beyond})


@pytest.mark.parametrize("entry", [p for p in ALL if p.values[0].choices])
def test_choices_are_named_when_another_is_given(entry):
    wrong = "sideways" if isinstance(entry.default, str) else 99
    refused("config.value", entry.name, *map(str, entry.choices), **{entry.name: wrong})
    for choice in entry.choices:
        RunConfig().with_(**{entry.name: choice})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "nan", "inf"])
def test_a_number_that_is_none_is_refused(value):
    refused("config.value", "optim.lr", **{"optim.lr": value})


def test_validation_and_test_must_leave_something_to_train_on():
    refused("config.value", "90 %", **{"data.val_fraction": 0.5, "data.test_fraction": 0.5})
    RunConfig().with_(**{"data.val_fraction": 0.4, "data.test_fraction": 0.5})


# --------------------------------------------------------------------------------------------------------------- with_

@pytest.mark.parametrize("entry", ALL)
def test_a_string_ends_as_the_fields_own_type(entry):
    value = another(entry)
    result = RunConfig().with_(**{entry.name: str(value)}).get(entry.name)
    assert result == value and type(result) is type(entry.default)


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
