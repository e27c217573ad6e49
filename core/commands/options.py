"""What a command is, and the arguments that several share."""

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
    """One argument of a command, as `argparse.ArgumentParser.add_argument` takes it."""

    names: tuple[str, ...]
    settings: dict


@dataclass(frozen=True)
class Command:
    """One row of COMMANDS.

    Args:
        help: for the list of all commands
        function: (options) -> the exit code; None is 0. What it imports, it imports when it is called, so that
            --help is quick
        alias: a former name, which is understood but not listed
    """

    name: str
    help: str
    function: Callable[[Namespace], int | None]
    arguments: tuple[Argument, ...]
    alias: str = ""


def argument(*names: str, **settings) -> Argument:
    """Return an argument; the parameters are those of `add_argument`."""
    return Argument(names, settings)


READING = (argument("--intensity", help="of DICOM and images of more than 8 bits: percentiles, 'whole range', a window as "
                    "'CENTRE WIDTH', or '' as each file asks; default: as in training"),
           argument("--frame", type=int, default=0, metavar="N", help="which frame of a file that holds several, from 1"))
JSON = argument("--json", action="store_true")
MORE_SETTINGS = "any other setting of core/config; may be repeated"


def set_argument(metavar: str, help: str = MORE_SETTINGS) -> Argument:
    """Return --set, which may be repeated; `pairs` reads it."""
    return argument("--set", action="append", default=[], metavar=metavar, help=help)


def split_argument(help: str, default: str = "val") -> Argument:
    """Return --split, on whose images a run is evaluated; "" leaves the choice to the command."""
    return argument("--split", choices=("val", "test"), default=default, help=help)


def pairs(items: list[str], like: str = "key=value", option: str = "--set") -> dict[str, str]:
    """Return {"labels": "diagnosis"} from ["labels=diagnosis"].

    Raises LightboxError "cli.set" for an item without a value.
    """
    values = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals:
            raise LightboxError("cli.set", f"{option} {item} has no value.", f"Write {like}.")
        values[key] = value
    return values


def settings(items: list[str]) -> dict[str, str]:
    """Return {"optim.lr": "0.001"} from ["optim.lr=0.001"]. Raises as `pairs` does."""
    return pairs(items, "section.field=value")


def absolute(dataset: str | None) -> str | None:
    """Return a path as the worker, which runs in another folder, will find it; a name as it is. What is called like a data set
    that is known is that set, also where a folder has the same name."""
    files = (".npz", ".csv", ".tsv", ".txt", ".zip", ".tar", ".gz", ".tgz")
    looks_like_path = dataset and ("/" in dataset or dataset.endswith(files) or dataset.startswith("."))
    if dataset and not looks_like_path:
        from core.datasets import list_datasets
        looks_like_path = dataset not in {info.name for info in list_datasets()} and Path(dataset).exists()
    return str(Path(dataset).expanduser().resolve()) if looks_like_path else dataset


def open_run(name: str) -> Run:
    """Return a run by its id. Raises LightboxError where there is none."""
    from core.runs.store import RunStore
    return RunStore().get(name)


def class_index(name: str, class_names: tuple[str, ...]) -> int:
    """Return the number of a class that is given by its name or its number. Raises LightboxError "class.unknown"."""
    if name in class_names:
        return class_names.index(name)
    if name.isdigit() and int(name) < len(class_names):
        return int(name)
    raise LightboxError("class.unknown", f"There is no class {name}.",
                        f"There are: {', '.join(class_names)}.")
