"""Keeps the pages quick once torch is loaded."""

from __future__ import annotations

import atexit
import gc
import sys

_seen = 0           # modules when the collector was last told


def spare_imports() -> None:
    """Tell the garbage collector that what has been imported will stay.

    Streamlit runs a full collection at the end of every script. It visits each object that there is, and with torch, pandas and
    the rest imported that is most of what a click costs. Frozen objects are not visited (gc.freeze). Called at the start of each
    run; does something only where modules have come since.
    """
    global _seen
    if len(sys.modules) > _seen + 20:
        if not _seen:
            atexit.register(gc.unfreeze)       # so that extensions can tidy up when the server ends, and do not complain of leaks
        _seen = len(sys.modules)
        gc.collect()
        gc.freeze()
