"""Why did the network say that? Maps over the image, and how they are drawn.

    grad_cam      which places of a feature map speak for a class (imports torch when first asked for)
    feature_maps  the layers that can be asked
    overlay       a map drawn on its image, colour_scale its legend (numpy and OpenCV only)
"""

from core.explain.overlay import colour_scale, overlay

__all__ = ["colour_scale", "feature_maps", "grad_cam", "overlay"]


def __getattr__(name: str):          # PEP 562: a page that only draws a legend should not wait for torch
    if name in ("feature_maps", "grad_cam"):
        from core.explain import gradcam

        return getattr(gradcam, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
