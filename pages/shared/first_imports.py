"""The imports of a page, made by one visitor at a time.

Two first visitors of a fresh server run two pages in two threads. Where one of them imports a package and the other a module
inside it, each waits for what the other has begun, Python breaks the tie with a module that is half made, and a page fails
with an ImportError that stays until the server is started again. So each page's imports are made once, in turn, before it runs.
"""

from __future__ import annotations

import ast
import importlib
import threading
from pathlib import Path

PAGES = Path(__file__).parents[1]
_turn = threading.Lock()
_done: set[str] = set()


def import_first(page: str) -> None:
    """Import what a page imports at its top, such as "train", unless it has been done."""
    if page in _done:
        return
    with _turn:
        for name in imports_of(PAGES / page / "page.py"):
            importlib.import_module(name)
        _done.add(page)


def imports_of(file: Path) -> list[str]:
    """Return the modules that a script imports at its top, in order."""
    names = []
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
    return names
