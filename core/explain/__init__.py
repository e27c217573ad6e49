"""Why did the network predict that? Maps over the image, and how they are drawn.

    METHODS       all ways to explain, with equation and source; explain() uses one on any number of images
    grad_cam      which places of a feature map are evidence for a class (imports torch when it is first used)
    feature_maps  the layers that have maps
    overlay       a map drawn on its image, colour_scale its legend (numpy and OpenCV only)

The methods themselves: gradcam (maps of a layer, one pass), perturbation (many changed images),
input_gradients. What they share: passes (one pass that leaves no trace).
"""

from core.explain.methods import METHODS, Method, explain
from core.explain.overlay import colour_scale, overlay

__all__ = ["METHODS", "Method", "colour_scale", "explain", "feature_maps", "grad_cam", "overlay"]

_LATER = {"feature_maps": "passes", "grad_cam": "gradcam"}


def __getattr__(name: str):          # PEP 562: a page that only draws a legend should not wait for torch
    if name in _LATER:
        from importlib import import_module
        return getattr(import_module(f"core.explain.{_LATER[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
