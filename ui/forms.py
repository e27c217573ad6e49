"""The form of a run. Every widget is built by `draw` from a knob of core/config.py: label, help, unit, limits, default.

What a person chose lives in one dictionary of the session, the widgets only show it: so it outlasts a change of page, an
error and a closed expander. A value that is not allowed stays as it was typed, until `read` says in words what is wrong.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import streamlit as st

from core.classifiers import shipped_classifiers
from core.config import AugmentConfig, DataConfig, RunConfig, knob_of, knobs
from core.datasets import DATASETS
from core.errors import LightboxError
from core.models import MODELS
from core.runs import RunStore
from ui import live, outlook
from ui.follow import follow
from ui.shell import escape, set_param

SIZES = (28, 64, 128, 224)          # those of MedMNIST+, and of most published networks

# Words for values that are short names in the config. What is not here is shown as it is.
WORDS = {
    "data.split": {"auto": "Official, else by patient", "official": "Official", "patient": "By patient",
                   "study": "By study", "image": "By image, ignoring patients"},
    "data.resize": {"pad": "Pad with black", "stretch": "Stretch", "crop": "Crop"},
    "data.channels": {0: "As the set has it", 1: "Gray", 3: "Colour"},
    "model.name": {name: spec.title for name, spec in MODELS.items()},
    "model.stem": {"auto": "Small up to 64 px", "small": "Small", "standard": "Standard"},
    "optim.name": {"adamw": "AdamW", "adam": "Adam", "sgd": "SGD"},
    "optim.schedule": {"constant": "Constant", "cosine": "Cosine", "step": "In steps"},
    "train.precision": {"auto": "Automatic"},
}

# Numbers with two ends that mean something are sliders; the rest is typed, because it spans powers of ten.
SLIDERS = {"data.val_fraction": 0.01, "data.test_fraction": 0.01, "data.train_fraction": 0.01, "model.dropout": 0.05,
           "optim.warmup": 0.01,
           "augment.flip": 0.05, "augment.flip_vertical": 0.05, "augment.crop": 0.01, "augment.scale": 0.01, "augment.shear": 1.0,
           "augment.rotate": 1.0, "augment.shift": 0.01, "augment.blur": 0.05, "augment.blur_sigma": 0.1,
           "augment.brightness": 0.01, "augment.contrast": 0.05, "augment.linear_contrast": 0.05,
           "augment.linear_contrast_low": 0.05, "augment.linear_contrast_high": 0.05, "augment.multiply": 0.05,
           "augment.multiply_low": 0.05, "augment.multiply_high": 0.05, "augment.saturation": 0.05, "augment.hue": 0.01,
           "augment.noise": 0.05, "augment.noise_scale": 0.01, "augment.noise_per_channel": 0.05}


@dataclass(frozen=True)
class Recipe:
    """A few settings that go together. What a recipe does not name takes its default, if another recipe names it or if it is a
    random change of the images."""
    title: str
    help: str
    changes: Mapping[str, Any]


RECIPES = {
    "quick": Recipe("Quick look", "A small network that already knows bones, on small images for a few epochs: about a minute. "
                    "Shows whether the data are right before anything is worth waiting for.",
                    {"model.name": "squeezenet1_1", "model.weights": "run:phantom-body-part", "data.size": 64, "train.epochs": 5,
                     "train.batch_size": 32}),
    "careful": Recipe("Careful", "ImageNet's weights, 128 px, and small random changes of the images that an X-ray could have "
                      "by itself. Takes its time, best on a GPU.",
                      {"model.name": "resnet18", "model.weights": "imagenet", "data.size": 128, "train.epochs": 15,
                       "train.batch_size": 32, "optim.lr": 3e-4, "augment.rotate": 7.0, "augment.shift": 0.05,
                       "augment.scale": 0.1, "augment.brightness": 0.1, "augment.contrast": 0.1}),
    "medmnist": Recipe("MedMNIST's protocol", "As in the experiments of MedMNIST v2 (Yang et al. 2023): ResNet-18 at 28 px, Adam "
                       "at 0.001, batches of 128, a tenth of the rate after half and after three quarters, no augmentation. "
                       "They train 100 epochs.",
                       {"model.name": "resnet18", "data.size": 28, "train.epochs": 100, "train.batch_size": 128,
                        "optim.name": "adam", "optim.weight_decay": 0.0, "optim.schedule": "step", "optim.warmup": 0.0}),
}
_IN_RECIPES = tuple(dict.fromkeys([*(name for recipe in RECIPES.values() for name in recipe.changes),
                                   *(f"augment.{f.name}" for f in fields(AugmentConfig))]))


# ------------------------------------------------------------------------------------------------------------------- the values

def value_of(name: str) -> Any:
    """What the form holds for a knob ("optim.lr"), as it was chosen or typed."""
    return _values().get(name, _default(name))


def put(name: str, value: Any) -> None:
    """Set a knob. Call it before its widget is drawn."""
    _values()[name] = value


def read() -> RunConfig:
    """The run that the form describes. Raises LightboxError "config.value" naming the first value that is not allowed."""
    config = RunConfig().with_(**_values())
    data = config.data.dataset
    if data not in DATASETS and Path(data).expanduser().exists():      # the trainer may stand in another folder
        config = config.with_(**{"data.dataset": str(Path(data).expanduser().resolve())})
    return config


def fill(config: RunConfig) -> None:
    """Put another run's settings into the form. Its name stays with that run."""
    _values().update({f"{section}.{f.name}": getattr(getattr(config, section), f.name) for section, f in knobs()})
    _values().pop("name", None)
    set_param("dataset", config.data.dataset)


def take_address() -> LightboxError | None:
    """Obey ?run=<id>: fill the form with that run's settings, to go on from its weights, or with &again=1 to do it again.

    The parameters then leave the address: from here on the form is the person's. Returns what is wrong with the run, if it is.
    """
    run_id, again = st.query_params.get("run"), st.query_params.get("again")
    for name in ("run", "again"):
        st.query_params.pop(name, None)
    if not run_id:
        return None
    try:
        fill(RunStore().get(run_id).config)
    except LightboxError as error:
        return error
    if not again:
        put("model.weights", f"run:{run_id}")
    return None


def choose_dataset(name: str) -> None:
    """Take what the chip says. Another set has other tasks, so its first one is chosen."""
    if name != value_of("data.dataset"):
        put("data.target", "")
    put("data.dataset", name)


def _values() -> dict[str, Any]:
    return st.session_state.setdefault("form_of_a_run", {})


def _default(name: str) -> Any:
    return "" if name == "name" else knob_of(name).default


# ------------------------------------------------------------------------------------------------------------------ the widgets

def draw(name: str, options: Mapping[Any, str] | None = None, free: bool = False, label: str = "", page: str = "") -> None:
    """The widget of one knob.

    Args:
        name: dotted, as in core/config.py
        options: value -> what is shown, where the config alone does not know them
        free: whether another value may be typed among the options
        label: where another one than the knob's fits better, because of what stands beside it
        page: on another page than Train, its name: Streamlit loses the value of a widget that stands on two pages
    """
    f = knob_of(name)
    m, value = f.metadata, value_of(name)
    label = label or (f"{m['label']} ({m['unit']})" if m["unit"] else m["label"])
    options = options or (m["choices"] and {c: WORDS.get(name, {}).get(c, str(c)) for c in m["choices"]})
    is_number = not options and not isinstance(f.default, (bool, str))
    fits = not is_number or isinstance(value, type(f.default)) and m["low"] <= value <= m["high"]
    key = f"knob_{name}" + (f"@{page}" if page else "") + ("" if fits else "_as_typed")
    same = {"help": escape(m["help"])} | follow(key, value, _take, name)
    if options:
        shown = dict(options) if value in options else {**options, value: str(value)}
        st.selectbox(label, list(shown), format_func=lambda v: shown.get(v, str(v)), accept_new_options=free, **same)
    elif isinstance(f.default, bool):
        st.toggle(label, **same)
    elif isinstance(f.default, str):
        st.text_input(label, **same)
    else:
        low, high = (m["low"], m["high"]) if fits else (None, None)        # what does not fit is shown, `read` says why
        if name in SLIDERS and fits:
            st.slider(label, low, high, step=SLIDERS[name], format="%g", **same)
        elif isinstance(f.default, int):
            st.number_input(label, low, high, step=1, **same)
        else:
            st.number_input(label, low, high, step=f.default / 10 or 0.1, format="%g", **same)


def draw_many(names: tuple[str, ...], columns: int) -> None:
    """Widgets of several knobs, row by row in `columns` columns."""
    for start in range(0, len(names), columns):
        for column, name in zip(st.columns(columns), names[start:start + columns]):
            with column:
                draw(name)


def draw_name() -> None:
    """What the person calls the run."""
    st.text_input("Name", placeholder="Optional", max_chars=80, **follow("knob_name", value_of("name"), _take, "name"), 
                  help="Only text, to find the run again. Without one it is called by its network, data and size.")


def draw_recipes() -> None:
    """The recipes as pills. The one whose settings the form holds is lit; choosing one sets them."""
    lit = [key for key in RECIPES if all(value_of(name) == value for name, value in _of_recipe(key).items())]
    st.pills("Recipe", list(RECIPES), format_func=lambda key: RECIPES[key].title,
             **follow("recipe", lit[0] if lit else None, _take_recipe),
             help="Settings that go together, to start from. " +
                  " ".join(f"{recipe.title}: {recipe.help}" for recipe in RECIPES.values()))


def draw_start_from(runs: list[live.Row]) -> None:
    """What the network starts from: nothing, ImageNet, a classifier that came with the app, or a finished run, each with the
    same network."""
    shipped = {f"run:{info.address}": f"{info.title} (came with the app)" for info in shipped_classifiers()
               if info.network == value_of("model.name") or f"run:{info.address}" == value_of("model.weights")}
    before = {f"run:{row.id}": f"On top of {row.name}, {row.when}" for row in runs
              if row.state == "finished" and (row.network == value_of("model.name")
                                              or f"run:{row.id}" == value_of("model.weights"))}
    draw("model.weights", {"none": "Random numbers", "imagenet": "ImageNet's weights"} | shipped | before)


def draw_target() -> None:
    """What to learn from the images, where there is a choice."""
    try:
        config = read()
    except LightboxError:                                  # said where the button is
        return
    there = outlook.targets(DataConfig(config.data.dataset, "", config.data.size, config.data.resize, config.data.channels))
    if len(there) > 1:
        if value_of("data.target") not in dict(there):
            put("data.target", there[0][0])
        draw("data.target", dict(there))


def draw_device(devices: list[dict]) -> None:
    """On what to train: what this machine has."""
    best = devices[0]
    draw("train.device", {"auto": f"Automatic: {best['name']}"} | {d["device"]: f"{d['device']}: {d['name']}" for d in devices})


def _take(name: str, value: Any) -> None:
    if isinstance(value, str) and name != "name" and isinstance(_default(name), int) and value.strip().isdecimal():
        value = int(value)                                 # a size that was typed among the options
    put(name, value)


def _take_recipe(recipe: str | None) -> None:
    if recipe:
        _values().update(_of_recipe(recipe))


def _of_recipe(key: str) -> dict[str, Any]:
    return {name: _default(name) for name in _IN_RECIPES} | dict(RECIPES[key].changes)


# -------------------------------------------------------------------------------------------------------------------- the queue

def draw_queue_button() -> None:
    """"Queue run". The button carries a token that is good for one run: the second click of a double click, which comes with
    the token of the first, makes no other run but leads to the one that is there already."""
    token = st.session_state.setdefault("queue_token", secrets.token_hex(8))
    st.button("Queue run", type="primary", key="queue_run", icon=":material/play_arrow:", width="stretch", on_click=_queue,
              args=(token,))


def queued_run() -> str | None:
    """The id of the run that the last press of the button made; said once."""
    return st.session_state.pop("queue_made", None)


def queue_error() -> LightboxError | None:
    """Why the last press of the button made no run; said once."""
    return st.session_state.pop("queue_error", None)


def _queue(token: str) -> None:
    if token != st.session_state.get("queue_token"):
        st.session_state["queue_made"] = st.session_state.get("queue_last")
        return
    st.session_state["queue_token"] = secrets.token_hex(8)
    try:
        store = RunStore()
        run = store.create(read())
        store.tend()
        st.session_state["queue_last"] = st.session_state["queue_made"] = run.id
    except LightboxError as error:
        st.session_state["queue_error"] = error
