"""Where tables lie in a folder, and where the images of a table lie."""

from __future__ import annotations

import re
from pathlib import Path

from core.datasets.file_index import MAX_FILES
from core.datasets.image_names import is_image_name
from core.datasets.table_options import TableOptions
from core.datasets.text import natural_key
from core.datasets.walk import walk

TABLES = (".csv", ".tsv", ".tab", ".txt", ".xlsx", ".xlsm", ".xls")
NO_TABLE = re.compile(r"(readme|licen|sample_?submission|requirements|changelog|citation|sha256|md5|checksum|terms)", re.I)
BARE = re.compile(r"(metadata|ground_?truth|labels)$")      # tables without a suffix: HAM10000_metadata of the Dataverse
MAX_TABLES = 20             # texts of one folder: more are one for each image, or logs
DEPTH = 5                   # folders below which no table is looked for
UP = 2                      # folders above a table in which its images are looked for
MAX_ABOVE = 200_000         # files there


def folder_of(path: Path, options: TableOptions) -> Path:
    """Return the folder with the images of a table: its own, or the nearest above it in which they lie beside it."""
    own = here = path.absolute().parent
    if _some_image(own) or options.tables:
        return own
    for _ in range(UP):
        here = here.parent
        if here in (Path(here.anchor), Path.home()) or not here.name:
            break
        if _some_image(here):
            return here
    return own


def _some_image(folder: Path) -> bool:
    for seen, (path, entry) in enumerate(walk(folder, "", lambda *_: None)):
        if seen > MAX_ABOVE:
            return False
        if is_image_name(entry.name) and "." in entry.name:
            return True
    return False


def tables_beside(path: Path) -> list[str]:
    """Return the names of other tables in the folder of one, sorted; of texts only a few."""
    names = sorted((file.name for file in path.parent.iterdir() if file != path and file.is_file()
                    and file.name.lower().endswith(TABLES) and not NO_TABLE.search(file.name)), key=natural_key)
    texts = [name for name in names if name.lower().endswith(".txt")]
    return names if len(texts) <= MAX_TABLES else [name for name in names if name not in texts]


def tables_below(root: Path) -> list[Path]:
    """Return the files in a folder that may be tables, sorted; texts only a few in each folder."""
    found: dict[str, list[Path]] = {}
    for seen, (path, entry) in enumerate(walk(root, "", lambda *_: None)):
        if seen >= MAX_FILES:
            break
        name = entry.name.lower()
        if (name.endswith(TABLES) or BARE.search(name)) and path.count("/") < DEPTH and not NO_TABLE.search(name):
            found.setdefault(path.rpartition("/")[0] + "*" * name.endswith(".txt"), []).append(root / path)
    return sorted((path for paths in found.values() if len(paths) <= MAX_TABLES for path in paths),
                  key=lambda path: (len(path.parts), natural_key(str(path))))
