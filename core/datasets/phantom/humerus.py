"""The humerus in its whole length, with the shoulder above it and the elbow below.

Frame, mm: x away from the body (lateral), y up, z to the front; the origin is half way down the arm. The ends are those of the
shoulder and of the elbow (shoulder.py, elbow.py); between them the bone is 31 cm long, as in an average adult (F. D. Akman,
P. Karakas and M. G. Bozkir, The Morphometric Measurements of Humerus Segments, Turk. J. Med. Sci. 36, 2006, 81-85).
"""

from __future__ import annotations

import numpy as np

from core.datasets.phantom import elbow, shoulder
from core.datasets.phantom.body import Body, Site, View
from core.datasets.phantom.bones import Bone, fuse, shaft
from core.datasets.phantom.soft_tissue import SoftTissue, skin_and_muscle
from core.datasets.phantom.solids import join, shift, turn

VIEWS = (View("AP", 0, 0, 4), View("lateral", 86, 0, 86))

SHOULDER, ELBOW = (0, 133, 0), (8, -141, 0)                  # the middle of the head, and the axis of the trochlea
_FROM_ELBOW = shift(*ELBOW)


def _humerus(rng: np.random.Generator) -> Bone:
    body = shaft("humerus", (5, 145, 0), (8, -127, 2), [
        (0, 19, 1.2), (0.05, 21.0, 1.4), (0.12, 16.6, 2.0), (0.21, 13.4, 3.2), (0.34, 11.8, 4.0), (0.45, 12.2, 4.3),
        (0.60, 11.0, 4.3), (0.75, 10.4, 3.8), (0.86, 10.8, 3.0), (0.92, 9.6, 2.0), (0.97, 6.0, 1.1), (1, 2.5, 0.8),
    ], closed=(True, True), rng=rng)
    above = [bone.moved(shift(*SHOULDER)) for bone in shoulder.upper_end(rng)]
    below = [bone.moved(_FROM_ELBOW) for bone in elbow.condyles(rng)]
    return fuse("humerus", body, *above, *below)


def build(rng: np.random.Generator, thick: float, flexion: float) -> Body:
    """Build an arm whose elbow is bent by `flexion` degrees, and which is then raised sideways as far, so that the trunk does not
    stand before it from the side; `thick` scales the soft tissue."""
    bend = _FROM_ELBOW @ turn(0, -flexion)
    raised = shift(*SHOULDER) @ turn(2, -8 - flexion)        # the trunk turns about the joint, the arm stays
    short = np.array([0, -1, 0, -115])                       # the forearm goes on outside the field
    bones = [_humerus(rng), elbow.ulna(rng).cut(short).moved(bend), elbow.radius(rng).cut(short).moved(bend)]
    bones += [shoulder.scapula(rng).moved(raised), shoulder.clavicle(5).moved(raised)]

    def soft_tissue(part: SoftTissue) -> None:
        part.tube((7, -158, 1), (0, 128, 0), [
            (0, 20), (0.05, 34), (0.14, 38), (0.3, 43), (0.5, 47), (0.7, 51), (0.84, 52.5), (0.94, 50), (1, 42)], 1.0)
        part.ellipsoid((8, -141, -1), (41, 37, 37), along=(0, 0, 1))
        part.tube((1, 4, 1), (2, -190, 2), [(0, 34), (0.14, 38), (0.28, 42), (0.7, 37), (1, 30)], 0.88, turned=bend)
        part.ellipsoid((-4, 118, -2), (51, 53, 53), along=(-0.1, 1, 0))                      # deltoid

    def trunk(part: SoftTissue) -> None:
        part.ellipsoid((-185, -120, -15), (150, 98, 250))
        part.ellipsoid((-95, 26, -22), (105, 46, 40), along=(0.32, 1, 0))
        part.ellipsoid((-175, 90, -20), (62, 58, 130))
        part.ellipsoid((-38, 28, -10), (68, 50, 28))                                         # over collar bone and acromion

    arm, rest = skin_and_muscle(soft_tissue, thick, fat=5.5), skin_and_muscle(trunk, thick, fat=6.0)
    skin, muscle = (join(one, other.moved(raised).overlapping()) for one, other in zip(arm, rest))
    down, carried = (0.02, -1, 0), ("ulna", "radius")
    sites = {
        "fracture": (Site("humerus", (5.6, 90, 0), down, 16, carried, 0.08),
                     Site("humerus", (6.2, 32, 0), down, 12, carried, 0.12),
                     Site("humerus", (6.8, -20, 1), down, 11, carried, 0.18),
                     Site("humerus", (7.4, -66, 1), down, 10.6, carried, 0.3)),
        "lytic lesion": (Site("humerus", (1, 130, 0), down, 19), Site("humerus", (5.8, 78, 0), down, 13.5),
                         Site("humerus", (6.2, 30, 0), down, 12), Site("humerus", (6.8, -24, 1), down, 11),
                         Site("humerus", (7.5, -74, 1), down, 11)),
        "metal plate": (Site("humerus", (6.2, 36, 0), down, 12), Site("humerus", (6.7, -10, 1), down, 11.2),
                        Site("humerus", (5.8, 84, 0), down, 14), Site("humerus", (7.2, -50, 1), down, 10.6)),
    }
    bent = np.sin(np.deg2rad(flexion))                       # the bent forearm goes to the front
    return Body("humerus", bones, skin, muscle, None, sites, centre=(-8, -6, 14 * bent), field=(156 + 8 * bent, 374), spacing=1.8)
