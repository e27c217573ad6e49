"""Several views of one study or patient, seen by one network: (B, C, S, V S) -> views -> features -> pooled -> head.

    mean, max           of each feature over the views that are there
    attention           sum_v a_v h_v with learned weights a_v >= 0 that sum to 1 over the views that are there
    parallel            the features of the named views side by side, from one backbone
    parallel_separate   the same, and each named view has a backbone of its own

A view whose pixels are all zero is absent. It counts for nothing: it is left out of means, maxima and weights, its
features are zero where they stand side by side, and in training it never reaches the statistics of a batch norm.

B units of a batch, V views of each, F features of a view, K classes, C channels, S pixels a side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.config import ModelConfig
from core.models.cnn import l2_penalty
from core.models.heads import HEADS
from core.models.network import Built, Network

HIDDEN = 128           # numbers from which a weight of attention is made, as in the paper's experiments
SEEDS = 1_000_003      # between the seeds of two backbones


def split_views(images: Tensor) -> Tensor:
    """Return the views of each unit one by one: (B, C, S, V S) -> (B V, C, S, S), in the memory layout of the images.

    >>> split_views(torch.arange(8.).view(1, 1, 2, 4)).tolist()
    [[[[0.0, 1.0], [4.0, 5.0]]], [[[2.0, 3.0], [6.0, 7.0]]]]
    """
    side = images.shape[2]
    last = images.shape[1] > 1 and images.is_contiguous(memory_format=torch.channels_last)
    apart = images.unflatten(3, (-1, side)).permute(0, 3, 1, 2, 4).flatten(0, 1)
    return apart.contiguous(memory_format=torch.channels_last) if last else apart


def join_views(apart: Tensor, views: int) -> Tensor:
    """Return the views of each unit side by side, the inverse of `split_views`: (B V, ..., S, S) -> (B, ..., S, V S)."""
    return torch.cat(apart.unflatten(0, (-1, views)).unbind(1), dim=-1)


def views_there(images: Tensor) -> Tensor:
    """Return which views are there, (B, V) bool, from pixels (B, C, S, V S) in [0, 1] before normalisation.

    A view is absent where all its pixels are zero. A unit that is black altogether keeps all its views.
    """
    lit = (images.amax(dim=(1, 2)) > 0).unflatten(1, (-1, images.shape[2])).any(dim=2)
    return lit | ~lit.any(dim=1, keepdim=True)


class Attention(nn.Module):
    """Gated attention over the views of a unit.

        a_v = softmax_v( w^T (tanh(V h_v) * sigmoid(U h_v)) )       (eq. 9)
        z   = sum_v a_v h_v                                          (eq. 7)

    The softmax runs over the views that are there. Ilse, Tomczak and Welling, Attention-based Deep Multiple Instance
    Learning, ICML 2018, https://arxiv.org/abs/1802.04712

    Input: (B, V (F + 1)): the features of all views, then for each 1 where it is there, else 0. Output: (B, F).
    """

    def __init__(self, features: int):
        super().__init__()
        self.features = features
        self.value, self.gate = nn.Linear(features, HIDDEN), nn.Linear(features, HIDDEN)
        self.weigh = nn.Linear(HIDDEN, 1)

    def forward(self, views: Tensor) -> Tensor:
        rows, _ = self._unpacked(views)
        return (self.weights(views)[:, :, None] * rows).sum(dim=1)

    def weights(self, views: Tensor) -> Tensor:
        """Return a, (B, V): 0 for what is absent, and 1 in sum."""
        rows, there = self._unpacked(views)
        scores = self.weigh(self.value(rows).tanh() * self.gate(rows).sigmoid())[:, :, 0]
        return scores.float().masked_fill(~there, -torch.inf).softmax(dim=1)

    def _unpacked(self, views: Tensor) -> tuple[Tensor, Tensor]:
        """(B, V, F), and (B, V) bool where a view is there."""
        count = views.shape[1] // (self.features + 1)
        return views[:, :-count].unflatten(1, (count, self.features)), views[:, -count:] > 0.5


def mean_of_views(rows: Tensor, there: Tensor) -> Tensor:
    """Return the mean over the views that are there: (B, V, F), (B, V) bool -> (B, F)."""
    return (rows * there[:, :, None]).sum(dim=1) / there.sum(dim=1, keepdim=True)


def max_of_views(rows: Tensor, there: Tensor) -> Tensor:
    """Return the maximum over the views that are there: (B, V, F), (B, V) bool -> (B, F)."""
    return rows.masked_fill(~there[:, :, None], -torch.inf).amax(dim=1)


def _with_mask(rows: Tensor, there: Tensor) -> Tensor:
    """What `Attention` takes."""
    return torch.cat([rows.flatten(1), there.to(rows)], dim=1)


# model.views -> what the head gets, from features (B, V, F) that are zero where a view is absent, and (B, V) bool
POOLS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mean": mean_of_views, "max": max_of_views, "attention": _with_mask,
    "parallel": lambda rows, there: rows.flatten(1), "parallel_separate": lambda rows, there: rows.flatten(1)}


class ViewNetwork(Network):
    """A Network over the views of each unit. The parts of a shared backbone keep their names, so that weights of a network of
    single images fit.

    Args:
        how: a key of POOLS
        backbones: one Network, or one for each view; their heads are not called
        views: V; fewer views are the first ones
        head: name -> module, called in this order with what `how` gives
        width: numbers that the head gets of each unit
    """

    def __init__(self, how: str, backbones: list[Network], views: int, head: dict[str, nn.Module], width: int):
        separate, first = len(backbones) > 1, backbones[0]
        if separate:
            parts = {f"view{number}": backbone for number, backbone in enumerate(backbones, 1)} | {"view_maps": nn.Identity()}
            trunk, pool = tuple(parts)[:-1], ()
        else:
            parts, trunk, pool = dict(first.named_children()), first.trunk_parts, first.pool_parts
        added = {name: part for name, part in head.items() if "." not in name}
        super().__init__(parts | added, trunk=trunk, pool=pool, head=tuple(head), width=width)
        self.how, self.views, self.separate = how, views, separate
        self.l2 = getattr(first, "l2", (0.0, 0.0))

    @property
    def one_view(self) -> Network:
        """The network of a single view, whose names weights of an earlier network have."""
        return self.view1 if self.separate else self

    def embed_pixels(self, images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """Return pixels (B, C, S, V S) in [0, 1] -> what the head gets, (B, width)."""
        return self.embed((images - mean) / std, views_there(images))

    def embed(self, images: Tensor, there: Tensor | None = None) -> Tensor:
        """Return normalised (B, C, S, V S) -> what the head gets, (B, width). there: (B, V) bool; None for all."""
        apart = split_views(images)
        if there is None:
            there = torch.ones(len(images), len(apart) // len(images), dtype=torch.bool, device=images.device)
        rows = (self._separately if self.separate else self._together)(apart, there)
        rows = rows * there[:, :, None]
        if (lacking := self.views - there.shape[1]) > 0:       # fewer than it has places for
            rows, there = F.pad(rows, (0, 0, 0, lacking)), F.pad(there, (0, lacking))
        return POOLS[self.how](rows, there)

    def attention(self, features: Tensor) -> Tensor | None:
        """Return the weight of each view, (B, V), from what `embed_pixels` gave; None where nothing is weighed by attention."""
        return self.get_submodule("view_attention").weights(features) if self.how == "attention" else None

    def penalty(self, logits: Tensor) -> Tensor | None:
        return l2_penalty(map(self.get_submodule, self.head_parts), logits, *self.l2) if any(self.l2) else None

    def _together(self, apart: Tensor, there: Tensor) -> Tensor:
        """(B V, C, S, S) -> (B, V, F) by the one backbone."""
        return _scattered(super().embed, apart, self._rows(there.flatten())).unflatten(0, there.shape)

    def _separately(self, apart: Tensor, there: Tensor) -> Tensor:
        """(B V, C, S, S) -> (B, V, F), each view by its own backbone."""
        backbones = [self.get_submodule(name) for name in self.trunk_parts[:there.shape[1]]]
        views = apart.unflatten(0, there.shape).unbind(1)
        if self.training:
            rows = [_scattered(one.embed, view, self._rows(there[:, v]))
                    for v, (one, view) in enumerate(zip(backbones, views))]
            width = next(row.shape[1:] for row in rows if row is not None)
            return torch.stack([row if row is not None else apart.new_zeros(len(there), *width) for row in rows], dim=1)
        maps = torch.stack([one.maps(view) for one, view in zip(backbones, views)], dim=1)
        maps = self.view_maps(maps.flatten(0, 1)).unflatten(0, there.shape)          # all of them, for who explains them
        return torch.stack([one.pooled(maps[:, v]) for v, one in enumerate(backbones)], dim=1)

    def _rows(self, there: Tensor) -> Tensor | None:
        """The views that are computed, None for all: in training those that are there, because others would move the statistics
        of batch norm, which has none of a single image either."""
        if not self.training or there.is_meta or there.all():
            return None
        rows = there.nonzero()[:, 0]
        return rows if len(rows) != 1 else torch.arange(len(there), device=there.device)


def _scattered(embed: Callable[[Tensor], Tensor], images: Tensor, rows: Tensor | None) -> Tensor | None:
    """Features (N, F) of images (N, C, S, S), zero but for `rows`; None where there is not one."""
    if rows is None:
        return embed(images)
    if not len(rows):
        return None
    features = embed(images[rows])
    return features.new_zeros(len(images), features.shape[1]).index_copy(0, rows, features)


def build_views(build: Callable[..., Built], spec, *, config: ModelConfig, views: int, classes: int, seed: int, **more) -> Built:
    """Return a network over `views` views of each unit, as `config.views` says; arguments as of what builds one of single images.

    Args:
        build: (spec, config=, classes=, seed=, ...) -> Built, a network of single images
        views: V, 2 or more
    """
    how, separate = config.views, config.views == "parallel_separate"
    made = [build(spec, config=config, classes=classes, seed=seed + SEEDS * v, **more) for v in range(views if separate else 1)]
    backbones, first = [one.network for one in made], made[0]
    head = {name: first.network.get_submodule(name) for name in first.network.head_parts}
    width = first.network.width
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed + 1)
        if how == "attention":
            head, width = {"view_attention": Attention(width)} | head, views * (width + 1)
        elif how.startswith("parallel"):
            width *= views
            head = {"head": HEADS[config.head].layers(width, classes, config.dropout)}
            for network in backbones:
                network.drop_head()
    network = ViewNetwork(how, backbones, views, head, width)
    if separate:       # the maps of all backbones are seen together, and frozen together
        return replace(first, network=network, stages=("network.view_maps",), stage_names=())
    return replace(first, network=network)

