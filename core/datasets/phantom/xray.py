"""From solids to gray values: the tube, the body, the detector and its software, one function a step.

    layers     how many mm of each material every ray crosses          (solids.py)
    neper      L = sum mu t                                            line integral of the attenuation
    counts     n ~ Poisson(N0 (blur(exp(-L)) + scatter))               Beer-Lambert, blur, scatter, quantum noise
    pixels     -log(n / N0), evened out, windowed: bone bright         what the console shows

The attenuation coefficients are NIST XCOM's near 60 keV (J. H. Hubbell and S. M. Seltzer, NISTIR 5632,
https://physics.nist.gov/PhysRefData/XrayMassCoef/), times the density, given here per mm.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np

from core.datasets.phantom.body import Body
from core.datasets.phantom.bones import Bone
from core.datasets.phantom.solids import Grid, Path, Solids, path, shared

# per mm at 60 keV
SOFT = 0.0206         # muscle, water and the like
FAT = 0.0188          # fat and yellow marrow
CORTEX = 0.0604       # cortical bone, 1.92 g/cm3
SPONGY = 0.0300       # a quarter bone, three quarters marrow, by volume
LUNG = 0.0054         # inflated lung, 0.26 g/cm3
TITANIUM = 0.345
STEEL = 0.95


@dataclass(frozen=True)
class Insert:
    """Something that takes the place of bone: a lesion (soft tissue) or metal. `bones` names the bones it can reach."""

    solids: Solids
    mu: float
    bones: frozenset[str]


@dataclass
class Layers:
    """Millimetres of each material along every ray, (H, W) float32 each; `metal` is in neper, above soft tissue."""

    flesh: np.ndarray
    fat: np.ndarray
    air: np.ndarray | None
    cortex: np.ndarray
    spongy: np.ndarray
    marrow: np.ndarray
    metal: np.ndarray = field(default=None)
    changed: np.ndarray | None = None          # bool: rays along which an insert replaces or adds something


def _bone_paths(bone: Bone, grid: Grid, hull: bool) -> list[Path | None]:
    """Paths through the outer, inner and canal solids, sockets taken away."""
    simple = not hull and not len(bone.outer_cuts) and bool(bone.outer.apart[1:].all())
    paths = [path(group, grid, hull=not simple) for group in (bone.outer, bone.inner, bone.canal)]
    for group, cuts in ((0, bone.outer_cuts), (1, bone.inner_cuts), (2, bone.inner_cuts)):
        for k in range(len(cuts) if paths[group] is not None else 0):
            hole = path(cuts.take([k]), grid)
            if hole is not None:
                paths[group].length[...] -= shared(hole, paths[group])
    return paths


def layers(body: Body, grid: Grid, inserts: tuple[Insert, ...] = ()) -> Layers:
    """Trace all rays of a grid through a body that is already turned into the view's frame (rays along z)."""
    shape = (grid.height, grid.width)
    flesh, muscle, air = (_smooth(group, grid) for group in (body.skin, body.muscle, body.air))
    out = Layers(flesh, flesh - muscle, air if body.air is not None else None,
                 *(np.zeros(shape, np.float32) for _ in range(3)))
    holes = [(insert, path(insert.solids.take([k]), grid)) for insert in inserts for k in range(len(insert.solids))]
    if inserts:
        out.metal, out.changed = np.zeros(shape, np.float32), np.zeros(shape, bool)
    for bone in body.bones:
        carved = [hole for insert, hole in holes if hole is not None and bone.name in insert.bones]
        outer, inner, canal = _bone_paths(bone, grid, bool(carved))
        if outer is None:
            continue
        for hole in carved:
            out.changed[outer.window] |= shared(hole, outer) > 0
        for group, plus, minus in ((outer, out.cortex, None), (inner, out.spongy, out.cortex), (canal, out.marrow, out.spongy)):
            if group is None:
                continue
            length = group.length
            if carved:
                length = length - np.maximum.reduce([shared(hole, group) for hole in carved])
            plus[group.window] += length
            if minus is not None:
                minus[group.window] -= length
    for insert in inserts:
        if insert.mu != SOFT:
            metal = path(insert.solids, grid)
            if metal is not None:
                out.metal[metal.window] += (insert.mu - SOFT) * metal.length
                out.changed[metal.window] |= metal.length > 0
    return out


def _smooth(solids: Solids | None, grid: Grid) -> np.ndarray:
    """Length inside large smooth solids: traced at every second pixel, since nothing fine is lost there."""
    full = np.zeros((grid.height, grid.width), np.float32)
    if solids is None:
        return full
    half = grid.coarse(2)
    found = path(solids, half)
    if found is None:
        return full
    small = np.zeros((half.height, half.width), np.float32)
    small[found.window] = found.length
    large = cv2.resize(small, (half.width * 2, half.height * 2), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(large[:grid.height, :grid.width])


def neper(layers: Layers, density: float = 1.0, grain: np.ndarray | None = None) -> np.ndarray:
    """L = sum mu t over the materials of each ray, (H, W) float32.

    Args:
        layers: mm of each material; bone and air stand inside flesh, so they count by how they differ from it
        density: of bone, relative: 1 in youth, less in old age
        grain: (H, W) relative variation of spongy bone (trabeculae), mean 0
    """
    spongy = layers.spongy if grain is None else layers.spongy * (1 + grain)
    total = layers.flesh * np.float32(SOFT)
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
        noise: False leaves the quantum noise away
    """

    photons: float = 30_000.0
    unsharpness: float = 0.16
    scatter: float = 0.12
    noise: bool = True


def counts(line: np.ndarray, pitch: float, exposure: Exposure, rng: np.random.Generator) -> np.ndarray:
    """Photons in each pixel over those of an open field: blur(exp(-L)) + scatter, with quantum noise.

    A Poisson variable of mean n is drawn as normal with variance n: behind 10 cm of tissue a pixel still counts thousands,
    where the two differ by less than one gray value in a million pixels, and the normal one is five times as quick.

    Args:
        line: (H, W) neper
        pitch: mm a pixel
    Returns:
        (H, W) float32, above 0.
    """
    primary = cv2.exp(-line)
    pixels = np.hypot(exposure.unsharpness / pitch, 0.42)       # with the pixel's own aperture
    primary = cv2.GaussianBlur(primary, (0, 0), pixels, borderType=cv2.BORDER_REPLICATE)
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
    """Gaussian blur by a standard deviation of many pixels, worked out on a coarse copy."""
    step = max(1, int(sigma / 3))
    small = cv2.resize(image, (-(-image.shape[1] // step), -(-image.shape[0] // step)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / step, borderType=cv2.BORDER_REPLICATE)
    return cv2.resize(small, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR)


@dataclass(frozen=True)
class Display:
    """What the console does with -log(counts): even out, sharpen, window.

    Args:
        low, high: neper shown as black and white
        even: share of the slow variation that is taken out, 0 to 1
        sharpen: how much of the detail finer than about 1.5 mm is added
        gamma: exponent after the window
    """

    low: float
    high: float
    even: float = 0.35
    sharpen: float = 0.5
    gamma: float = 1.0


def develop(counts: np.ndarray, pitch: float, display: Display) -> np.ndarray:
    """(H, W) uint8 gray values from counts relative to the open field; bone is bright."""
    line = -cv2.log(counts)
    base = wide_blur(line, 14 / pitch)
    detail = line - cv2.GaussianBlur(line, (0, 0), max(1.5 / pitch, 0.6), borderType=cv2.BORDER_REPLICATE)
    line += np.float32(display.sharpen) * detail
    line += np.float32(display.even) * (np.float32((display.low + display.high) / 2) - base)
    line -= np.float32(display.low)
    line *= np.float32(1 / (display.high - display.low))
    np.clip(line, 0, 1, out=line)
    if display.gamma != 1:
        line = cv2.pow(line, display.gamma)
    return (line * np.float32(255)).astype(np.uint8)


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
    """A random piece of spongy texture for a grid, (H, W) float32, about -1 to 1 at full resolution, mean 0."""
    tile = _tile()
    height, width = (min(TILE_SIZE, int(np.ceil(n * grid.pitch / TILE_PITCH)) + 1) for n in (grid.height, grid.width))
    y, x = rng.integers(0, TILE_SIZE - height + 1), rng.integers(0, TILE_SIZE - width + 1)
    piece = tile[y:y + height, x:x + width]
    method = cv2.INTER_AREA if grid.pitch > TILE_PITCH else cv2.INTER_LINEAR
    return cv2.resize(piece, (grid.width, grid.height), interpolation=method)


def clouds(grid: Grid, cell: float, rng: np.random.Generator) -> np.ndarray:
    """Slow random variation (muscle bellies), (H, W) float32, deviation about 1, with hills about `cell` mm wide."""
    shape = (int(grid.height * grid.pitch / cell) + 3, int(grid.width * grid.pitch / cell) + 3)
    coarse = rng.standard_normal(shape, np.float32)
    return cv2.resize(coarse, (grid.width, grid.height), interpolation=cv2.INTER_CUBIC)
