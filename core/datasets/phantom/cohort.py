"""Patients, their studies, the views of a study. Each is drawn from its own random stream.

Nothing here depends on what was drawn before: patient 12 is the same person whether there are 20 patients or 2,000, and
image 3 of a study is the same whether it is made first or last, by one process or by many.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from enum import IntEnum
from functools import lru_cache

import numpy as np

from core.datasets.phantom import elbow, finger, forearm, hand, humerus, shoulder, wrist
from core.datasets.phantom.body import View
from core.datasets.phantom.findings import FINDINGS, add_finding
from core.datasets.phantom.layers import Model
from core.errors import LightboxError

# a part's bones are drawn by its place here: new ones go to the end
PARTS = {"elbow": elbow, "shoulder": shoulder, "wrist": wrist, "finger": finger, "hand": hand, "forearm": forearm,
         "humerus": humerus}


@dataclass(frozen=True)
class PhantomConfig:
    """The settings of a set of phantom radiographs, and the errors that are planted in it.

    All errors are off by default, and the default makes the same pixels as ever. A strength s of a switch that
    follows the label means: in a share s of the images it is set by the label, in the rest by chance (`switches.py`).

    Args:
        seed: everything follows from it
        patients: number of patient IDs; six images each on average
        abnormal: share of the studies with a finding
        longest: pixels of the longer side of an original
        noise: False turns the quantum noise off
        parts: body parts, names of PARTS
        studies: of each patient; 0 is one to three, at random
        markers: a lead letter L or R on each image, for the side
        letters: strength with which the letter tells the label instead (L normal, R abnormal); above 0 it is drawn
        contrary: such a letter tells the other label (R normal, L abnormal): a network that reads it fails here
        hospital: strength with which a printed hospital name tells the label (it is on the abnormal ones)
        exposure: strength with which a weak exposure tells the label
        sites: strength with which the site, seen by how the field is framed, tells the label
        two_numbers: share of the patient IDs that belong to a person who has another ID too
        wrong_labels: share of the studies whose label is wrong
        copies: images that are filed again under another person, as a share of the others
        truth: whether the table tells the planted errors (columns person, true_finding, copy_of, copy_how)

    Raises:
        LightboxError: "phantom.setting" for a value out of its limits
    """

    seed: int = 0
    patients: int = 400
    abnormal: float = 0.43
    longest: int = 512
    noise: bool = True
    parts: tuple[str, ...] = ("elbow", "shoulder", "wrist")
    studies: int = 0
    markers: bool = False
    letters: float = 0.0
    contrary: bool = False
    hospital: float = 0.0
    exposure: float = 0.0
    sites: float = 0.0
    two_numbers: float = 0.0
    wrong_labels: float = 0.0
    copies: float = 0.0
    truth: bool = True

    def __post_init__(self):
        object.__setattr__(self, "parts", tuple(self.parts))           # JSON knows only lists
        for name, (low, high) in LIMITS.items():
            value = getattr(self, name)
            whole = type(getattr(PhantomConfig, name)) is int
            if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or not low <= value <= high:
                raise LightboxError("phantom.setting", f"The phantom setting {name} is {value!r}.",
                                    f"Expected {'an integer' if whole else 'a number'} from {low:g} to {high:g}.")
            object.__setattr__(self, name, value if whole else float(value))
        for name in ("noise", "markers", "contrary", "truth"):
            if not isinstance(getattr(self, name), bool):
                raise LightboxError("phantom.setting", f"The phantom setting {name} is {getattr(self, name)!r}.",
                                    "Expected true or false.")
        if not self.parts or len(set(self.parts)) < len(self.parts) or not set(self.parts) <= set(PARTS):
            raise LightboxError("phantom.setting", f"The body parts are {', '.join(map(str, self.parts)) or 'none'}.",
                                f"Choose one or more of {', '.join(PARTS)}, each once.")

    def expected_images(self) -> float:
        """Return how many images there are on average; the exact number is known once they are listed."""
        return self.patients * (self.studies or float(np.dot(STUDIES, SHARES))) * (2 + THIRD_VIEW) * (1 + self.copies)

    def changed(self) -> dict:
        """Return the settings that are not the default ones, as JSON values."""
        default = {f.name: f.default for f in fields(self)}
        return {name: value for name, value in asdict(self).items() if value != default[name]}


LIMITS = {"seed": (0, 2**31 - 1), "patients": (1, 20_000), "abnormal": (0, 1), "longest": (16, 2048), "studies": (0, 50),
          "letters": (0, 1), "hospital": (0, 1), "exposure": (0, 1), "sites": (0, 1), "two_numbers": (0, 1),
          "wrong_labels": (0, 1), "copies": (0, 0.5)}

STUDIES, SHARES = (1, 2, 3), (0.2, 0.35, 0.45)      # how many visits a patient makes, and which share of the patients so many
THIRD_VIEW = 0.67                                   # share of the studies with a third view

DEFAULT = PhantomConfig()


@dataclass(frozen=True)
class Patient:
    """A person: size and soft tissue relative to the average, bone density relative to youth."""

    age: int
    size: float
    thick: float
    density: float
    part: str
    studies: int


@dataclass(frozen=True)
class Study:
    """One visit: body part, side, finding, and the views taken."""

    part: str
    side: str
    finding: str
    views: tuple[View, ...]


class Purpose(IntEnum):
    """What random numbers are for; each has a stream of its own. Never renumber: these numbers make the images."""

    PATIENT, BONES, STUDY, FINDING, VIEW, SPLIT = range(6)
    LETTER, HOSPITAL, EXPOSURE, SITE, WRONG_LABEL, COPY = range(6, 12)
    SIGN_PLACE, COPY_PIXELS = 12, 13
    PERSON = 20


def stream(config: PhantomConfig, purpose: Purpose, *which: int) -> np.random.Generator:
    """Return the random numbers of one purpose for one patient, study or view."""
    return np.random.default_rng([config.seed, purpose, *which])


@lru_cache(maxsize=1024)
def patient_of(config: PhantomConfig, patient: int) -> Patient:
    """Return patient number `patient` (0 ...)."""
    rng = stream(config, Purpose.PATIENT, person_of(config, patient))
    age = int(np.clip(rng.normal(48, 19), 18, 92))
    frail = max(age - 50, 0) / 42                               # bone is lost from about fifty on
    return Patient(age=age, size=float(np.clip(rng.normal(1.0, 0.065), 0.84, 1.16)),
                   thick=float(np.clip(rng.lognormal(0, 0.14), 0.72, 1.45)),
                   density=float(np.clip(rng.normal(1.02, 0.07) - 0.22 * frail, 0.68, 1.2)),
                   part=str(rng.choice(config.parts)), studies=config.studies or int(rng.choice(STUDIES, p=SHARES)))


def person_of(config: PhantomConfig, patient: int) -> int:
    """Return the person behind a patient number: the smallest number of that person."""
    return _persons(config)[patient] if config.two_numbers else patient


@lru_cache(maxsize=16)
def _persons(config: PhantomConfig) -> list[int]:
    """Return the person of each patient number: random pairs of numbers are one person."""
    persons = list(range(config.patients))
    drawn = stream(config, Purpose.PERSON).permutation(config.patients)
    for k in range(min(round(config.two_numbers * config.patients / 2), config.patients // 2)):
        one, other = sorted(map(int, drawn[2 * k:2 * k + 2]))
        persons[other] = one
    return persons


@lru_cache(maxsize=4096)
def study_of(config: PhantomConfig, patient: int, study: int) -> Study:
    """Return study number `study` (0 ...) of a patient."""
    rng = stream(config, Purpose.STUDY, patient, study)
    part = patient_of(config, patient).part if rng.random() < 0.6 else str(rng.choice(config.parts))
    side = str(rng.choice(("left", "right")))
    finding = str(rng.choice(FINDINGS)) if rng.random() < config.abnormal else "none"
    views = PARTS[part].VIEWS[:3 if rng.random() < THIRD_VIEW else 2]
    return Study(part, side, finding, views)


@lru_cache(maxsize=8)
def pose_of(config: PhantomConfig, patient: int, study: int, flexion: float, finding: str) -> Model:
    """Return the body of a study bent by `flexion` degrees, with its finding or, for finding="none", without."""
    part = study_of(config, patient, study).part
    person = person_of(config, patient)
    bones = stream(config, Purpose.BONES, person, list(PARTS).index(part))        # the same bones in each study of a patient
    body = PARTS[part].build(bones, patient_of(config, patient).thick, flexion)
    return Model(add_finding(finding, body, stream(config, Purpose.FINDING, patient, study)))


def splits(config: PhantomConfig) -> list[str]:
    """Return "train", "val" or "test" for each patient: 70, 15 and 15 %."""
    order = stream(config, Purpose.SPLIT).permutation(config.patients)
    place = np.empty(config.patients, int)
    place[order] = np.arange(config.patients)
    bounds = 0.7 * config.patients, 0.85 * config.patients
    return [("train", "val", "test")[int(np.searchsorted(bounds, p, side="right"))] for p in place]
