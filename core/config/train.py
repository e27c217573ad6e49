"""Settings of the training."""

from __future__ import annotations

from dataclasses import dataclass

from core.config.knob import knob
from core.config.optim import cycle_ends

MONITORS = {"roc_auc": "ROC AUC", "loss": "Loss", "accuracy": "Accuracy",
            "balanced_accuracy": "Balanced accuracy", "average_precision": "Average precision",
            "macro_f1": "Macro F1", "cohen_kappa": "Cohen's kappa", "quadratic_kappa": "Quadratic kappa"}


@dataclass(frozen=True)
class TrainConfig:
    """How long, in which batches, with which objective, on what hardware."""

    epochs: int = knob(
        10, "Epochs", "How many times the network sees every training image.", low=1, high=1000,
        group="training", grid=(5, 10, 20, 50))
    batch_size: int = knob(
        64, "Batch size", "Images in one step. Larger batches are faster on a GPU and need more memory.",
        low=2, high=4096, unit="images", group="training", grid=(4, 8, 16, 32, 64, 128))
    accumulate: int = knob(
        1, "Gradient accumulation", "Adds up the gradients of this many batches before a step: a large "
        "batch in little memory.", low=1, high=64, unit="batches", group="optim")
    loss: str = knob(
        "auto", "Loss", "auto: cross-entropy, or binary cross-entropy per label where an image can have "
        "several. focal: more weight on hard images. ordinal: two grades off is worse than one.",
        choices={"auto": "Cross-entropy", "focal": "Focal", "ordinal": "Ordinal"}, group="objective")
    focal_gamma: float = knob(
        2.0, "Focal gamma", "How strongly the focal loss down-weights easy images. 0 is cross-entropy.",
        low=0.0, high=10.0, group="objective", shown_if={"train.loss": "focal"})
    monitor: str = knob(
        "roc_auc", "Best epoch by", "The validation metric that chooses the best epoch, and stops early.",
        choices=MONITORS, group="objective")
    patience: int = knob(
        0, "Early stopping", "Stops when this metric has not improved for so many epochs (the patience). 0: "
        "never.", low=0, high=1000, unit="epochs", group="objective")
    snapshots: int = knob(
        0, "Snapshots", "Keeps the weights at so many epochs, equally far apart up to the last: of one training several "
        "networks that can vote, or whose weights can be averaged. 0: the best epoch and the last two are kept.", low=0,
        high=100, group="objective", offered={0: "None", 3: "3", 5: "5", 10: "10"})
    class_weights: bool = knob(
        False, "Class weights", "Weights the loss by inverse class frequency, so that rare classes count as "
        "much.")
    sampling: str = knob(
        "shuffle", "Sampling", "shuffle: every image once per epoch. balanced: every class equally often, "
        "so images of rare classes repeat.", choices={"shuffle": "Shuffle", "balanced": "Balanced classes"})
    label_smoothing: float = knob(
        0.0, "Label smoothing", "Spreads this much of the target over all classes, against overconfidence.",
        low=0.0, high=0.5, step=0.01)
    mixup: float = knob(
        0.0, "Mixup", "Blends pairs of images and their labels, with a weight from Beta(a, a) for this a. "
        "0: off.", low=0.0, high=4.0)
    measure_train: bool = knob(
        False, "Evaluate on training images", "After each epoch, evaluates the training images like the "
        "validation images: in evaluation mode, without augmentation. Costs time; without it, training "
        "metrics are averages over augmented images while the weights change.")
    copies: int = knob(
        4, "Augmented copies", "Features of a frozen backbone are computed once, for this many augmented "
        "copies of each image; the epochs take them in turn.", low=1, high=64, group="common changes",
        shown_if={"model.freeze": "all", "model.unfreeze_epoch": 0})
    seed: int = knob(
        0, "Seed", "Of all randomness in this run. The same seed on the same CPU gives the same result.",
        low=0, high=2**31 - 1, group="training", grid=(0, 1, 2, 3, 4))
    device: str = knob(
        "auto", "Device", "auto: the GPU where there is one. Or cpu, cuda:0, mps.",
        offered={"auto": "Automatic"}, group="hardware")
    precision: str = knob(
        "auto", "Precision", "bfloat16 is faster on recent hardware and keeps 8 of float32's 24 significant "
        "bits. auto: bfloat16 on a GPU that supports it; on a CPU whichever is faster in a few trial steps. "
        "Validation is always float32.",
        choices={"auto": "Automatic", "float32": "float32", "bfloat16": "bfloat16"}, group="hardware")
    threads: int = knob(
        0, "CPU threads", "0: a short trial finds the fastest number. With a fixed number, a run is "
        "reproducible bit by bit.", low=0, high=256, group="hardware")
    compile: str = knob(
        "auto", "Compile", "torch.compile takes about a minute and makes steps on a GPU faster. auto: where "
        "the run is long enough to gain by it.", choices={"auto": "Automatic", "on": "On", "off": "Off"},
        group="hardware")

    @property
    def snapshot_epochs(self) -> tuple[int, ...]:
        """The epochs, counted from 1, whose checkpoints are kept whatever comes after; () without snapshots."""
        return cycle_ends(self.epochs, self.snapshots) if self.snapshots else ()
