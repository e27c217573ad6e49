"""Augmentation against torchvision's, image by image, and the numbers against a published sequence."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as TF
from torchvision.transforms import InterpolationMode

from core.augment import AUGMENTATIONS, COLUMNS, _move, augment, draw, splitmix64, uniform
from core.config import AugmentConfig

NONE = AugmentConfig()
ALL = AugmentConfig(flip=0.5, rotate=25, shift=0.15, scale=0.2, brightness=0.15, contrast=0.3)


def pictures(n=6, channels=1, height=40, width=40):
    coarse = torch.rand(n, channels, 7, 7, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1)


def reference(image, config, seed_epoch, index):
    """One image through torchvision, with the numbers that `draw` says."""
    d = {name: values[0] for name, values in draw(config, seed_epoch, torch.tensor([index])).items()}
    if "flip" in d and d["flip"]:
        image = TF.hflip(image)
    height, width = image.shape[1:]
    shift = d.get("shift", torch.zeros(2))
    image = TF.affine(image, angle=float(d.get("rotate", 0)), scale=float(d.get("scale", 1)), shear=[0.0],
                      translate=[float(shift[0]) * width, float(shift[1]) * height],
                      interpolation=InterpolationMode.BILINEAR, fill=None)            # fill=0 darkens the edge twice
    if "contrast" in d:
        mean = image.mean()
        image = (image - mean) * d["contrast"] + mean
    return (image + d.get("brightness", 0)).clamp(0, 1)


def test_the_table_has_every_knob_and_no_number_is_used_twice():
    assert list(AUGMENTATIONS) == [f.name for f in fields(AugmentConfig)]
    columns = [column for augmentation in AUGMENTATIONS.values() for column in augmentation.columns]
    assert len(columns) == len(set(columns)) and max(columns) < COLUMNS


@pytest.mark.parametrize("channels, height, width", [(1, 40, 40), (3, 28, 28), (1, 30, 52)])
@pytest.mark.parametrize("config", [ALL, *(replace(NONE, **{name: getattr(ALL, name)}) for name in AUGMENTATIONS)])
def test_equals_torchvision_image_by_image(config, channels, height, width):
    images, indices = pictures(6, channels, height, width), torch.tensor([3, 14, 15, 92, 65, 35])
    out = augment(images, config, (7, 2), indices)
    expected = torch.stack([reference(image, config, (7, 2), int(i)) for image, i in zip(images, indices)])
    torch.testing.assert_close(out, expected, rtol=0, atol=2e-5)
    assert not torch.equal(out, images)


def test_all_knobs_at_zero_give_the_same_tensor_back():
    images = pictures()
    assert augment(images, NONE, (0, 0), torch.arange(6)) is images


def test_a_certain_flip_is_exact_and_the_input_is_left_alone():
    images = pictures()
    before = images.clone()
    assert torch.equal(augment(images, replace(NONE, flip=1.0), (0, 0), torch.arange(6)), images.flip(-1))
    augment(images, ALL, (0, 0), torch.arange(6))
    assert torch.equal(images, before)


def test_a_quarter_turn_and_a_whole_pixel_shift_are_what_they_say():
    images = pictures(1)
    drawn = {"rotate": torch.tensor([[90.0]]), "shift": torch.tensor([[4 / 40, -2 / 40]])}
    turned = np.rot90(images[0, 0].numpy(), -1)                       # clockwise
    expected = np.zeros((40, 40), np.float32)
    expected[:38, 4:] = turned[2:, :36]                               # four to the right, two up
    np.testing.assert_allclose(_move(images, drawn)[0, 0], expected, atol=2e-5)


def test_an_image_is_changed_the_same_way_in_any_batch_and_order():
    images, indices = pictures(6), torch.arange(100, 106)
    whole = augment(images, ALL, (3, 4), indices)
    order = torch.tensor([4, 0, 5, 2, 1, 3])
    torch.manual_seed(1)
    state = torch.get_rng_state()
    shuffled = augment(images[order], ALL, (3, 4), indices[order])
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(shuffled, whole[order])
    alone = torch.cat([augment(images[i:i + 1], ALL, (3, 4), indices[i:i + 1]) for i in range(6)])
    torch.testing.assert_close(alone, whole, rtol=0, atol=1e-6)
    for other in ((3, 5), (4, 4), (4, 3)):
        assert not torch.allclose(augment(images, ALL, other, indices), whole)


def test_stays_in_range_and_keeps_type():
    strong = AugmentConfig(flip=0.5, rotate=180, shift=0.5, scale=0.5, brightness=0.5, contrast=0.9)
    for dtype in (torch.float32, torch.bfloat16):
        out = augment(pictures(64).to(dtype), strong, (0, 0), torch.arange(64))
        assert out.dtype == dtype and out.min() >= 0 and out.max() <= 1


def test_splitmix64_gives_the_published_sequence():
    """The first outputs for the seed 1234567, as other implementations print them."""
    state, gamma, out = torch.tensor(1234567), 0x9E3779B97F4A7C15 - 2**64, []
    for _ in range(5):
        out.append(int(splitmix64(state)) % 2**64)
        state = state + gamma
    assert out == [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431,
                   16408922859458223821]


def test_the_numbers_are_uniform_and_know_nothing_of_each_other():
    u = uniform((1, 2), torch.arange(20_000)).double()
    assert u.shape == (20_000, COLUMNS) and u.min() >= 0 and u.max() < 1
    for column in u.T:                                                # Kolmogorov-Smirnov, critical value at 1e-4 each
        d = (column.sort().values - torch.arange(20_000) / 20_000).abs().max()
        assert d < 2.23 / 20_000 ** 0.5
    def correlation(a, b):
        return float(np.corrcoef(a, b)[0, 1])
    nearby = [correlation(u[:, 0], u[:, 1]), correlation(u[:-1, 0], u[1:, 0]),
              correlation(u[:, 0], uniform((1, 3), torch.arange(20_000))[:, 0]),
              correlation(u[:, 0], uniform((2, 2), torch.arange(20_000))[:, 0])]
    assert max(map(abs, nearby)) < 4 / 20_000 ** 0.5


def test_each_knob_is_spread_over_its_whole_range():
    drawn = draw(ALL, (0, 0), torch.arange(20_000))
    assert abs(drawn["flip"].float().mean() - 0.5) < 0.02
    for name, middle in (("rotate", 0), ("shift", 0), ("scale", 1), ("brightness", 0), ("contrast", 1)):
        limit, values = getattr(ALL, name), drawn[name].double()
        assert values.min() >= middle - limit - 1e-6 and values.max() <= middle + limit + 1e-6
        assert values.min() < middle - 0.99 * limit and values.max() > middle + 0.99 * limit
        assert abs(values.mean() - middle) < 0.03 * limit
        assert abs(values.std() - limit / 3 ** 0.5) < 0.02 * limit    # of a uniform distribution


def test_large_seeds_and_indices_work():
    u = uniform((2**31 - 1, 10**6), torch.tensor([0, 2**40]))
    assert (u[0] != u[1]).all() and (u >= 0).all() and (u < 1).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_gpu_gives_the_same_images():
    images, indices = pictures(), torch.arange(6)
    on_gpu = augment(images.cuda(), ALL, (0, 0), indices)
    torch.testing.assert_close(on_gpu.cpu(), augment(images, ALL, (0, 0), indices), rtol=0, atol=1e-4)
    assert torch.equal(uniform((0, 0), indices.cuda()).cpu(), uniform((0, 0), indices))
