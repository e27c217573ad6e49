"""What the files of a run hold, for `core.files.read_json`: anything else is damage, and is said.

A key with ? came later than the first runs, or stands there only sometimes. Numbers are bounded so that every
sum, date and axis that is made of them exists.
"""

from __future__ import annotations

import re
from collections import Counter

from core.config import KNOBS, Split, Task
from core.files import Damaged, fit_shape, parse_json
from core.files.shapes import NUMBER, REAL, TIME, Between
from core.runs.states import State

COUNT, EPOCH = range(10**15), range(10**7)
SOME = (COUNT, None)
MONITORS = tuple(KNOBS["train.monitor"].choices)
SECONDS = Between(0, 1e11)

ANY: dict = {}
CONFIG = {"config": dict, "device": re.compile(r"[a-z]{1,20}(:\d{1,3})?"), "created": TIME,
          "versions?": dict[str, str], "name?": str, "ensemble?": dict}
STATUS = {"state": State, "reason?": str, "since?": TIME, "code?": str}
STATUS_KEYS = {key.rstrip("?") for key in STATUS}
NOTES = {"text": str, "tags": [str]}
DATA = {"dataset": str, "title": str, "task": Task, "target?": str, "class_names": [str],
        "size": range(1, 10**5), "resize?": str, "channels": range(1, 4), "fingerprint": str, "split_hash": str,
        "split_note?": str, "label_edit?": str, "intensity?": str, "labels?": [str],
        "body_parts?": [str], "n": {split.value: COUNT for split in Split}}
ESTIMATE = [NUMBER, NUMBER, NUMBER, (str, None)]
THRESHOLDS = {"thresholds": {"*": {
    "value": Between(0, 1), "rule": str, "wish": {"*": REAL}, "epoch": EPOCH, "sought": COUNT}}}
SCORES = {"*": {"stamp?": list, "epoch": EPOCH, "n": COUNT, "n_positive?": SOME,
                "counts?": ([COUNT, COUNT, COUNT, COUNT], None), "measures": {"*": ESTIMATE}}}

TRIED = {"threads": COUNT, "channels_last": bool, "precision?": str, "images_per_second": REAL}
RECORDS = {
    "start": {"epoch": EPOCH, "step": COUNT, "device?": str, "parameters?": COUNT, "n_train?": COUNT, "n_val?": COUNT,
              "how?": {"threads": COUNT, "channels_last": bool, "precision": str, "tried": [TRIED]},
              "strip_rows?": [COUNT], "strip_labels?": [(range(10**6), [range(-1, 2)])], "notes?": [str]},
    "step": {"epoch": range(1, 10**7), "step": COUNT, "steps?": range(1, 10**15), "loss?": NUMBER, "objective?": NUMBER,
             "accuracy?": NUMBER, "lr?": NUMBER, "grad_norm?": NUMBER, "images_per_second?": NUMBER,
             "seconds_left?": NUMBER, "memory_bytes?": NUMBER, "device_use?": NUMBER},
    "epoch": {"epoch": range(1, 10**7), "is_best?": bool, "seconds?": SECONDS, "lr?": NUMBER, "images_per_second?": NUMBER,
              "monitor?": MONITORS, "measured?": ("running", "evaluated"), "train_*": NUMBER, "val_*": NUMBER,
              "predicted?": [COUNT], "strip?": [[REAL]], "notes?": [str]},
    "oom": {"fits?": SOME, "batch_size?": SOME},
}
KIND = {"kind": str}


def read_record(line: bytes) -> dict | None:
    """Return the record in a line of metrics.jsonl; None where there is none, or a damaged one."""
    try:
        record = parse_json(line, KIND)
        return fit_shape(record, RECORDS.get(record["kind"], dict))
    except Damaged:
        return None


def check_data(about: dict) -> dict:
    """Return what data.json holds where its parts fit together too. Raises `Damaged`."""
    names, task = about["class_names"], about["task"]
    if not names or max(Counter(names).values()) > 1 or task == Task.BINARY and len(names) != 2:
        raise Damaged("the classes do not fit the task")
    return about
