"""The shoulder: humerus, scapula with its spine, acromion and coracoid, clavicle, and the upper ribs around the lung.

Frame, mm: x away from the body (lateral), y up, z to the front; the origin is the middle of the head of the humerus.
"""

from __future__ import annotations

import numpy as np

from core.datasets.phantom.body import Body, Site, View
from core.datasets.phantom.bones import Bone, fuse, pebble, shaft
from core.datasets.phantom.solids import Solids, box, ellipsoid, frame, join, nothing, slices, turn

VIEWS = (View("AP", 0, 0), View("oblique", 32, 0), View("scapular Y", -58, 0))


def _humerus(rng) -> Bone:
    body = shaft("humerus", (13, -190, -2), (5, 12, 0), [(0, 11.4, 4.0), (0.5, 11.8, 4.0), (0.72, 13.0, 3.2), (0.84, 16.5, 2.0), (0.93, 21.0, 1.4), (1, 19, 1.2)],
                 closed=(False, True), rng=rng)
    head = pebble("head", (-3, 1, 0), (24.5, 23.5, 23.0), along=(-0.7, 0.7, 0.2), cortex=1.3, rng=rng)
    tubercle = pebble("greater tubercle", (14.5, 3, 1), (9.5, 15, 16), along=(0.1, 1, 0), cortex=1.2, rng=rng)
    lesser = pebble("lesser tubercle", (6, -4, 17), (7, 6, 10), along=(0, 1, 0), cortex=1.0, rng=rng)
    return fuse("humerus", body, head, tubercle, lesser)


def _blade(points, centre, thickness) -> Solids:
    """A thin plate over a triangle of points (3, 3)."""
    points = np.asarray(points, float)
    normal = np.cross(points[1] - points[0], points[2] - points[0])
    normal /= np.linalg.norm(normal)
    sides = []
    for k in range(3):
        a, b, c = points[k], points[(k + 1) % 3], points[(k + 2) % 3]
        out = np.cross(b - a, normal)
        out *= -np.sign(out @ (c - a)) / np.linalg.norm(out)
        sides.append([*out, -out @ a])
    middle = points.mean(0)
    half = np.linalg.norm(points - middle, axis=1).max()
    return box(middle, (half, half, thickness / 2), along=normal, across=points[1] - points[0]).cut(*sides)


def _scapula(rng) -> Bone:
    superior, inferior, neck = (-98, 42, -50), (-80, -108, -58), (-38, -4, -18)
    edge = lambda name, a, b, r, cortex=1.3, flat=1.0: shaft(name, a, b, [(0, r[0], cortex), (0.5, r[1], cortex), (1, r[2], cortex)], flat=flat, rng=rng)
    blade = Bone("blade", _blade((superior, inferior, neck), None, 3.0), nothing(), nothing(), nothing(), nothing())
    lateral = edge("lateral border", (-40, -14, -18), inferior, (6.5, 5.0, 4.2), 1.6)
    medial = edge("medial border", superior, inferior, (2.6, 2.2, 3.2))
    upper = edge("superior border", superior, (-42, 16, -16), (2.4, 1.8, 2.6), 1.0)
    glenoid = pebble("glenoid", (-31.5, -3, -6), (7, 13, 19.5), along=(0.12, 1, 0), across=(1, 0, -0.35), cortex=1.3, rng=rng)
    neck_bone = pebble("neck", (-40, -3, -12), (12, 10, 15), along=(0.12, 1, 0), cortex=1.2)
    spine = shaft("spine", (-97, 14, -56), (-6, 33, -34), [(0, 2.6, 1.2), (0.4, 5.0, 1.3), (0.8, 6.4, 1.4), (1, 7.2, 1.4)], flat=0.75, across=(0, 1, 0), rng=rng)
    acromion = shaft("acromion", (-14, 33, -40), (11, 34, 10), [(0, 8, 1.3), (0.25, 12, 1.3), (0.6, 13, 1.2), (0.88, 9, 1.1), (1, 3, 0.9)], flat=0.36, across=(1, 0.12, 0), rng=rng)
    root = shaft("coracoid root", (-36, 11, -4), (-36, 27, 14), [(0, 8, 1.2), (0.5, 6.6, 1.3), (1, 6.2, 1.3)], rng=rng)
    beak = shaft("coracoid", (-37, 25, 13), (-18, 18, 32), [(0, 6.0, 1.2), (0.5, 5.8, 1.3), (0.85, 5.2, 1.2), (1, 2.5, 1.0)], rng=rng)
    return fuse("scapula", blade, lateral, medial, upper, neck_bone, glenoid, spine, acromion, root, beak)


def _clavicle(rng) -> Bone:
    # an S seen from above: convex to the front near the breastbone, to the back near the acromion
    line = np.array([(-5, 39, -9), (-20, 41.5, -11), (-38, 43, -8), (-56, 44, 0), (-74, 43, 11), (-94, 40, 21), (-118, 35, 27), (-150, 28, 28)], float)
    width = [5.5, 7.6, 7.0, 6.2, 6.0, 6.1, 6.6, 8.0]
    wall = [1.1, 1.3, 1.6, 2.0, 2.3, 2.3, 2.0, 1.6]
    parts = []
    for k in range(len(line) - 1):
        parts.append(shaft("clavicle", line[k], line[k + 1], [(0, width[k], wall[k]), (1, width[k + 1], wall[k + 1])], flat=0.8,
                           across=(0, 0, 1), closed=(k == 0, False)))
        if k:                                                # a ball in each bend fills the wedge
            parts.append(pebble("bend", line[k], (width[k], 0.8 * width[k], width[k]), across=(0, 0, 1), along=line[k + 1] - line[k - 1], cortex=wall[k]))
    parts.append(pebble("sternal end", line[-1], (8.8, 7, 6), across=(0, 0, 1), along=line[-1] - line[-2], cortex=1.2))
    return fuse("clavicle", *parts)


CHEST = (-172, -80, -22)


def _ribs(rng) -> list[Bone]:
    """Ribs are slanted slices of the chest wall: what lies between two ellipsoids and between two planes."""
    ribs = []
    for k in range(6):
        top = 40 - 27 * k + rng.normal(0, 1.5)
        # the front end lies lower than the back, and the side higher than the spine
        normal = turn(2, -8)[:3, :3] @ turn(0, 27)[:3, :3] @ (0, 1, 0)
        place = frame((CHEST[0], top, CHEST[2]), normal)

        def band(grow, half):
            wall = ellipsoid(CHEST, (112 + grow, 82 + grow, 150 + grow), along=(0.12, 1, 0))
            wall = wall.cut([*-normal, normal @ place[:3, 3] - half], [*normal, -normal @ place[:3, 3] - half])
            corners = box((0, 0, 0), (125, 125, half)).moved(place).corners       # tighter than the ellipsoid's
            return Solids(wall.quadrics, wall.planes, corners, wall.apart)
        ribs.append(Bone(f"rib {k + 2}", band(0, 6.5), band(-0.9, 5.7), nothing(), band(-7.5, 6.6), band(-6.6, 6.6), far=True))
    return ribs


def build(rng: np.random.Generator, thick: float, flexion: float) -> Body:
    """A shoulder with the arm at the side."""
    bones = [_humerus(rng), _scapula(rng), _clavicle(rng), *_ribs(rng)]
    t = np.sqrt(thick)

    def surface(less):
        torso = ellipsoid((-185, -120, -15), np.array([150, 98, 250]) * t - less, along=(0, 1, 0))
        cap = ellipsoid((-8, -22, -6), np.array([52, 56, 74]) * t - less, along=(-0.1, 1, 0))
        arm = slices(260, np.array([0, 0.4, 0.8, 1]), np.array([44, 49, 48, 30]) * t - less, np.array([47, 50, 42]) * t - less, 1.0)
        arm = arm.moved(frame((22, -240, -4), (-0.13, 1, 0))).overlapping()
        ridge = ellipsoid((-95, 26, -22), np.array([105, 46, 40]) * t - less, along=(0.32, 1, 0))
        neck = ellipsoid((-175, 90, -20), np.array([62, 58, 130]) * t - less, along=(0, 1, 0))
        return join(torso, ridge.overlapping(), cap.overlapping(), arm, neck.overlapping())
    skin, muscle = surface(0), surface(6 * thick)
    lung = ellipsoid(CHEST, (103, 73, 141), along=(0.12, 1, 0))
    below = ("humerus",)
    sites = {
        "fracture": (Site("humerus", (7, -32, 0), (0.05, -1, 0), 16), Site("humerus", (11, -80, -1), (0.05, -1, 0), 12),
                     Site("clavicle", (-62, 44, 4), (-1, 0, 0.2), 6.2), Site("clavicle", (-80, 41.5, 14), (-1, -0.15, 0.5), 6.2)),
        "lytic lesion": (Site("humerus", (-2, 2, 0), (0, 1, 0), 20), Site("humerus", (8, -42, 0), (0, 1, 0), 14), Site("humerus", (11, -78, -1), (0, 1, 0), 12),
                         Site("scapula", (-42, -3, -13), (0, 1, 0), 13), Site("clavicle", (-18, 41, -9), (1, 0, 0), 7)),
        "metal plate": (Site("humerus", (8, -42, 0), (0.05, -1, 0), 15), Site("humerus", (11.5, -85, -1), (0.04, -1, 0), 12),
                        Site("clavicle", (-66, 43.5, 6), (-1, -0.08, 0.4), 6.2)),
    }
    return Body("shoulder", bones, skin, muscle, lung, sites, centre=(-46, -32), field=(205, 205), depth=120)
