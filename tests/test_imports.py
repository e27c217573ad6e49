"""Imports run one way: app -> pages -> core, a page's folder imports no other page's, and inside core along the arrows below.

A new part of core is added here with what it may know: the table is the drawing of the house.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BASE = {"errors", "config", "files"}

CORE = {                                    # a part of core: the parts that it may import
    "errors": set(),
    "config": {"errors"},
    "files": {"errors"},
    "models": BASE,                         # these know nothing of each other, but that sets are decoded
    "decoding": {"errors"},                 # runs in processes of its own, which must stay small
    "datasets": BASE | {"decoding"},
    "augment": BASE,
    "explain": BASE,
    "metrics": BASE,
    "charts": BASE,
    "audit": BASE | {"datasets"},
    "runs": BASE | {"augment", "datasets", "models"},
    "trainers": BASE | {"augment", "datasets", "metrics", "models"},
    "evaluation": BASE | {"datasets", "explain", "metrics", "models", "runs", "trainers"},
    "worker": BASE | {"datasets", "evaluation", "runs", "trainers"},
    "report": BASE | {"charts", "datasets", "evaluation", "explain", "metrics", "models", "runs"},
    "commands": BASE | {"audit", "datasets", "evaluation", "explain", "metrics", "models", "report", "runs", "trainers"},
    "__main__": BASE | {"commands"},
}
CORE[""] = set(CORE) - {"__main__"}        # core/__init__.py, the face
PROGRAMS = {"worker.queue_worker", "worker.torchrun", "decoding.worker", "__main__"}           # are started, never imported
HOUSE = {"app": {"pages"}, "pages": {"pages", "core"}, "core": {"core"}}
EVERYWHERE = {"shared"}                                   # the only folder in pages/ that others may import
HEAVY = ("torch", "torchvision", "sklearn", "medmnist", "pydicom", "altair", "vl_convert")
AT_START = ["core.config", "core.errors", "core.files", "core.metrics", "core.runs", "core.runs.queue", "core.runs.device",
            "core.audit", "core.datasets", "core.models", "core.runs.recipes", "core.runs.codes", "core.runs.sweep"]


def imports(source: str, module: str, package: bool = False) -> list[tuple[int, str, bool]]:
    """(line, dotted name, at module level?) of each import, those inside functions included.

    `from core.runs import store` gives core.runs.store, as do `from ..runs import store` in
    core.worker.queue_worker and `import_module("core.runs.store")`.
    """
    found = []

    def visit(node: ast.AST, top: bool) -> None:
        if isinstance(node, ast.Import):
            found.extend((node.lineno, alias.name, top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = module.split(".")[:len(module.split(".")) - node.level + package] if node.level else []
            base = ".".join(base + ([node.module] if node.module else []))
            found.extend((node.lineno, f"{base}.{alias.name}", top) for alias in node.names)
        elif (isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)
              and getattr(node.func, "id", getattr(node.func, "attr", "")) in ("import_module", "__import__")):
            found.append((node.lineno, str(node.args[0].value), top))
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or _only_for_types(node)
        for child in ast.iter_child_nodes(node):
            visit(child, top and not inside)

    visit(ast.parse(source), True)
    return found


def _only_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def faults(module: str, source: str, package: bool = False) -> list[str]:
    """A sentence for each import of a module of the house that runs against the arrows."""
    floor, part = (module.split(".") + [""])[:2]
    sentences = []
    for line, name, _ in imports(source, module, package):
        target, wanted, inner = (name.split(".") + ["", ""])[:3]
        if floor == "core" and target == "streamlit":
            sentences.append(f"{module}:{line} imports streamlit: core never does.")
        if target in ("tests", "bench"):
            sentences.append(f"{module}:{line} imports {name}: what is shipped does not need its tests.")
        if target in HOUSE and target not in HOUSE[floor]:
            allowed = " and ".join(sorted(HOUSE[floor])) or "nothing of the house"
            sentences.append(f"{module}:{line} imports {name}: {floor} may import {allowed}.")
        elif target == "core" and {wanted, f"{wanted}.{inner}"} & PROGRAMS:
            sentences.append(f"{module}:{line} imports {name}: it is a program, started in a process of its own.")
        elif target == floor == "core" and wanted in CORE and wanted != part and wanted not in CORE.get(part, ()):
            sentences.append(f"{module}:{line} imports {name}: core.{part} may import {', '.join(sorted(CORE[part]))}.")
        elif target == floor == "pages" and wanted not in EVERYWHERE | {part}:
            sentences.append(f"{module}:{line} imports {name}: a page's folder imports no other page's.")
    return sentences


def modules() -> list[tuple[str, Path]]:
    """Dotted name and file of each module of the product."""
    files = [ROOT / "app.py", *sorted(path for floor in ("pages", "core") for path in (ROOT / floor).rglob("*.py"))]
    return [(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"), path) for path in files]


@pytest.mark.parametrize("module, path", modules(), ids=[name for name, _ in modules()])
def test_no_import_runs_back(module, path):
    assert faults(module, path.read_text(), package=path.name == "__init__.py") == []


def test_every_part_of_core_stands_in_the_table():
    there = {path.stem for path in (ROOT / "core").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert there - {"__init__"} <= set(CORE), "say in tests/test_imports.py what the new part of core may import"


def test_the_table_itself_has_no_circle():
    left = dict(CORE)
    while left:
        ready = [part for part, needs in left.items() if not needs & set(left)]
        assert ready, f"a circle among {sorted(left)}"
        left = {part: needs for part, needs in left.items() if part not in ready}


@pytest.mark.parametrize("module, source", [
    ("core.metrics", "from core.datasets import open_dataset"),
    ("core.metrics", "def f():\n    import core.models"),
    ("core.models.classifier", "from core import datasets"),
    ("core.models.classifier", "from ..datasets.geometry import fit"),
    ("core.explain", "from core.models import build_model"),
    ("core.augment", "import importlib\nimportlib.import_module('core.trainers')"),
    ("core.errors", "from core.config import home"),
    ("core.evaluation.evaluate", "from core.worker.queue_worker import main"),
    ("core.worker.job", "from core.worker import torchrun"),
    ("core.runs", "import core.__main__"),
    ("core.trainers.classifier", "class A:\n    def f(self):\n        from core.runs.store import RunStore"),
    ("core.metrics", "def f():\n    import streamlit as st"),
    ("core.metrics", "if True:\n    from streamlit import cache_data"),
    ("core.files", "from pages.shared.charts import curve"),
    ("pages.shared.charts", "from pages.train import page"),
    ("pages.shared.charts", "from core.worker.torchrun import main"),
    ("pages.runs.page", "from pages.train.sweep import draw"),
    ("pages.runs.page", "import app"),
    ("app", "from core.runs.store import RunStore"),
    ("core.metrics", "from tests.tiny import tiny_arrays"),
])
def test_the_check_sees_an_arrow_that_runs_back(module, source):
    assert len(faults(module, source)) == 1


@pytest.mark.parametrize("module, source", [
    ("core.metrics", "import numpy as np\nfrom core.errors import LightboxError\nfrom core.metrics.ranking import roc_curve"),
    ("core.models.classifier", "from core.models.backbones import build\nfrom .backbones import build"),
    ("core.runs", "from core import __version__\nfrom . import queue"),
    ("core.worker.job", "def main():\n    from core.trainers.classifier import train"),
    ("pages.shared.charts", "import streamlit as st\nfrom core.metrics import METRICS\nfrom pages.shared.theme import COLOURS"),
    ("pages.runs.page", "import streamlit as st\nfrom pages.runs import curves\nfrom pages.shared import charts"),
    ("pages.main", "import streamlit as st\nfrom pages.shared import theme"),
])
def test_the_check_lets_the_right_arrows_through(module, source):
    assert faults(module, source) == []


def test_what_the_app_imports_at_its_start_leaves_the_heavy_libraries_alone():
    """Torch and its like cost seconds: first content would come that much later."""
    wanted = set(AT_START) | {name for name, _ in modules() if name.startswith(("pages.shared", "core.datasets."))}
    for module, path in modules():
        if module.endswith((".page", ".main")):             # running a page needs Streamlit: take what it imports
            for _, name, top in imports(path.read_text(), module, path.name == "__init__.py"):
                if top and name.split(".")[0] in ("core", "pages"):
                    wanted.add(_longest_module(name))
    program = "\n".join([
        "import importlib, sys",
        f"for name in {sorted(wanted)!r}:",
        "    importlib.import_module(name)",
        f"    heavy = [library for library in {HEAVY!r} if library in sys.modules]",
        "    if heavy: sys.exit(f'{name} imports ' + ' and '.join(heavy) + ' at module level')",
    ])
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def _longest_module(name: str) -> str:
    """core.runs.store.RunStore -> core.runs.store: the longest beginning that is a file or a package."""
    parts = name.split(".")
    while not (ROOT.joinpath(*parts).with_suffix(".py").exists() or ROOT.joinpath(*parts, "__init__.py").exists()):
        parts.pop()
        if len(parts) == 1:
            break
    return ".".join(parts)


def test_every_file_has_a_name_that_says_what_is_in_it():
    vague = {"utils", "util", "helpers", "helper", "common", "misc", "tools", "stuff", "data2", "tmp"}
    places = [part for name, _ in modules() for part in name.split(".")]
    assert not vague & set(places)


def test_pages_stand_in_folders_beside_the_main_script():
    """Files directly in pages/ would be pages of Streamlit's old mode if ever the main script stood beside that folder."""
    assert {path.name for path in (ROOT / "pages").glob("*.py")} == {"__init__.py", "main.py"}
