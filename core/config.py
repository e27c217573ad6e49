"""Every number that a person may turn: its default, meaning, unit and limits. All of it is here.

A `RunConfig` is five small frozen dataclasses. Each field is made by `knob`, which keeps the label and the help that the
form shows, and the limits that `check` enforces. So a knob is written down once:

    default and help -> the form in pages/         config.optim.lr -> the trainer
    `--set optim.lr=0.001` -> the command line    config.json -> the run's folder

To add one: a field here, a widget in pages/shared/config_form.py if it should be seen, a use in the trainer.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import os
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from core.errors import LightboxError


class Task(StrEnum):
    """What is learned from an image, in MedMNIST's words. A member is its text: `Task.BINARY == "binary-class"`."""

    BINARY = "binary-class"
    MULTICLASS = "multi-class"
    MULTILABEL = "multi-label, binary-class"      # several findings, each there or not
    ORDINAL = "ordinal-regression"                # grades


class Split(StrEnum):
    """The three parts of a data set. A member is its text: `Split.VAL == "val"`."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


SPLIT_NAMES = {Split.TRAIN: "training", Split.VAL: "validation", Split.TEST: "test"}      # for a sentence


def home() -> Path:
    """The folder for data, stores and runs: LIGHTBOX_HOME, by default ~/.lightbox."""
    return Path(os.environ.get("LIGHTBOX_HOME") or Path.home() / ".lightbox").expanduser()


def knob(default, label: str, help: str, *, low=None, high=None, choices=None, unit: str = ""):
    """A dataclass field that knows how to explain and check itself. `low` and `high` are allowed values, both included."""
    return field(default=default, metadata={"label": label, "help": help, "low": low, "high": high,
                                            "choices": choices, "unit": unit})


@dataclass(frozen=True)
class DataConfig:
    """Which images, at which size, split how."""

    dataset: str = knob("phantom", "Data set", "A name such as phantom or breastmnist, or the path of a folder or an .npz file.")
    target: str = knob("", "Task", "Which column of labels to learn, where a set has several. Empty: the set's first.")
    size: int = knob(64, "Image size", "Images are brought to this many pixels a side. Larger shows finer detail and costs "
                     "time and memory with its square.", low=16, high=512, unit="px")
    resize: str = knob("pad", "Resize", "How an image that is not square becomes square: pad adds black bars and keeps the "
                       "shape, stretch distorts it, crop cuts the longer side.", choices=("pad", "stretch", "crop"))
    channels: int = knob(0, "Channels", "1 is gray, 3 is colour, 0 takes what the set has.", choices=(0, 1, 3))
    split: str = knob("auto", "Split", "official keeps the split that the set came with (a missing validation part is taken from "
                      "training, by patient). patient makes a new one that keeps all images of a patient together, study all "
                      "images of a study. image ignores both, to show what that does. auto takes official where there is one, "
                      "else patient.", choices=("auto", "official", "patient", "study", "image"))
    val_fraction: float = knob(0.15, "Validation share", "Share of the images for choosing the best epoch.", low=0.01, high=0.5)
    test_fraction: float = knob(0.15, "Test share", "Share of the images kept shut until the end. With 0 no images are taken for "
                                "it: a test part that the set came with stays as it is, another set has none.", low=0.0, high=0.5)
    split_seed: int = knob(0, "Split seed", "The same seed gives the same split.", low=0, high=2**31 - 1)
    folds: int = knob(0, "Folds", "0 makes one validation part. 5 cuts all that is not test into five folds: one is validation, "
                      "the others train. Five runs, each with another fold, use every image once for validation.", low=0, high=20)
    fold: int = knob(0, "Fold", "Which fold is validation, counted from 0. The test part is the same for all.", low=0, high=19)
    train_fraction: float = knob(1.0, "Share of training", "Less than 1 trains on a part of the training images, to see what "
                                 "more of them would bring (a learning curve). Validation and test stay as they are, and a "
                                 "smaller share is a part of a larger one.", low=0.01, high=1.0)


@dataclass(frozen=True)
class ModelConfig:
    """Which network, what it starts from, how much of it learns. What begins with cnn_ is for the network `cnn` alone."""

    name: str = knob("resnet18", "Network", "The architecture. Start with a small one: it shows sooner whether the data "
                     "are right.")
    weights: str = knob("none", "Start from", "none starts from random weights, imagenet from torchvision's weights, "
                        "run:<id> from the best epoch of a finished run, or from a classifier that came with the app, "
                        "file:<path> from a safetensors file of your own, such as CheXNet's.")
    stem: str = knob("auto", "Stem", "The first layers. small keeps the resolution of little images (3x3 convolution, no early "
                     "pooling); standard is torchvision's. auto is small up to 64 px.", choices=("auto", "small", "standard"))
    cut: str = knob("", "Cut", "Where the backbone ends. Empty: the whole of it. A stage such as layer3 keeps all up to that "
                    "one. A number counts the network's outermost parts as fastai does: -1 leaves out the last, 1 keeps the "
                    "first.")
    blocks: int = knob(0, "Dense blocks", "Keeps only the first blocks of a DenseNet. 0 keeps all four.", low=0, high=4)
    block_layers: int = knob(0, "Layers in the last block", "Keeps only the first layers of the last block that is kept. 0 keeps "
                             "all.", low=0, high=64)
    head: str = knob("linear", "Head", "What turns features into answers. linear is one layer; mlp has two hidden layers of 1024 "
                     "and 512; concat joins average and maximum of each feature, with batch norm and a hidden layer of 512.",
                     choices=("linear", "mlp", "concat"))
    dropout: float = knob(0.0, "Dropout", "Chance that a feature is hidden from the head's layers during training.",
                          low=0.0, high=0.9)
    freeze: str = knob("none", "Freeze", "What keeps the weights that it starts with. none learns everything, all learns only "
                       "the head, a stage such as layer2 keeps everything up to that one.")
    unfreeze_epoch: int = knob(0, "Unfreeze after", "After this many epochs everything learns. 0: what is frozen stays so.",
                               low=0, high=1000, unit="epochs")
    normalise: str = knob("auto", "Normalise", "What is subtracted from the pixels and what they are divided by. imagenet: "
                          "ImageNet's means and deviations; own: those of the training images; half: 0.5 and 0.5; none: nothing. "
                          "auto is imagenet with ImageNet's weights, the earlier run's with run:<id>, else half.",
                          choices=("auto", "imagenet", "own", "half", "none"))
    cnn_layers: int = knob(5, "Convolutions", "How many convolutions follow each other.", low=1, high=10)
    cnn_kernels: str = knob("constant", "Kernel growth", "constant: 3x3 everywhere. funnel_out: layer i has kernels of 2i + 1 "
                            "(3, 5, 7 ...). funnel_in: the same from the other end (7, 5, 3).",
                            choices=("constant", "funnel_out", "funnel_in"))
    cnn_filters: str = knob("constant", "Filter growth", "constant: 64 filters everywhere. funnel_out: layer i has 2^(i+4) (32, "
                            "64, 128 ...). funnel_in: layer i has 2^(8-i) (128, 64, 32 ...).",
                            choices=("constant", "funnel_out", "funnel_in"))
    cnn_pool: str = knob("max", "Local pooling", "What a small window of the map becomes after each convolution: its largest, "
                         "mean or smallest value.", choices=("max", "avg", "min"))
    cnn_pool_size: int = knob(2, "Pooling window", "Pixels a side of that window. 1: no pooling.", low=1, high=5, unit="px")
    cnn_pool_stride: int = knob(2, "Pooling stride", "Steps between windows. 2 halves the map; with 1 it keeps its size, and the "
                                "network hardly sees further than its kernels.", low=1, high=4, unit="px")
    cnn_global_pool: str = knob("avg", "Global pooling", "What a whole map becomes before the head.",
                                choices=("max", "avg", "min"))
    cnn_spatial_dropout: float = knob(0.0, "Spatial dropout", "Chance that a whole map is hidden after a convolution.",
                                      low=0.0, high=0.9)
    cnn_l2_kernel: float = knob(0.0, "L2 on the kernel", "Adds this times the squared weights of the head to the loss.",
                                low=0.0, high=1.0)
    cnn_l2_activity: float = knob(0.0, "L2 on the activity", "Adds this times the squared outputs of the head, as a mean over "
                                  "the batch, to the loss: the network is kept from being too sure.", low=0.0, high=1.0)


@dataclass(frozen=True)
class OptimConfig:
    """How the weights move."""

    name: str = knob("adamw", "Optimiser", "The rule that turns gradients into steps.", choices=("adamw", "adam", "sgd"))
    lr: float = knob(1e-3, "Learning rate", "Size of a step. Too large: the loss jumps or becomes NaN. Too small: nothing moves.",
                     low=1e-7, high=10.0)
    backbone_lr: float = knob(1.0, "Backbone's rate", "Learning rate of the backbone as a share of the head's. Less than 1 "
                              "spares what it knows already.", low=0.0001, high=1.0)
    weight_decay: float = knob(1e-2, "Weight decay", "Pull of the weights towards zero.", low=0.0, high=1.0)
    momentum: float = knob(0.9, "Momentum", "Share of the last step that SGD keeps. Adam has its own.", low=0.0, high=0.999)
    schedule: str = knob("cosine", "Schedule", "How the learning rate changes: constant stays; cosine falls smoothly to zero; "
                         "step is divided by ten at 50 % and 75 %; every is multiplied by a factor each few epochs; one_cycle "
                         "rises for 30 % of the training and falls to almost nothing.",
                         choices=("constant", "cosine", "step", "every", "one_cycle"))
    every: int = knob(5, "Every", "With the schedule every: after so many epochs the rate changes.", low=1, high=1000,
                      unit="epochs")
    factor: float = knob(0.5, "Times", "With the schedule every: by this the rate is multiplied.", low=0.01, high=1.0)
    warmup: float = knob(0.05, "Warm-up", "Share of the training in which the learning rate rises from zero.", low=0.0, high=0.5)
    clip: float = knob(0.0, "Clip the gradient", "A gradient longer than this is shortened to it. 0: never.",
                       low=0.0, high=1000.0)


@dataclass(frozen=True)
class AugmentConfig:
    """Random changes of the training images, so that the network sees each one a little differently every time."""

    flip: float = knob(0.0, "Flip left-right", "Chance of a mirror image. Careful: it also mirrors the letters L and R, and puts "
                       "the heart on the other side.", low=0.0, high=1.0)
    flip_vertical: float = knob(0.0, "Flip up-down", "Chance of being turned over, top to bottom.", low=0.0, high=1.0)
    crop: float = knob(0.0, "Crop", "Each of the four sides loses up to this share of the image; what is left fills the image.",
                       low=0.0, high=0.4)
    scale: float = knob(0.0, "Scale", "Larger or smaller by up to this share.", low=0.0, high=0.5)
    shear: float = knob(0.0, "Shear", "The top is pushed to one side and the bottom to the other: upright lines lean by up to "
                        "this angle.", low=0.0, high=45.0, unit="degrees")
    rotate: float = knob(0.0, "Rotate", "Up to this angle to either side.", low=0.0, high=180.0, unit="degrees")
    shift: float = knob(0.0, "Shift", "Up to this share of the image's side, to the left or right and up or down.",
                        low=0.0, high=0.5)
    blur: float = knob(0.0, "Gaussian blur", "Chance of being made less sharp.", low=0.0, high=1.0)
    blur_sigma: float = knob(0.5, "Blur up to", "Standard deviation of the Gaussian, in pixels of the image as the network gets "
                             "it. Each blurred image has a value between 0 and this.", low=0.0, high=5.0, unit="px")
    brightness: float = knob(0.0, "Brightness", "Added or taken away, up to this share of the full range.", low=0.0, high=0.5)
    contrast: float = knob(0.0, "Contrast", "Stretched or squeezed about the mean by up to this share.", low=0.0, high=0.9)
    linear_contrast: float = knob(0.0, "Linear contrast", "Chance that gray values are stretched or squeezed about mid-gray.",
                                  low=0.0, high=1.0)
    linear_contrast_low: float = knob(0.75, "Linear contrast from", "Least factor: below 1 gray values move towards mid-gray.",
                                      low=0.0, high=1.0)
    linear_contrast_high: float = knob(1.5, "Linear contrast to", "Largest factor: above 1 they move away from mid-gray.",
                                       low=1.0, high=4.0)
    multiply: float = knob(0.0, "Multiply", "Chance that all gray values are multiplied by a number.", low=0.0, high=1.0)
    multiply_low: float = knob(0.8, "Multiply from", "Least factor: below 1 the image is darker.", low=0.0, high=1.0)
    multiply_high: float = knob(1.2, "Multiply to", "Largest factor: above 1 the image is brighter.", low=1.0, high=4.0)
    saturation: float = knob(0.0, "Saturation", "Colours paler or stronger by up to this share. Gray images have none.",
                             low=0.0, high=1.0)
    hue: float = knob(0.0, "Hue", "Colours turn on the colour circle by up to this share of it, to either side; 0.5 is the "
                      "opposite colour.", low=0.0, high=0.5)
    noise: float = knob(0.0, "Gaussian noise", "Chance of grain: each pixel gets a random number of its own added.",
                        low=0.0, high=1.0)
    noise_scale: float = knob(0.05, "Noise strength", "Standard deviation of the noise, as a share of the full range from black "
                              "to white.", low=0.0, high=0.5)
    noise_per_channel: float = knob(0.5, "Noise per channel", "Chance that a noisy image gets other noise in red, green and blue "
                                    "(coloured grain) instead of the same in all three.", low=0.0, high=1.0)


@dataclass(frozen=True)
class TrainConfig:
    """How long, in which portions, towards what, on what."""

    epochs: int = knob(10, "Epochs", "How many times the network sees every training image.", low=1, high=1000)
    batch_size: int = knob(64, "Batch size", "Images in one step. Larger is faster on a GPU and needs more memory.",
                           low=2, high=4096, unit="images")
    accumulate: int = knob(1, "Accumulate", "Gradients of so many batches are added up before a step: a large batch in little "
                           "memory.", low=1, high=64, unit="batches")
    loss: str = knob("auto", "Loss", "What training makes small. auto: cross-entropy, or one yes-or-no entropy for each of "
                     "several findings. focal looks more at what is hard. ordinal makes an answer two grades off worse than one "
                     "grade off.",
                     choices=("auto", "focal", "ordinal"))
    label_smoothing: float = knob(0.0, "Label smoothing", "This share of the truth is spread over all classes, so that the "
                                  "network does not become too sure.", low=0.0, high=0.5)
    focal_gamma: float = knob(2.0, "Focal gamma", "How much the focal loss leaves out what is easy. 0 is cross-entropy.",
                              low=0.0, high=10.0)
    class_weights: bool = knob(False, "Class weights", "Give rare classes more weight in the loss, "
                               "as much as they are rarer.")
    sampling: str = knob("shuffle", "Sampling", "shuffle shows every image once an epoch; balanced draws classes equally often, "
                         "so images of rare ones come again.", choices=("shuffle", "balanced"))
    mixup: float = knob(0.0, "Mixup", "Two images and their labels are mixed, by a share from Beta(a, a) with this a. 0: never.",
                        low=0.0, high=4.0)
    monitor: str = knob("roc_auc", "Best epoch by", "The measure on the validation images that chooses the best epoch, and stops "
                        "early.", choices=("roc_auc", "loss", "accuracy", "balanced_accuracy", "average_precision", "macro_f1",
                                           "cohen_kappa", "quadratic_kappa"))
    patience: int = knob(0, "Stop early", "Ends when that measure has not become better for so many epochs. 0: never.",
                         low=0, high=1000, unit="epochs")
    measure_train: bool = knob(False, "Measure training fairly", "After each epoch the training images are measured like the "
                               "validation images: unchanged, and with the weights at the epoch's end. Costs time; without it "
                               "their numbers come from changed images while the weights move.")
    copies: int = knob(4, "Changed copies", "A frozen backbone computes the features of each training image once. With random "
                       "changes it does so for this many changed copies, and the epochs take them in turn.", low=1, high=64)
    seed: int = knob(0, "Seed", "Start value of all chance in this run. Same seed, same machine: same result on the CPU.",
                     low=0, high=2**31 - 1)
    device: str = knob("auto", "Device", "auto takes the GPU where there is one; or cpu, cuda:0, mps.")
    precision: str = knob("auto", "Precision", "bfloat16 keeps 8 of the 24 digits of float32 and is faster on recent "
                          "machines. auto: bfloat16 on a CUDA GPU that has it; on the CPU what a few steps at the start show to "
                          "be faster. Validation is always float32.", choices=("auto", "float32", "bfloat16"))
    threads: int = knob(0, "CPU threads", "0 tries a few counts at the start and takes the fastest, which depends on what else "
                        "the machine does. With a number, the same run ends in the same bits whatever else it "
                        "does.", low=0, high=256)
    compile: str = knob("auto", "Compile", "PyTorch can rewrite the step for a GPU, which takes a minute first. auto does so "
                        "where the run is long enough to gain by it.", choices=("auto", "on", "off"))


@dataclass(frozen=True)
class RunConfig:
    """Everything that makes a run: enough to run it again."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    name: str = ""   # only text: a run is known by its id

    def check(self) -> RunConfig:
        """Return self, or raise LightboxError "config.value" naming the first field out of its limits."""
        for section, f in knobs():
            value, m = getattr(getattr(self, section), f.name), f.metadata
            where = f"{section}.{f.name}"
            if m["choices"] and value not in m["choices"]:
                raise LightboxError("config.value", f"{where} is {value!r}.",
                                    f"It can be {', '.join(map(str, m['choices']))}.")
            if isinstance(value, float) and not math.isfinite(value):
                raise LightboxError("config.value", f"{where} is {value}.", "Give a finite number.")
            if m["low"] is not None and value < m["low"] or m["high"] is not None and value > m["high"]:
                raise LightboxError("config.value", f"{where} is {value}.", f"It must lie between {m['low']} and {m['high']}.")
        if self.data.val_fraction + self.data.test_fraction > 0.9:
            raise LightboxError("config.value", "Validation and test together take more than 90 % of the images.",
                                "Make data.val_fraction or data.test_fraction smaller.")
        return self

    def with_(self, **changes: Any) -> RunConfig:
        """A copy with dotted fields changed: `config.with_(**{"optim.lr": 0.01, "train.epochs": 5})`.

        Strings are read as the field's type, so that a command line and a form end in the same place.
        Raises LightboxError "config.field" for a field that does not exist, "config.value" for a value that does not fit.
        """
        config = self
        for name, value in changes.items():
            section, _, key = name.partition(".")
            if name == "name":
                config = dataclasses.replace(config, name=str(value))
                continue
            known = _by_name()
            if name not in known:
                raise LightboxError("config.field", f"There is no setting called {name}.",
                                    f"There are: {', '.join(known)}.")
            part = getattr(config, section)
            part = dataclasses.replace(part, **{key: _as_type(name, value, type(known[name].default))})
            config = dataclasses.replace(config, **{section: part})
        return config.check()

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2)

    @staticmethod
    @functools.lru_cache(maxsize=1024)             # lists of runs ask for the same few again and again
    def from_json(text: str) -> RunConfig:
        """Read what `to_json` wrote. Fields that this version does not know are ignored, missing ones take their default.

        Raises LightboxError "config.damaged" for what is no such JSON, "config.value" for a value that does not fit.
        """
        try:
            raw = json.loads(text)
            known = {f"{section}.{f.name}" for section, f in knobs()}
            given = {f"{section}.{key}": value for section in SECTIONS for key, value in raw.get(section, {}).items()}
            name = str(raw.get("name", ""))
        except (ValueError, AttributeError):
            raise LightboxError("config.damaged", "The settings of this run cannot be read.",
                                "The file config.json was changed or damaged: put it back from a copy.") from None
        return RunConfig().with_(**{key: value for key, value in given.items() if key in known}, name=name)


SECTIONS = {"data": DataConfig, "model": ModelConfig, "optim": OptimConfig, "augment": AugmentConfig, "train": TrainConfig}


def knobs():
    """All (section, dataclass field) pairs in the order in which they are written above."""
    return [(section, f) for section, cls in SECTIONS.items() for f in dataclasses.fields(cls)]


def knob_of(name: str):
    """The field of a dotted name: `knob_of("optim.lr").metadata["help"]`."""
    return _by_name()[name]


@functools.cache                                   # a page asks for a hundred of them each time it is drawn
def _by_name() -> dict[str, Any]:
    return {f"{section}.{f.name}": f for section, f in knobs()}


def _as_type(name: str, value: Any, kind: type) -> Any:
    try:
        if kind is bool and isinstance(value, str):
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[value.lower()]
        if kind is int and isinstance(value, str):
            return int(value)
        if kind is int and float(value) != int(value):
            raise ValueError(value)
        return kind(value)
    except (ValueError, TypeError, KeyError, OverflowError):
        raise LightboxError("config.value", f"{name} is {value!r}.", f"It must be of the kind {kind.__name__}.") from None
