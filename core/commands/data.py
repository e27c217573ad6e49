"""Data sets: listed, counted, added, audited."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from core.commands.options import JSON, Command, absolute, argument, pairs, set_argument, settings
from core.commands.output import Bar, print_result, say_skipped
from core.config import RunConfig
from core.errors import LightboxError
from core.files import to_csv, write_atomic


def datasets(options: Namespace) -> None:
    """All sets, or with words one of them: `show_or_add`."""
    from core.datasets import DATASETS, list_datasets
    from core.datasets.scan import scan_source
    if options.words:
        show_or_add(options)
        return
    infos = list_datasets()
    for info in infos:                            # the phantoms are made, so they can be counted at any time
        if info.name in DATASETS and info.available and None in info.counts.values():
            info.counts.update(scan_source(DATASETS[info.name].source(None)).index.table["split"].value_counts().to_dict())
    print_result(options, [vars(info) for info in infos], map(_in_a_line, infos))


def _in_a_line(info) -> str:
    from core.datasets import DATASETS
    known = [v for v in info.counts.values() if v is not None]
    # ? is known once it is opened
    images, classes = f"{sum(known):,}" if known else "?", len(info.class_names) or "?"
    where = "ready" if info.available else "to be downloaded" if info.name in DATASETS else "not there"
    return f"{info.name:16} {images:>8} images  {classes:>2} classes  {info.task:26} {where:16}  {info.title}"


def show_or_add(options: Namespace) -> None:
    """`datasets D` counts what is there; `datasets add PATH` keeps it under a name."""
    words = options.words
    values = pairs(options.set)
    labels = {key: values.pop(f"labels.{key}") for key in ("map", "positive", "target") if f"labels.{key}" in values}
    if len(words) == 3 and words[0] == "moved":
        _move(options, *words[1:])
    elif len(words) == 2 and words[0] == "add":
        _print_scan(options, *_add(options, words[1], values, labels))
    elif len(words) == 1 and not (options.name or options.title):
        if not _print_how_to_get(options, absolute(words[0])):
            _print_scan(options, *_count(absolute(words[0]), values, labels))
    else:
        raise LightboxError("cli.datasets", f"{' '.join(words)[:80]!r} is not understood.",
                            "Write datasets, datasets D, or datasets add PATH --name NAME.")


def _move(options: Namespace, dataset: str, place: str) -> None:
    from core.datasets.opening import move_dataset
    n = move_dataset(absolute(dataset), place)
    print_result(options, {"dataset": dataset, "path": place, "images": n},
                 [f"{dataset} is read from {place} from now on: {n:,} images."])


def _add(options: Namespace, place: str, values: dict, labels: dict) -> tuple:
    """Keep a set under a name; returns it and what its scan found."""
    from core.datasets.custom import free_name
    from core.datasets.formats import detect_format, parse_options
    from core.datasets.scan import add_custom_dataset
    kind, path = ("phantom", "") if place == "phantom" else detect_format(place)
    title = options.title or options.name or (Path(place).stem if Path(place).is_file() else Path(place).name)
    own, found = add_custom_dataset(kind, path, parse_options(kind, values), options.name or free_name(title), title, labels)
    found.source.name, found.source.title = own.name, own.title
    return own, found


def _print_how_to_get(options: Namespace, dataset: str) -> bool:
    """Say how a known set is got that is not on this machine; False where it is here, or not known."""
    from core.config import DataConfig
    from core.datasets import list_datasets, open_source
    info = next((info for info in list_datasets() if info.name == dataset), None)
    if info is None or open_source(DataConfig(dataset)) is not None:
        return False
    print_result(options, vars(info), [f"{info.title} ({info.name}): {info.how_to_get}"])
    return True


def _count(dataset: str, values: dict, labels: dict) -> tuple:
    """The custom set of this name, or None, and what a scan finds, read with other options where some are given."""
    from core.config import DataConfig
    from core.datasets import open_source
    from core.datasets.custom import AS_GUESSED, load_custom_dataset
    from core.datasets.formats import FORMATS, detect_format, parse_options
    from core.datasets.scan import edit_scan, scan_source
    own, source, bar = load_custom_dataset(dataset), open_source(DataConfig(dataset)), Bar()
    if source is None or values:
        kind, path = detect_format(dataset)
        source = FORMATS[kind].build(path, parse_options(kind, values))
    scanned = scan_source(source, bar.count)
    bar.end()
    found = edit_scan(scanned, (own.labels if own and not labels else AS_GUESSED) | labels)
    if own is None and not labels:      # the classes in the order of the files; which is positive is said
        found = replace(scanned, index=replace(scanned.index, understood=found.index.understood))
    return own, found


def _print_scan(options: Namespace, own, found) -> None:
    kept = {"kind": own.format, "path": own.path, "reading": own.options} if own else {}
    kept |= {"labels": own.labels} if own else {}
    print_result(options, found.to_json() | kept, _survey_in_words(found, own))


def _survey_in_words(found, own) -> Iterator[str]:
    yield (f"{found.source.title} ({found.source.name}): {len(found.index.table):,} images, "
           + (f"{found.patients:,} patients" if found.patients else "patients unknown"))
    if own:
        yield f"{own.format}: {own.path} " + " ".join(f"{key}={value!r}" for key, value in own.options.items())
    for name, target in found.index.targets.items():
        yield f"\n{target.title} ({name}): {target.task}\n{found.counts[name].to_string()}"
    said = [one.text for one in found.index.understood]
    if said:
        yield "\nWhat was understood, and what changes it:"
    for one in found.index.understood:
        yield f"  {one.text}" + (f"  --set {one.option}={one.value or '...'}" if one.option else "")
    for note in found.index.notes:
        if note not in said:
            yield f"  {note}"
    for item in found.index.skipped[:10]:
        yield f"  left out: {item['path']}: {item['reason']}"
    if len(found.index.skipped) > 10:
        yield f"  and {len(found.index.skipped) - 10:,} more"


def audit(options: Namespace) -> None:
    """What is wrong with a set and its split, before anything is trained on it."""
    from core.audit import audit
    from core.audit.audit import COLUMNS, SHOWN
    from core.datasets import open_dataset
    changes = settings(options.set)
    if wrong := next((name for name in changes if not name.startswith(("data.", "labels."))), None):
        raise LightboxError("cli.set", f"{wrong} is no setting of the data.", "An audit looks only at data.* settings.")
    config = RunConfig().with_(**{"data.dataset": absolute(options.dataset)} | changes)
    bar = Bar()
    data = open_dataset(config.data, bar.count)
    found = audit(data, bar.count)
    bar.end()
    say_skipped(data.skipped)
    if options.csv:
        write_atomic(Path(options.csv), to_csv(COLUMNS, found.rows()))
        print(f"{options.csv}: {len(found.rows()):,} rows.", file=sys.stderr)
    unread = {"skipped": list(data.skipped)}
    print_result(options, found.to_json() | unread, found.to_text(None if options.all else SHOWN), indent=2)


COMMANDS = (
    Command("datasets", "list the data sets, count one, or add one of your own", datasets, (
        argument("words", nargs="*", metavar="D | add PATH | moved D PATH",
                 help="a set or a path to count; add and a path; or moved, a set or path, and where its images are now"),
        JSON,
        argument("--name", help="of the new set: small letters, digits and hyphens"),
        argument("--title", help="of the new set, as people read it"),
        set_argument("key=value", "how the images are read, such as labels=diagnosis, patient=id; again and again"),
    )),
    Command("audit", "look for patients on both sides of a split, copies and odd images", audit, (
        argument("dataset"),
        set_argument("data.field=value", "another split, size or task; may be given again and again"),
        argument("--all", action="store_true", help="list every pair and every outlier"),
        argument("--csv", metavar="FILE", help="write every pair and every outlier into a table"),
        JSON,
    )),
)
