"""Deletion and insertion against closed forms, and the baselines that a map has to beat."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

from core.explain import deletion as deletions
from core.explain.deletion import deletion_and_insertion


def test_deletion_and_insertion_of_a_linear_network_in_closed_form():
    """One logit, sum of w x: who takes the pixels by falling w knows the sum that is left after each."""
    rng = np.random.default_rng(2)
    weights = rng.normal(0, 0.5, 16).astype(np.float32)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 1))
    model.requires_grad_(False)[1].weight.copy_(torch.from_numpy(weights)[None])
    model[1].bias.fill_(0.3)
    images = torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    share = weights * images.numpy().reshape(3, 16)
    deletion, insertion = deletion_and_insertion(model, images, torch.zeros(3, dtype=torch.int64), share.reshape(3, 4, 4),
                                                 steps=8, without=torch.zeros_like(images))
    falling = -np.sort(-share, axis=1)
    come = np.concatenate([np.zeros((3, 1)), np.cumsum(falling, 1)], axis=1)[:, ::2]
    assert insertion == pytest.approx(1 / (1 + np.exp(-(0.3 + come))), abs=1e-6)
    assert deletion == pytest.approx(1 / (1 + np.exp(-(0.3 + share.sum(1, keepdims=True) - come))), abs=1e-6)
    assert deletions.area(np.array([0.0, 0.5, 1.0])) == 0.5


def left_third(images: torch.Tensor) -> torch.Tensor:
    """Logits of three classes; the softmax has (a, a^2, 1) over their sum, with a = e to the mean of the left third."""
    light = images[..., :images.shape[-1] // 3].mean((1, 2, 3))
    return torch.stack([light, 2 * light, 0 * light], 1)


class LeftThird(nn.Module):
    def forward(self, images):
        return left_third(images)


class Findings(LeftThird):
    """Several findings: each has a sigmoid of its own."""

    def probabilities(self, logits):
        return logits.sigmoid()


def test_coverage_follows_the_class_that_was_asked_for_each_image():
    images, targets = torch.ones(3, 1, 6, 6), torch.tensor([1, 0, 2])
    for model, want in ((LeftThird(), left_third(images).softmax(1)), (Findings(), left_third(images).sigmoid())):
        deletion, insertion = deletion_and_insertion(model, images, targets, np.ones((3, 6, 6)), without=0 * images)
        assert deletion[:, 0] == pytest.approx(want[[0, 1, 2], targets].numpy())
        assert np.array_equal(insertion[:, -1], deletion[:, 0]) and np.array_equal(insertion[:, 0], deletion[:, -1])


def test_pixels_of_equal_value_go_in_random_order():
    """An empty map has no order: a third of all pixels is a third of those on the left, and not the top third of the image."""
    images, empty = torch.ones(2, 1, 60, 60), np.zeros((2, 60, 60))
    images[1, :, :20] = 0                                                # the second has no light at the top
    deletion, _ = deletion_and_insertion(Findings(), images, torch.tensor([0, 0]), empty, steps=3,
                                         without=torch.zeros_like(images))
    light = np.array([[1], [2 / 3]]) * (1 - np.arange(4) / 3)
    assert deletion == pytest.approx(1 / (1 + np.exp(-light)), abs=0.01)


def test_what_is_gone_shows_the_image_blurred_by_a_tenth_of_its_side():
    images = torch.rand(2, 3, 40, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    want = gaussian_filter(images.numpy(), (0, 0, 4, 4), mode="mirror", truncate=2.5)
    assert deletions.blurred(images).numpy() == pytest.approx(want, abs=1e-12)
    model = LeftThird()
    deletion, _ = deletion_and_insertion(model, images, torch.tensor([1, 1]), np.ones((2, 40, 30)))
    gone = left_third(torch.from_numpy(want)).softmax(1)[:, 1].numpy()
    assert deletion[:, -1] == pytest.approx(gone, abs=1e-6) and abs(deletion[:, 0] - gone).min() > 1e-4


def test_the_baselines_are_high_where_their_names_say():
    image = torch.zeros(2, 1, 9, 9)
    image[0, :, :, 4:], image[1, :, 4:] = 1, 1                          # an upright edge, and a level one
    upright, level = deletions.edges(image)
    assert upright.argmax(1).tolist() == [3] * 9 and level.argmax(0).tolist() == [3] * 9 and np.array_equal(upright, level.T)
    middle = deletions.centre(image)[0]
    assert middle.argmax() == 40 and middle[0, 0] == middle.min() and middle[4, 0] == pytest.approx(np.exp(-1))
    assert not np.array_equal(*deletions.random_places(image))           # each image has places of its own
