"""A finger, or two beside each other: three phalanges on the head of their metacarpal, seen closely.

The bones are those of the hand (hand.py), turned so that the finger stands upright. Frame, mm: x towards the thumb, y towards
the tip, z towards the palm; the origin is the base of the proximal phalanx.
"""

from __future__ import annotations

import numpy as np

from core.datasets.phantom.body import Body, Site, View
from core.datasets.phantom.hand import digit, on_finger, phalanx, soft_tissue
from core.datasets.phantom.wrist import direction, metacarpal

VIEWS = (View("PA", 0, 0, 2), View("lateral", 86, 0, 14), View("oblique", 45, 0, 2))
# degrees by which the joints of the other fingers are bent, out of the way, when one is seen from the side
FOLDED = 66


def build(rng: np.random.Generator, thick: float, flexion: float) -> Body:
    """Build a finger bent by `flexion` degrees in each joint; `thick` scales the soft tissue."""
    number = int(rng.integers(2, 6))                         # index to little finger
    others = [n for n in (2, 3, 4, 5) if n != number]
    beside, wide = number + int(rng.choice([n - number for n in others if abs(n - number) == 1])), rng.random() < 0.5
    digits = {number: digit(number, flexion)} | {n: digit(n, FOLDED if flexion > 10 else flexion) for n in others}
    bones = []
    for n, parts in digits.items():
        bones += [metacarpal(f"metacarpal {n}", rng), *(phalanx(at, rng, close=n == number) for at in parts)]
    skin, muscle, around = soft_tissue(list(digits.values()), thick)

    mine = digits[number]                                    # stand it upright
    start, tip, across = mine[0].start, mine[-1].end, mine[0].across
    along = direction(start, tip)
    turned = np.eye(4)
    turned[:3, :3] = across, along, np.cross(across, along)
    turned[:3, 3] = -turned[:3, :3] @ start

    def placed(site: Site) -> Site:
        return Site(site.bone, tuple((turned @ [*site.point, 1])[:3]), tuple(turned[:3, :3] @ site.along), site.radius,
                    site.carries, site.sway, site.slip)
    sites = {
        "fracture": (on_finger(mine, 0, 0.28, 1.2), on_finger(mine, 0, 0.55, 1.0), on_finger(mine, 1, 0.5, 1.0),
                     on_finger(mine, 2, 0.45, 0.9)),
        "lytic lesion": (on_finger(mine, 0, 0.25, 1.3), on_finger(mine, 0, 0.6, 1.15), on_finger(mine, 1, 0.3, 1.3),
                         on_finger(mine, 2, 0.3, 1.1)),
        "metal plate": (on_finger(mine, 0, 0.5, 1.1), on_finger(mine, 0, 0.42, 1.1), on_finger(mine, 1, 0.5, 1.1)),
    }
    foot, top = -17, np.linalg.norm(tip - start) + 10        # the head of the metacarpal is still seen
    side = np.sign(turned[0, :3] @ (digits[beside][0].end - start)) if wide and flexion < 10 else 0
    return Body("finger", [bone.moved(turned) for bone in bones], skin.moved(turned), muscle.moved(turned), None,
                {kind: tuple(placed(site) for site in places) for kind, places in sites.items()},
                centre=(10 * side, (foot + top) / 2, -0.3 * flexion), field=(66 if side else 52, top - foot),
                around=around)
