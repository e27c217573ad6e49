"""Heat-maps: over one image, or over all images of a split of a run."""

from __future__ import annotations

import re
from argparse import Namespace
from functools import partial
from pathlib import Path

import numpy as np

from core.commands.options import READING, Command, argument, class_index, open_run
from core.commands.output import Bar
from core.errors import LightboxError
from core.explain import METHODS, overlay
from core.files import to_csv, write_atomic

BATCH = 16


def explain(options: Namespace) -> None:
    """Write a heat-map over one image as a PNG file, or those of a split into a folder."""
    if bool(options.image) == bool(options.split):
        raise LightboxError("cli.explain", "Give an image file, or --split val or test for all images of a split.",
                            "python -m core explain RUN IMAGE --out FILE.png")
    bar = Bar()
    try:
        (_explain_split if options.split else _explain_file)(options, bar)
    finally:
        bar.end()


def _explain_file(options: Namespace, bar: Bar) -> None:
    from core.runs.classifiers import decode_for
    model, method = _classifier(options), METHODS[options.method]
    picture = decode_for(model, Path(options.image), options.intensity, max(1, options.frame) - 1)
    progress = partial(bar.count, method.title) if method.many else None
    probs, (target,), (cam,) = _maps(options, model, [picture.pixels], progress)
    bar.end()
    write_atomic(Path(options.out), _drawn(*_seen(model, [picture.pixels]), cam, method))
    name = model.class_names[target] + (f" and not {options.against}" if options.against is not None else "")
    what = f"why {name} ({float(probs[0, target]):.3f})" if method.by_class else "what varies most, whatever the class"
    low = f", the lowest {float(cam.min()):.2g}" if method.signed else ""
    mean = f", the mean over {len(_networks(model))} members" if _networks(model) else ""
    print(f"{options.out}: {method.title}{mean}, {what}; the largest value is {float(cam.max()):.2g}{low} {method.unit}")
    print(*picture.notes, sep="\n", end="\n" if picture.notes else "")


def _explain_split(options: Namespace, bar: Bar) -> None:
    """All images of a split, each explained for its predicted class unless one is given; maps.csv says which file is which."""
    from core.datasets import open_dataset
    from core.runs.ensembles import note_test_opened
    run, method, folder = open_run(options.run), METHODS[options.method], Path(options.out)
    data = open_dataset(run.config.data, bar.count)
    if data.split_hash != run.data().get("split_hash"):
        raise LightboxError("run.data_changed", "The images, or their split, have changed since this run was trained.",
                            "Explain single files instead.")
    model, rows = _classifier(options), data.indices(options.split)
    if not len(rows):
        raise LightboxError("split.empty", f"This data set has no {options.split} images.", "Choose another split.")
    folder.mkdir(parents=True, exist_ok=True)
    if options.split == "test":
        note_test_opened(run)
    ids, table = data.table["image_id"].to_numpy(), []
    for start in range(0, len(rows), BATCH):
        part = rows[start:start + BATCH]
        pictures = list(data.images[part])
        probs, targets, cams = _maps(options, model, pictures, None)
        for row, image, p, target, cam in zip(part, _seen(model, pictures), probs, targets, cams):
            name = f"{row:06}_{re.sub(r'[^A-Za-z0-9.-]+', '_', str(ids[row]))[-80:]}.png"
            write_atomic(folder / name, _drawn(image, cam, method))
            table.append((name, ids[row], _true(data, row), model.class_names[target], f"{float(p[target]):.4f}",
                          f"{float(cam.max()):.4g}"))
        bar.count(method.title, start + len(part), len(rows))
    write_atomic(folder / "maps.csv", to_csv(("file", "image_id", "true", "explained", "probability", "largest"), table).encode())
    bar.end()
    print(f"{folder}: {len(rows):,} heat-maps ({method.title}) and maps.csv")


def _classifier(options: Namespace):
    """The classifier that is explained: that of the run, or with --member one of an ensemble's.

    Raises LightboxError "cli.member", "ensemble.layer", and as `load_classifier`.
    """
    from core.runs.classifiers import is_shipped, load_classifier, split_address
    spec = None if is_shipped(options.run) else open_run(split_address(options.run)[0]).ensemble
    if not options.member:
        model = load_classifier(options.run).model
        if options.layer and _networks(model) and not model.stages:
            raise LightboxError("ensemble.layer", "The members of this ensemble have different layers.",
                                "Choose one with --member, or leave out --layer: each is explained at its last feature map.")
        return model
    if spec is None or spec.is_soup:
        raise LightboxError("cli.member", f"{options.run} is a single network, which has no members.", "Leave out --member.")
    numbered = {str(number): member for number, member in enumerate(spec.members, 1)}
    found = numbered.get(options.member) or next(
        (member for member in spec.members if options.member in (member.address, member.run, member.name)), None)
    if found is None:
        listed = ", ".join(f"{number} ({member.run}, {member.name})" for number, member in numbered.items())
        raise LightboxError("cli.member", f"There is no member {options.member}.", f"There are {listed}.")
    return load_classifier(found.address).model


def _networks(model) -> tuple:
    """The networks of an ensemble, () of a single one."""
    return getattr(model, "networks", ())


def _maps(options: Namespace, model, pictures: list[np.ndarray], progress) -> tuple:
    """(probabilities (N, K), explained classes, maps (N, S, S)) of pictures; of an ensemble the weighted mean of its members'."""
    from core.evaluation.maps import explain_pictures
    from core.runs.classifiers import classify
    probs = classify(model, pictures)
    targets = (probs.argmax(axis=1).tolist() if options.target is None
               else [class_index(options.target, model.class_names)] * len(pictures))
    against = None if options.against is None else [class_index(options.against, model.class_names)] * len(pictures)
    try:
        cams = explain_pictures(model, pictures, targets, options.layer, method=options.method, against=against,
                                progress=progress)
    except (KeyError, ValueError) as error:
        raise LightboxError("layer.unknown", f"{error.args[0]}", "Give a layer with a feature map with --layer.") from None
    return probs, targets, cams


def _seen(model, pictures: list[np.ndarray]):
    """The pictures as the network sees them, (N, C, S, S) in [0, 1]; of an ensemble as the member with the largest images."""
    from core.runs.classifiers import as_input
    return as_input(getattr(model, "lead", model), pictures)


def _drawn(image, cam: np.ndarray, method) -> bytes:
    """The map over its image as PNG."""
    import cv2
    shown = (image.permute(1, 2, 0).numpy() * 255).round().astype("uint8")
    drawn = cv2.cvtColor(overlay(shown, cam, opacity=0.5, signed=method.signed), cv2.COLOR_RGB2BGR)
    return cv2.imencode(".png", drawn)[1].tobytes()


def _true(data, row: int) -> str:
    label = data.labels[row]
    if np.ndim(label):
        return "|".join(name for name, on in zip(data.class_names, label) if on > 0)
    return data.class_names[label] if label >= 0 else ""


COMMANDS = (
    Command("explain", "write heat-maps that explain predictions: of an image, or of a split", explain, (
        argument("run"),
        argument("image", nargs="?", help="a file; or give --split"),
        argument("--split", choices=("val", "test"), help="all images of this split, into the folder of --out; opening test is "
                                                          "counted"),
        argument("--member", metavar="N | RUN", help="of an ensemble one member, by its number from 1 or its id; default: the "
                                                     "mean of all maps, each as much as its member counts"),
        argument("--layer", help="dotted name; default: the last feature map"),
        argument("--target", help="class to explain, by name or number; default: the predicted one"),
        argument("--method", choices=tuple(METHODS), default="grad_cam"),
        argument("--against", help="class to contrast with: explains the difference of the two logits"),
        *READING,
        argument("--out", required=True, metavar="FILE.png | FOLDER"),
    )),
)
