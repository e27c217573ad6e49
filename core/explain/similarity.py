"""How similar are two sets of maps? By the order of their pixels, and by their structure.

Maps are (N, H, W). Of a signed map only evidence for the class counts as heat.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import rankdata
from torch import Tensor


def spearman(one: Any, other: Any) -> np.ndarray:
    """Return the rank correlation of each pair of maps, (N,) in [-1, 1]; 0 where a map is constant.

    Ties share their mean rank.

    Args:
        one, other: (N, H, W)
    """
    a, b = (rankdata(np.asarray(maps).reshape(len(maps), -1), axis=1) for maps in (one, other))
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    norm = np.sqrt((a * a).sum(1) * (b * b).sum(1))
    return np.divide((a * b).sum(1), norm, out=np.zeros(len(a)), where=norm > 0)


def ssim(one: Any, other: Any) -> np.ndarray:
    """Return the structural similarity of each pair of maps, (N,) in [-1, 1], each scaled to [0, 1] by itself.

        ((2 m_a m_b + c1) (2 s_ab + c2)) / ((m_a^2 + m_b^2 + c1) (s_a^2 + s_b^2 + c2)),   c1 = 0.01^2, c2 = 0.03^2

    averaged over the image, with means m and (co)variances s under a Gaussian of 1.5 px in a window of 11 px.
    Wang et al., IEEE TIP 2004, eq. 13, https://doi.org/10.1109/TIP.2003.819861
    """
    a, b = (_unit(torch.as_tensor(np.asarray(maps, np.float64)))[:, None] for maps in (one, other))
    reach = min(5, (min(a.shape[2:]) - 1) // 2)                         # a tiny map takes a smaller window
    across = torch.exp(-torch.arange(-reach, reach + 1, dtype=a.dtype) ** 2 / (2 * 1.5 ** 2))
    window = torch.outer(across, across)[None, None] / across.sum() ** 2
    ma, mb, aa, bb, ab = (F.conv2d(x, window) for x in (a, b, a * a, b * b, a * b))
    c1, c2 = 0.01 ** 2, 0.03 ** 2
    value = ((2 * ma * mb + c1) * (2 * (ab - ma * mb) + c2)
             / ((ma ** 2 + mb ** 2 + c1) * (aa - ma ** 2 + bb - mb ** 2 + c2)))
    return value.mean((1, 2, 3)).numpy()


def _unit(maps: Tensor) -> Tensor:
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return (maps - low) / (high - low).clamp_min(torch.finfo(maps.dtype).tiny)


def map_similarity(one: Any, other: Any) -> float | None:
    """Return the mean rank correlation of the pairs of maps in which both show anything; None where there is no such pair."""
    both = heat(one).any((1, 2)) & heat(other).any((1, 2))
    return float(spearman(np.asarray(one)[both], np.asarray(other)[both]).mean()) if both.any() else None


def heat(maps: Any) -> np.ndarray:
    """Return the evidence for the class, (N, H, W) float64 >= 0."""
    return np.maximum(np.asarray(maps, np.float64), 0)
