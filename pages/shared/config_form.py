"""The form of a run. Each widget is drawn from its Knob in core/config: label, help, limits, menu, group.

What a person chose lives in one dictionary of the session, the widgets only show it: so it outlasts a change
of page, an error and a closed expander. A value that is not allowed stays as it was typed, until `read` says
what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from core.config import GROUPS, KNOBS, OUT_OF_FOLD, DataConfig, Knob, RunConfig
from core.datasets import DATASETS
from core.errors import LightboxError
from core.models import MODELS
from core.runs.classifiers import shipped_classifiers
from core.runs.store import RunStore, require_trained
from pages.shared import open_data, preview, run_feed
from pages.shared.layout import escape, set_param
from pages.shared.widget_state import follow

FILE = "file:"                      # how model.weights begins where it is a file


# ------------------------------------------------------------------------------------------------- the values

def value_of(name: str) -> Any:
    """Return what the form holds for a setting ("optim.lr"), as it was chosen or typed."""
    return _values().get(name, KNOBS[name].default if name in KNOBS else "")


def default_of(name: str) -> Any:
    """Return what a setting has before anybody has chosen: the image size is that of the originals where they are smaller, and
    the least that can be downloaded."""
    default = KNOBS[name].default
    if name != "data.size":
        return default
    original, sizes, on_disk = _originals()
    return min(default, original or default) if on_disk else sizes[0]


def put(name: str, value: Any) -> None:
    """Set a setting. Call it before its widget is drawn."""
    _values()[name] = value


def read() -> RunConfig:
    """Return the run that the form describes.

    Raises LightboxError "config.value" naming the first value that is not allowed.
    """
    config = RunConfig().with_(**_values())
    data = config.data.dataset
    if data not in DATASETS and Path(data).expanduser().exists():      # the trainer may run in another folder
        config = config.with_(**{"data.dataset": str(Path(data).expanduser().resolve())})
    return config


def fill(config: RunConfig) -> None:
    """Put another run's settings into the form. Its name stays with that run."""
    _values().update({name: config.get(name) for name in KNOBS})
    _values().pop("name", None)
    set_param("dataset", config.data.dataset)


def apply_address() -> LightboxError | None:
    """Obey ?run=<id>: fill the form with that run's settings and start from its weights; with &again=1, from
    its own start.

    The parameters then leave the address: from here on the form is the person's. Return what is wrong with
    the run.
    """
    run_id, again = st.query_params.pop("run", None), st.query_params.pop("again", None)
    if not run_id:
        return None
    try:
        run = RunStore().get(run_id)
        require_trained(run, or_soup=True)
        fill(run.config)
    except LightboxError as error:
        return error
    if not again:
        put("model.weights", f"run:{run_id}")
    return None


def choose_dataset(name: str) -> None:
    """Take what the chip says. Another data set has other tasks, so its first one is chosen."""
    if name != value_of("data.dataset"):
        for setting in ("data.target", "data.label_map", "data.positive"):
            put(setting, "")
        untouched = value_of("data.size") == default_of("data.size")
        put("data.dataset", name)
        put("data.size", default_of("data.size") if untouched else value_of("data.size"))
    put("data.dataset", name)


def change(changes: Mapping[str, Any]) -> None:
    """Set several settings."""
    for name, value in changes.items():
        put(name, value)


def first_wrong() -> str | None:
    """Return the first setting whose value is not allowed by itself, None where each is."""
    for name in filter(KNOBS.__contains__, _values()):
        try:
            RunConfig().with_(**{name: value_of(name)})
        except LightboxError:
            return name
    return None


def _values() -> dict[str, Any]:
    return st.session_state.setdefault("form_of_a_run", {})


def _edit(name: str, value: Any) -> None:
    stages = _stages()
    if name in KNOBS:
        try:
            value = KNOBS[name].convert(value)             # a number may be typed into a menu
        except LightboxError:
            pass                                           # `read` says what is wrong with it
    put(name, value)
    for stage in ("model.freeze", "model.cut"):            # another network has other stages
        if value_of(stage) in stages and value_of(stage) not in _stages():
            put(stage, KNOBS[stage].default)
    for blocks in ("model.blocks", "model.block_layers"):
        if not applies(blocks):
            put(blocks, KNOBS[blocks].default)


# -------------------------------------------------------------------------------------------------- the menus

def options_of(name: str) -> dict[Any, str]:
    """Return value -> words of a setting's menu, here and for this data set; {} without a menu."""
    return MENUS[name]() if name in MENUS else dict(KNOBS[name].choices or KNOBS[name].offered)


def words(name: str, value: Any) -> str:
    """Return a value as its widget shows it."""
    return options_of(name).get(value) or KNOBS[name].words(value)


def _networks() -> dict[str, str]:
    return {name: spec.title for name, spec in MODELS.items()}


def _stages() -> tuple[str, ...]:
    """What the chosen network calls its stages."""
    spec, layers = MODELS.get(value_of("model.name")), value_of("model.cnn_layers")
    if spec is None:
        return ()
    return spec.stage_names[:layers if spec.name == "cnn" and isinstance(layers, int) else None]


def _originals() -> tuple[int | None, tuple[int, ...], bool]:
    """(size of the originals, None where they differ; sizes that enlarge none; whether they are on this disk)."""
    name = value_of("data.dataset")
    try:
        return open_data.original_size(name), *open_data.sizes_of(name)
    except LightboxError:                                  # shown beside the form
        return None, tuple(KNOBS["data.size"].offered), True


def _sizes() -> dict[int, str]:
    """The usual sizes up to that of the originals, which is among them. Any other may be typed."""
    original, sizes, _ = _originals()
    known = [*sizes, original] if original and original not in sizes and original <= KNOBS["data.size"].high else sizes
    return {size: f"{size} (original size)" if size == original else str(size) for size in known}


def _cuts() -> dict[str, str]:
    offered = KNOBS["model.cut"].offered
    return {"": offered[""]} | {stage: f"After {stage}" for stage in _stages()} | offered


def _freezes() -> dict[str, str]:
    return KNOBS["model.freeze"].offered | {stage: f"Up to {stage}" for stage in _stages()}


def _of_data(ask: Callable[[DataConfig], Any], nothing: Any, *names: str) -> Any:
    """What `ask` says of the images that are chosen; of the other settings of the data only `names` count."""
    try:
        data = read().data
    except LightboxError:                                  # shown beside the form
        return nothing
    names = ("dataset", "size", "resize", "channels", *names)
    return ask(DataConfig(**{name: getattr(data, name) for name in names}))


def _only() -> dict[str, str]:
    """The values of the columns that have few, and what is chosen."""
    values, chosen = _of_data(preview.column_values, {}), str(value_of("data.only"))
    return KNOBS["data.only"].offered | ({chosen: chosen} if chosen else {}) | {
        f"{name}:{value}": f"{name.replace('_', ' ')}: {value}" for name in values for value in filter(None, values[name])}


def _weights() -> dict[str, str]:
    """Random, ImageNet, shipped classifiers and finished runs with the same network, a file."""
    network, chosen = value_of("model.name"), str(value_of("model.weights"))
    sources = [(f"run:{info.address}", info.network, f"{info.title} (came with the app)") for info in shipped_classifiers()]
    sources += [(f"run:{row.id}", row.network, f"{row.name}, {row.when}") for row in run_feed.all_runs(RunStore())
                if row.state == "finished" and row.has_weights]
    runs = {value: title for value, of, title in sources if of == network or value == chosen}
    file = chosen if chosen.startswith(FILE) else FILE
    return dict(KNOBS["model.weights"].offered) | runs | {file: "A file"}


def _devices() -> dict[str, str]:
    devices = preview.devices()
    return {"auto": f"Automatic: {devices[0]['name']}"} | {one["device"]: f"{one['device']}: {one['name']}" for one in devices}


def _folds() -> dict[int, str]:
    folds = value_of("data.folds")
    together = {OUT_OF_FOLD: "All folds together"} if value_of("data.fold") == OUT_OF_FOLD else {}      # of a run out of fold
    return together | {k: f"{k + 1} of {folds}" for k in range(folds)} if isinstance(folds, int) else together


def _targets() -> dict[str, str]:
    return dict(_of_data(preview.targets, ()))


def _positive_classes() -> dict[str, str]:
    """The classes beside the usual choices, where a set of two classes is at hand."""
    known = _of_data(preview.two_classes, (), "label_map", "target")
    return dict(KNOBS["data.positive"].offered) | {name: name for name in known}


# Settings whose menu core/config alone does not know.
MENUS: dict[str, Callable[[], dict[Any, str]]] = {
    "model.name": _networks, "data.size": _sizes, "model.cut": _cuts, "model.freeze": _freezes, "model.weights": _weights,
    "data.positive": _positive_classes, "train.device": _devices, "data.fold": _folds, "data.target": _targets,
    "data.only": _only}


# ------------------------------------------------------------------------------------------------ the widgets

def applies(name: str) -> bool:
    """Return whether a setting has an effect, given what else is chosen. A menu of one entry is no choice."""
    return KNOBS[name].applies(value_of) and (
        name not in MENUS or bool(KNOBS[name].offered) or len(options_of(name)) > 1)


def names_in(group: str) -> list[str]:
    """Return the settings of a group, in the order of core/config."""
    return [name for name, knob in KNOBS.items() if knob.group == group]


def draw_part(part: str, above: Callable[[], None] | None = None,
              below: Callable[[], None] | None = None) -> None:
    """Draw a part of the form: a heading, its open groups, its folded groups.

    Args:
        above, below: draw something of the page before and after the open groups
    """
    groups = {key: group for key, group in GROUPS.items() if group.part == part}
    opened = [name for key, group in groups.items() if not group.title for name in names_in(key)]
    if opened:
        st.header(part, anchor=False)
    if above:
        above()
    draw_many(opened, columns=3)
    if below:
        below()
    for key, group in groups.items():
        if group.title:
            with st.expander(escape(f"{group.title}: {changes_in(key)}"), key=f"more_{key}", type="compact"):
                draw_many(names_in(key), columns=3)


def changes_in(group: str) -> str:
    """Return what of a group is not at its default ("head MLP (1024, 512), dropout 0.5"), or "default"."""
    changes = [f"{KNOBS[name].label.lower()} {words(name, value_of(name))}" for name in names_in(group)
               if value_of(name) != KNOBS[name].default and applies(name)]
    return ", ".join(changes) or "default"


def draw_many(names: Sequence[str], columns: int, page: str = "") -> None:
    """Draw those of several settings that apply, row by row in `columns` columns; `page` as in `draw`."""
    names = [name for name in names if applies(name)]
    for start in range(0, len(names), columns):
        for column, name in zip(st.columns(columns), names[start:start + columns]):
            with column:
                draw(name, page=page)


def draw(name: str, label: str = "", page: str = "") -> None:
    """Draw the widget of one setting.

    Args:
        label: instead of the setting's own, where something beside it says what it is
        page: on another page than Train, its name: Streamlit loses the value of a widget that stands on two
            pages
    """
    knob, options = KNOBS[name], options_of(name)
    if name == "data.target" and value_of(name) not in options:
        put(name, next(iter(options)))
    value = value_of(name)
    is_number = not options and not isinstance(knob.default, bool | str)
    fits = not is_number or isinstance(value, type(knob.default)) and knob.low <= value <= knob.high
    key = f"knob_{name}" + (f"@{page}" if page else "") + ("" if fits else "_as_typed")
    shared = {"label": label or knob.title, "help": escape(knob.help)} | follow(key, value, _edit, name)
    if options:
        shown = options if value in options else {**options, value: str(value)}
        st.selectbox(options=list(shown), format_func=lambda v: shown.get(v, str(v)),
                     accept_new_options=bool(knob.offered), **shared)
    elif is_number:
        _draw_number(knob, fits, shared)
    elif isinstance(knob.default, bool):
        st.toggle(**shared)
    else:
        st.text_input(**shared)
    if name == "model.weights" and str(value).startswith(FILE):
        _draw_weights_file(value)


def _draw_number(knob: Knob, fits: bool, shared: dict[str, Any]) -> None:
    """fits: whether the value may be that. What does not fit is shown as typed, and `read` says why."""
    if knob.step and fits:
        st.slider(min_value=knob.low, max_value=knob.high, step=knob.step, format="%g", **shared)
        return
    low, high = (knob.low, knob.high) if fits else (None, None)
    whole = isinstance(knob.default, int)
    st.number_input(min_value=low, max_value=high, step=1 if whole else knob.default / 10 or 0.1,
                    format="%d" if whole else "%g", **shared)


def draw_name() -> None:
    """Draw the field for the run's name."""
    st.text_input("Name", placeholder="Optional", max_chars=200,
                  help="To find the run again. Without one it is named after its network, data set, task and image size.",
                  **follow("knob_name", value_of("name"), _edit, "name"))


def _draw_weights_file(value: str) -> None:
    st.text_input("File", placeholder="/path/to/weights.safetensors", help="A safetensors file on the machine that trains. "
                  "Parameter names as in torchvision or in CheXNet's are understood.",
                  **follow("weights_file", value.removeprefix(FILE), _edit_file))


def _edit_file(path: str) -> None:
    put("model.weights", FILE + path.strip())
