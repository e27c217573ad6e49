"""Everything in a report, gathered once: of which run, on which split, with which metrics."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from core.config import KNOBS, RunConfig
from core.datasets import DATASETS, Dataset
from core.datasets.medmnist import INFO
from core.datasets.positive import default_positive
from core.datasets.stratify import balanced_weights
from core.errors import LightboxError
from core.evaluation.evaluate import evaluate_predictions, with_data_note
from core.evaluation.predictions import Predictions, load_predictions, ready_dataset
from core.evaluation.run_evaluation import RunEvaluation
from core.metrics import MULTI_LABEL, Estimate
from core.runs.names import network_title
from core.runs.store import Run, versions

SPLIT_WORDS = {"train": "training", "val": "validation", "test": "test"}

# Whom to name when the images are used. A set of one's own has whatever its owner asks for.
MEDMNIST = "Yang J, Shi R, Wei D, et al. MedMNIST v2: a large-scale lightweight benchmark for 2D and 3D biomedical image " \
           "classification. Scientific Data 10:41, 2023."
MURA = "Rajpurkar P, Irvin J, Bagul A, et al. MURA: large dataset for abnormality detection in musculoskeletal radiographs. " \
       "arXiv:1712.06957, 2017."


@dataclass(frozen=True)
class Contents:
    """What a report contains about one run.

    Args:
        split: "test" where it was opened, else "val"
        preds: the stored predictions for it
        result: the evaluation of them
        about: data.json of the run
        records: what the trainer reported
        licence, citation: of the images; "" where they are not known
        versions: program -> version, those of this computer now
        trained_with: the same as the run noted them when it began, where it did
        data: the run's open set, None where it is not at hand
    """
    run: Run
    config: RunConfig
    split: str
    preds: Predictions
    result: RunEvaluation
    about: Mapping
    records: Sequence[Mapping]
    licence: str
    citation: str
    versions: Mapping[str, str]
    trained_with: Mapping[str, str]
    data: Dataset | None = None

    @property
    def epochs(self) -> list[Mapping]:
        return [record for record in self.records if record["kind"] == "epoch"]


def contents(run: Run, split: str = "", data: Dataset | None = None) -> Contents:
    """Gather what a report contains.

    Args:
        split: "val", "test", or "" for test where it was opened, else validation
        data: the run's open set, for patients that old predictions lack and for the logistic baseline; None:
            where it is at hand

    Raises:
        LightboxError: "report.empty" where the run has no predictions, "report.shut" where test is asked for
            and was never opened
    """
    for name in (split,) if split else ("test", "val"):
        found = load_predictions(run, name)
        if found is not None and len(found.labels):
            break
    else:
        if split == "test":
            raise LightboxError("report.shut", "The test set of this run has not been opened.",
                                "Open it on the page Evaluate, or with python -m core evaluate RUN --split "
                                "test; each opening is counted.")
        raise LightboxError("report.empty", "This run has no predictions to report yet.",
                            "Let it finish an epoch, then evaluate it.")
    about = run.data()
    dataset = run.config.data.dataset
    data = ready_dataset(run) if data is None else data
    licence, citation = credits_of(dataset, data)
    result = with_data_note(evaluate_predictions(run, name, found, data), run, found).for_positive(default_positive(about))
    return Contents(run, run.config, name, found, result, about, run.records(), licence, citation,
                    versions(), run.versions, data)


def split_table(what: Contents) -> tuple[list[tuple], bool] | None:
    """Return the images of each class and split, [(class, training, validation, test, total)] with a last row of totals, and
    whether that row is a sum: of several findings it is the images. None where the run noted none and the set is not at hand.
    """
    counts, names, n = what.about.get("counts"), what.about["class_names"], what.about["n"]
    if counts is None and what.data is not None:
        counts = {split: what.data.counts()[split].tolist()[:-1] for split in SPLIT_WORDS}
    if counts is None:
        return None
    rows = [(name, *(int(counts[split][k]) for split in SPLIT_WORDS)) for k, name in enumerate(names)]
    several = what.about["task"] == MULTI_LABEL
    totals = [int(n[split]) if several else sum(counts[split]) for split in SPLIT_WORDS]
    return [(*row, sum(row[1:])) for row in [*rows, ("Total", *totals)]], not several


def class_weights(what: Contents) -> list[tuple[str, int, float, float]] | None:
    """Return (class, training images, scikit-learn's "balanced" weight, weight in the loss) of each class; the balanced one of
    several findings is negatives / positives. None where the counts are not known."""
    found = split_table(what)
    if found is None:
        return None
    rows, _ = found
    if what.about["task"] != MULTI_LABEL:
        labels = np.repeat(np.arange(len(rows) - 1), [row[1] for row in rows[:-1]])
    elif what.data is not None:
        labels = what.data.labels[what.data.indices("train")]
    else:
        return None
    balanced, used = balanced_weights(labels, len(rows) - 1), what.config.train.class_weights
    return [(row[0], row[1], float(weight), float(weight) if used else 1.0) for row, weight in zip(rows, balanced)]


def credits_of(dataset: str, data: Dataset | None = None) -> tuple[str, str]:
    """(licence, citation) of a set, by name or path; "" where it is not known."""
    if dataset in INFO:
        return INFO[dataset].licence, MEDMNIST
    if dataset in DATASETS:
        return DATASETS[dataset].info().licence, "Phantom radiographs, computed by Lightbox; no person was X-rayed."
    name = Path(dataset).name.lower()
    if "mura" in name:
        return (data.licence if data else ""), MURA
    if name.endswith(".npz") and any(name.startswith(key.removesuffix("mnist")) for key in INFO):
        return INFO["pneumoniamnist"].licence, MEDMNIST
    return (data.licence if data else ""), ""


def changed_settings(config: RunConfig) -> list[tuple[str, str, str]]:
    """(dotted field, label, value) of every setting that is not the default, the data set and the name
    apart."""
    return [(name, KNOBS[name].label, network_title(value) if name == "model.name" else str(value))
            for name, value in config.changed().items()
            if name != "data.dataset"]


def settings_json(config: RunConfig) -> str:
    """The whole config, as the run folder keeps it."""
    return json.dumps(asdict(config), indent=2)


def with_interval(one: Estimate) -> str:
    """Return "0.812 (0.750 to 0.860)", without an interval where there is none, or "undefined"."""
    if one.value is None:
        return "undefined"
    return f"{one.value:.3f}" + (f" ({one.low:.3f} to {one.high:.3f})" if one.low is not None else "")
