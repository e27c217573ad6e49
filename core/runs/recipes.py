"""Settings that go together: a few to begin with, and those of the runs of the four reports.

    >>> apply(RunConfig(), "r001-densenet169").data.split                       # as the report did it
    'image'
    >>> apply(RunConfig(), "r001-densenet169", corrected=True).data.split       # without its mistakes
    'patient'

A recipe keeps the data set, the seed and the device. Where a report is silent a value is chosen here, and
`help` says so. Where a report's choice is a mistake the recipe keeps it, `help` says so too, and
`corrections` mends it. `reported` are the numbers that the report printed, to be compared with what was
obtained.

No torch here: pages list recipes at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.augment import PRESETS
from core.config import KNOBS, RunConfig
from core.errors import LightboxError
from core.runs.recipe_datasets import targets_of

GROUPS = {"": "Basic", "R000": "Body parts in MURA (report R000)", "R001": "Normal or abnormal in MURA (report R001)",
          "R002": "MedMNIST (report R002)", "R004": "COVID-19 mortality (report R004)"}


@dataclass(frozen=True)
class Recipe:
    """A set of settings with a name.

    Attributes:
        title, help: for people; help says what was chosen here and what the report got wrong
        changes: dotted setting -> value. What it does not name takes its default, where any recipe names it
            or where it is an augmentation
        report: a key of GROUPS
        reported: images -> metric -> the number as printed, in the words of core/metrics
        needs: the kind of data that the report used: "mura", "medmnist", "covid" or "" for any. A recipe
            works on every data set; the page only says which one it was made for
        corrections: further changes, without the report's mistakes
        target: the task, where the data set has it
        stand_in: the data set to use where the report's is not there
    """

    title: str
    help: str
    changes: Mapping[str, Any]
    report: str = ""
    reported: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    needs: str = ""
    corrections: Mapping[str, Any] = field(default_factory=dict)
    target: str = ""
    stand_in: str = ""


def _augmented(preset: str) -> dict[str, float]:
    return {f"augment.{name}": value for name, value in PRESETS[preset].changes.items()}


# The optimiser as the reports describe it: plain Adam, no decay, no warm-up. Lightbox's own defaults differ.
PLAIN_ADAM = {"optim.name": "adam", "optim.weight_decay": 0.0, "optim.warmup": 0.0,
              "optim.schedule": "constant"}

BASIC = {
    "quick": Recipe("Quick look", "A small network pretrained on X-rays of bones, small images, few epochs: "
                    "about a minute. Shows problems in the data before you wait for a long run.",
                    {"model.name": "squeezenet1_1", "model.weights": "run:phantom-body-part", "data.size": 64,
                     "train.epochs": 5, "train.batch_size": 32,
                     "optim.lr": 3e-4}),                         # at 0.001 a SqueezeNet collapses to one class
    "careful": Recipe("Careful", "ImageNet weights, 128 px, mild augmentation as between one X-ray exposure "
                      "and the next. Slow on a CPU.",
                      {"model.name": "resnet18", "model.weights": "imagenet", "data.size": 128,
                       "train.epochs": 15, "train.batch_size": 32, "optim.lr": 3e-4, **_augmented("gentle")}),
    "medmnist": Recipe("MedMNIST protocol", "As in MedMNIST v2 (Yang et al. 2023): ResNet-18 at 28 px, Adam "
                       "at 0.001, batch size 128, learning rate divided by 10 at 50 % and 75 % of 100 "
                       "epochs, no augmentation.",
                       {"model.name": "resnet18", "data.size": 28, "train.epochs": 100,
                        "train.batch_size": 128, **PLAIN_ADAM, "optim.schedule": "step"}),
    "snapshots": Recipe("Snapshots", "Five networks of one training (Huang et al. 2017): the learning rate falls to zero five "
                        "times, and the weights at the end of each cycle are kept. They can vote, or be averaged.",
                        {"model.name": "resnet18", "train.epochs": 25, "train.snapshots": 5, "optim.schedule": "cyclic",
                         "optim.cycles": 5}),
}


# -------------------------------------------------------------------------------------- R000: which body part

_R000 = {"data.size": 224, "data.resize": "stretch", "data.channels": 3, "data.split": "image",
         "data.val_fraction": 0.1, "data.test_fraction": 0.2, **PLAIN_ADAM, "optim.lr": 1e-4,
         "optim.schedule": "every", "optim.every": 5, "optim.factor": 0.5, "train.epochs": 15,
         "train.batch_size": 32, **_augmented("r000")}
_R000_HELP = ("{0} classifies elbow, shoulder and wrist on the 12,901 normal images of MURA's folder train (Add: these three "
              "parts, folder train, without abnormal images): 224 px, 15 epochs, Adam at 0.0001 (halved every 5 epochs), "
              "cross-entropy, augmentation of its Table 3, split 70:10:20. Not stated, so chosen here: batch size 32, random "
              "initial weights, images stretched to a square. Its split ignores patients: 88 % of its test images show a "
              "patient who is also in training, so its accuracy is too optimistic.")


def _r000(network: str, title: str, reported: dict[str, float]) -> Recipe:
    return Recipe(title, _R000_HELP.format(title), {"model.name": network, **_R000}, "R000",
                  {"test": reported}, "mura", {"data.split": "patient", "train.measure_train": True},
                  "body_part", "phantom")


R000 = {
    "r000-densenet169": _r000("densenet169", "DenseNet-169",
                              {"accuracy": 0.9810077519379845, "loss": 0.06210914945316522,
                               "train_accuracy": 0.9771, "val_accuracy": 0.9992}),
    "r000-resnet50": _r000("resnet50", "ResNet-50", {"accuracy": 0.98372, "loss": 0.04789}),
}


# ----------------------------------------------------------------------------------- R001: normal or abnormal

_R001 = {"data.size": 224, "data.resize": "crop", "data.channels": 3, "data.split": "image",
         "data.val_fraction": 0.1, "data.test_fraction": 0.0, **PLAIN_ADAM, "optim.lr": 1e-3,
         "train.class_weights": True, "train.monitor": "roc_auc", "train.epochs": 30, "train.patience": 5}
_R001_HOW = ("224 px, Adam, cross-entropy with class weights, 10 % of the training images for validation, "
             "early stopping by ROC AUC; the official test set is kept. Not stated, so chosen here: learning "
             "rate 0.001 (Keras's default), at most 30 epochs, patience 5. Its validation split ignores "
             "patients: 96 % of these images show a patient who is also in training, so the choice of the "
             "best epoch is biased.")
_R001_CORRECTED = {"data.split": "patient"}


def _metrics(loss: float, accuracy: float, auc: float, precision: float, recall: float, f1: float,
             kappa: float) -> dict:
    """A row of R001's table."""
    return {"loss": loss, "accuracy": accuracy, "roc_auc": auc, "macro_precision": precision,
            "macro_recall": recall, "macro_f1": f1, "cohen_kappa": kappa}


def _r001_densenet(depth: int, variant: str, reported: Mapping[str, Mapping[str, float]]) -> Recipe:
    words, more = {
        "": ("one linear layer on a frozen backbone", {}),
        "augmented": ("the same with rotation up to 30 degrees and flips both ways, which no radiograph "
                      "shows",
                      _augmented("r001")),
        "mlp": ("a head with hidden layers of 1024 and 512 and dropout 0.5; the report found it worse and "
                "prints no numbers",
                {"model.head": "mlp", "model.dropout": 0.5}),
    }[variant]
    title = f"DenseNet-{depth}" + {"": "", "augmented": ", augmented", "mlp": ", MLP head"}[variant]
    return Recipe(title, f"DenseNet-{depth} with ImageNet weights: {words}. Batch size 4, {_R001_HOW}",
                  {"model.name": f"densenet{depth}", "model.weights": "imagenet", "model.freeze": "all",
                   "train.batch_size": 4, **_R001, **more}, "R001", reported, "mura", _R001_CORRECTED,
                  "abnormality", "phantom-mura")


def _r001_cnn(layers: int, reported: Mapping[str, Mapping[str, float]], more: str = "") -> Recipe:
    return Recipe(f"Own CNN, {layers} layers", f"{layers} convolutions of 64 filters with shrinking kernels, "
                  "2 x 2 mean pooling with stride 1, spatial dropout and dropout 0.5, L2 of 0.01 on the "
                  f"head's weights and outputs, batch size 8, {_R001_HOW} Pooling with stride 1 does not "
                  "reduce the feature maps: the receptive field stays small and training is slow. Its loss, "
                  f"0.686, is that of guessing (0.693).{more}",
                  {"model.name": "cnn", "model.cnn_layers": layers, "model.cnn_kernels": "funnel_in",
                   "model.cnn_filters": "constant", "model.cnn_pool": "avg", "model.cnn_pool_size": 2,
                   "model.cnn_pool_stride": 1, "model.cnn_global_pool": "avg",
                   "model.cnn_spatial_dropout": 0.5, "model.dropout": 0.5, "model.cnn_l2_kernel": 0.01,
                   "model.cnn_l2_activity": 0.01, "train.batch_size": 8, **_R001}, "R001", reported, "mura",
                  {**_R001_CORRECTED, "model.cnn_pool_stride": 2}, "abnormality",
                  "phantom-mura")


# Rows of the report's tables: all seven parts together, and one network for each part.
_R001_REPORTED = {
    (121, ""): {"all": _metrics(.559, .720, .764, .729, .715, .714, .434),
                "wrist": _metrics(.681, .670, .718, .671, .666, .666, .335),
                "wrist, batches of 32": _metrics(1.105, .654, .696, .657, .649, .647, .301),
                "elbow": _metrics(.687, .662, .687, .662, .660, .660, .320)},
    (169, ""): {"all": _metrics(.548, .722, .772, .743, .715, .711, .436),
                "wrist": _metrics(.626, .690, .742, .700, .684, .681, .372),
                "elbow": _metrics(.640, .665, .703, .667, .661, .660, .324)},
    (201, ""): {"all": _metrics(.547, .724, .773, .734, .719, .718, .443),
                "wrist": _metrics(.664, .686, .731, .693, .681, .679, .365),
                "forearm, batches of 16": _metrics(.738, .641, .701, .646, .645, .642, .287)},
    (201, "augmented"): {"all": _metrics(.611, .703, .748, .742, .694, .684, .395) | {"val_roc_auc": .78}},
}

R001 = {
    "r001-cnn": _r001_cnn(5, {"all": _metrics(.686, .563, .606, .606, .575, .534, .146)}),
    "r001-cnn-3": _r001_cnn(3, {}, " With three layers the report found it worse and prints no numbers."),
    "r001-cnn-7": _r001_cnn(7, {}, " With seven layers the report found it marginally better and prints no "
                                   "numbers."),
    **{f"r001-densenet{depth}" + (f"-{variant}" if variant else ""):
       _r001_densenet(depth, variant, _R001_REPORTED.get((depth, variant), {}))
       for variant in ("", "augmented", "mlp") for depth in (121, 169, 201)},
}


# --------------------------------------------------------------------------------------------- R002: MedMNIST

_R002_SETS = ("pathmnist", "chestmnist", "dermamnist", "octmnist", "pneumoniamnist", "retinamnist",
              "breastmnist", "organamnist", "organcmnist", "organsmnist")
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
    how = ("simple transforms (flip, shift, rotate, crop, colour jitter, noise; it gives no ranges, these "
           "are moderate)"
           if augmented else "no augmentation")
    return Recipe(f"ResNet-{depth}" + (", simple transforms" if augmented else ""),
                  f"ResNet-{depth} at 28 px, {how}; the loss follows the task, validation chooses the best "
                  "epoch. Where the report is silent, the MedMNIST protocol: Adam at 0.001, batch size 128, "
                  "learning rate divided by 10 at 50 % and 75 % of 100 epochs. Its stem is the one for large "
                  "images, which leaves one pixel of a 28 px image at the end. Its ResNet-18 on BreastMNIST "
                  "predicts the majority class for every image: compare each number with the majority "
                  "baseline.",
                  {"model.name": f"resnet{depth}", "model.stem": "standard", "data.size": 28,
                   "train.epochs": 100, "train.batch_size": 128, **PLAIN_ADAM, "optim.lr": 1e-3,
                   "optim.schedule": "step", **(_augmented("r002") if augmented else {})},
                  "R002", _r002_reported(depth, augmented), "medmnist",
                  {"model.stem": "small", "train.class_weights": True}, stand_in="breastmnist")


R002 = {f"r002-resnet{depth}" + ("-simple" if augmented else ""): _r002(depth, augmented)
        for augmented in (False, True) for depth in (18, 50)}


# --------------------------------------------------------------------------------- R004: death within 30 days

_R004 = {"model.weights": "imagenet", "model.freeze": "all", "model.head": "concat", "model.dropout": 0.5,
         "model.normalise": "none", "data.size": 320, "data.channels": 3, "data.split": "image",
         "data.val_fraction": 0.2, "data.test_fraction": 0.0, **PLAIN_ADAM, "optim.lr": 1e-3,
         "train.epochs": 5, "train.batch_size": 64}
_R004_HOW = ("5 epochs, Adam at 0.001, split 4:1. 320 px and batch size 64 are those of its printed summary; "
             "the learning rate is constant, as no schedule is mentioned. ")
_R004_WRONG = ("It was evaluated on the images that chose the epoch, ignored patients, and did nothing about "
               "class imbalance (30 deaths among 278): always predicting survival is more accurate (0.892) "
               "than any of its networks.")
_R004_CORRECTED = {"data.split": "patient", "data.val_fraction": 0.15, "data.test_fraction": 0.2,
                   "train.class_weights": True}


def _counts(tp: int, fn: int, fp: int, tn: int, f1: float) -> dict[str, dict[str, float]]:
    return {"validation": {"true_positives": tp, "false_negatives": fn, "false_positives": fp,
                           "true_negatives": tn, "f1": f1}}


def _r004(title: str, what: str, reported: Mapping[str, Mapping[str, float]], **changes: Any) -> Recipe:
    more = {name.replace("__", "."): value for name, value in changes.items()}
    return Recipe(title, f"{what} {_R004_HOW}{_R004_WRONG}", {**_R004, **more}, "R004", reported, "covid",
                  _R004_CORRECTED)


def _r004_backbone(name: str, title: str, *counts: float) -> Recipe:
    return _r004(title, f"{title} with ImageNet weights, frozen, and a head with concatenated average and "
                 "max pooling (batch norm, dropout, 512, batch norm, dropout); no normalisation.",
                 _counts(*counts), model__name=name)


def _r004_cut(cut: str, title: str, what: str, *counts: float) -> Recipe:
    return _r004(title, f"SqueezeNet 1.0 {what}; the same head.", _counts(*counts),
                 model__name="squeezenet1_0", model__cut=cut)


R004 = {
    "r004-resnet18": _r004_backbone("resnet18", "ResNet-18", 4, 26, 23, 225, .14),
    "r004-resnet34": _r004_backbone("resnet34", "ResNet-34", 9, 21, 34, 214, .25),
    "r004-resnet50": _r004_backbone("resnet50", "ResNet-50", 16, 14, 98, 150, .22),
    "r004-squeezenet1_0": _r004_backbone("squeezenet1_0", "SqueezeNet 1.0", 15, 15, 44, 204, .33),
    "r004-squeezenet1_1": _r004_backbone("squeezenet1_1", "SqueezeNet 1.1", 6, 24, 46, 202, .15),
    "r004-normalised": _r004("SqueezeNet 1.0, normalised", "SqueezeNet 1.0 on images normalised with "
                             "ImageNet's mean and standard deviation; the same head.",
                             _counts(13, 17, 38, 210, .32), model__name="squeezenet1_0",
                             model__normalise="imagenet"),
    "r004-cut-none": _r004_cut("", "Cut None", "without a cut", 19, 11, 45, 203, .40),
    "r004-cut-minus-1": _r004_cut("-1", "Cut -1", "without the last of its two outermost modules",
                                                  12, 18, 47, 201, .27),
    "r004-cut-1": _r004_cut("1", "Cut 1", "with the first of its two outermost modules, the same as cut -1",
                            14, 16, 43, 205, .32),
    # The row's four numbers sum to 279, one more than there are images; they stand here as printed.
    "r004-cut-2": _r004_cut("2", "Cut 2", "with both of its outermost modules, so its outputs for ImageNet's "
                            "1,000 classes are the features", 8, 22, 29, 220, .24),
    "r004-cut-20": _r004_cut("20", "Cut 20", "cut after module 20; it has two, so nothing is cut off",
                             9, 21, 29, 219, .26),
    "r004-head-sgd": _r004("Head only, SGD", "ResNet-18 with ImageNet weights, frozen, and a linear head "
                           "trained by SGD with momentum 0.9; learning rate divided by 10 every 7 epochs. "
                           "The report's text says ResNet-50, its code builds ResNet-18. 21 epochs instead "
                           "of 5, or the rate would never fall; otherwise:", {},
                           model__name="resnet18", model__head="linear", model__dropout=0.0,
                           optim__name="sgd", optim__momentum=0.9, optim__schedule="every", optim__every=7,
                           optim__factor=0.1, train__epochs=21),
    "r004-survey": Recipe("Survey: DenseNet of two blocks", "A survey in the report shortens DenseNet-121: "
                          "the first two dense blocks, with six layers in the second, were best. Split "
                          "60:20:20, 20 epochs, Adam at 0.001. Not stated, so chosen here: 224 px, batch "
                          "size 32, random initial weights. The best of twelve settings was chosen and "
                          "reported on the same validation images: part of its lead is luck.",
                          {"model.name": "densenet121", "model.blocks": 2, "model.block_layers": 6,
                           "data.size": 224, "data.split": "image", "data.val_fraction": 0.2,
                           "data.test_fraction": 0.2, **PLAIN_ADAM, "optim.lr": 1e-3, "train.epochs": 20,
                           "train.batch_size": 32}, "R004",
                          {"validation": {"accuracy": .9038, "loss": .4107, "train_accuracy": .9883,
                                          "train_loss": .3345}},
                          "covid", {"data.split": "patient"}),
}

RECIPES: dict[str, Recipe] = {**BASIC, **R000, **R001, **R002, **R004}

# What belongs to a recipe: all that any of them names, every augmentation, and that no image is drawn twice.
SETTINGS = tuple(dict.fromkeys([
    "data.bootstrap",
    *(name for recipe in RECIPES.values() for name in (*recipe.changes, *recipe.corrections)),
    *(name for name in KNOBS if name.startswith("augment."))]))


def changes_of(key: str, corrected: bool = False) -> dict[str, Any]:
    """Return dotted setting -> value of everything that belongs to a recipe, defaults included.

    Raises LightboxError "recipe.unknown".
    """
    if key not in RECIPES:
        raise LightboxError("recipe.unknown", f"There is no recipe called {key[:80]!r}.",
                            f"There are: {', '.join(RECIPES)}.")
    recipe = RECIPES[key]
    defaults = {name: KNOBS[name].default for name in SETTINGS}
    return {**defaults, **recipe.changes, **(recipe.corrections if corrected else {})}


def apply(config: RunConfig, key: str, corrected: bool = False) -> RunConfig:
    """Return `config` with a recipe's settings. Data set, seeds, device and name stay; the task is the
    recipe's where the data set has it.

    Raises LightboxError "recipe.unknown".
    """
    changes, target = changes_of(key, corrected), RECIPES[key].target
    if target and target in targets_of(config.data.dataset):
        changes["data.target"] = target
    return config.with_(**changes)
