"""Changes of an image against what they must be: closed forms, numpy, and pixels counted by hand."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from core.explain.what_if import CHANGES, LETTERS, change, is_change

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, (40, 40, 1), np.uint8)
COLOUR = RNG.integers(0, 256, (28, 36, 3), np.uint8)


@pytest.mark.parametrize("image", [GRAY, COLOUR, GRAY / np.float32(255)])
def test_neutral_values_change_nothing_and_cost_nothing(image):
    wanted = {name: row.neutral for name, row in CHANGES.items()}
    assert change(image, wanted) is image and change(image, {}) is image
    assert not any(is_change(name, value) for name, value in wanted.items())


@pytest.mark.parametrize("degrees, turns", [(90, 1), (180, 2), (-90, 3), (360, 0)])
def test_a_square_turned_by_right_angles_is_numpys(degrees, turns):
    assert np.array_equal(change(GRAY, {"rotate": degrees}), np.rot90(GRAY, turns))


def test_a_small_turn_moves_a_point_where_the_rotation_matrix_says():
    image = np.zeros((101, 101, 1), np.uint8)
    image[50 - 40 - 1:50 - 40 + 2, 49:52] = 255                        # straight above the middle, 40 pixels up
    turned = change(image, {"rotate": 30})[..., 0].astype(float)
    y, x = (np.indices(turned.shape) * turned).sum((1, 2)) / turned.sum()
    assert abs(x - (50 - 40 * np.sin(np.pi / 6))) < 0.1 and abs(y - (50 - 40 * np.cos(np.pi / 6))) < 0.1


@pytest.mark.parametrize("image", [GRAY, COLOUR, GRAY / np.float32(255)])
def test_inverted_twice_is_the_image(image):
    once = change(image, {"invert": True})
    top = 255 if image.dtype == np.uint8 else 1
    assert once.dtype == image.dtype and np.allclose(once, top - image) and np.allclose(change(once, {"invert": True}), image)


def test_brightness_adds_and_is_cut_off_at_black_and_white():
    expected = np.clip(GRAY.astype(int) + 51, 0, 255)
    assert np.array_equal(change(GRAY, {"brightness": 0.2}), expected)
    assert np.array_equal(change(GRAY, {"brightness": -0.2}), np.clip(GRAY.astype(int) - 51, 0, 255))


def test_blur_is_scipys_gaussian():
    image = GRAY.astype(np.float32) / 255
    expected = gaussian_filter(image[..., 0], 0.05 * 40, mode="nearest")
    assert np.abs(change(image, {"blur": 5.0})[..., 0] - expected).max() < 0.01


def test_noise_has_the_deviation_that_is_asked_for_and_is_the_same_each_time():
    image = np.full((200, 200, 3), 0.5, np.float32)
    drawn = change(image, {"noise": 0.1})
    assert abs(drawn.std() - 0.1) < 0.002 and abs(drawn.mean() - 0.5) < 0.002
    assert np.array_equal(drawn, change(image, {"noise": 0.1})), "the picture must not flicker"
    assert np.array_equal(drawn[..., 0], drawn[..., 2]), "noise of a gray film has no colour"


@pytest.mark.parametrize("gray, value", [(0.0, 0), (1.0, 255), (None, None)])
def test_cover_sets_exactly_the_square(gray, value):
    covered = change(COLOUR, {"cover": {"x": 0.5, "y": 0.25, "side": 8 / 36, "gray": gray}})
    inside = np.zeros(COLOUR.shape[:2], bool)
    inside[7 - 4:7 + 4, 18 - 4:18 + 4] = True                           # 8 x 8 pixels about (7, 18) of 28 x 36
    assert np.array_equal(covered[~inside], COLOUR[~inside])
    wanted = COLOUR.mean((0, 1)) if value is None else np.full(3, value)
    assert np.abs(covered[inside] - wanted).max() <= 0.5 + 1e-3


def test_a_cover_that_hangs_over_the_edge_covers_what_is_inside():
    covered = change(GRAY, {"cover": {"x": 0.0, "y": 1.0, "side": 0.5, "gray": 0.0}})
    assert not covered[30:, :10].any()
    assert np.array_equal(covered[:30], GRAY[:30]) and np.array_equal(covered[:, 10:], GRAY[:, 10:])
    assert change(GRAY, {"cover": {"x": 3.0, "y": 3.0, "side": 0.1}}).shape == GRAY.shape


@pytest.mark.parametrize("text", ["L", "R", "W"])
def test_a_letter_is_drawn_where_it_is_asked_and_as_high(text):
    image = np.zeros((200, 100, 1), np.uint8)
    drawn = change(image, {"letter": {"text": text, "x": 0.4, "y": 0.75, "side": 0.2}})[..., 0]
    rows, columns = np.flatnonzero(drawn.any(1)), np.flatnonzero(drawn.any(0))
    assert abs(len(rows) - 40) <= 2 and abs(rows.mean() - 149.5) <= 1 and abs(columns.mean() - 39.5) <= 1
    assert drawn.max() == 255 and 0.1 < (drawn > 127).sum() / (len(rows) * len(columns)) < 0.8


def test_every_letter_is_another():
    black = np.zeros((64, 64, 1), np.uint8)
    drawn = {change(black, {"letter": {"text": t, "x": .5, "y": .5, "side": .5}}).tobytes() for t in LETTERS}
    assert len(drawn) == len(LETTERS)


def test_changes_come_in_the_order_of_the_table_and_the_input_is_left_alone():
    before = GRAY.copy()
    both = change(GRAY, {"cover": {"x": .5, "y": .5, "side": .2, "gray": 1.0}, "invert": True})
    assert (both[16:24, 16:24] == 255).all(), "the cover lies on the inverted film"
    assert np.array_equal(GRAY, before)


def test_what_cannot_be_is_said():
    with pytest.raises(KeyError, match="melt"):
        change(GRAY, {"melt": 1})
    with pytest.raises(ValueError, match="letter"):
        change(GRAY, {"letter": {"text": "<", "x": 0, "y": 0, "side": 1}})
    with pytest.raises(ValueError, match="H, W, C"):
        change(GRAY[..., 0], {"invert": True})


def test_blur_is_a_share_of_the_longer_side_and_letters_are_cut_and_white():
    wide = RNG.random((20, 50, 1)).astype(np.float32)
    want = gaussian_filter(wide[..., 0], 0.04 * 50, mode="nearest", truncate=4)
    assert change(wide, {"blur": 4.0})[..., 0] == pytest.approx(want, abs=2e-3)
    black = np.zeros((60, 60, 1), np.uint8)
    whole = change(black, {"letter": {"text": "F", "x": 0.5, "y": 0.5, "side": 0.5}})[..., 0]
    rows, columns = np.flatnonzero(whole.any(1)), np.flatnonzero(whole.any(0))
    assert whole.max() == 255 and whole[rows[0] + 2, columns[0] + 2] > 128, "an F is white at the top on the left"
    assert whole[rows[-1] - 1, columns[-1] - 1] == 0, "and has nothing below on the right"
    half = change(black, {"letter": {"text": "F", "x": 0.0, "y": 0.5, "side": 0.5}})[..., 0]
    width = columns[-1] + 1 - columns[0]
    inside = width - round(width / 2)
    assert np.array_equal(half[:, :inside], whole[:, columns[-1] + 1 - inside:columns[-1] + 1]) and half.any()
