"""Recipes: the settings of each report's runs, legal on every kind of data, with the numbers that were printed."""

import pytest

from core.__main__ import main
from core.augment import PRESETS, preset_of
from core.config import RunConfig
from core.datasets.custom import CustomDataset, save_custom_dataset
from core.errors import LightboxError
from core.models import MODELS
from core.runs import recipes
from core.runs.recipe_datasets import datasets_for, targets_of
from core.runs.recipes import GROUPS, RECIPES, SETTINGS, changes_of
from tests.tiny import tiny_npz


def made_for(key: str) -> list[tuple[str, str]]:
    return list(datasets_for(RECIPES[key].needs, RECIPES[key].stand_in))


@pytest.mark.parametrize("key", RECIPES)
def test_a_recipe_is_a_legal_config_on_every_set_and_its_network_can_be_built(key, tmp_path):
    for dataset in ("phantom", str(tiny_npz(tmp_path))):
        for right in (False, True):
            config = recipes.apply(RunConfig().with_(**{"data.dataset": dataset, "train.seed": 7}), key, right).check()
            assert (config.data.dataset, config.train.seed) == (dataset, 7)
    assert config.model.name in MODELS
    recipe = RECIPES[key]
    assert recipe.report in GROUPS and len(recipe.help) > 60 and recipe.title
    from tests.tiny import count_parameters
    assert count_parameters(config.model, classes=2, size=config.data.size, channels=config.data.channels or 1) > 1000


def test_every_report_has_its_runs():
    of = {group: [key for key, recipe in RECIPES.items() if recipe.report == group] for group in GROUPS}
    networks = {group: {RECIPES[key].changes["model.name"] for key in keys} for group, keys in of.items()}
    assert networks["R000"] == {"densenet169", "resnet50"}
    assert networks["R001"] == {"cnn", "densenet121", "densenet169", "densenet201"}
    assert networks["R002"] == {"resnet18", "resnet50"}
    assert networks["R004"] == {"resnet18", "resnet34", "resnet50", "squeezenet1_0", "squeezenet1_1", "densenet121"}
    assert {RECIPES[key].changes.get("model.cut", "") for key in of["R004"]} == {"", "-1", "1", "2", "20"}
    assert {RECIPES[key].changes.get("model.normalise") for key in of["R004"]} >= {"none", "imagenet"}
    assert {RECIPES[key].changes["model.cnn_layers"] for key in of["R001"] if "cnn" in key} == {3, 5, 7}
    for group, preset in (("R001", "r001"), ("R002", "r002")):              # with and without random changes
        on = [preset_of(recipes.apply(RunConfig(), key).augment) for key in of[group]]
        assert set(on) == {"none", preset}


# What the reports say, in the reports' words: (recipe, network, epochs, batch, rate, optimiser, schedule, split, size)
SAID = [
    ("r000-densenet169", {"train.epochs": 15, "optim.lr": 1e-4, "optim.schedule": "every", "optim.every": 5, "optim.factor": 0.5,
                          "optim.name": "adam", "data.size": 224, "data.split": "image", "data.val_fraction": 0.1,
                          "data.test_fraction": 0.2, "augment.rotate": 25.0, "augment.shear": 8.0, "data.target": "body_part"}),
    ("r001-cnn", {"train.batch_size": 8, "model.cnn_layers": 5, "model.cnn_kernels": "funnel_in", "model.cnn_filters": "constant",
                  "model.cnn_pool": "avg", "model.cnn_global_pool": "avg", "model.cnn_spatial_dropout": 0.5, "model.dropout": 0.5,
                  "model.cnn_pool_size": 2, "model.cnn_pool_stride": 1, "model.cnn_l2_kernel": 0.01,
                  "model.cnn_l2_activity": 0.01, "train.class_weights": True, "data.val_fraction": 0.1,
                  "data.test_fraction": 0.0, "train.monitor": "roc_auc", "data.target": "abnormality"}),
    ("r001-densenet201-augmented", {"model.name": "densenet201", "model.weights": "imagenet", "model.freeze": "all",
                                    "train.batch_size": 4, "model.head": "linear", "augment.rotate": 30.0, "augment.flip": 0.5,
                                    "augment.flip_vertical": 0.5}),
    ("r001-densenet121-mlp", {"model.head": "mlp", "model.dropout": 0.5}),
    ("r002-resnet50", {"data.size": 28, "train.epochs": 100, "train.loss": "auto"}),
    ("r004-cut-20", {"model.name": "squeezenet1_0", "model.cut": "20", "train.epochs": 5, "optim.lr": 1e-3, "optim.name": "adam",
                     "data.val_fraction": 0.2, "data.test_fraction": 0.0, "model.head": "concat", "model.dropout": 0.5,
                     "model.freeze": "all", "data.size": 320, "train.batch_size": 64}),
    ("r004-head-sgd", {"optim.name": "sgd", "optim.momentum": 0.9, "optim.every": 7, "optim.factor": 0.1, "model.freeze": "all"}),
    ("r004-survey", {"model.blocks": 2, "model.block_layers": 6, "data.val_fraction": 0.2, "data.test_fraction": 0.2,
                     "train.epochs": 20}),
]


@pytest.mark.parametrize("key, said", SAID)
def test_a_recipe_says_what_its_report_says(key, said):
    config = recipes.apply(RunConfig(), key)
    for name, value in said.items():
        section, _, field = name.partition(".")
        assert getattr(getattr(config, section), field) == value, name


def test_published_sizes_come_out():
    """R004's summary of SqueezeNet 1.0 with its head; torchvision's trunks (12,484,480 and 23,508,032) with a layer for two."""
    from tests.tiny import count_parameters
    wanted = {"r004-squeezenet1_0": 1_263_808, "r000-densenet169": 12_484_480 + 2 * 1664 + 2,
              "r000-resnet50": 23_508_032 + 2 * 2048 + 2}
    for key, parameters in wanted.items():
        config = recipes.apply(RunConfig(), key)
        assert count_parameters(config.model, classes=2, size=config.data.size, channels=3) == parameters, key


def test_the_printed_numbers_are_those_of_the_reports():
    assert RECIPES["r000-densenet169"].reported["test"]["accuracy"] == 0.9810077519379845
    assert RECIPES["r001-densenet201"].reported["all"]["cohen_kappa"] == .443
    assert RECIPES["r002-resnet18"].reported["breastmnist"] == {"roc_auc": .49603, "accuracy": .73077}
    assert "accuracy" not in RECIPES["r002-resnet18"].reported["octmnist"]         # misprinted there
    backbones = [recipe.reported["validation"] for key, recipe in RECIPES.items()
                 if key.startswith(("r004-resnet", "r004-squeeze"))]
    for row in backbones:                                                          # F1 follows from the printed counts
        tp, fn, fp = row["true_positives"], row["false_negatives"], row["false_positives"]
        assert sum(v for k, v in row.items() if k != "f1") == 278
        assert round(2 * tp / (2 * tp + fp + fn), 2) == pytest.approx(row["f1"], abs=.0101)
    assert len(backbones) == 5


def test_done_right_is_the_same_recipe_without_the_mistakes():
    for key, recipe in RECIPES.items():
        plain, right = changes_of(key), changes_of(key, corrected=True)
        mended = {name for name, value in recipe.corrections.items() if plain[name] != value}
        assert {name for name in plain if plain[name] != right[name]} == mended
        if recipe.changes.get("data.split") == "image":
            assert right["data.split"] == "patient", key
            assert any(word in recipe.help for word in ("patient", "luck")), key


def test_a_recipe_leaves_nothing_of_another_and_nothing_of_ones_own_is_lost():
    mine = {"train.seed": 3, "train.device": "cpu", "name": "mine", "data.split_seed": 5}
    first = recipes.apply(RunConfig().with_(**mine), "r001-cnn")
    second = recipes.apply(first, "r002-resnet18").with_(**{"data.target": ""})
    assert second == recipes.apply(RunConfig().with_(**mine), "r002-resnet18")
    assert not set(mine) & set(SETTINGS) and recipes.apply(first, "quick").name == "mine"
    assert PRESETS["gentle"].config == recipes.apply(first, "careful").augment


def test_the_target_is_taken_only_where_the_set_has_it(tmp_path):
    save_custom_dataset(CustomDataset("wrists", "Wrists", "mura", str(tmp_path), {"parts": ["wrist"]}))
    save_custom_dataset(CustomDataset("parts", "Parts", "mura", str(tmp_path), {"parts": ["wrist", "elbow"], "abnormal": False}))
    assert (targets_of("phantom"), targets_of("wrists"), targets_of("parts")) == (
        ("abnormality", "body_part"), ("abnormality",), ("body_part",))
    assert targets_of("breastmnist") == targets_of("nowhere") == ()
    def target(name: str, key: str) -> str:
        return recipes.apply(RunConfig().with_(**{"data.dataset": name}), key).data.target
    assert target("wrists", "r000-resnet50") == "" and target("wrists", "r001-cnn") == "abnormality"
    assert target("phantom-mura", "r000-resnet50") == "body_part" and target("breastmnist", "r000-resnet50") == ""


def test_the_phantoms_stand_in_until_there_is_mura(tmp_path):
    assert [name for name, _ in made_for("r001-cnn")] == ["phantom-mura"]
    assert [name for name, _ in made_for("quick")] == []
    save_custom_dataset(CustomDataset("my-mura", "MURA", "mura", str(tmp_path)))
    assert made_for("r001-cnn") == [("my-mura", "MURA")]


def test_an_unknown_recipe_is_a_sentence():
    with pytest.raises(LightboxError, match="no recipe called 'soup'") as raised:
        changes_of("soup")
    assert raised.value.code == "recipe.unknown" and "r001-cnn" in raised.value.hint


# ------------------------------------------------------------------------------------------------------------ the command line

@pytest.fixture
def queued(monkeypatch):
    """Runs that the command line queues are not trained."""
    from core.runs.store import RunStore
    from tests.followed import CPU
    monkeypatch.setattr("core.runs.store.machine", lambda: CPU)
    monkeypatch.setattr("core.runs.store.start_worker", lambda root, device: None)
    return lambda: [run.config for run in reversed(RunStore().list())]


def test_a_recipe_on_the_command_line(tmp_path, queued, capsys):
    path = str(tiny_npz(tmp_path))
    assert main(["train", "--recipe", "r001-cnn", "--dataset", path, "--epochs", "2", "--queue"]) == 0
    assert main(["train", "--recipe", "r000-resnet50", "--right", "--set", "optim.lr=0.5", "--queue"]) == 0
    first, second = queued()
    base = RunConfig().with_(**{"data.dataset": path})
    assert first == recipes.apply(base, "r001-cnn").with_(**{"train.epochs": 2})
    assert second == recipes.apply(RunConfig(), "r000-resnet50", corrected=True).with_(**{"optim.lr": 0.5})
    assert second.data.target == "body_part" and second.data.split == "patient"
    assert main(["train", "--recipe", "soup"]) == 2 and main(["train", "--right"]) == 2
    assert "no recipe called 'soup'" in capsys.readouterr().err and len(queued()) == 2


def test_a_grid_on_the_command_line(queued, capsys):
    assert main(["train", "--grid", "model.name=resnet18,vgg16", "--grid", "train.seed=1,2", "--epochs", "3", "--queue"]) == 0
    assert [(c.model.name, c.train.seed, c.train.epochs) for c in queued()] == [
        ("resnet18", 1, 3), ("resnet18", 2, 3), ("vgg16", 1, 3), ("vgg16", 2, 3)]
    assert len(capsys.readouterr().out.split()) == 4
    assert main(["train", "--grid", "optim.speed=1,2", "--queue"]) == 2 and len(queued()) == 4


def test_recipes_and_codes_are_printed(queued, capsys):
    from core.runs.store import RunStore
    assert main(["recipes"]) == 0
    assert set(RECIPES) <= set(capsys.readouterr().out.split())
    assert main(["recipes", "r001-cnn"]) == 0 and "--right: data.split=patient" in capsys.readouterr().out
    assert main(["train", "--recipe", "r001-densenet169", "--dataset", "phantom-mura", "--queue"]) == 0
    capsys.readouterr()
    assert main(["name", RunStore().list()[0].id]) == 0
    code = capsys.readouterr().out.strip()
    assert code == "DenseNet169_da_0_ts_224_224_t_0_s_1_bs_4_phantom-mura"
    assert main(["name", code]) == 0 and "train.batch_size=4" in capsys.readouterr().out
    assert main(["name", "AlexNet_bs_4"]) == 2


def test_the_recipe_of_snapshots_keeps_the_end_of_each_cycle():
    from core.trainers.optim import lr_at
    config = recipes.apply(RunConfig(), "snapshots")
    ends, each = config.train.snapshot_epochs, 10
    assert ends == (5, 10, 15, 20, 25)
    rates = [lr_at(config.optim, step, 25 * each, each) for step in range(25 * each)]
    falls = [step for step in range(1, len(rates)) if rates[step] > rates[step - 1]]
    assert [step // each for step in falls] == list(ends[:-1])
    assert recipes.apply(config.with_(**{"data.bootstrap": 3}), "quick").data.bootstrap == 0
