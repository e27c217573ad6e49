"""Words in the names of folders, and the words that a name is made of."""

from __future__ import annotations

import re
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
FEW = 12        # numbered folders up to this many may be classes


@lru_cache(50_000)
def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a name in lower case, numbers too: "a. TrainingSet_2" -> ("a", "training", "set", "2")."""
    return tuple(word.lower() for word in re.findall(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+(?![^\W\d_A-Z])|\d+", name))


def denied(name: str) -> set[str]:
    """Return what a name may say there is none of: "notumor" -> {"tumor", "umor"}."""
    plain = "".join(words_of(name))
    return {plain.removeprefix(no) for no in ("non", "not", "no", "without", "un") if plain.startswith(no)} - {""}
