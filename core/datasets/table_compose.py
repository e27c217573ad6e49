"""Tables of which several columns together name an image: patient 49 and slice 1 for Patients_CT/049/brain/1.jpg."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from itertools import combinations

from core.datasets.delimited import DelimitedTable
from core.datasets.file_index import FileIndex
from core.datasets.masks import find_masks
from core.datasets.table_values import words_of

FROM_COLUMNS = "file (columns)"      # the column that is made
SAMPLE = 200                         # rows by which such a table is known
ENOUGH = 0.95                        # share of them that have to name an image
MOST = 4                             # columns that together name one
NAMING = {"patient", "subject", "case", "slide", "image", "img", "slice", "rid", "number", "node", "x", "y", "frame",
          "patch", "tile"}


def naming_columns(columns: Iterable[str]) -> set[str]:
    """Return the columns that name images together, and so are no labels; none where one column names them."""
    return {name for name in columns if words_of(name) & NAMING} if FROM_COLUMNS in columns else set()


def compose(table: DelimitedTable, index: FileIndex) -> DelimitedTable:
    """Return the table with a column of the images that its numbers name, a row for each; as it is where they name none."""
    columns = {name: _numbers(cells[:SAMPLE]) for name, cells in table.columns.items() if words_of(name) & NAMING}
    naming = [name for name, cells in columns.items() if cells and "" not in cells]
    if len(naming) < 2 or not table.header or any(_names_files(cells, index) for cells in table.columns.values()):
        return table
    helpers = find_masks(index.files).kind
    files = [(k, path) for k, path in enumerate(index.files) if path not in helpers]
    for text_of in (_name_of, str):      # numbers in the name alone, then those of the folders too
        found = defaultdict(list)
        for k, path in files:
            found[tuple(_numbers(re.findall(r"\d+", text_of(path.rpartition(".")[0]))))].append(k)
        for count in range(min(MOST, len(naming)), 1, -1):
            for chosen in combinations(naming, count):
                keys = list(zip(*(columns[name] for name in chosen)))
                if len(set(keys)) == len(keys) and sum(key in found for key in keys) >= ENOUGH * len(keys):
                    return _with_files(table, chosen, found, index)
    return table


def _numbers(cells: list[str]) -> list[str]:
    """Return whole numbers without zeros in front; "" for what is none."""
    return [match[1].lstrip("0") or "0" if (match := re.fullmatch(r"(\d+)(\.0)?", cell.strip())) else "" for cell in cells]


def _name_of(path: str) -> str:
    return path.rpartition("/")[2]


def _names_files(cells: list[str], index: FileIndex) -> bool:
    some = list(dict.fromkeys(cells[:SAMPLE]))[:20]
    return sum(index.find(cell)[0] >= 0 for cell in some) > 0.5 * len(some)


def _with_files(table: DelimitedTable, chosen: tuple[str, ...], found: dict, index: FileIndex) -> DelimitedTable:
    keys = zip(*(_numbers(table.columns[name]) for name in chosen))
    pairs = [(row, index.files[k]) for row, key in enumerate(keys) for k in found.get(key, ())]
    columns = {name: [cells[row] for row, _ in pairs] for name, cells in table.columns.items()}
    note = f"The columns {', '.join(chosen)} together name {len(pairs):,} images."
    return replace(table, columns={FROM_COLUMNS: [path for _, path in pairs], **columns},
                   lines=[table.lines[row] for row, _ in pairs], notes=[*table.notes, note], short={})
