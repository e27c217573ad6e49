"""Which networks there are, and how one becomes a classifier.

    MODELS        the table: name -> facts for a form
    build_model   config -> a Classifier that takes pixels in [0, 1] and normalises them itself (imports torch)
"""

from core.models.registry import MODELS, ModelSpec, uses_small_stem

__all__ = ["MODELS", "ModelSpec", "build_model", "uses_small_stem"]


def __getattr__(name: str):          # PEP 562: a page that only lists networks should not wait for torch
    if name == "build_model":
        from core.models.build import build_model
        return build_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
