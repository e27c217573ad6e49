"""What flows where: an image, the members with their own preprocessing, the combination, the decision."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import streamlit as st

from core.config import KNOBS, Task
from core.evaluation.member_predictions import MemberPredictions
from core.models.combine import WAYS
from core.runs import checkpoints
from core.runs.store import Run
from pages.ensemble.choice import LETTERS

STYLE = Path(__file__).with_suffix(".css")
SHOWN = 8                # members that are drawn; the others are counted


def draw_flow(said: MemberPredictions, runs: Sequence[tuple[Run, int]], way: str, gate: str = "") -> None:
    """Draw the diagram.

    Args:
        runs: one of each column, with its epoch
        gate: column that chooses the expert
    """
    st.html(STYLE)
    st.html(flow(said, runs, way, gate))


def flow(said: MemberPredictions, runs: Sequence[tuple[Run, int]], way: str, gate: str = "") -> str:
    """Return the HTML of `draw_flow`."""
    shown = zip(LETTERS[:SHOWN], said.names, runs)
    boxes = [_box(f"{letter}  {name}", preprocessing(*run)) for letter, name, run in shown]
    if len(runs) > SHOWN:
        boxes.append(_box(f"and {len(runs) - SHOWN} more", ""))
    chosen = f"the known {gate.replace('_', ' ')} chooses one" if way == "experts" else "probabilities of all members"
    many = said.task == Task.MULTILABEL
    last = _box("Findings" if many else "Class", "each with a probability above its threshold" if many else
                f"the most probable of {len(said.class_names)}")
    words = (f"An image goes to {len(runs)} members, each with its own preprocessing; {WAYS[way].title.lower()} combines what "
             "they say to the decision.")
    arrow = "<div class='arrow'></div>"
    return (f"<div class='lb-flow' role='img' aria-label='{escape(words)}'>{_box('Image', 'as it is on disk')}{arrow}"
            f"<div class='members'>{''.join(boxes)}</div>{arrow}{_box(WAYS[way].title, chosen, 'way')}{arrow}{last}</div>")


def preprocessing(run: Run, epoch: int) -> str:
    """Return what a member does to an image before it looks, in words."""
    found = checkpoints.preprocessing_of(run.checkpoints, epoch)
    if not found:
        return "its preprocessing is not known"
    mean, std = (", ".join(dict.fromkeys(f"{value:.3g}" for value in found[name])) for name in ("mean", "std"))
    color = "gray" if found["channels"] == 1 else "colour"
    return f"{found['size']} px, {KNOBS['data.resize'].words(found['resize']).lower()}, {color}, mean {mean}, SD {std}"


def _box(title: str, text: str, kind: str = "") -> str:
    return f"<div class='box {kind}'><b>{escape(title)}</b><span>{escape(text)}</span></div>"
