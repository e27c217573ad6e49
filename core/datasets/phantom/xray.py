"""From solids to gray values: the tube, the body, the detector and its software, one function a step.

    layers     how many mm of each material every ray crosses          (layers.py)
    neper      L = sum mu t                                            line integral of the attenuation
    counts     n ~ Poisson(N0 (blur(exp(-L)) + scatter))               Beer-Lambert, blur, scatter, quantum noise
    pixels     -log(n / N0), evened out, windowed: bone bright         what the console shows

All arrays are (H, W) float32 unless said.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from core.datasets.phantom.layers import Layers
from core.datasets.phantom.materials import CORTEX, FAT, LUNG, SOFT, SPONGY
from core.datasets.phantom.rays import Grid


def neper(layers: Layers, density: float = 1.0, grain: np.ndarray | None = None) -> np.ndarray:
    """Return L = sum mu t over the materials of each ray, (H, W) float32.

    Args:
        layers: mm of each material; bone and air lie inside the soft tissue, so they count by how they differ from it
        density: of bone, relative: 1 in youth, less in old age
        grain: (H, W) relative variation of spongy bone (trabeculae), mean 0
    """
    spongy = layers.spongy if grain is None else layers.spongy * (1 + grain)
    total = layers.soft_tissue * np.float32(SOFT)
    total += layers.fat * np.float32(FAT - SOFT)
    total += layers.cortex * np.float32((CORTEX - SOFT) * density)
    total += spongy * np.float32((SPONGY - SOFT) * density)
    total += layers.marrow * np.float32(FAT - SOFT)
    if layers.air is not None:
        total += layers.air * np.float32(LUNG - SOFT)
    if layers.metal is not None:
        total += layers.metal
    return total


@dataclass(frozen=True)
class Exposure:
    """The tube and the detector.

    Args:
        photons: per mm2 that reach the detector where nothing is in the way
        unsharpness: standard deviation of the blur of focal spot and detector, mm
        scatter: scattered over primary photons, behind the middle of the body
        noise: False turns the quantum noise off
    """

    photons: float = 30_000.0
    unsharpness: float = 0.16
    scatter: float = 0.12
    noise: bool = True


def counts(line: np.ndarray, pitch: float, exposure: Exposure, rng: np.random.Generator,
           shape: tuple[int, int] | None = None) -> np.ndarray:
    """Return the photons in each pixel relative to an open field: blur(exp(-L)) + scatter, with quantum noise.

    A Poisson variable of mean n is drawn as normal with variance n: behind 10 cm of tissue a pixel still counts hundreds,
    where nobody can tell the two apart, and the normal one is several times as quick.

    Args:
        line: (h, w) neper, a value a ray
        pitch: mm between rays
        shape: (H, W) of the detector; h and w are whole multiples, and a pixel gathers its rays. None is one ray a pixel

    Returns:
        (H, W) float32, above 0.
    """
    primary = cv2.exp(-line)
    if shape is not None and shape != primary.shape:
        pitch *= primary.shape[0] / shape[0]
        primary = cv2.resize(primary, shape[::-1], interpolation=cv2.INTER_AREA)
    sigma = np.hypot(exposure.unsharpness / pitch, 0.35)        # with what a pixel's own aperture blurs
    primary = cv2.GaussianBlur(primary, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    if exposure.scatter:
        primary += np.float32(exposure.scatter) * wide_blur(primary, 30 / pitch)
    if not exposure.noise:
        return primary
    mean = np.float32(exposure.photons * pitch * pitch)
    noise = rng.standard_normal(primary.shape, np.float32)
    noise *= np.sqrt(primary / mean)
    primary += noise
    return np.maximum(primary, 1 / mean, out=primary)


def wide_blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Blur by a Gaussian with a standard deviation of many pixels, computed on a coarse copy."""
    step = max(1, int(sigma / 3))
    small = cv2.resize(image, (-(-image.shape[1] // step), -(-image.shape[0] // step)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / step, borderType=cv2.BORDER_REPLICATE)
    return cv2.resize(small, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR)


@dataclass(frozen=True)
class Display:
    """How the console processes -log(counts): even out, sharpen, window.

    Args:
        low, high: neper shown as black and white
        even: share of the slow variation that is taken out, 0 to 1
        sharpen: how much of the detail finer than about 1.5 mm is added
        gamma: exponent of the tone curve
    """

    low: float
    high: float
    even: float = 0.35
    sharpen: float = 0.7
    gamma: float = 1.0


def develop(counts: np.ndarray, pitch: float, display: Display) -> np.ndarray:
    """Return (H, W) uint8 gray values from counts relative to the open field; bone is bright."""
    line = -cv2.log(counts)
    base = wide_blur(line, 14 / pitch)
    detail = line - cv2.GaussianBlur(line, (0, 0), max(1.5 / pitch, 0.6), borderType=cv2.BORDER_REPLICATE)
    line += np.float32(display.sharpen) * detail
    line += np.float32(display.even) * (np.float32((display.low + display.high) / 2) - base)
    line -= np.float32(display.low)
    line *= np.float32(1 / (display.high - display.low))
    line *= np.float32(CURVE_STEPS)
    np.clip(line, 0, 2 * CURVE_STEPS, out=line)
    return _curve(display.gamma)[line.astype(np.uint16)]


CURVE_STEPS = 512


@lru_cache(maxsize=64)
def _curve(gamma: float) -> np.ndarray:
    """Gray values for 0 to twice the window in CURVE_STEPS a window: straight in the middle, then bent so that little burns out.

    g = x^gamma (1 + x^4 gamma)^(-1/4): half the window is half gray, its end is at 84 %, twice the window is white.
    """
    x = (np.arange(2 * CURVE_STEPS + 1) / CURVE_STEPS) ** gamma
    return np.round(255 * np.minimum(x / (1 + x ** 4) ** 0.25 / 0.985, 1)).astype(np.uint8)


TILE_PITCH, TILE_SIZE = 0.3, 1024       # mm a pixel of the tile of trabeculae; it covers 307 mm


@lru_cache(maxsize=1)
def _tile() -> np.ndarray:
    """Trabeculae: fine noise plus struts that run mostly along y, (1024, 1024) float32, mean 0, deviation 1, periodic."""
    noise = np.random.default_rng(5).standard_normal((2, TILE_SIZE, TILE_SIZE))
    f = np.fft.fftfreq(TILE_SIZE, TILE_PITCH)                    # cycles per mm
    fy, fx = f[:, None], f[None, :]
    fine = np.exp(-0.5 * ((np.hypot(fx, fy) - 0.55) / 0.28) ** 2)
    struts = np.exp(-0.5 * ((np.abs(fx) - 0.55) / 0.25) ** 2 - 0.5 * (fy / 0.16) ** 2)
    tile = sum(np.fft.ifft2(np.fft.fft2(n) * h).real / np.std(np.fft.ifft2(np.fft.fft2(n) * h).real) * w
               for n, h, w in zip(noise, (fine, struts), (0.75, 0.65)))
    return tile.astype(np.float32)


def trabeculae(grid: Grid, rng: np.random.Generator) -> np.ndarray:
    """Return a random piece of spongy texture for a grid, (H, W) float32, about -1 to 1 at full resolution, mean 0."""
    tile = _tile()
    height, width = (min(TILE_SIZE, int(np.ceil(n * grid.pitch / TILE_PITCH)) + 1) for n in (grid.height, grid.width))
    y, x = int(rng.random() * (TILE_SIZE - height + 1)), int(rng.random() * (TILE_SIZE - width + 1))
    piece = tile[y:y + height, x:x + width]
    method = cv2.INTER_AREA if grid.pitch > TILE_PITCH else cv2.INTER_LINEAR
    return cv2.resize(piece, (grid.width, grid.height), interpolation=method)


def clouds(grid: Grid, rng: np.random.Generator, cells: int = 14) -> np.ndarray:
    """Return slow random variation (muscle bellies), (H, W) float32, deviation about 1, `cells` hills along the longer side."""
    coarse = rng.standard_normal((cells, cells), np.float32)               # the same draws at every size
    longer = max(grid.height, grid.width)
    coarse = coarse[:max(round(cells * grid.height / longer), 2), :max(round(cells * grid.width / longer), 2)]
    return cv2.resize(coarse, (grid.width, grid.height), interpolation=cv2.INTER_CUBIC)
