"""The shoulder: humerus, scapula with its spine, acromion and coracoid, clavicle, and the upper ribs around the lung.

Frame, mm: x away from the body (lateral), y up, z to the front; the origin is the middle of the head of the humerus.
"""

from __future__ import annotations

import numpy as np

from core.datasets.phantom.body import Body, Site, View
from core.datasets.phantom.bones import Bone, fuse, pebble, shaft
from core.datasets.phantom.soft_tissue import SoftTissue, skin_and_muscle
from core.datasets.phantom.solids import Solids, box, ellipsoid, frame, nothing, turn

VIEWS = (View("AP", 0, 0), View("oblique", 32, 0), View("scapular Y", -58, 0))


def _humerus(rng: np.random.Generator) -> Bone:
    body = shaft("humerus", (13, -190, -2), (5, 12, 0), [
        (0, 11.4, 4.0), (0.5, 11.8, 4.0), (0.72, 13.0, 3.2), (0.84, 16.5, 2.0), (0.93, 21.0, 1.4), (1, 19, 1.2),
    ], closed=(False, True), rng=rng)
    return fuse("humerus", body, *upper_end(rng))


def upper_end(rng: np.random.Generator) -> list[Bone]:
    """Build the head of the humerus, and the two tubercles where the muscles of the shoulder pull."""
    head = pebble("head", (-3, 1, 0), (24.5, 23.5, 23.0), along=(-0.7, 0.7, 0.2), cortex=1.3, rng=rng)
    greater = pebble("greater tubercle", (14.5, 3, 1), (9.5, 15, 16), along=(0.1, 1, 0), cortex=1.2, rng=rng)
    lesser = pebble("lesser tubercle", (6, -4, 17), (7, 6, 10), along=(0, 1, 0), cortex=1.0, rng=rng)
    return [head, greater, lesser]


def _blade(triangle, thickness: float) -> Solids:
    """A thin plate over a triangle of three points, mm."""
    points = np.asarray(triangle, float)
    normal = np.cross(points[1] - points[0], points[2] - points[0])
    normal /= np.linalg.norm(normal)
    sides = []
    for k in range(3):
        a, b, opposite = points[k], points[(k + 1) % 3], points[(k + 2) % 3]
        out = np.cross(b - a, normal)
        out *= -np.sign(out @ (opposite - a)) / np.linalg.norm(out)
        sides.append([*out, -out @ a])
    middle = points.mean(0)
    half = np.linalg.norm(points - middle, axis=1).max()
    return box(middle, (half, half, thickness / 2), along=normal, across=points[1] - points[0]).cut(*sides)


def scapula(rng: np.random.Generator) -> Bone:
    """A blade with thick borders, a neck with the socket, the spine that ends in the acromion, and the hooked coracoid."""
    superior, inferior, neck = (-98, 42, -50), (-80, -108, -58), (-38, -4, -18)

    def rod(name, start, end, widths, cortex=1.3) -> Bone:
        return shaft(name, start, end, [(f, w, cortex) for f, w in zip((0, 0.5, 1), widths)], rng=rng)
    blade = Bone("scapula", _blade((superior, inferior, neck), 3.0), *[nothing()] * 4)
    return fuse(
        "scapula", blade,
        rod("lateral border", (-40, -14, -18), inferior, (6.5, 5.0, 4.2), 1.6),
        rod("medial border", superior, inferior, (2.6, 2.2, 3.2)),
        rod("upper border", superior, (-42, 16, -16), (2.4, 1.8, 2.6), 1.0),
        pebble("neck", (-40, -3, -12), (12, 10, 15), along=(0.12, 1, 0), cortex=1.2),
        pebble("glenoid", (-31.5, -3, -6), (7, 13, 19.5), along=(0.12, 1, 0), across=(1, 0, -0.35), cortex=1.3, rng=rng),
        shaft("spine", (-97, 14, -56), (-6, 33, -34), [(0, 2.6, 1.2), (0.4, 5.0, 1.3), (0.8, 6.4, 1.4), (1, 7.2, 1.4)],
              flat=0.75, across=(0, 1, 0), rng=rng),
        shaft("acromion", (-14, 33, -40), (11, 34, 10),
              [(0, 8, 1.3), (0.25, 12, 1.3), (0.6, 13, 1.2), (0.88, 9, 1.1), (1, 3, 0.9)],
              flat=0.36, across=(1, 0.12, 0), rng=rng),
        shaft("coracoid root", (-36, 11, -4), (-36, 27, 14), [(0, 8, 1.2), (0.5, 6.6, 1.3), (1, 6.2, 1.3)], rng=rng),
        shaft("coracoid", (-37, 25, 13), (-18, 18, 32),
              [(0, 6.0, 1.2), (0.5, 5.8, 1.3), (0.85, 5.2, 1.2), (1, 2.5, 1.0)], rng=rng))


def clavicle(points: int = 8) -> Bone:
    """An S seen from above: convex to the front near the breastbone, to the back near the acromion; its first `points` of 8."""
    line = np.array([(-5, 39, -9), (-20, 41.5, -11), (-38, 43, -8), (-56, 44, 0), (-74, 43, 11), (-94, 40, 21),
                     (-118, 35, 27), (-150, 28, 28)], float)[:points]
    width = (5.5, 7.6, 7.0, 6.2, 6.0, 6.1, 6.6, 8.0)
    wall = (1.1, 1.3, 1.6, 2.0, 2.3, 2.3, 2.0, 1.6)
    parts = []
    for k in range(len(line) - 1):
        parts.append(shaft("clavicle", line[k], line[k + 1], [(0, width[k], wall[k]), (1, width[k + 1], wall[k + 1])],
                           flat=0.8, across=(0, 0, 1), closed=(k == 0, False)))
        if k:                                                # a ball in each bend fills the wedge
            parts.append(pebble("bend", line[k], (width[k], 0.8 * width[k], width[k]), across=(0, 0, 1),
                                along=line[k + 1] - line[k - 1], cortex=wall[k]))
    if points == 8:
        parts.append(pebble("sternal end", line[-1], (8.8, 7, 6), across=(0, 0, 1), along=line[-1] - line[-2], cortex=1.2))
    return fuse("clavicle", *parts)


CHEST = (-172, -80, -22)                                     # the middle of the chest, and its half axes inside the skin
CHEST_HALF = (112, 82, 150)


def _chest(grow: float) -> Solids:
    return ellipsoid(CHEST, np.add(CHEST_HALF, grow), along=(0.12, 1, 0))


def _rib(number: int, rng: np.random.Generator) -> Bone:
    """A rib is a slanted slice of the chest wall: what lies between two ellipsoids and between two planes."""
    # the front end lies lower than the back, and the side higher than the spine
    normal = turn(2, -8)[:3, :3] @ turn(0, 27)[:3, :3] @ (0, 1, 0)
    place = frame((CHEST[0], 40 - 27 * number + rng.normal(0, 1.5), CHEST[2]), normal)
    height = normal @ place[:3, 3]

    def band(grow: float, half: float) -> Solids:
        wall = _chest(grow).cut([*-normal, height - half], [*normal, -height - half])
        corners = box((0, 0, 0), (125, 125, half)).moved(place).corners               # tighter than the ellipsoid's
        return Solids(wall.quadrics, wall.planes, corners, wall.apart)
    return Bone(f"rib {number + 2}", band(0, 6.5), band(-0.9, 5.7), nothing(), band(-7.5, 6.6), band(-6.6, 6.6), far=True)


def _soft_tissue(part: SoftTissue) -> None:
    part.ellipsoid((-185, -120, -15), (150, 98, 250))                                   # torso
    part.ellipsoid((-95, 26, -22), (105, 46, 40), along=(0.32, 1, 0))                   # from the neck to the shoulder
    part.ellipsoid((-8, -22, -6), (52, 56, 74), along=(-0.1, 1, 0))                     # deltoid
    part.tube((22, -240, -4), (-11.8, 17.8, -4), [(0, 44), (0.4, 49), (0.8, 48), (1, 30)], 1.0)
    part.ellipsoid((-175, 90, -20), (62, 58, 130))                                      # neck


def build(rng: np.random.Generator, thick: float, flexion: float) -> Body:
    """Build a shoulder with the arm at the side; `thick` scales the soft tissue, `flexion` is not used."""
    bones = [_humerus(rng), scapula(rng), clavicle(), *(_rib(number, rng) for number in range(6))]
    skin, muscle = skin_and_muscle(_soft_tissue, thick, fat=6.0)
    down = (0.05, -1, 0)
    sites = {
        "fracture": (Site("humerus", (7, -32, 0), down, 16), Site("humerus", (11, -80, -1), down, 12),
                     Site("clavicle", (-62, 44, 4), (-1, 0, 0.2), 6.2), Site("clavicle", (-80, 41.5, 14), (-1, -0.15, 0.5), 6.2)),
        "lytic lesion": (Site("humerus", (-2, 2, 0), down, 20), Site("humerus", (8, -42, 0), down, 14),
                         Site("humerus", (11, -78, -1), down, 12), Site("scapula", (-42, -3, -13), down, 13),
                         Site("clavicle", (-18, 41, -9), (1, 0, 0), 7)),
        "metal plate": (Site("humerus", (8, -42, 0), down, 15), Site("humerus", (11.5, -85, -1), down, 12),
                        Site("clavicle", (-66, 43.5, 6), (-1, -0.08, 0.4), 6.2)),
    }
    return Body("shoulder", bones, skin, muscle, _chest(-9), sites, centre=(-46, -32, 0), field=(205, 205))
