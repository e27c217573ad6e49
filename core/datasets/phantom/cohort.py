"""Who is X-rayed: patients, their studies, the views of a study. Each is drawn from its own random stream.

Nothing here depends on what was drawn before: patient 12 is the same person whether there are 20 patients or 2,000, and
image 3 of a study is the same whether it is made first or last, by one process or by many.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from core.datasets.phantom import elbow, shoulder, wrist
from core.datasets.phantom.body import View
from core.datasets.phantom.findings import FINDINGS, add_finding
from core.datasets.phantom.layers import Model

PARTS = {"elbow": elbow, "shoulder": shoulder, "wrist": wrist}


@dataclass(frozen=True)
class PhantomConfig:
    """What the set of phantom radiographs is like.

    Args:
        seed: everything follows from it
        patients: how many people; six images each on average
        abnormal: share of the studies with a finding
        longest: pixels of the longer side of an original
        noise: False leaves the quantum noise away
    """

    seed: int = 0
    patients: int = 400
    abnormal: float = 0.43
    longest: int = 512
    noise: bool = True
    # Switches for what goes wrong in real data (letters, marks, exposure that follows the label, duplicates, wrong
    # labels) belong here, each off by default.


DEFAULT = PhantomConfig()


@dataclass(frozen=True)
class Patient:
    """A person: size and soft tissue relative to the average, density of bone relative to youth."""

    age: int
    size: float
    thick: float
    density: float
    part: str
    studies: int


@dataclass(frozen=True)
class Study:
    """One visit: which part of the body, which side, what is there to find, and the views taken."""

    part: str
    side: str
    finding: str
    views: tuple[View, ...]


_PATIENT, _BONES, _STUDY, _FINDING, _VIEW = range(5)            # one random stream for each purpose


def stream(config: PhantomConfig, purpose: int, *which: int) -> np.random.Generator:
    """The random numbers of one purpose for one patient, study or view."""
    return np.random.default_rng([config.seed, purpose, *which])


@lru_cache(maxsize=1024)
def patient_of(config: PhantomConfig, patient: int) -> Patient:
    """Patient number `patient` (0 ...)."""
    rng = stream(config, _PATIENT, patient)
    age = int(np.clip(rng.normal(48, 19), 18, 92))
    frail = max(age - 50, 0) / 42                               # bone is lost from about fifty on
    return Patient(age=age, size=float(np.clip(rng.normal(1.0, 0.065), 0.84, 1.16)),
                   thick=float(np.clip(rng.lognormal(0, 0.14), 0.72, 1.45)),
                   density=float(np.clip(rng.normal(1.02, 0.07) - 0.22 * frail, 0.68, 1.2)),
                   part=str(rng.choice(list(PARTS))), studies=int(rng.choice((1, 2, 3), p=(0.2, 0.35, 0.45))))


@lru_cache(maxsize=4096)
def study_of(config: PhantomConfig, patient: int, study: int) -> Study:
    """Study number `study` (0 ...) of a patient."""
    rng = stream(config, _STUDY, patient, study)
    part = patient_of(config, patient).part if rng.random() < 0.6 else str(rng.choice(list(PARTS)))
    side = str(rng.choice(("left", "right")))
    finding = str(rng.choice(FINDINGS)) if rng.random() < config.abnormal else "none"
    views = PARTS[part].VIEWS[:3 if rng.random() < 0.67 else 2]
    return Study(part, side, finding, views)


@lru_cache(maxsize=8)
def pose_of(config: PhantomConfig, patient: int, study: int, flexion: float, finding: str) -> Model:
    """The body of a study bent by `flexion` degrees, with its finding or, for finding="none", as it was before."""
    part = study_of(config, patient, study).part
    bones = stream(config, _BONES, patient, list(PARTS).index(part))       # the same bones in each study of a patient
    body = PARTS[part].build(bones, patient_of(config, patient).thick, flexion)
    return Model(add_finding(finding, body, stream(config, _FINDING, patient, study)))


def splits(config: PhantomConfig) -> list[str]:
    """"train", "val" or "test" for each patient: 70, 15 and 15 %."""
    order = np.random.default_rng([config.seed, 5]).permutation(config.patients)
    place = np.empty(config.patients, int)
    place[order] = np.arange(config.patients)
    return ["train" if p < 0.7 * config.patients else "val" if p < 0.85 * config.patients else "test" for p in place]
