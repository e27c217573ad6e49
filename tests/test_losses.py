"""Losses against torch's own, closed forms and an earth mover's distance that moves the earth."""

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional as F

from core.config import TrainConfig
from core.errors import LightboxError
from core.trainers.losses import build_objective, one_hot, plain_loss

CPU = torch.device("cpu")
MULTI_LABEL = "multi-label, binary-class"


def made(task="multi-class", labels=None, classes=4, **changes):
    """The objective of a config, its logits and labels."""
    generator = torch.Generator().manual_seed(0)
    shape = (40, classes) if task == MULTI_LABEL else (40,)
    if labels is None:
        labels = torch.randint(0, 2 if task == MULTI_LABEL else classes, shape, generator=generator)
    logits = 3 * torch.randn((len(labels), classes), generator=generator)
    return build_objective(TrainConfig(**changes), task, labels.numpy(), classes, CPU), logits, labels


def value(objective, logits, labels, other=None, share=1.0):
    targets = objective.targets(labels)
    if other is not None:
        targets = torch.lerp(objective.targets(other), targets, share)
    return objective(logits, targets).sum() / objective.weight(labels.numpy())


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("changes", [{}, {"loss": "focal", "focal_gamma": 0.0}])
def test_cross_entropy_and_focal_without_gamma_equal_torchs_cross_entropy(smoothing, weighted, changes):
    objective, logits, labels = made(label_smoothing=smoothing, class_weights=weighted, **changes)
    weights = torch.tensor(compute_class_weight("balanced", classes=np.arange(4), y=labels.numpy()), dtype=torch.float32)
    theirs = F.cross_entropy(logits, labels, weight=weights if weighted else None, label_smoothing=smoothing)
    torch.testing.assert_close(value(objective, logits, labels), theirs)


def test_mixed_targets_equal_torch_with_probabilities_and_the_mean_of_two_losses():
    objective, logits, labels = made()
    other, share = labels.flip(0), 0.3
    mixed = share * F.one_hot(labels, 4) + (1 - share) * F.one_hot(other, 4)
    torch.testing.assert_close(value(objective, logits, labels, other, share), F.cross_entropy(logits, mixed))
    for changes in ({"class_weights": True}, {"loss": "focal"}, {"label_smoothing": 0.1}):
        objective, logits, labels = made(**changes)
        two = share * value(objective, logits, labels) + (1 - share) * value(objective, logits, other)
        torch.testing.assert_close(value(objective, logits, labels, other, share), two)


def test_several_findings_equal_torchs_binary_cross_entropy():
    for changes in ({}, {"loss": "focal", "focal_gamma": 0.0}):
        for weighted in (False, True):
            for smoothing in (0.0, 0.3):
                objective, logits, labels = made(MULTI_LABEL, class_weights=weighted, label_smoothing=smoothing, **changes)
                positive = labels.sum(dim=0)
                theirs = F.binary_cross_entropy_with_logits(logits, labels * (1 - smoothing) + smoothing / 2,
                                                            pos_weight=(40 - positive) / positive if weighted else None)
                torch.testing.assert_close(value(objective, logits, labels), theirs)


def test_focal_is_the_papers_formula():
    """FL(p_t) = -(1 - p_t)^gamma log p_t, Lin et al. 2017, eq. 4, written with the probability of the truth alone."""
    objective, logits, labels = made(loss="focal", focal_gamma=2.0)
    p = logits.double().softmax(dim=1)[torch.arange(40), labels]
    torch.testing.assert_close(value(objective, logits, labels).double(), (-(1 - p) ** 2 * p.log()).mean())
    objective, logits, labels = made(MULTI_LABEL, loss="focal", focal_gamma=2.0)
    p = logits.double().sigmoid()
    p = torch.where(labels == 1, p, 1 - p)
    torch.testing.assert_close(value(objective, logits, labels).double(), (-(1 - p) ** 2 * p.log()).mean())


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("task", ["multi-class", MULTI_LABEL])
def test_focal_has_a_gradient_also_where_the_answer_is_sure(gamma, task):
    objective, _, labels = made(task, loss="focal", focal_gamma=gamma)
    sure = (60 * (labels if task == MULTI_LABEL else one_hot(labels, 4)) - 30.0).requires_grad_()
    loss = value(objective, sure, labels)
    loss.backward()
    assert torch.isfinite(sure.grad).all() and float(loss.detach()) < 1e-5
    wrong = (-sure.detach()).requires_grad_()
    loss = value(objective, wrong, labels)
    loss.backward()
    assert torch.isfinite(wrong.grad).all() and float(loss.detach()) > 10


def test_the_ordinal_loss_is_the_squared_earth_movers_distance():
    """Against a walk along the grades that carries the earth step by step; Hou et al. 2016."""
    objective, logits, labels = made("ordinal-regression", loss="ordinal", classes=5)
    expected = []
    for p, label in zip(logits.double().softmax(dim=1).tolist(), labels.tolist()):
        carried = distance = 0.0
        for grade in range(5):
            carried += p[grade] - (grade == label)
            distance += carried**2
        expected.append(distance)
    torch.testing.assert_close(value(objective, logits, labels).double(), torch.tensor(expected).double().mean())


def test_the_ordinal_loss_grows_with_the_distance_and_cross_entropy_does_not():
    labels = torch.zeros(4, dtype=torch.int64)
    logits = 10 * torch.eye(5)[1:]                               # sure of grade 1, 2, 3, 4; the truth is 0
    ordinal, plain = (build_objective(TrainConfig(loss=loss), "ordinal-regression", labels.numpy(), 5, CPU)
                      for loss in ("ordinal", "auto"))
    targets = ordinal.targets(labels)
    np.testing.assert_allclose(ordinal(logits, targets), [1, 2, 3, 4], atol=0.01)
    assert plain(logits, targets).std() < 1e-5


def test_for_two_classes_the_ordinal_loss_is_the_brier_score():
    objective, logits, labels = made("binary-class", classes=2, loss="ordinal")
    brier = (logits.softmax(dim=1)[:, 1] - labels).square().mean()
    torch.testing.assert_close(value(objective, logits, labels), brier)


@pytest.mark.parametrize("task", ["multi-class", MULTI_LABEL])
def test_the_ordinal_loss_needs_an_order(task):
    with pytest.raises(LightboxError, match="order") as error:
        made(task, loss="ordinal")
    assert error.value.code == "train.loss"


def test_parts_of_a_batch_add_up_to_the_whole():
    for task in ("multi-class", MULTI_LABEL):
        objective, logits, labels = made(task, class_weights=True, label_smoothing=0.1)
        whole = value(objective, logits, labels)
        weight = objective.weight(labels.numpy())
        parts = sum(objective(logits[part], objective.targets(labels[part])).sum() / weight
                    for part in (slice(0, 7), slice(7, 32), slice(32, 40)))
        torch.testing.assert_close(parts, whole)


def test_balanced_weights_equal_scikit_learn_and_report_r001():
    labels = torch.from_numpy(np.repeat([0, 1], [19_741, 13_386]))
    ours = made("binary-class", labels, 2, class_weights=True)[0].weights.numpy()
    np.testing.assert_allclose(ours, compute_class_weight("balanced", classes=np.array([0, 1]), y=labels.numpy()), rtol=1e-6)
    np.testing.assert_allclose(ours, [0.83904058, 1.23737487], rtol=1e-6)        # as the report prints them
    absent = made("multi-class", torch.tensor([0, 0, 2]), 3, class_weights=True)[0].weights
    assert absent[1] == 0


def test_the_plain_loss_is_what_validation_measures():
    from core.metrics import cross_entropy
    for task in ("multi-class", MULTI_LABEL):
        _, logits, labels = made(task)
        probs = logits.sigmoid() if task == MULTI_LABEL else logits.softmax(dim=1)
        assert float(plain_loss(logits, labels).mean()) == pytest.approx(cross_entropy(labels.numpy(), probs.numpy(), task),
                                                                         rel=1e-5)
