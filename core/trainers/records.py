"""What a training reports: the records that `core.trainers.classifier.train` yields, and how they stand in metrics.jsonl.

The keys of `to_json` are those of every metrics.jsonl ever written, so that old runs and new ones are read by
the same code.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Tick:
    """A sign of life between two records: after every step and every batch of validation.

    Attributes:
        phase: "train" or "validate"
        epoch: under way, counted from 1
        step, steps: steps done and in all; images of a split while it is predicted
    """

    phase: str
    epoch: int
    step: int
    steps: int


@dataclass(frozen=True)
class StepRecord:
    """Numbers of one step, about twice a second.

    Attributes:
        loss: mean cross-entropy of the step's images without weights, smoothing or penalty, as in validation,
            so that curves compare
        objective: what was minimised
        accuracy: 0 to 1; None with mixup, because a mixed image has no one label
        lr: learning rate of the head
        grad_norm: before clipping
        seconds_left: of the epoch and all after it, without validation; None before that is known
    """

    epoch: int
    step: int
    steps: int
    loss: float
    objective: float
    accuracy: float | None
    lr: float
    grad_norm: float
    images_per_second: float | None
    seconds_left: float | None

    def to_json(self) -> dict:
        """Return the record as a line of metrics.jsonl."""
        return {"kind": "step", **asdict(self)}


@dataclass(frozen=True)
class EpochRecord:
    """What an epoch reached.

    Attributes:
        lr: in its last step
        train: "loss" and "accuracy" (None with mixup); every metric of METRICS where `measured` is
            "evaluated"
        measured: "running" where `train` was summed while the weights moved, on augmented images; "evaluated"
            where the training images were predicted like the validation images
        val: each metric of METRICS on the validation images, None where it is undefined
        monitor: the metric that chooses the best epoch
        is_best: whether this epoch is the best so far
        predicted: K numbers, how often each class is predicted in validation
        tracked: (T, K) probabilities of the images that `validation.tracked_images` names
        images_per_second: of training; None where no step was left
        seconds: that the epoch took; seconds_left: that the others will take
        notes: sentences, such as which metric is undefined
    """

    epoch: int
    lr: float
    train: dict[str, float | None]
    measured: str
    val: dict[str, float | None]
    monitor: str
    is_best: bool
    predicted: list[int]
    tracked: list[list[float]]
    images_per_second: float | None
    seconds: float
    seconds_left: float
    notes: list[str]

    def to_json(self) -> dict:
        """Return the record as a line of metrics.jsonl: "train_loss", "val_roc_auc" ..."""
        return {"kind": "epoch", "epoch": self.epoch, "lr": self.lr,
                **{f"train_{name}": value for name, value in self.train.items()}, "measured": self.measured,
                **{f"val_{name}": value for name, value in self.val.items()}, "monitor": self.monitor, "is_best": self.is_best,
                "predicted": self.predicted, "strip": self.tracked, "images_per_second": self.images_per_second,
                "seconds": self.seconds, "notes": self.notes, "seconds_left": self.seconds_left}


@dataclass(frozen=True)
class StartRecord:
    """What a run begins with, or goes on with.

    Attributes:
        epoch, step: epochs finished, and steps done of the next
        at: seconds since 1970
        processes: that train together
        how: "threads", "channels_last" and "precision" of the computation
        parameters: how many numbers the network has
        n_train, n_val: images
        tracked_rows, tracked_labels: rows in the data set and labels of the validation images that epochs
            report
        exact: whether the same seed gives the same bits again
        notes: sentences about how it is computed
    """

    epoch: int
    step: int
    at: float
    device: str
    processes: int
    how: dict
    parameters: int
    n_train: int
    n_val: int
    tracked_rows: list[int]
    tracked_labels: list
    exact: bool
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict:
        """Return the record as a line of metrics.jsonl."""
        facts = asdict(self)
        facts["strip_rows"], facts["strip_labels"] = facts.pop("tracked_rows"), facts.pop("tracked_labels")
        return {"kind": "start", **facts}


Record = Tick | StepRecord | EpochRecord
