"""A grid: several values for some settings, a run for each combination.

    configs = expand(config, {"model.name": ["resnet18", "resnet50"], "train.seed": [0, 1, 2]})       # 6 runs

Besides the settings of core/config, `augment` takes the names of core.augment.PRESETS and `recipe` the keys
of core.runs.recipes.RECIPES; data.fold takes the word all, data.only "body_part:*" for each value of a column.
The other settings of a combination override its recipe.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from core.augment import PRESETS
from core.config import KNOBS, RunConfig
from core.datasets import Dataset, look_ahead
from core.datasets.text import natural_key
from core.errors import LightboxError
from core.runs import recipes
from core.runs.names import grid_name

LIMIT = 200                     # runs in one grid: more is a mistake more often than a plan
ALL = "all"                     # of data.fold: every fold there is
EACH = "*"                      # of a column in data.only: every value there is


@dataclasses.dataclass(frozen=True)
class Series:
    """A grid with a name: runs that differ in one thing, to be compared or to predict together; `values` as `expand` takes
    them."""
    title: str
    help: str
    values: Mapping[str, tuple]


SERIES = {
    "bootstrap": Series("Five readers: bootstrap by patient", "Each network learns from its own draw of the training patients: "
                        "they differ more than networks of five seeds, and validation and test stay the same.",
                        {"data.bootstrap": (1, 2, 3, 4, 5)}),
    "seeds": Series("Five seeds", "The same run with other random numbers: how much of a result is chance.",
                    {"train.seed": (0, 1, 2, 3, 4)}),
    "networks": Series("Three networks", "Networks that are built differently make different errors.",
                       {"model.name": ("resnet18", "densenet121", "squeezenet1_1")}),
}


def expand(config: RunConfig, values: Mapping[str, Sequence[Any]], limit: int = LIMIT,
           look: Callable[..., Dataset | None] = look_ahead) -> list[RunConfig]:
    """Return every combination, the last setting varying fastest, without duplicates.

    Each is named by what differs between them, in words: see `core.runs.names.grid_name`.

    Args:
        config: what the combinations have in common; its name, where it has one, begins those of all
        values: setting -> values, strings or of its type; a setting without values stays as it is
        look: DataConfig -> the data set as far as it is known, to know the values of a column

    Raises:
        LightboxError: "grid.field" for an unknown setting, "grid.many" beyond `limit` runs, "grid.folds" for
            all folds where there are none, "grid.column" for each value of a column that is not known, or what is wrong with
            a value, with the combination that has it
    """
    values = {name: list(dict.fromkeys(given)) for name, given in values.items() if len(given)}
    if unknown := [name for name in values if name not in {*KNOBS, "augment", "recipe"}]:
        raise LightboxError("grid.field", f"There is no setting called {unknown[0][:80]}.",
                            f"A grid takes augment, recipe, {', '.join(sorted(KNOBS))}.")
    # Recipes first, the rest of a combination overrides them; folds last, so that `all` knows how many there
    # are.
    order = sorted(values, key=lambda name: (name != "recipe", name == "data.fold"))
    names: dict[RunConfig, str] = {}
    if "data.only" in values:
        values["data.only"] = [one for given in values["data.only"] for one in _each_value(given, config, look)]
    # the seed last: what comes before it is then the name of all seeds of a setting
    many = sorted((name for name in values if len(values[name]) > 1 or values[name] == [ALL]), key="train.seed".__eq__)
    _check_count(limit, math.prod(len(given) for given in values.values()))
    for chosen in itertools.product(*(values[name] for name in order)):
        combination = dict(zip(order, chosen))
        for one in _folds(combination, config):
            try:
                made = _changed(config, one)
            except LightboxError as error:
                where = ", ".join(f"{name} = {value}" for name, value in one.items())
                raise LightboxError(error.code, error.message,
                                    f"{error.hint} In the combination {where}.".strip()) from None
            names.setdefault(dataclasses.replace(made, name=""),
                             grid_name(made, [(name, one[name]) for name in many], config.name))
            _check_count(limit, len(names))
    return [dataclasses.replace(made, name=name) for made, name in names.items()]


def cross_validation(config: RunConfig, folds: int) -> list[RunConfig]:
    """Return a run for each of k folds of the images that are not test: stratified by class, and patients kept whole as
    data.split says.

    Raises LightboxError "config.value" for more folds than are allowed, "grid.folds" for fewer than two.

    >>> [one.data.fold for one in cross_validation(RunConfig(), 3)]
    [0, 1, 2]
    """
    return expand(config.with_(**{"data.folds": folds, "data.fold": 0}), {"data.fold": [ALL]})


def parse_values(items: Sequence[str]) -> dict[str, list[str]]:
    """Return {"model.name": ["resnet18", "resnet50"]} from the command line's "model.name=resnet18,resnet50".

    Raises LightboxError "cli.grid".
    """
    values = {}
    for item in items:
        name, equals, given = item.partition("=")
        texts = [text.strip() for text in given.split(",") if text.strip()]
        if not equals or not texts:
            raise LightboxError("cli.grid", f"--grid {item} has no values.",
                                "Write section.field=value,value.")
        values.setdefault(name, []).extend(texts)
    return values


def _each_value(only: str, config: RunConfig, look: Callable[..., Dataset | None]) -> list[str]:
    """Return "side:L" and "side:R" for "side:*", each value of a column; anything else as it is."""
    column, _, value = only.partition(":")
    if value != EACH:
        return [only]
    data = look(dataclasses.replace(config.data, only=""))
    found = () if data is None or column not in data.table else data.table[column].astype(str).unique()
    if not any(found):
        raise LightboxError("grid.column", f"The values of {column[:80]!r} are not known.", "Open the data set on Browse first."
                            if data is None else f"Its columns: {', '.join(map(str, data.table))[:300]}.")
    return [f"{column}:{value}" for value in sorted(filter(None, found), key=natural_key)]


def _folds(combination: dict[str, Any], config: RunConfig) -> list[dict[str, Any]]:
    if combination.get("data.fold") != ALL:
        return [combination]
    folds = int(combination.get("data.folds", config.data.folds))
    if folds < 2:
        raise LightboxError("grid.folds", "A grid over all folds needs folds.",
                            "Set data.folds to 5, for example.")
    return [combination | {"data.fold": fold} for fold in range(folds)]


def _changed(config: RunConfig, combination: Mapping[str, Any]) -> RunConfig:
    for name, value in combination.items():
        if name == "recipe":
            config = recipes.apply(config, value)
        elif name == "augment":
            if value not in PRESETS:
                raise LightboxError("grid.field", f"There is no augmentation preset called {value!r}.",
                                    f"There are: {', '.join(PRESETS)}.")
            config = config.with_(**{f"augment.{key}": v for key, v in vars(PRESETS[value].config).items()})
        else:
            config = config.with_(**{name: value})
    return config


def _check_count(limit: int, count: int) -> None:
    if count > limit:
        raise LightboxError("grid.many", f"This grid has more than {limit} runs ({count:,})." if count > limit + 1 else
                            f"This grid has more than {limit} runs.",
                            "Choose fewer values, or make two grids.")
