"""A grid: several values for some settings, a run for each combination.

    configs = expand(config, {"model.name": ["resnet18", "resnet50"], "train.seed": [0, 1, 2]})       # 6 runs

Besides the dotted fields of core/config.py, `augment` takes the names of core.augment.PRESETS and `recipe` the keys of
core.runs.recipes.RECIPES; data.fold takes the word all. A recipe is laid under what the other fields say.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from core.augment import PRESETS
from core.config import RunConfig, knob_of, knobs
from core.errors import LightboxError
from core.runs import recipes
from core.runs.codes import name_code

LIMIT = 200                     # runs in one grid: more is a mistake more often than a plan
ALL = "all"                     # of data.fold: every fold there is
IN_CODE = {"model.name", "augment", "data.size", "model.freeze", "train.batch_size", "data.dataset"}   # a run's code says it


def expand(config: RunConfig, values: Mapping[str, Sequence[Any]], limit: int = LIMIT) -> list[RunConfig]:
    """Every combination, in the order of the fields and their values, the last field the quickest. Equal ones are there once.

    Each is named by its code (core/runs/codes.py) and, after a comma, by what varies and the code does not say.

    Args:
        config: what the combinations have in common
        values: field -> values, strings or of the field's kind; a field without values stays as it is

    Raises:
        LightboxError: "grid.field" for an unknown field, "grid.many" beyond `limit` runs, "grid.folds" for all folds of
            none, or what is wrong with a value, with the combination that has it
    """
    names = {f"{section}.{f.name}" for section, f in knobs()}
    values = {name: list(dict.fromkeys(given)) for name, given in values.items() if len(given)}
    if unknown := [name for name in values if name not in names | {"augment", "recipe"}]:
        raise LightboxError("grid.field", f"There is no setting called {unknown[0][:80]}.",
                            f"A grid takes augment, recipe, {', '.join(sorted(names))}.")
    # Recipes first, the rest of a combination changes them; folds last, so that `all` knows how many there are.
    order = sorted(values, key=lambda name: (name != "recipe", name == "data.fold"))
    found: dict[RunConfig, str] = {}
    combinations = math.prod(len(given) for given in values.values())
    _no_more_than(limit, combinations)
    for chosen in itertools.product(*(values[name] for name in order)):
        combination = dict(zip(order, chosen))
        for one in _folds(combination, config):
            try:
                made = _changed(config, one)
            except LightboxError as error:
                where = ", ".join(f"{name} = {value}" for name, value in one.items())
                raise LightboxError(error.code, error.message, f"{error.hint} In the combination {where}.".strip()) from None
            found.setdefault(dataclasses.replace(made, name=""), _name(made, one, values))
            _no_more_than(limit, len(found))
    return [dataclasses.replace(made, name=name) for made, name in found.items()]


def parse_values(items: Sequence[str]) -> dict[str, list[str]]:
    """{"model.name": ["resnet18", "resnet50"]} from the command line's "model.name=resnet18,resnet50".

    Raises LightboxError "cli.grid".
    """
    found = {}
    for item in items:
        name, equals, given = item.partition("=")
        texts = [text.strip() for text in given.split(",") if text.strip()]
        if not equals or not texts:
            raise LightboxError("cli.grid", f"--grid {item} has no values.", "Write section.field=value,value.")
        found.setdefault(name, []).extend(texts)
    return found


def _folds(combination: dict[str, Any], config: RunConfig) -> list[dict[str, Any]]:
    if combination.get("data.fold") != ALL:
        return [combination]
    folds = int(combination.get("data.folds", config.data.folds))
    if folds < 2:
        raise LightboxError("grid.folds", "All folds were asked for, but the images are not cut into folds.",
                            "Set data.folds to 5, for example.")
    return [combination | {"data.fold": fold} for fold in range(folds)]


def _changed(config: RunConfig, combination: Mapping[str, Any]) -> RunConfig:
    for name, value in combination.items():
        if name == "recipe":
            config = recipes.apply(config, value)
        elif name == "augment":
            if value not in PRESETS:
                raise LightboxError("grid.field", f"There are no random changes called {value!r}.",
                                    f"There are: {', '.join(PRESETS)}.")
            config = config.with_(**{f"augment.{key}": v for key, v in vars(PRESETS[value].config).items()})
        else:
            config = config.with_(**{name: value})
    return config


def _name(config: RunConfig, combination: Mapping[str, Any], values: Mapping[str, Sequence[Any]]) -> str:
    many = [name for name, given in values.items() if len(given) > 1 or given == [ALL]]
    more = [f"{_word(name)} {combination[name]}" for name in many if name not in IN_CODE
            and not (config.model.name == "cnn" and name.startswith("model.cnn_"))]
    if "augment" in many and len({*values["augment"]} - {"none"}) > 1:          # the code only says whether there are any
        more.append(f"random changes {combination['augment']}")
    if "model.freeze" in many and len({*values["model.freeze"]} - {"none"}) > 1:
        more.append(f"freeze {combination['model.freeze']}")
    return ", ".join([name_code(config), *more])


def _word(name: str) -> str:
    return name if name == "recipe" else knob_of(name).metadata["label"].lower()


def _no_more_than(limit: int, count: int) -> None:
    if count > limit:
        raise LightboxError("grid.many", f"This grid has more than {limit} runs ({count:,})." if count > limit + 1 else
                            f"This grid has more than {limit} runs.", "Choose fewer values, or make two grids.")
