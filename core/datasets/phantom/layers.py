"""How many millimetres of each material every ray crosses: a body, with or without a finding, becomes a few images."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from core.datasets.phantom.body import Finding
from core.datasets.phantom.materials import SOFT
from core.datasets.phantom.solids import Grid, Path, Rays, Solids, join, nothing, shared


@dataclass
class Layers:
    """Millimetres of each material along every ray, (H, W) float32 each; all but `flesh` stand inside the flesh.

    flesh: all soft tissue, bone and air included; fat: of that, the fat under the skin; air: lung, or None
    cortex, spongy, marrow: the three materials of bone
    metal: neper that metal adds to the soft tissue in its place, or None
    changed: bool, rays that meet the finding, or None
    """

    flesh: np.ndarray
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
    """A body and its finding, ready to be traced from any side. Bones far from the detector and soft tissue are traced coarsely."""

    def __init__(self, finding: Finding):
        body = finding.body
        fine, coarse = Pile(), Pile()
        self.body = body
        self.bones = []                                      # (name, is coarse, ranges of outer, inner, canal and the two cuts)
        for bone in body.bones:
            pile = coarse if bone.far else fine
            groups = (bone.outer, bone.inner, bone.canal, bone.outer_cuts, bone.inner_cuts)
            simple = not len(bone.outer_cuts) and bool(bone.outer.apart[1:].all())
            self.bones.append((bone.name, bone.far, simple, [pile.add(group) for group in groups]))
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
        flesh = soft(self.skin)
        out = Layers(flesh, flesh - soft(self.muscle), soft(self.air) if self.air is not None else None,
                     *(np.zeros(shape, np.float32) for _ in range(3)))
        distant = [np.zeros(small, np.float32) for _ in range(3)]
        holes = [(insert, sharp.path(range(k, k + 1))) for insert, which in self.inserts for k in which]
        holes = [(insert, hole) for insert, hole in holes if hole is not None]
        if self.inserts or self.faces is not None:
            out.changed = np.zeros(shape, bool)
        for name, far, simple, ranges in self.bones:
            carved = [hole for insert, hole in holes if name in insert.bones]
            paths = _bone(smooth if far else sharp, ranges, hull=bool(carved) or not simple)
            if paths[0] is None:
                continue
            for hole in carved:
                out.changed[paths[0].window] |= shared(hole, paths[0]) > 0
            for k, found in enumerate(paths):                # outer adds cortex, inner turns cortex to spongy, canal to marrow
                if found is None:
                    continue
                if carved:
                    found.length[...] -= np.maximum.reduce([shared(hole, found) for hole in carved])
                materials = distant if far else (out.cortex, out.spongy, out.marrow)
                materials[k][found.window] += found.length
                if k:
                    materials[k - 1][found.window] -= found.length
        for insert, which in self.inserts:
            metal = sharp.path(which) if insert.mu != SOFT else None
            if metal is not None:
                out.metal = np.zeros(shape, np.float32) if out.metal is None else out.metal
                out.metal[metal.window] += np.float32(insert.mu - SOFT) * metal.length
                out.changed[metal.window] |= metal.length > 0
        for k in self.faces or ():
            face = sharp.path(range(k, k + 1), hull=False)
            if face is not None:
                out.changed[face.window] |= face.length > 0
        if any(far for _, far, *_ in self.bones):
            for image, part in zip((out.cortex, out.spongy), distant):
                image += _enlarge(part, step, shape)
        return out


def _bone(rays: Rays, ranges: list[range], hull: bool) -> list[Path | None]:
    """Paths through the outer, inner and canal solids of one bone, its sockets taken away."""
    outer, inner, canal, outer_cuts, inner_cuts = ranges
    paths = [rays.path(which, hull) for which in (outer, inner, canal)]
    for found, cuts in zip(paths, (outer_cuts, inner_cuts, inner_cuts)):
        for k in cuts if found is not None else ():
            hole = rays.path(range(k, k + 1))
            if hole is not None:
                found.length[...] -= shared(hole, found)
    return paths


def _add(image: np.ndarray, found: Path | None) -> None:
    if found is not None:
        image[found.window] += found.length


def _enlarge(small: np.ndarray, step: int, shape: tuple[int, int]) -> np.ndarray:
    if step == 1:
        return small
    large = cv2.resize(small, (small.shape[1] * step, small.shape[0] * step), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(large[:shape[0], :shape[1]])
