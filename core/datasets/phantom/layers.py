"""Layers: how many millimetres of each material every ray crosses, for a body with or without a finding."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from core.datasets.phantom.body import Finding
from core.datasets.phantom.materials import SOFT
from core.datasets.phantom.rays import Grid, Path, Rays
from core.datasets.phantom.solids import Solids, join, nothing

Shape = tuple[int, int]

MATTERS = 0.005          # mm: less than this inside a finding does not count as meeting it


@dataclass
class Layers:
    """Millimetres of each material along every ray, (H, W) float32 each; all others lie inside `soft_tissue`.

    soft_tissue: all of the body, bone and air included; fat: of that, the fat under the skin; air: lung, or None
    cortex, spongy, marrow: the three materials of bone
    metal: neper that metal adds to the soft tissue in its place, or None
    changed: bool, rays that meet the finding, or None
    """

    soft_tissue: np.ndarray
    fat: np.ndarray
    air: np.ndarray | None
    cortex: np.ndarray
    spongy: np.ndarray
    marrow: np.ndarray
    metal: np.ndarray | None = None
    changed: np.ndarray | None = None


class Pile:
    """Many groups of solids in one array, so that a view turns them all at once; each group keeps its range."""

    def __init__(self):
        self.groups, self.size = [], 0

    def add(self, solids: Solids) -> range:
        self.groups.append(solids)
        self.size += len(solids)
        return range(self.size - len(solids), self.size)

    def solids(self) -> Solids:
        return join(*self.groups) if self.groups else nothing()


class Model:
    """A body and its finding, ready to be traced from any side. Soft tissue and far bones are traced coarsely."""

    def __init__(self, finding: Finding):
        body = finding.body
        fine, coarse = Pile(), Pile()
        self.body = body
        self.bones = []                                      # (name, is far, ranges of outer, inner, canal and the two cuts)
        for bone in body.bones:
            pile = coarse if bone.far else fine
            groups = (bone.outer, bone.inner, bone.canal, bone.outer_cuts, bone.inner_cuts)
            self.bones.append((bone.name, bone.far, [pile.add(group) for group in groups]))
        self.skin, self.muscle = coarse.add(body.skin), coarse.add(body.muscle)
        self.air = coarse.add(body.air) if body.air is not None else None
        self.inserts = [(insert, fine.add(insert.solids)) for insert in finding.inserts]
        self.faces = fine.add(finding.faces) if finding.faces is not None else None
        self.fine, self.coarse = fine.solids(), coarse.solids()

    def trace(self, matrix: np.ndarray, grid: Grid) -> Layers:
        """Follow all rays of a grid through the body. matrix: (4, 4), from its frame to the view's; rays run
        along z."""
        step = min(max(max(grid.height, grid.width) // 100, 1), 3)
        back = np.linalg.inv(matrix)
        sharp = Rays(self.fine.moved(matrix, back), grid)
        smooth = Rays(self.coarse.moved(matrix, back), grid.coarse(step))
        shape, small = (grid.height, grid.width), (-(-grid.height // step), -(-grid.width // step))
        out = self._trace_soft_tissue(smooth, step, shape, small)
        if self.inserts or self.faces is not None:
            out.changed = np.zeros(shape, bool)
        self._trace_bones(out, sharp, smooth, step, shape, small)
        self._trace_metal(out, sharp)
        for k in self.faces or ():
            _mark(out.changed, sharp.path([k]))
        return out

    def _trace_soft_tissue(self, smooth: Rays, step: int, shape: Shape, small: Shape) -> Layers:
        def soft(which: range) -> np.ndarray:
            image = np.zeros(small, np.float32)
            _add(image, smooth.path(which))
            return _enlarge(image, step, shape)

        soft_tissue = soft(self.skin)
        fat = soft_tissue - soft(self.muscle)
        air = soft(self.air) if self.air is not None else None
        return Layers(soft_tissue, fat, air, *(np.zeros(shape, np.float32) for _ in range(3)))

    def _trace_bones(self, out: Layers, sharp: Rays, smooth: Rays, step: int, shape: Shape,
                     small: Shape) -> None:
        near = [out.cortex, out.spongy, out.marrow]
        distant = [np.zeros(small, np.float32) for _ in near]
        for name, far, ranges in self.bones:
            inserted = [k for insert, which in self.inserts if name in insert.bones for k in which]
            if far:
                _trace_bone(smooth, distant, ranges, inserted, out.changed)
            else:
                _trace_bone(sharp, near, ranges, inserted, out.changed)
        if any(far for _, far, _ in self.bones):
            for image, part in zip((out.cortex, out.spongy), distant):
                image += _enlarge(part, step, shape)

    def _trace_metal(self, out: Layers, sharp: Rays) -> None:
        for insert, which in self.inserts:
            metal = sharp.path(which) if insert.mu != SOFT else None
            if metal is None:
                continue
            if out.metal is None:
                out.metal = np.zeros_like(out.soft_tissue)
            out.metal[metal.window] += np.float32(insert.mu - SOFT) * metal.length
            _mark(out.changed, metal)


def _trace_bone(rays: Rays, images: list[np.ndarray], ranges: list[range], inserted: list[int],
                changed: np.ndarray | None) -> None:
    """Add a bone to its images of cortex, spongy bone and marrow; mark where something inserted displaces it.

    All of the bone adds to the cortex; its inside turns that to spongy bone, and the canal turns that to
    marrow.
    """
    *materials, outer_cuts, inner_cuts = ranges
    for k, (which, cuts) in enumerate(zip(materials, (outer_cuts, inner_cuts, inner_cuts))):
        path = rays.path(which, [*cuts, *inserted])
        if path is None:
            continue
        _add(images[k], path)
        if k:
            images[k - 1][path.window] -= path.length
        elif inserted:
            before = rays.path(which, cuts)
            changed[path.window] |= before.length - path.length > MATTERS


def _mark(changed: np.ndarray, path: Path | None) -> None:
    if path is not None:
        changed[path.window] |= path.length > MATTERS


def _add(image: np.ndarray, path: Path | None) -> None:
    if path is not None:
        image[path.window] += path.length


def _enlarge(small: np.ndarray, step: int, shape: Shape) -> np.ndarray:
    """A coarse image at full size, its upper left pixels first."""
    if step == 1:
        return small
    small = cv2.GaussianBlur(small, (0, 0), 0.45, borderType=cv2.BORDER_REPLICATE)      # so that steps do not show
    large = cv2.resize(small, (small.shape[1] * step, small.shape[0] * step), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(large[:shape[0], :shape[1]])
