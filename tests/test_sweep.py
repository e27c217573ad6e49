"""A grid of runs: each combination once, checked, named."""

import itertools

import pytest

from core.config import RunConfig
from core.errors import LightboxError
from core.runs.codes import parse
from core.runs.recipes import changes_of
from core.runs.sweep import LIMIT, expand, parse_values

BASE = RunConfig().with_(**{"train.epochs": 3, "optim.lr": 0.002})


def test_every_combination_is_there_once_and_keeps_the_rest():
    values = {"model.name": ["resnet18", "squeezenet1_1"], "train.seed": [0, 1, 2], "data.size": [28, 64]}
    made = expand(BASE, values)
    assert [(c.model.name, c.train.seed, c.data.size) for c in made] == list(itertools.product(*values.values()))
    assert {(c.train.epochs, c.optim.lr) for c in made} == {(3, 0.002)}
    assert len({c.name for c in made}) == 12


def test_names_carry_the_code_and_what_it_cannot_say():
    names = [c.name for c in expand(BASE, {"model.name": ["resnet18", "resnet50"], "train.seed": [0, 1]})]
    assert names[1] == "ResNet18_da_0_ts_64_64_t_1_s_1_bs_64_phantom, seed 1"
    for config in expand(BASE, {"model.freeze": ["none", "all"], "augment": ["none", "r001"], "train.batch_size": [8, 16]}):
        assert "," not in config.name and BASE.with_(**parse(config.name).changes) == config.with_(name="")
    names = [c.name for c in expand(BASE, {"augment": ["none", "gentle", "r001"]})]
    assert [name.partition(", ")[2] for name in names] == [f"augmentation {key}" for key in ("none", "gentle", "r001")]


def test_strings_of_the_command_line_are_read_as_the_fields_are():
    values = parse_values(["optim.lr=0.01, 0.001", "train.class_weights=yes,no", "optim.lr=0.1"])
    assert [(c.optim.lr, c.train.class_weights) for c in expand(BASE, values)] == list(
        itertools.product((0.01, 0.001, 0.1), (True, False)))
    for wrong in ("optim.lr", "optim.lr=", "optim.lr=,"):
        with pytest.raises(LightboxError, match="has no values"):
            parse_values([wrong])


def test_equal_runs_are_there_once():
    assert len(expand(BASE, {"optim.lr": ["0.01", "1e-2", 0.01]})) == 1
    assert len(expand(BASE, {"optim.lr": [], "train.seed": [4, 4]})) == 1
    assert expand(BASE, {}) == [BASE.with_(name=expand(BASE, {})[0].name)]


def test_all_folds():
    made = expand(BASE, {"data.folds": [3, 5], "data.fold": ["all"]})
    assert [(c.data.folds, c.data.fold) for c in made] == [(3, k) for k in range(3)] + [(5, k) for k in range(5)]
    assert len({c.name for c in made}) == 8
    assert len(expand(BASE.with_(**{"data.folds": 4}), {"data.fold": ["all"]})) == 4
    with pytest.raises(LightboxError, match="folds"):
        expand(BASE, {"data.fold": ["all"]})


def test_a_recipe_lies_under_the_rest():
    made = expand(BASE, {"train.epochs": [1], "recipe": ["r004-resnet18", "r004-resnet34"]})
    assert [c.model.name for c in made] == ["resnet18", "resnet34"] and {c.train.epochs for c in made} == {1}
    assert {c.optim.lr for c in made} == {changes_of("r004-resnet18")["optim.lr"]}


@pytest.mark.parametrize("values, code, said", [
    ({"optim.speed": [1]}, "grid.field", "no setting called optim.speed"),
    ({"augment": ["wild"]}, "grid.field", "wild"), ({"recipe": ["soup"]}, "recipe.unknown", "soup"),
    ({"train.seed": list(range(LIMIT + 1))}, "grid.many", f"more than {LIMIT} runs"),
    ({"train.seed": list(range(50)), "data.folds": [5], "data.fold": ["all"]}, "grid.many", f"more than {LIMIT} runs"),
    ({"data.size": [28, 64], "optim.lr": [0.1, 50.0]}, "config.value", "In the combination data.size = 28, optim.lr = 50.0"),
    ({"data.val_fraction": [0.1, 0.5], "data.test_fraction": [0.2, 0.5]}, "config.value", "data.val_fraction = 0.5"),
])
def test_what_is_wrong_with_a_grid_is_a_sentence(values, code, said):
    with pytest.raises(LightboxError) as raised:
        expand(BASE, values)
    assert raised.value.code == code and said in str(raised.value)


def test_a_grid_of_exactly_the_limit_is_made():
    assert len(expand(BASE, {"train.seed": list(range(LIMIT))})) == LIMIT
