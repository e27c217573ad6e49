"""The forearm: radius and ulna in their whole length, between the lower end of the humerus and the bones of the wrist.

Frame, mm: x towards the thumb side (lateral), y towards the elbow, z to the front (the palm); the origin is half way down.
The two ends are those of the elbow and of the wrist (elbow.py, wrist.py); between them the bones are as long as in an average
adult, the radius 24 and the ulna 26 cm (M. Trotter and G. C. Gleser, Am. J. Phys. Anthropol. 10, 1952,
https://doi.org/10.1002/ajpa.1330100407), and the radius bows outwards by a tenth of the way between its ends.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from core.datasets.phantom import elbow, wrist
from core.datasets.phantom.body import Body, Site, View
from core.datasets.phantom.bones import Bone, fuse, pebble, shaft
from core.datasets.phantom.soft_tissue import SoftTissue, skin_and_muscle
from core.datasets.phantom.solids import ellipsoid, scale, shift, turn

VIEWS = (View("AP", 0, 0, 5), View("lateral", 88, 0, 86))

ELBOW, WRIST = (0, 122, 0), (9, -138, 4)                     # the axis of the trochlea, and the middle of the capitate
_FROM_ELBOW = shift(*ELBOW)
_FROM_WRIST = shift(*WRIST) @ scale(1, -1, 1)                # the wrist's frame points to the fingers, this one to the elbow


def _radius(rng: np.random.Generator) -> Bone:
    body = shaft("radius", (15.5, 108.6, 5), (17, -125.5, 3), [
        (0, 10.0, 0.9), (0.023, 11.2, 1.0), (0.05, 10.4, 1.2), (0.085, 7.0, 1.6), (0.12, 6.8, 1.9), (0.175, 8.4, 2.1, -0.6),
        (0.26, 7.2, 2.5, 1.0), (0.42, 7.3, 2.9, 4.2), (0.58, 7.4, 2.9, 5.0), (0.76, 7.6, 2.6, 3.6), (0.87, 9.8, 1.8, 1.6),
        (0.95, 14.4, 1.1, 0.2), (1.0, 16.4, 0.9, -1.2),
    ], flat=0.86, closed=(True, False), rng=rng)
    normal = np.array([-0.40, -0.90, 0.16]) / np.linalg.norm([-0.40, -0.90, 0.16])          # the joint slopes as in wrist.py
    surface = np.array([*normal, -normal @ (13, -119, 3)])
    body = replace(body, outer=body.outer.cut(surface), inner=body.inner.cut(surface + [0, 0, 0, 1.3]))
    tuberosity = pebble("tuberosity", (9.4, 77, 3), (3.4, 5.6, 10), along=(0.03, 1, 0), cortex=1.4, rng=rng)
    styloid = pebble("styloid", (26.8, -119, 3), (5.4, 6.2, 8.5), along=(0.1, -1, 0), cortex=1.0)
    bone = fuse("radius", body, tuberosity, styloid)
    for centre, half in (((20.5, -128, 4), (12.5, 12, 9.5)), ((6.5, -123.4, 4), (9.5, 12, 8.0))):      # scaphoid, lunate
        bone = bone.hollowed(ellipsoid(centre, half, along=(-0.2, -1, 0)),
                             ellipsoid(centre, np.add(half, 1.3), along=(-0.2, -1, 0)))
    return bone


def _ulna(rng: np.random.Generator) -> Bone:
    body = shaft("ulna", (-3.5, 139.5, -17), (-8.5, -113.2, 1), [
        (0, 4.8, 1.0), (0.016, 7.8, 1.2), (0.06, 10.2, 1.2), (0.115, 9.6, 1.3), (0.20, 8.6, 2.0), (0.34, 7.4, 2.8, -1.0),
        (0.52, 6.9, 2.9, -1.6), (0.70, 6.3, 2.7, -0.8), (0.86, 5.6, 2.1), (0.94, 6.6, 1.2), (0.982, 7.9, 0.9), (0.994, 7.0, 0.8),
        (1, 5.4, 0.7),
    ], flat=0.95, rng=rng)
    coronoid = shaft("coronoid", (-3.5, 82, -14), (-5.5, 109, 8), [
        (0, 6, 1.6), (0.4, 10.0, 1.3), (0.75, 10.5, 0.9), (0.93, 7.0, 0.8), (1, 3.0, 0.7),
    ], flat=0.75, rng=rng)
    styloid = pebble("styloid", (-13.4, -113.5, -1), (2.4, 2.5, 6.4), along=(-0.15, -1, 0), cortex=0.8)
    notch, rim = (solids.moved(_FROM_ELBOW) for solids in elbow.notch())
    return fuse("ulna", body, coronoid, styloid).hollowed(notch, rim)


def _metacarpal(name: str) -> Bone:
    """What of a metacarpal lies inside the field."""
    base, head, width, _ = wrist.RAYS[name]
    end = np.array(base) + 0.6 * np.subtract(head, base)
    return shaft(name, base, end, [(0, 1.35 * width, 0.6), (0.25, 1.38 * width, 1.2), (1, 0.96 * width, 2.1)],
                 closed=(True, False))


def build(rng: np.random.Generator, thick: float, flexion: float) -> Body:
    """Build a forearm on an elbow bent by `flexion` degrees (0 is straight); `thick` scales the soft tissue."""
    bend = _FROM_ELBOW @ turn(0, flexion)                    # the upper arm bends, the forearm stays
    bones = [_radius(rng), _ulna(rng), elbow.humerus(rng).moved(bend)]
    hand = [*wrist.carpals(rng, 1.5 + 0.4 * rng.random()), *(_metacarpal(name) for name in wrist.RAYS)]
    bones += [bone.moved(_FROM_WRIST) for bone in hand]

    def soft_tissue(part: SoftTissue) -> None:
        part.tube((0, 0, 2), (-1, 226, 2), [(0, 20), (0.1, 38), (0.5, 42), (1, 48)], 0.98,
                  turned=bend @ shift(0, -4, 0))
        part.tube((1, 142, -3), (8, -156, 4), [
            (0, 24), (0.07, 36), (0.17, 43), (0.32, 43), (0.52, 37), (0.74, 29), (0.88, 26.5), (0.95, 26), (1, 17)], 0.84)
        part.ellipsoid((0, 122, -1), (35.5, 33, 33), along=(0, 0, 1))
        part.tube((9, -128, 3), (8, -250, 2), [(0, 12), (0.15, 28), (0.4, 36), (0.75, 42), (1, 36)], 0.42)
        part.tube((24, -135, 8), (58, -205, 28), [(0, 6), (0.3, 15), (1, 12)], 0.9)

    skin, muscle = skin_and_muscle(soft_tissue, thick, fat=4.2)
    down, carried = (0.02, -1, 0), tuple(bone.name for bone in hand)
    sites = {
        "fracture": (Site("radius", (21.0, -20, 4), down, 7.4, carried, 0.16),
                     Site("radius", (20, -78, 3.3), down, 8, carried, 0.4),
                     Site("ulna", (-7.5, 10, -7), down, 7, (), 0.16), Site("ulna", (-7.8, -55, -3), down, 6.3, (), 0.35),
                     Site("ulna", (-6, 62, -11), down, 7.6, (), 0.1)),
        "lytic lesion": (Site("radius", (20.8, 0, 4), down, 7.6), Site("radius", (18.5, -103, 3), down, 11),
                         Site("radius", (16, 74, 5), down, 8), Site("ulna", (-7.3, 20, -8), down, 7.2),
                         Site("ulna", (-4.5, 90, -14), down, 9), Site("ulna", (-8, -80, -1), down, 6)),
        "metal plate": (Site("radius", (21.0, -22, 4), down, 7.4), Site("radius", (19.5, 38, 4.5), down, 7.2),
                        Site("ulna", (-7.6, 2, -7), down, 6.9), Site("ulna", (-7.8, -50, -3), down, 6.4)),
    }
    bent = np.sin(np.deg2rad(flexion))                       # a little of the upper arm is seen where it goes forward
    return Body("forearm", bones, skin, muscle, None, sites, centre=(4, 0, 12 * bent), field=(124 + 22 * bent, 326), spacing=1.8)
