"""What our networks reach on real images: test ROC AUC, accuracy and Cohen's kappa with intervals, beside the majority class.

    python -m bench.results DATA_FOLDER [--only KEY ...] [--seeds 3] [--threads 1] [--precision float32 bfloat16]

DATA_FOLDER holds medmnist/, chest_pneumonia/, knee_oa/, covid_mortality/. Each run is a run of the app, in LIGHTBOX_HOME:
who stops this program and starts it again goes on where it was. The best epoch is chosen on validation; test is opened once.

Printed for each setting: mean and standard deviation over the seeds, and for the first seed the 95 % interval that page
Evaluate shows beside it, as the one number that a single run would report. With two precisions also the mean of the paired
differences over the seeds, with its 95 % interval (t distribution): whether bfloat16 is as accurate as float32.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.machine import line, noise_set, options_of
from core.config import RunConfig
from core.datasets import open_dataset
from core.datasets.custom import load_custom_dataset
from core.datasets.formats import parse_options
from core.datasets.scan import add_custom_dataset
from core.errors import LightboxError
from core.evaluation.evaluate import evaluate, evaluate_predictions
from core.evaluation.predictions import load_predictions, with_patients
from core.metrics import METRICS
from core.runs.store import RunStore

NAMES = ("roc_auc", "accuracy", "cohen_kappa")
SMALL = {"model.name": "resnet18", "train.batch_size": 64, "optim.lr": 5e-4, "train.monitor": "roc_auc"}
SQUEEZE = {"model.name": "squeezenet1_1", "model.weights": "imagenet", "data.size": 224, "data.channels": 3,
           "model.head": "concat", "model.dropout": 0.5, "train.batch_size": 32}
FROZEN = SQUEEZE | {"model.freeze": "all", "optim.lr": 1e-3, "train.epochs": 20}
TUNED = SQUEEZE | {"optim.lr": 1e-3, "optim.backbone_lr": 0.1, "train.epochs": 5}
BY_PATIENT = {"data.split": "patient", "data.test_fraction": 0.2}
CHEST, COVID = {"data.dataset": "chest_pneumonia"}, {"data.dataset": "covid_mortality"}
KNEE = {"data.dataset": "knee-grades"}            # knee_oa, kept under this name with its grades in order

# key -> (title, settings). data.dataset is a path in DATA_FOLDER, or the name of a set.
EXPERIMENTS = {
    "noise": ("Noise with a bar that says the class", {"data.dataset": "noise.npz", "data.size": 28, "train.epochs": 1,
                                                       "model.name": "small_cnn"}),       # what --quick runs
    "breast28": ("BreastMNIST 28 px, ResNet-18", SMALL | {"data.dataset": "medmnist/breastmnist.npz", "data.size": 28,
                                                          "train.epochs": 20}),
    "pneumonia28": ("Pneumonia 28 px, ResNet-18", SMALL | {"data.dataset": "medmnist/pneumonia_28.npz", "data.size": 28,
                                                           "train.epochs": 5}),
    "pneumonia64": ("Pneumonia 64 px, ResNet-18 (standard stem)", SMALL | {
        "data.dataset": "medmnist/pneumonia_64.npz", "data.size": 64, "model.stem": "standard", "train.epochs": 5}),
    "chest_frozen": ("Chest X-rays 224 px, SqueezeNet 1.1 frozen", CHEST | FROZEN),
    "chest_tuned": ("Chest X-rays 224 px, SqueezeNet 1.1 fine-tuned", CHEST | TUNED | {"train.epochs": 3}),
    "knee_frozen": ("Knee grades 224 px, SqueezeNet 1.1 frozen", KNEE | FROZEN | BY_PATIENT),
    "knee_tuned": ("Knee grades 224 px, SqueezeNet 1.1 fine-tuned", KNEE | TUNED | BY_PATIENT),
    "covid_frozen": ("COVID-19 mortality 224 px, SqueezeNet 1.1 frozen", COVID | FROZEN | BY_PATIENT | {
        "data.test_fraction": 0.3, "train.class_weights": True, "train.batch_size": 16}),
}


def run_of(store: RunStore, config: RunConfig):
    """Return the finished run of a config: found, or trained now."""
    alike = [run for run in store.list() if run.config == config]
    run = alike[0] if alike else store.create(config)
    if run.status().state in ("stopped", "interrupted", "failed"):
        store.resume(run)
    while (status := run.status()).state != "finished":
        store.recover()
        if status.state in ("stopped", "failed"):
            sys.exit(f"{run.name}: {status.reason}")
        time.sleep(1)
    return run


def place(dataset: str, folder: Path) -> str:
    """Where a set lies. The grades of the knees are kept as a set of their own, once, because folders do not say their order."""
    if dataset != "knee-grades":
        return str(folder / dataset)
    if load_custom_dataset(dataset) is None:
        options = parse_options("folder", {"ordinal": "true"})
        add_custom_dataset("folder", str(folder / "knee_oa"), options, dataset, "Knee grades")
    return dataset


def tested(run) -> tuple:
    """Return the predictions on test, which is opened where nobody has, and their evaluation as page Evaluate shows it."""
    if not run.times_test_opened():
        evaluate(run, "test")
    preds = with_patients(load_predictions(run, "test"), open_dataset(run.config.data))
    return preds, evaluate_predictions(run, "test", preds, fit=False, groups=False)


def report(title: str, runs: list) -> np.ndarray:
    """Print the results of all seeds; return the metrics, (seeds, metrics)."""
    seeds = [tested(run) for run in runs]
    (preds, first), ordinal = seeds[0], runs[0].data()["task"] == "ordinal-regression"
    print(f"\n{title}, {runs[0].records('start')[-1]['how']['precision']}: {len(preds.labels)} test images of "
          f"{len(set(preds.patients or preds.image_ids))} patients; majority class {first.baselines[0].accuracy:.3f}; "
          f"best epochs {', '.join(str(preds.epoch) for preds, _ in seeds)}")
    for name in NAMES + ("quadratic_kappa",) * ordinal:
        values, estimate = [result.estimates[name].value for _, result in seeds], first.estimates[name]
        limits = f"{estimate.low:.3f} to {estimate.high:.3f}, {estimate.method}" if estimate.interval else "no interval"
        spread = np.std(values, ddof=1) if len(values) > 1 else np.nan
        print(f"  {METRICS[name].title:16} {np.mean(values):.3f} (sd {spread:.3f})   seed 0: {values[0]:.3f} ({limits})",
              flush=True)
    return np.array([[result.estimates[name].value for name in NAMES] for _, result in seeds])


def compare(precisions: list[str], tables: list[np.ndarray]) -> None:
    from scipy.stats import t
    for name, gap in zip(NAMES, (tables[1] - tables[0]).T):
        half = t.ppf(0.975, len(gap) - 1) * gap.std(ddof=1) / np.sqrt(len(gap))
        print(f"  {precisions[1]} minus {precisions[0]}, {METRICS[name].title}: {gap.mean():+.4f} "
              f"({gap.mean() - half:+.4f} to {gap.mean() + half:+.4f})", flush=True)


def main() -> None:
    parser = options_of(__doc__, only=["noise"], seeds=2)
    parser.add_argument("folder", type=Path, nargs="?", default=Path())
    parser.add_argument("--only", nargs="+", default=[key for key in EXPERIMENTS if key != "noise"], choices=EXPERIMENTS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", nargs="+", choices=("auto", "float32", "bfloat16"), default=["auto"])
    options = parser.parse_args()
    print(line(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        if options.quick:
            os.environ["LIGHTBOX_HOME"] = folder
            options.folder = noise_set(Path(folder) / "noise.npz", 96, 48).parent
        store = RunStore()
        for key in options.only:
            title, changes = EXPERIMENTS[key]
            tables = []
            try:
                config = RunConfig().with_(**changes | {
                    "data.dataset": place(changes["data.dataset"], options.folder.resolve()), "train.device": "cpu",
                    "train.threads": options.threads})
                for precision in options.precision:
                    configs = [config.with_(**{"name": f"{title}, seed {seed}", "train.seed": seed,
                                               "train.precision": precision}) for seed in range(options.seeds)]
                    tables.append(report(title, [run_of(store, config) for config in configs]))
                if len(tables) == 2:
                    compare(options.precision, tables)
            except LightboxError as error:
                print(f"{key}: {error}", flush=True)


if __name__ == "__main__":
    main()
