"""Networks of several views: a planted task that no view solves alone, masks, attention by hand, augmentation view by view."""

import dataclasses

import numpy as np
import pytest
import torch

from core.augment.images import augment
from core.config import AugmentConfig, ModelConfig, RunConfig
from core.errors import LightboxError
from core.models import build_model
from core.models.costs import costs
from core.models.views import POOLS, join_views, split_views, views_there
from core.trainers.augmenting import augment_inputs
from core.trainers.batches import SplitData
from core.trainers.classifier import TrainState, train
from core.trainers.records import EpochRecord
from tests.many_views import planted, side_by_side
from tests.trained import one_thread  # noqa: F401

TRAIN, VAL = np.arange(350), np.arange(350, 500)


def build(how: str, views: int = 2, size: int = 16, name: str = "small_cnn", **model):
    names = ("frontal", "lateral", "oblique")[:views] if how.startswith("parallel") else ()
    return build_model(ModelConfig(name, views=how, **model), classes=2, size=size, channels=1, task="binary-class", views=views,
                       view_names=names)


def best_auc(how: str, images: np.ndarray, labels: np.ndarray, views: int) -> float:
    """ROC AUC on validation after the last of a few epochs."""
    config = RunConfig().with_(**{"model.name": "small_cnn", "model.head": "mlp", "model.views": how, "train.epochs": 8,
                                  "train.batch_size": 25, "optim.lr": 1e-3})
    splits = [SplitData(images, rows, labels[rows]) for rows in (TRAIN, VAL)]
    records = train(TrainState.fresh(build(how, views, head="mlp"), config), *splits, config)
    return [record.val["roc_auc"] for record in records if isinstance(record, EpochRecord)][-1]


@pytest.fixture(scope="module")
def studies():
    return planted(500)


@pytest.mark.parametrize("view", [0, 1])
def test_one_view_alone_stays_at_chance(studies, view):
    images, marks, labels = studies
    assert best_auc("mean", images[view::2], labels, views=1) < 0.65


@pytest.mark.parametrize("how", ["mean", "attention", "parallel", "parallel_separate"])
def test_two_views_solve_what_one_cannot(studies, how):
    images, marks, labels = studies
    assert best_auc(how, side_by_side(images), labels, views=2) > 0.95


def test_views_are_split_and_joined_as_they_lie():
    images = torch.rand(3, 1, 5, 20)
    apart = split_views(images)
    assert torch.equal(apart[1 * 4 + 2], images[1, :, :, 10:15]) and torch.equal(join_views(apart, 4), images)
    colour = torch.rand(2, 3, 4, 8).contiguous(memory_format=torch.channels_last)
    assert split_views(colour).is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(split_views(colour), split_views(colour.contiguous()))


def test_a_view_of_zeros_is_absent_but_never_all():
    images = torch.rand(3, 1, 4, 12)
    images[0, :, :, 4:8] = 0
    images[1] = 0
    assert views_there(images).tolist() == [[True, False, True], [True, True, True], [True, True, True]]


@pytest.mark.parametrize("how", ["mean", "max", "attention"])
@pytest.mark.parametrize("training", [False, True])
def test_an_absent_view_changes_nothing_wherever_it_stands(how, training):
    model = build(how, 3, name="resnet18", size=16).train(training)
    views = torch.rand(4, 2, 1, 16, 16)
    black = torch.zeros(4, 1, 1, 16, 16)
    def logits(*parts):
        wide = join_views(torch.cat(parts, dim=1).flatten(0, 1), sum(part.shape[1] for part in parts))
        return model(wide).detach()
    without = logits(views)
    for padded in (logits(views, black), logits(black, views), logits(views[:, :1], black, views[:, 1:], black)):
        assert torch.allclose(padded, without, atol=1e-5)
    assert torch.allclose(logits(views.flip(1)), without, atol=1e-5)       # a set has no order
    assert not torch.allclose(logits(views[:, :1]), without, atol=1e-4)


@pytest.mark.parametrize("how", ["parallel", "parallel_separate"])
def test_named_views_have_a_place_and_a_missing_one_has_features_of_zero(how):
    model = build(how, 2).eval()
    images = torch.rand(3, 1, 16, 32)
    assert not torch.allclose(model(images), model(torch.cat(images.split(16, dim=3)[::-1], dim=3)), atol=1e-4)
    images[:, :, :, 16:] = 0
    half = model.embed(images)
    width = half.shape[1] // 2
    assert half[:, :width].abs().sum() > 0 and half[:, width:].abs().sum() == 0
    assert torch.allclose(model(images[:, :, :, :16]), model(images))        # one view is the first, the others are missing


def test_separate_backbones_are_different_and_a_shared_one_is_the_same():
    image = torch.rand(1, 1, 16, 16).repeat(1, 1, 1, 2)
    for how, same in (("parallel", True), ("parallel_separate", False)):
        model = build(how).eval()
        first, second = model.embed(image).chunk(2, dim=1)
        assert torch.allclose(first, second) == same
    one, shared, separate = (sum(p.numel() for p in model.backbone_parameters())
                             for model in (build("mean", 1), build("parallel"), build("parallel_separate")))
    assert shared == one and separate == 2 * one


def test_a_missing_view_never_reaches_the_statistics_of_a_batch_norm():
    images = torch.rand(4, 1, 16, 32)
    images[0, :, :, 16:] = 0
    model, alone = build("mean", name="resnet18").train(), build("mean", 1, name="resnet18").train()
    model(images)
    alone(split_views(images)[[0, 2, 3, 4, 5, 6, 7]])
    assert torch.allclose(model.network.bn1.running_mean, alone.network.bn1.running_mean, atol=1e-6)


def test_attention_is_that_of_the_paper_computed_by_hand():
    model = build("attention", 3).eval()
    images = torch.rand(2, 1, 16, 48)
    images[1, :, :, 16:32] = 0
    attention, plain = model.network.view_attention, build("mean", 1).eval()
    plain.network.load_state_dict({k: v for k, v in model.network.state_dict().items() if "view_attention" not in k})
    state = {name: value.double() for name, value in attention.state_dict().items()}
    with torch.no_grad():
        weights, logits = model.attention(images), model(images)
        for unit, there in ((0, [0, 1, 2]), (1, [0, 2])):
            h = torch.stack([plain.embed(images[unit:unit + 1, :, :, 16 * v:16 * v + 16])[0].double() for v in there])
            scores = []
            for row in h:
                t = torch.tanh(state["value.weight"] @ row + state["value.bias"])
                s = 1 / (1 + torch.exp(-(state["gate.weight"] @ row + state["gate.bias"])))
                scores.append(float(state["weigh.weight"][0] @ (t * s) + state["weigh.bias"][0]))
            a = np.exp(scores) / np.exp(scores).sum()
            assert np.allclose(weights[unit, there], a, atol=1e-5)
            z = sum(weight * row for weight, row in zip(a, h)).float()
            assert torch.allclose(plain.head(z[None])[0], logits[unit], atol=1e-5)
    assert weights[1, 1] == 0 and torch.allclose(weights.sum(dim=1), torch.ones(2))


def test_only_attention_has_weights():
    with pytest.raises(LightboxError) as error:
        build("mean").attention(torch.rand(1, 1, 16, 32))
    assert error.value.code == "model.views"


def test_mean_of_features_is_the_mean_of_logits_under_a_linear_head():
    model = build("mean", 2).eval()
    one = build("mean", 1).eval()
    one.network.load_state_dict(model.network.state_dict())
    images = torch.rand(3, 1, 16, 32)
    assert torch.allclose(model(images), (one(images[..., :16]) + one(images[..., 16:])) / 2, atol=1e-5)


@pytest.mark.parametrize("how", POOLS)
@pytest.mark.parametrize("name", ["resnet18", "densenet121", "vgg16", "squeezenet1_1", "cnn"])
def test_every_family_pools_views_and_is_counted(how, name):
    config = ModelConfig(name, views=how, cnn_l2_kernel=0.1 if name == "cnn" else 0.0)
    with torch.device("meta"):
        one, two = (build_model(config, classes=3, size=32, channels=1, views=views) for views in (1, 2))
        assert two(torch.rand(2, 1, 32, 64)).shape == (2, 3)
    counted, single = costs(config, 3, 32, 1, views=2), costs(config, 3, 32, 1)
    assert counted.flops == pytest.approx(2 * single.flops, rel=0.25)
    assert counted.parameters == sum(p.numel() for p in two.parameters())
    assert all(stage.removeprefix("network.") in dict(two.network.named_modules()) for stage in two.stages)
    assert (two.penalty(torch.zeros(1, 3, device="meta")) is None) == (one.penalty(torch.zeros(1, 3, device="meta")) is None)


@pytest.mark.parametrize("how", POOLS)
def test_a_frozen_backbone_keeps_its_weights_and_the_rest_learns(how):
    model = build(how, 2, name="resnet18", freeze="all").train()
    assert model.frozen and not any(p.requires_grad for p in model.backbone_parameters())
    assert all(p.requires_grad for p in model.head_parameters())
    learned = {name for name, p in model.named_parameters() if p.requires_grad}
    assert any("view_attention" in name for name in learned) == (how == "attention")


def test_each_view_is_augmented_like_an_image_of_its_own():
    config = AugmentConfig(flip=0.5, rotate=20, brightness=0.3, noise=0.5)
    images = torch.rand(5, 1, 16, 48)
    images[2, :, :, 16:32] = 0
    changed = augment_inputs(images, 3, config, (1, 2), torch.arange(5))
    for view in range(3):
        part = slice(16 * view, 16 * view + 16)
        own = augment(images[:, :, :, part], config, (1, 2), torch.arange(5) * 3 + view)
        own[2] *= view != 1
        assert torch.equal(changed[:, :, :, part], own)
    assert not views_there(changed)[2, 1]
    plain = augment(images, config, (1, 2), torch.arange(5))
    assert torch.equal(augment_inputs(images, 1, config, (1, 2), torch.arange(5)), plain)


def test_preprocessing_of_single_images_is_written_as_before():
    before = {"size", "resize", "channels", "mean", "std", "intensity"}
    assert set(build("mean", 1).preprocessing.facts()) == before
    assert dataclasses.asdict(build("mean", 2).preprocessing)["views"] == 2 and build("mean").preprocessing.facts()["views"] == 2
