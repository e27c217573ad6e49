"""The form of a run. Every widget is built by `draw` from a knob of core/config.py: label, help, unit, limits, default.

What a person chose lives in one dictionary of the session, the widgets only show it: so it outlasts a change of page, an
error and a closed expander. A value that is not allowed stays as it was typed, until `read` says in words what is wrong.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import streamlit as st

from core.config import DataConfig, ModelConfig, RunConfig, knob_of, knobs
from core.datasets import DATASETS
from core.errors import LightboxError
from core.models import MODELS
from core.runs.classifiers import shipped_classifiers
from core.runs.store import RunStore
from pages.shared import preview, run_feed
from pages.shared.layout import escape, set_param
from pages.shared.widget_state import follow

FILE = "file:"                      # how model.weights begins where it is a file
SIZES = (28, 64, 128, 224)          # those of MedMNIST+, and of most published networks

# Words for values that are short names in the config. What is not here is shown as it is.
POOLS = {"max": "Maximum", "avg": "Average", "min": "Minimum"}
WORDS = {
    "data.split": {"auto": "Official, else by patient", "official": "Official", "patient": "By patient",
                   "study": "By study", "image": "By image, ignoring patients"},
    "data.resize": {"pad": "Pad with black", "stretch": "Stretch", "crop": "Crop"},
    "data.channels": {0: "As the set has it", 1: "Gray", 3: "Colour"},
    "model.name": {name: spec.title for name, spec in MODELS.items()},
    "model.stem": {"auto": "Small up to 64 px", "small": "Small", "standard": "Standard"},
    "model.head": {"linear": "One linear layer", "mlp": "MLP, 1024 and 512", "concat": "Average and maximum, 512"},
    "model.freeze": {"none": "Nothing", "all": "The whole backbone"},
    "model.cut": {"": "Its usual end", "-1": "Without the last part (-1)", "1": "After part 1", "2": "After part 2",
                  "20": "After part 20"},
    "model.normalise": {"auto": "Automatic", "imagenet": "ImageNet's", "own": "Of the training images", "half": "0.5 and 0.5",
                        "none": "Nothing"},
    "model.cnn_kernels": {"constant": "3, 3, 3 ...", "funnel_out": "3, 5, 7 ...", "funnel_in": "... 7, 5, 3"},
    "model.cnn_filters": {"constant": "64, 64, 64 ...", "funnel_out": "32, 64, 128 ...", "funnel_in": "128, 64, 32 ..."},
    "model.cnn_pool": POOLS, "model.cnn_global_pool": POOLS,
    "optim.name": {"adamw": "AdamW", "adam": "Adam", "sgd": "SGD"},
    "optim.schedule": {"constant": "Constant", "cosine": "Cosine", "step": "Tenths, at 50 and 75 %", "every": "Every few epochs",
                       "one_cycle": "One cycle"},
    "train.loss": {"auto": "Cross-entropy", "focal": "Focal", "ordinal": "Ordinal"},
    "train.sampling": {"shuffle": "Every image once", "balanced": "Classes equally often"},
    "train.monitor": {"roc_auc": "ROC AUC", "loss": "Loss", "accuracy": "Accuracy", "balanced_accuracy": "Balanced accuracy",
                      "average_precision": "Average precision", "macro_f1": "Macro F1", "cohen_kappa": "Cohen's kappa",
                      "quadratic_kappa": "Quadratic kappa"},
    "train.precision": {"auto": "Automatic"},
    "train.compile": {"auto": "Automatic", "on": "Yes", "off": "No"},
}

# Numbers with two ends that mean something are sliders; the rest is typed, because it spans powers of ten.
SLIDERS = {"data.val_fraction": 0.01, "data.test_fraction": 0.01, "data.train_fraction": 0.01, "model.dropout": 0.05,
           "model.cnn_layers": 1, "model.cnn_pool_size": 1, "model.cnn_pool_stride": 1, "model.cnn_spatial_dropout": 0.05,
           "model.blocks": 1, "optim.momentum": 0.01, "optim.warmup": 0.01, "train.label_smoothing": 0.01,
           "augment.flip": 0.05, "augment.flip_vertical": 0.05, "augment.crop": 0.01, "augment.scale": 0.01, "augment.shear": 1.0,
           "augment.rotate": 1.0, "augment.shift": 0.01, "augment.blur": 0.05, "augment.blur_sigma": 0.1,
           "augment.brightness": 0.01, "augment.contrast": 0.05, "augment.linear_contrast": 0.05,
           "augment.linear_contrast_low": 0.05, "augment.linear_contrast_high": 0.05, "augment.multiply": 0.05,
           "augment.multiply_low": 0.05, "augment.multiply_high": 0.05, "augment.saturation": 0.05, "augment.hue": 0.01,
           "augment.noise": 0.05, "augment.noise_scale": 0.01, "augment.noise_per_channel": 0.05}


# When a knob means anything. One that is not here always does; where it means nothing it is not shown.
FOR_A_CNN = tuple(f"model.{f.name}" for f in fields(ModelConfig) if f.name.startswith("cnn_"))
WHEN: dict[str, Callable[[], bool]] = {
    **dict.fromkeys(FOR_A_CNN, lambda: value_of("model.name") == "cnn"),
    "model.stem": lambda: value_of("model.name") != "cnn",
    **dict.fromkeys(("model.blocks", "model.block_layers"), lambda: _family() == "densenet"),
    "model.unfreeze_epoch": lambda: value_of("model.freeze") != "none",
    "optim.backbone_lr": lambda: value_of("model.weights") != "none",
    "optim.momentum": lambda: value_of("optim.name") == "sgd",
    **dict.fromkeys(("optim.every", "optim.factor"), lambda: value_of("optim.schedule") == "every"),
    "optim.warmup": lambda: value_of("optim.schedule") != "one_cycle",           # which has a rise of its own
    "train.focal_gamma": lambda: value_of("train.loss") == "focal",
    "train.copies": lambda: value_of("model.freeze") == "all" and not value_of("model.unfreeze_epoch"),
    "data.fold": lambda: value_of("data.folds") != 0,
    "data.val_fraction": lambda: value_of("data.folds") == 0,
}


# ------------------------------------------------------------------------------------------------------------------- the values

def value_of(name: str) -> Any:
    """What the form holds for a knob ("optim.lr"), as it was chosen or typed."""
    return _values().get(name, _default(name))


def put(name: str, value: Any) -> None:
    """Set a knob. Call it before its widget is drawn."""
    _values()[name] = value


def matters(name: str) -> bool:
    """Whether a knob means anything beside what else is chosen."""
    return name not in WHEN or WHEN[name]()


def differs(names: Sequence[str]) -> str:
    """What of some knobs is not at its default, in words: "head MLP, 1024 and 512, dropout 0.5"; "as by default" if nothing."""
    said = [f"{knob_of(name).metadata['label'].lower()} {in_words(name, value_of(name))}" for name in names
            if value_of(name) != _default(name) and matters(name)]
    return ", ".join(said) or "as by default"


def in_words(name: str, value: Any) -> str:
    """A value as its widget shows it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return WORDS.get(name, {}).get(value, f"{value:g}" if isinstance(value, float) else str(value))


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


def draw_many(names: Sequence[str], columns: int) -> None:
    """Widgets of those of several knobs that matter, row by row in `columns` columns."""
    names = [name for name in names if matters(name)]
    for start in range(0, len(names), columns):
        for column, name in zip(st.columns(columns), names[start:start + columns]):
            with column:
                DRAWN_BY.get(name, draw)(name)


def draw_more(title: str, names: Sequence[str], key: str, columns: int = 3) -> None:
    """Knobs that are seldom turned, folded away; the title says what of them is not at its default."""
    with st.expander(escape(f"{title}: {differs(names)}"), key=f"more_{key}", type="compact"):
        draw_many(names, columns)


def draw_name() -> None:
    """What the person calls the run."""
    st.text_input("Name", placeholder="Optional", max_chars=200, **follow("knob_name", value_of("name"), _take, "name"),
                  help="Only text, to find the run again. Without one it is called by its network, data and size.")


def draw_start_from(runs: list[run_feed.Row]) -> None:
    """What the network starts from: nothing, ImageNet, a classifier that came with the app, or a finished run, each with the
    same network."""
    shipped = {f"run:{info.address}": f"{info.title} (came with the app)" for info in shipped_classifiers()
               if info.network == value_of("model.name") or f"run:{info.address}" == value_of("model.weights")}
    before = {f"run:{row.id}": f"On top of {row.name}, {row.when}" for row in runs
              if row.state == "finished" and (row.network == value_of("model.name")
                                              or f"run:{row.id}" == value_of("model.weights"))}
    of_a_file = value_of("model.weights") if str(value_of("model.weights")).startswith(FILE) else FILE
    draw("model.weights", {"none": "Random numbers", "imagenet": "ImageNet's weights"} | shipped | before |
         {of_a_file: "A file of weights"})
    if value_of("model.weights") == of_a_file:
        st.text_input("File", placeholder="/path/to/weights.safetensors", help="A safetensors file on the machine that trains. "
                      "Names as in torchvision or in CheXNet's are understood.",
                      **follow("weights_file", of_a_file.removeprefix(FILE), _take_file))


def _draw_freeze(name: str) -> None:
    draw(name, WORDS[name] | {stage: f"Up to {stage}" for stage in _stages()})


def _draw_cut(name: str) -> None:
    draw(name, {"": WORDS[name][""]} | {stage: f"After {stage}" for stage in _stages()} | WORDS[name], free=True)


# Knobs whose options the config alone does not know.
DRAWN_BY = {"model.freeze": _draw_freeze, "model.cut": _draw_cut, "train.device": lambda name: draw_device(name)}


def start_from_random() -> None:
    """Let everything learn from random numbers: what is frozen must have learned something before."""
    put("model.weights", "none")
    put("model.freeze", "none")


def draw_target() -> None:
    """What to learn from the images, where there is a choice."""
    try:
        config = read()
    except LightboxError:                                  # said where the button is
        return
    there = preview.targets(DataConfig(config.data.dataset, "", config.data.size, config.data.resize, config.data.channels))
    if len(there) > 1:
        if value_of("data.target") not in dict(there):
            put("data.target", there[0][0])
        draw("data.target", dict(there))


def draw_device(name: str = "train.device") -> None:
    """On what to train: what this machine has."""
    devices = preview.devices()
    best = devices[0]
    draw(name, {"auto": f"Automatic: {best['name']}"} | {d["device"]: f"{d['device']}: {d['name']}" for d in devices})


def _take_file(path: str) -> None:
    put("model.weights", FILE + path.strip())


def _family() -> str:
    spec = MODELS.get(value_of("model.name"))
    return spec.family if spec else ""


def _stages() -> tuple[str, ...]:
    """What the chosen network calls its stages."""
    spec = MODELS.get(value_of("model.name"))
    layers = value_of("model.cnn_layers")
    return () if spec is None else spec.stage_names[:layers if spec.name == "cnn" and isinstance(layers, int) else None]


def _take(name: str, value: Any) -> None:
    if isinstance(value, str) and name != "name" and isinstance(_default(name), int) and value.strip().isdecimal():
        value = int(value)                                 # a size that was typed among the options
    before = _stages()
    put(name, value)
    for knob in ("model.freeze", "model.cut") if name == "model.name" else ():
        if value_of(knob) in before and value_of(knob) not in _stages():       # another network has other stages
            put(knob, _default(knob))


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
        store.recover()
        st.session_state["queue_last"] = st.session_state["queue_made"] = run.id
    except LightboxError as error:
        st.session_state["queue_error"] = error
