"""What the README points to is there, and the commands that it names are those of the command line."""

import re

from core.__main__ import parser
from tests.browser_support import ROOT

README = (ROOT / "README.md").read_text()


def test_every_picture_and_file_that_it_links_is_there():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("http")]
    assert len(links) > 10 and [link for link in links if not (ROOT / link).is_file()] == []


def test_every_picture_is_shown_somewhere():
    shown = README + "".join(file.read_text() for file in (ROOT / "ui").glob("*.py"))
    assert [p.name for p in (ROOT / "docs").iterdir() if p.name not in shown] == []


def test_it_names_every_command_and_no_other():
    said = set(re.findall(r"python -m core ([\w-]+)", README))
    assert said == set(parser()._subparsers._group_actions[0].choices)


def test_every_program_that_it_calls_for_a_figure_is_there():
    called = set(re.findall(r"python -m bench\.(\w+)", README))
    assert called and [name for name in called if not (ROOT / "bench" / f"{name}.py").is_file()] == []
