"""What the renderer knows of a body part: bones, soft tissue, sites of findings, views; and a finding in it."""

from __future__ import annotations

from dataclasses import dataclass, field

from core.datasets.phantom.bones import Bone
from core.datasets.phantom.solids import Solids


@dataclass(frozen=True)
class View:
    """A projection: the part is turned about its long axis (y), then tilted about x, in degrees; then some joints bend."""

    name: str
    turn: float
    tilt: float
    flexion: float = 0.0


@dataclass(frozen=True)
class Site:
    """A place on a bone where a finding can sit.

    point: on the bone's axis, mm; along: direction of the axis; radius: of the bone there, mm
    carries: names of the bones that move with the far end when the bone breaks here
    sway, slip: how far the far end of a break turns and steps aside, relative to the ends of the great bones: it turns less where
        a long lever lies in soft tissue, and steps further where the bone is small
    """

    bone: str
    point: tuple[float, float, float]
    along: tuple[float, float, float]
    radius: float
    carries: tuple[str, ...] = ()
    sway: float = 1.0
    slip: float = 1.0


@dataclass(frozen=True)
class Body:
    """One body part in one pose, in mm, in its own frame: x to the lateral or thumb side, y up, z towards the front.

    skin, muscle: soft tissue, and what of it lies under the fat; air: lung, or None
    sites: finding -> places
    around: bone -> which solids of the skin are around it alone, and go where it goes when something breaks
    centre: (3,) mm that the tube is aimed at; field: (width, height) mm that is exposed
    spacing: mm between rays; larger pixels are averaged over a square of them
    """

    name: str
    bones: list[Bone]
    skin: Solids
    muscle: Solids
    air: Solids | None
    sites: dict[str, tuple[Site, ...]] = field(repr=False)
    around: dict[str, range] = field(default_factory=dict, repr=False)
    centre: tuple[float, float, float] = (0, 0, 0)
    field: tuple[float, float] = (150, 200)
    spacing: float = 1.1


@dataclass(frozen=True)
class Insert:
    """Something that takes the place of bone: a lesion (soft tissue) or metal, with its attenuation `mu` per mm.

    bones: names of the bones it reaches into
    """

    solids: Solids
    mu: float
    bones: frozenset[str]


@dataclass(frozen=True)
class Finding:
    """A body with its finding: what is put in, and for a fracture the slices of bone along its faces (they are the mask)."""

    body: Body
    inserts: tuple[Insert, ...] = ()
    faces: Solids | None = None
