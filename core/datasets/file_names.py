"""Patient, study, view and label of an image, read from its file name by a regular expression with groups of these names.

PATTERNS are the names of well-known collections. A person may bring a pattern of their own; since some expressions take longer
than the age of the universe, such a pattern only ever runs in a process with a time limit.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from core.datasets.level_words import VIEWS
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
    label: str = ""

    @staticmethod
    def of(groups: dict[str, str | None], prefix: str = "") -> NameFacts:
        """Return the facts from the groups of a match; the patient gets `prefix` in front."""
        patient, study, view, label = (groups.get(name) or "" for name in NameFacts._fields)
        patient = f"{prefix}{patient}" if patient else ""
        return NameFacts(patient, f"{patient}/{study}" if patient and study else study, view, label)


@dataclass(frozen=True)
class Pattern:
    """How one collection writes patients into its names.

    Args:
        regex: searched in an image's path; the groups patient, study and view are taken where there are any
        restarts: the numbers begin anew in each of train, val and test, so a patient there is another person
        note: what a person should know where the pattern is used
        labels: what a label in a name means, where it is a number
        pairs: numbers 1 and 2, 3 and 4 ... are two images of one patient
        weak: other collections have such names too, so it counts only where half of all names have this form
    """

    collection: str
    regex: str
    restarts: bool = False
    note: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    pairs: bool = False
    weak: bool = False


PATTERNS = (
    Pattern("MURA and CheXpert", r"(^|/)(?P<patient>patient\d+)/(?P<study>study\d+)(_(?P<label>positive|negative))?\w*/[^/]*$"),
    # Kermany 2018. Its numbers of pneumonia: 170 of the 202 in test also occur in train, though the authors split by person.
    Pattern("Kermany chest X-rays, pneumonia", r"(^|/)(?P<patient>person\d+)_(bacteria|virus)_\d+(_\d+)?\.\w+$", restarts=True,
            note="Patient numbers (person12) are assumed to begin anew in train and test, since the authors of these chest "
                 "X-rays say that no patient is in both. The names alone cannot show it."),
    # Two series, IM-... and NORMAL2-IM-..., each counting on from test to train without a number in both.
    Pattern("Kermany chest X-rays, normal", r"(^|/)(?P<patient>(NORMAL2-)?IM-\d+)-\d+(-\d+)?\.\w+$"),
    Pattern("knee X-rays of the Osteoarthritis Initiative", r"(^|/)(?P<patient>9\d{6})_?(?P<view>[LR])(_\w+)?\.\w+$"),
    Pattern("NIH ChestX-ray14", r"(^|/)(?P<patient>\d{8})_(?P<study>\d{3})\.\w+$"),
    Pattern("Kermany OCT", r"(^|/)(CNV|DME|DRUSEN|NORMAL)-(?P<patient>\d+)-\d+\.\w+$"),
    Pattern("BreakHis", r"(^|/)SOB_[BM]_[A-Z]+-(?P<patient>\d\d-\d+[A-Z]*)-(?P<view>\d+)-\d+\.\w+$"),
    Pattern("malaria cells (NIH)", r"(?i)(^|/)C\d+(?P<patient>P\d+)\w*thinF_IMG_[^/]*$"),
    Pattern("malaria cells (NIH), slides without a patient", r"(?i)(^|/)(?P<patient>C\d+)_?thinF_IMG_[^/]*$"),
    Pattern("breast histology IDC", r"(^|/)(?P<patient>\d{4,5})_idx\d+_x\d+_y\d+_class(?P<label>\d)\.\w+$"),
    Pattern("tuberculosis X-rays of Shenzhen and Montgomery", r"(^|/)(?P<patient>(CHN|MCU)CXR_\d{4})_(?P<label>[01])\.\w+$",
            labels={"0": "normal", "1": "tuberculosis"}),
    Pattern("MIAS mammograms", r"(^|/)mdb(?P<patient>\d{3})\w*\.\w+$", pairs=True,
            note="Images 1 and 2, 3 and 4 ... of MIAS are the two breasts of one patient."),
    Pattern("HRF fundus photographs", r"(^|/)(?P<patient>\d\d_(?P<label>dr|g|h))\.\w+$",
            labels={"dr": "diabetic retinopathy", "g": "glaucoma", "h": "healthy"}, weak=True),
    Pattern("C-NMC leukemia", r"(^|/)UID_(?P<patient>H?\d+)_\d+_\d+_(all|hem)\.\w+$"),
    Pattern("PAD-UFES-20", r"(^|/)(?P<patient>PAT_\d+)_(?P<study>\d+)_\d+\.\w+$"),
    Pattern("CBIS-DDSM", r"(^|[/_-])(?P<patient>P_\d{5})_(?P<view>(LEFT|RIGHT)_(CC|MLO))"),
    Pattern("INbreast", r"(^|/)\d+_(?P<patient>[0-9a-f]{16})_MG_(?P<view>[LR]_\w+)_ANON"),
    Pattern("GRAZPEDWRI-DX", r"(^|/)(?P<patient>\d{4})_\d{10}_(?P<study>\d\d)_WRI-(?P<view>[LR]\d)_"),
    Pattern("BIDS (BIMCV, OpenNeuro)", r"(^|/)(?P<patient>sub-[A-Za-z0-9]+)(_(?P<study>ses-[A-Za-z0-9]+))?[^/]*$"),
    Pattern("OASIS", r"(?P<patient>OAS\d_\d{4})(_MR(?P<study>\d))?"),
    Pattern("ADNI", r"(?P<patient>\d{3}_S_\d{4,5})"),
    Pattern("Kvasir-Capsule, videos", r"(^|/)(?P<patient>(?=[^_]*\d)[0-9a-f]{16})_\d+\.\w+$"),
    Pattern("CT of CC-CCII and COVIDx CT", r"(^|/)(?P<patient>(NCP|CP|Normal)_\d+)_(?P<study>\d+)_\d+\.\w+$"),
    Pattern("Camelyon", r"(^|/)(?P<patient>patient_\d{3,})_(?P<study>node_\d+)(?=[_/.])"),
    Pattern("OCTDL", r"(^|/)(amd|dme|erm|no|rao|rvo|vid)_(?P<patient>\d+)_\d+\.\w+$"),
    Pattern("ALL-IDB", r"(^|/)Im\d{3}_(?P<label>[01])\.\w+$", labels={"0": "healthy", "1": "leukemia"}),
    Pattern("ACRIMA", r"(^|/)Im\d{3}_(?P<label>g_|)ACRIMA\.\w+$", labels={"g_": "glaucoma", "": "normal"}),
    Pattern("BCI (HE and IHC)", r"(^|/)\d{5}_(train|test)_(?P<label>[0-3]\+?)\.\w+$"),
    Pattern("retinopathy of prematurity (Ostrava)",
            r"(^|/)(?P<patient>\d{3})_[FM]_GA\d+_BW\d+_PA\d+_DG(?P<label>\d+)_"),
    Pattern("TCGA", r"(?P<patient>TCGA-\w\w-\w{4})"),
    Pattern("LIDC-IDRI", r"(?P<patient>LIDC-IDRI-\d{4})"),
    Pattern("DDSM", r"(^|/)(?P<patient>[A-D]_\d{4}_1)\.(?P<view>(LEFT|RIGHT)_(CC|MLO))"),
    Pattern("BraTS", r"(^|/)(?P<patient>BraTS\w*?_\d{3,5})[^/]*$"),
    Pattern("photographs of two eyes (EyePACS, ODIR)", r"(^|/)(?P<patient>\d+)_(?P<view>left|right)\.\w+$", weak=True),
    Pattern("photographs of two eyes", r"(^|/)(?P<patient>[A-Za-z]*\d+)[_ -]?(?P<view>OD|OS)\.\w+$", weak=True),
    Pattern("numbered patients", r"(?i)(^|[/_-])(?P<patient>(patient|subject|subj|person|pat|pt)[ _-]?\(?\d+\)?)(?!\d)[^/]*$",
            weak=True),
)


def read_name(path: str, split: str = "") -> tuple[Pattern | None, NameFacts]:
    """Return the first of PATTERNS that fits a path, and what the path says.

    >>> read_name("train/NORMAL/IM-0115-0001.jpeg")[1].patient
    'IM-0115'
    """
    for pattern, search in SEARCHES:
        match = search(path)
        if match:
            groups = match.groupdict()
            if pattern.pairs:
                groups["patient"] = str((int(groups["patient"]) + 1) // 2)
            if groups.get("label") in pattern.labels:
                groups["label"] = pattern.labels[groups["label"]]
            return pattern, NameFacts.of(groups, f"{split}/" if pattern.restarts and split else "")
    return None, NameFacts()


SEARCHES = [(pattern, re.compile(pattern.regex).search) for pattern in PATTERNS]


def read_names(paths: list[str], splits: list[str]) -> tuple[list[NameFacts], list[tuple[Pattern, int]]]:
    """Return what each path says by the known PATTERNS, and how many paths each of those fits."""
    matches = [read_name(path, split) for path, split in zip(paths, splits)]
    counts = Counter(id(pattern) for pattern, _ in matches)
    used = [p for p in PATTERNS if counts[id(p)] and not (p.weak and 2 * counts[id(p)] < len(paths))]
    kept = set(map(id, used))
    facts = [fact if id(pattern) in kept else NameFacts() for pattern, fact in matches]
    return facts, [(pattern, counts[id(pattern)]) for pattern in used]


GENERIC = (      # pattern, how it is said; offered where no name is known, never taken by itself
    (r"(^|/)(?P<patient>[^/]+)[_-][^/_-]+$", "what stands before the last _ or -"),
    (r"(^|/)(?P<patient>[^/_-]+)[_-][^/]+$", "what stands before the first _ or -"),
    (r"(^|/)(?P<patient>[A-Za-z]*\d+)[^/\d][^/]*$", "the first number"),
)


def offer_groups(paths: list[str]) -> list[tuple[str, str, int]]:
    """Return (pattern, its words, number of groups) for parts of the names that several images share."""
    offers = []
    for pattern, words in GENERIC:
        found = [match["patient"] for match in map(re.compile(pattern).search, paths) if match]
        groups = len(set(found))
        if len(found) >= 0.9 * len(paths) and 5 <= groups <= 0.7 * len(paths) and groups not in (n for _, _, n in offers):
            offers.append((pattern, words, groups))
    return offers


PREFIX = re.compile(r"^(?![0-9a-f-]{12,}\.)(?P<label>[^\W\d_]+(?:[ _-][^\W\d_]+)*)[ _.-]*\(?\d+[^/]*$")
SUFFIX = re.compile(r"(^|(?<=/))\d+[ _-](?P<label>[A-Za-z]{1,12})(?=\.\w+$)")
NO_LABELS = {"img", "image", "images", "dsc", "dscn", "scan", "frame", "slice", "file", "picture", "photo", "pic", "page", "p",
             "patient", "subject", "case", "im", "i", "x", "cxr", "train", "test", "val"}


def label_prefixes(paths: list[str], learned: list[str] = ()) -> list[str]:
    """Return the first word of each file's name as its label ("cat.17.jpg" -> "cat"), or
    the letters behind its number ("17_N.png" -> "N"); [] where those are no labels.

    They are where every name has one before a number, there are 2 to 20 different ones, and each has two images at least.

    Args:
        learned: where given, these paths tell which labels there are; others have "" (V1.jpg of validation: its class is unknown)
    """
    known = learned or paths
    search = _find_prefix
    found = list(map(search, known))
    if not any(found):
        search = SUFFIX.search
        found = list(map(search, known))
        if not _tell_images_apart(known, found):
            return []
    counts = Counter(match["label"] if match else "" for match in found)
    if not _may_be_labels(counts):
        return []
    return [match["label"] if match and match["label"] in counts else "" for match in map(search, paths)]


def _find_prefix(path: str) -> re.Match | None:
    return PREFIX.match(path.rpartition("/")[2])


def _tell_images_apart(paths: list[str], found: list[re.Match | None]) -> bool:
    """Return whether names differ without their labels too, as in 1_A, 2_N: 1_a and 1_b are two images of one patient."""
    stems = {(path.rpartition("/")[0], match[0][:match.start("label") - match.start()])
             for path, match in zip(paths, found) if match}
    return len(stems) == len(paths)


def _may_be_labels(counts: Counter) -> bool:
    """Return whether words are labels by their number, and by what they are: not "img" or "left"."""
    if not 2 <= len(counts) <= 20 or min(counts.values()) < 2 or "" in counts:
        return False
    letters = max(map(len, counts)) == 1 and len(counts) > 2      # H, N and P are classes; P alone is a patient
    return letters or not (NO_LABELS | VIEWS) & {label.lower() for label in counts}


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
        raise invalid("has none of the groups (?P<patient>...), (?P<study>...), (?P<view>...) and (?P<label>...)")


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
