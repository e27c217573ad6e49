"""Checks of heat-maps on networks that are planted: what must be seen through is known."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import spearmanr
from torch import nn

from core.explain import grad_cam
from core.explain.deletion import BASELINES, area, edges, random_places
from core.explain.randomisation import randomisation
from core.explain.sanity_checks import run_checks, shift_stability
from core.explain.similarity import map_similarity
from core.explain.verdict import points_at, verdict, where

S = 32
SQUARE = np.zeros((S, S), bool)
SQUARE[6:14, 18:26] = True


class ReadsSquare(nn.Module):
    """Class 1 where SQUARE is bright; all else is multiplied by nothing. Its maps are 32 x 32, so a map can be exact."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU())
        self.fc = nn.Linear(4, 2)
        self.mask = torch.from_numpy(SQUARE).float()
        with torch.no_grad():
            self.features[0].weight.zero_()
            self.features[0].weight[:, 0, 1, 1] = torch.tensor([1.0, 0.5, 0.0, 0.0])
            self.features[0].bias.zero_()
            self.fc.weight.copy_(torch.tensor([[-8.0, -8, 1, 1], [8, 8, -1, -1]]))
            self.fc.bias.copy_(torch.tensor([8.0, -8.0]))

    def forward(self, images):
        return self.fc((self.features(images * self.mask)).sum((2, 3)) / self.mask.sum())


def pictures(n: int = 8) -> torch.Tensor:
    """Random blobs with a bright square, and stripes elsewhere, whose edges are stronger than the square's."""
    images = torch.from_numpy(random_places(torch.zeros(n, 1, S, S), seed=3)).clamp(0.1, 0.8)[:, None].float()
    images[:, :, :, 1:15:2] = 0
    images[:, :, torch.from_numpy(SQUARE)] = 0.9
    return images


def on_edges(model, images, targets, layer):
    """A method that never asks the network."""
    return torch.from_numpy(edges(images))


ONES = torch.ones(8, dtype=torch.int64)


def test_a_network_that_reads_one_square_is_found_to_do_so():
    model, images = ReadsSquare(), pictures()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = run_checks(model, images, ONES, "grad_cam", "features", regions={"square": SQUARE, "elsewhere": ~SQUARE})
    assert found.places["square"].energy > 0.99 and found.places["square"].pointing == 1
    assert found.places["elsewhere"].energy < 0.01 and found.places["elsewhere"].pointing == 0
    assert found.gain > 0.1 and found.deletion["the map"][0] == found.insertion["the map"][-1] > 0.95
    assert set(found.deletion) == {"the map", *BASELINES} and found.empty == 0 and found.seeds is None
    scores = {name: float(area(found.insertion[name]) - area(found.deletion[name])) for name in found.deletion}
    assert found.best_baseline == max(BASELINES, key=scores.get) != min(BASELINES, key=scores.get)
    assert found.gain == pytest.approx(scores["the map"] - max(scores[name] for name in BASELINES))
    said = where(found)
    assert said.startswith("They point at the square: ") and "100 % of the heat" in said
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


SHARED = np.roll(SQUARE, (14, -14), (0, 1))


class ReadsTwoSquares(nn.Module):
    """Class 1 where SQUARE and SHARED are bright, class 2 where SHARED is: only SQUARE tells the one from the other."""

    def __init__(self):
        super().__init__()
        self.features, self.fc = nn.Conv2d(1, 2, 1), nn.Linear(2, 3)
        self.masks = torch.from_numpy(np.stack([SQUARE, SHARED])).float()
        with torch.no_grad():
            self.features.weight.fill_(1)
            self.features.bias.zero_()
            self.fc.weight.copy_(torch.tensor([[0.0, 0], [18, 18], [0, 18]]))
            self.fc.bias.copy_(torch.tensor([0.0, -30, -18]))

    def forward(self, images):
        return self.fc((self.features(images) * self.masks).sum((2, 3)) / SQUARE.sum())


def test_the_difference_of_two_classes_is_tested_for_itself():
    model, images, regions = ReadsTwoSquares(), pictures(), {"square": SQUARE, "shared": SHARED}
    images[:, :, torch.from_numpy(SHARED)] = 0.9
    alone = run_checks(model, images, ONES, "hires_cam", "features", regions=regions)
    found = run_checks(model, images, ONES, "hires_cam", "features", against=2 * ONES, regions=regions)
    assert alone.places["shared"].energy > 0.3
    assert not found.places["shared"].energy and points_at(found) == "square" and found.gain > 0.1
    logits = model(images).detach().numpy()
    want = 1 / (1 + np.exp(logits[:, 2] - logits[:, 1]))                  # the two classes alone, without the third
    assert found.deletion["the map"][0] == pytest.approx(want.mean(), abs=1e-6)
    assert found.insertion["the map"][-1] == pytest.approx(want.mean(), abs=1e-6)
    assert want.mean() - softmax(logits, axis=1)[:, 1].mean() > 0.05


def random_network(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(1, 16, 5, padding=2), nn.ReLU(), nn.Conv2d(16, 16, 5, padding=2), nn.ReLU(),
                             nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 2)).eval()


def test_random_weights_change_a_map_of_the_network_and_not_a_drawing_of_the_image():
    model, images = random_network(), pictures()
    honest = randomisation(model, images, ONES, "hires_cam", "3")
    drawn = randomisation(model, images, ONES, on_edges)
    assert honest.blocks == drawn.blocks == ("trained", "6", "2", "0")
    assert honest.spearman[0] == drawn.spearman[0] == 1 and honest.ssim[0] == pytest.approx(1)
    assert honest.spearman[-1] < 0.3 and drawn.spearman.min() == 1 and drawn.ssim.min() == pytest.approx(1)
    found = run_checks(model, images, ONES, on_edges)
    said = verdict(found)
    assert said.trust == "no" and "1.00" in said.sentence and "not what the network has learned" in said.sentence


def test_the_top_forgets_first_and_each_tensor_keeps_its_mean_and_deviation():
    """A network of nine layers is cut into six blocks; by the name of a block all above it, and nothing below, is random."""
    model = nn.Sequential(*(nn.Conv2d(8, 8, 9, padding=4, bias=False) for _ in range(9)))
    with torch.no_grad():
        for k, layer in enumerate(model):
            layer.weight.copy_(k + 0.1 * torch.randn(layer.weight.shape, generator=torch.Generator().manual_seed(k)))
    seen, images = [], torch.rand(3, 1, 4, 4)

    def method(now, images, *_):
        seen.append([layer.weight.detach().clone() for layer in now])
        return torch.stack([images[0, 0], 0 * images[0, 0], images[2, 0].flip(0) if len(seen) > 1 else images[2, 0]])
    found = randomisation(model, images, ONES[:3], method)
    assert found.blocks[:2] == ("trained", "8") and found.blocks[-1] == "0" and len(found.blocks) == 7
    for block, weights in zip(found.blocks[1:], seen[1:]):
        kept = [torch.equal(layer.weight, now) for layer, now in zip(model, weights)]
        assert kept == [True] * int(block) + [False] * (9 - int(block))
    for k, now in enumerate(seen[-1]):
        assert now.mean() == pytest.approx(k, abs=0.01) and now.std() == pytest.approx(0.1, abs=0.01)
    turned = spearmanr(images[2, 0].ravel(), images[2, 0].flip(0).ravel()).statistic
    assert found.spearman == pytest.approx([1] + [(1 + turned) / 2] * 6)             # the empty map does not count


def test_images_are_moved_to_all_four_sides_and_maps_back():
    images, seen = pictures(2), []

    def method(model, images, *_):
        seen.append(images.clone())
        return images[:, 0]
    assert shift_stability(None, images, ONES[:2], method) == pytest.approx(1)
    inner = (..., slice(2, -2), slice(2, -2))
    for (down, right), moved in zip(((0, 1), (0, -1), (1, 0), (-1, 0)), seen[1:], strict=True):
        assert torch.equal(moved[inner], images.roll((down, right), (2, 3))[inner])


def test_a_shift_is_followed_by_what_moves_and_not_by_what_stays():
    images = pictures()
    fixed = torch.from_numpy(random_places(images, seed=9)).float()
    assert shift_stability(None, images, ONES, on_edges) > 0.97            # edges move with the image
    bumps = torch.zeros_like(fixed)
    bumps[:, ::2, ::2] = 1                                                 # stays, and is another map when moved back by one
    assert shift_stability(None, images, ONES, lambda *a: bumps) < 0
    assert shift_stability(None, images, ONES, lambda *a: fixed) < 1
    assert shift_stability(None, images, ONES, lambda *a: torch.zeros_like(fixed)) is None


def test_two_seeds_are_compared_when_there_are_two():
    images, model = pictures(), ReadsSquare()
    assert run_checks(model, images, ONES, grad_cam, "features", other=model).seeds == pytest.approx(1)
    assert run_checks(model, images, ONES, on_edges, other=random_network()).seeds == pytest.approx(1)
    other = random_network()
    want = map_similarity(grad_cam(model, images, ONES, "features"), grad_cam(other, images, ONES, "0"))

    def last_maps(model, images, targets, layer):
        return grad_cam(model, images, targets, "features" if isinstance(model, ReadsSquare) else "0")
    assert run_checks(model, images, ONES, last_maps, other=other).seeds == pytest.approx(want) != pytest.approx(1)


def test_stop_comes_through():
    def stop(sentence, done, total):
        if sentence == "Moving the images":
            raise InterruptedError
    with pytest.raises(InterruptedError):
        run_checks(ReadsSquare(), pictures(2), ONES[:2], "grad_cam", "features", progress=stop)
