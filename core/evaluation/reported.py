"""What the reports printed beside what a run obtained, with what is wrong in the printed numbers.

    closest(config)        the recipe that a run's settings come nearest to, and where they differ
    side_by_side(run, ..)  a row for each printed number: printed, its own interval where n is known, obtained, its interval
    NOTES                  recipe or report -> sentences for a careful reader

Nothing is opened here: test is used where somebody has opened it, otherwise validation, and the rows say which.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.config import KNOBS, RunConfig
from core.evaluation.predictions import Predictions, load_predictions
from core.metrics import METRICS, Sample, precision, wilson_interval
from core.metrics.functions import none_for_nan
from core.metrics.resampling import degrees_of_freedom, limits, resample
from core.runs.recipe_datasets import is_kind, targets_of
from core.runs.recipes import RECIPES, SETTINGS, Recipe, changes_of
from core.runs.store import Run

DRAWS = 400              # of the bootstrap: intervals beside printed numbers are read by eye

# Images that a printed number was made of: (report, what) or report -> n. MURA's official validation lists, MedMNIST v2's
# test parts; R004's four counts say it themselves.
PRINTED_N = {"R000": 2580, "R001": 3197, "pathmnist": 7180, "chestmnist": 22433, "dermamnist": 2005, "octmnist": 1000,
             "pneumoniamnist": 624, "retinamnist": 400, "breastmnist": 156, "organamnist": 17778, "organcmnist": 8268,
             "organsmnist": 8829}

SEVERAL = {"chestmnist"}         # several answers about an image: their share has no Wilson interval

# What a careful reader finds. Shares of patients on both sides are means over many random splits of MURA's lists.
NOTES: Mapping[str, tuple[str, ...]] = {
    "R000": (
        "Split image by image: 88 % of the test images show a patient who is also in training. A split by patient gives less.",
        "49 and 42 mistakes among 2,580 images are no difference (p = 0.53), and each network was trained once.",
        "Only accuracy is printed, though there are 2.0 times as many wrists as elbows.",
        "Telling an elbow from a wrist is easy: put the logistic regression on 16 x 16 pixels beside it."),
    "R001": (
        "Its validation was taken image by image, so 96 % of it show a patient who is also in training; the test set is clean.",
        "The network was chosen on the test set: the best of many on one test set is better there than on new patients.",
        "Seven rows are named after one part of the body but fit only all 3,197 test images: each was scored on all parts.",
        "Kappa is by image; MURA's own is by study, the mean over its views.",
        "The AUC is of both columns together, as Keras counts it, and precision, recall and F1 are macro averages.",
        "With 3,197 images an AUC is sure to about 0.016 either way: 0.773, 0.772 and 0.764 cannot be told apart."),
    "r001-cnn": ("A loss of 0.686 is that of guessing, ln 2 = 0.693. Its pooling with stride 1 makes no map smaller.",),
    "r001-densenet201-augmented": ("Its accuracy stands as .703 and as 0.73; the second does not go with its other numbers.",),
    "R002": (
        "One run each, without intervals; BreastMNIST has 156 test images.",
        "Its first layers are made for large images: of 28 pixels one is left at the end.",
        "ChestMNIST: saying that nobody has anything is right in 94.7 % of the answers. Accuracy means nothing there.",
        "RetinaMNIST has grades in order; quadratic kappa would say how far off an answer is."),
    "r002-resnet18": ("BreastMNIST: 114 of 156 is the more frequent class. The network answers nothing else (AUC 0.496).",),
    "r002-resnet18-simple": ("BreastMNIST: 0.647 is below always giving the more frequent class, 0.731.",),
    "r002-resnet50": ("0.86335, 0.71334, 0.87512 and 0.77201 are no whole number of their test images.",),
    "r002-resnet50-simple": ("On BreastMNIST its own changes of the images cost it 0.27 of AUC.",),
    "R004": (
        "Saying that every patient lives is right in 248 of 278 (0.892), more often than any of its networks.",
        "30 deaths cannot rank the networks: the interval of an F1 of 0.33 reaches from 0.21 to 0.46.",
        "It was judged on the images that chose the epoch, without regard to patients.",
        "Its threshold is fixed at 0.5 and nothing is done about 30 against 248; no AUC is printed."),
    "r004-cut-2": ("Its four counts sum to 279, one more than there are images.",),
    "r004-survey": ("Twelve settings lie between 0.8846 and 0.9038; the best was chosen on the images that report it.",),
}


@dataclass(frozen=True)
class Side:
    """One printed number and its like from a run. Values are None where one side has none.

    Args:
        what: of the report: a data set, a part of the body, "test", "validation"
        title: of the measure
        printed, printed_low, printed_high, printed_n: Wilson's interval for shares of known n
        obtained, low, high, n: of the run, 95 % by patient where patients are known
        inside: whether the printed number lies in the run's interval
    """
    what: str
    title: str
    printed: float
    printed_low: float | None
    printed_high: float | None
    printed_n: int | None
    obtained: float | None
    low: float | None
    high: float | None
    n: int | None

    @property
    def inside(self) -> bool | None:
        return None if self.low is None else self.low <= self.printed <= self.high


def _macro_precision(sample: Sample) -> np.ndarray:
    return precision(sample.counts).mean(axis=-1)


# printed name -> (title, key of METRICS or None). What is not here is only printed: a training of its own would have to tell it.
MEASURES = {
    "accuracy": ("Accuracy", "accuracy"), "roc_auc": ("ROC AUC", "roc_auc"), "loss": ("Cross-entropy", "loss"),
    "f1": ("F1 (class 1)", "f1"), "macro_f1": ("Macro F1", "macro_f1"), "cohen_kappa": ("Cohen's kappa", "cohen_kappa"),
    "macro_recall": ("Macro recall", "balanced_accuracy"), "macro_precision": ("Macro precision", None),
    "val_accuracy": ("Validation accuracy", None), "val_roc_auc": ("Validation ROC AUC", None),
    "train_accuracy": ("Training accuracy", None), "train_loss": ("Training loss", None),
}
COUNTS = ("true_positives", "false_negatives", "false_positives", "true_negatives")


def closest(config: RunConfig, keys: Collection[str] = RECIPES) -> tuple[str, bool, list[str]]:
    """(recipe, whether without its mistakes, dotted fields that differ) of the report's recipe that a run comes nearest to.

    Args:
        keys: of the recipes to choose from, one of a report at least
    """
    best = None
    for key, recipe in RECIPES.items():
        if not recipe.report or key not in keys:
            continue
        for right in (False, True) if recipe.corrections else (False,):
            differing = differences(config, key, right)
            network = config.model.name != changes_of(key)["model.name"]      # another network is another experiment
            if best is None or (network, len(differing)) < best[0]:
                best = (network, len(differing)), key, right, differing
    return best[1:]


def differences(config: RunConfig, key: str, right: bool = False) -> list[str]:
    """Dotted fields of a recipe that a run has otherwise."""
    wanted = changes_of(key, right)
    return [name for name in SETTINGS if config.get(name) != wanted[name]]


def in_words(config: RunConfig, key: str, right: bool = False) -> list[str]:
    """"Epochs 5 instead of 100" for each setting of a recipe that a run has otherwise."""
    wanted = changes_of(key, right)
    return [f"{KNOBS[name].label} {config.get(name)} instead of {wanted[name]}"
            for name in differences(config, key, right)]


def notes_of(key: str) -> tuple[str, ...]:
    """What is wrong in the numbers that a recipe's report printed: of this row first, then of the report."""
    return (*NOTES.get(key, ()), *NOTES.get(RECIPES[key].report, ()))


def comparable(recipe: Recipe, dataset: str, title: str = "") -> list[str]:
    """The rows of a recipe's printed numbers that a run on a data set may stand beside.

    R002 prints a number for each set of MedMNIST: only that of the same set, by its name or by the title of its file. The other
    reports have images that are not public or not here; theirs stand beside any run, and the page names the run's own images.
    """
    if not set(recipe.reported) <= PRINTED_N.keys():
        return list(recipe.reported)
    file = Path(dataset).name.lower()
    return [what for what in recipe.reported if what in (dataset, title.lower())
            or file.endswith(".npz") and file.startswith(what.removesuffix("mnist"))]


def of_other_images(recipe: Recipe, dataset: str, title: str = "") -> bool:
    """Whether a set is certainly not the one that a report used: its numbers and the run's are then of two questions.

    MURA is known by its folders, a set of MedMNIST by its name. Any X-rays may be those of R004's hospital, but for public sets.
    """
    phantom = dataset.startswith("phantom")
    if recipe.needs == "mura":
        return phantom or not targets_of(dataset)
    return phantom or is_kind("medmnist", dataset) if recipe.needs == "covid" else not comparable(recipe, dataset, title)


def side_by_side(key: str, run: Run | None) -> tuple[list[Side], str]:
    """Every number that a recipe's report printed, with the run's own beside it.

    Args:
        run: None gives the printed numbers alone

    Returns:
        (rows, "test" or "val": what the run's numbers are of; "" without any)
    """
    recipe = RECIPES[key]
    found, split = (None, "") if run is None else _stored(run)
    own = _estimated(run, found, {name for row in recipe.reported.values() for name in row}) if found else {}
    rows = []
    beside = comparable(recipe, run.config.data.dataset, run.data().get("title", "")) if found else ()
    for what in beside or recipe.reported:
        printed = recipe.reported[what]
        n = PRINTED_N.get(what, PRINTED_N.get(recipe.report))
        if set(COUNTS) <= printed.keys():
            printed, n = _with_rates(printed), int(sum(printed[name] for name in COUNTS))
        for name in (name for name in MEASURES if name in printed):
            limits = wilson_interval(printed[name] * n, n) if n and name == "accuracy" and what not in SEVERAL else None
            value, low, high = own.get(name, (None, None, None)) if what in beside else (None, None, None)
            rows.append(Side(what, MEASURES[name][0], printed[name], *(limits or (None, None)), n, value, low, high,
                             len(found.labels) if found and value is not None else None))
    return rows, split


def _with_rates(counts: Mapping[str, float]) -> dict[str, float]:
    """R004 prints four counts and F1: the accuracy is theirs."""
    right = counts["true_positives"] + counts["true_negatives"]
    return {"accuracy": right / sum(counts[name] for name in COUNTS), **counts}


def _stored(run: Run) -> tuple[Predictions | None, str]:
    for split in ("test", "val"):
        if (found := load_predictions(run, split)) is not None and len(found.labels):
            return found, split
    return None, ""


def _estimated(run: Run, preds: Predictions, names: set[str]) -> dict[str, tuple]:
    """Printed name -> (value, low, high) on the images that are stored. The most probable class is predicted, as in the reports."""
    sample = Sample(preds.labels, preds.probs, run.data()["task"])
    functions = {name: METRICS[metric].function.of_sample for name, (_, metric) in MEASURES.items()
                 if name in names and metric is not None}
    if "macro_precision" in names and not sample.multi_label:
        functions["macro_precision"] = _macro_precision
    drawn, freedom = resample(sample, preds.patients, functions, draws=DRAWS), degrees_of_freedom(sample, preds.patients)
    own = {}
    for name, function in functions.items():
        value = none_for_nan(function(sample))
        if value is not None:
            own[name] = value, *(limits(MEASURES[name][1] or name, value, drawn[name], freedom) or (None, None))
    return own
