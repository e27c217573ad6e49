"""Settings that go together: a few to begin with, and those of each run of the four reports, on whatever data set is chosen.

    recipe = RECIPES["r001-densenet169"]
    config = apply(RunConfig(), "r001-densenet169")              # as the report did it
    config = apply(RunConfig(), "r001-densenet169", right=True)  # the same, without its mistakes

A recipe keeps the data set, the seed and the device. Where a report is silent a value is chosen here, and `help` says so. Where
a report's choice is a mistake the recipe keeps it, `help` says so too, and `right` holds what mends it. `reported` are the
numbers that the report printed, to be put beside what was obtained.

No torch here: pages list recipes at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from core.augment import PRESETS
from core.config import AugmentConfig, RunConfig, knob_of
from core.errors import LightboxError

GROUPS = {"": "To begin with", "R000": "R000, body parts", "R001": "R001, normal or abnormal", "R002": "R002, MedMNIST",
          "R004": "R004, COVID-19"}


@dataclass(frozen=True)
class Recipe:
    """A set of settings with a name.

    Attributes:
        title, help: for people; help says what was chosen here and what the report got wrong
        changes: dotted field -> value. What it does not name takes its default, where any recipe names it or where it is a
            random change of the images
        report: a key of GROUPS
        reported: what -> measure -> the number as printed, in the words of core/metrics
        needs: the kind of data that the report used: "mura", "medmnist", "covid" or "" for any. Only for words: a recipe works
            on every set
        right: further changes that mend the report's mistakes
        target: what it learns, where the set has it
        stand_in: the set that takes the place of the report's where that is not there
    """

    title: str
    help: str
    changes: Mapping[str, Any]
    report: str = ""
    reported: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    needs: str = ""
    right: Mapping[str, Any] = field(default_factory=dict)
    target: str = ""
    stand_in: str = ""


def _augmented(preset: str) -> dict[str, float]:
    return {f"augment.{name}": value for name, value in PRESETS[preset].changes.items()}


# The optimiser as the reports describe it: plain Adam, no decay, no warm-up. Lightbox's own defaults differ.
PLAIN_ADAM = {"optim.name": "adam", "optim.weight_decay": 0.0, "optim.warmup": 0.0, "optim.schedule": "constant"}

BEGIN = {
    "quick": Recipe("Quick look", "A small network that already knows bones, on small images for a few epochs: about a minute. "
                    "Shows whether the data are right before anything is worth waiting for.",
                    {"model.name": "squeezenet1_1", "model.weights": "run:phantom-body-part", "data.size": 64, "train.epochs": 5,
                     "train.batch_size": 32, "optim.lr": 3e-4}),             # at 0.001 a SqueezeNet falls to one class
    "careful": Recipe("Careful", "ImageNet's weights, 128 px, and small random changes of the images that an X-ray could have "
                      "by itself. Takes its time, best on a GPU.",
                      {"model.name": "resnet18", "model.weights": "imagenet", "data.size": 128, "train.epochs": 15,
                       "train.batch_size": 32, "optim.lr": 3e-4, **_augmented("gentle")}),
    "medmnist": Recipe("MedMNIST's protocol", "As in the experiments of MedMNIST v2 (Yang et al. 2023): ResNet-18 at 28 px, Adam "
                       "at 0.001, batches of 128, a tenth of the rate after half and after three quarters, no augmentation. "
                       "They train 100 epochs.",
                       {"model.name": "resnet18", "data.size": 28, "train.epochs": 100, "train.batch_size": 128,
                        **PLAIN_ADAM, "optim.schedule": "step"}),
}


# ------------------------------------------------------------------------------------------------------ R000: which body part

_R000 = {"data.size": 224, "data.resize": "stretch", "data.channels": 3, "data.split": "image", "data.val_fraction": 0.1,
         "data.test_fraction": 0.2, **PLAIN_ADAM, "optim.lr": 1e-4, "optim.schedule": "every", "optim.every": 5,
         "optim.factor": 0.5, "train.epochs": 15, "train.batch_size": 32, **_augmented("r000")}
_R000_HELP = ("{0} tells elbow, shoulder and wrist apart: 224 px, 15 epochs, Adam at 0.0001, halved every 5 epochs, "
              "cross-entropy, the random changes of its Table 3, images split 70:10:20. Not stated, so chosen here: batches of "
              "32, random numbers to start from, images stretched to a square. It split image by image: 88 % of its test images "
              "show a patient who is also in training, and the accuracy is too good.")


def _r000(network: str, title: str, reported: dict[str, float]) -> Recipe:
    return Recipe(title, _R000_HELP.format(title), {"model.name": network, **_R000}, "R000", {"test": reported}, "mura",
                  {"data.split": "patient", "train.measure_train": True}, "body_part", "phantom")


R000 = {
    "r000-densenet169": _r000("densenet169", "DenseNet-169", {"accuracy": 0.9810077519379845, "loss": 0.06210914945316522,
                                                              "train_accuracy": 0.9771, "val_accuracy": 0.9992}),
    "r000-resnet50": _r000("resnet50", "ResNet-50", {"accuracy": 0.98372, "loss": 0.04789}),
}


# ------------------------------------------------------------------------------------------------- R001: normal or abnormal

_R001 = {"data.size": 224, "data.resize": "crop", "data.channels": 3, "data.split": "image", "data.val_fraction": 0.1,
         "data.test_fraction": 0.0, **PLAIN_ADAM, "optim.lr": 1e-3, "train.class_weights": True, "train.monitor": "roc_auc",
         "train.epochs": 30, "train.patience": 5}
_R001_HOW = ("224 px, Adam, cross-entropy with balanced class weights, a tenth of the training images as validation, early "
             "stopping by ROC AUC; the set's own test part is kept. Not stated, so chosen here: a rate of 0.001 (Keras's), at "
             "most 30 epochs, stop after 5 without a better one. Its validation was taken image by image: 96 % of it show a "
             "patient who is also in training, so the best epoch is chosen too kindly.")
_R001_RIGHT = {"data.split": "patient"}


def _measures(loss: float, accuracy: float, auc: float, precision: float, recall: float, f1: float, kappa: float) -> dict:
    """A row of R001's table."""
    return {"loss": loss, "accuracy": accuracy, "roc_auc": auc, "macro_precision": precision, "macro_recall": recall,
            "macro_f1": f1, "cohen_kappa": kappa}


def _r001_densenet(depth: int, variant: str, reported: Mapping[str, Mapping[str, float]]) -> Recipe:
    words, more = {
        "": ("one linear layer on a frozen backbone", {}),
        "augmented": ("the same with turns up to 30 degrees and flips both ways, which no radiograph has", _augmented("r001")),
        "mlp": ("a head with hidden layers of 1024 and 512 and dropout 0.5; the report found it worse and prints no numbers",
                {"model.head": "mlp", "model.dropout": 0.5}),
    }[variant]
    title = f"DenseNet-{depth}" + {"": "", "augmented": ", augmented", "mlp": ", MLP head"}[variant]
    return Recipe(title, f"ImageNet's DenseNet-{depth}: {words}. Batches of 4, {_R001_HOW}",
                  {"model.name": f"densenet{depth}", "model.weights": "imagenet", "model.freeze": "all", "train.batch_size": 4,
                   **_R001, **more}, "R001", reported, "mura", _R001_RIGHT, "abnormality", "phantom-mura")


def _r001_cnn(layers: int, reported: Mapping[str, Mapping[str, float]], more: str = "") -> Recipe:
    return Recipe(f"Own CNN, {layers} layers", f"{layers} convolutions of 64 filters whose kernels shrink, average pooling of "
                  "2 x 2 with stride 1, spatial dropout and dropout 0.5, L2 of 0.01 on the last layer's weights and outputs, "
                  f"batches of 8, {_R001_HOW} Pooling with stride 1 makes no map smaller: the network sees little of the image "
                  f"and is slow. Its loss, 0.686, is that of guessing (0.693).{more}",
                  {"model.name": "cnn", "model.cnn_layers": layers, "model.cnn_kernels": "funnel_in",
                   "model.cnn_filters": "constant", "model.cnn_pool": "avg", "model.cnn_pool_size": 2,
                   "model.cnn_pool_stride": 1, "model.cnn_global_pool": "avg", "model.cnn_spatial_dropout": 0.5,
                   "model.dropout": 0.5, "model.cnn_l2_kernel": 0.01, "model.cnn_l2_activity": 0.01, "train.batch_size": 8,
                   **_R001}, "R001", reported, "mura", {**_R001_RIGHT, "model.cnn_pool_stride": 2}, "abnormality",
                  "phantom-mura")


# Rows of the report's tables: all seven parts together, and one network for each part.
_R001_REPORTED = {
    (121, ""): {"all": _measures(.559, .720, .764, .729, .715, .714, .434),
                "wrist": _measures(.681, .670, .718, .671, .666, .666, .335),
                "wrist, batches of 32": _measures(1.105, .654, .696, .657, .649, .647, .301),
                "elbow": _measures(.687, .662, .687, .662, .660, .660, .320)},
    (169, ""): {"all": _measures(.548, .722, .772, .743, .715, .711, .436),
                "wrist": _measures(.626, .690, .742, .700, .684, .681, .372),
                "elbow": _measures(.640, .665, .703, .667, .661, .660, .324)},
    (201, ""): {"all": _measures(.547, .724, .773, .734, .719, .718, .443),
                "wrist": _measures(.664, .686, .731, .693, .681, .679, .365),
                "forearm, batches of 16": _measures(.738, .641, .701, .646, .645, .642, .287)},
    (201, "augmented"): {"all": _measures(.611, .703, .748, .742, .694, .684, .395) | {"val_roc_auc": .78}},
}

R001 = {
    "r001-cnn": _r001_cnn(5, {"all": _measures(.686, .563, .606, .606, .575, .534, .146)}),
    "r001-cnn-3": _r001_cnn(3, {}, " With three layers the report found it worse and prints no numbers."),
    "r001-cnn-7": _r001_cnn(7, {}, " With seven layers the report found it marginally better and prints no numbers."),
    **{f"r001-densenet{depth}" + (f"-{variant}" if variant else ""):
       _r001_densenet(depth, variant, _R001_REPORTED.get((depth, variant), {}))
       for variant in ("", "augmented", "mlp") for depth in (121, 169, 201)},
}


# ------------------------------------------------------------------------------------------------------------- R002: MedMNIST

_R002_SETS = ("pathmnist", "chestmnist", "dermamnist", "octmnist", "pneumoniamnist", "retinamnist", "breastmnist", "organamnist",
              "organcmnist", "organsmnist")
# One number is misprinted in the report ("075226", OCT with ResNet-18) and is left out.
_R002_TABLE = {
    18: ((.98071, .69807, .90152, .95088, .96157, .71389, .49603, .99597, .98904, .96778),
         (.87549, .94524, .70324, None, .84295, .54000, .73077, .91758, .88652, .74755)),
    50: ((.98179, .69391, .89062, .94371, .95404, .71253, .86967, .99434, .99037, .96828),
         (.86335, .94537, .71334, .77201, .87512, .46500, .80128, .91233, .89506, .72795)),
}
_R002_AUGMENTED = {18: {"breastmnist": (.64536, .64744), "pneumoniamnist": (.94362, .80609)},
                   50: {"breastmnist": (.59273, .65385)}}


def _r002_reported(depth: int, augmented: bool) -> dict[str, dict[str, float]]:
    rows = _R002_AUGMENTED[depth] if augmented else dict(zip(_R002_SETS, zip(*_R002_TABLE[depth])))
    return {name: {key: value for key, value in zip(("roc_auc", "accuracy"), row) if value is not None}
            for name, row in rows.items()}


def _r002(depth: int, augmented: bool) -> Recipe:
    how = ("with the simple random changes (flip, shift, turn, crop, colours, noise); it gives no ranges, these are moderate ones"
           if augmented else "images as they are")
    return Recipe(f"ResNet-{depth}" + (", simple transforms" if augmented else ""),
                  f"ResNet-{depth} at 28 px, {how}; the loss follows the task of the set, validation chooses the best epoch. "
                  "Where the report is silent it is MedMNIST's protocol: Adam at 0.001, batches of 128, a tenth of the rate "
                  "after half and after three quarters of 100 epochs. Its network has the first layers for large images, which "
                  "leave one pixel of a 28 px image at the end. Its ResNet-18 on BreastMNIST gives every image the more frequent "
                  "class: put the majority's accuracy beside each number.",
                  {"model.name": f"resnet{depth}", "model.stem": "standard", "data.size": 28, "train.epochs": 100,
                   "train.batch_size": 128, **PLAIN_ADAM, "optim.lr": 1e-3, "optim.schedule": "step",
                   **(_augmented("r002") if augmented else {})},
                  "R002", _r002_reported(depth, augmented), "medmnist", {"model.stem": "small", "train.class_weights": True},
                  stand_in="breastmnist")


R002 = {f"r002-resnet{depth}" + ("-simple" if augmented else ""): _r002(depth, augmented)
        for augmented in (False, True) for depth in (18, 50)}


# -------------------------------------------------------------------------------------------------- R004: death within 30 days

_R004 = {"model.weights": "imagenet", "model.freeze": "all", "model.head": "concat", "model.dropout": 0.5,
         "model.normalise": "none", "data.size": 320, "data.channels": 3, "data.split": "image", "data.val_fraction": 0.2,
         "data.test_fraction": 0.0, **PLAIN_ADAM, "optim.lr": 1e-3, "train.epochs": 5, "train.batch_size": 64}
_R004_HOW = ("5 epochs, Adam at 0.001, images split 4:1. Its summary was printed at 320 px and batches of 64, so that is taken; "
             "the rate is constant, as nothing else is said. ")
_R004_WRONG = ("It judged on the images that chose the epoch, without regard to patients, and did nothing about 30 deaths among "
               "278: saying that all survive is right more often (0.892) than any of its networks.")
_R004_RIGHT = {"data.split": "patient", "data.val_fraction": 0.15, "data.test_fraction": 0.2, "train.class_weights": True}


def _counts(tp: int, fn: int, fp: int, tn: int, f1: float) -> dict[str, dict[str, float]]:
    return {"validation": {"true_positives": tp, "false_negatives": fn, "false_positives": fp, "true_negatives": tn, "f1": f1}}


def _r004(title: str, what: str, reported: Mapping[str, Mapping[str, float]], **changes: Any) -> Recipe:
    more = {name.replace("__", "."): value for name, value in changes.items()}
    return Recipe(title, f"{what} {_R004_HOW}{_R004_WRONG}", {**_R004, **more}, "R004", reported, "covid", _R004_RIGHT)


def _r004_backbone(name: str, title: str, *counts: float) -> Recipe:
    return _r004(title, f"ImageNet's {title}, frozen, under a head that joins average and maximum (batch norm, dropout, 512, "
                 "batch norm, dropout); images are not normalised.", _counts(*counts), model__name=name)


def _r004_cut(cut: str, title: str, what: str, *counts: float) -> Recipe:
    return _r004(title, f"SqueezeNet 1.0 {what}; the head is the same.", _counts(*counts), model__name="squeezenet1_0",
                 model__cut=cut)


R004 = {
    "r004-resnet18": _r004_backbone("resnet18", "ResNet-18", 4, 26, 23, 225, .14),
    "r004-resnet34": _r004_backbone("resnet34", "ResNet-34", 9, 21, 34, 214, .25),
    "r004-resnet50": _r004_backbone("resnet50", "ResNet-50", 16, 14, 98, 150, .22),
    "r004-squeezenet1_0": _r004_backbone("squeezenet1_0", "SqueezeNet 1.0", 15, 15, 44, 204, .33),
    "r004-squeezenet1_1": _r004_backbone("squeezenet1_1", "SqueezeNet 1.1", 6, 24, 46, 202, .15),
    "r004-normalised": _r004("SqueezeNet 1.0, normalised", "SqueezeNet 1.0 with ImageNet's means and deviations taken out of the "
                             "images; the head is the same.", _counts(13, 17, 38, 210, .32), model__name="squeezenet1_0",
                             model__normalise="imagenet"),
    "r004-cut-none": _r004_cut("", "Cut None", "with its usual end", 19, 11, 45, 203, .40),
    "r004-cut-minus-1": _r004_cut("-1", "Cut -1", "without the last of its two outermost parts", 12, 18, 47, 201, .27),
    "r004-cut-1": _r004_cut("1", "Cut 1", "with the first of its two outermost parts, which is the same as cut -1",
                            14, 16, 43, 205, .32),
    # The row's four numbers sum to 279, one more than there are images; they stand here as printed.
    "r004-cut-2": _r004_cut("2", "Cut 2", "with both of its outermost parts, so its answers for ImageNet's 1,000 classes are "
                            "the features", 8, 22, 29, 220, .24),
    "r004-cut-20": _r004_cut("20", "Cut 20", "cut after part 20, of which it has two, so that nothing is cut off",
                             9, 21, 29, 219, .26),
    "r004-head-sgd": _r004("Head only, SGD", "ImageNet's ResNet-18, frozen, with one linear layer that learns by SGD with "
                           "momentum 0.9; a tenth of the rate every 7 epochs. The report's text says ResNet-50, its code builds "
                           "ResNet-18. 21 epochs instead of 5, or the rate would never fall; otherwise:", {},
                           model__name="resnet18", model__head="linear", model__dropout=0.0, optim__name="sgd",
                           optim__momentum=0.9, optim__schedule="every", optim__every=7, optim__factor=0.1, train__epochs=21),
    "r004-survey": Recipe("Survey: DenseNet of two blocks", "A survey in the report cuts DenseNet-121 down: its first two dense "
                          "blocks, six layers in the second, was best. 60:20:20, 20 epochs, Adam at 0.001. Not stated, so chosen "
                          "here: 224 px, batches of 32, random numbers to start from. Twelve settings were compared on the "
                          "validation images that then report the winner: a part of its lead is luck.",
                          {"model.name": "densenet121", "model.blocks": 2, "model.block_layers": 6, "data.size": 224,
                           "data.split": "image", "data.val_fraction": 0.2, "data.test_fraction": 0.2, **PLAIN_ADAM,
                           "optim.lr": 1e-3, "train.epochs": 20, "train.batch_size": 32}, "R004",
                          {"validation": {"accuracy": .9038, "loss": .4107, "train_accuracy": .9883, "train_loss": .3345}},
                          "covid", {"data.split": "patient"}),
}

RECIPES: dict[str, Recipe] = {**BEGIN, **R000, **R001, **R002, **R004}

# What belongs to a recipe: all that any of them names, and every random change of the images.
SETTINGS = tuple(dict.fromkeys([*(name for recipe in RECIPES.values() for name in (*recipe.changes, *recipe.right)),
                                *(f"augment.{f.name}" for f in fields(AugmentConfig))]))


def changes_of(key: str, right: bool = False) -> dict[str, Any]:
    """Dotted field -> value of everything that belongs to a recipe, defaults included.

    Raises LightboxError "recipe.unknown".
    """
    if key not in RECIPES:
        raise LightboxError("recipe.unknown", f"There is no recipe called {key[:80]!r}.", f"There are: {', '.join(RECIPES)}.")
    recipe = RECIPES[key]
    return {name: knob_of(name).default for name in SETTINGS} | dict(recipe.changes) | (dict(recipe.right) if right else {})


def apply(config: RunConfig, key: str, right: bool = False) -> RunConfig:
    """`config` with a recipe's settings. Data set, seeds, device and name stay; the target is the recipe's where the set has it.

    Raises LightboxError "recipe.unknown".
    """
    changes, target = changes_of(key, right), RECIPES[key].target
    if target and target in targets_of(config.data.dataset):
        changes["data.target"] = target
    return config.with_(**changes)


def targets_of(dataset: str) -> tuple[str, ...]:
    """What can be learned from MURA and from phantoms, by name or path, without opening them; () for every other set."""
    from core.datasets import DATASETS
    from core.datasets.custom import load_custom_dataset
    from core.datasets.mura import is_mura
    both = ("abnormality", "body_part")
    try:
        if dataset in DATASETS:
            return both if dataset.startswith("phantom") else ()
        if own := load_custom_dataset(dataset):
            possible = {"abnormality": own.options.get("abnormal", True), "body_part": len(own.options.get("parts") or both) > 1}
            return tuple(name for name, there in possible.items() if there) if own.format in ("mura", "phantom") else ()
        return both if is_mura(Path(dataset).expanduser()) else ()
    except (LightboxError, OSError, ValueError):
        return ()


def is_of(needs: str, dataset: str) -> bool:
    """Whether a set is of the kind that a recipe needs. Any set of one's own may be the X-rays of a hospital ("covid")."""
    from core.datasets import DATASETS
    return dataset in DATASETS and not dataset.startswith("phantom") if needs == "medmnist" else needs == "covid"


def sets_for(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """(name, title) of the sets on which a recipe was meant to run: those of that kind that were added, else its stand-in."""
    from core.datasets import DATASETS
    from core.datasets.custom import list_custom_datasets
    own = [(own.name, own.title) for own in list_custom_datasets() if own.format == recipe.needs]
    yield from own
    if not own and recipe.stand_in:
        yield recipe.stand_in, DATASETS[recipe.stand_in].info().title
