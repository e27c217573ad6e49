"""Findings: a fracture, a lytic lesion, a metal plate with screws. Each changes the solids, not the image.

A finding is put at a `Site` of the body, in the frame of the body part, before it is turned for a view. So it is seen
from each side as it would be, and its mask is known exactly.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from core.datasets.phantom.body import Body, Finding, Insert, Site
from core.datasets.phantom.materials import SOFT, STEEL, TITANIUM
from core.datasets.phantom.solids import Solids, box, ellipsoid, frame, join, shift, slices, turn

FINDINGS = ("fracture", "lytic lesion", "metal plate")
NEAR_FRACTURE = 2.0          # mm: bone this near to the fracture surface belongs to the mask


def add_finding(kind: str, body: Body, rng: np.random.Generator) -> Finding:
    """Put a finding of one kind at one of the body's sites; "none" changes nothing."""
    if kind == "none":
        return Finding(body)
    site = body.sites[kind][rng.integers(len(body.sites[kind]))]
    return {"fracture": fracture, "lytic lesion": lesion, "metal plate": plate}[kind](body, site, rng)


def fracture(body: Body, site: Site, rng: np.random.Generator) -> Finding:
    """Break a bone at a site and move what lies beyond: a step, an angle, and a gap or an impaction.

    The surface of the fracture runs across the bone as three strips that meet in a zigzag. Each strip of each side is
    the bone cut by planes, so both fragments are exact, and their edges are as sharp as bone.
    """
    place = frame(site.point, site.along, rng.standard_normal(3))
    r = site.radius
    edges = np.array([-100, rng.uniform(-0.55, -0.15) * r, rng.uniform(0.15, 0.55) * r, 100])        # strips, along x
    slant, zigzag = rng.uniform(-0.35, 0.35), rng.uniform(0.2, 0.45) * rng.choice((-1, 1))
    slope = slant + zigzag * np.array([1, -1.3, 1])
    height = np.array([slope[1] * edges[1] - slope[0] * edges[1], 0, slope[1] * edges[2] - slope[2] * edges[2]])
    strips = [np.array([[-1, 0, 0, edges[k]], [1, 0, 0, -edges[k + 1]], [-slope[k], 0, 1, -height[k]]]) for k in range(3)]
    back = np.linalg.inv(place)
    strips = [planes @ back for planes in strips]                       # rows are planes: they move with the inverse

    angle = site.sway * rng.uniform(4, 13) * rng.choice((-1, 1))
    aside = rng.uniform(0, 2 * np.pi)
    step = site.slip * rng.uniform(0.16, 0.42) * r
    gap = rng.uniform(0.02, 0.14) * r + 0.3
    local = shift(step * np.cos(aside), step * np.sin(aside), gap) @ turn(2, np.rad2deg(aside)) @ turn(1, angle)
    local = local @ turn(2, -np.rad2deg(aside))
    move = place @ local @ back

    reach = 0.8 * r + 3                                                 # the zigzag stays within this of the middle
    bones, faces = [], []
    for bone in body.bones:
        if bone.name == site.bone:
            near = bone.each(lambda solids: _side(solids, strips, place, reach, +1))
            far = bone.each(lambda solids: _side(solids, strips, place, reach, -1))
            bones += [near, far.moved(move)]
            for strip in strips:
                cut, opposite = strip[2], -strip[2]
                width = NEAR_FRACTURE * np.linalg.norm(cut[:3])
                off = np.array([0, 0, 0, width])
                faces.append(bone.outer.cut(strip[0], strip[1], cut, opposite - off))
                faces.append(bone.outer.cut(strip[0], strip[1], opposite, cut - off).moved(move))
        else:
            bones.append(bone.moved(move) if bone.name in site.carries else bone)
    return Finding(replace(body, bones=bones, skin=_skin(body, site, move)), faces=join(*faces))


def _skin(body: Body, site: Site, move: np.ndarray) -> Solids:
    """Return the skin after a fracture: it goes along with the bones that are carried,
    and swells around the one that is broken.
    """
    taken = [i for name in site.carries for i in body.around.get(name, ())]
    moved = [*body.around.get(site.bone, ()), *taken]
    if not moved:
        return body.skin
    return join(body.skin.take(np.setdiff1d(np.arange(len(body.skin)), taken)), body.skin.take(moved).moved(move))


def _side(solids: Solids, strips: list[np.ndarray], place: np.ndarray, reach: float, sign: int) -> Solids:
    """Return what of some solids lies before (sign 1) or beyond (sign -1) a fracture surface made of strips of planes."""
    if not len(solids):
        return solids
    height = (solids.corners @ np.linalg.inv(place).T)[:, :, 2] * sign          # along the bone, away from this fragment
    whole, crossed = height.max(1) < -reach, (height.min(1) < reach) & (height.max(1) >= -reach)
    parts = [solids.take(whole)]
    for strip in strips if crossed.any() else ():
        parts.append(solids.take(crossed).overlapping().cut(strip[0], strip[1], sign * strip[2]))
    return join(*parts)


def lesion(body: Body, site: Site, rng: np.random.Generator) -> Finding:
    """Replace bone by soft tissue in a cluster of ellipsoids that eats into one wall: moth-eaten, without a rim."""
    place = frame(site.point, site.along, rng.standard_normal(3))
    r = site.radius
    blobs = []
    for k in range(rng.integers(4, 8)):
        size = r * rng.uniform(0.34, 0.60) * (1.25 if k == 0 else 0.85)
        spread = 0.12 if k == 0 else 0.48
        at = np.array([0.38, 0, 0]) * r + spread * r * rng.standard_normal(3) * (1, 1, 1.4)
        at = at.clip(-1.1 * r, 1.1 * r)
        blobs.append(ellipsoid((place @ [*at, 1])[:3], size * rng.uniform(0.8, 1.25, 3), along=rng.standard_normal(3)))
    return Finding(body, (Insert(join(*blobs), SOFT, frozenset({site.bone})),))


def plate(body: Body, site: Site, rng: np.random.Generator) -> Finding:
    """Fix a plate of titanium or steel to the side of a bone with screws through both of its walls."""
    place = frame(site.point, site.along, rng.standard_normal(3))
    place[:3, 0] *= -1 if place[2, 0] > 0.8 else 1                       # not on the front of a joint
    r = site.radius
    wide = np.clip(0.46 * r, 1.9, 5.5) * rng.uniform(0.9, 1.15)
    thick = np.clip(0.13 * r, 0.6, 1.6)
    holes = int(rng.integers(5, 8))
    spacing = wide * rng.uniform(1.9, 2.4)
    half_length = spacing * holes / 2
    above = r + thick
    # x points out of the bone, z along it
    metal = [_rounded_box((above, 0, 0), (thick, wide, half_length))]
    screw = 0.34 * wide
    empty = rng.integers(0, holes)                                       # a screw is often left out
    for k in range(holes):
        if k == empty:
            continue
        z = (k - (holes - 1) / 2) * spacing
        direction = np.array([-1, rng.uniform(-0.13, 0.13), rng.uniform(-0.10, 0.10)])
        start = np.array([above + 0.8 * thick, 0, z])
        length = above + r * rng.uniform(0.85, 1.2)
        body_of = slices(length, np.array([0, 0.9, 1.0]), np.array([screw, screw, 0.2 * screw]),
                         np.array([screw, 0.7 * screw]), 1.0).moved(frame(start, direction))
        head = ellipsoid(start, (1.75 * screw, 1.75 * screw, 1.1 * screw), along=direction)
        metal += [body_of.overlapping(), head]
    mu = STEEL if rng.random() < 0.4 else TITANIUM
    return Finding(body, (Insert(join(*metal).moved(place), mu, frozenset({site.bone})),))


def _rounded_box(centre, half) -> Solids:
    """A box whose outline in the (y, z) plane is rounded at the corners by an ellipse."""
    outline = np.diag([0.0, 1, 1, -1.55])                                # in the unit cube, whose corners are at y^2 + z^2 = 2
    back = np.linalg.inv(shift(*centre) @ np.diag([*half, 1.0]))
    plain = box(centre, half)
    return Solids((back.T @ outline @ back)[None], plain.planes, plain.corners, plain.apart)
