"""The names of runs in the code of report R001: printed from a config, and read back. `run_code` is the code of a run,
wherever it is shown.

    DenseNet169_da_0_ts_224_224_t_0_s_1_bs_16_XR_HUMERUS_binary
    CNN_da_0_ts_224_224_t_1_s_1_bs_8_cl_5_kg_funnel_in_fg_constant_lp_avg_gp_avg_sd_05_fcd_05_all_binary

    <network>       a key of core.models.MODELS, written as DenseNet169
    da_{0,1}        data augmentation
    ts_W_H          target size in pixels
    t_{0,1}         1: all layers are trained, 0: the backbone is frozen
    s_{0,1}         the report does not explain it. It stands between parameters of Keras's image reader
    (target
                    size, batch size), where `shuffle` has its place: it is read so, and is always 1
    bs_N            batch size
    cl kg fg lp gp sd fcd    of the network `cnn` alone: convolutions, kernel and filter growth, local and
                    global pooling, spatial dropout and dropout before the last layer (05 is 0.5)
    <class>         what it was trained on. Of MURA its parts of the body, as the folders are called: XR_WRIST, all_classes
                    for all seven, XR_ELBOW_WRIST for some of them; of any other data set its name
    binary          the kind of task
    training        stands at the end of some of the report's files

The code of an ensemble begins with a word that no network of the report has, so that nobody takes it for one of them:

    Ensemble_soft_3_ts_224_224_XR_HUMERUS_binary          how, of how many; with tta_8 of so many augmented copies

The code has no optimiser, initial weights, loss or seed. `parse` returns only what stands there; `notes` name
what is open.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from core.augment import PRESETS, active
from core.config import RunConfig
from core.datasets.mura import PARTS
from core.errors import LightboxError
from core.models import MODELS
from core.runs.members import EnsembleSpec
from core.runs.recipe_datasets import mura_parts, named_parts

# Word of a task in the code -> MedMNIST's. The report has binary alone.
TASKS = {"binary": "binary-class", "multiclass": "multi-class", "multilabel": "multi-label, binary-class",
         "ordinal": "ordinal-regression"}
FAMILIES = {"resnet": "ResNet", "densenet": "DenseNet", "squeezenet": "SqueezeNet", "vgg": "VGG",
            "cnn": "CNN", "small_cnn": "SmallCNN", "own_resnet": "OwnResNet"}
ENSEMBLE = "Ensemble"                 # begins the code of an ensemble, in place of a network
GROWTH = "funnel_in|funnel_out|constant"

# Key of the code -> (pattern of its value, the field, text -> value, value -> text).
_SHARE = (r"\d+", lambda text: float(f"{text[0]}.{text[1:] or 0}"),
          lambda value: f"{value:g}".replace(".", ""))
_WORD = (str, str)
OF_A_CNN = {
    "cl": (r"\d+", "model.cnn_layers", int, str),
    "kg": (GROWTH, "model.cnn_kernels", *_WORD),
    "fg": (GROWTH, "model.cnn_filters", *_WORD),
    "lp": ("max|avg|min", "model.cnn_pool", *_WORD),
    "gp": ("max|avg|min", "model.cnn_global_pool", *_WORD),
    "sd": (_SHARE[0], "model.cnn_spatial_dropout", *_SHARE[1:]),
    "fcd": (_SHARE[0], "model.dropout", *_SHARE[1:]),
}


@dataclass(frozen=True)
class Parsed:
    """What a code contains.

    Attributes:
        changes: dotted field -> value, as `RunConfig.with_` takes them
        classname: what it was trained on, "" where the code does not say
        parts: the same as parts of the body, of core.datasets.mura.PARTS; () where it names none
        task: MedMNIST's word, "" where the code does not say
        notes: sentences about what the code leaves open or Lightbox reads in its own way
    """

    changes: dict[str, Any]
    classname: str = ""
    task: str = ""
    notes: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()


def network_code(name: str) -> str:
    """Return a key of MODELS as the code writes it: "densenet169" -> "DenseNet169"."""
    word, number = re.fullmatch(r"([a-z_]+?)(\d.*)?", name).groups()
    return FAMILIES.get(word, word.title().replace("_", "")) + (number or "")


def run_code(config: RunConfig, about: Mapping, ensemble: EnsembleSpec | None = None) -> str:
    """Return the code of a run from its settings and what is known of its data: the same string wherever it stands.

    Args:
        about: what its data.json holds; {} before its first start, when the task is not known yet
        ensemble: how an ensemble combines; its code says that, and nothing of a network, its training or its augmentation
    """
    parts = about["body_parts"] if "body_parts" in about else mura_parts(config.data.dataset)
    classname = parts_code(parts and named_parts(config.data.only) or parts)
    if ensemble is None:
        return name_code(config, classname, about.get("task", ""))
    return "_".join([*_combination(ensemble), f"ts_{config.data.size}_{config.data.size}",
                     class_code(classname or config.data.dataset), *_task_code(about.get("task", ""))])


def _combination(ensemble: EnsembleSpec) -> list[str]:
    """What stands for a network in the code of an ensemble."""
    copies = ["tta", str(ensemble.draws)] if ensemble.draws else []
    if ensemble.width == 1 and not ensemble.is_soup:
        return [ENSEMBLE, *(["folds", str(len(ensemble.members))] if len(ensemble.members) > 1 else []), *copies]
    how = ensemble.how.replace("_", "-") + ("-features" if ensemble.on_features else "")
    return [ENSEMBLE, how, str(ensemble.width), *copies]


def _task_code(task: str) -> list[str]:
    return [word for word, known in TASKS.items() if known == task]


def name_code(config: RunConfig, classname: str = "", task: str = "") -> str:
    """Return the code of a run.

    Args:
        classname: what it is trained on; by default the name of the data set
        task: MedMNIST's word, such as "binary-class"; "" leaves the last word of the code out
    """
    model, data = config.model, config.data
    parts = [network_code(model.name), f"da_{int(bool(active(config.augment)))}",
             f"ts_{data.size}_{data.size}", f"t_{int(model.freeze == 'none')}", "s_1",
             f"bs_{config.train.batch_size}"]
    if model.name == "cnn":
        parts += [f"{key}_{write(config.get(name))}" for key, (_, name, _, write) in OF_A_CNN.items()]
    parts.append(class_code(classname or data.dataset))
    return "_".join([*parts, *_task_code(task)])


def parts_code(parts: Iterable[str]) -> str:
    """Return parts of the body as the code writes them, "" for none; `read_parts` is the way back.

    >>> parts_code(["wrist"]), parts_code(["wrist", "elbow"]), parts_code(PARTS)
    ('XR_WRIST', 'XR_ELBOW_WRIST', 'all_classes')
    """
    named = [part.upper() for part in PARTS if part in set(parts)]
    return "all_classes" if len(named) == len(PARTS) else "_".join(["XR", *named] if named else [])


def read_parts(classname: str) -> tuple[str, ...]:
    """Return the parts of the body that the class of a code names, also as the report's tables shorten it (WRIST, all); () where
    it is something else.

    >>> read_parts("XR_ELBOW_WRIST"), read_parts("FOREARM"), read_parts("breastmnist"), len(read_parts("all"))
    (('elbow', 'wrist'), ('forearm',), (), 7)
    """
    if classname.lower() in ("all", "all_classes"):
        return PARTS
    words = classname.lower().removeprefix("xr_").split("_")
    return tuple(part for part in PARTS if part in words) if set(words) <= set(PARTS) else ()


def class_code(name: str) -> str:
    """Return what a run is trained on, as the code writes it: "/data/My set.npz" -> "My-set"."""
    stem = re.sub(r"\.\w{2,4}$", "", name.rstrip("/").rsplit("/", 1)[-1])
    return re.sub(r"[^A-Za-z0-9_]+", "-", stem).strip("-_") or "images"


def parse(code: str) -> Parsed:
    """Read a code. Missing parts, blanks instead of underscores and `bs4` for `bs_4`, as tables shorten it,
    are allowed; what follows a comma is not looked at.

    Raises LightboxError "code.unread" with what was not understood.
    """
    text = re.sub(r"[\s_]+", "_", code.partition(",")[0].strip()).strip("_")
    networks = sorted(MODELS, key=lambda name: -len(network_code(name)))
    name = next((name for name in networks
                 if re.match(re.escape(network_code(name)) + r"(_|$)", text, re.IGNORECASE)), None)
    if name is None and text.startswith(f"{ENSEMBLE}_"):
        raise LightboxError("code.unread", f"{code[:80]!r} is the code of an ensemble, which has no settings to train with.",
                            "Train its members, then combine them: python -m core ensemble RUN RUN.")
    if name is None:
        raise LightboxError("code.unread", f"{code[:80]!r} does not begin with a known network.",
                            f"For example {name_code(RunConfig())}. Networks: {', '.join(map(network_code, MODELS))}.")
    rest, values = "_" + text[len(network_code(name)) + 1:], {}
    patterns = {"da": "[01]", "ts": r"\d+_\d+", "t": "[01]", "s": "[01]", "bs": r"\d+"}
    patterns |= {key: pattern for key, (pattern, *_) in OF_A_CNN.items()}
    for key, pattern in patterns.items():
        if match := re.match(rf"_{key}_?({pattern})(?=_|$)", rest):
            values[key], rest = match[1], rest[match.end():]
    words, last = rest.strip("_"), ""
    words = re.sub(r"_?training$", "", words)
    if match := re.search(rf"(?:^|_)({'|'.join(TASKS)})$", words):
        words, last = words[:match.start()], match[1]
    if re.match(r"(da|ts|t|s|bs|cl|sd|fcd)_?\d|(kg|fg|lp|gp)_", words):      # in another order, or of another value
        raise LightboxError("code.unread", f"{words[:80]!r} in the code is not understood.",
                            f"A code looks like {name_code(RunConfig())}, in this order.")
    return _as_changes(name, values, words, TASKS.get(last, ""))


def _as_changes(name: str, values: dict[str, str], classname: str, task: str) -> Parsed:
    changes: dict[str, Any] = {"model.name": name}
    notes = ["The code does not contain the initial weights, the optimiser, the loss or the seed."]
    if "ts" in values:
        width, height = map(int, values["ts"].split("_"))
        if width != height:
            raise LightboxError("code.unread", f"The code has images of {width} x {height} px.",
                                "Lightbox takes square images: give the same number twice.")
        changes["data.size"] = width
    if "bs" in values:
        changes["train.batch_size"] = int(values["bs"])
    if "da" in values:
        preset = PRESETS["r001" if values["da"] == "1" else "none"]
        changes |= {f"augment.{key}": value for key, value in vars(preset.config).items()}
        if values["da"] == "1":
            notes.append("da_1 means data augmentation, but not which: that of report R001 is used.")
    if "t" in values:
        if name == "cnn" and values["t"] == "0":
            notes.append("t_0 is ignored: the CNN builder starts from random weights, so nothing is frozen.")
        changes["model.freeze"] = "none" if values["t"] == "1" or name == "cnn" else "all"
    if values.get("s") == "0":
        notes.append("s_0 means training without shuffling; here images are always shuffled.")
    of_a_cnn = {key: value for key, value in values.items() if key in OF_A_CNN}
    if of_a_cnn and name != "cnn":
        raise LightboxError("code.unread", f"{', '.join(of_a_cnn)} in the code belong to the network CNN "
                                           "only.",
                            "Begin the code with CNN, or leave them out.")
    changes |= {OF_A_CNN[key][1]: OF_A_CNN[key][2](value) for key, value in of_a_cnn.items()}
    RunConfig().with_(**changes)                     # checks the limits
    return Parsed(changes, classname, task, tuple(notes), read_parts(classname))
