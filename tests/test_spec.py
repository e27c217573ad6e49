"""What the four reports did with models and training, line by line: each line has its field, its value, its place on the page.

What they did beside it stands in docs/reports.md, with its page, its command and its test.
"""

import threading

import pytest

from core.config import KNOBS, RunConfig
from core.models import MODELS
from core.runs import recipes
from core.runs.codes import parse
from core.runs.recipes import RECIPES
from tests.followed import no_machine, open_page
from tests.train_form import widgets

CNN = {"model.name": "cnn"}

# (report, what it did) -> the settings that do it. Each is taken by the config and can be chosen on the page Train.
CHOSEN: dict[tuple[str, str], dict] = {
    # R000
    ("R000", "subset of three parts; task body part"): {"data.target": "body_part"},
    ("R000", "task abnormality"): {"data.target": "abnormality"},
    ("R000", "split 70/10/20"): {"data.split": "image", "data.val_fraction": 0.1, "data.test_fraction": 0.2},
    ("R000", "resize 224 x 224"): {"data.size": 224, "data.resize": "stretch"},
    ("R000", "normalisation; the same for val and test"): {"model.normalise": "imagenet"},
    ("R000", "augmentations of Table 3"): {f"augment.{k}": v for k, v in vars(
        recipes.apply(RunConfig(), "r000-resnet50").augment).items()},
    ("R000", "shuffle the loaders"): {"train.sampling": "shuffle"},
    ("R000", "DenseNet-121"): {"model.name": "densenet121"},
    ("R000", "DenseNet-169, main"): {"model.name": "densenet169"},
    ("R000", "DenseNet-201"): {"model.name": "densenet201"},
    ("R000", "DenseNet-264"): {"model.name": "densenet264"},
    ("R000", "ResNet-50 under the same settings"): {"model.name": "resnet50"},
    ("R000", "epochs 15"): {"train.epochs": 15},
    ("R000", "learning rate 1e-4, halved every 5 epochs (StepLR)"): {"optim.lr": 1e-4, "optim.schedule": "every",
                                                                     "optim.every": 5, "optim.factor": 0.5},
    ("R000", "Adam"): {"optim.name": "adam"},
    ("R000", "cross-entropy"): {"train.loss": "auto"},
    ("R000", "flaw F3: training accuracy measured in evaluation mode"): {"train.measure_train": True},
    ("R000", "flaw F4: another seed"): {"train.seed": 1},
    ("R000", "flaw F1: split by patient instead"): {"data.split": "patient"},
    ("R000", "table of parameters: VGG-16"): {"model.name": "vgg16"},
    ("R000", "table of parameters: ResNet-18"): {"model.name": "resnet18"},
    ("R000", "table of parameters: ResNet-34"): {"model.name": "resnet34"},
    ("R000", "table of parameters: ResNet-101"): {"model.name": "resnet101"},
    ("R000", "table of parameters: ResNet-152"): {"model.name": "resnet152"},
    # R001
    ("R001", "10 % of train as validation, stratified; official valid as test"): {
        "data.split": "image", "data.val_fraction": 0.1, "data.test_fraction": 0.0},
    ("R001", "class weights"): {"train.class_weights": True},
    ("R001", "input (224, 224, 3)"): {"data.size": 224, "data.channels": 3},
    ("R001", "resize that keeps the shape, by a crop"): {"data.resize": "crop"},
    ("R001", "epochs, batch size, optimiser of an experiment"): {"train.epochs": 30, "train.batch_size": 4, "optim.name": "adam"},
    ("R001", "three convolutions"): CNN | {"model.cnn_layers": 3},
    ("R001", "five convolutions"): CNN | {"model.cnn_layers": 5},
    ("R001", "seven convolutions"): CNN | {"model.cnn_layers": 7},
    **{("R001", f"kernel growth {growth}"): CNN | {"model.cnn_kernels": growth}
       for growth in ("funnel_out", "funnel_in", "constant")},
    **{("R001", f"filter growth {growth}"): CNN | {"model.cnn_filters": growth}
       for growth in ("funnel_out", "funnel_in", "constant")},
    ("R001", "local pooling max"): CNN | {"model.cnn_pool": "max"},
    ("R001", "local pooling average, 2 x 2, strides (1, 1)"): CNN | {
        "model.cnn_pool": "avg", "model.cnn_pool_size": 2, "model.cnn_pool_stride": 1},
    ("R001", "min pooling, which the report could not do"): CNN | {"model.cnn_pool": "min", "model.cnn_global_pool": "min"},
    ("R001", "global pooling max"): CNN | {"model.cnn_global_pool": "max"},
    ("R001", "global pooling average"): CNN | {"model.cnn_global_pool": "avg"},
    ("R001", "spatial dropout 0.5"): CNN | {"model.cnn_spatial_dropout": 0.5},
    ("R001", "dropout 0.5 before the last layer"): CNN | {"model.dropout": 0.5},
    ("R001", "L2 0.01 on kernel and activity"): CNN | {"model.cnn_l2_kernel": 0.01, "model.cnn_l2_activity": 0.01},
    ("R001", "transfer learning, frozen"): {"model.name": "densenet201", "model.weights": "imagenet", "model.freeze": "all"},
    ("R001", "head: one softmax layer"): {"model.head": "linear"},
    ("R001", "head: MLP 1024 + 512 with dropout"): {"model.head": "mlp", "model.dropout": 0.5},
    ("R001", "train all layers (flag t)"): {"model.freeze": "none"},
    ("R001", "early stopping by ROC AUC"): {"train.monitor": "roc_auc", "train.patience": 5},
    ("R001", "Cohen's kappa selects, which failed there"): {"train.monitor": "cohen_kappa"},
    ("R001", "augmentation: rotation 0 to 30 degrees, flips both ways"): {
        "augment.rotate": 30.0, "augment.flip": 0.5, "augment.flip_vertical": 0.5},
    # R002
    ("R002", "loss by task: BCE with logits for several findings"): {"train.loss": "auto"},
    ("R002", "ordinal loss for Retina"): {"train.loss": "ordinal"},
    ("R002", "flaw F7: quadratic kappa for grades"): {"train.monitor": "quadratic_kappa"},
    ("R002", "ResNet-18 by hand"): {"model.name": "own_resnet18"},
    ("R002", "ResNet-50 by hand"): {"model.name": "own_resnet50"},
    ("R002", "in_channels 1"): {"data.channels": 1},
    ("R002", "best epoch by validation"): {"train.monitor": "accuracy"},
    ("R002", "simple transforms: flip, shift, rotate, crop, colour jitter, noise"): {
        "augment.flip": 0.5, "augment.shift": 0.1, "augment.rotate": 15.0, "augment.crop": 0.1, "augment.brightness": 0.1,
        "augment.contrast": 0.2, "augment.saturation": 0.2, "augment.hue": 0.05, "augment.noise": 0.5},
    ("R002", "influence of the input's resolution"): {"data.size": 128},
    ("R002", "depth and width"): CNN | {"model.cnn_layers": 8, "model.cnn_filters": "funnel_in"},
    ("R002", "flaw F5: the small-image stem"): {"model.stem": "small"},
    ("R002", "flaw F5: the standard stem"): {"model.stem": "standard"},
    # R004
    ("R004", "split 4:1"): {"data.val_fraction": 0.2, "data.test_fraction": 0.0},
    ("R004", "SqueezeNet 1.0"): {"model.name": "squeezenet1_0"},
    ("R004", "SqueezeNet 1.1"): {"model.name": "squeezenet1_1"},
    ("R004", "CheXNet's weights"): {"model.name": "densenet121", "model.weights": "file:/weights/chexnet.safetensors"},
    ("R004", "5 epochs, learning rate .001, Adam"): {"train.epochs": 5, "optim.lr": 1e-3, "optim.name": "adam"},
    ("R004", "SGD with momentum, StepLR(7, .1), head only"): {
        "optim.name": "sgd", "optim.momentum": 0.9, "optim.schedule": "every", "optim.every": 7, "optim.factor": 0.1,
        "model.freeze": "all"},
    ("R004", "normalise on"): {"model.normalise": "imagenet"},
    ("R004", "normalise off"): {"model.normalise": "none"},
    **{("R004", f"cut {cut or 'None'}"): {"model.name": "squeezenet1_0", "model.cut": cut} for cut in ("-1", "1", "2", "20", "")},
    ("R004", "custom head, average and maximum joined"): {"model.head": "concat", "model.dropout": 0.5},
    ("R004", "frozen up to a group"): {"model.freeze": "layer2"},
    ("R004", "unfrozen later, the backbone slower"): {"model.weights": "imagenet", "model.freeze": "all",
                                                      "model.unfreeze_epoch": 3, "optim.backbone_lr": 0.1},
    ("R004", "flaw F5: class weights or a sampler"): {"train.class_weights": True, "train.sampling": "balanced"},
    ("R004", "survey 1: number of dense blocks"): {"model.name": "densenet121", "model.blocks": 2},
    ("R004", "survey 1: layers of the last block"): {"model.name": "densenet121", "model.blocks": 2, "model.block_layers": 6},
    ("R004", "survey 1: learning rate, dropout"): {"optim.lr": 1e-3, "model.dropout": 0.2},
    ("R004", "survey 1: L2"): {"optim.weight_decay": 1e-4},
    ("R004", "survey 1: 60:20:20, 20 epochs"): {"data.val_fraction": 0.2, "data.test_fraction": 0.2, "train.epochs": 20},
    ("R004", "survey 2: fine-tune the last layer, with flips, turns and noise"): {
        "model.weights": "imagenet", "model.freeze": "all", "augment.flip": 0.5, "augment.rotate": 15.0, "augment.noise": 0.5,
        "train.copies": 5},
    # The union of the four
    ("union", "split by study"): {"data.split": "study"},
    ("union", "official split"): {"data.split": "official"},
    ("union", "folds"): {"data.folds": 5, "data.fold": 4},
    ("union", "split 80/20"): {"data.val_fraction": 0.2, "data.test_fraction": 0.0},
    ("union", "loss BCE and weighted"): {"train.loss": "auto", "train.class_weights": True},
    ("union", "best checkpoint by loss"): {"train.monitor": "loss"},
    ("union", "best checkpoint by accuracy"): {"train.monitor": "accuracy"},
    ("union", "a small CNN"): {"model.name": "small_cnn"},
}

@pytest.mark.parametrize("line", CHOSEN, ids=lambda line: f"{line[0]} {line[1]}")
def test_a_config_takes_it(line):
    changes = CHOSEN[line]
    config = RunConfig().with_(**changes)
    for name, value in changes.items():
        section, _, field = name.partition(".")
        kept = getattr(getattr(config, section), field)
        assert kept == value and type(kept) is type(KNOBS[name].default), name
    assert RunConfig.from_json(config.to_json()) == config
    assert config.model.name in MODELS


def test_every_line_can_be_chosen_on_the_page(monkeypatch):
    """With its settings in the form, each of its fields is drawn and shows the value. Random changes have a page of their own."""
    no_machine(monkeypatch)
    monkeypatch.setattr("pages.shared.open_data.warm_up", threading.current_thread)
    monkeypatch.setattr("pages.shared.preview.targets", lambda data: (("abnormality", "Abnormal"), ("body_part", "Part")))
    at, seen = open_page("train"), set()
    for line, changes in CHOSEN.items():
        names = {name for name in changes if not name.startswith("augment.")}
        if names <= seen:                            # its widget was drawn, and other values of it are taken as that one was
            continue
        at.session_state["form_of_a_run"] = {"data.dataset": "phantom", **changes}
        drawn = widgets(at.run())
        assert not at.exception and names <= set(drawn), (line, names - set(drawn))
        for name in names:
            assert drawn[name].value == changes[name], (line, name)
            seen.add(name)
            if choices := KNOBS[name].choices:
                assert len(drawn[name].options) == len(choices), name


def test_menus_that_the_config_does_not_know_offer_what_the_reports_took(monkeypatch):
    no_machine(monkeypatch)
    monkeypatch.setattr("pages.shared.open_data.warm_up", threading.current_thread)
    drawn = widgets(open_page("train"))
    assert set(drawn["model.name"].options) == {spec.title for spec in MODELS.values()}
    assert {KNOBS["model.cut"].words(cut) for cut in ("", "-1", "1", "2", "20")} < set(drawn["model.cut"].options)
    assert {"None", "Whole backbone", "Up to layer2"} < set(drawn["model.freeze"].options)
    assert {"Random", "ImageNet", "A file"} <= set(drawn["model.weights"].options)
    assert {"28", "64", "128", "224"} <= set(drawn["data.size"].options)


def test_augmentations_stand_in_the_config_under_the_names_of_the_table():
    named = {name for changes in CHOSEN.values() for name in changes if name.startswith("augment.")}
    assert named <= set(KNOBS) and len(named) > 15


def test_what_no_report_turned_is_not_in_the_table():
    own = {"data.dataset", "data.split_seed", "data.train_fraction", "optim.warmup", "optim.clip", "train.accumulate",
           "train.label_smoothing", "train.focal_gamma", "train.mixup", "train.device", "train.precision", "train.threads",
           "train.compile"}
    turned = {name for changes in CHOSEN.values() for name in changes}
    assert turned <= set(KNOBS) - own and len(turned) == 70


def test_every_model_of_the_reports_is_in_the_table():
    assert {changes["model.name"] for changes in CHOSEN.values() if "model.name" in changes} >= set(MODELS) - {"densenet161"}


def test_the_code_of_r001_and_the_recipes_of_all_reports_are_there():
    assert parse("DenseNet169_da_0_ts_224_224_t_0_s_1_bs_16_XR_HUMERUS_binary").changes["train.batch_size"] == 16
    assert {recipe.report for recipe in RECIPES.values()} == {"", "R000", "R001", "R002", "R004"}
