"""The wrist: radius and ulna, eight carpal bones in two rows, five rays of the hand.

Frame, mm: x towards the thumb, y towards the fingers, z towards the palm; the origin is the middle of the capitate.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from core.datasets.phantom.body import Body, Site, View
from core.datasets.phantom.bones import Bone, fuse, pebble, shaft
from core.datasets.phantom.soft_tissue import SoftTissue, skin_and_muscle
from core.datasets.phantom.solids import ellipsoid

VIEWS = (View("PA", 0, 0), View("lateral", 88, 0), View("oblique", 42, 0))

# base, head (x, y, z), half width of shaft, length of proximal and middle phalanx
RAYS = {
    "metacarpal 1": ((22.5, 10.5, 7), (41, 46, 20), 4.7, (31, 24)),
    "metacarpal 2": ((10.5, 14, -1), (19.5, 77, -2), 4.0, (41, 24)),
    "metacarpal 3": ((0.8, 14.5, -1), (2.5, 76, -2), 4.1, (45, 29)),
    "metacarpal 4": ((-8.2, 13, 0), (-14, 68, 0), 3.5, (42, 27)),
    "metacarpal 5": ((-15.8, 11, 2), (-28, 60, 3), 3.6, (33, 19)),
}


def radius(rng: np.random.Generator) -> Bone:
    body = shaft("radius", (8.5, -125, -1), (8, -12.5, -1), [
        (0, 7.0, 2.6), (0.45, 7.2, 2.7, 0.6), (0.66, 8.6, 2.2, 0.6), (0.79, 11.8, 1.5, 0), (0.90, 15.0, 1.1, -1.2),
        (1.0, 16.4, 0.9, -2.2),
    ], flat=0.74, closed=(False, True), rng=rng)
    # the joint surface slopes by 23 degrees towards the ulna and 10 degrees towards the palm
    normal = np.array([-0.40, 0.90, 0.16]) / np.linalg.norm([-0.40, 0.90, 0.16])
    surface = np.array([*normal, -normal @ (4.0, -19.0, -1)])
    body = replace(body, outer=body.outer.cut(surface), inner=body.inner.cut(surface + [0, 0, 0, 1.3]))
    styloid = pebble("styloid", (17.8, -19, -1), (5.4, 6.2, 8.5), along=(0.1, 1, 0), cortex=1.0)
    bone = fuse("radius", body, styloid)
    for centre, half in (((11.5, -10.0, 0), (12.5, 12, 9.5)), ((-2.5, -14.6, 0), (9.5, 12, 8.0))):     # for scaphoid and lunate
        bone = bone.hollowed(ellipsoid(centre, half, along=(-0.2, 1, 0)),
                             ellipsoid(centre, np.add(half, 1.3), along=(-0.2, 1, 0)))
    return bone


def ulna(rng: np.random.Generator) -> Bone:
    body = shaft("ulna", (-16.5, -125, -3), (-17.5, -24.8, -3), [
        (0, 6.3, 2.4), (0.5, 6.0, 2.4), (0.74, 5.6, 2.0), (0.88, 6.6, 1.2), (0.955, 7.9, 0.9), (0.985, 7.0, 0.8), (1.0, 5.4, 0.7),
    ], flat=0.95, closed=(False, True), rng=rng)
    styloid = pebble("styloid", (-22.4, -24.5, -5), (2.4, 2.5, 6.4), along=(-0.15, 1, 0), cortex=0.8)
    return fuse("ulna", body, styloid)


# carpal bones: middle, half axes (across, depth, along), long axis. They are drawn too large, then faceted by their neighbours
_CARPALS = {
    "scaphoid": ((11.4, -8.4, 1), (6.9, 8.0, 12.6), (0.72, 0.72, 0.15)),
    "lunate": ((-2.4, -13.4, 0), (8.2, 9.0, 7.0), (0, 1, 0)),
    "triquetrum": ((-13.8, -8.8, -3), (7.2, 7.4, 8.6), (-0.8, 0.6, 0)),
    "capitate": ((-0.3, 1.2, -1), (7.2, 9.4, 13.4), (0.03, 1, 0)),
    "hamate": ((-10.6, 3.8, -1), (8.2, 8.4, 10.4), (0.25, 1, 0)),
    "trapezoid": ((9.2, 6.6, -2), (6.0, 7.4, 7.6), (0.1, 1, 0)),
    "trapezium": ((17.8, 4.6, 4), (7.4, 7.6, 8.6), (-0.6, 1, 0)),
}
# neighbours, a point (x, y) of the joint between them, and the direction (x, y, z) from the first to the second;
# a bone beside itself has a flat end there
_JOINTS = [
    ("scaphoid", "lunate", (4.4, -13.6), (-1, -0.12, 0.25)), ("lunate", "triquetrum", (-9.0, -11.6), (-1, 0.28, 0.3)),
    ("capitate", "hamate", (-5.9, 2.5), (-1, 0.12, 0.25)), ("capitate", "trapezoid", (5.3, 6.5), (1, 0.0, 0.35)),
    ("trapezoid", "trapezium", (12.8, 5.6), (1, -0.1, 0.5)), ("scaphoid", "trapezium", (16.4, -1.6), (0.45, 1, 0.2)),
    ("scaphoid", "trapezoid", (11.0, 0.2), (-0.15, 1, 0.2)), ("scaphoid", "capitate", (6.1, -4.4), (-1, 0.55, 0.1)),
    ("triquetrum", "hamate", (-12.3, -4.2), (0.35, 1, 0.3)), ("capitate", "capitate", (0.5, 12.2), (0.05, 1, 0.1)),
    ("hamate", "hamate", (-11.5, 9.9), (-0.1, 1, 0.15)), ("trapezoid", "trapezoid", (9.4, 12.0), (0.15, 1, -0.1)),
]
_HEAD = ((-1.2, -2.2, 0), (6.6, 8.4, 7.8))                   # the head of the capitate, on which lunate and scaphoid ride


def carpals(rng, gap: float) -> list[Bone]:
    """Build eight pebbles with flat facets where two of them meet, `gap` mm apart."""
    bones = {name: pebble(name, centre, half, along=along, cortex=0.75, rng=rng)
             for name, (centre, half, along) in _CARPALS.items()}
    for one, other, point, towards in _JOINTS:
        normal = np.array(towards, float) / np.linalg.norm(towards)
        at = normal[:2] @ point
        for name, sign in {one: 1, other: -1}.items() if one != other else [(one, 1)]:
            outer = np.array([*(sign * normal), -sign * at + gap / 2])
            bone = bones[name]
            bones[name] = replace(bone, outer=bone.outer.cut(outer), inner=bone.inner.cut(outer + [0, 0, 0, 0.7]))
    centre, half = _HEAD
    bones["lunate"] = bones["lunate"].hollowed(ellipsoid(centre, np.add(half, gap)), ellipsoid(centre, np.add(half, gap + 1)))
    hook = pebble("hook", (-9.8, 3.4, 9), (2.6, 5.4, 3.6), along=(0, 1, 0), cortex=0.75)
    bones["hamate"] = fuse("hamate", bones["hamate"], hook)
    pisiform = pebble("pisiform", (-15.6, -8.2, 10), (4.4, 4.2, 5.2), along=(0.1, 1, 0), cortex=0.7, rng=rng)
    return [*bones.values(), pisiform]


def metacarpal(name: str, rng: np.random.Generator) -> Bone:
    """Build one of the five bones of the palm."""
    base, head, width, _ = RAYS[name]
    return shaft(name, base, head, [
        (0, 1.35 * width, 0.6), (0.14, 1.38 * width, 1.2), (0.45, 0.94 * width, 2.1), (0.78, 1.26 * width, 1.2),
        (0.92, 1.62 * width, 0.8), (1, 0.6 * width, 0.8),
    ], flat=0.85 if name.endswith("1") else 0.98, rng=rng)


def _ray(name: str, rng: np.random.Generator) -> list[Bone]:
    """A metacarpal and the phalanx beyond it (the thumb shows both of its own): the field ends there."""
    base, head, width, lengths = RAYS[name]
    base, head = np.array(base, float), np.array(head, float)
    thumb = name.endswith("1")
    bones = [metacarpal(name, rng)]
    along, place = direction(base, head), head
    for part, length, w in zip(("proximal", "distal")[:2 if thumb else 1], lengths, (0.98 * width, 0.84 * width)):
        along = direction(0, along + [0, 0, 0.2])           # relaxed fingers bend a little at each joint
        place = place + 1.4 * along
        bones.append(shaft(f"{part} phalanx {name[-1]}", place, place + length * along, [
            (0, 1.45 * w, 0.7), (0.1, 1.55 * w, 0.9), (0.5, 0.95 * w, 2.0), (0.88, 1.25 * w, 0.9), (1, 0.9 * w, 0.7),
        ], flat=0.8, rng=rng))
        place = place + length * along
    return bones


def direction(start, end) -> np.ndarray:
    return (end - start) / np.linalg.norm(end - start)


def _soft_tissue(part: SoftTissue) -> None:
    part.tube((-4, -225, 0), (0, 45, 0), [(0, 36), (0.4, 33), (0.72, 28), (0.88, 25.5), (1, 4)], 0.72)
    part.tube((-3, -36, 1), (-3, 96, 3), [(0, 6), (0.12, 21), (0.28, 29.5), (0.5, 38), (0.78, 43.5), (0.93, 33), (1, 8)], 0.42)
    for name, (base, head, _, (length, _)) in RAYS.items():
        base, head = np.array(base, float), np.array(head, float)
        along = direction(base, head)
        if name.endswith("1"):
            part.tube(base - 22 * along, head + 66 * along, [(0, 3), (0.12, 12), (0.3, 16), (0.6, 12.5), (1, 9)], 0.9)
        elif not part.less:                                  # what muscle there is in fingers makes no difference
            part.tube(head - 30 * along, head + 1.8 * (length + 20) * (along + [0, 0, 0.28]), [(0, 2), (0.18, 9.4), (1, 9)], 0.9)
    part.ellipsoid((19, 22, 13), (14, 11, 30), along=(0.45, 1, 0.2))


def build(rng: np.random.Generator, thick: float, flexion: float) -> Body:
    """Build a wrist; `thick` scales the soft tissue. `flexion` is not used: the hand lies flat."""
    gap = 1.5 + 0.4 * rng.random()                           # mm of cartilage, which no ray can see
    bones = [radius(rng), ulna(rng), *carpals(rng, gap)]
    for name in RAYS:
        bones += _ray(name, rng)
    skin, muscle = skin_and_muscle(_soft_tissue, thick, fat=3.2)
    hand = tuple(bone.name for bone in bones[2:])
    sites = {
        "fracture": (Site("radius", (6.5, -36, -1), (0, 1, 0), 12, hand), Site("radius", (6.5, -33, -1), (0, 1, 0), 13, hand),
                     Site("metacarpal 5", (-25, 50, 3), (-0.24, 1, 0), 4.5, ("proximal phalanx 5",)),
                     Site("scaphoid", (11.8, -8, 1), (0.8, 0.8, 0.2), 6.5)),
        "lytic lesion": (Site("radius", (6, -30, -1), (0, 1, 0), 12), Site("radius", (7.5, -46, -1), (0, 1, 0), 8.5),
                         Site("ulna", (-17.3, -32, -3), (0, 1, 0), 6.5), Site("capitate", (0, 3, -1), (0, 1, 0), 6),
                         Site("metacarpal 3", (2, 66, -2), (0, 1, 0), 5.5),
                         Site("metacarpal 2", (13, 30, -1), (0.13, 1, 0), 4.5)),
        "metal plate": (Site("radius", (7.5, -47, -1), (0, 1, 0), 8.5), Site("ulna", (-17, -58, -3), (0, 1, 0), 5.8),
                        Site("metacarpal 4", (-11, 40, 0), (-0.1, 1, 0), 3.6)),
    }
    return Body("wrist", bones, skin, muscle, None, sites, centre=(2, 4, 0), field=(104, 158))
