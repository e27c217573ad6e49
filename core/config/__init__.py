"""Every setting of a run, written down once: default, limits, words, and its place in the form.

    knob                              Knob: what is known of one setting
    data model optim augment train    the settings, a frozen dataclass each

To add one: a field there, and its use. Form, command line, config.json, grid and reports find it.

    >>> config = RunConfig().with_(**{"optim.lr": "0.01", "train.epochs": 5})
    >>> config.optim.lr, config.changed()
    (0.01, {'optim.lr': 0.01, 'train.epochs': 5})
    >>> KNOBS["train.sampling"].words("balanced")
    'Balanced classes'
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.config.augment import AugmentConfig
from core.config.data import ORDERED, OUT_OF_FOLD, SPLIT_NAMES, DataConfig, Split, Task
from core.config.knob import GROUPS, Group, Knob, knob
from core.config.model import ModelConfig
from core.config.optim import OptimConfig
from core.config.train import TrainConfig
from core.errors import LightboxError

__all__ = ["GROUPS", "KNOBS", "ORDERED", "OUT_OF_FOLD", "SPLIT_NAMES", "AugmentConfig", "DataConfig", "Group", "Knob",
           "ModelConfig", "OptimConfig", "RunConfig", "Split", "Task", "TrainConfig", "home", "knob"]


def home() -> Path:
    """Return the folder for data, stores and runs: LIGHTBOX_HOME, by default ~/.lightbox."""
    return Path(os.environ.get("LIGHTBOX_HOME") or Path.home() / ".lightbox").expanduser()


@dataclass(frozen=True)
class RunConfig:
    """Everything that defines a run: enough to run it again."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    name: str = ""   # only text: a run is known by its id

    def get(self, name: str) -> Any:
        """Return the value of a dotted setting: `config.get("optim.lr")`."""
        section, _, key = name.partition(".")
        return getattr(getattr(self, section), key)

    def changed(self) -> dict[str, Any]:
        """Return dotted setting -> value of all that differs from its default."""
        return {name: self.get(name) for name, entry in KNOBS.items() if self.get(name) != entry.default}

    def check(self) -> RunConfig:
        """Return self, or raise LightboxError "config.value" naming the first setting out of its limits."""
        for name, entry in KNOBS.items():
            entry.check(self.get(name))
        if self.data.val_fraction + self.data.test_fraction > 0.9:
            raise LightboxError("config.value", "Validation and test take more than 90 % of the images.",
                                "Make data.val_fraction or data.test_fraction smaller.")
        return self

    def with_(self, **changes: Any) -> RunConfig:
        """Return a copy with dotted settings changed: `config.with_(**{"optim.lr": 0.01, "data.size": 28})`.

        Strings are converted to the setting's type, so that a command line and a form end in the same place.
        Raises LightboxError "config.field" for an unknown setting, "config.value" for a value not allowed.
        """
        sections: dict[str, dict[str, Any]] = {}
        config = dataclasses.replace(self, name=str(changes.pop("name", self.name)))
        for name, value in changes.items():
            name = ALIASES.get(name, name)
            if name not in KNOBS:
                raise LightboxError("config.field", f"There is no setting called {name}.",
                                    f"There are: {', '.join(KNOBS)}.")
            section, _, key = name.partition(".")
            sections.setdefault(section, {})[key] = KNOBS[name].convert(value)
        parts = {section: dataclasses.replace(getattr(self, section), **values)
                 for section, values in sections.items()}
        return dataclasses.replace(config, **parts).check()

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2)

    @staticmethod
    @functools.lru_cache(maxsize=1024)             # lists of runs ask for the same few again and again
    def from_json(text: str) -> RunConfig:
        """Read what `to_json` wrote. Unknown settings are ignored, missing ones take their default, or what was done before
        there was such a setting.

        Raises LightboxError "config.damaged" for no such JSON, "config.value" for a value not allowed.
        """
        try:
            raw = json.loads(text)
            given = OLD | {f"{section}.{key}": value for section in SECTIONS
                           for key, value in raw.get(section, {}).items()}
            name = str(raw.get("name", ""))
        except (ValueError, AttributeError, RecursionError):
            raise LightboxError("config.damaged", "The settings of this run cannot be read.",
                                "The file config.json was changed or damaged: restore a copy.") from None
        return RunConfig().with_(**{key: value for key, value in given.items() if key in KNOBS}, name=name)


ALIASES = {"labels.map": "data.label_map", "labels.positive": "data.positive"}      # as they may be written, too
OLD = {"data.positive": "as stored"}      # what a config.json that lacks a setting was made with, where not the default
SECTIONS = {"data": DataConfig, "model": ModelConfig, "optim": OptimConfig, "augment": AugmentConfig,
            "train": TrainConfig}


def collect_knobs(sections: dict[str, type]) -> dict[str, Knob]:
    """Return dotted name -> Knob of every setting, in the order in which they are written."""
    knobs = {}
    for section, cls in sections.items():
        for entry in dataclasses.fields(cls):
            bare: Knob = entry.metadata["knob"]
            name = f"{section}.{entry.name}"
            knobs[name] = dataclasses.replace(bare, name=name, group=bare.group or section)
    return knobs


KNOBS = collect_knobs(SECTIONS)
