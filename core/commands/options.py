"""What a command is, the arguments that several have, and what was given with them."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import LightboxError

if TYPE_CHECKING:
    from core.runs.store import Run


@dataclass(frozen=True)
class Argument:
    """One argument of a command, in the words of `argparse.ArgumentParser.add_argument`."""

    names: tuple[str, ...]
    settings: dict


@dataclass(frozen=True)
class Command:
    """One row of COMMANDS.

    Args:
        help: for the list of all commands
        function: (options) -> the exit code; None is 0. What it imports, it imports when it is called: the list of commands
            stands at once
    """

    name: str
    help: str
    function: Callable[[Namespace], int | None]
    arguments: tuple[Argument, ...]


def argument(*names: str, **settings) -> Argument:
    """As `add_argument` takes it."""
    return Argument(names, settings)


JSON = argument("--json", action="store_true")
MORE_SETTINGS = "any other setting of core/config.py; may be given again and again"


def set_argument(metavar: str, help: str = MORE_SETTINGS) -> Argument:
    """--set, which may be given again and again: `pairs` reads it."""
    return argument("--set", action="append", default=[], metavar=metavar, help=help)


def split_argument(help: str, default: str = "val") -> Argument:
    """--split, on whose images a run is judged; "" leaves the choice to the command."""
    return argument("--split", choices=("val", "test"), default=default, help=help)


def pairs(items: list[str], like: str = "key=value") -> dict[str, str]:
    """{"labels": "diagnosis"} from what was given with --set.

    Raises:
        LightboxError: "cli.set" for an item without a value
    """
    found = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals:
            raise LightboxError("cli.set", f"--set {item} has no value.", f"Write {like}.")
        found[key] = value
    return found


def settings(items: list[str]) -> dict[str, str]:
    """{"optim.lr": "0.001"} from what was given with --set. Raises as `pairs` does."""
    return pairs(items, "section.field=value")


def absolute(dataset: str | None) -> str | None:
    """A path as the worker, which runs elsewhere, will find it; a name as it is."""
    looks_like_path = dataset and ("/" in dataset or dataset.endswith((".npz", ".csv", ".tsv", ".txt", ".zip"))
                                   or dataset.startswith("."))
    return str(Path(dataset).expanduser().resolve()) if looks_like_path else dataset


def open_run(name: str) -> Run:
    """A run by its id. Raises LightboxError where there is none."""
    from core.runs.store import RunStore
    return RunStore().get(name)
