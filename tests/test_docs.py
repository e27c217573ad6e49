"""The examples in docs/ run in a clean home and find what they are about; each row of reports.md can be gone through."""

import os
import re
import shlex
import subprocess
import sys

import pytest

from core.__main__ import parser
from core.config import RunConfig
from core.datasets.formats import parse_options
from core.runs.recipes import RECIPES
from core.runs.sweep import expand, parse_values
from tests import layout_table
from tests.browser_support import ROOT

LARGEST = 250_000                # bytes of a picture


def run(example, home, *words):
    done = subprocess.run([sys.executable, "-m", f"docs.{example}", *words], cwd=ROOT, capture_output=True, text=True,
                          env=os.environ | {"LIGHTBOX_HOME": str(home)})
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def numbers(pattern, text):
    return [float(number) for number in re.findall(pattern, text)]


def test_a_plain_loop_learns(tmp_path):
    losses = numbers(r"loss (\S+)", run("plain_loop", tmp_path))
    assert len(losses) == 5 and losses[-1] < losses[0]


def test_only_a_split_by_image_puts_patients_on_both_sides(tmp_path):
    printed = run("split_and_audit", tmp_path)
    by_image, by_patient = numbers(r"(\d+) of \d+ test images", printed)
    assert by_image > 20 and by_patient == 0
    assert all(pairs >= 10 for pairs in numbers(r"(\d+) pairs", printed)), "the planted copies are found"


def test_intervals_by_patient_are_wider(tmp_path):
    printed = run("evaluate_with_intervals", tmp_path)
    limits = r"\[(\S+) to (\S+)\]"
    rows = re.findall(rf"by image {limits}, by patient {limits}", printed)
    assert len(rows) == 4
    widths = [(float(b) - float(a), float(d) - float(c)) for a, b, c, d in rows]
    assert sum(patient for _, patient in widths) > sum(image for image, _ in widths)


def test_the_heat_lies_where_the_square_is(tmp_path):
    drawn = tmp_path / "map.png"
    heat, area = numbers(r"(\d+)%", run("grad_cam", tmp_path, str(drawn)))[:2]
    assert heat > 2 * area and drawn.stat().st_size > 1000


def test_examples_are_short():
    lengths = {path.name: len(path.read_text().splitlines()) for path in (ROOT / "docs").glob("*.py")}
    assert len(lengths) == 4 and max(lengths.values()) <= 80


def test_pictures_are_light():
    assert {p.name: p.stat().st_size for p in (ROOT / "docs").glob("*.[jp][pn]g") if p.stat().st_size > LARGEST} == {}


def test_the_page_of_layouts_says_what_is_read_today():
    assert layout_table.FILE.read_text(encoding="utf-8") == layout_table.page(), "python -m tests.layout_table writes it anew"


ROWS = re.findall(r"^\| (\d+) \| (.*?) \| (.*?) \| (.*?) \| (\w+)::(\w+) \|$", (ROOT / "docs" / "reports.md").read_text(), re.M)
MENU = {"Add", "Browse", "Split", "Augment", "Network", "Train", "Runs", "Evaluate", "Errors", "Grad-CAM", "Compare", "Classify"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} {row[1]}")
def test_what_the_reports_did_has_its_page_its_command_and_its_test(row):
    _, what, pages, commands, file, name = row
    named = {step.split(",")[0].strip() for step in re.split("; | or ", pages)}
    assert named & MENU or what == "images streamed that do not fit in memory", pages
    assert f"def {name}(" in (ROOT / "tests" / f"{file}.py").read_text()
    for command in re.findall("`(.*?)`", commands):
        words = shlex.split(command)
        options = parser().parse_args(words)
        changes = dict(word.split("=", 1) for flag, word in zip(words, words[1:]) if flag == "--set")
        if words[0] == "datasets":
            parse_options("mura", changes)
        else:
            RunConfig().with_(**changes)
        assert getattr(options, "recipe", None) in {None, "", *RECIPES}
        if grid := [word for flag, word in zip(words, words[1:]) if flag == "--grid"]:
            assert len(expand(RunConfig(), parse_values(grid))) > 1


def test_the_rows_are_numbered_and_no_box_of_the_reports_is_left_out():
    assert [int(row[0]) for row in ROWS] == list(range(1, 105))
