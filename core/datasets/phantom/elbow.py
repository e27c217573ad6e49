"""The elbow: humerus with its condyles, ulna with olecranon, radius with head and neck; it bends.

Frame, mm: x towards the thumb side (lateral), y up the arm, z to the front; the origin is the axis of the trochlea.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from core.datasets.phantom.body import Body, Site, View
from core.datasets.phantom.bones import Bone, between, fuse, pebble, shaft
from core.datasets.phantom.solids import Solids, ellipsoid, frame, join, slices, turn

VIEWS = (View("AP", 0, 0, 6), View("lateral", 90, 0, 88), View("oblique", 40, 0, 12))


def _humerus(rng) -> Bone:
    body = shaft("humerus", (0, 165, -5), (0, 14, 2), [(0, 10.6, 3.6), (0.45, 10.4, 3.6), (0.66, 10.8, 3.0), (0.8, 9.6, 2.0), (0.93, 6.0, 1.1), (1, 2.5, 0.8)],
                 closed=(False, True), rng=rng)
    medial = shaft("medial column", (-2, 80, -5), (-20, -3, 4), [(0, 3.0, 1.8), (0.3, 8.6, 2.2), (0.66, 9.8, 1.5), (0.9, 9.0, 0.9), (1, 5.0, 0.7)], flat=0.8, rng=rng)
    lateral = shaft("lateral column", (2, 80, -5), (18, -4, 6), [(0, 3.0, 1.8), (0.3, 8.4, 2.2), (0.66, 9.8, 1.5), (0.9, 9.4, 0.9), (1, 5.0, 0.7)], flat=0.8, rng=rng)
    plate = pebble("between", (-1, 26, 0), (14, 3.0, 22), along=(0, 1, 0.1), cortex=1.2)
    epicondyle = shaft("medial epicondyle", (-14, 34, -3), (-31, 5, -3), [(0, 4, 1.4), (0.5, 6.4, 1.1), (0.85, 6.6, 0.9), (1, 3, 0.8)], flat=0.9, rng=rng)
    bump = shaft("lateral epicondyle", (13, 38, -2), (27, 4, 0), [(0, 4, 1.4), (0.5, 6.0, 1.1), (0.85, 5.4, 0.9), (1, 2.5, 0.8)], flat=0.9, rng=rng)
    spool = shaft("trochlea", (-23, -3.0, 4), (9, 0.5, 5), [(0, 5.5, 0.7), (0.07, 10.8, 0.8), (0.2, 12.4, 0.9), (0.6, 9.4, 1.0), (1, 10.0, 0.8)], across=(0, 1, 0), rng=rng)
    ball = pebble("capitellum", (14.5, 0.0, 7), (11.5, 10.6, 10.6), cortex=0.8, rng=rng)
    return fuse("humerus", body, plate, medial, lateral, epicondyle, bump, spool, ball)


def _ulna(rng) -> Bone:
    body = shaft("ulna", (-3.5, 17.5, -17), (-1, -180, -12),
                 [(0, 4.8, 1.0), (0.02, 7.8, 1.2), (0.08, 10.2, 1.2), (0.15, 9.6, 1.3), (0.26, 8.6, 2.0), (0.42, 7.2, 2.7), (0.7, 6.6, 2.7), (1, 6.2, 2.5)],
                 flat=0.95, closed=(True, False), rng=rng)
    coronoid = shaft("coronoid", (-3.5, -40, -14), (-5.5, -13, 8), [(0, 6, 1.6), (0.4, 10.0, 1.3), (0.75, 10.5, 0.9), (0.93, 7.0, 0.8), (1, 3.0, 0.7)], flat=0.75, rng=rng)
    bone = fuse("ulna", body, coronoid)
    notch = [slices(44, np.array([0.0, 1.0]), np.full(2, r), np.full(1, r), 1.0).moved(frame((-26, 0, 3), (1, 0.03, 0), (0, 1, 0))) for r in (13.2, 14.6)]
    return bone.hollowed(*notch)


def _radius(rng) -> Bone:
    return shaft("radius", (15.5, -13.4, 5), (9, -185, 2),
                 [(0, 10.0, 0.9), (0.028, 11.2, 1.0), (0.062, 10.4, 1.2), (0.10, 7.0, 1.6), (0.15, 6.6, 1.9), (0.22, 8.6, 2.0), (0.30, 7.6, 2.4), (0.5, 6.8, 2.7), (1, 7.0, 2.6)],
                 rng=rng, closed=(True, False))


def _tube(start, end, profile, flat, less, thick) -> Solids:
    at, radius = np.array(profile, float).T
    radius = np.maximum(radius * np.sqrt(thick) - less, 0.1)
    middle = np.sqrt(np.maximum(between(at, radius ** 2), 0.01))
    start, end = np.asarray(start, float), np.asarray(end, float)
    return slices(np.linalg.norm(end - start), at, radius, middle, flat).moved(frame(start, end - start)).overlapping()


def build(rng: np.random.Generator, thick: float, flexion: float) -> Body:
    """An elbow bent by `flexion` degrees (0 is straight)."""
    bend = turn(0, -flexion)
    ulna, radius = _ulna(rng).moved(bend), _radius(rng).moved(bend)
    humerus = _humerus(rng)

    def surface(less):
        arm = _tube((0, 230, 2), (-1, -4, 1), [(0, 48), (0.4, 43), (0.75, 37), (1, 35)], 0.98, less, thick)
        forearm = _tube((1, 4, 1), (2, -220, 2), [(0, 34), (0.12, 38), (0.24, 42), (0.6, 37), (1, 29)], 0.88, less, thick)
        point = ellipsoid((0, 0, -1), np.array([35.5, 33, 33]) * np.sqrt(thick) - less)
        return join(arm, forearm.moved(bend), point)
    skin, muscle = surface(0), surface(5.0 * thick)
    place = lambda point: tuple((bend @ [*point, 1])[:3])
    down = tuple((bend @ [0, -1, 0, 0])[:3])
    fore = ("ulna", "radius")
    sites = {
        "fracture": (Site("humerus", (0, 48, -3), (0, -1, 0), 18, fore), Site("radius", place((15, -31, 5)), down, 7.2, ()),
                     Site("ulna", place((-3.3, -1, -16)), down, 9, ()), Site("ulna", place((-3, -52, -15)), down, 8, ())),
        "lytic lesion": (Site("humerus", (0, 66, -4), (0, -1, 0), 12), Site("humerus", (17, 20, 0), (0.2, -1, 0), 9),
                         Site("ulna", place((-3, -32, -13)), down, 9), Site("radius", place((14.5, -50, 5)), down, 8)),
        "metal plate": (Site("humerus", (8, 46, -2), (0.22, -1, 0.08), 9.5), Site("ulna", place((-3, -42, -15)), down, 8.6),
                        Site("radius", place((13.4, -66, 4)), down, 7.4)),
    }
    bent = np.deg2rad(flexion)
    return Body("elbow", [humerus, ulna, radius], skin, muscle, None, sites,
                centre=(0 + 28 * np.sin(bent), 6 + 14 * np.sin(bent)), field=(112 + 48 * np.sin(bent), 178 - 18 * np.sin(bent)), depth=76)
