"""Lightbox on the command line.

    python -m core datasets [--json]
    python -m core datasets D [--json]
    python -m core datasets add PATH --name NAME [--title T] [--set key=value ...] [--json]
    python -m core datasets moved D PATH
    python -m core audit D [--set data.split=...] [--all] [--csv FILE] [--json]
    python -m core train --dataset D --model M [--size S] [--epochs E] [--seed K] [--device cpu] [--set
    section.field=value ...] python -m core train --recipe KEY [--right] --dataset D ...
    python -m core train --grid field=value,value [--grid ...] ...
    python -m core train --folds K ...
    python -m core train --resume RUN
    python -m core train ... --queue
    torchrun --nproc-per-node 2 -m core train ...
    python -m core find-lr --dataset D --model M [--size S] [--seed K] [--device cpu] [--set section.field=value ...]
    [--json]
    python -m core recipes [KEY] [--json]
    python -m core name CODE | RUN
    python -m core evaluate RUN [--split val|test] [--json]
    python -m core evaluate RUN --on D [--map a=b ...] [--split val|test] [--target T] [--corrected]
    [--without-marked KIND,...] [--json]
    python -m core compare RUN RUN [--split val|test] [--json]
    python -m core compare RUN ... | --dataset D [--target T] --out FOLDER [--split val|test] [--json]
    python -m core folds [RUN ...] [--metric M] [--json]
    python -m core marks D [--out FILE.csv]
    python -m core shortcut-test RUN [--split val|test] [--json]
    python -m core explain RUN IMAGE [--method M] [--layer L] [--target C] [--against C] --out FILE.png
    python -m core predict RUN IMAGE|FOLDER ... [--calibrated] [--out FILE.csv]
    python -m core export RUN FOLDER --title TITLE [--about FILE.md]
    python -m core report RUN [RUN ...] [--split val|test] [--out FILE.html]
    python -m core bundle RUN [--split val|test] --out FILE.zip
    python -m core phantom FOLDER --layout mura|folders|table|npz [--size S] [--target T] [--set key=value
    ...]

D is a name such as phantom or breastmnist, or the path of a folder, a table, a zip or an .npz file. RUN is a
run's id, or a classifier that came with the app, such as phantom-body-part. Progress goes to stderr, results
to stdout. A mistake ends with a sentence and exit code 2, with --json also
with a stable code in brackets; a failed run with 1.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from core.commands.table import COMMANDS
from core.errors import LightboxError


def main(argv: list[str] | None = None) -> int:
    options = parser().parse_args(argv)
    try:
        for name in ("out", "csv"):                     # where the results go is looked at before the work
            if isinstance(place := getattr(options, name, None), str) and place:
                Path(place).absolute().parent.mkdir(parents=True, exist_ok=True)
        return options.function(options) or 0
    except LightboxError as error:
        code = f" [{error.code}]" if getattr(options, "json", False) else ""        # for programs, not for people
        print(f"{error}{code}", file=sys.stderr)
        return 2
    except (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
        print(f"{error.filename or 'A file'}: {error.strerror}. Check the path.", file=sys.stderr)
        return 2
    except BrokenPipeError:                       # whoever read our output has seen enough, as `| head` has
        # nothing is left to be flushed into the closed pipe at the end
        sys.stdout = open(os.devnull, "w")
        return 0


def parser() -> argparse.ArgumentParser:
    """What may be written after `python -m core`: a row of COMMANDS each."""
    whole = argparse.ArgumentParser(prog="python -m core", description=__doc__.split("\n\n")[0])
    commands = whole.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        for name, shown in ((command.name, {"help": command.help}), (command.alias, {})):
            if not name:
                continue
            one = commands.add_parser(name, **shown)             # without a help it is not listed
            for argument in command.arguments:
                one.add_argument(*argument.names, **argument.settings)
            one.set_defaults(function=command.function)
    return whole


if __name__ == "__main__":
    sys.exit(main())
