"""Which of two classes is the positive one, guessed from what their names mean: abnormal, malignant, died, not the second
of the alphabet.

Names are cut into words (NonCOVID -> non, covid). A name is healthy (-1), ill (+1) or says nothing (0): each by the two
lists below and by what negates (no, non, un, without). The iller of the two names is the positive class; of two that are
equally ill the severer, of two numbers the larger. Otherwise nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

HEALTHY = frozenset("""
    normal normals healthy health benign negative negatives neg no none false absent absence control controls ctrl hc cn nc
    survived survival survivor survivors alive living recovered discharged clear clean nevus nevi naevus naevi nv mole moles
    intact background unremarkable stable free hem wildtype wild wt mss nonreferable regular typical good usual physiological
    unaffected empty blank missing symptomless asymptomatic tolerant responder responders response responded low adequate ok bkl
""".split())
ILL = frozenset("""
    abnormal abnormality abnormalities anomaly malignant malignancy positive positives pos yes true present presence died dead
    death deceased fatal fatality expired mortality nonsurvivor parasitized parasitised infected infection infectious infiltrate
    covid covid19 sars corona pneumonia tb tuberculosis tuberculous cancer cancerous disease diseased pathology pathologic
    pathological sick ill illness fracture fractured fractures broken lesion lesions effusion edema oedema pneumothorax nodule
    nodules mass masses hemorrhage haemorrhage bleeding bleed stroke ischemia infarct glaucoma glaucomatous cataract
    retinopathy dr drusen amd cnv dme polyp polyps ulcer ulcers metastasis metastases metastatic relapse relapsed recurrence
    recurrent progression progressive progressed readmitted referable defect defective opacity opacities all ad alzheimer
    alzheimers dementia demented autism autistic asd adhd parkinson parkinsons pd epilepsy seizure hernia fibrosis emphysema
    cardiomegaly bad poor high event case cases affected symptomatic suspicious mutant mutated mut msi msimut msih finding
    findings damage damaged failure failed failing caries carious plaque lupus psoriasis scoliosis osteopenia osteoporotic crc
    diabetic diabetes dysplasia dysplastic atypical irregular melanocytic osteoporosis hcc rcc nsclc idc dcis mel bcc scc akiec
    impaired impairment mci acute invasive perforation perforated torn tear rupture pcos pcod cyst cysts malaria monkeypox mpox
    leprosy sepsis shock complication complications
""".split())
ILL_STEM = re.compile(r"cancer|carcino|tumou?r|malign|melanom|pneumon|tubercul|covid|parasit|fractur|sarcom|lymphom|glioma|"
                      r"glioblast|meningio|leuk[ae]?em|metasta|infect|diseas|patholog|h[ae]*morrhag|arthrit|stenos|nephrit|"
                      r"hepatit|cirrho|dement|abnorm|necro|neoplas|adenom|blastom|myelom")
NEGATION = frozenset(("no", "non", "not", "without", "un", "wo", "never", "lacking", "lacks"))
PREFIXES = ("non", "not", "no", "un")
SEVERITY = (("benign", "malignant"), ("mild", "severe"), ("moderate", "severe"), ("mild", "moderate"), ("low", "high"),
            ("early", "late"), ("early", "advanced"), ("minor", "major"), ("small", "large"), ("bacteria", "virus"),
            ("bacterial", "viral"), ("dry", "wet"), ("primary", "metastatic"), ("adenoma", "carcinoma"),
            ("stable", "progressive"), ("chronic", "acute"))
SHORT = {"b": -1, "m": 1, "n": -1, "p": 1, "f": -1, "t": 1, "-": -1, "+": 1, "y": 1}      # of a pair of single letters
LETTERS = ({"b", "m"}, {"n", "p"}, {"f", "t"}, {"n", "y"}, {"-", "+"}, {"n", "a"}, {"n", "t"}, {"n", "m"}, {"n", "c"})


def guess_positive(names: Sequence[str]) -> int | None:
    """Return the place of the positive one of two classes, 0 or 1; None where their names do not say.

    >>> guess_positive(["Parasitized", "Uninfected"]), guess_positive(["malignant", "normal, benign"])
    (0, 0)
    >>> guess_positive(["0", "1"]), guess_positive(["left", "right"])
    (1, None)
    """
    if len(names) != 2:
        return None
    bare = [name.strip().lower() for name in names]
    if set(bare) in LETTERS:
        ill = [SHORT.get(name, 1) for name in bare]
    else:
        words = _own_words(names)
        ill = [illness(one) for one in words]
        if ill[0] == ill[1]:
            ill = _severity(words) or _numbers(words)
    return None if ill[0] == ill[1] else int(ill[1] > ill[0])


def default_positive(about: Mapping) -> int:
    """Return the positive class of a run from what it noted of its data: the last one, of grades the worst. Of a run that was
    trained before classes were put in order by their meaning, the one that their names say.

    >>> default_positive({"class_names": ["malignant", "normal, benign"]})          # BreastMNIST in its authors' order
    0
    """
    names = about["class_names"]
    guessed = None if "label_edit" in about else guess_positive(names)
    return len(names) - 1 if guessed is None else guessed


def illness(words: Sequence[str]) -> int:
    """Return 1 for the words of an ill name, -1 of a healthy one, 0 where they say neither.

    >>> [illness(name.split()) for name in ("abnormal", "not normal", "no tumor", "notumor", "left")]
    [1, 1, -1, -1, 0]
    """
    negated = len(words) > 1 and not NEGATION.isdisjoint(words)
    said = [value for word in words if not (negated and word in NEGATION) and (value := _of_word(word))]
    said = [-value for value in said] if negated else said
    if negated and not said:
        return -1                          # no X, non-X: X is what is looked for
    if -1 in said:                         # "normal, benign"; "benign tumour"; "negative for malignancy"
        return -1 if said[0] == -1 or "benign" in words else 1
    return 1 if said else -(words == ["n"])      # lung_n beside lung_aca


def _of_word(word: str) -> int:
    if word in HEALTHY:
        return -1
    if word in ILL:
        return 1
    for prefix in PREFIXES:
        if word.startswith(prefix) and (rest := _of_word(word[len(prefix):])):
            return -rest
    return 1 if ILL_STEM.search(word) else 0


def _own_words(names: Sequence[str]) -> list[list[str]]:
    """Return the words of each name; those that both have say nothing, unless nothing else is left of one of them."""
    words = [_words(name) for name in names]
    shared = set(words[0]) & set(words[1])
    own = [[word for word in one if word not in shared] for one in words]
    if all(own):
        return own
    if any(word in NEGATION or _of_word(word) < 0 for one in own for word in one):
        return words                       # "covid" and "no covid"
    return words


def _words(name: str) -> list[str]:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name.replace("w/o", "without"))
    if re.fullmatch(r" *-?\d+(\.\d+)? *", name):
        return [name.strip()]
    whole = re.sub(r"[^a-z0-9.]+", "", name.lower())
    if whole in HEALTHY or whole in ILL:
        return [whole]
    return re.findall(r"[a-z]+|\d+(?:\.\d+)?", spaced.lower())


def _severity(words: Sequence[Sequence[str]]) -> list[int] | None:
    for low, high in SEVERITY:
        for k in (0, 1):
            if low in words[k] and high in words[1 - k]:
                return [k, 1 - k]
    return None


def _numbers(words: Sequence[Sequence[str]]) -> list[float]:
    numbers = [[float(word) for word in one if word[-1].isdigit()] for one in words]
    return [numbers[0][0], numbers[1][0]] if all(len(one) == 1 for one in numbers) else [0, 0]
