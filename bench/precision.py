"""Is bfloat16 as accurate as float32 on the CPU? The same training with both, over many seeds.

    python -m bench.precision DATASET [--seeds 10] [--epochs 12] [--size 28] [--model resnet18]
                           [--fraction 1.0]

DATASET is a name or a path. Prints ROC AUC and accuracy on test of the best epoch by validation: mean and standard deviation
over the seeds, and the mean of the paired differences with its 95 % interval (t distribution).
"""

from __future__ import annotations

import argparse
import copy
import time

import numpy as np
import torch

from bench.machine import line
from core import metrics
from core.config import RunConfig
from core.datasets import open_dataset
from core.models import build_model
from core.trainers.batches import Batches, SplitData
from core.trainers.classifier import EpochRecord, TrainState, predict, train


def one(data, config: RunConfig, precision: str) -> tuple[float, float, float]:
    """Test ROC AUC, test accuracy, seconds."""
    model = build_model(config.model, classes=len(data.class_names), size=data.size, channels=data.channels, task=data.task,
                        class_names=data.class_names, seed=config.train.seed)
    state = TrainState.fresh(model, config)
    begun, best = time.process_time(), None
    for record in train(state, SplitData.of(data, "train"), SplitData.of(data, "val"), config, precision=precision):
        if isinstance(record, EpochRecord) and record.is_best:
            best = copy.deepcopy(model.state_dict())
    seconds = time.process_time() - begun
    model.load_state_dict(best)
    test = SplitData.of(data, "test")
    *_, (_, probs) = predict(model, Batches(test, torch.device("cpu")), 64)
    return metrics.roc_auc(test.labels, probs, data.task), metrics.accuracy(test.labels, probs, data.task), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("dataset")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--size", type=int, default=28)
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--fraction", type=float, default=1.0, help="share of the training images")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(line())
    base = RunConfig().with_(**{"data.dataset": options.dataset, "data.size": options.size,
                                "data.train_fraction": options.fraction, "model.name": options.model,
                                "train.epochs": options.epochs, "train.batch_size": 64, "optim.lr": 5e-4})
    data = open_dataset(base.data)
    found = {"float32": [], "bfloat16": []}
    for seed in range(options.seeds):
        for precision in found:
            found[precision].append(one(data, base.with_(**{"train.seed": seed}), precision))
            print(seed, precision, *(f"{value:.4f}" for value in found[precision][-1]), flush=True)
    table = {precision: np.array(rows) for precision, rows in found.items()}
    for precision, rows in table.items():
        print(f"{precision:9} test ROC AUC {rows[:, 0].mean():.4f} (sd {rows[:, 0].std(ddof=1):.4f})   accuracy "
              f"{rows[:, 1].mean():.4f} (sd {rows[:, 1].std(ddof=1):.4f})   {np.median(rows[:, 2]):.1f} s of CPU time")
    from scipy.stats import t
    for column, name in ((0, "ROC AUC"), (1, "accuracy")):
        gap = table["bfloat16"][:, column] - table["float32"][:, column]
        half = t.ppf(0.975, len(gap) - 1) * gap.std(ddof=1) / np.sqrt(len(gap))
        print(f"bfloat16 minus float32, {name}: {gap.mean():+.4f} ({gap.mean() - half:+.4f} to {gap.mean() + half:+.4f})")


if __name__ == "__main__":
    main()
