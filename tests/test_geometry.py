"""The one function for geometry, against closed forms and against Pillow."""

import numpy as np
import pytest
from PIL import Image

from core.datasets.geometry import describe_fit, fit, inner_size

RNG = np.random.default_rng(0)


def blocks(height: int, width: int, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """An image whose blocks of factor x factor have known means, and those means."""
    small = RNG.integers(20, 236, (height, width, 1))
    noise = RNG.integers(-20, 21, (height, factor, width, factor, 1))
    noise -= noise.mean(axis=(1, 3), keepdims=True).round().astype(int)
    large = np.clip(small[:, None, :, None] + noise, 0, 255)
    return large.reshape(height * factor, width * factor, 1).astype(np.uint8), large.mean(axis=(1, 3))


def test_shrinking_is_the_mean_over_the_area():
    large, means = blocks(16, 16, 4)
    assert np.abs(fit(large, 16) - means).max() <= 0.5


def test_shrinking_agrees_with_pillows_box():
    image = RNG.integers(0, 256, (90, 90, 1), dtype=np.uint8)
    theirs = np.asarray(Image.fromarray(image[..., 0]).resize((28, 28), Image.Resampling.BOX))
    ours = fit(image, 28)[..., 0]      # Pillow's box gives a pixel on a border to one side, OpenCV shares it
    assert np.abs(ours.astype(int) - theirs).mean() < 12 and np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.9


def test_growing_agrees_with_pillows_bilinear():
    image = RNG.integers(0, 256, (16, 16, 1), dtype=np.uint8)
    theirs = np.asarray(Image.fromarray(image[..., 0]).resize((64, 64), Image.Resampling.BILINEAR))
    assert np.abs(fit(image, 64)[..., 0].astype(int) - theirs).max() <= 1


def test_pad_keeps_the_shape_and_centres():
    wide = np.full((50, 100, 1), 200, np.uint8)
    square = fit(wide, 40, "pad")[..., 0]
    assert (square[10:30] == 200).all() and not square[:10].any() and not square[30:].any()
    tall = fit(np.full((100, 50, 1), 200, np.uint8), 40, "pad")[..., 0]
    np.testing.assert_array_equal(tall, square.T)


def test_crop_takes_the_middle():
    image = np.zeros((40, 100, 1), np.uint8)
    image[:, 30:70] = 255
    assert (fit(image, 20, "crop") == 255).all()
    assert (fit(image.transpose(1, 0, 2), 20, "crop") == 255).all()


def test_stretch_uses_every_pixel_of_a_wide_image():
    image = np.zeros((10, 40, 1), np.uint8)
    image[:, :20] = 100
    out = fit(image, 20, "stretch")[..., 0]      # halved across by the mean, doubled down
    assert (out[:, :10] == 100).all() and not out[:, 10:].any()


def test_width_and_height_are_not_swapped():
    image = np.zeros((30, 60, 1), np.uint8)
    image[:15, :] = 255      # the upper half
    out = fit(image, 32, "stretch")[..., 0]
    assert (out[:15] == 255).all() and not out[17:].any()


def test_what_fits_is_left_alone():
    image = RNG.integers(0, 256, (28, 28, 3), dtype=np.uint8)
    for resize in ("pad", "stretch", "crop"):
        np.testing.assert_array_equal(fit(image, 28, resize, 3), image)
    assert describe_fit((28, 28, 3), 28, "pad", 3)[0].startswith("Nothing")


def test_colour_becomes_gray_by_luma_and_gray_becomes_colour_by_repeating():
    colour = RNG.integers(0, 256, (24, 24, 3), dtype=np.uint8)
    luma = colour @ np.array([0.299, 0.587, 0.114])
    gray = fit(colour, 24, channels=1)
    assert gray.shape == (24, 24, 1) and np.abs(gray[..., 0] - luma).max() <= 0.51
    assert np.abs(gray[..., 0].astype(int) - np.asarray(Image.fromarray(colour).convert("L"))).max() <= 1
    again = fit(gray, 24, channels=3)
    assert again.shape == (24, 24, 3) and (again == gray).all()


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 5000, 1), (5000, 1, 3), (17, 23, 3), (224, 223, 1)])
@pytest.mark.parametrize("resize", ["pad", "stretch", "crop"])
def test_any_shape_comes_out_square(shape, resize):
    image = np.full(shape, 130, np.uint8)
    for channels in (1, 3):
        out = fit(image, 32, resize, channels)
        assert out.shape == (32, 32, channels) and out.dtype == np.uint8
        height, width = inner_size(*shape[:2], 32, resize)
        assert (out == 130).all(axis=2).sum() == height * width      # a constant stays that constant, the rest is bars


def test_words_say_what_was_done():
    assert describe_fit((1000, 2000, 3), 64, "pad", 1) == (
        "Colour was converted to gray (0.299 red + 0.587 green + 0.114 blue).",
        "Reduced from 2,000 x 1,000 to 64 x 32 px (width x height).",
        "Black bars above and below fill it to 64 x 64 px.")
    assert "distorts" in " ".join(describe_fit((1000, 2000, 1), 64, "stretch", 1))
    assert "50% of the image" in " ".join(describe_fit((1000, 2000, 1), 64, "crop", 1))
    assert describe_fit((28, 28, 1), 56, "pad", 1)[0].startswith("Enlarged")


def test_unknown_words_are_refused():
    with pytest.raises(ValueError):
        fit(np.zeros((4, 4, 1), np.uint8), 4, "squash")
    with pytest.raises(ValueError):
        fit(np.zeros((4, 4, 1), np.uint8), 4, "pad", 2)
