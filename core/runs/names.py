"""What people call a run that nobody has named, what a member of a grid is called, and settings in words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from core.augment import PRESETS
from core.config import KNOBS, RunConfig
from core.models import MODELS
from core.runs.recipe_datasets import targets_of
from core.runs.recipes import RECIPES

# What `default_name` has.
OF_A_NAME = ("model.name", "data.dataset", "data.target", "data.only", "data.size", "data.bootstrap")


def network_title(name: str) -> str:
    """Return what people call a network of MODELS, as every page does: "densenet169" -> "DenseNet-169"."""
    return MODELS[name].title if name in MODELS else name


def setting_words(name: str, value: Any) -> str:
    """Return the value of a setting in words; of a grid's `augment` and `recipe` too.

    >>> setting_words("model.name", "densenet169"), setting_words("data.size", 64), setting_words("data.resize", "pad")
    ('DenseNet-169', '64 px', 'Pad with black')
    """
    titles = {"model.name": MODELS, "augment": PRESETS}.get(name, {})
    if value in titles:
        return titles[value].title
    if name == "recipe" and value in RECIPES:
        return f"{RECIPES[value].report} {RECIPES[value].title}".strip()
    if name == "data.dataset":
        return value.rstrip("/").rsplit("/", 1)[-1]
    if name == "data.target":
        return value.replace("_", " ")
    if name == "data.only":
        return value.partition(":")[2].replace("|", " or ") or "all images"
    if name == "data.bootstrap":
        return f"draw {value}" if int(value) else "off"
    if name not in KNOBS:
        return str(value)
    knob = KNOBS[name]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value:g} {knob.unit}".strip() if number else knob.words(value)


def default_name(config: RunConfig) -> str:
    """Return the network, the data set, where it has several tasks the task, where it is narrowed to what, the image size, and
    the draw of a bootstrap.

    >>> default_name(RunConfig().with_(**{"data.target": "body_part"}))
    'ResNet-18 on phantom: body part, 64 px'
    """
    data, known = config.data, targets_of(config.data.dataset)
    target = data.target or (known or [""])[0]
    task = f": {setting_words('data.target', target)}" if target and len(known) != 1 else ""
    only = f", {setting_words('data.only', data.only)} only" if data.only else ""
    drawn = f", bootstrap {setting_words('data.bootstrap', data.bootstrap)}" if data.bootstrap else ""
    return (f"{network_title(config.model.name)} on {setting_words('data.dataset', data.dataset)}{task}{only}, "
            f"{setting_words('data.size', data.size)}{drawn}")


def grid_name(config: RunConfig, varied: Iterable[tuple[str, Any]], name: str = "") -> str:
    """Return what a member of a grid is called: its name, and in words what differs between the members.

    Args:
        varied: (setting, value) of what differs, as `core.runs.sweep.expand` takes it
        name: that a person gave the grid; without one what `default_name` says stands there
    """
    said = [_differs(config, key, value) for key, value in varied if name or key not in OF_A_NAME]
    return ", ".join([name or default_name(config), *said])


def _differs(config: RunConfig, key: str, value: Any) -> str:
    words = _plain(setting_words(key, value))
    if key == "data.bootstrap":
        return f"bootstrap {words}"
    if key in OF_A_NAME:
        return words
    if key == "data.fold":
        return f"fold {int(value) + 1} of {config.data.folds}"
    label = {"augment": "Augmentation", "recipe": "Recipe"}.get(key) or KNOBS[key].label
    return f"{_plain(label)} {words}"


def _plain(words: str) -> str:
    """Return words as they stand inside a sentence: "Batch size" -> "batch size", but "CPU threads" and "ResNet-18"."""
    first = words.split(" ")[0]
    return words[:1].lower() + words[1:] if first[1:].islower() or first == "A" else words
