"""How similar two maps are, and where they point: against SciPy, the equation written out, and maps made by hand."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from core.explain.localization import Place, border_ring, energy, places, pointing_game
from core.explain.similarity import map_similarity, spearman, ssim


def test_rank_correlation_is_scipys_with_ties_too():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 5, (2, 6, 9, 7)).astype(np.float32)
    want = [spearmanr(x.ravel(), y.ravel()).statistic for x, y in zip(a, b)]
    assert spearman(a, b) == pytest.approx(want, abs=1e-12)
    assert list(spearman(a, np.zeros_like(a))) == [0] * 6
    assert map_similarity(np.zeros((1, 3, 3)), np.ones((1, 3, 3))) is None


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
