"""One radiograph: position the body before the tube, expose, develop."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np

from core.datasets.phantom import marks, xray
from core.datasets.phantom.body import Body
from core.datasets.phantom.cohort import DEFAULT, PARTS, PhantomConfig, Purpose, patient_of, pose_of, stream, study_of
from core.datasets.phantom.layers import Model
from core.datasets.phantom.materials import LEAD
from core.datasets.phantom.rays import Grid
from core.datasets.phantom.solids import scale, shift, turn
from core.datasets.phantom.switches import NO_SIGNS, Signs, signs_of


def placed(body: Body, patient, study, view, rng: np.random.Generator, longest: int) -> tuple[np.ndarray, Grid]:
    """Return how the part lies: the matrix from the body's frame to the view's, and the pixels of the exposed field."""
    turn_by, tilt, roll = view.turn + rng.normal(0, 5), view.tilt + rng.normal(0, 3), rng.normal(0, 6)
    width, height = (side * patient.size * rng.uniform(0.90, 1.12) for side in body.field)
    pitch = max(width, height) / longest
    columns, rows = max(round(width / pitch), 1), max(round(height / pitch), 1)
    mirror = -1 if study.side == "left" else 1
    aim = rng.normal(0, 0.03, 2) * (width, height)
    matrix = (shift(*aim, 0) @ turn(2, roll) @ scale(mirror, -1, 1) @ turn(0, tilt) @ turn(1, turn_by)
              @ scale(patient.size, patient.size, patient.size) @ shift(*np.negative(body.centre)))
    return matrix, Grid(-(columns - 1) / 2 * pitch, -(rows - 1) / 2 * pitch, pitch, rows, columns)


def render(patient: int, study: int, view: int, size: int | None = None, config: PhantomConfig = DEFAULT, *,
           finding: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Render the radiograph of one view, and where its finding is.

    Args:
        patient, study, view: numbers from 0; see `cohort`
        size: pixels of the longer side; None is config.longest. A smaller picture is not made from a larger one: the
            same rays, fewer of them, each counting more photons
        config: the set
        finding: False shows the same bones on the same day as if nothing had happened

    Returns:
        pixels (H, W) uint8, and mask (H, W) bool: rays that meet the finding (for a fracture: bone within 2 mm of its surface,
        on both fragments); all False for a normal study.

    >>> pixels, mask = render(patient=3, study=0, view=0, size=48)
    >>> pixels.dtype, pixels.shape == mask.shape, max(pixels.shape)
    (dtype('uint8'), True, 48)
    """
    shot = _set_up(patient, study, view, size or config.longest, config, finding)
    grid, rng, signs, exposure, display = shot.grid, shot.rng, shot.signs, shot.exposure, shot.display
    rays = grid.finer(min(max(round(grid.pitch / shot.model.body.spacing), 1), 4))       # a large pixel gathers several rays
    layers = shot.model.trace(shot.matrix, rays)
    layers.soft_tissue *= 1 + np.float32(0.02) * xray.clouds(rays, rng)
    line = xray.neper(layers, patient_of(config, patient).density, np.float32(0.25) * xray.trabeculae(rays, rng))
    if signs.letter:
        window, cover = marks.letter(signs.letter, rays, shot.marker)
        line[window] += np.float32(marks.LEAD_THICKNESS * LEAD) * cover
    counts = xray.counts(line, rays.pitch, exposure, rng, (grid.height, grid.width))
    soft = soft_tissue_attenuation(layers)
    display = replace(display, low=0.36 * soft * display.low, high=(soft + 0.5) * display.high)
    if signs.exposure:
        shift = marks.EXPOSURES[signs.exposure].shift * (display.high - display.low)
        display = replace(display, low=display.low - shift, high=display.high - shift)
    pixels = cv2.multiply(xray.develop(counts, grid.pitch, display), shot.shutter, scale=1 / 255)
    if signs.hospital:
        window, stamp = marks.hospital(grid.height, grid.width)
        pixels[window] = stamp
    mask = np.zeros((rays.height, rays.width), bool) if layers.changed is None else layers.changed
    mask = mask.reshape(grid.height, rays.height // grid.height, grid.width, -1).any((1, 3))
    return pixels, mask & (shot.shutter > 127)


def size_of(patient: int, study: int, view: int, config: PhantomConfig = DEFAULT) -> tuple[int, int]:
    """Return width and height in pixels of what `render` makes at config.longest, without making it."""
    visit = study_of(config, patient, study)
    projection = visit.views[view]
    rng = stream(config, Purpose.VIEW, patient, study, view)
    body = _same_field(visit.part, projection.flexion) or pose_of(config, patient, study, projection.flexion, visit.finding).body
    grid = placed(body, patient_of(config, patient), visit, projection, rng, config.longest)[1]
    return grid.width, grid.height


@lru_cache(maxsize=64)
def _same_field(part: str, flexion: float) -> Body | None:
    """Somebody's body where the field that is exposed does not depend on whose it is: that spares building 2,400 bodies."""
    one, other = (PARTS[part].build(np.random.default_rng(seed), 1.0, flexion) for seed in (0, 1))
    return one if one.field == other.field else None


def marker_mask(patient: int, study: int, view: int, size: int | None = None,
                config: PhantomConfig = DEFAULT) -> np.ndarray:
    """Return where the lead letter and the printed name are in what `render` makes: (H, W) bool, all False without them."""
    shot = _set_up(patient, study, view, size or config.longest, config, finding=True)
    mask = np.zeros((shot.grid.height, shot.grid.width), bool)
    if shot.signs.letter:
        window, cover = marks.letter(shot.signs.letter, shot.grid, shot.marker)
        mask[window] = (cover > 0.25) & (shot.shutter[window] > 127)
    if shot.signs.hospital:
        mask[marks.hospital(shot.grid.height, shot.grid.width)[0]] = True
    return mask


@dataclass
class _Shot:
    """All that is decided before the exposure. `display` still has relative limits; `marker` is None without a letter."""

    model: Model
    matrix: np.ndarray
    grid: Grid
    exposure: xray.Exposure
    display: xray.Display
    shutter: np.ndarray
    signs: Signs
    marker: marks.Place | None
    rng: np.random.Generator


def _set_up(patient: int, study: int, view: int, size: int, config: PhantomConfig, finding: bool) -> _Shot:
    who, visit = patient_of(config, patient), study_of(config, patient, study)
    projection = visit.views[view]
    rng = stream(config, Purpose.VIEW, patient, study, view)           # the same draws in the same order, with finding or without
    model = pose_of(config, patient, study, projection.flexion, visit.finding if finding else "none")
    matrix, grid = placed(model.body, who, visit, projection, rng, size)
    exposure = xray.Exposure(photons=30_000 * rng.lognormal(0, 0.35), scatter=0.12 * rng.uniform(0.6, 1.4), noise=config.noise)
    window, gamma, even = rng.uniform(0.92, 1.10, 2), rng.uniform(0.9, 1.15), rng.uniform(0.4, 0.6)
    shutter = collimator(grid, rng)
    display = xray.Display(low=window[0], high=window[1], gamma=gamma, even=even)

    signs, marker = signs_of(config, patient, study, view), None
    if signs.exposure:
        exposure = replace(exposure, photons=exposure.photons * marks.EXPOSURES[signs.exposure].photons)
    if signs is not NO_SIGNS:                                   # how a sign lies is drawn apart, so the body stays the same
        own = stream(config, Purpose.SIGN_PLACE, patient, study, view)
        marker, frame = marks.place_letter(grid, own), marks.frame_of(signs.site, grid, own)
        shutter = shutter if frame is None else frame
    return _Shot(model, matrix, grid, exposure, display, shutter, signs, marker, rng)


def soft_tissue_attenuation(layers: xray.Layers) -> float:
    """Return neper of soft tissue in the middle of the body: the console sets its window by this, never by bone or metal."""
    thickness = layers.soft_tissue[::4, ::4]
    if layers.air is not None:
        thickness = thickness - 0.74 * layers.air[::4, ::4]
    inside = thickness[thickness > 8]
    return float(xray.SOFT * (np.quantile(inside, 0.7) if len(inside) else 30))


def collimator(grid: Grid, rng: np.random.Generator) -> np.ndarray:
    """(H, W) uint8, 255 where the beam passes: lead blades at the edge of the field, a little turned, in half of the images."""
    inset, angle, used = rng.uniform(0, 0.05, 4), np.deg2rad(rng.normal(0, 1.2)), rng.random() < 0.5
    if not used:
        return np.full((grid.height, grid.width), 255, np.uint8)
    h, w = grid.height, grid.width
    corners = np.array([[inset[0] * w, inset[1] * h], [w - inset[2] * w, inset[1] * h],
                        [w - inset[2] * w, h - inset[3] * h], [inset[0] * w, h - inset[3] * h]])
    middle = corners.mean(0)
    corners = (corners - middle) @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) + middle
    open_field = np.zeros((h, w), np.uint8)
    cv2.fillConvexPoly(open_field, np.round(corners * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
    return open_field
