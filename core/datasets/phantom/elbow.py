"""The elbow: humerus with its condyles, ulna with olecranon, radius with head and neck; it bends.

Frame, mm: x towards the thumb side (lateral), y up the arm, z to the front; the origin is the axis of the trochlea.
"""

from __future__ import annotations

import numpy as np

from core.datasets.phantom.body import Body, Site, View
from core.datasets.phantom.bones import Bone, fuse, pebble, shaft
from core.datasets.phantom.soft_tissue import SoftTissue, skin_and_muscle
from core.datasets.phantom.solids import Solids, frame, slices, turn

VIEWS = (View("AP", 0, 0, 6), View("lateral", 90, 0, 88), View("oblique", 40, 0, 12))


def humerus(rng: np.random.Generator) -> Bone:
    body = shaft("shaft", (0, 165, -5), (0, 14, 2), [
        (0, 10.6, 3.6), (0.45, 10.4, 3.6), (0.66, 10.8, 3.0), (0.8, 9.6, 2.0), (0.93, 6.0, 1.1), (1, 2.5, 0.8),
    ], closed=(False, True), rng=rng)
    return fuse("humerus", body, *condyles(rng))


def condyles(rng: np.random.Generator) -> list[Bone]:
    """The shaft forks into two columns with a thin plate between them; they carry the spool and the ball of the joint."""
    medial = shaft("medial column", (-2, 80, -5), (-20, -3, 4), [
        (0, 3.0, 1.8), (0.3, 8.6, 2.2), (0.66, 9.8, 1.5), (0.9, 9.0, 0.9), (1, 5.0, 0.7),
    ], flat=0.8, rng=rng)
    lateral = shaft("lateral column", (2, 80, -5), (18, -4, 6), [
        (0, 3.0, 1.8), (0.3, 8.4, 2.2), (0.66, 9.8, 1.5), (0.9, 9.4, 0.9), (1, 5.0, 0.7),
    ], flat=0.8, rng=rng)
    plate = pebble("floor of the fossa", (-1, 26, 0), (14, 3.0, 22), along=(0, 1, 0.1), cortex=1.2)
    inner = shaft("medial epicondyle", (-14, 34, -3), (-31, 5, -3), [
        (0, 4, 1.4), (0.5, 6.4, 1.1), (0.85, 6.6, 0.9), (1, 3, 0.8),
    ], flat=0.9, rng=rng)
    outer = shaft("lateral epicondyle", (13, 38, -2), (27, 4, 0), [
        (0, 4, 1.4), (0.5, 6.0, 1.1), (0.85, 5.4, 0.9), (1, 2.5, 0.8),
    ], flat=0.9, rng=rng)
    spool = shaft("trochlea", (-23, -3.0, 4), (9, 0.5, 5), [
        (0, 5.5, 0.7), (0.07, 10.8, 0.8), (0.2, 12.4, 0.9), (0.6, 9.4, 1.0), (1, 10.0, 0.8),
    ], across=(0, 1, 0), rng=rng)
    ball = pebble("capitellum", (14.5, 0.0, 7), (11.5, 10.6, 10.6), cortex=0.8, rng=rng)
    return [plate, medial, lateral, inner, outer, spool, ball]


def ulna(rng: np.random.Generator) -> Bone:
    """From the olecranon down; the notch that holds the trochlea is hollowed out, with a rim of cortex."""
    body = shaft("ulna", (-3.5, 17.5, -17), (-1, -180, -12), [
        (0, 4.8, 1.0), (0.02, 7.8, 1.2), (0.08, 10.2, 1.2), (0.15, 9.6, 1.3), (0.26, 8.6, 2.0), (0.42, 7.2, 2.7),
        (0.7, 6.6, 2.7), (1, 6.2, 2.5),
    ], flat=0.95, closed=(True, False), rng=rng)
    coronoid = shaft("coronoid", (-3.5, -40, -14), (-5.5, -13, 8), [
        (0, 6, 1.6), (0.4, 10.0, 1.3), (0.75, 10.5, 0.9), (0.93, 7.0, 0.8), (1, 3.0, 0.7),
    ], flat=0.75, rng=rng)
    return fuse("ulna", body, coronoid).hollowed(*notch())


def notch() -> tuple[Solids, Solids]:
    """Build the room for the trochlea in the ulna, and the same room with its rim of cortex."""
    across = frame((-26, 0, 3), (1, 0.03, 0), (0, 1, 0))
    room, rim = (slices(44, np.array([0.0, 1.0]), np.full(2, r), np.full(1, r), 1.0).moved(across) for r in (13.2, 14.6))
    return room, rim


def radius(rng: np.random.Generator) -> Bone:
    return shaft("radius", (15.5, -13.4, 5), (9, -185, 2), [
        (0, 10.0, 0.9), (0.028, 11.2, 1.0), (0.062, 10.4, 1.2), (0.10, 7.0, 1.6), (0.15, 6.6, 1.9), (0.22, 8.6, 2.0),
        (0.30, 7.6, 2.4), (0.5, 6.8, 2.7), (1, 7.0, 2.6),
    ], closed=(True, False), rng=rng)


def build(rng: np.random.Generator, thick: float, flexion: float) -> Body:
    """Build an elbow bent by `flexion` degrees (0 is straight); `thick` scales the soft tissue."""
    bend = turn(0, -flexion)

    def soft_tissue(part: SoftTissue) -> None:
        part.tube((0, 230, 2), (-1, -4, 1), [(0, 48), (0.4, 43), (0.75, 37), (1, 35)], 0.98)
        part.tube((1, 4, 1), (2, -220, 2), [(0, 34), (0.12, 38), (0.24, 42), (0.6, 37), (1, 29)], 0.88, turned=bend)
        part.ellipsoid((0, 0, -1), (35.5, 33, 33), along=(0, 0, 1))

    def at(x: float, y: float, z: float) -> tuple:
        return tuple((bend @ [x, y, z, 1])[:3])

    bones = [humerus(rng), ulna(rng).moved(bend), radius(rng).moved(bend)]
    skin, muscle = skin_and_muscle(soft_tissue, thick, fat=5.0)
    down, forearm = tuple((bend @ [0, -1, 0, 0])[:3]), ("ulna", "radius")
    sites = {
        "fracture": (Site("humerus", (0, 48, -3), (0, -1, 0), 18, forearm), Site("radius", at(15, -31, 5), down, 7.2),
                     Site("ulna", at(-3.3, -1, -16), down, 9), Site("ulna", at(-3, -52, -15), down, 8)),
        "lytic lesion": (Site("humerus", (0, 66, -4), (0, -1, 0), 12), Site("humerus", (17, 20, 0), (0.2, -1, 0), 9),
                         Site("ulna", at(-3, -32, -13), down, 9), Site("radius", at(14.5, -50, 5), down, 8)),
        "metal plate": (Site("humerus", (8, 46, -2), (0.22, -1, 0.08), 9.5), Site("ulna", at(-3, -42, -15), down, 8.6),
                        Site("radius", at(13.4, -66, 4), down, 7.4)),
    }
    bent = np.sin(np.deg2rad(flexion))                       # a bent elbow needs a wider field, aimed further forward
    return Body("elbow", bones, skin, muscle, None, sites,
                centre=(0, 6 - 2 * bent, 30 * bent), field=(112 + 48 * bent, 178 - 18 * bent))
