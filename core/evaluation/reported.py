"""Published numbers of the reports beside those of a run, with known problems of the published ones.

    closest(config)        the recipe that a run's settings come nearest to, and where they differ
    side_by_side(run, ..)  a row for each published number: its own interval where n is known, the run's
    number and interval
    NOTES                  recipe or report -> known problems

Nothing is opened here: test is used if it has been opened, otherwise validation.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from core.config import KNOBS, RunConfig
from core.datasets.mura import PARTS
from core.evaluation.predictions import Predictions, load_predictions
from core.metrics import METRICS, Sample, wilson_interval
from core.metrics.functions import none_for_nan
from core.metrics.resampling import degrees_of_freedom, limits, resample
from core.runs.names import network_title
from core.runs.recipe_datasets import is_kind, is_simulated, parts_of, targets_of
from core.runs.recipes import RECIPES, SETTINGS, Recipe, changes_of
from core.runs.store import Run

DRAWS = 400              # of the bootstrap: these intervals are read by eye

# Images that a printed number was made of: (report, what) or report -> n. MURA's official validation lists,
# MedMNIST v2's test parts; R004's four counts say it themselves.
PRINTED_N = {"R000": 2580, "R001": 3197, "pathmnist": 7180, "chestmnist": 22433, "dermamnist": 2005,
             "octmnist": 1000,
             "pneumoniamnist": 624, "retinamnist": 400, "breastmnist": 156, "organamnist": 17778,
             "organcmnist": 8268,
             "organsmnist": 8829}

SEVERAL = {"chestmnist"}         # several findings per image: their accuracy has no Wilson interval

# What a careful reader finds. Shares of patients on both sides are means over many random splits of MURA's
# lists.
NOTES: Mapping[str, tuple[str, ...]] = {
    "R000": (
        "Split by image: 88 % of the test images show a patient who is also in training. A split by patient gives lower numbers.",
        "49 and 42 errors on 2,580 images do not differ significantly (p = 0.53), and each network was trained once.",
        "Only accuracy is published, though there are 2.0 times as many wrists as elbows.",
        "Elbow against wrist is an easy task: compare with the logistic regression on 16 x 16 pixels.",
        "1 error on 1,289 validation images but 49 on 2,580 test images (p = 6e-8): patients in several splits cannot explain "
        "that. Perhaps test was preprocessed otherwise than validation.",
        "MURA's normal studies are not all normal: Better-MURA relabels 496 of their training images, mostly for implants."),
    "R001": (
        "Validation was split by image, so 96 % of it show a patient who is also in training; the test set is clean.",
        "The network was chosen on the test set: the best of many there is worse on new patients.",
        "Seven rows are named after one body part but fit only all 3,197 test images: each was evaluated on all parts.",
        "Kappa is by image; MURA's own is by study, the mean over its views.",
        "The AUC is of both columns together, as Keras counts it, and precision, recall and F1 are macro averages.",
        "With 3,197 images an AUC has an interval of about +-0.016: 0.773, 0.772 and 0.764 do not differ "
        "significantly.",
        "Its tables contradict each other: the forearm has batches of 16 in one and of 4 in the other, DenseNet-201 an accuracy "
        "of .724 and of .725.",
        "About half of MURA's abnormal images show plates, drawn marks or plaster (Pure-MURA), which a network may read instead "
        "of the bone. The paper's own network reaches an AUROC of .929, a sensitivity of .815 and a specificity of .887."),
    "r001-cnn": (
        "A loss of 0.686 is close to guessing, ln 2 = 0.693. Its pooling with stride 1 does not "
        "downsample.",),
    "r001-densenet201-augmented": (
        "Its accuracy is given as .703 and as 0.73; the second is inconsistent with its other numbers.",),
    "R002": (
        "One run each, without intervals; BreastMNIST has 156 test images.",
        "Its first layers are made for large images: 28 pixels shrink to one.",
        "ChestMNIST: always predicting no finding has an accuracy of 94.7 %, so accuracy is meaningless there.",
        "RetinaMNIST has ordered grades; quadratic kappa would show how far off a prediction is.",
        "It concludes that a larger network helps most where images are few, and that many images make it overfit. That is the "
        "wrong way round, and none of its experiments supports it.",
        "The caption of its second table says ResNet-18 for both networks, and one table is printed three times."),
    "r002-resnet18": ("BreastMNIST: 114 of 156 is the majority class. The network predicts nothing else (AUC 0.496).",),
    "r002-resnet18-simple": ("BreastMNIST: 0.647 is below the majority class, 0.731.",),
    "r002-resnet50": ("0.86335, 0.71334, 0.87512 and 0.77201 are not a whole number of their test images.",),
    "r002-resnet50-simple": ("On BreastMNIST its own augmentation costs 0.27 of AUC.",),
    "R004": (
        "Always predicting survival is correct for 248 of 278 (0.892), more than any of its networks.",
        "30 deaths cannot rank the networks: the interval of an F1 of 0.33 is 0.21 to 0.46.",
        "It was evaluated on the images that chose the epoch, and not by patient.",
        "Its threshold is fixed at 0.5 despite the imbalance of 30 to 248; no AUC is published.",
        "Those who died are in a folder called covid. An X-ray does not show age or other diseases, which decide much, and a "
        "network may recognise the scanner instead.",
        "Its survey gives 98 % +- 2.7 % on 100 images, which passes 100 %: that is Wald's interval, Wilson's is 93.0 to 99.4 %. "
        "All networks have this sensitivity, because each threshold was set for it."),
    "r004-cut-2": ("Its four counts sum to 279, one more than there are images.",),
    "r004-survey": ("Twelve settings lie between 0.8846 and 0.9038; the best was chosen on the images that report it.",),
}


@dataclass(frozen=True)
class Side:
    """One published number and the corresponding one of a run; None where one of them is missing.

    Args:
        what: of the report: a data set, a part of the body, "test", "validation"
        title: of the metric
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


# Published name -> (title, key of METRICS or None where a run has no such number).
MEASURES = {
    "accuracy": ("Accuracy", "accuracy"), "roc_auc": ("ROC AUC", "roc_auc"),
    "loss": ("Cross-entropy", "loss"),
    "f1": ("F1 (class 1)", "f1"), "macro_f1": ("Macro F1", "macro_f1"),
    "cohen_kappa": ("Cohen's kappa", "cohen_kappa"),
    "macro_recall": ("Macro recall", "balanced_accuracy"), "macro_precision": ("Macro precision", "macro_precision"),
    "val_accuracy": ("Validation accuracy", None), "val_roc_auc": ("Validation ROC AUC", None),
    "train_accuracy": ("Training accuracy", None), "train_loss": ("Training loss", None),
}
COUNTS = ("true_positives", "false_negatives", "false_positives", "true_negatives")


def closest(config: RunConfig, keys: Collection[str] = RECIPES) -> tuple[str, bool, list[str]]:
    """Return (recipe, whether without its mistakes, dotted fields that differ) of the recipe closest to a
    run.

    Args:
        keys: of the recipes to choose from, one of a report at least
    """
    best = None
    for key, recipe in RECIPES.items():
        if not recipe.report or key not in keys:
            continue
        for right in (False, True) if recipe.corrections else (False,):
            differing = differences(config, key, right)
            # another network is another experiment
            network = config.model.name != changes_of(key)["model.name"]
            if best is None or (network, len(differing)) < best[0]:
                best = (network, len(differing)), key, right, differing
    return best[1:]


def differences(config: RunConfig, key: str, right: bool = False) -> list[str]:
    """Return the dotted fields in which a run differs from a recipe."""
    wanted = changes_of(key, right)
    return [name for name in SETTINGS if config.get(name) != wanted[name]]


def in_words(config: RunConfig, key: str, right: bool = False) -> list[str]:
    """Return "Epochs 5 instead of 100" for each setting in which a run differs from a recipe."""
    wanted = changes_of(key, right)
    return [f"{KNOBS[name].label} {_plain(name, config.get(name))} instead of {_plain(name, wanted[name])}"
            for name in differences(config, key, right)]


def _plain(name: str, value: object) -> str:
    return network_title(value) if name == "model.name" else str(value)


def notes_of(key: str) -> tuple[str, ...]:
    """Return known problems of the numbers that a recipe's report published: of this row first, then of the
    report."""
    return (*NOTES.get(key, ()), *NOTES.get(RECIPES[key].report, ()))


def comparable(recipe: Recipe, dataset: str, title: str = "", only: str = "") -> list[str]:
    """Return the rows of a recipe's published numbers that are comparable with a run on a data set.

    R002 has a number for each set of MedMNIST: only that of the same set, by its name or by the title of its
    file. A row of R001 of one part of the body: a run of that part alone, and the row of all parts a run of all. The images of
    the other reports are not public or not here; theirs are shown beside any run, and the page names the run's own images.
    """
    if recipe.report == "R001":
        parts = parts_of(dataset, only)
        of_run = parts[0] if len(parts) == 1 else "all" if len(parts) in (0, len(PARTS)) or is_simulated(dataset) else ""
        return [what for what in recipe.reported if what.partition(",")[0] == of_run]
    if not set(recipe.reported) <= PRINTED_N.keys():
        return list(recipe.reported)
    file = Path(dataset).name.lower()
    return [what for what in recipe.reported if what in (dataset, title.lower())
            or file.endswith(".npz") and file.startswith(what.removesuffix("mnist"))]


def of_other_images(recipe: Recipe, dataset: str, title: str = "") -> bool:
    """Return whether a set is certainly not the one that a report used: then the numbers are not comparable.

    MURA is known by its folders, a set of MedMNIST by its name. Any X-rays may be those of R004's hospital,
    but for public sets.
    """
    phantom = is_simulated(dataset)
    if recipe.needs == "mura":
        return phantom or not targets_of(dataset)
    return phantom or is_kind("medmnist", dataset) if recipe.needs == "covid" else not comparable(recipe,
                                                                                                  dataset,
                                                                                                  title)


def side_by_side(key: str, run: Run | None) -> tuple[list[Side], str]:
    """Return every number that a recipe's report published, with the run's own.

    Args:
        run: None gives the published numbers alone

    Returns:
        (rows, the run's split: "test" or "val", "" without any)
    """
    recipe = RECIPES[key]
    found, split = (None, "") if run is None else _stored(run)
    own = _estimated(run, found, {name for row in recipe.reported.values() for name in row}) if found else {}
    rows = []
    data = run.config.data if run else None
    rows_of_set = comparable(recipe, data.dataset, run.data().get("title", ""), data.only) if found else ()
    for what in rows_of_set or recipe.reported:
        printed = recipe.reported[what]
        n = PRINTED_N.get(what, PRINTED_N.get(recipe.report))
        if set(COUNTS) <= printed.keys():
            printed, n = _with_rates(printed), int(sum(printed[name] for name in COUNTS))
        for name in (name for name in MEASURES if name in printed):
            limits = wilson_interval(printed[name] * n,
                                     n) if n and name == "accuracy" and what not in SEVERAL else None
            value, low, high = own.get(name, (None, None, None)) if what in rows_of_set else (None, None,
                                                                                              None)
            rows.append(Side(what, MEASURES[name][0], printed[name], *(limits or (None, None)), n, value, low,
                             high,
                             len(found.labels) if found and value is not None else None))
    return rows, split


def _with_rates(counts: Mapping[str, float]) -> dict[str, float]:
    """Add the accuracy of R004's four counts."""
    right = counts["true_positives"] + counts["true_negatives"]
    return {"accuracy": right / sum(counts[name] for name in COUNTS), **counts}


def _stored(run: Run) -> tuple[Predictions | None, str]:
    for split in ("test", "val"):
        if (found := load_predictions(run, split)) is not None and len(found.labels):
            return found, split
    return None, ""


def _estimated(run: Run, preds: Predictions, names: set[str]) -> dict[str, tuple]:
    """Printed name -> (value, low, high) on the images that are stored. The most probable class is predicted,
    as in the reports."""
    sample = Sample(preds.labels, preds.probs, run.data()["task"])
    functions = {name: METRICS[metric].function.of_sample for name, (_, metric) in MEASURES.items()
                 if name in names and metric is not None}
    drawn, freedom = resample(sample, preds.patients, functions, draws=DRAWS), degrees_of_freedom(sample,
                                                                                                  preds.patients)
    own = {}
    for name, function in functions.items():
        value = none_for_nan(function(sample))
        if value is not None:
            own[name] = value, *(limits(MEASURES[name][1] or name, value, drawn[name], freedom) or (None,
                                                                                                    None))
    return own
