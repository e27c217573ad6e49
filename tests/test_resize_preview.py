"""The comparison of stretch, pad and crop: the pictures are those of `fit`, and the words say what happened to them."""

import base64
import re

import cv2
import numpy as np
import pytest

from core.datasets.geometry import fit
from pages.shared.resize_preview import cost_of, fit_longest, fits_html


def pictures(html: str) -> list[np.ndarray]:
    found = re.findall(r"base64,([\w+/=]+)'", html)
    return [cv2.imdecode(np.frombuffer(base64.b64decode(f), np.uint8), cv2.IMREAD_UNCHANGED) for f in found]


def test_it_shows_the_original_in_its_own_shape_and_what_fit_makes_of_it():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 1), np.uint8)
    original, *made = pictures(fits_html(pixels, 24))
    assert (original == pixels[..., 0]).all()
    for picture, way in zip(made, ("stretch", "pad", "crop"), strict=True):
        assert (picture == fit(pixels, 24, way)[..., 0]).all(), way


def test_a_large_original_is_sent_small_and_keeps_its_shape_and_colour():
    pixels = np.zeros((3000, 1500, 3), np.uint8)
    pixels[..., 0] = 200
    original = pictures(fits_html(pixels, 28))[0]
    assert original.shape == (320, 160, 3) and (original[..., 2] == 200).all(), "red stays red"
    assert fit_longest(pixels[:100, :100], 320).shape == (100, 100, 3), "a small one is left as it is"


@pytest.mark.parametrize("height, width, way, words", [
    (400, 200, "stretch", "stretched horizontally by 2.00"), (200, 400, "stretch", "stretched vertically by 2.00"),
    (400, 300, "crop", "25 % of the image is cut off"), (400, 200, "pad", "50 % black bars"),
    (64, 64, "crop", "already square")])
def test_the_words_are_right(height, width, way, words):
    assert cost_of(height, width, 100, way) == words


def test_the_share_that_a_crop_loses_is_that_of_the_pixels():
    white = np.full((90, 120, 1), 255, np.uint8)
    kept = fit(white, 90, "crop").size / white.size
    assert cost_of(90, 120, 90, "crop").startswith(f"{100 * (1 - kept):.0f} %")
