"""A grid of runs: each combination once, checked, named."""

import itertools
import json

import pytest

from core.__main__ import parser
from core.commands import train as train_command
from core.config import RunConfig
from core.datasets import look_ahead
from core.datasets.custom import CustomDataset, save_custom_dataset
from core.errors import LightboxError
from core.models import MODELS
from core.runs.codes import run_code
from core.runs.recipes import RECIPES, changes_of
from core.runs.store import RunStore
from core.runs.sweep import LIMIT, SERIES, expand, parse_values
from tests.test_mura import small

BASE = RunConfig().with_(**{"train.epochs": 3, "optim.lr": 0.002})


def test_every_combination_is_there_once_and_keeps_the_rest():
    values = {"model.name": ["resnet18", "squeezenet1_1"], "train.seed": [0, 1, 2], "data.size": [28, 64]}
    made = expand(BASE, values)
    assert [(c.model.name, c.train.seed, c.data.size) for c in made] == list(itertools.product(*values.values()))
    assert {(c.train.epochs, c.optim.lr) for c in made} == {(3, 0.002)}
    assert len({c.name for c in made}) == 12


def test_names_say_in_words_what_differs():
    names = [c.name for c in expand(BASE, {"model.name": ["resnet18", "densenet169"], "train.seed": [0, 1]})]
    assert names == [f"{network} on phantom: abnormality, 64 px, seed {seed}"
                     for network in ("ResNet-18", "DenseNet-169") for seed in (0, 1)]
    names = [c.name for c in expand(BASE.with_(name="Week 3"), {"data.target": ["body_part"], "augment": ["none", "gentle"],
                                                                "model.freeze": ["none", "all"], "model.name": ["vgg16", "cnn"]})]
    assert names[-1] == "Week 3, augmentation gentle for X-rays, frozen layers whole backbone, CNN builder"
    folds = expand(BASE, {"data.folds": [3], "data.fold": ["all"], "train.class_weights": [True, False]})
    assert folds[0].name == "ResNet-18 on phantom: abnormality, 64 px, fold 1 of 3, class weights on"
    seeds = [c.name for c in expand(BASE, {"train.seed": [0, 1], "optim.lr": [0.1, 0.01]})]
    assert seeds[0] == "ResNet-18 on phantom: abnormality, 64 px, learning rate 0.1, seed 0"
    varied = {"model.name": list(MODELS), "data.target": ["abnormality", "body_part"], "recipe": list(RECIPES)[:3]}
    assert len({c.name for c in expand(BASE, varied)}) == len(MODELS) * 2 * 3
    for config in expand(BASE, varied):
        assert not any(key in config.name for key in MODELS)


def test_the_folds_of_the_command_line_are_those_of_the_grid():
    """--folds 3 is --grid data.folds=3 --grid data.fold=all, and goes with another grid."""
    def expanded(*words):
        options = parser().parse_args(["train", *words])
        return train_command._grid(train_command._config(options), train_command._items(options))

    assert [(c.data.folds, c.data.fold) for c in expanded("--folds", "3")] == [(3, 0), (3, 1), (3, 2)]
    assert expanded("--folds", "3") == expand(RunConfig(), {"data.folds": ["3"], "data.fold": ["all"]})
    both = expanded("--folds", "2", "--grid", "model.name=resnet18,squeezenet1_1")
    assert [(c.model.name, c.data.fold) for c in both] == [
        (name, fold) for name in ("resnet18", "squeezenet1_1") for fold in (0, 1)]
    with pytest.raises(LightboxError) as refused:
        expanded("--folds", "1")
    assert refused.value.code == "grid.folds"


def test_a_run_for_each_value_of_a_column(tmp_path):
    """Three experts from one set, each on its part of one and the same split."""
    data = {"data.dataset": str(small(tmp_path)), "data.target": "abnormality", "data.size": 28, "data.val_fraction": 0.4}
    base = BASE.with_(**data)
    made = expand(base, {"data.only": ["body_part:*"], "train.seed": [0, 1]})
    assert [c.data.only for c in made] == [f"body_part:{part}" for part in ("elbow", "hand", "wrist") for _ in "12"]
    assert made[0].name.startswith("ResNet-18 on MURA-v1.1: abnormality, elbow only, 28 px") and len({c.name for c in made}) == 6
    whole = look_ahead(base.data).table
    for config in made[::2]:
        mine = look_ahead(config.data).table
        there = mine["split"] != ""
        assert (mine["split"] == whole["split"])[there].all() and there.sum() == len(mine) / 3
        assert f"XR_{config.data.only.partition(':')[2].upper()}" in run_code(config, {"task": "binary-class"})
    for only, code in (("nothing:*", "grid.column"), ("body_part:knee", "")):
        if code:
            with pytest.raises(LightboxError) as caught:
                expand(base, {"data.only": [only]})
            assert caught.value.code == code and "body_part" in caught.value.hint
        else:
            assert len(expand(base, {"data.only": [only]})) == 1           # refused by the check of the run, see test_preflight


def test_a_run_is_named_after_its_task_where_there_are_several_and_an_old_one_keeps_its_name(tmp_path):
    root, store = small(tmp_path), RunStore()
    save_custom_dataset(CustomDataset("wrists", "Wrists", "mura", str(root), {"parts": ["wrist"]}))

    def name(dataset: str, target: str = "") -> str:
        return store.create(RunConfig().with_(**{"data.dataset": dataset, "data.target": target})).name
    assert name(str(root)) == "ResNet-18 on MURA-v1.1: abnormality, 64 px"
    assert name("phantom", "body_part") == "ResNet-18 on phantom: body part, 64 px"
    assert name("wrists") == name("wrists", "abnormality") == "ResNet-18 on wrists, 64 px"      # one part: there is one task
    assert name("breastmnist") == "ResNet-18 on breastmnist, 64 px"
    assert name("knees", "kl_grade") == "ResNet-18 on knees: kl grade, 64 px"
    run = store.list()[0]
    about = json.loads((run.folder / "config.json").read_text())
    del about["name"]                                                    # as runs were written before names said the task
    (run.folder / "config.json").write_text(json.dumps(about))
    assert run.name == "resnet18 on knees, 64 px"


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


@pytest.mark.parametrize("key", SERIES)
def test_a_series_differs_in_one_thing_and_all_of_it_is_named(key):
    (name, values), = SERIES[key].values.items()
    made = expand(BASE, SERIES[key].values)
    assert [config.get(name) for config in made] == list(values) and len({config.name for config in made}) == len(values)
    assert len({config.with_(**{name: values[0]}, name="") for config in made}) == 1
