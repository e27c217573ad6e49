"""Weights from elsewhere: ImageNet's through torchvision's loader, a safetensors file, another network's.

What fits is taken by name and shape, the rest keeps its random start, and a note says what was not taken.
Nothing that a person brings is ever unpickled.
"""

from __future__ import annotations

import contextlib
import pickle
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
import torchvision
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from core.errors import LightboxError
from core.files import disk_errors, fit_shape, parse_json
from core.models.registry import ModelSpec

# before torch 0.4: denselayer1.norm.1.weight
OLD_DENSENET = (r"(denselayer\d+\.(?:norm|relu|conv))\.(\d)\.", r"\1\2.")
# How names elsewhere become torchvision's. They are applied one after the other until the network has a layer of that name.
RULES = (
    (r"^(?:(?:module|model|net|network|backbone|encoder|_orig_mod)\.)+", ""),     # what wrappers put in front
    # CheXNet: densenet121.features.conv0.weight
    (r"^(?:densenet|resnet|squeezenet|vgg)[\d_]+\.", ""),
    OLD_DENSENET,
    # CheXNet: a linear layer and its sigmoid
    (r"^(fc|classifier)\.0\.", r"\1."),
)
# A batch norm knows the mean and deviation of what comes before it: where that is not taken as a whole, it is not either.
FOLLOWS = {"bn1.": "conv1.", "features.norm0.": "features.conv0.", "features.norm5.": "features.denseblock"}
COUNTER = ".num_batches_tracked"     # of a batch norm: older files have none, and nothing depends on it

ADDED_UP = "The colour filters of the first layer were added up for gray images."

MOST_BYTES = 4 * 2**30           # of a file; the largest network here has 0.6 GB
TENSOR = {"dtype": str, "shape": list[range(2**40)]}
MOST_HEADER = 16 * 2**20         # of the list of names and shapes at its start
FLOATS, COUNTERS = {"F64", "F32", "F16", "BF16"}, {"I64", "I32"}

Shape = tuple[int, ...]


def fitting(network: nn.Module, shapes: Mapping[str, Shape], leave: tuple[str, ...] = ()) -> list[str]:
    """Return names of the network's tensors that weights of those names and shapes can give.

    A first convolution for colour fits a gray network: see `take`.

    Args:
        shapes: what there is, by torchvision's names
        leave: beginnings of names that are not taken in any case
    """
    own = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    fit = [name for name, shape in shapes.items() if name in own and not (leave and name.startswith(leave))
           and (shape == own[name] or _is_colour_for_gray(shape, own[name]))]
    for norm, before in FOLLOWS.items():
        ours, theirs, both = ({name for name in names if name.startswith(before) and not name.endswith(COUNTER)}
                               for names in (own, shapes, fit))
        if not ours == theirs == both:
            fit = [name for name in fit if not name.startswith(norm)]
    return fit


def take(network: nn.Module, names: list[str], fetch: Callable[[str], Tensor]) -> None:
    """Copy the tensors of these names, which must fit. `fetch` gives each.

    Where the network is gray and its first filters are for colour they are added up: for a gray pixel R = G =
    B = g, and sum_c w_c g is (sum_c w_c) g.
    """
    own, taken = network.state_dict(), {}
    for name in names:
        value = fetch(name)
        taken[name] = value if value.shape == own[name].shape else value.sum(dim=1, keepdim=True)
    network.load_state_dict(taken, strict=False)


def left_over(network: nn.Module, taken: list[str]) -> list[str]:
    """Return names of the network's tensors that are not among `taken`."""
    return [name for name in network.state_dict() if name not in set(taken) and not name.endswith(COUNTER)]


def _is_colour_for_gray(shape: Shape, own: Shape) -> bool:
    return len(own) == 4 and own[1] == 1 and shape == (own[0], 3, *own[2:])


# --- ImageNet's, through torchvision's loader ---

def imagenet_state(spec: ModelSpec) -> dict[str, Tensor]:
    """Return ImageNet's weights by torchvision's loader: from TORCH_HOME, or fetched and checked against the hash in the name.

    IMAGENET1K_V1 for all: some later versions had a newer recipe, and comparing them with others compares
    recipes.

    Raises:
        LightboxError: "weights.unavailable" where there is no file and none can be fetched, or none was ever
            published; "weights.broken" where the file is not what it should be
    """
    if not spec.weights_file:
        raise LightboxError("weights.unavailable", f"There are no ImageNet weights for {spec.title}: nobody has published any.",
                            "Start from random weights, or use a network that has some, such as densenet201 or resnet18.")
    weights = torchvision.models.get_model_weights(spec.torchvision_name).IMAGENET1K_V1
    path = imagenet_path(spec)
    try:
        with disk_errors(path), contextlib.redirect_stdout(sys.stderr):      # stdout is for results
            state = weights.get_state_dict(progress=False, check_hash=True, weights_only=True, map_location="cpu")
        state = {re.sub(*OLD_DENSENET, str(name)): value for name, value in state.items()}
        shapes = {name: tuple(value.shape) for name, value in state.items()}
    except (OSError, RuntimeError, EOFError, KeyError, ValueError, AttributeError, pickle.UnpicklingError) as error:
        if path.exists():
            raise _not_imagenets(spec, path) from error
        raise LightboxError("weights.unavailable", f"The ImageNet weights of {spec.title} are not on this machine and "
                            f"could not be downloaded.", f"Download {weights.url} elsewhere and put it here: {path} "
                            "(TORCH_HOME sets the folder), or start from random weights.") from error
    with torch.device("meta"):
        theirs = torchvision.models.get_model(spec.torchvision_name, weights=None).state_dict()
    if {k: v for k, v in shapes.items() if not k.endswith(COUNTER)} != \
            {k: tuple(v.shape) for k, v in theirs.items() if not k.endswith(COUNTER)}:
        raise _not_imagenets(spec, path)
    return state


def imagenet_path(spec: ModelSpec) -> Path:
    """Return where torchvision's loader keeps that file."""
    return Path(torch.hub.get_dir()) / "checkpoints" / spec.weights_file


def _not_imagenets(spec: ModelSpec, path: Path) -> LightboxError:
    return LightboxError("weights.broken", f"{path} does not hold the ImageNet weights of {spec.title}.",
                         "Delete the file; it is downloaded again when there is a network.")


# --- a safetensors file of one's own ---

def load_file(network: nn.Module, path: Path, title: str) -> tuple[str, ...]:
    """Take what fits from a safetensors file; returns sentences about what did and what did not.

    The list of names, kinds and shapes at its start is judged before any number is read, and only what fits
    is read.

    Raises:
        LightboxError: "weights.missing"; "weights.broken" for what is no safetensors file, is too large,
            holds other than floating point numbers, or a number that is none; "weights.unlike" where nothing
            fits
    """
    own = network.state_dict()
    shapes, names, fit = match_file(network, path, title)
    theirs = {ours: name for name, ours in names.items()}
    try:
        with safe_open(str(path), framework="pt") as tensors:
            take(network, fit, lambda name: _finite(path, theirs[name], tensors.get_tensor(theirs[name])))
    except (SafetensorError, OSError) as error:
        raise _broken(path, "it cannot be read") from error
    added_up = any(shapes[theirs[name]] != tuple(own[name].shape) for name in fit)
    return _notes(path, names, fit, added_up, left_over(network, fit))


def match_file(network: nn.Module, path: Path, title: str) -> tuple[dict[str, Shape], dict[str, str], list[str]]:
    """Return (name in a safetensors file -> shape, name there -> name here, names here that fit), read from its start alone.

    Raises LightboxError as `load_file` does; `network` may be on the meta device.
    """
    shapes, own = header(path), network.state_dict()
    names = _our_names(path, shapes, own)
    fit = fitting(network, {ours: shapes[name] for name, ours in names.items()})
    if all(name.endswith(COUNTER) for name in fit):
        raise LightboxError("weights.unlike", f"None of the {len(names)} tensors in {path.name} fits a {title}: the first is "
                            f"called {next(iter(names), 'nothing')}.",
                            f"Choose the network that the file was made for; here the first is called {next(iter(own))}.")
    return shapes, names, fit


def _our_names(path: Path, shapes: Mapping[str, Shape], own: Mapping[str, Tensor]) -> dict[str, str]:
    """The file's name -> the network's. LightboxError "weights.broken" where two of them are one here."""
    names = {name: renamed(name, own) for name in shapes}
    seen = set()
    for ours in names.values():
        if ours in seen:
            raise _broken(path, f"two of its tensors stand for {ours}")
        seen.add(ours)
    return names


def _finite(path: Path, name: str, value: Tensor) -> Tensor:
    if not value.is_floating_point():
        return value
    value = value.float()
    if not torch.isfinite(value).all():
        raise _broken(path, f"{name} holds a number that is not finite")
    return value


def _notes(path: Path, names: Mapping[str, str], fit: list[str], added_up: bool,
           new: list[str]) -> tuple[str, ...]:
    """Sentences about what of a file was taken, what was not, and what of the network is `new`."""
    taken = set(fit)
    counted = [name for name in names if not name.endswith(COUNTER)]
    unused = [name for name, ours in names.items() if ours not in taken and not ours.endswith(COUNTER)]
    notes = [f"{len(counted) - len(unused)} of the {len(counted)} tensors in {path.name} were taken."]
    if added_up:
        notes.append(ADDED_UP)
    if unused:
        notes.append(f"{_some(unused)} of the file {'have' if len(unused) > 1 else 'has'} no place here.")
    if new:
        are, start = ("are", "start") if len(new) > 1 else ("is", "starts")
        notes.append(f"{_some(new)} of this network {are} not in the file, or of another shape, and {start} "
                     "from random numbers.")
    return tuple(notes)


def renamed(name: str, known: Mapping[str, object]) -> str:
    """Return a name by torchvision's rules: RULES applied in turn until it is among `known`."""
    for pattern, replacement in RULES:
        if name in known:
            break
        name = re.sub(pattern, replacement, name)
    return name


def header(path: Path) -> dict[str, Shape]:
    """Return names and shapes in a safetensors file, read from its start alone. Raises LightboxError as `load_file` does."""
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise FileNotFoundError(path)
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size > MOST_BYTES:
                raise _broken(path, f"it has {size / 2**30:.1f} GB, more than {MOST_BYTES // 2**30}")
            if not 2 <= length <= min(MOST_HEADER, size - 8):
                raise _broken(path, "it does not begin like one")
            described = parse_json(file.read(length))
        described = {name: fit_shape(facts, TENSOR) for name, facts in described.items() if name != "__metadata__"}
        for name, facts in described.items():
            if facts["dtype"] not in (COUNTERS if name.endswith(COUNTER) else FLOATS):
                raise _broken(path, f"{name} holds {facts['dtype']} and not floating point numbers")
        return {name: tuple(facts["shape"]) for name, facts in described.items()}
    except FileNotFoundError:
        raise LightboxError("weights.missing", f"There is no file {path}.",
                            "Give the full path of a safetensors file on this machine, after file:.") from None
    except OSError as error:
        raise LightboxError("weights.missing", f"{path} cannot be read: {error.strerror}.",
                            "Give the full path of a safetensors file on this machine, after file:.") from None
    except (ValueError, OverflowError):
        raise _broken(path, "it does not begin like one") from None


def _broken(path: Path, why: str) -> LightboxError:
    return LightboxError("weights.broken", f"{path.name} is not a safetensors file of weights: {why}.",
                         "Files such as .pth or .pth.tar can run a program when they are opened and are never read here; where "
                         "they come from, safetensors.torch.save_file makes a safe file of their tensors.")


def _some(names: list[str]) -> str:
    """The first three by name, the others counted."""
    more = len(names) - 3
    return ", ".join(names[:3]) + (f" and {more} more" if more > 0 else "")
