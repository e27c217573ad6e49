"""What the form, the command line and the reports know of one setting."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from core.errors import LightboxError

BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclass(frozen=True)
class Group:
    """Knobs that stand together under the heading `part`, in an expander where there is a title."""

    part: str
    title: str = ""


# A knob without a group belongs to the one that is called like its section. Two are not here: "header" is
# drawn as a chip, "augment" by the page Augment, beside its own table of augmentations.
GROUPS = {
    "images": Group("Data"), "data": Group("Data", "Split, folds, resizing"),
    "network": Group("Network"), "cnn": Group("Network"),
    "model": Group("Network", "Head, freezing, normalisation"),
    "training": Group("Training"), "optim": Group("Training", "Weight decay, warm-up, clipping"),
    "objective": Group("Objective"), "train": Group("Objective", "Class imbalance, smoothing, mixup"),
    "common changes": Group("Data augmentation"), 
    "hardware": Group("Hardware and randomness", "Hardware and randomness"),
}


@dataclass(frozen=True)
class Knob:
    """One setting: what the form, the command line and the reports know of it.

    Attributes:
        default: its type is the type of the setting
        low, high: limits of a number, both allowed
        choices: value -> its words; no other value is allowed
        offered: value -> its words, in a menu where any other value may be typed
        grid: values that a grid of runs offers; by default those of the menu
        step: of a slider; a number without one is typed, because it spans powers of ten
        group: key of GROUPS
        shown_if, hidden_if: other setting -> the value (* is a wildcard) that gives this one an effect, or
            none
        beside: the label beside the switch of an augmentation
        name: dotted
    """

    default: Any
    label: str
    help: str
    low: float | None = None
    high: float | None = None
    unit: str = ""
    choices: Mapping[Any, str] = field(default_factory=dict)
    offered: Mapping[Any, str] = field(default_factory=dict)
    grid: tuple = ()
    step: float | None = None
    group: str = ""
    shown_if: Mapping[str, Any] = field(default_factory=dict)
    hidden_if: Mapping[str, Any] = field(default_factory=dict)
    beside: str = ""
    name: str = ""

    @property
    def title(self) -> str:
        """The label with its unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    def words(self, value: Any) -> str:
        """Return a value as its widget shows it."""
        if isinstance(value, bool):
            return "on" if value else "off"
        words = self.choices or self.offered
        return words.get(value, f"{value:g}" if isinstance(value, float) else str(value))

    def applies(self, value_of: Callable[[str], Any]) -> bool:
        """Return whether it has an effect, given the other settings: `knob.applies(config.get)`."""
        def holds(name: str, pattern: Any) -> bool:
            return fnmatchcase(str(value_of(name)), str(pattern))
        return (all(holds(*condition) for condition in self.shown_if.items())
                and not any(holds(*condition) for condition in self.hidden_if.items()))

    def check(self, value: Any) -> None:
        """Raise LightboxError "config.value" for a value that is not allowed."""
        if self.choices and value not in self.choices:
            raise LightboxError("config.value", f"{self.name} is {value!r}.",
                                f"Choose one of {', '.join(map(str, self.choices))}.")
        if isinstance(value, float) and not math.isfinite(value):
            raise LightboxError("config.value", f"{self.name} is {value}.", "Give a finite number.")
        if self.low is not None and not self.low <= value <= self.high:
            raise LightboxError("config.value", f"{self.name} is {value}.",
                                f"It must lie between {self.low} and {self.high}.")

    def convert(self, value: Any) -> Any:
        """Return a value, such as the command line's string, as the setting's type; or raise as `check`."""
        kind = type(self.default)
        try:
            if kind is bool and isinstance(value, str):
                return BOOLEANS[value.lower()]
            if kind is int and not isinstance(value, str) and float(value) != int(value):
                raise ValueError(value)
            return kind(value)
        except (ValueError, TypeError, KeyError, OverflowError):
            raise LightboxError("config.value", f"{self.name} is {value!r}.",
                                f"It must be of type {kind.__name__}.") from None


def knob(default: Any, label: str, help: str, **more: Any) -> Any:
    """Return a dataclass field that carries a Knob; `more` are the Knob's attributes."""
    return field(default=default, metadata={"knob": Knob(default, label, help, **more)})
