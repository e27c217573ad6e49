"""The overlay against its formula, and the colour scale against what makes one fit for reading."""

import cv2
import numpy as np
import pytest

from core.explain.overlay import colour_scale, overlay

GRAY = np.random.default_rng(0).integers(0, 256, (20, 30, 1), dtype=np.uint8)       # not square


def test_where_the_map_is_zero_the_image_is_unchanged():
    cam = np.zeros((20, 30))
    cam[:, 15:] = 2.0
    out = overlay(GRAY, cam, 0.7)
    assert out.shape == (20, 30, 3) and out.dtype == np.uint8
    np.testing.assert_array_equal(out[:, :15], np.repeat(GRAY[:, :15], 3, axis=2))
    assert (out[:, 15:] != GRAY[:, 15:]).any(axis=2).all()


@pytest.mark.parametrize("cam, opacity", [(np.zeros((5, 5)), 1.0), (np.random.default_rng(1).random((5, 5)), 0.0)])
def test_a_map_of_zeros_or_no_opacity_changes_nothing(cam, opacity):
    image = np.random.default_rng(2).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    np.testing.assert_array_equal(overlay(image, cam, opacity), image)


def test_each_pixel_follows_the_formula():
    cam = np.random.default_rng(1).random((20, 30)).astype(np.float32)
    out, table = overlay(GRAY, cam, 0.5, peak=0.8), colour_scale()
    for y, x in [(0, 0), (3, 27), (19, 29), (11, 4)]:
        v = min(cam[y, x] / 0.8, 1)
        expected = (1 - 0.5 * v) * GRAY[y, x, 0] + 0.5 * v * table[round(v * 255)].astype(float)
        np.testing.assert_allclose(out[y, x], expected, atol=1.01)


def test_full_opacity_shows_the_brightest_colour_at_the_peak():
    cam = np.zeros((20, 30))
    cam[2, 25] = 3.0
    np.testing.assert_array_equal(overlay(GRAY, cam, 1.0)[2, 25], colour_scale()[-1])


def test_a_common_peak_makes_maps_comparable():
    cam = np.full((20, 30), 0.5)
    np.testing.assert_array_equal(overlay(GRAY, cam, 0.6, peak=1.0), overlay(GRAY, 2 * cam, 0.6, peak=2.0))
    assert (overlay(GRAY, cam, 0.6) != overlay(GRAY, cam, 0.6, peak=1.0)).any()
    np.testing.assert_array_equal(overlay(GRAY, cam, 0.6, peak=0.1), overlay(GRAY, cam, 0.6))    # cut at the peak


def test_a_small_map_lies_where_it_belongs_on_an_image_that_is_not_square():
    black = np.zeros((40, 80), np.uint8)
    cam = np.zeros((4, 8))
    cam[1, 6] = 1.0                                       # its cell: rows 10-19, columns 60-69
    out = overlay(black, cam, 1.0).sum(axis=2)
    ys, xs = np.nonzero(out > out.max() * 0.9)
    assert 10 <= ys.min() and ys.max() <= 19 and 60 <= xs.min() and xs.max() <= 69


def test_the_scale_rises_evenly_in_lightness_and_is_rgb():
    table = colour_scale()
    lightness = cv2.cvtColor(table[None].astype(np.float32) / 255, cv2.COLOR_RGB2Lab)[0, :, 0]
    steps = np.diff(lightness[::8])
    assert (steps > 0).all() and steps.max() < 1.6 * steps.mean()      # jet falls for half of its way
    assert table[0].sum() < 10 and table[150, 0] > table[150, 2]       # from black; red before blue in the middle
    assert colour_scale(7).shape == (7, 3)
    np.testing.assert_array_equal(colour_scale(3), table[[0, 128, 255]])


@pytest.mark.parametrize("image, cam, options", [
    (GRAY.astype(float), np.ones((2, 2)), {}), (np.zeros((4, 4, 2), np.uint8), np.ones((2, 2)), {}),
    (GRAY, np.full((2, 2), np.nan), {}), (GRAY, -np.ones((2, 2)), {}), (GRAY, np.ones((1, 2, 2)), {}),
    (GRAY, np.ones((2, 2)), {"opacity": 1.5}), (GRAY, np.ones((2, 2)), {"peak": 0.0})])
def test_what_cannot_be_drawn_is_refused(image, cam, options):
    with pytest.raises(ValueError):
        overlay(image, cam, **options)
