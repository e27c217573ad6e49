"""What our networks reach on real images: test ROC AUC, accuracy and Cohen's kappa with intervals, beside the majority class.

    python -m bench.results DATA_FOLDER [--only KEY ...] [--seeds 3] [--threads 1]

DATA_FOLDER holds medmnist/, chest_pneumonia/, knee_oa/, covid_mortality/. Each run is a run of the app, in LIGHTBOX_HOME: who
stops this program and starts it again goes on where it was. The best epoch is chosen on validation; test is opened once a run.

Printed for each setting: mean and standard deviation over the seeds, and for the first seed the 95 % interval that page Evaluate
shows beside it, as the one number that a single run would report.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from bench.machine import line
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

MEASURES = ("roc_auc", "accuracy", "cohen_kappa")
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


def run_of(store: RunStore, key: str, seed: int, folder: Path, threads: int):
    """The finished run of a setting and a seed: found, or trained now."""
    title, changes = EXPERIMENTS[key]
    config = RunConfig(name=f"{title}, seed {seed}").with_(**{
        **changes, "data.dataset": place(changes["data.dataset"], folder), "train.seed": seed, "train.device": "cpu",
        "train.threads": threads})
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
        add_custom_dataset("folder", str(folder / "knee_oa"), parse_options("folder", {"ordinal": "true"}), dataset, "Knee grades")
    return dataset


def measured(run) -> dict:
    """Each measure on test as page Evaluate shows it; how large test is, and what always giving the majority class reaches."""
    if not run.times_test_opened():
        evaluate(run, "test")
    found = with_patients(load_predictions(run, "test"), open_dataset(run.config.data))
    result = evaluate_predictions(run, "test", found, fit=False, groups=False)
    names = MEASURES + (("quadratic_kappa",) if run.data()["task"] == "ordinal-regression" else ())
    return {"n": len(found.labels), "patients": len(set(found.patients or found.image_ids)),
            "majority": result.baselines[0].accuracy, "epoch": found.epoch,
            "cells": {name: result.estimates[name].as_dict() for name in names}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", default=list(EXPERIMENTS), choices=list(EXPERIMENTS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    store = RunStore()
    print(line(), flush=True)
    for key in options.only:
        try:
            runs = [run_of(store, key, seed, options.folder.resolve(), options.threads) for seed in range(options.seeds)]
        except LightboxError as error:
            print(f"{key}: {error}", flush=True)
            continue
        found = [measured(run) for run in runs]
        first = found[0]
        print(f"\n{EXPERIMENTS[key][0]}: {first['n']} test images of {first['patients']} patients; majority class "
              f"{first['majority']:.3f}; best epochs {', '.join(str(f['epoch']) for f in found)}; "
              f"precision {runs[0].records('start')[-1]['how']['precision']}")
        for name, cell in first["cells"].items():
            values = [f["cells"][name]["value"] for f in found]
            print(f"  {METRICS[name].title:16} {np.mean(values):.3f} (sd {np.std(values, ddof=1):.3f})   seed 0: {values[0]:.3f}"
                  + (f" ({cell['low']:.3f} to {cell['high']:.3f}, {cell['interval']})" if cell["interval"] else " (no interval)"),
                  flush=True)


if __name__ == "__main__":
    main()
