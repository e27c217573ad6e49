"""Using a run: predictions for image files, and downloads: a report, a zip, its weights, phantom
radiographs."""

from __future__ import annotations

import csv
import io
from argparse import Namespace
from pathlib import Path

from core.commands.options import READING, Command, argument, open_run, pairs, set_argument, split_argument
from core.commands.output import Bar, write_or_print
from core.errors import LightboxError
from core.files import write_atomic


def predict(options: Namespace) -> None:
    """Write a row for each file, of an unreadable one its error. Thresholds are those chosen on
    validation."""
    from core.datasets.intensity import intensity_text
    from core.evaluation.decision import chosen_for
    from core.runs.classifiers import classify, decode_for, load_classifier
    model, chosen = load_classifier(options.run).model, chosen_for(options.run)
    if options.calibrated and chosen.temperature is None:
        raise LightboxError("temperature.none", "This classifier has no temperature.",
                            "A run needs predictions on validation that are not all correct; leave out --calibrated.")
    if options.intensity is not None:
        intensity_text(options.intensity)      # what is wrong with it is said once, not for each file
    files, others = _listed(options.images, options.frame)
    columns = ["file", "predicted", *(f"prob_{name}" for name in model.class_names), "error", "notes"]
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(columns)
    bar, bad = Bar(), 0
    for done, (name, file, fault) in enumerate(files, 1):
        try:
            if fault:
                raise LightboxError("image.unreadable", fault)
            picture = decode_for(model, file, options.intensity, max(1, options.frame) - 1)
            decision = chosen.decide(classify(model, [picture.pixels])[0], options.calibrated)
            predicted = "|".join(model.class_names[k] for k in decision.predicted)
            table.writerow([name, predicted, *(f"{p:.6f}" for p in decision.probs), "", " ".join(picture.notes)])
        except LightboxError as error:
            bad += 1
            table.writerow([name, "", *[""] * len(model.class_names), str(error), ""])
        bar.count("Classifying", done, len(files))
    said = [f"{len(files) - bad:,} of {len(files):,} files classified."]
    said += ["The column error tells why the others were not."] if bad else []
    said += [f"{others:,} files were left out: by their names they are not images."] if others else []
    if chosen.task == "binary-class":
        said.append(f"Positive class: {model.class_names[1]}, above {chosen.threshold:g}.")
    bar.end(" ".join(said))
    write_or_print(out.getvalue(), options.out)


def _listed(given: list[str], frame: int) -> tuple[list[tuple[str, Path, str]], int]:
    """Each file as (its name in the table, its path, why it cannot be opened), and how many in folders are no images.

    What is in a folder is named from there on; of several folders, with the folder in front. Without a `frame`, each frame of a
    DICOM file is an image.
    """
    from core.datasets.frames import paths_of_frames
    from core.datasets.walk import list_files
    files, others = [], 0
    for place in map(Path, given):
        if not place.is_dir():
            files.append((str(place), place, ""))
            continue
        listed, left_out = list_files(place, "")
        others += len(left_out)
        front = "" if len(given) == 1 else f"{place.as_posix()}/"
        files += [(front + _printable(one.path), place / one.path, one.fault) for one in listed]
    if not files:
        raise LightboxError("predict.empty", f"There are no images in {', '.join(given)}.",
                            "Give a folder that holds images, or their files.")
    if not frame:
        files = [(name + path.name.removeprefix(file.name), path, fault) for name, file, fault in files
                 for path in ([file] if fault else paths_of_frames(file))]
    return files, others


def _printable(path: str) -> str:
    return path.encode("utf-8", "replace").decode()


def report(options: Namespace) -> None:
    """Write the report of one run, or of several side by side."""
    from core.report import comparison
    from core.report import report as report_of
    runs = [open_run(name) for name in options.runs]
    page = report_of(runs[0], options.split) if len(runs) == 1 else comparison(runs, options.split)
    if write_or_print(page, options.out):
        print(options.out)


def bundle(options: Namespace) -> None:
    """Write everything about a run as a zip."""
    from core.report import bundle as bundle_of
    bar = Bar()
    packed = bundle_of(open_run(options.run), options.split, progress=bar.count)
    bar.end()
    write_atomic(Path(options.out), packed)
    print(options.out)


def export(options: Namespace) -> None:
    """Write the weights of a run's best epoch, as others load them."""
    from core.report.export import export
    bar = Bar()
    about = Path(options.about).read_text() if options.about else ""
    export(open_run(options.run), Path(options.folder), options.title, about, bar.count)
    bar.end(f"{options.folder}: weights, config and card written.")


def phantom(options: Namespace) -> None:
    """Phantom radiographs as files, laid out as other people's data sets are."""
    from core.datasets.formats import parse_options
    from core.datasets.phantom.export import Plan, export
    plan = Plan(parse_options("phantom", pairs(options.set)), options.layout, options.size, options.target,
                not options.no_split)
    bar = Bar()
    opened = export(plan, Path(options.folder), bar.count)
    bar.end(f"{options.folder}: {len(plan.table):,} images written.")
    print(opened)


OPENS_NOTHING = split_argument("default: test if it has been opened, otherwise val", default="")

COMMANDS = (
    Command("predict", "classify image files, or all images in a folder, into a table", predict, (
        argument("run"),
        argument("images", nargs="+", metavar="IMAGE | FOLDER"),
        argument("--calibrated", action="store_true",
                 help="probabilities calibrated with the temperature fitted on validation"),
        *READING,
        argument("--out"),
    )),
    Command("report", "report of one or more runs as an HTML page", report, (
        argument("runs", nargs="+", metavar="RUN"),
        OPENS_NOTHING,
        argument("--out", metavar="FILE.html"),
    )),
    Command("bundle", "report, tables, figures, config and weights of a run as a zip", bundle, (
        argument("run"),
        OPENS_NOTHING,
        argument("--out", required=True, metavar="FILE.zip"),
    )),
    Command("export", "export the weights of the best epoch with config and model card; opens the test set", export, (
        argument("run"),
        argument("folder"),
        argument("--title", required=True),
        argument("--about", help="Markdown for the top of the card: data, licence, limits"),
    )),
    Command("phantom", "write phantom radiographs to a folder, with masks and ground truth", phantom, (
        argument("folder"),
        argument("--layout", required=True, help="mura, folders, table or npz"),
        argument("--size", type=int, default=512, help="pixels of the longer side; of both sides in an .npz"),
        argument("--target", default="abnormality", help="what the classes are: abnormality or body_part"),
        argument("--no-split", action="store_true",
                 help="class folders without train, val and test above them"),
        set_argument("key=value",
                     "a setting of the set, such as patients=50, letters=0.9, copies=0.1; may be given again and "
                                  "again"),
    )),
)
