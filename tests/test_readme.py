"""What the README points to is there, and the commands that it names are those of the command line."""

import os
import re
import subprocess
import sys

from core.__main__ import parser
from tests.browser_support import ROOT
from tests.tiny import tiny_npz

README = (ROOT / "README.md").read_text()
PAGES = {path: path.read_text() for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md"))}


def links(text):
    return [link for link in re.findall(r"\]\(([^)#]+)\)", text) if not link.startswith("http")]


def test_everything_that_is_linked_is_there():
    assert len(links(README)) > 10
    assert [link for page, text in PAGES.items() for link in links(text) if not (page.parent / link).is_file()] == []


def test_every_picture_and_example_is_shown_somewhere():
    shown = {(page.parent / link).resolve() for page, text in PAGES.items() for link in links(text)}
    files = [path for path in (ROOT / "docs").iterdir() if path.suffix in (".jpg", ".png", ".py", ".md")]
    assert [path.name for path in files if path.resolve() not in shown] == []


def test_it_is_read_in_five_minutes():
    assert len(README.splitlines()) <= 150


def test_it_names_every_command_and_no_other():
    said = set(re.findall(r"python -m core ([\w-]+)", README))
    assert said == set(parser()._subparsers._group_actions[0].choices)


def test_every_program_that_is_named_for_a_figure_is_there():
    named = {name for text in PAGES.values() for name in re.findall(r"python -m ((?:bench|docs)\.\w+)", text)}
    assert len(named) > 5 and [name for name in named if not (ROOT / f"{name.replace('.', '/')}.py").is_file()] == []


def test_every_file_that_contributing_names_is_there():
    names = set(re.findall(r"`?((?:core|pages|tests|bench)/[\w/]+\.py)", PAGES[ROOT / "CONTRIBUTING.md"]))
    assert len(names) > 10 and [name for name in names if not (ROOT / name).is_file()] == []


def test_its_python_example_runs(tmp_path):
    """On a tiny set in the place of the phantom radiographs, with a small network."""
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    tiny = example.replace('"phantom"', f'"{tiny_npz(tmp_path, 24)}", "data.size": 28, "model.name": "small_cnn"')
    assert "tiny.npz" in tiny
    done = subprocess.run([sys.executable, "-c", tiny], cwd=ROOT, capture_output=True, text=True,
                          env=os.environ | {"LIGHTBOX_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 3, done.stderr
