"""Which level of folders is the class, the split, the patient: decided by looking at all levels at once.

    Training/glioma/p01/1.png        split / class / patient
    IDC/8863/0/8863_x1.png           (around everything) / patient / class
    images_001/images/1.png          part of a download / (around everything)

A level is all folders of the same depth. Its names, how many images each holds and which of them repeat under each other tell
what it is. Every decision is a role that a person sees and can change.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import lru_cache

SPLIT_WORDS = {"train": "train", "training": "train", "trn": "train", "val": "val", "valid": "val", "validation": "val",
               "dev": "val", "validate": "val", "tuning": "val", "test": "test", "testing": "test", "tst": "test",
               "holdout": "test", "trainval": "train", "eval": "val", "evaluation": "val", "treino": "train", "teste": "test",
               "validacao": "val", "validação": "val", "entrenamiento": "train", "prueba": "test", "validacion": "val",
               "validación": "val"}
UNLABELLED = {"pred", "preds", "predict", "prediction", "predictions", "unlabeled", "unlabelled", "case", "cases"}
FILLERS = {"set", "sets", "data", "dataset", "image", "images", "img", "imgs", "folder", "split", "x", "xray", "xrays", "png",
           "jpg", "jpeg", "cls", "original", "originals", "raw", "final", "new"}
CONTAINERS = {"image", "images", "img", "imgs", "data", "dataset", "datasets", "set", "sets", "folder", "folders", "archive",
              "files", "png", "jpg", "jpeg", "photos", "cohort", "center", "centre", "site", "hospital", "source"}
NO_CLASS = CONTAINERS | {"raw", "processed", "preprocessed", "original", "originals", "enhanced", "cropped", "resized",
                         "filtered", "augmented", "real", "synthetic", "generated", "clahe"}
PARTS = CONTAINERS | {"part", "batch", "chunk", "zip", "volume", "subset", "fold", "tar", "download"}
ORDINALS = {"first", "second", "third", "fourth", "fifth"}
GRADES = {"grade", "class", "stage", "level", "type", "kl", "birads", "score", "degree", "category", "cat", "label", "g", "c",
          "mayo"}
PEOPLE = {"patient", "patients", "pat", "pt", "p", "pid", "person", "subject", "subj", "sub", "case", "id", "participant",
          "volunteer", "donor", "slide"}
STUDIES = {"study", "exam", "visit", "session", "ses", "series", "scan", "timepoint", "accession"}
VIEWS = {"left", "right", "l", "r", "od", "os", "ap", "pa", "lat", "lateral", "frontal", "cc", "mlo", "rcc", "lcc", "rmlo",
         "lmlo", "axial", "coronal", "sagittal"}
FINDINGS = {"normal", "abnormal", "benign", "malignant", "positive", "negative", "healthy", "disease", "diseased", "pneumonia",
            "covid", "covid19", "cancer", "tumor", "tumour", "notumor", "melanoma", "glioma", "fracture", "fractured",
            "tuberculosis", "yes", "no", "infected", "uninfected", "parasitized", "nodule", "cyst", "stone", "glaucoma",
            "cataract", "effusion", "edema", "mild", "moderate", "severe", "control", "controls", "nevus", "adenocarcinoma",
            "carcinoma", "hernia", "mass", "cardiomegaly", "atelectasis", "infiltration", "demented", "nondemented", "drusen",
            "survived", "died", "pos", "neg"}
SEQUENCES = {"flair", "t1", "t1w", "t1ce", "t1wce", "t1gd", "t2", "t2w", "dwi", "adc", "swi", "pd"}
STAINS = {"he", "h&e", "ihc", "her2", "ki67", "er", "pr", "pas", "masson", "trichrome"}
ROLES = {"class": "class", "split": "split", "patient": "patient", "study": "study", "view": "view", "part": "part of a download",
         "other": "another grouping", "around": "not used"}
MOST_YEARS = 150
FEW = 12        # numbered folders up to this many may be classes


@dataclass
class Level:
    """All folders of one depth.

    Args:
        names: name -> images below folders of this name
        role: a key of ROLES
    """

    names: Counter
    role: str = ""

    def shown(self, most: int = 4) -> str:
        """Return some of its names, for a sentence."""
        names = [name for name, _ in self.names.most_common(most)]
        return ", ".join(sorted(names)) + (f" and {len(self.names) - most:,} more" if len(self.names) > most else "")


def read_levels(folders: Counter, chosen: tuple[str, ...] = ()) -> list[Level]:
    """Return what each level of folders is.

    Args:
        folders: (name of the outermost folder, ..., name of the innermost) -> images in it
        chosen: roles that a person has chosen, from the outermost level on; "" is guessed
    """
    levels = _levels_of(folders, chosen)
    splits = {k: found for k, level in enumerate(levels) if (found := splits_of(list(level.names)))}
    at = next(iter(splits), None)
    train = Counter({f: n for f, n in folders.items() if at is not None and len(f) > at and splits[at][f[at]] == "train"})
    learned = [level.role for level in _decided(_levels_of(train, chosen), train)] if 0 < len(train) < len(folders) else []
    if "class" not in learned:
        loose = [name for folder in train for name in folder[at + 1:]]
        if loose and all(_is_loose(name) and not name.isdecimal() for name in loose):      # Train/image, Test/CVC-300/images
            for level in levels[at + 1:]:
                level.role = level.role or ("other" if len(level.names) > 1 else "around")
        return _decided(levels, folders)
    for k, level in enumerate(levels):      # folders of training say what the levels are: those of test may have no classes
        level.role = level.role or ("split" if k in splits else learned[k] if k < len(learned) else "other")
    return levels


def without_class(folders: Counter) -> set[tuple]:
    """Return the folders of `read_levels` that are in no class: "pred" and "Test cases" beside classes, "Original Images"
    beside "Patches/abnormal" and "Patches/normal"."""
    below = defaultdict(set)
    for folder in folders:
        for k in range(len(folder)):
            below[folder[:k]].add(folder[k])

    def is_rest(name: str) -> bool:
        words = {w for w in words_of(name) if w not in FILLERS and not w.isdecimal()}
        return bool(words - {"case", "cases"}) and all(SPLIT_WORDS.get(w, "train") != "train" or w in UNLABELLED for w in words)

    trains, proper, parted = {}, {}, {}      # of a folder, the names inside that are training, classes, divided further
    for parent, names in below.items():
        trains[parent] = {name for name in names if splits_of([name]).get(name) == "train"}
        proper[parent] = {name for name in names if not (is_rest(name) or _is_loose(name))}
        parted[parent] = {name for name in names if len(below.get((*parent, name), ())) > 1}
    found = set()
    for folder in folders:
        parent, name = folder[:-1], folder[-1] if folder else ""
        if folder in below or len(below[parent]) < 2 or trains[parent] - {name}:
            continue
        if is_rest(name) and proper[parent] or _is_loose(name) and parted[parent] - {name}:
            found.add(folder)
    return found


def _is_loose(name: str) -> bool:
    return bool(words_of(name)) and all(w in FILLERS or w in CONTAINERS or w.isdecimal() for w in words_of(name))


def _levels_of(folders: Counter, chosen: tuple[str, ...]) -> list[Level]:
    depth = max(map(len, folders), default=0)
    levels = []
    for k in range(depth):
        names = Counter()
        for parts, count in folders.items():
            if len(parts) > k:
                names[parts[k]] += count
        levels.append(Level(names, chosen[k] if k < len(chosen) else ""))
    return levels


def _decided(levels: list[Level], folders: Counter) -> list[Level]:
    """Give each level without a role one."""
    open_levels = [k for k, level in enumerate(levels) if not level.role]
    for k in open_levels:
        levels[k].role = _plain_role(levels, k, folders)
    candidates = [k for k in open_levels if levels[k].role == ""]
    if "class" not in (level.role for level in levels):
        best = _class_level(levels, candidates, folders)
        if best is not None:
            levels[best].role = "class"
    has_class = [k for k, level in enumerate(levels) if level.role == "class"]
    for k in candidates:
        if levels[k].role == "":      # many names above few that repeat below each of them: people
            above = has_class and k < has_class[0] and len(levels[k].names) > FEW
            levels[k].role = "patient" if above or has_class and _are_codes(k, folders) else "other"
    splits = [k for k, level in enumerate(levels) if level.role == "split" and len(level.names) > 1]
    for k in open_levels:             # the same names in training and in test: those are no people
        if levels[k].role == "patient" and not has_class and splits and splits[0] < k and _repeats(k, folders) == 1.0 and not any(
                PEOPLE & {*words_of(name)} for name in levels[k].names):
            levels[k].role, has_class = "class", [k]
    people = [k for k in open_levels if levels[k].role == "patient"]
    for k in people[1:]:              # numbers within numbers: the studies of a patient
        levels[k].role = "study"
    return levels


def _plain_role(levels: list[Level], k: int, folders: Counter) -> str:
    """Return the role that shows from the names of one level; "" where it may be the class."""
    names = list(levels[k].names)
    words = [words_of(name) for name in names]
    if splits_of(names):
        return "split"
    if len(names) == 1 or all(len(p) <= k or k and p[k] == p[k - 1] for p in folders):
        return "around"
    if all(w and w[0] in STUDIES for w in words) or all(re.fullmatch(r"study\d+\w*", n.lower()) for n in names):
        return "study"
    plain = {name.lower() for name in names}
    below_people = k and not splits_of(list(levels[k - 1].names))      # train/T1 and train/FLAIR may be classes
    if all(" ".join(w) in VIEWS for w in words) or below_people and plain <= SEQUENCES and plain - {"t1", "t2"}:
        return "view"
    if all(re.fullmatch(r"\d+ ?x", name.lower()) for name in names):      # magnifications
        return "other"
    if _are_parts(names):
        return "part"
    return "patient" if looks_like_ids(names) else ""


def _class_level(levels: list[Level], candidates: list[int], folders: Counter) -> int | None:
    """Return the level of the classes: the outermost candidate, unless a deeper one is plainly more like it."""
    named = [k for k in candidates if not all(words_of(n)[-1:] and words_of(n)[-1] in NO_CLASS for n in levels[k].names)]
    candidates = named or candidates
    if not candidates:
        return None
    first, last = candidates[0], candidates[-1]
    common = set.intersection(*(set(words_of(name)) for name in levels[first].names)) - GRADES
    if len(candidates) > 2 and common and not _like_findings(levels[first]) and _stand_once(last, folders):
        return last           # lower-gi-tract/pathological-findings/polyps: a tree of classes, named at its ends
    for k in candidates[1:]:
        if _like_findings(levels[k]) >= 0.5 > _like_findings(levels[first]) and _repeats(k, folders) >= 0.5:
            return k
        if all(map(str.isdecimal, levels[first].names)) and _repeats(k, folders) >= 0.5 and all(
                words_of(name)[:1] and words_of(name)[0] in GRADES for name in levels[k].names):
            return k          # 1/Mayo 0, 1/Mayo 1, 2/Mayo 0: grades below numbers
        few, many = sorted((len(levels[first].names), len(levels[k].names)))
        if few < many == len(levels[k].names) and common and _repeats(k, folders) == 1.0 and not _like_findings(levels[first]):
            return k          # all names below each of fewer that share a word: sources above classes
        if len(levels[first].names) > FEW >= len(levels[k].names) and _repeats(k, folders) >= 0.6:
            return k
    return first


def _are_codes(k: int, folders: Counter) -> bool:
    """Return whether names of a level below the classes are codes of people or lesions, each in one folder: many that are as
    long as each other, or a letter and a number."""
    names = {folder[k] for folder in folders if len(folder) > k}
    if len(names) >= 6 and _stand_once(k, folders) and all(re.fullmatch(r"[A-Za-z]{1,2}\d+", name) for name in names):
        return True
    return FEW < len(names) and _stand_once(k, folders) and len(set(map(len, names))) == 1 and all(
        re.fullmatch(r"[A-Z0-9]{2,12}", name) for name in names)


def _stand_once(k: int, folders: Counter) -> bool:
    """Return whether each name of level k is in one folder only."""
    above = {folder[:k + 1] for folder in folders if len(folder) > k}
    return len(above) == len({folder[k] for folder in above})


def _like_findings(level: Level) -> float:
    plain = {"".join(words_of(name)) for name in level.names}
    if any(denied(name) & plain for name in level.names):      # anemic and non-anemic
        return 1.0
    return sum(bool(FINDINGS & {*words_of(name), "".join(words_of(name))}) for name in level.names) / len(level.names)


def _repeats(k: int, folders: Counter) -> float:
    """Return the share of folders above level k in which an average name of that level stands; 0 where there is but one."""
    below = defaultdict(set)
    for parts in folders:
        if len(parts) > k:
            below[parts[:k]].add(parts[k])
    names = set().union(*below.values())
    return sum(map(len, below.values())) / len(names) / len(below) if len(below) > 1 else 0.0


@lru_cache(50_000)
def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a name in lower case, numbers too: "a. TrainingSet_2" -> ("a", "training", "set", "2")."""
    return tuple(word.lower() for word in re.findall(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+(?![^\W\d_A-Z])|\d+", name))


def denied(name: str) -> set[str]:
    """Return what a name may say there is none of: "notumor" -> {"tumor", "umor"}."""
    plain = "".join(words_of(name))
    return {plain.removeprefix(no) for no in ("non", "not", "no", "without", "un") if plain.startswith(no)} - {""}


def splits_of(names: list[str]) -> dict[str, str]:
    """Return name -> "train", "val" or "test" where all names say one and differ in nothing else; {} otherwise.

    >>> splits_of(["a. Training Set", "b. Testing Set"]), splits_of(["train", "tumour"])
    ({'a. Training Set': 'train', 'b. Testing Set': 'test'}, {})
    """
    found, rests = {}, set()
    for name in names:
        words = words_of(name)
        split = {SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS}
        if len(split) != 1 and split != {"train", "val"}:
            return {}
        found[name] = "train" if "train" in split else split.pop()
        rests.add(tuple(w for w in words if w not in {*SPLIT_WORDS, *FILLERS, "and"} and not w.isdecimal() and len(w) > 1))
    plain = {name for name in names if name.lower() in SPLIT_WORDS}      # TRAIN, TEST and TEST_SIMPLE
    return found if len(rests) == 1 or len(plain) > 1 else {}


def _are_parts(names: list[str]) -> bool:
    """Return whether names are the parts of a download: images_001 and images_002, part1 and part2."""
    words = [words_of(name) for name in names]
    if all(set(each) & CONTAINERS and all(w in CONTAINERS | {"master", "main"} or w.isdecimal() for w in each) for each in words):
        return True
    if all(each[0] in CONTAINERS and re.fullmatch(r"\w+[ _-][A-Z]\d+", name) for each, name in zip(words, names) if each):
        return True      # images_C1 in data_C1: centres
    if all(each[-1:] in (("set",), ("part",)) and set(each[:-1]) <= ORDINALS for each in words):
        return True
    ranges = sorted((int(m[1]), int(m[2])) for m in (re.fullmatch(r"(\d+) ?[-_] ?(\d+)", name) for name in names) if m)
    follow = all(b == end + 1 for (_, end), (b, _) in zip(ranges, ranges[1:]))
    if 1 < len(ranges) == len(names) and follow and ranges[-1][1] > MOST_YEARS:
        return True      # 1-1000, 1001-2000; but 18-20, 21-30 are ages
    stems = {tuple(w for w in each if not w.isdecimal()) for each in words}
    numbered = all(each and (each[-1].isdecimal() or len(each[-1]) == 1) for each in words)
    return numbered and len(stems) == 1 and any(w in PARTS for w in next(iter(stems)))


def looks_like_ids(names: list[str]) -> bool:
    """Return whether names are those of patients: numbers of one form, other than a few small ones, which are grades.

    >>> looks_like_ids(["patient1", "patient2"]), looks_like_ids(["8863", "8864"]), looks_like_ids(["0", "1", "2"])
    (True, True, False)
    >>> looks_like_ids(["grade 1", "grade 2"]), looks_like_ids(["1NonCOVID", "2COVID"])
    (False, False)
    """
    if all(re.fullmatch(r"[1-9]\d*0", name) for name in names) and len(names) <= FEW:      # sizes or magnifications
        return False
    if len(names) > 1 and all(re.fullmatch(r"(?=.*\d)[0-9a-f-]{12,}", name.lower()) for name in names):
        return True
    if len(names) > 1 and sum(bool(re.search(r"\d{3}", name)) for name in names) >= 0.8 * len(names):
        return not {"grade", "class"} & set(words_of(names[0])) and not _are_counted(names)
    shapes = Counter(_shape(name) for name in names)
    stems = {re.sub(r"\W*#$", "", shape) for shape, count in shapes.items() if count > 1 and re.fullmatch(r"[a-z]+\W*#", shape)}
    if 1 < len(stems) == len(shapes) and stems & FINDINGS:      # normal1, normal2, amd1: the class and the patient
        return True
    shape, count = shapes.most_common(1)[0]
    if "#" not in shape or count < 0.8 * len(names) or len(names) < 2:
        return False
    words = [w for w in re.findall(r"[^\W\d_#]+", shape)]
    if words and words[0] in PEOPLE:
        return True
    if words and words[0] in GRADES and len(names) <= FEW:
        return False
    return len(names) > FEW


def _are_counted(names: list[str]) -> bool:
    """Return whether a few names say different things in words, beside any number: classes with how many images each holds.

    >>> _are_counted(["Normal 1341", "Pneumonia 3875"]), _are_counted(["TCGA-CS-4941", "TCGA-DU-5849"])
    (True, False)
    """
    words = [{word for word in words_of(name) if not word.isdecimal()} for name in names]
    said = {" ".join(sorted(w for w in each - set.intersection(*words) if len(w) > 3)) for each in words}
    return len(names) <= FEW and len(said) == len(names) and "" not in said


def _shape(name: str) -> str:
    """Return a name with # for each number; a hexadecimal or unique identifier is one number."""
    name = name.lower().strip()
    if re.fullmatch(r"[0-9a-f-]{12,}|[\d.]{10,}", name):
        return "#"
    return re.sub(r"\d+", "#", re.sub(r"(?<=\d)[a-z]{1,2}(?![a-z])", "", name))
