"""Runs: the store that keeps them, the queue in which they wait, their checkpoints and classifiers.

    RunStore    all runs of a LIGHTBOX_HOME: create, list, resume, delete
    Run         one of them: config, state, records, notes
    State       where a run is in its life
"""

from importlib import import_module

_HOMES = {"RunStore": "store", "Run": "run", "State": "states"}

__all__ = ["Run", "RunStore", "State"]      # noqa: F822 - given by __getattr__


def __getattr__(name: str):          # PEP 562: `python -m core.runs.device` must not find itself imported already
    if name in _HOMES:
        return getattr(import_module(f"core.runs.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
