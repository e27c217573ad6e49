"""The hand: 27 bones, which are eight of the wrist, five of the palm and fourteen of the fingers, before the ends of the forearm.

The frame is the wrist's, mm: x towards the thumb, y towards the fingers, z towards the palm; the origin is the middle of the
capitate. Lengths of the phalanges are means of 66 adults: A. Buryanov and V. Kotiuk, Proportions of Hand Segments, Int. J.
Morphol. 28(3), 2010, https://doi.org/10.4067/S0717-95022010000300015.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.datasets.phantom.body import Body, Site, View
from core.datasets.phantom.bones import Bone, fuse, pebble, shaft
from core.datasets.phantom.soft_tissue import SoftTissue, skin_and_muscle
from core.datasets.phantom.solids import Solids, ellipsoid, join
from core.datasets.phantom.wrist import RAYS, carpals, direction, metacarpal, radius, ulna

# in the lateral view the fingers are fanned, the index bent most, so that each is seen beside the others
VIEWS = (View("PA", 0, 0, 4), View("oblique", 40, 0, 4), View("lateral", 86, 0, 34))

# length of proximal, middle and distal phalanx, mm; how far the finger leans from its metacarpal to the thumb, in degrees;
# share of the fan's bend; the direction that its palm side faces
DIGITS = {
    1: ((31.6, 21.7), -2, 0.25, (-0.85, 0.30, 0.75)),
    2: ((39.8, 22.4, 15.8), 2, 1.15, (-0.10, 0, 1)),
    3: ((44.6, 26.3, 17.4), 0, 0.72, (0, 0, 1)),
    4: ((41.4, 25.7, 17.3), -2, 0.36, (0.08, 0, 1)),
    5: ((32.7, 18.1, 16.0), -7, 0.0, (0.20, 0, 1)),
}


@dataclass(frozen=True)
class Phalanx:
    """Where a bone of a finger lies: its ends and the direction of its width, (3,) mm; half width of its waist."""

    name: str
    start: np.ndarray
    end: np.ndarray
    across: np.ndarray
    width: float


def digit(number: int, bend: float, also: tuple[float, ...] = (3, 6, 4)) -> list[Phalanx]:
    """The phalanges of a finger, 1 (thumb) to 5, bent by `bend` degrees in all its joints, and by `also` in each of them."""
    lengths, lean, _, palm = DIGITS[number]
    base, head, width, _ = RAYS[f"metacarpal {number}"]
    base, head = np.array(base, float), np.array(head, float)
    along = direction(base, head)
    palm = palm - (along @ palm) * along
    palm /= np.linalg.norm(palm)
    across = np.cross(along, palm)                           # towards the thumb
    lean = np.deg2rad(lean)
    along, across = np.cos(lean) * along + np.sin(lean) * across, np.cos(lean) * across - np.sin(lean) * along
    names = ("proximal", "distal") if number == 1 else ("proximal", "middle", "distal")
    widths = {"proximal": 1.08, "middle": 0.95, "distal": 0.86}                  # relative to the metacarpal
    place, angle, found = head, 0.0, []
    for k, (name, length) in enumerate(zip(names, lengths)):
        angle += np.deg2rad(bend * (1, 0.9, 0.55)[k] + also[k])
        way = np.cos(angle) * along + np.sin(angle) * palm
        start = place + (1.7, 1.1, 1.0)[k] * way             # cartilage of both bones, which no ray can see
        place = start + length * way
        found.append(Phalanx(f"{name} phalanx {number}", start, place, across, width * widths[name]))
    return found


def phalanx(at: Phalanx, rng: np.random.Generator, close: bool = False) -> Bone:
    """A bone of a finger: a wide base, a waist, and a head; the last one ends in a tuft. `close` draws what only a picture of a
    finger shows: the hollow of the base and the two knuckles of the head."""
    w = at.width
    if at.name.startswith("distal"):
        return shaft(at.name, at.start, at.end, [
            (0, 1.48 * w, 0.6), (0.2, 1.14 * w, 1.1), (0.52, 0.74 * w, 1.3), (0.72, 0.82 * w, 1.0), (0.87, 1.06 * w, 0.6),
            (1, 0.45 * w, 0.5),
        ], flat=0.66, across=at.across, rng=rng)
    base = [(0, 1.40 * w, 0.6), (0.06, 1.60 * w, 0.8)] if close else [(0, 1.58 * w, 0.6)]
    body = shaft(at.name, at.start, at.end, [
        *base, (0.22, 1.20 * w, 1.4), (0.52, 0.97 * w, 2.0), (0.79, 1.05 * w, 1.3), (0.93, 1.24 * w, 0.8), (1, 0.95 * w, 0.7),
    ], flat=0.76, across=at.across, rng=rng)
    if not close:
        return body
    along = direction(at.start, at.end)
    knuckles = [pebble("knuckle", at.end - 0.78 * w * along + side * 0.60 * w * at.across, (0.68 * w, 1.0 * w, 0.80 * w),
                       along=along, across=at.across, cortex=0.7) for side in (-1, 1)]
    socket, wide = at.start - 1.05 * w * along, (1.9 * w, 1.5 * w, 1.35 * w)
    return fuse(at.name, body, *knuckles).hollowed(ellipsoid(socket, wide, along, at.across),
                                                   ellipsoid(socket, np.add(wide, 0.8), along, at.across))


def finger_skin(bones: list[Phalanx], thick: float) -> list[Solids]:
    """The soft tissue around each bone of a finger: a tube, round over the joints and at the tip; there is hardly any muscle."""
    found = []
    for k, at in enumerate(bones):
        length, way = np.linalg.norm(at.end - at.start), direction(at.start, at.end)
        first, last = (-12, 7) if k == 0 else (-7, 7 if k < len(bones) - 1 else 4.5)
        r = 2.05 * at.width * (1, 1.06, 1.04)[k]
        inset = 6.5 / (length + last - first)
        part = SoftTissue(thick, 0.0)
        part.tube(at.start + first * way, at.end + last * way,
                  [(0, 0.55 * r), (inset, 0.96 * r), (0.5, r), (1 - inset, 0.97 * r), (1, 0.35 * r)], 0.92)
        found.append(part.solids)
    return found


def palm(part: SoftTissue) -> None:
    """Build the soft tissue of the palm, up to the webs between the fingers, with the ball of the thumb."""
    part.tube((-4, -150, 0), (0, 45, 0), [(0, 32), (0.5, 28), (0.84, 25.5), (1, 4)], 0.72)
    part.tube((-1, -36, 1), (-4.5, 82, 3), [(0, 6), (0.14, 21), (0.32, 28), (0.56, 33), (0.84, 35), (0.95, 28), (1, 14)], 0.42)
    for number in () if part.less else (2, 3, 4, 5):         # between the fingers' roots the skin ends in webs
        base, head = (np.array(end, float) for end in RAYS[f"metacarpal {number}"][:2])
        along = direction(base, head)
        part.tube(head - 34 * along, head + 27 * along + [0, 0, 2],
                  [(0, 4), (0.3, 10.5), (0.76, 13), (1, 5)], 0.88)
    base, head = (np.array(end, float) for end in RAYS["metacarpal 1"][:2])
    along = direction(base, head)
    part.tube(base - 22 * along, head + 14 * along, [(0, 3), (0.2, 12), (0.5, 15.5), (0.85, 12), (1, 6)], 0.9)
    part.ellipsoid((19, 22, 13), (14, 11, 30), along=(0.45, 1, 0.2))


def soft_tissue(digits: list[list[Phalanx]], thick: float) -> tuple[Solids, Solids, dict[str, range]]:
    """Build skin and muscle of a palm with some fingers, and which solids of the skin are around which bone."""
    skin, muscle = skin_and_muscle(palm, thick, fat=3.2)
    parts, around, size = [skin], {}, len(skin)
    for bones in digits:
        for at, tube in zip(bones, finger_skin(bones, thick)):
            parts.append(tube)
            around[at.name] = range(size, size + len(tube))
            size += len(tube)
    return join(*parts), muscle, around


def on_finger(bones: list[Phalanx], k: int, where: float, radius: float) -> Site:
    """A place on phalanx k of a finger, at a fraction of its length, of some half widths; what lies beyond moves with it."""
    at, beyond = bones[k], bones[k + 1:]
    return Site(at.name, tuple(at.start + where * (at.end - at.start)), tuple(direction(at.start, at.end)),
                radius * at.width, tuple(bone.name for bone in beyond), 1.1, 1.8)


def in_palm(number: int, beyond: list[Phalanx], where: float, radius: float) -> Site:
    """Return a place on a metacarpal, likewise."""
    base, head, width, _ = RAYS[f"metacarpal {number}"]
    base, head = np.array(base, float), np.array(head, float)
    return Site(f"metacarpal {number}", tuple(base + where * (head - base)), tuple(direction(base, head)), radius * width,
                tuple(bone.name for bone in beyond), 0.8, 1.6)


def build(rng: np.random.Generator, thick: float, flexion: float) -> Body:
    """Build a hand with its fingers bent and fanned by `flexion` degrees; `thick` scales the soft tissue."""
    digits = {number: digit(number, flexion * DIGITS[number][2]) for number in DIGITS}
    bones = [radius(rng), ulna(rng), *carpals(rng, 1.5 + 0.4 * rng.random())]
    for number, parts in digits.items():
        bones += [metacarpal(f"metacarpal {number}", rng), *(phalanx(at, rng) for at in parts)]
    skin, muscle, around = soft_tissue(list(digits.values()), thick)

    def on(number: int, k: int, where: float, radius: float) -> Site:
        return on_finger(digits[number], k, where, radius)

    def ray(number: int, where: float, radius: float) -> Site:
        return in_palm(number, digits[number], where, radius)
    sites = {
        "fracture": (ray(5, 0.80, 1.3), ray(4, 0.5, 1.05), ray(2, 0.62, 1.1), on(5, 0, 0.3, 1.2), on(3, 0, 0.45, 1.1),
                     on(2, 1, 0.5, 1.0)),
        "lytic lesion": (ray(3, 0.82, 1.4), ray(2, 0.4, 1.2), ray(5, 0.5, 1.3), on(3, 0, 0.3, 1.4), on(4, 0, 0.6, 1.3),
                         on(2, 0, 0.2, 1.5)),
        "metal plate": (ray(4, 0.5, 1.05), ray(3, 0.5, 1.05), ray(2, 0.48, 1.05), ray(5, 0.5, 1.05), on(3, 0, 0.5, 1.1)),
    }
    bent = np.sin(np.deg2rad(flexion))
    return Body("hand", bones, skin, muscle, None, sites, centre=(4, 64, 24 * bent), field=(142 + 22 * bent, 232), around=around)
