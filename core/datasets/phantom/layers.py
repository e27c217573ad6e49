"""Layers: how many millimetres of each material every ray crosses, for a body with or without a finding."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from core.datasets.phantom.body import Finding
from core.datasets.phantom.materials import SOFT
from core.datasets.phantom.rays import Grid, Path, Rays
from core.datasets.phantom.solids import Solids, join, nothing

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
        """Follow all rays of a grid through the body. matrix: (4, 4), from its frame to the view's; rays run along z."""
        step = min(max(max(grid.height, grid.width) // 100, 1), 3)
        back = np.linalg.inv(matrix)
        sharp, smooth = Rays(self.fine.moved(matrix, back), grid), Rays(self.coarse.moved(matrix, back), grid.coarse(step))
        shape, small = (grid.height, grid.width), (-(-grid.height // step), -(-grid.width // step))

        def soft(which: range) -> np.ndarray:
            image = np.zeros(small, np.float32)
            _add(image, smooth.path(which))
            return _enlarge(image, step, shape)
        soft_tissue = soft(self.skin)
        out = Layers(soft_tissue, soft_tissue - soft(self.muscle), soft(self.air) if self.air is not None else None,
                     *(np.zeros(shape, np.float32) for _ in range(3)))
        distant = [np.zeros(small, np.float32) for _ in range(3)]
        if self.inserts or self.faces is not None:
            out.changed = np.zeros(shape, bool)
        for name, far, (*materials, outer_cuts, inner_cuts) in self.bones:
            rays, images = (smooth, distant) if far else (sharp, (out.cortex, out.spongy, out.marrow))
            inserted = [k for insert, which in self.inserts if name in insert.bones for k in which]
            # all of the bone adds to the cortex; its inside turns that to spongy bone, and the canal turns that to marrow
            for k, (which, cuts) in enumerate(zip(materials, (outer_cuts, inner_cuts, inner_cuts))):
                found = rays.path(which, [*cuts, *inserted])
                if found is None:
                    continue
                images[k][found.window] += found.length
                if k:
                    images[k - 1][found.window] -= found.length
                elif inserted:
                    before = rays.path(which, cuts)
                    out.changed[found.window] |= before.length - found.length > MATTERS
        for insert, which in self.inserts:
            metal = sharp.path(which) if insert.mu != SOFT else None
            if metal is not None:
                out.metal = np.zeros(shape, np.float32) if out.metal is None else out.metal
                out.metal[metal.window] += np.float32(insert.mu - SOFT) * metal.length
                out.changed[metal.window] |= metal.length > MATTERS
        for k in self.faces or ():
            face = sharp.path([k])
            if face is not None:
                out.changed[face.window] |= face.length > MATTERS
        if any(far for _, far, *_ in self.bones):
            for image, part in zip((out.cortex, out.spongy), distant):
                image += _enlarge(part, step, shape)
        return out


def _add(image: np.ndarray, found: Path | None) -> None:
    if found is not None:
        image[found.window] += found.length


def _enlarge(small: np.ndarray, step: int, shape: tuple[int, int]) -> np.ndarray:
    """A coarse image at full size, its upper left pixels first."""
    if step == 1:
        return small
    small = cv2.GaussianBlur(small, (0, 0), 0.45, borderType=cv2.BORDER_REPLICATE)      # so that steps do not show
    large = cv2.resize(small, (small.shape[1] * step, small.shape[0] * step), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(large[:shape[0], :shape[1]])
