"""METHODS: all ways to explain a prediction, with what a person should know of each.

No torch until one is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

CHUNK = 32                 # images that `explain` gives to a method at a time


@dataclass(frozen=True)
class Method:
    """A way to explain a prediction.

    Attributes:
        title: its name in the literature
        help: what it shows, in one or two plain sentences
        equation: LaTeX
        source: paper, year, address
        signed: negative values count: evidence against the class
        layered: looks into a layer that can be chosen; else it works on the pixels
        function: (model, images (N, C, H, W) in [0, 1], targets (N,), layer=None, *, against=None) -> (N, H,
            W) float32
        unit: of the map's numbers
        by_class: the map depends on the class that is explained
        many: needs many passes an image; its function takes progress=(done, total), too
    """

    title: str
    help: str
    equation: str
    source: str
    signed: bool
    layered: bool
    function: Callable[..., Tensor]
    unit: str = "logits"
    by_class: bool = True
    many: bool = False


def _later(module: str, name: str) -> Callable[..., Tensor]:
    """Return a function that imports the one of that name when it is first called: pages list methods without torch."""
    def function(*args, **options) -> Tensor:
        return getattr(import_module(f"core.explain.{module}"), name)(*args, **options)
    function.__name__ = name
    return function


METHODS: dict[str, Method] = {
    "grad_cam": Method(
        "Grad-CAM", "The feature maps of a layer, each weighted by its mean gradient: how much it raises the logit of the class.",
        r"L = \mathrm{relu}\Big(\sum_k \alpha_k A_k\Big), \quad "
        r"\alpha_k = \frac{1}{hw}\sum_{ij}\frac{\partial y}{\partial A_{k,ij}}",
        "Selvaraju et al., ICCV 2017, https://arxiv.org/abs/1610.02391", False, True, _later("gradcam", "grad_cam")),
    "grad_cam_pp": Method(
        "Grad-CAM++", "Like Grad-CAM, but small regions count as much as large ones. For images with several findings.",
        r"L = \mathrm{relu}\Big(\sum_k \alpha_k A_k\Big), \quad "
        r"\alpha_k = \sum_{ij}\frac{\mathrm{relu}(g_{k,ij})}{2 + g_{k,ij}\sum_{ab}A_{k,ab}}, \quad "
        r"g = \frac{\partial y}{\partial A}",
        "Chattopadhay et al., WACV 2018, https://arxiv.org/abs/1710.11063", False, True, _later("gradcam", "grad_cam_pp")),
    "hires_cam": Method(
        "HiRes-CAM", "Each place is weighted by its own gradient, so only what the network used is shown. Equals Grad-CAM at the "
        "last layer of most networks.",
        r"L = \mathrm{relu}\Big(\sum_k \frac{\partial y}{\partial A_k} \odot A_k\Big)",
        "Draelos and Carin, 2020, https://arxiv.org/abs/2011.08891", False, True, _later("gradcam", "hires_cam")),
    "layer_cam": Method(
        "Layer-CAM", "Only positive gradients count, each at its own place. Made for early layers, whose maps are finer.",
        r"L = \mathrm{relu}\Big(\sum_k \mathrm{relu}\Big(\frac{\partial y}{\partial A_k}\Big) \odot A_k\Big)",
        "Jiang et al., IEEE TIP 2021, https://doi.org/10.1109/TIP.2021.3089943", False, True,
        _later("gradcam", "layer_cam")),
    "eigen_cam": Method(
        "Eigen-CAM", "The first principal component of a layer's feature maps. The same map for every class.",
        r"A = U S V^\top, \quad L = \mathrm{relu}(A\, v_1)",
        "Muhammad and Yeasin, IJCNN 2020, https://arxiv.org/abs/2008.00299", False, True, _later("gradcam", "eigen_cam"),
        unit="units of the layer", by_class=False),
    "score_cam": Method(
        "Score-CAM", "Each feature map masks the image; the logit of the masked image is its weight. No gradients, many "
        "forward passes.",
        r"L = \mathrm{relu}\Big(\sum_k \alpha_k A_k\Big), \quad \alpha = \mathrm{softmax}_k\; y(x \odot \hat A_k)",
        "Wang et al., CVPR Workshops 2020, https://arxiv.org/abs/1910.01279", False, True, _later("perturbation", "score_cam"),
        unit="units of the layer", many=True),
    "occlusion": Method(
        "Occlusion", "A gray square moves over the image: how far does the logit fall? Needs nothing but predictions.",
        r"L_{ij} = \mathrm{mean}_{q \ni ij}\; y(x) - y(x \text{ without } q)",
        "Zeiler and Fergus, ECCV 2014, https://arxiv.org/abs/1311.2901", True, False, _later("perturbation", "occlusion"),
        many=True),
    "integrated_gradients": Method(
        "Integrated gradients", "What each pixel adds to the logit on the way from a black image to this one. The map sums to "
        "the change of the logit.",
        r"L = (x - b) \odot \int_0^1 \frac{\partial y}{\partial x}\big(b + t(x - b)\big)\, dt",
        "Sundararajan et al., ICML 2017, https://arxiv.org/abs/1703.01365", True, False,
        _later("input_gradients", "integrated_gradients"), many=True),
    "guided_backprop": Method(
        "Guided backpropagation", "The gradient at the pixels, of which each ReLU passes only the positive part. Sharp, but it "
        "mostly shows edges of the image.",
        r"R_{in} = R_{out} \odot [x > 0] \odot [R_{out} > 0]",
        "Springenberg et al., ICLR Workshop 2015, https://arxiv.org/abs/1412.6806", True, False,
        _later("input_gradients", "guided_backprop"), unit="logits from black to white"),
}


def explain(method: str, model: nn.Module, images: Tensor, targets: Tensor, layer: str | None = None, *,
            against: Tensor | None = None, progress: Callable[[int, int], None] | None = None, half: bool = False) -> Tensor:
    """Return the maps of any number of images, computed a bounded number at a time.

    Args:
        method: a key of METHODS
        model: left exactly as it was
        images: (N, C, H, W) float32 in [0, 1]
        targets: (N,) int64, the class to explain for each image
        layer: dotted name; None is the last feature map. Methods that are not layered ignore it
        against: (N,) int64: explain the difference of two logits instead, targets less against. Ignored by a
            method that is not `by_class`
        progress: called with what is done and all that is to be done, in passes through the model; may raise
            to stop
        half: compute in bfloat16 up to the layer (everywhere, if the method is not layered) where the
            processor has it: about 1.7 times as fast, for galleries; a map is then off by some hundredths of
            its peak

    Returns:
        (N, H, W) float32 in the method's unit, not rescaled; >= 0 unless the method is signed

    Raises:
        KeyError: no method or no layer of that name
        ValueError: a layer that has no map, targets that do not fit

    >>> import torch
    >>> from core.config import ModelConfig
    >>> from core.models import build_model
    >>> model = build_model(ModelConfig("small_cnn"), classes=2, size=32, channels=1)
    >>> explain("occlusion", model, torch.rand(2, 1, 32, 32), torch.tensor([0, 1])).shape
    torch.Size([2, 32, 32])
    """
    import torch

    from core.explain.passes import bfloat16_is_fast
    if method not in METHODS:
        raise KeyError(f"There is no method {method!r}. There are: {', '.join(METHODS)}")
    chosen, maps = METHODS[method], []
    targets, n = torch.as_tensor(targets), len(images)
    if len(targets) != n or against is not None and len(against) != n:
        raise ValueError(f"targets must be {n} whole numbers, one an image.")
    for start in range(0, n, CHUNK):
        part = slice(start, start + CHUNK)
        size = len(images[part])

        # of this part -> of all images
        def within(done: int, total: int, start=start, size=size) -> None:
            progress(start * total // size + done, n * total // size)

        more = {"progress": within} if chosen.many and progress else {}
        versus = None if against is None else torch.as_tensor(against)[part]
        with torch.autocast(images.device.type, torch.bfloat16, enabled=half and bfloat16_is_fast(images.device)):
            maps.append(chosen.function(model, images[part], targets[part], layer, against=versus, **more))
        if progress and not chosen.many:
            progress(start + size, n)
    return torch.cat(maps) if maps else torch.zeros((0, *images.shape[2:]))
