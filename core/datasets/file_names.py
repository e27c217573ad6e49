"""Patient, study and view of an image, read from its file name by a regular expression with groups of these names.

PATTERNS are the names of well-known collections. A person may bring a pattern of their own; since some expressions take longer
than the age of the universe, such a pattern only ever runs in a process with a time limit.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import NamedTuple

from core.errors import LightboxError

MAX_LENGTH = 500            # characters of a pattern
SECONDS = 1.0               # for a person's pattern, and one more for each NAMES_A_SECOND names
NAMES_A_SECOND = 20_000     # an ordinary pattern does half a million
EXAMPLE = r"For example (?P<patient>\d+)_(?P<view>[LR]) takes 9003175 and L from 9003175_L.png."


class NameFacts(NamedTuple):
    """What a name says; "" for what it does not say. A study has its patient in front."""

    patient: str = ""
    study: str = ""
    view: str = ""

    @staticmethod
    def of(groups: dict[str, str | None], prefix: str = "") -> NameFacts:
        """Return the facts from the groups of a match; the patient gets `prefix` in front."""
        patient, study, view = (groups.get(name) or "" for name in NameFacts._fields)
        patient = f"{prefix}{patient}" if patient else ""
        return NameFacts(patient, f"{patient}/{study}" if patient and study else study, view)


@dataclass(frozen=True)
class Pattern:
    """How one collection writes patients into its names.

    Args:
        regex: searched in an image's path; the groups patient, study and view are taken where there are any
        restarts: the numbers begin anew in each of train, val and test, so a patient there is another person
        note: what a person should know where the pattern is used
    """

    collection: str
    regex: str
    restarts: bool = False
    note: str = ""


PATTERNS = (
    Pattern("MURA", r"(^|/)(?P<patient>patient\d+)/(?P<study>study\d+)\w*/[^/]*$"),
    # Kermany 2018. Its numbers of pneumonia: 170 of the 202 in test also occur in train, though the authors split by person.
    Pattern("Kermany chest X-rays, pneumonia", r"(^|/)(?P<patient>person\d+)_(bacteria|virus)_\d+(_\d+)?\.\w+$", restarts=True,
            note="Patient numbers (person12) are assumed to begin anew in train and test, since the authors of these chest "
                 "X-rays say that no patient is in both. The names alone cannot show it."),
    # Two series, IM-... and NORMAL2-IM-..., each counting on from test to train without a number in both.
    Pattern("Kermany chest X-rays, normal", r"(^|/)(?P<patient>(NORMAL2-)?IM-\d+)-\d+(-\d+)?\.\w+$"),
    Pattern("knee X-rays of the Osteoarthritis Initiative", r"(^|/)(?P<patient>9\d{6})(?P<view>[LR])(_\d+)?\.\w+$"),
    Pattern("NIH ChestX-ray14", r"(^|/)(?P<patient>\d{8})_(?P<study>\d{3})\.\w+$"),
)


def read_name(path: str, split: str = "") -> tuple[Pattern | None, NameFacts]:
    """Return the first of PATTERNS that fits a path, and what the path says.

    >>> read_name("train/NORMAL/IM-0115-0001.jpeg")[1].patient
    'IM-0115'
    """
    for pattern in PATTERNS:
        match = re.search(pattern.regex, path)
        if match:
            return pattern, NameFacts.of(match.groupdict(), f"{split}/" if pattern.restarts and split else "")
    return None, NameFacts()


def check_pattern(pattern: str) -> None:
    """Raise LightboxError "folder.pattern" where a person's pattern cannot be used at all."""
    def invalid(why: str) -> LightboxError:
        return LightboxError("folder.pattern", f"The pattern for names {why}.", EXAMPLE)

    if len(pattern) > MAX_LENGTH:
        raise invalid(f"has {len(pattern):,} characters; the limit is {MAX_LENGTH}")
    try:
        groups = re.compile(pattern).groupindex
    except re.error as error:
        raise invalid(f"is not a regular expression: {error}") from error
    except (OverflowError, RecursionError, MemoryError) as error:
        raise invalid("is too large or too deeply nested") from error
    other = [name for name in groups if name not in NameFacts._fields]
    if other:
        raise invalid(f"has a group {other[0]}; the known groups are {', '.join(NameFacts._fields)}")
    if not groups:
        raise invalid("has none of the groups (?P<patient>...), (?P<study>...) and (?P<view>...)")


CHILD = """
import json, re, sys
task = json.load(sys.stdin)
search = re.compile(task["pattern"]).search
matches = map(search, task["paths"])
json.dump([match.groupdict() if match else None for match in matches], sys.stdout)
"""


def match_names(pattern: str, paths: list[str]) -> list[NameFacts | None]:
    """Return what each path says by a person's pattern, None where it does not fit.

    Python's `re` cannot be interrupted, so the work is done in a process that can.

    Raises LightboxError "folder.pattern" for a pattern that is wrong or takes too long.
    """
    check_pattern(pattern)
    limit = SECONDS + len(paths) / NAMES_A_SECOND
    task = json.dumps({"pattern": pattern, "paths": paths})
    try:
        done = subprocess.run([sys.executable, "-I", "-S", "-c", CHILD], input=task.encode(), capture_output=True,
                              timeout=limit, check=True)
    except subprocess.TimeoutExpired:
        raise LightboxError("folder.pattern", f"The pattern for names takes more than {limit:.0f} s for {len(paths):,} names.",
                            "Repeats inside repeats, such as (a+)+, make it slow: write it without.") from None
    except subprocess.CalledProcessError as error:
        raise LightboxError("folder.pattern", "The pattern for names needs too much memory.", EXAMPLE) from error
    return [NameFacts.of(groups) if groups is not None else None for groups in json.loads(done.stdout)]
