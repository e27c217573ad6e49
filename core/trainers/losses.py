"""What training makes small, in one table.

Letters of the shapes: B images of a batch, K classes (or findings). The truth of an image is a distribution
over the classes, so that smoothed labels and mixed images need nothing of their own:

    targets    (B, K) in [0, 1]; rows sum to 1, except for several findings, where each column stands for itself
               (2, B, K) of several findings where some labels are not known (-1): the share of yes, and of no; both
               are 0 for what is not known, so that it adds nothing, also when images are mixed

A loss gives one number an image, not the mean of the batch: parts of a batch that are computed one after the
other, or on several machines, are then added up to exactly what the whole batch would have given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from core.config import ORDERED, Task, TrainConfig
from core.datasets.stratify import balanced_weights
from core.errors import LightboxError

# --- (logits, targets, weights (K,), gamma) -> (B,), one an image ---

def cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor, gamma: float = 0.0) -> Tensor:
    """- sum_k w_k t_k log p_k: the surprise at the truth, p the softmax of the logits."""
    return -(weights * targets * logits.log_softmax(dim=1)).sum(dim=1)


def focal(logits: Tensor, targets: Tensor, weights: Tensor, gamma: float) -> Tensor:
    """- sum_k w_k t_k (1 - p_k)^gamma log p_k: what is answered rightly and surely hardly counts.

    (eq. 4), with w as the alpha of (eq. 5), of Lin et al., Focal Loss for Dense Object Detection, ICCV 2017.
    gamma 0 is cross-entropy.
    """
    log_p = logits.log_softmax(dim=1)
    return -(weights * targets * _easiness(log_p, gamma) * log_p).sum(dim=1)


def squared_emd(logits: Tensor, targets: Tensor, weights: Tensor, gamma: float = 0.0) -> Tensor:
    """sum_k (P_k - T_k)^2 between the cumulated probabilities and the cumulated truth: far off costs more than near.

    The squared earth mover's distance of Hou, Yu & Samaras, Squared Earth Mover's Distance-based Loss for
    Training Deep Neural Networks, 2016, for classes in order. With two classes it is the Brier score. An
    image counts as much as its class weighs.
    """
    apart = (logits.softmax(dim=1) - targets).cumsum(dim=1)
    return (targets @ weights) * apart.square().sum(dim=1)


def binary_cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor, gamma: float = 0.0) -> Tensor:
    """- mean_k w_k t_k log p_k + (1 - t_k) log(1 - p_k): one yes-or-no question a finding, p the sigmoid of its logit."""
    if targets.ndim == 3:
        yes, no = targets
        return -(weights * yes * F.logsigmoid(logits) + no * F.logsigmoid(-logits)).mean(dim=1)
    return F.binary_cross_entropy_with_logits(logits, targets, pos_weight=weights, reduction="none").mean(dim=1)


def binary_focal(logits: Tensor, targets: Tensor, weights: Tensor, gamma: float) -> Tensor:
    """`focal` for several findings: each term of the binary cross-entropy times (1 - its probability)^gamma."""
    yes, no = F.logsigmoid(logits), F.logsigmoid(-logits)
    is_yes, is_no = targets if targets.ndim == 3 else (targets, 1 - targets)
    terms = weights * is_yes * _easiness(yes, gamma) * yes + is_no * _easiness(no, gamma) * no
    return -terms.mean(dim=1)


def _easiness(log_p: Tensor, gamma: float) -> Tensor | float:
    """(1 - p)^gamma.

    Below gamma = 1 its slope at p = 1 is infinite, hence the floor; there the loss is 0 anyway.
    """
    return (-torch.expm1(log_p)).clamp_min(1e-7) ** gamma if gamma else 1.0


@dataclass(frozen=True)
class Loss:
    """One row of LOSSES: the function for one class an image, and for several findings; None where there is none."""
    one_answer: Callable
    findings: Callable | None
    needs_order: bool = False


LOSSES: dict[str, Loss] = {
    "auto": Loss(cross_entropy, binary_cross_entropy),
    "focal": Loss(focal, binary_focal),
    "ordinal": Loss(squared_emd, None, needs_order=True),
}


# --- for one run ---

@dataclass(frozen=True)
class Objective:
    """The loss of one run: `loss(logits, targets)` is (B,), and a batch's loss is their sum over `weight` of its labels.

    Without class weights that is the mean. With them it is the weighted mean, as in
    `torch.nn.functional.cross_entropy`; for several findings the weights count the positives more
    (pos_weight) and the mean is plain: over all labels of the batch, or, where some are not known, over the known ones.

    Args:
        weights: (K,) on the device, ones where classes are not weighted
        smoothing: share of the truth that is spread over all classes; for findings, over yes and no
        masked: whether some labels of the training images are not known
    """
    function: Callable
    findings: bool
    weights: Tensor
    class_weights: np.ndarray
    smoothing: float
    gamma: float
    masked: bool = False

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        return self.function(logits, targets, self.weights, self.gamma)

    def targets(self, labels: Tensor) -> Tensor:
        """Return (B,) or (B, K) labels -> (B, K) float32, smoothed; or (2, B, K) where some are not known."""
        if self.findings:
            yes = labels.float() * (1 - self.smoothing) + self.smoothing / 2
            return torch.stack((yes, 1 - yes)) * (labels >= 0) if self.masked else yes
        return one_hot(labels, len(self.weights)) * (1 - self.smoothing) + self.smoothing / len(self.weights)

    def weight(self, labels: np.ndarray) -> float:
        """Return what the sum over these images is divided by.

        From labels in main memory: nothing waits for a device.
        """
        return known_images(labels) if self.findings else float(self.class_weights[labels].sum())


def build_objective(config: TrainConfig, task: str, labels: np.ndarray, classes: int, device: torch.device) -> Objective:
    """Return the loss of a config.

    Args:
        labels: (N,) or (N, K) of the training images, for the class weights

    Raises:
        LightboxError: "train.loss" for the ordinal loss where the classes have no order
    """
    loss, findings = LOSSES[config.loss], task == Task.MULTILABEL
    if loss.needs_order and task not in ORDERED:
        raise LightboxError("train.loss", "The ordinal loss needs classes that have an order, such as grades of a disease.",
                            "Use the loss auto or focal for this task.")
    class_weights = balanced_weights(labels, classes) if config.class_weights else np.ones(classes)
    return Objective(loss.findings if findings else loss.one_answer, findings,
                     torch.tensor(class_weights, dtype=torch.float32, device=device), class_weights.astype(np.float32),
                     config.label_smoothing, config.focal_gamma, findings and bool((labels < 0).any()))


def known_images(labels: np.ndarray) -> float:
    """Return how many images (N,) or (N, K) labels are of, each counted by the share of its labels that is known; never 0."""
    return max(float((labels >= 0).mean(axis=1).sum()), 1e-9) if labels.ndim == 2 else float(len(labels))


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """Return (B,) int64 -> (B, K) float32 of 0 and 1. torch's own looks at the values, and so waits for the device."""
    return (labels[:, None] == torch.arange(classes, device=labels.device)).float()


def plain_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return (B,) cross-entropy without weights or smoothing: what `metrics.cross_entropy` measures, so that curves compare.

    What is not known adds 0: the mean is their sum over `known_images`.
    """
    if labels.ndim == 2:
        terms = F.binary_cross_entropy_with_logits(logits, labels.float(), reduction="none")
        return (terms * (labels >= 0)).mean(dim=1)
    return F.cross_entropy(logits, labels, reduction="none")
