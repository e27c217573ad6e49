"""Where a training stands: what must be kept so that it can go on as if it had never stopped."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from core.config import RunConfig
from core.errors import LightboxError
from core.trainers.optim import build_optimiser


@dataclass
class TrainState:
    """Everything that the next step depends on, besides config and data.

    All chance is a function of (seed, epoch, step, image), so there is no random state to keep. A step is one
    move of the weights: with accumulation several batches, which are never left half done.

    Args:
        epoch: epochs finished
        step: steps done of the next epoch
        total: (3,) sums over the images of those steps, on the device: cross-entropy, correct predictions,
            and the objective that was minimised. Reading it waits for the device, so it is read seldom
        count: how many images those were
        best: {"epoch", and every measure of its validation} of the best epoch so far, {} before the first
        seconds: of training so far, over all resumes
    """
    model: nn.Module
    optimiser: torch.optim.Optimizer
    epoch: int = 0
    step: int = 0
    total: Tensor = field(default_factory=lambda: torch.zeros(3, dtype=torch.float64))
    count: int = 0
    best: dict = field(default_factory=dict)
    seconds: float = 0.0

    @staticmethod
    def fresh(model: nn.Module, config: RunConfig) -> TrainState:
        """At the start. Move the model to its device before."""
        return TrainState(model, build_optimiser(model, config.optim))

    def tensors(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return (weights, optimiser state) as flat dicts of tensors that live on; copy them to keep them.

        The optimiser's are named after their weight: "network.conv1.weight.exp_avg".
        """
        slots = self.optimiser.state
        moments = {f"{name}.{key}": value if isinstance(value, Tensor) else torch.tensor(value)
                   for name, weight in self.model.named_parameters() for key, value in slots.get(weight, {}).items()
                   if value is not None}
        return self.model.state_dict(), moments

    def meta(self) -> dict:
        """Return the rest, as JSON."""
        return {"epoch": self.epoch, "step": self.step, "total": self.total.tolist(), "count": self.count,
                "best": self.best, "seconds": self.seconds}

    def is_sound(self) -> bool:
        """Return whether every number so far was one; otherwise the state must not be saved."""
        return bool(torch.isfinite(self.total).all())

    def load(self, weights: dict[str, Tensor], moments: dict[str, Tensor], meta: dict) -> None:
        """Stand again where `tensors` and `meta` were taken, bit for bit.

        Raises LightboxError "checkpoint.unlike" where the optimiser's state is of another network.
        """
        self.model.load_state_dict(weights)
        names = {weight: name for name, weight in self.model.named_parameters()}
        order = [weight for group in self.optimiser.param_groups for weight in group["params"]]
        places = {names[weight]: i for i, weight in enumerate(order)}
        slots: dict[int, dict] = {}
        for name, value in _by_name(moments, self.model).items():
            name, _, key = name.rpartition(".")
            if name not in places or value.ndim and value.shape != order[places[name]].shape:
                raise LightboxError("checkpoint.unlike", f"The checkpoint's {name} does not fit this network.",
                                    # a fused optimiser would read beyond its end
                                    "Start a copy of the run.")
            slots.setdefault(places[name], {})[key] = value
        self.optimiser.load_state_dict({"state": slots, "param_groups": self.optimiser.state_dict()["param_groups"]})
        self.epoch, self.step = meta["epoch"], meta["step"]
        # before the objective
        total = [*meta["total"], meta["total"][0]] if len(meta["total"]) == 2 else meta["total"]
        self.total, self.count = torch.tensor(total, dtype=torch.float64), meta["count"]
        self.best, self.seconds = dict(meta["best"]), meta["seconds"]


    def match_layout(self) -> None:
        """Lay the optimiser's numbers out in memory as their weights are: a fused optimiser walks through both side by side, and
        what comes from a file has another order than weights in channels_last."""
        for weight, slots in self.optimiser.state.items():
            for key, value in slots.items():
                if isinstance(value, Tensor) and value.shape == weight.shape and value.stride() != weight.stride():
                    slots[key] = torch.empty_like(weight, dtype=value.dtype).copy_(value)


def _by_name(moments: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Earlier checkpoints numbered the weights: first those with weight decay, then the others."""
    if not any(name.partition(".")[0].isdigit() for name in moments):
        return moments
    named = list(model.named_parameters())
    order = [name for name, p in named if p.ndim > 1] + [name for name, p in named if p.ndim <= 1]
    return {f"{order[int(i)]}.{key}": value for (i, _, key), value in ((name.partition("."), v) for name, v in moments.items())}
