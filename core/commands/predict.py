"""Using a run: predictions for image files, and downloads: a report, a zip, its weights, phantom
radiographs."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from core.commands.options import READING, Command, argument, open_run, pairs, set_argument, split_argument
from core.commands.output import Bar, write_or_print
from core.errors import LightboxError
from core.files import write_atomic


def predict(options: Namespace) -> int:
    """Write a row for each file, of an unreadable one its error; 1 where none could be read. Thresholds are those chosen on
    validation."""
    from core.evaluation.batch import classify_files, files_to_classify, predictions_csv, summary_of, table_of
    from core.evaluation.decision import chosen_for
    from core.runs.classifiers import load_classifier
    if not all(options.images):
        raise LightboxError("predict.empty", "An empty name is no image and no folder.", "Give a folder or image files.")
    if options.frame < 0:
        raise LightboxError("image.option", f"There is no frame {options.frame}.", "Frames are counted from 1.")
    loaded, chosen = load_classifier(options.run), chosen_for(options.run)
    names = loaded.model.class_names
    table_of([], names, chosen, options.calibrated)            # refuses at once, not after an hour
    files, others = files_to_classify([Path(place) for place in options.images], options.frame)
    bar, done = Bar(), []
    for one in classify_files(loaded, files, options.intensity, options.frame):
        done.append(one)
        bar.count("Classifying", len(done), len(files))
    said = summary_of(done, others)
    if chosen.task == "binary-class":
        said.append(f"Positive class: {names[1]}, above {chosen.threshold:g}.")
    bar.end(" ".join(said))
    write_or_print(predictions_csv(table_of(done, names, chosen, options.calibrated), names), options.out)
    return 0 if any(one.probs is not None for one in done) else 1


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
