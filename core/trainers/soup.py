"""Soups: one network whose weights are the mean of those of several, at the cost of one.

    w = (w_1 + ... + w_M) / M

    uniform   all of them. Over snapshots of one run this is SWA (Izmailov et al., Averaging weights leads to wider optima and
              better generalization, UAI 2018)
    greedy    the best first, then each that does not make it worse (Wortsman et al., Model soups: averaging weights of multiple
              fine-tuned models improves accuracy without increasing inference time, ICML 2022, recipe 1)

The networks must lie in one valley: snapshots of one run, or fine-tunings of the same weights. The mean of two that began with
other random weights is as good as random.

The statistics of batch norm are those of activations, which the mean of the weights changes: they are computed again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from core.errors import LightboxError

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Taste:
    """One step of a greedy soup: which member was added to those that are in, how good that was, whether it stayed."""
    member: int
    value: float
    kept: bool


def average(states: Sequence[State]) -> dict[str, Tensor]:
    """Return the mean of the state dicts of several networks, tensor by tensor; of numbers that are whole, the first's.

    Raises LightboxError "soup.unlike" where a network has other tensors than the first.

    >>> average([{"w": torch.tensor([1.0, 3.0])}, {"w": torch.tensor([2.0, 5.0])}])["w"].tolist()
    [1.5, 4.0]
    """
    first = states[0]
    for number, state in enumerate(states[1:], 2):
        if {name: value.shape for name, value in state.items()} != {name: value.shape for name, value in first.items()}:
            raise unlike(f"Network {number} of {len(states)} has other weights than the first: names or shapes differ.")
    return {name: value.clone() if not value.is_floating_point() else
            torch.stack([state[name].double() for state in states]).mean(dim=0).to(value.dtype) for name, value in first.items()}


def unlike(sentence: str) -> LightboxError:
    """Return the error of networks whose weights have no mean."""
    return LightboxError("soup.unlike", sentence, "Average only snapshots of one run, or runs of one network with the same "
                         "classes, size and normalisation; others can vote.")


def greedy_soup(states: Sequence[State], values: Sequence[float], evaluate: Callable[[dict[str, Tensor]], float]
                ) -> tuple[list[int], list[Taste]]:
    """Choose members: from the best on, each that does not make the mean of the chosen ones worse.

    Args:
        states: of M networks, see `average`
        values: (M,) how good each is on validation; more is better
        evaluate: how good a mean is there

    Returns:
        the places of the chosen, the best first; and what was tried, in order

    >>> def near(state): return -abs(float(state["w"]) - 2)
    >>> members = [{"w": torch.tensor(value)} for value in (5.0, 1.0, 2.5)]
    >>> greedy_soup(members, [near(state) for state in members], near)[0]
    [2, 1]
    """
    order = sorted(range(len(states)), key=lambda place: -values[place])           # stable: among equals the earlier
    chosen, best = [order[0]], values[order[0]]
    curve = [Taste(order[0], best, True)]
    for place in order[1:]:
        value = evaluate(average([states[one] for one in (*chosen, place)]))
        kept = value >= best
        curve.append(Taste(place, value, kept))
        if kept:
            chosen, best = [*chosen, place], value
    return chosen, curve


def needs_statistics(model: nn.Module) -> bool:
    """Return whether `update_batch_norm` has something to do."""
    return bool(_norms(model))


def update_batch_norm(model: nn.Module, batches: Iterable[Tensor], progress: Callable[[int], None] | None = None) -> None:
    """Compute the running statistics of batch norm again, as the plain mean over batches, as
    torch.optim.swa_utils.update_bn does.

    Nothing else is as in training: dropout is off, so that the same batches give the same numbers. What `Classifier.freeze` holds
    keeps its statistics, as it did in training.

    Args:
        model: changed in place; left in the mode in which it was
        batches: of images (B, C, S, S) in [0, 1] on the model's device; none is read where nothing is to be computed
        progress: called with the images done after each batch; may raise to stop
    """
    norms, was_training, done = _norms(model), model.training, 0
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    model.eval()
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None                                                   # PyTorch's word for a cumulative mean
            norm.train()
        for images in batches:
            with torch.no_grad():
                model(images)
            done += len(images)
            if progress:
                progress(done)
    finally:
        for norm, momentum in zip(norms, momenta):
            norm.momentum = momentum
        model.train(was_training)


def _norms(model: nn.Module) -> list[_BatchNorm]:
    """The batch norms that a training would update, with running statistics."""
    was_training = model.training
    model.train()
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.training
             and module.track_running_stats]
    model.train(was_training)
    return norms
