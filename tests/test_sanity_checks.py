"""Tests of heat-maps: what must be seen through is planted, and every number has a closed form or SciPy beside it."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.special import softmax
from scipy.stats import spearmanr
from torch import nn

from core.explain import grad_cam, sanity_checks
from core.explain.localization import Place, border_ring, energy, places, pointing_game
from core.explain.sanity_checks import (
    BASELINES,
    Examination,
    Randomised,
    coverage,
    examine,
    points_at,
    randomisation,
    shift_stability,
    verdict,
    where,
)
from core.explain.similarity import likeness, spearman, ssim

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
    images = torch.from_numpy(sanity_checks.random_places(torch.zeros(n, 1, S, S), seed=3)).clamp(0.1, 0.8)[:, None].float()
    images[:, :, :, 1:15:2] = 0
    images[:, :, torch.from_numpy(SQUARE)] = 0.9
    return images


def on_edges(model, images, targets, layer):
    """A method that never asks the network."""
    return torch.from_numpy(sanity_checks.edges(images))


ONES = torch.ones(8, dtype=torch.int64)


# ---- numbers ----

def test_rank_correlation_is_scipys_with_ties_too():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 5, (2, 6, 9, 7)).astype(np.float32)
    want = [spearmanr(x.ravel(), y.ravel()).statistic for x, y in zip(a, b)]
    assert spearman(a, b) == pytest.approx(want, abs=1e-12)
    assert list(spearman(a, np.zeros_like(a))) == [0] * 6
    assert likeness(np.zeros((1, 3, 3)), np.ones((1, 3, 3))) is None


def test_ssim_is_its_equation_written_out():
    rng = np.random.default_rng(1)
    a, b = rng.random((2, 2, 15, 13))
    unit = [(x - x.min((1, 2), keepdims=True)) / np.ptp(x, (1, 2), keepdims=True) for x in (a, b)]
    one = np.exp(-np.arange(-5, 6) ** 2 / 4.5)
    window = np.outer(one, one) / one.sum() ** 2
    want = []
    for x, y in zip(*unit):
        values = []
        for i in range(5):
            for j in range(3):
                p, q = x[i:i + 11, j:j + 11], y[i:i + 11, j:j + 11]
                mp, mq = (window * p).sum(), (window * q).sum()
                vp, vq, cov = (window * (p - mp) ** 2).sum(), (window * (q - mq) ** 2).sum(), (window * (p - mp) * (q - mq)).sum()
                values.append((2 * mp * mq + 1e-4) * (2 * cov + 9e-4) / ((mp ** 2 + mq ** 2 + 1e-4) * (vp + vq + 9e-4)))
        want.append(np.mean(values))
    assert ssim(a, b) == pytest.approx(want, abs=1e-9)
    assert ssim(a, 3 * a + 7) == pytest.approx([1, 1])                  # each map has a scale of its own


def test_energy_and_pointing_equal_maps_made_by_hand():
    maps = np.zeros((5, 4, 4), np.float32)
    maps[0, 0, 0], maps[0, 3, 3] = 3, 1                          # three quarters in the corner, the highest place too
    maps[1] = 1                                                  # even: as much as the area
    maps[2, 1, 1] = -5                                           # speaks against: no heat
    maps[3, 0, 0], maps[3, 2, 2] = 1, 3
    maps[4, 0, 0] = 1                                            # its region is empty
    region = np.zeros((5, 4, 4), bool)
    region[:4, :2, :2] = True
    assert energy(maps, region) == pytest.approx([0.75, 0.25, np.nan, 0.25, np.nan], nan_ok=True)
    assert pointing_game(maps, region) == pytest.approx([1, 0.25, np.nan, 0, np.nan], nan_ok=True)
    ring = border_ring(10, 20)
    assert ring.sum() == 200 - 8 * 18 and energy(np.ones((1, 10, 20)), ring) == pytest.approx(56 / 200)
    found = places(maps, {"corner": region, "nowhere": np.zeros((4, 4), bool)})
    assert set(found) == {"corner"} and found["corner"] == Place(3, pytest.approx(1.25 / 3), 0.25, pytest.approx(1.25 / 3))
    assert found["corner"].lift == pytest.approx(5 / 3)


def test_deletion_and_insertion_of_a_linear_network_in_closed_form():
    """One logit, sum of w x: who takes the pixels by falling w knows the sum that is left after each."""
    rng = np.random.default_rng(2)
    weights = rng.normal(0, 0.5, 16).astype(np.float32)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 1))
    model.requires_grad_(False)[1].weight.copy_(torch.from_numpy(weights)[None])
    model[1].bias.fill_(0.3)
    images = torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    share = weights * images.numpy().reshape(3, 16)
    deletion, insertion = coverage(model, images, torch.zeros(3, dtype=torch.int64), share.reshape(3, 4, 4), steps=8,
                                   without=torch.zeros_like(images))
    falling = -np.sort(-share, axis=1)
    come = np.concatenate([np.zeros((3, 1)), np.cumsum(falling, 1)], axis=1)[:, ::2]
    assert insertion == pytest.approx(1 / (1 + np.exp(-(0.3 + come))), abs=1e-6)
    assert deletion == pytest.approx(1 / (1 + np.exp(-(0.3 + share.sum(1, keepdims=True) - come))), abs=1e-6)
    assert sanity_checks.area(np.array([0.0, 0.5, 1.0])) == 0.5


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
        deletion, insertion = coverage(model, images, targets, np.ones((3, 6, 6)), without=0 * images)
        assert deletion[:, 0] == pytest.approx(want[[0, 1, 2], targets].numpy())
        assert np.array_equal(insertion[:, -1], deletion[:, 0]) and np.array_equal(insertion[:, 0], deletion[:, -1])


def test_pixels_of_equal_value_go_in_random_order():
    """An empty map has no order: a third of all pixels is a third of those on the left, and not the top third of the image."""
    images, empty = torch.ones(2, 1, 60, 60), np.zeros((2, 60, 60))
    images[1, :, :20] = 0                                                # the second has no light at the top
    deletion, _ = coverage(Findings(), images, torch.tensor([0, 0]), empty, steps=3, without=torch.zeros_like(images))
    light = np.array([[1], [2 / 3]]) * (1 - np.arange(4) / 3)
    assert deletion == pytest.approx(1 / (1 + np.exp(-light)), abs=0.01)


def test_what_is_gone_shows_the_image_blurred_by_a_tenth_of_its_side():
    images = torch.rand(2, 3, 40, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    want = gaussian_filter(images.numpy(), (0, 0, 4, 4), mode="mirror", truncate=2.5)
    assert sanity_checks.blurred(images).numpy() == pytest.approx(want, abs=1e-12)
    model = LeftThird()
    deletion, _ = coverage(model, images, torch.tensor([1, 1]), np.ones((2, 40, 30)))
    gone = left_third(torch.from_numpy(want)).softmax(1)[:, 1].numpy()
    assert deletion[:, -1] == pytest.approx(gone, abs=1e-6) and abs(deletion[:, 0] - gone).min() > 1e-4


def test_the_baselines_are_high_where_their_names_say():
    image = torch.zeros(2, 1, 9, 9)
    image[0, :, :, 4:], image[1, :, 4:] = 1, 1                          # an upright edge, and a level one
    upright, level = sanity_checks.edges(image)
    assert upright.argmax(1).tolist() == [3] * 9 and level.argmax(0).tolist() == [3] * 9 and np.array_equal(upright, level.T)
    middle = sanity_checks.centre(image)[0]
    assert middle.argmax() == 40 and middle[0, 0] == middle.min() and middle[4, 0] == pytest.approx(np.exp(-1))
    assert not np.array_equal(*sanity_checks.random_places(image))           # each image has places of its own


# ---- planted networks ----

def test_a_network_that_reads_one_square_is_found_to_do_so():
    model, images = ReadsSquare(), pictures()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = examine(model, images, ONES, "grad_cam", "features", regions={"square": SQUARE, "elsewhere": ~SQUARE})
    assert found.places["square"].energy > 0.99 and found.places["square"].pointing == 1
    assert found.places["elsewhere"].energy < 0.01 and found.places["elsewhere"].pointing == 0
    assert found.gain > 0.1 and found.deletion["the map"][0] == found.insertion["the map"][-1] > 0.95
    assert set(found.deletion) == {"the map", *BASELINES} and found.empty == 0 and found.seeds is None
    scores = {name: float(sanity_checks.area(found.insertion[name]) - sanity_checks.area(found.deletion[name])) for name in found.deletion}
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
    alone = examine(model, images, ONES, "hires_cam", "features", regions=regions)
    found = examine(model, images, ONES, "hires_cam", "features", against=2 * ONES, regions=regions)
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
    found = examine(model, images, ONES, on_edges)
    said = verdict(found)
    assert said.answer == "no" and "1.00" in said.sentence and "not what the network has learned" in said.sentence


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
    fixed = torch.from_numpy(sanity_checks.random_places(images, seed=9)).float()
    assert shift_stability(None, images, ONES, on_edges) > 0.97            # edges move with the image
    bumps = torch.zeros_like(fixed)
    bumps[:, ::2, ::2] = 1                                                 # stays, and is another map when moved back by one
    assert shift_stability(None, images, ONES, lambda *a: bumps) < 0
    assert shift_stability(None, images, ONES, lambda *a: fixed) < 1
    assert shift_stability(None, images, ONES, lambda *a: torch.zeros_like(fixed)) is None


def test_two_seeds_are_compared_when_there_are_two():
    images, model = pictures(), ReadsSquare()
    assert examine(model, images, ONES, grad_cam, "features", other=model).seeds == pytest.approx(1)
    assert examine(model, images, ONES, on_edges, other=random_network()).seeds == pytest.approx(1)
    other = random_network()
    want = likeness(grad_cam(model, images, ONES, "features"), grad_cam(other, images, ONES, "0"))

    def last_maps(model, images, targets, layer):
        return grad_cam(model, images, targets, "features" if isinstance(model, ReadsSquare) else "0")
    assert examine(model, images, ONES, last_maps, other=other).seeds == pytest.approx(want) != pytest.approx(1)


def test_stop_comes_through():
    def stop(sentence, done, total):
        if sentence == "Moving the images":
            raise InterruptedError
    with pytest.raises(InterruptedError):
        examine(ReadsSquare(), pictures(2), ONES[:2], "grad_cam", "features", progress=stop)


# ---- the sentence ----

def made(forgot=0.1, gain=0.2, shifts=0.9, seeds=None, empty=0, **regions) -> Examination:
    randomised = Randomised(("trained", "2", "0"), np.array([1, 0.45, forgot]), np.array([1, 0.4, 0.3]))     # the last counts
    return Examination(8, empty, randomised, {}, {}, gain, "the edges", shifts, seeds, regions)


@pytest.mark.parametrize("found, answer, number", [
    (made(), "yes", "0.20"), (made(empty=8, forgot=0.0), "no", "nothing speaks"), (made(forgot=0.62), "no", "0.62"),
    (made(gain=-0.07), "doubtful", "-0.07"), (made(gain=0.01), "doubtful", "+0.01"), (made(forgot=0.5), "no", "0.50"),
    (made(shifts=0.31), "doubtful", "0.31"), (made(shifts=None), "yes", "0.10"),
    (made(seeds=0.12), "yes", "0.12"), (made(forgot=0.62, gain=-1, shifts=0), "no", "0.62")])
def test_the_verdict_gives_the_number_that_decided(found, answer, number):
    said = verdict(found)
    assert said.answer == answer and number in said.sentence
    assert said.numbers["gain over the best baseline"] == found.gain and said.numbers["SSIM with random weights"] == 0.3


def test_the_verdict_carries_every_number():
    numbers = verdict(made(shifts=None, seeds=0.7, finding=Place(8, 0.6, 0.1, 0.9))).numbers
    assert numbers == {"likeness with random weights": 0.1, "SSIM with random weights": 0.3, "gain over the best baseline": 0.2,
                       "likeness between seeds": 0.7, "energy in finding": 0.6, "pointing game in finding": 0.9}


def test_where_it_points():
    ring = Place(8, 0.9, 0.3, 1.0)
    assert where(made(**{"border ring": ring})) == ""
    assert where(made(letters=Place(8, 0.6, 0.05, 1.0), finding=Place(8, 0.1, 0.05, 0.0))) == (
        "They point at the letters: 60 % of the heat lies there, 12.0 times what an even map would have.")
    small, large = Place(8, 0.3, 0.01, 1.0), Place(8, 0.6, 0.25, 0.0)           # thirty times an even map, and 2.4 times
    assert sanity_checks.points_at(made(letters=small, finding=large)) == "letters"
    hot_ring = made(**{"border ring": Place(8, 0.9, 0.1, 1.0), "finding": large})
    assert sanity_checks.points_at(hot_ring) == "finding" and where(hot_ring).startswith("They point at the finding")
    assert "no place that is known: 6 % of the heat is in the finding" in where(made(finding=Place(8, 0.06, 0.05, 0.0)))
