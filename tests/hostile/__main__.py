"""Makes all hostile inputs in a folder, opens one after the other, prints a line of JSON for each."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from tests.hostile import CASES, Case


def open_case(kind: Case, what: Path | str) -> None:
    from core.config import DataConfig
    from core.datasets import open_dataset
    from core.datasets.decode import decode_image
    from core.datasets.folder import Folder, FolderOptions
    if kind.how == "image":
        decode_image(Path(what))
    elif kind.how == "set":
        data = open_dataset(DataConfig(str(what), size=28))
        repr(data), data.counts()
    else:
        Folder(Path(what), FolderOptions(kind.how)).scan()


def workers() -> list[int]:
    """The processes that decode for this one."""
    from core.decoding.pool import pool
    return [worker.process.pid for worker in pool().all]


def seconds_of(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_of(process: int | str) -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1000


def measured(kind: Case, what: Path | str) -> dict:
    """Open one input: its code, the sentence, seconds by the clock and of work, and the largest memory meanwhile in MB, of this
    process or of one that decodes for it."""
    from core.errors import LightboxError
    for process in ("self", *workers()):
        with open(f"/proc/{process}/clear_refs", "w") as file:
            file.write("5")                       # the peak starts anew
    helped = {process: seconds_of(process) for process in workers()}
    began, busy, code, said = time.perf_counter(), sum(os.times()[:4]), "works", ""
    try:
        open_case(kind, what)
    except LightboxError as error:
        code, said = error.code, str(error)
    except Exception as error:      # what the test is to find
        code, said = f"not in words: {type(error).__name__}", str(error)
    seconds, cpu = time.perf_counter() - began, sum(os.times()[:4]) - busy
    cpu += sum(seconds_of(process) - helped.get(process, 0) for process in workers())
    peak = max(map(peak_of, ("self", *workers())))
    return {"code": code, "said": said, "seconds": round(seconds, 3), "cpu": round(cpu, 3), "peak_mb": round(peak)}


def main(root: Path) -> None:
    """Make all inputs, then open them."""
    from core.datasets.decode import decode_image
    from tests.hostile.dicom import dicom
    decode_image(dicom())                         # a worker is warm, as in the app

    made = {}
    for k, (name, kind) in enumerate(CASES.items()):
        folder = root / "inputs" / f"{k:03d}"
        folder.mkdir(parents=True)
        made[name] = kind.make(folder)
    print(json.dumps({"made": len(made)}), flush=True)
    sys.stdin.readline()                      # the test takes its listing
    for name, what in made.items():
        print(json.dumps({"name": name} | measured(CASES[name], what)), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
