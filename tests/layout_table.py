"""The table of docs/layouts.md: public sets by name, and what is understood of each. `python -m tests.layout_table` writes it."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from tests.layout_support import layout, read_json
from tests.test_folder_layouts import LAYOUTS as FOLDERS
from tests.test_folder_layouts_more import LAYOUTS as MORE
from tests.test_layouts_further import FOLDERS as FURTHER
from tests.test_layouts_further import TABLES as FURTHER_TABLES
from tests.test_layouts_tables import LAYOUTS as TABLES
from tests.test_layouts_tables_more import LAYOUTS as MORE_TABLES

FILE = Path(__file__).parents[1] / "docs" / "layouts.md"
HEAD = """# What is understood of public sets

Public sets lie on disks as they were downloaded. Each row was rebuilt with a few images of noise, in the layout of the
set that it names, and read without help; a test keeps this page and the reading in step. `python -m core datasets PATH`
says the same of yours, the page Add lets you change it. `python -m tests.layout_table` writes this page.

"""
WORDS = {"binary-class": "two classes", "multi-class": "classes", "multi-label, binary-class": "findings",
         "ordinal-regression": "grades"}


def rows() -> list[tuple[str, str, str]]:
    """Return (name, "folders" or "table", what is understood) of each layout."""
    found = []
    for name, (images, _) in {**FOLDERS, **MORE, **FURTHER}.items():
        with tempfile.TemporaryDirectory() as place:
            found.append((name, "folders", understood(layout(Path(place) / "set", images))))
    for build in (*TABLES, *MORE_TABLES, *FURTHER_TABLES):
        with tempfile.TemporaryDirectory() as place:
            root = Path(place) / "set"
            expect = build(root)
            path = root / expect.get("path", expect.get("path2", "")) if isinstance(expect, dict) else root
            found.append((re.split(r"[:,.]", build.__doc__)[0].strip(), "table", understood(path)))
    return sorted(found, key=lambda row: (row[1], row[0].lower()))


def understood(path: Path) -> str:
    """Return images, patients, classes, split and what was left out, or the sentence of the error."""
    said, error = read_json(path)
    if error:
        text = str(error)
        for place in (path, *path.parents[:2]):
            text = text.replace(str(place.resolve()), "the folder").replace(str(place), "the folder")
        return text
    name, target = next(iter(said["targets"].items()))
    classes = [c for c in target["counts"] if c != "total"]
    split = [s for s in target["counts"]["total"] if s not in ("total", "not split")]
    parts = [f"{said['images']} images" + (f" of {said['patients']} patients" if said["patients"] else "")]
    parts.append("no labels" if classes == ["unlabelled"] else f"{WORDS[target['task']]}: {', '.join(classes)}")
    parts += [f"split {', '.join(split)}"] if split else []
    parts += [f"other tasks: {', '.join(list(said['targets'])[1:])}"] if len(said["targets"]) > 1 else []
    parts += [f"left out: {', '.join(f'{n} {kind}' for kind, n in said['left_out'].items())}"] if said["left_out"] else []
    return "; ".join(parts).replace("|", "\\|")


def page() -> str:
    """Return the whole page."""
    lines = [f"| {name} | {kind} | {text} |" for name, kind, text in rows()]
    return HEAD + "| set | read as | what is understood |\n|---|---|---|\n" + "\n".join(lines) + "\n"


if __name__ == "__main__":
    FILE.write_text(page(), encoding="utf-8")
