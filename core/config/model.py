"""Settings of the network."""

from __future__ import annotations

from dataclasses import dataclass

from core.config.knob import knob

CNN = {"group": "cnn", "shown_if": {"model.name": "cnn"}}
POOLING = {"max": "Max", "avg": "Mean", "min": "Min"}


@dataclass(frozen=True)
class ModelConfig:
    """Which network, its initial weights, which layers train. What begins with cnn_ is for `cnn` alone."""

    name: str = knob(
        "resnet18", "Network", "The architecture. Begin with a small one: it shows sooner whether the data "
        "are right.", group="network")
    weights: str = knob(
        "none", "Initial weights", "none: random. imagenet: torchvision's, trained on ImageNet. run:<id>: "
        "the best epoch of a finished run, or a classifier that came with the app. file:<path>: a "
        "safetensors file of your own, such as CheXNet's.",
        offered={"none": "Random", "imagenet": "ImageNet"}, group="network")
    head: str = knob(
        "linear", "Head", "The classifier on top of the features. linear: one layer. mlp: hidden layers of "
        "1024 and 512. concat: global average and max pooling concatenated, batch norm, a hidden layer of "
        "512.", choices={"linear": "Linear", "mlp": "MLP (1024, 512)", "concat": "Concat pooling, 512"})
    dropout: float = knob(
        0.0, "Dropout", "Probability that a feature is dropped in the head during training.", low=0.0,
        high=0.9, step=0.05, grid=(0.0, 0.2, 0.5))
    cut: str = knob(
        "", "Backbone cut", "Where the backbone ends. Empty: nothing is cut. A stage such as layer3: the "
        "last one kept. A number counts the outermost modules as fastai does: -1 drops the last, 1 keeps "
        "the first.",
        offered={"": "None", "-1": "Without the last module (-1)", "1": "After module 1",
                 "2": "After module 2", "20": "After module 20"})
    freeze: str = knob(
        "none", "Frozen layers", "Layers that keep their initial weights. none: every layer trains. all: "
        "only the head trains. A stage such as layer2: everything up to it is frozen.",
        offered={"none": "None", "all": "Whole backbone"})
    unfreeze_epoch: int = knob(
        0, "Unfreeze after", "After this many epochs every layer trains. 0: frozen layers stay frozen.",
                             low=0,
        high=1000, unit="epochs", hidden_if={"model.freeze": "none"})
    blocks: int = knob(
        0, "Dense blocks", "Keep only the first blocks of a DenseNet. 0: all four.", low=0, high=4, step=1,
        shown_if={"model.name": "densenet*"})
    block_layers: int = knob(
        0, "Layers in the last block", "Keep only the first layers of the last block. 0: all.", low=0,
        high=64, shown_if={"model.name": "densenet*"})
    normalise: str = knob(
        "auto", "Normalisation", "Mean and standard deviation for normalising the input. imagenet: "
        "ImageNet's. own: those of the training images. half: 0.5 and 0.5. none: no normalisation. auto: "
        "imagenet with ImageNet weights, the earlier run's with run:<id>, else half.",
        choices={"auto": "Automatic", "imagenet": "ImageNet", "own": "Training images", "half": "0.5 and 0.5",
                 "none": "None"})
    stem: str = knob(
        "auto", "Stem", "The first layers. small: for small images (3x3 convolution, no early pooling). "
        "standard: torchvision's. auto: small up to 64 px.",
        choices={"auto": "Small up to 64 px", "small": "Small", "standard": "Standard"},
        hidden_if={"model.name": "cnn"})
    views: str = knob(
        "mean", "Views", "How one network sees several views. mean, max: the mean or maximum of each feature over the views. "
        "attention: a weighted mean whose weights are learned (Ilse et al. 2018). parallel: the features of the named views side "
        "by side, from one backbone. parallel_separate: the same, each named view with a backbone of its own.",
        choices={"mean": "Mean", "max": "Maximum", "attention": "Attention", "parallel": "Parallel, shared backbone",
                 "parallel_separate": "Parallel, separate backbones"}, hidden_if={"data.unit": "image"}, group="network")
    cnn_layers: int = knob(
        5, "Convolutions", "Number of convolutional layers.", low=1, high=10, step=1, **CNN)
    cnn_kernels: str = knob(
        "constant", "Kernel size", "constant: 3x3 everywhere. funnel_out: layer i has kernels of 2i + 1 (3, "
        "5, 7 ...). funnel_in: the same from the other end (7, 5, 3).",
        choices={"constant": "3, 3, 3 ...", "funnel_out": "3, 5, 7 ...", "funnel_in": "... 7, 5, 3"}, **CNN)
    cnn_filters: str = knob(
        "constant", "Filters", "constant: 64 everywhere. funnel_out: layer i has 2^(i+4) (32, 64, 128 ...). "
        "funnel_in: layer i has 2^(8-i) (128, 64, 32 ...).",
        choices={"constant": "64, 64, 64 ...", "funnel_out": "32, 64, 128 ...",
                 "funnel_in": "128, 64, 32 ..."}, **CNN)
    cnn_pool: str = knob(
        "max", "Pooling", "What each convolution is followed by: the maximum, mean or minimum of a small "
        "window.", choices=POOLING, **CNN)
    cnn_pool_size: int = knob(
        2, "Pooling window", "Side of the window. 1: no pooling.", low=1, high=5, unit="px", step=1, **CNN)
    cnn_pool_stride: int = knob(
        2, "Pooling stride", "Step between windows. 2 halves the feature map; 1 keeps its size, and the "
        "receptive field hardly grows.", low=1, high=4, unit="px", step=1, **CNN)
    cnn_global_pool: str = knob(
        "avg", "Global pooling", "How a feature map becomes one number before the head.", choices=POOLING,
        **CNN)
    cnn_spatial_dropout: float = knob(
        0.0, "Spatial dropout", "Probability that a whole feature map is dropped after a convolution.",
        low=0.0, high=0.9, step=0.05, **CNN)
    cnn_l2_kernel: float = knob(
        0.0, "Kernel L2", "L2 regularisation: adds this times the squared weights of the head to the loss.",
        low=0.0, high=1.0, **CNN)
    cnn_l2_activity: float = knob(
        0.0, "Activity L2", "Adds this times the squared outputs of the head (mean over the batch) to the "
        "loss, against overconfidence.", low=0.0, high=1.0, **CNN)
