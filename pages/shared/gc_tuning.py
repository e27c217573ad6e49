"""Keep the pages quick once torch is loaded: a rerun costs the server 30 ms of processor time instead of 120 (bench.load)."""

from __future__ import annotations

import atexit
import gc
import sys

_seen = 0           # modules when imports were last frozen


def spare_imports() -> None:
    """Tell the garbage collector that what has been imported will stay.

    Streamlit runs a full collection at the end of every script. It visits every object, and with torch, pandas and the rest
    imported that is most of what a click costs. Frozen objects are not visited (gc.freeze). To be called at the start of each
    run; does nothing unless more than twenty modules have been imported since.
    """
    global _seen
    if len(sys.modules) > _seen + 20:
        if not _seen:
            atexit.register(gc.unfreeze)       # so that extensions can tidy up when the server ends, and do not complain of leaks
        _seen = len(sys.modules)
        gc.collect()
        gc.freeze()
