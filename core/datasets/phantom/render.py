"""One radiograph: lay the body before the tube, expose, develop."""

from __future__ import annotations

import cv2
import numpy as np

from core.datasets.phantom import xray
from core.datasets.phantom.body import Body
from core.datasets.phantom.cohort import _VIEW, DEFAULT, PhantomConfig, patient_of, pose_of, stream, study_of
from core.datasets.phantom.solids import Grid, scale, shift, turn

RAY_SPACING = 1.1        # mm; larger pixels are averaged over a square of rays, up to 4 x 4


def placed(body: Body, patient, study, view, rng: np.random.Generator, longest: int) -> tuple[np.ndarray, Grid]:
    """How the part lies: the matrix from the body's frame to the view's, and the pixels of the exposed field."""
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
    """The radiograph of one view, and where its finding is.

    Args:
        patient, study, view: numbers from 0; see `cohort`
        size: pixels of the longer side; None is config.longest. A smaller picture is not made from a larger one: the
            same rays, fewer of them, each counting more photons
        config: the set
        finding: False shows the same bones on the same day as if nothing had happened

    Returns:
        pixels (H, W) uint8, and mask (H, W) bool: rays that meet the finding (for a fracture: bone within 2 mm of its surface,
        on both fragments); all False for a normal study.
    """
    size = size or config.longest
    who, visit = patient_of(config, patient), study_of(config, patient, study)
    projection = visit.views[view]
    rng = stream(config, _VIEW, patient, study, view)           # the same draws in the same order, with finding or without
    model = pose_of(config, patient, study, projection.flexion, visit.finding if finding else "none")
    matrix, grid = placed(model.body, who, visit, projection, rng, size)
    exposure = xray.Exposure(photons=30_000 * rng.lognormal(0, 0.35), scatter=0.12 * rng.uniform(0.6, 1.4), noise=config.noise)
    window, gamma, even = rng.uniform(0.92, 1.10, 2), rng.uniform(0.9, 1.15), rng.uniform(0.4, 0.6)
    shutter = collimator(grid, rng)

    rays = grid.finer(min(max(round(grid.pitch / RAY_SPACING), 1), 4))       # a large pixel gathers several rays
    layers = model.trace(matrix, rays)
    layers.flesh *= 1 + np.float32(0.02) * xray.clouds(rays, rng)
    line = xray.neper(layers, who.density, np.float32(0.25) * xray.trabeculae(rays, rng))
    counts = xray.counts(line, rays.pitch, exposure, rng, (grid.height, grid.width))
    soft = soft_tissue(layers)
    display = xray.Display(low=0.36 * soft * window[0], high=(soft + 0.5) * window[1], gamma=gamma, even=even)
    pixels = cv2.multiply(xray.develop(counts, grid.pitch, display), shutter, scale=1 / 255)
    mask = np.zeros((rays.height, rays.width), bool) if layers.changed is None else layers.changed
    mask = mask.reshape(grid.height, rays.height // grid.height, grid.width, -1).any((1, 3))
    return pixels, mask & (shutter > 127)


def soft_tissue(layers: xray.Layers) -> float:
    """Neper of soft tissue in the middle of the body: the console sets its window by this, never by bone or metal."""
    flesh = layers.flesh[::4, ::4] if layers.air is None else layers.flesh[::4, ::4] - 0.74 * layers.air[::4, ::4]
    inside = flesh[flesh > 8]
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
