"""Planted errors, and the truth about them: signs that follow the label, wrong labels, one person with two patient IDs.

A sign that follows the label with strength s is set by the label in a share s of the images and by an even coin in the rest, so
that its correlation with the label is s where half of the studies are abnormal: 0.3 is a hint, 1 gives every label away. Each
decision has a random stream of its own (cohort.py), so turning one switch changes nothing else in the image.

Shortcuts of this kind were found in real data sets: Zech et al., PLOS Medicine 2018 (metal tokens and hospitals), DeGrave et al.,
Nature Machine Intelligence 2021 (laterality markers and borders).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from core.datasets.phantom.cohort import PhantomConfig, Purpose, person_of, stream, study_of
from core.datasets.phantom.findings import FINDINGS

COPY_KINDS = ("exact", "saved as JPEG", "noise", "brightness", "crop")


@dataclass(frozen=True)
class Signs:
    """What one image shows beside the body; "" and False where a switch is off.

    letter: "L" or "R" of lead; letter_by: "label" or "side", what it was chosen by
    hospital: its name is printed in a corner; exposure: "weak" or "strong"; site: "A" or "B"
    """

    letter: str = ""
    letter_by: str = ""
    hospital: bool = False
    exposure: str = ""
    site: str = ""


NO_SIGNS = Signs()


def signs_of(config: PhantomConfig, patient: int, study: int, view: int) -> Signs:
    """Return the signs of one image. The letter is placed for each image, the rest belongs to the study."""
    if not (config.markers or config.letters or config.hospital or config.exposure or config.sites):
        return NO_SIGNS
    abnormal = recorded_finding(config, patient, study) != "none"

    def follows(purpose: Purpose, strength: float) -> bool:
        by_label, coin = stream(config, purpose, patient, study).random(2)
        return abnormal if by_label < strength else bool(coin < 0.5)

    letter = letter_by = ""
    if config.markers or config.letters:
        tells = stream(config, Purpose.LETTER, patient, study, view).random() < config.letters
        right = abnormal != config.contrary if tells else study_of(config, patient, study).side == "right"
        letter, letter_by = "R" if right else "L", "label" if tells else "side"
    hospital = bool(config.hospital) and follows(Purpose.HOSPITAL, config.hospital)
    exposure = site = ""
    if config.exposure:
        exposure = "weak" if follows(Purpose.EXPOSURE, config.exposure) else "strong"
    if config.sites:
        site = "B" if follows(Purpose.SITE, config.sites) else "A"
    return Signs(letter, letter_by, hospital, exposure, site)


def recorded_finding(config: PhantomConfig, patient: int, study: int, finding: str | None = None) -> str:
    """Return what the table says of a study, which is not always the truth (`finding`, by default the study's own)."""
    finding = study_of(config, patient, study).finding if finding is None else finding
    if not config.wrong_labels:
        return finding
    rng = stream(config, Purpose.WRONG_LABEL, patient, study)
    if rng.random() >= config.wrong_labels:
        return finding
    return "none" if finding != "none" else str(rng.choice(FINDINGS))


@dataclass(frozen=True)
class Copy:
    """An image that occurs a second time: row `of`, filed under patient `patient`, saved as `how` says."""

    of: int
    patient: int
    how: str


@lru_cache(maxsize=16)
def copies_of(config: PhantomConfig, patients: tuple[int, ...]) -> tuple[Copy, ...]:
    """Return the copies: each of another image, filed under another person; none where all are one person.

    Args:
        patients: the patient number of each image
    """
    rng = stream(config, Purpose.COPY)
    chosen = sorted(rng.permutation(len(patients))[:round(config.copies * len(patients))])
    people = np.array([person_of(config, p) for p in range(config.patients)])
    copies = []
    for k, row in enumerate(chosen):
        others = np.flatnonzero(people != people[patients[row]])
        if len(others):
            copies.append(Copy(int(row), int(rng.choice(others)), COPY_KINDS[k % len(COPY_KINDS)]))
    return tuple(copies)
