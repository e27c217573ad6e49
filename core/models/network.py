"""The shape that all networks here have: trunk -> maps -> pool -> features -> head -> logits.

    trunk   images (N, C, S, S) -> maps (N, F', h, w)
    pool    maps -> features (N, F)
    head    features -> logits (N, K)

Whatever stands before the head is the backbone: its features of an image do not change while it is frozen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn


class Network(nn.Module):
    """Modules under torchvision's names, and in which order they are called.

    Args:
        parts: name -> module, as they are registered; so a weights file has the names that torchvision gave
            them
        trunk, pool, head: dotted names within `parts`, each called with what the one before returned
        width: F, the numbers that the head gets of each image
    """

    def __init__(self, parts: Mapping[str, nn.Module], *, trunk: tuple[str, ...], pool: tuple[str, ...],
                 head: tuple[str, ...], width: int):
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)
        self.trunk_parts, self.pool_parts, self.head_parts, self.width = trunk, pool, head, width

    def maps(self, images: Tensor) -> Tensor:
        """Return (N, C, S, S), normalised -> (N, F', h, w)."""
        return self._call(self.trunk_parts, images)

    def embed(self, images: Tensor) -> Tensor:
        """Return (N, C, S, S), normalised -> features (N, F)."""
        return self.pooled(self.maps(images))

    def pooled(self, maps: Tensor) -> Tensor:
        """Return maps (N, F', h, w) -> features (N, F)."""
        return self._call(self.pool_parts, maps)

    def embed_pixels(self, images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """Return pixels (N, C, S, S) in [0, 1], not yet normalised -> features (N, F)."""
        return self.embed((images - mean) / std)

    def classify(self, features: Tensor) -> Tensor:
        """Return (N, F) -> logits (N, K)."""
        return self._call(self.head_parts, features)

    def forward(self, images: Tensor) -> Tensor:
        return self.classify(self.embed(images))

    def penalty(self, logits: Tensor) -> Tensor | None:
        """Return what this network adds to the loss of a batch of (N, K) logits: a scalar, or None for nothing."""
        return None

    def backbone(self) -> tuple[str, ...]:
        """Return dotted names of the parts before the head, in the order of their use."""
        return self.trunk_parts + self.pool_parts

    def upto(self, address: str) -> list[str]:
        """Return dotted names of all backbone parts from the first to the module `address`, that one included.

        Where the module lies inside a part, its siblings before it are listed instead of the part. Raises
        KeyError where there is none such.
        """
        names: list[str] = []
        for part in self.backbone():
            if address == part:
                return [*names, part]
            if address.startswith(f"{part}."):
                inside = [name for name, _ in self.get_submodule(part).named_children()]
                last = inside.index(address[len(part) + 1:].partition(".")[0])
                return names + [f"{part}.{name}" for name in inside[:last + 1]]
            names.append(part)
        raise KeyError(address)

    @property
    def one_view(self) -> Network:
        """The network of a single image: this one, unless it sees several."""
        return self

    def drop_head(self) -> None:
        """Remove the head; features are all that is left."""
        for name in self.head_parts:
            parent, _, last = name.rpartition(".")
            delattr(self.get_submodule(parent), last)
        self.head_parts = ()

    def _call(self, names: tuple[str, ...], x: Tensor) -> Tensor:
        for name in names:
            x = self.get_submodule(name)(x)
        return x


@dataclass(frozen=True)
class Built:
    """A network, and what a person and a Classifier should know about it.

    Attributes:
        network: a Network
        notes: sentences, such as weights that could not be used
        stages, stage_names: of the maps that it has, as in Classifier; None: those of its ModelSpec
    """

    network: Network
    notes: tuple[str, ...] = ()
    stages: tuple[str, ...] | None = None
    stage_names: tuple[str, ...] | None = None
