"""What torchrun starts for tests/test_parallel.py: each case is trained by all ranks together and then by this rank alone.

    python -m torch.distributed.run --standalone --nproc-per-node 2 tests/ranks.py       rank 0 prints one JSON object a line
"""

import json

import numpy as np
import torch

from core.models import build_model
from core.trainers.batches import SplitData
from core.trainers.classifier import TrainState, train
from core.trainers.distributed import DistributedGroup, Group
from core.trainers.records import EpochRecord
from tests.tiny import tiny_arrays, tiny_config

SMALL = {"model.name": "small_cnn", "optim.name": "sgd", "optim.lr": 0.05}
DENSE = {"model.name": "densenet121", "model.blocks": 1, "model.block_layers": 2, "optim.name": "sgd",
         "optim.lr": 0.005}      # has batch norm
WHOLE = 33                       # training images

# 33 images in batches of 15: parts of 8 and 7, and at last of 2 and 1. One process reaches the same.
CASES = {
    "no batch norm": (SMALL, torch.float32),
    "squeezenet": ({"model.name": "squeezenet1_1", "optim.name": "sgd", "optim.lr": 0.02}, torch.float32),
    "everything at once": ({**SMALL, "augment.shift": 0.1, "optim.clip": 0.5, "train.mixup": 0.4, "train.class_weights": True,
                            "train.accumulate": 2, "train.label_smoothing": 0.1}, torch.float64),
    "unfreezing in the second epoch": ({**SMALL, "model.freeze": "all", "model.unfreeze_epoch": 1}, torch.float64),
    "penalties": ({"model.name": "cnn", "model.cnn_layers": 2, "model.cnn_l2_kernel": 0.3, "model.cnn_l2_activity": 0.3,
                   "optim.name": "sgd"}, torch.float64),
    "one image for three ranks": ({**SMALL, "train.batch_size": 2}, torch.float64),
}


def trained(group: Group, changes: dict, dtype: torch.dtype) -> tuple[dict, float, list[float]]:
    """Weights and statistics after two epochs, how far the weights went, and the mean losses of the epochs."""
    images, labels = tiny_arrays(45, size=16)
    splits = [SplitData(images[..., None], rows, labels[rows]) for rows in (np.arange(WHOLE), np.arange(WHOLE, 45))]
    config = tiny_config("none", **{"data.size": 16, "train.epochs": 2, "train.batch_size": 15, **changes})
    model = build_model(config.model, classes=2, size=16, channels=1, task="binary-class", seed=0).to(dtype)
    start = [p.detach().clone() for p in model.parameters()]
    records = list(train(TrainState.fresh(model, config), *splits, config, group=group))
    moved = max((p.detach() - before).abs().max().item() for p, before in zip(model.parameters(), start))
    return model.state_dict(), moved, [record.train["loss"] for record in records if isinstance(record, EpochRecord)]


def main() -> None:
    torch.set_num_threads(1)
    group = DistributedGroup(torch.device("cpu"))
    for name, case in CASES.items():
        compare(group, name, trained(group, *case), trained(Group(), *case))
    # Each process normalises its own part: so does one process that adds up the gradients of such parts.
    part = WHOLE // group.size
    ours = trained(group, {**DENSE, "train.batch_size": part * group.size}, torch.float64)
    alone = trained(Group(), {**DENSE, "train.batch_size": part, "train.accumulate": group.size}, torch.float64)
    compare(group, "batch norm", ours, alone, without=("running_mean", "running_var", "num_batches_tracked"))
    # Each process drops other units, so nobody else reaches these numbers; but all ranks must have the same ones.
    dropout = {**DENSE, "model.head": "concat", "model.dropout": 0.4, "train.batch_size": part * group.size}
    ours = trained(group, dropout, torch.float64)
    compare(group, "dropout", ours, ours)
    group.close()


def compare(group: Group, name: str, ours: tuple, alone: tuple, without: tuple[str, ...] = ()) -> None:
    """Print how far the group's weights are from those of one process, and the ranks' from each other."""
    apart = max(float((value - group.same(value)).abs().max()) for value in ours[0].values())
    if group.any(apart > 0):
        raise SystemExit(f"{name}: the ranks have different weights")
    if group.rank == 0:
        furthest = max((ours[0][key] - value).abs().max().item() for key, value in alone[0].items() if not key.endswith(without))
        print(json.dumps({"case": name, "furthest": furthest, "moved": alone[1], "losses": ours[2], "expected": alone[2]}),
              flush=True)


if __name__ == "__main__":
    main()
