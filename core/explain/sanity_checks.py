"""Is this heat-map true? A map is a claim about a network, and claims can be tested.

    randomisation        does the map depend on what the network has learned? Random weights must give another map
    coverage             does the answer depend on what the map marks? Cover it (deletion), or show only it (insertion)
    shift_stability      does the map stay on what it marks when the image is moved by a few pixels?
    examine, verdict     all of it for some images, with where the maps point (`core.explain.localization`) and how alike those of
                         another seed are (`core.explain.similarity`), and one sentence about it

Shapes: N images of C channels and H x W pixels in [0, 1], K classes, maps (N, H, W). Of a signed map only what speaks for the
class counts as heat.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.explain.localization import Place, border_ring, places
from core.explain.methods import explain
from core.explain.passes import left_alone, score
from core.explain.similarity import heat, likeness, spearman, ssim

SAME = 0.5         # rank correlation: from here on the order of the pixels is more kept than lost. Unrelated smooth maps: about 0
GAIN = 0.02        # of probability: two draws of random places differ by about so much on sixteen images
STABLE = 0.5       # as SAME, of an image that was moved by SHIFT
SHIFT = 0.03       # of the side: 3 px of 96, less than a place of a late feature map
POINTED = 2.0      # so many times the heat of an even map, and it is said to point there
STEPS = 12         # of a curve of deletion or insertion
BLOCKS = 6         # into which the layers are cut when their weights become random

Progress = Callable[[str, int, int], None]             # (sentence, done, all); may raise, which stops the work
Explainer = str | Callable[[nn.Module, Tensor, Tensor, str | None], Tensor]


# ---------------------------------------------------------------------------------------------------------- random weights

@dataclass(frozen=True)
class Randomised:
    """Maps of a network that forgets, from its answer down to its first layer, beside the maps of the trained one.

    Attributes:
        blocks: (B + 1,) names: "trained", then the lowest layer whose weights are random by then
        spearman, ssim: (B + 1,) means over the images; 1 at first
    """
    blocks: tuple[str, ...]
    spearman: np.ndarray
    ssim: np.ndarray


def randomisation(model: nn.Module, images: Tensor, targets: Tensor, method: Explainer, layer: str | None = None, *,
                  seed: int = 0, progress: Progress | None = None) -> Randomised:
    """Cascading randomisation: the weights become random block by block from the top down, and the maps are made again.

    A method that shows what the network has learned must then show something else. One that does not looks at the image only,
    as an edge detector does. Adebayo et al., NeurIPS 2018, https://arxiv.org/abs/1810.03292

    The numbers of each tensor are drawn anew from a normal distribution with that tensor's own mean and deviation, so that the
    activations keep their size; running means of batch norms stay.

    Args:
        model: left as it is; a copy forgets
        method: a key of METHODS, or a function (model, images, targets, layer) -> (N, H, W)
        seed: of the random weights
    """
    trained = maps_of(method, model, images, targets, layer)
    forgetful, generator = copy.deepcopy(model), torch.Generator().manual_seed(seed)
    blocks = _from_the_top(forgetful)
    names, alike = ["trained"], [(spearman(trained, trained), ssim(trained, trained))]
    for done, block in enumerate(blocks, 1):
        for _, module in block:
            for tensor in module.parameters(recurse=False):
                drawn = torch.randn(tensor.shape, generator=generator).to(tensor)
                tensor.data = tensor.data.mean() + tensor.data.std(correction=0) * drawn
        maps = maps_of(method, forgetful, images, targets, layer)
        names.append(block[-1][0].removeprefix("network."))
        alike.append((spearman(trained, maps), ssim(trained, maps)))
        if progress:
            progress("Making the weights random", done, len(blocks))
    means = np.array(alike)[:, :, heat(trained).any((1, 2))].mean(2) if heat(trained).any() else np.zeros((len(names), 2))
    return Randomised(tuple(names), means[:, 0], means[:, 1])


def _from_the_top(model: nn.Module) -> list[list[tuple[str, nn.Module]]]:
    """The layers that have weights, last first, in at most BLOCKS groups; the first group is the layer that answers."""
    layers = [(name, module) for name, module in model.named_modules() if any(True for _ in module.parameters(recurse=False))]
    layers.reverse()
    rest = layers[1:]
    cuts = np.linspace(0, len(rest), min(BLOCKS - 1, len(rest)) + 1).round().astype(int)
    return [layers[:1], *(rest[a:b] for a, b in zip(cuts, cuts[1:]))]


def maps_of(method: Explainer, model: nn.Module, images: Tensor, targets: Tensor, layer: str | None = None) -> np.ndarray:
    """(N, H, W) float32 of a method by name or as a function."""
    maps = (method(model, images, targets, layer) if callable(method) else explain(method, model, images, targets, layer))
    return maps.detach().cpu().numpy().astype(np.float32)


def _rather_than(method: Explainer, against: Tensor) -> Explainer:
    """The method for the difference of two classes, of the same images in the same order."""
    function = method if callable(method) else partial(explain, method)
    return lambda model, images, targets, layer: function(model, images, targets, layer, against=against)


# ------------------------------------------------------------------------------------------------------ deletion, insertion

def edges(images: Tensor) -> np.ndarray:
    """Length of the gray values' gradient (Sobel), (N, H, W) >= 0: what a drawing of the image would show, without a network."""
    across = torch.tensor([[1., 0, -1], [2, 0, -2], [1, 0, -1]], dtype=images.dtype, device=images.device)
    gray = F.pad(images.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    gradient = F.conv2d(gray, torch.stack([across, across.T])[:, None])
    return gradient.square().sum(1).sqrt().cpu().numpy()


def centre(images: Tensor) -> np.ndarray:
    """Highest in the middle, falling to the corners, (N, H, W): where a photographer puts what matters."""
    n, _, h, w = images.shape
    y, x = torch.meshgrid(torch.linspace(-1, 1, h), torch.linspace(-1, 1, w), indexing="ij")
    return torch.exp(-(x ** 2 + y ** 2)).expand(n, h, w).numpy()


def random_places(images: Tensor, seed: int = 0) -> np.ndarray:
    """Random blobs as wide as those of a late feature map, (N, H, W): single random pixels would be noise, which no map is."""
    drawn = torch.rand(len(images), 1, 7, 7, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(drawn, size=images.shape[2:], mode="bicubic")[:, 0].numpy()


BASELINES: dict[str, Callable[[Tensor], np.ndarray]] = {"random places": random_places, "the centre": centre, "the edges": edges}


@torch.no_grad()
def coverage(model: nn.Module, images: Tensor, targets: Tensor, maps: Any, *, against: Tensor | None = None, steps: int = STEPS,
             without: Tensor | None = None,
             progress: Callable[[int, int], None] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Deletion and insertion: the probability of the class while the pixels go, or come, in the order of a map.

    Petsiuk et al., BMVC 2018, https://arxiv.org/abs/1806.07421. A pixel that is gone shows the blurred image: a black hole would
    be a sign of its own that no training image had. Pixels of equal value go in random order.

    Args:
        maps: (N, H, W); the highest value goes, or comes, first
        against: (N,) other classes: the probability of the class where only these two are possible, 1 / (1 + exp(y_b - y_a))
        steps: T, in which all pixels go
        without: (N, C, H, W), what is left without any pixel; None is the image blurred by a tenth of its side

    Returns:
        deletion, insertion: (N, T + 1) probabilities in [0, 1] after 0, 1/T ... 1 of the pixels went, or came
    """
    without = blurred(images) if without is None else without
    n, _, h, w = images.shape
    flat = np.asarray(maps, np.float32).reshape(n, -1)
    shuffled = np.random.default_rng(0).permutation(flat.shape[1])
    order = shuffled[np.argsort(-flat[:, shuffled], axis=1, kind="stable")]
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(h * w)[None], axis=1)
    rank = torch.from_numpy(rank.reshape(n, 1, h, w)).to(images.device)
    curves = np.empty((2, n, steps + 1))
    with left_alone(model, images):
        for t in range(steps + 1):
            first = rank < round(h * w * t / steps)
            curves[0, :, t] = _probability(model, torch.where(first, without, images), targets, against)
            curves[1, :, t] = _probability(model, torch.where(first, images, without), targets, against)
            if progress:
                progress(t + 1, steps + 1)
    return curves[0], curves[1]


def blurred(images: Tensor) -> Tensor:
    """Each image under a Gaussian of a tenth of its longer side: gray values stay, what could be read is gone."""
    sigma = max(images.shape[2:]) / 10
    reach = min(math.ceil(2.5 * sigma), *(side - 1 for side in images.shape[2:]))
    kernel = torch.exp(-torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device) ** 2 / (2 * sigma ** 2))
    kernel = (kernel / kernel.sum()).expand(images.shape[1], 1, 1, -1)
    padded = F.pad(images, (reach,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(padded, kernel, groups=images.shape[1]), kernel.transpose(2, 3), groups=images.shape[1])


def _probability(model: nn.Module, images: Tensor, targets: Tensor, against: Tensor | None = None) -> np.ndarray:
    logits = model(images)
    if against is not None:
        return score(logits, targets, against).sigmoid().float().cpu().numpy()
    logits = logits if logits.dim() == 2 else logits[:, None]
    if hasattr(model, "probabilities"):                    # a classifier knows its task; several findings have a sigmoid each
        probs = model.probabilities(logits)
    else:
        probs = logits.softmax(1) if logits.shape[1] > 1 else logits.sigmoid()
    return probs.gather(1, torch.as_tensor(targets, device=probs.device)[:, None])[:, 0].float().cpu().numpy()


def area(curves: np.ndarray) -> np.ndarray:
    """(..., T + 1) probabilities over the share of the pixels -> (...) area under them, in [0, 1]."""
    return (curves[..., 1:] + curves[..., :-1]).mean(-1) / 2


# ------------------------------------------------------------------------------------------------------------------ shifts

def shift_stability(model: nn.Module, images: Tensor, targets: Tensor, method: Explainer, layer: str | None = None, *,
                    maps: Any = None, progress: Progress | None = None) -> float | None:
    """Mean rank correlation of the maps with those of the images moved by SHIFT to the left, right, up and down.

    The maps are moved back, and compared where both images have pixels. None where no map shows anything.

    Args:
        maps: those of the images as they are, where the caller has them
    """
    maps = maps_of(method, model, images, targets, layer) if maps is None else np.asarray(maps)
    far, alike = max(1, round(SHIFT * max(images.shape[2:]))), []
    inner = (slice(None), slice(far, -far), slice(far, -far))
    for done, (down, right) in enumerate(((0, far), (0, -far), (far, 0), (-far, 0)), 1):
        padded = F.pad(images, (far,) * 4, mode="replicate")
        h, w = images.shape[2:]
        moved = padded[:, :, far - down:far - down + h, far - right:far - right + w]
        back = np.roll(maps_of(method, model, moved, targets, layer), (-down, -right), (1, 2))
        alike.append(likeness(maps[inner], back[inner]))
        if progress:
            progress("Moving the images", done, 4)
    alike = [value for value in alike if value is not None]
    return float(np.mean(alike)) if alike else None


# ------------------------------------------------------------------------------------------------------- all of it, judged

@dataclass(frozen=True)
class Examination:
    """All tests of some maps.

    Attributes:
        images: N; empty: of how many of them the map shows nothing
        randomised: see `randomisation`
        deletion, insertion: "the map" and the names of BASELINES -> (T + 1,) mean probability
        gain: by how much the map's insertion less deletion (areas) beats the best baseline, in probability
        best_baseline: that one's name
        shifts: see `shift_stability`; seeds: likeness with the maps of a network from another seed, None where there is none
        places: see `places`
    """
    images: int
    empty: int
    randomised: Randomised
    deletion: dict[str, np.ndarray]
    insertion: dict[str, np.ndarray]
    gain: float
    best_baseline: str
    shifts: float | None
    seeds: float | None = None
    places: dict[str, Place] = field(default_factory=dict)


def examine(model: nn.Module, images: Tensor, targets: Tensor, method: Explainer, layer: str | None = None, *,
            against: Tensor | None = None, regions: Mapping[str, Any] | None = None, other: nn.Module | None = None,
            progress: Progress | None = None) -> Examination:
    """Put the maps of some images to all tests.

    Args:
        images: (N, C, H, W) in [0, 1]; sixteen are enough to judge a method by
        targets: (N,) the classes that are explained
        method, layer: as `randomisation` has them
        against: (N,) other classes: test what speaks for the ones rather than for the others
        regions: {name: (N, H, W) or (H, W) bool} where the truth is known; the border ring is always looked at
        other: a network that was trained the same way from another seed
        progress: called now and then; may raise to stop
    """
    say = progress or (lambda sentence, done, total: None)
    say("Making the maps", 0, 1)
    if against is not None:
        method = _rather_than(method, against)
    maps = maps_of(method, model, images, targets, layer)
    randomised = randomisation(model, images, targets, method, layer, progress=progress)
    deletion, insertion, score = {}, {}, {}
    orders = {"the map": maps} | {name: order(images) for name, order in BASELINES.items()}
    for k, (name, order) in enumerate(orders.items()):
        gone, come = coverage(model, images, targets, order, against=against, progress=lambda done, total, k=k: say(
            "Covering and uncovering what is marked", k * total + done, len(orders) * total))
        deletion[name], insertion[name] = gone.mean(0), come.mean(0)
        score[name] = float((area(come) - area(gone)).mean())
    best = max(BASELINES, key=score.__getitem__)
    shifts = shift_stability(model, images, targets, method, layer, maps=maps, progress=progress)
    seeds = None if other is None else likeness(maps, maps_of(method, other, images, targets, layer))
    ring = {"border ring": border_ring(*images.shape[2:])}
    return Examination(len(images), int((~heat(maps).any((1, 2))).sum()), randomised, deletion, insertion,
                       score["the map"] - score[best], best, shifts, seeds, places(maps, (dict(regions or {})) | ring))


@dataclass(frozen=True)
class Verdict:
    """What the tests say together.

    Attributes:
        answer: "yes", "doubtful" or "no"
        sentence: why, in plain words, with the number that decided
        numbers: every number that was looked at
    """
    answer: str
    sentence: str
    numbers: dict[str, float]


def verdict(found: Examination) -> Verdict:
    """One sentence: the first test that fails decides, the hardest first."""
    forgot = float(found.randomised.spearman[-1])
    numbers = {"likeness with random weights": forgot, "SSIM with random weights": float(found.randomised.ssim[-1]),
               "gain over the best baseline": found.gain}
    numbers |= {name: value for name, value in (("likeness after a shift", found.shifts), ("likeness between seeds", found.seeds))
                if value is not None}
    for name, place in found.places.items():
        numbers |= {f"energy in {name}": place.energy, f"pointing game in {name}": place.pointing}
    if found.empty == found.images:
        return Verdict("no", "There is no heat-map to believe: at this layer nothing speaks for the class.", numbers)
    if forgot >= SAME:
        return Verdict("no", f"No. The maps stay much the same when all weights are random (rank correlation {forgot:.2f}; the "
                       f"limit is {SAME}): they show the image, not what the network has learned.", numbers)
    if found.gain < GAIN:
        return Verdict("doubtful", "Doubtful. The answer depends no more on what the maps mark than on "
                       f"{found.best_baseline} (difference {found.gain:+.2f} of probability; the limit is {GAIN}).", numbers)
    if found.shifts is not None and found.shifts < STABLE:
        return Verdict("doubtful", f"Doubtful. Images that are moved by {100 * SHIFT:.0f} % of their side get other maps (rank "
                       f"correlation {found.shifts:.2f}; the limit is {STABLE}).", numbers)
    sentence = (f"Yes, as far as it can be tested: what the maps mark moves the answer by {found.gain:.2f} of probability more "
                f"than {found.best_baseline}, and random weights give other maps (rank correlation {forgot:.2f}).")
    if found.seeds is not None and found.seeds < SAME:
        sentence += f" But a second seed looks elsewhere ({found.seeds:.2f}): this tells of one network, not of the images."
    return Verdict("yes", sentence, numbers)


def points_at(found: Examination) -> str:
    """The known region that the maps point at, such as "finding" or "letters"; "" where they point at none."""
    known = {name: place for name, place in found.places.items() if name != "border ring"}
    hottest = max(known, key=lambda name: known[name].lift, default="")
    return hottest if hottest and known[hottest].lift >= POINTED else ""


def where(found: Examination) -> str:
    """Where the maps point, in a sentence; "" where nothing is known of the images."""
    known = {name: place for name, place in found.places.items() if name != "border ring"}
    if not known:
        return ""
    hottest = points_at(found)
    if not hottest:
        shares = (f"{100 * p.energy:.0f} % of the heat is in the {name}, which covers {100 * p.area:.0f} % of the image"
                  for name, p in known.items())
        return f"They point at no place that is known: {', '.join(shares)}."
    place = known[hottest]
    return (f"They point at the {hottest}: {100 * place.energy:.0f} % of the heat lies there, {place.lift:.1f} times what an "
            "even map would have.")
