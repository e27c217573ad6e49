"""Lightbox's core: PyTorch and arrays, no user interface. Usable from a notebook, a script or a cluster."""

__version__ = "0.1.0"
