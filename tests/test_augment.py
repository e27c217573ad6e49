"""Augmentation against torchvision's and scipy's, image by image, and the numbers against a published sequence."""

import hashlib
import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as TF
from scipy import ndimage, stats
from torchvision.transforms import InterpolationMode

from core.augment import AUGMENTATIONS, GROUPS, PRESETS, STREAM, active, caveats, preset_of, summary
from core.augment.images import GEOMETRIC, _move, augment, draw, normal, splitmix64, uniform
from core.config import KNOBS, AugmentConfig, RunConfig

NONE = AugmentConfig()
OLD = AugmentConfig(flip=0.5, rotate=25, shift=0.15, scale=0.2, brightness=0.15, contrast=0.3)     # all there was at first
ALL = replace(OLD, flip_vertical=0.5, crop=0.1, shear=8, blur=0.7, blur_sigma=1.2, linear_contrast=0.7, multiply=0.7,
              saturation=0.4, hue=0.2, noise=0.7, noise_scale=0.05, noise_per_channel=0.5)
ALONE = [replace(ALL, **{other: 0 for other in AUGMENTATIONS if other != name}) for name in AUGMENTATIONS]
GRAY_TOO = [config for config, name in zip(ALONE, AUGMENTATIONS) if AUGMENTATIONS[name].group != "colour"]


def pictures(n=6, channels=1, height=40, width=40):
    coarse = torch.rand(n, channels, 7, 7, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1)


def moved(image, d):
    """One image through scipy: the place of each output pixel in the input, by the inverse of a matrix in pixels."""
    channels, height, width = image.shape
    def number(name, neutral):
        return float(d[name][0]) if name in d else neutral
    angle, lean, scale = math.radians(number("rotate", 0)), math.radians(number("shear", 0)), number("scale", 1)
    right, down = d["shift"].tolist() if "shift" in d else (0, 0)
    left, far, top, bottom = d["crop"].tolist() if "crop" in d else (0, 0, 0, 0)
    centre = np.array([[1, 0, (width - 1) / 2], [0, 1, (height - 1) / 2], [0, 0, 1]])           # x, y
    turn = np.array([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]])
    shear = np.array([[1, -math.tan(lean), 0], [0, 1, 0], [0, 0, 1]])
    grow = np.diag([scale, scale, 1])
    shift = np.array([[1, 0, right * width], [0, 1, down * height], [0, 0, 1]])
    edges = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])                                     # from pixels to their corners
    window = np.array([[1 - left - far, 0, left * width], [0, 1 - top - bottom, top * height], [0, 0, 1]])
    crop = np.linalg.inv(edges) @ np.linalg.inv(window) @ edges
    back = np.linalg.inv(shift @ centre @ turn @ shear @ grow @ np.linalg.inv(centre) @ crop)
    y, x = np.mgrid[:height, :width]
    from_x, from_y, _ = np.einsum("ij,jhw->ihw", back, np.stack([x, y, np.ones_like(x)]))
    return torch.from_numpy(np.stack([ndimage.map_coordinates(c, [from_y, from_x], order=1, mode="grid-constant")
                                      for c in image.double().numpy()])).float()


def reference(image, config, seed_epoch, index):
    """One image, operation after operation, by torchvision, scipy or the formula, with the numbers that `draw` says."""
    d = {name: values[0] for name, values in draw(config, seed_epoch, torch.tensor([index])).items()}
    if "flip" in d and d["flip"]:
        image = TF.hflip(image)
    if "flip_vertical" in d and d["flip_vertical"]:
        image = TF.vflip(image)
    if d.keys() & GEOMETRIC:
        image = moved(image, d)
    if "blur" in d and d["blur"]:
        image = TF.gaussian_blur(image, 2 * math.ceil(3 * config.blur_sigma) + 1, [float(d["blur"])])
    if "contrast" in d:
        mean = image.mean()
        image = (image - mean) * d["contrast"] + mean
    image = (image + d.get("brightness", 0)).clamp(0, 1)
    if "linear_contrast" in d:
        image = (0.5 + d["linear_contrast"] * (image - 0.5)).clamp(0, 1)
    if "multiply" in d:
        image = (image * d["multiply"]).clamp(0, 1)
    if len(image) == 3:
        image = TF.adjust_saturation(image, float(d.get("saturation", 1)))
        image = TF.adjust_hue(image, float(d.get("hue", 0)))
    if "noise" in d:
        z = normal(seed_epoch, torch.tensor([index]), image.numel()).view(image.shape)
        image = (image + d["noise"][0] * (z if d["noise"][1] else z[:1])).clamp(0, 1)
    return image


def test_the_table_has_every_knob_and_no_number_is_used_twice():
    known = [knob for name, entry in AUGMENTATIONS.items() for knob in entry.knobs(name)]
    assert sorted(known) == sorted(f.name for f in fields(AugmentConfig)) and len(known) == len(set(known))
    columns = [column for augmentation in AUGMENTATIONS.values() for column in augmentation.columns]
    assert len(columns) == len(set(columns))
    assert all(entry.group in GROUPS and entry.help and entry.caveats for entry in AUGMENTATIONS.values())
    assert active(NONE) == () and active(ALL) == tuple(AUGMENTATIONS)
    for f in fields(AugmentConfig):
        knob = KNOBS[f"augment.{f.name}"]
        assert knob.help and knob.low <= f.default <= knob.high


def test_old_runs_can_be_repeated_bit_by_bit():
    """The numbers and an image as they were when there were six knobs, from the program of that time."""
    x = np.arange(3 * 2 * 20 * 24).reshape(3, 2, 20, 24)
    images, indices = torch.from_numpy((x * 7919 % 256 / 255).astype(np.float32)), torch.tensor([0, 5, 123456])
    drawn = draw(OLD, (7, 2), indices)
    numbers = b"".join(drawn[name].float().numpy().tobytes() for name in sorted(drawn))
    assert hashlib.sha256(numbers).hexdigest() == "9afd5c80e3d5f25953b946a40c3e5bad3480d34c9bbd144bd481792f04981d5b"
    out = augment(images, OLD, (7, 2), indices)                       # other processors round otherwise: no hash of the pixels
    torch.testing.assert_close(out.double().mean(dim=(1, 2, 3)), torch.tensor(
        [0.5779905295775583, 0.37695769674610347, 0.35161857481349823], dtype=torch.float64), rtol=0, atol=1e-6)
    torch.testing.assert_close(out[:, 0, 10, 8:12], torch.tensor([
        [0.5287078022956848, 0.15724848210811615, 0.21491004526615143, 0.5120609402656555],
        [0.5013977289199829, 0.6404638886451721, 0.3940647840499878, 0.20531195402145386],
        [0.5310815572738647, 0.4728303551673889, 0.3035232424736023, 0.1342158317565918]]), rtol=0, atol=2e-6)
    both = draw(ALL, (7, 2), indices)
    assert all(torch.equal(both[name], drawn[name]) for name in drawn), "new knobs take no number from the old ones"


@pytest.mark.parametrize("channels, height, width", [(1, 40, 40), (3, 28, 28), (1, 30, 52)])
@pytest.mark.parametrize("config", [ALL, *ALONE], ids=["all", *AUGMENTATIONS])
def test_equals_a_reference_image_by_image(config, channels, height, width):
    images, indices = pictures(6, channels, height, width), torch.tensor([3, 14, 15, 92, 65, 35])
    out = augment(images, config, (7, 2), indices)
    expected = torch.stack([reference(image, config, (7, 2), int(i)) for image, i in zip(images, indices)])
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-4 if config.hue else 2e-5)      # torchvision's hue in float32
    assert torch.equal(out, images) == (channels == 1 and config not in GRAY_TOO and config is not ALL)


@pytest.mark.parametrize("shear", [0, 8])
def test_the_place_is_torchvisions_too(shear):
    """scipy above has the matrices of this file; torchvision has its own."""
    images, indices = pictures(4, 1, 30, 52), torch.arange(4)
    config = AugmentConfig(rotate=25, shift=0.15, scale=0.2, shear=shear)
    drawn = draw(config, (1, 1), indices)
    for i, out in enumerate(augment(images, config, (1, 1), indices)):
        right, down = drawn["shift"][i].tolist()
        expected = TF.affine(images[i], angle=float(drawn["rotate"][i]), scale=float(drawn["scale"][i]),
                             shear=[float(drawn["shear"][i]) if shear else 0.0, 0.0], translate=[right * 52, down * 30],
                             interpolation=InterpolationMode.BILINEAR, fill=None)             # fill=0 darkens the edge twice
        torch.testing.assert_close(out, expected, rtol=0, atol=2e-5)


def test_crop_of_whole_pixels_is_torchvisions_inside_the_edge():
    images = pictures(1)
    out = _move(images, {"crop": torch.tensor([[4 / 40, 6 / 40, 2 / 40, 8 / 40]])})           # left, right, top, bottom
    expected = TF.resized_crop(images, 2, 4, 30, 30, [40, 40], antialias=False)
    torch.testing.assert_close(out[..., 2:-2, 2:-2], expected[..., 2:-2, 2:-2], rtol=0, atol=2e-5)


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


def test_an_image_is_changed_the_same_way_in_any_batch_and_order(monkeypatch):
    images, indices = pictures(6, 3), torch.arange(100, 106)
    whole = augment(images, ALL, (3, 4), indices)
    order = torch.tensor([4, 0, 5, 2, 1, 3])
    torch.manual_seed(1)
    state = torch.get_rng_state()
    shuffled = augment(images[order], ALL, (3, 4), indices[order])
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(shuffled, whole[order])
    assert torch.equal(augment(images[:4], ALL, (3, 4), indices[:4]), whole[:4])
    alone = torch.cat([augment(images[i:i + 1], ALL, (3, 4), indices[i:i + 1]) for i in range(6)])
    torch.testing.assert_close(alone, whole, rtol=0, atol=1e-6)
    monkeypatch.setattr("core.augment.images.BLOCK", 3 * 40 * 40 * 4)            # four images at a time, then two
    assert torch.equal(augment(images, ALL, (3, 4), indices), whole)
    for other in ((3, 5), (4, 4), (4, 3)):
        assert not torch.allclose(augment(images, ALL, other, indices), whole)


def test_stays_in_range_and_keeps_type():
    strong = AugmentConfig(**{f.name: KNOBS[f"augment.{f.name}"].high for f in fields(AugmentConfig)})
    for dtype in (torch.float32, torch.bfloat16):
        for config in (strong, replace(strong, linear_contrast_low=0.0, multiply_low=0.0), replace(NONE, blur=1.0, blur_sigma=5),
                       replace(NONE, hue=0.5), replace(NONE, saturation=1.0)):
            out = augment(pictures(16, 3).to(dtype), config, (0, 0), torch.arange(16))
            assert out.dtype == dtype and out.min() >= 0 and out.max() <= 1 and out.isfinite().all()


def test_the_smallest_images_can_be_blurred():
    small = pictures(2, 1, 16, 16)
    assert augment(small, replace(NONE, blur=1.0, blur_sigma=5.0), (0, 0), torch.arange(2)).shape == small.shape


def test_what_is_not_chosen_by_chance_is_left_exactly_as_it_is():
    images, indices = pictures(200, 3), torch.arange(200)
    for config, name in zip(ALONE, AUGMENTATIONS):
        if AUGMENTATIONS[name].ranges:                               # these have a chance, here 0.7
            same = (augment(images, config, (0, 0), indices) == images).flatten(1).all(dim=1)
            assert abs(same.double().mean() - 0.3) < 0.12, name


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
    assert u.shape == (20_000, STREAM) and u.min() >= 0 and u.max() < 1
    for column in u.T:                                                # Kolmogorov-Smirnov, critical value at 1e-4 each
        d = (column.sort().values - torch.arange(20_000) / 20_000).abs().max()
        assert d < 2.23 / 20_000 ** 0.5
    def correlation(a, b):
        return float(np.corrcoef(a, b)[0, 1])
    nearby = [correlation(u[:, 0], u[:, 1]), correlation(u[:-1, 0], u[1:, 0]),
              correlation(u[:, 0], uniform((1, 3), torch.arange(20_000))[:, 0]),
              correlation(u[:, 0], uniform((2, 2), torch.arange(20_000))[:, 0]),
              correlation(u[:, 0], uniform((1, 2), torch.arange(20_000), 1)[:, 0])]
    assert max(map(abs, nearby)) < 4 / 20_000 ** 0.5


def test_noise_is_normal_and_each_image_and_pixel_has_its_own():
    z = normal((1, 2), torch.arange(40), 5001).double()
    assert z.shape == (40, 5001)
    assert stats.kstest(z.flatten().numpy(), "norm").pvalue > 1e-3
    close = [np.corrcoef(a.flatten(), b.flatten())[0, 1] for a, b in
             ((z[:, :-1], z[:, 1:]), (z[:-1], z[1:]), (z[:, :2500], z[:, 2501:]),
              (z[:20], normal((1, 3), torch.arange(20), 5001)),
              (z[:20].abs(), z[20:].abs()), (z[:, :2500].abs(), z[:, 2501:].abs()))]
    assert max(map(abs, close)) < 4.5 / 40_000 ** 0.5
    assert torch.equal(normal((1, 2), torch.tensor([7]), 5001)[0].double(), z[7])


def test_noise_per_channel_is_by_chance():
    gray = torch.full((400, 3, 4, 4), 0.5)
    out = augment(gray, replace(NONE, noise=1.0, noise_scale=0.05, noise_per_channel=0.25), (0, 0), torch.arange(400))
    own = (out[:, 0] != out[:, 1]).flatten(1).any(dim=1)
    assert abs(own.double().mean() - 0.25) < 0.07
    assert abs((out - gray).std() - 0.05) < 0.002


def test_each_knob_is_spread_over_its_whole_range():
    drawn = draw(ALL, (0, 0), torch.arange(20_000))
    def spread(values, low, high):
        values, width = values.double(), high - low
        assert values.min() >= low - 1e-6 and values.max() <= high + 1e-6
        assert values.min() < low + 0.01 * width and values.max() > high - 0.01 * width
        assert abs(values.mean() - (low + high) / 2) < 0.015 * width
        assert abs(values.std() - width / 12 ** 0.5) < 0.01 * width    # of a uniform distribution
    for name in ("flip", "flip_vertical"):
        assert abs(drawn[name].float().mean() - 0.5) < 0.02
    for name, middle in {"rotate": 0, "shear": 0, "shift": 0, "scale": 1, "brightness": 0, "contrast": 1, "saturation": 1,
                         "hue": 0}.items():
        spread(drawn[name], middle - getattr(ALL, name), middle + getattr(ALL, name))
    spread(drawn["crop"], 0, 0.1)
    for name, neutral, low, high in (("blur", 0, 0, 1.2), ("linear_contrast", 1, 0.75, 1.5), ("multiply", 1, 0.8, 1.2)):
        chosen = drawn[name] != neutral
        assert abs(chosen.double().mean() - 0.7) < 0.02
        spread(drawn[name][chosen], low, high)
    assert drawn["noise"][:, 0].unique().tolist() == [0, pytest.approx(0.05)]
    assert set(drawn["noise"][:, 1].unique().tolist()) == {0, 1}
    assert abs(float((drawn["noise"][:, 0] > 0).double().mean()) - 0.7) < 0.02


@pytest.mark.parametrize("knob, low, high, middle", [("linear_contrast", 0.75, 1.5, 0.5), ("multiply", 0.8, 1.2, 0.0)])
def test_gray_values_reach_the_ends_of_a_range_and_no_further(knob, low, high, middle):
    x = torch.linspace(0, 1, 11).view(1, 1, 1, 11)
    config = replace(NONE, **{knob: 1.0, f"{knob}_low": low, f"{knob}_high": high})
    out = augment(x.expand(2000, 1, 1, 11), config, (0, 0), torch.arange(2000)).view(2000, 11).numpy()
    ends = np.clip(middle + np.array([[low], [high]]) * (x.view(11).numpy() - middle), 0, 1)
    np.testing.assert_allclose(out.min(axis=0), ends.min(axis=0), atol=1e-3)
    np.testing.assert_allclose(out.max(axis=0), ends.max(axis=0), atol=1e-3)
    assert (out >= ends.min(axis=0) - 1e-6).all() and (out <= ends.max(axis=0) + 1e-6).all()


def test_large_seeds_and_indices_work():
    u = uniform((2**31 - 1, 10**6), torch.tensor([0, 2**40]))
    assert (u[0] != u[1]).all() and (u >= 0).all() and (u < 1).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_gpu_gives_the_same_images():
    images, indices = pictures(), torch.arange(6)
    on_gpu = augment(images.cuda(), ALL, (0, 0), indices)
    torch.testing.assert_close(on_gpu.cpu(), augment(images, ALL, (0, 0), indices), rtol=0, atol=1e-4)
    assert torch.equal(uniform((0, 0), indices.cuda()).cpu(), uniform((0, 0), indices))


# ----------------------------------------------------------------------------------------------------- presets and sentences

def test_the_preset_of_r000_is_its_table():
    c = PRESETS["r000"].config
    assert (c.flip, c.crop, c.blur, c.rotate, c.shear, c.shift, c.scale) == (0.5, 0.1, 0.2, 25, 8, 0.2, 0.2)
    assert (c.linear_contrast_low, c.linear_contrast_high, c.multiply_low, c.multiply_high) == (0.75, 1.5, 0.8, 1.2)
    assert (c.noise, c.noise_scale, c.noise_per_channel, c.linear_contrast, c.multiply) == (1, 0.05, 0.5, 1, 1)
    assert c.flip_vertical == c.brightness == c.contrast == c.hue == c.saturation == 0


@pytest.mark.parametrize("key", PRESETS)
def test_a_preset_is_allowed_and_known_again(key):
    config = PRESETS[key].config
    RunConfig().with_(**{f"augment.{name}": value for name, value in vars(config).items()})
    assert preset_of(config) == key
    assert preset_of(replace(config, hue=0.31)) is None
    if not config.noise:
        assert preset_of(replace(config, noise_scale=0.1)) == key, "the strength of what is off does not count"


def test_sentences_come_with_what_they_are_about():
    assert caveats(NONE, gray=True) == [] and summary(NONE) == []
    assert "heart" in caveats(replace(NONE, flip=0.5), gray=True)[0]
    assert caveats(replace(NONE, rotate=15.0), gray=True) == [] and "15 degrees" in caveats(replace(NONE, rotate=16.0), True)[0]
    assert caveats(replace(NONE, hue=0.02), gray=False) == [] and "nothing" in caveats(replace(NONE, hue=0.02), gray=True)[0]
    assert "letter" in caveats(replace(NONE, crop=0.1), gray=True)[0]
    assert caveats(PRESETS["gentle"].config, gray=True) == []
    assert summary(PRESETS["gentle"].config) == ["scale ±10%", "rotate ±7°", "shift ±5%", "brightness ±10%", "contrast ±10%"]
    for gray in (True, False):                                       # at its highest each has something to be said about it
        for name, entry in AUGMENTATIONS.items():
            strongest = {knob: KNOBS[f"augment.{knob}"].high for knob in entry.knobs(name)}
            assert caveats(replace(NONE, **strongest), gray), name
