"""The charts that a page has drawn: what they show, their Vega-Lite and their words."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pyarrow as pa
from streamlit.testing.v1 import AppTest


@dataclass(frozen=True)
class Drawn:
    """One chart: its words, its Vega-Lite without data, its tables by name."""

    alt: str
    spec: dict
    tables: dict[str, pa.Table]

    def rows(self, name: str) -> list[dict]:
        return self.tables[name].to_pylist()

    @property
    def axes(self) -> dict[str, dict]:
        return {param["name"]: param["value"] for param in self.spec["params"]}


def charts(at: AppTest, begins: str = "") -> list[Drawn]:
    """All charts on a page whose words begin like this, from top to bottom."""
    protos = [element.proto for element in at.get("vega_lite_chart") or at.get("arrow_vega_lite_chart")]
    return [Drawn(proto.alt, json.loads(proto.spec), {
        data.name: pa.ipc.open_stream(data.data.data).read_all() for data in proto.datasets})
        for proto in protos if proto.alt.startswith(begins)]


def run_table(at: AppTest) -> dict:
    """The table of runs as the browser gets it: its columns, the first of buttons, and its rows; without a table nothing."""
    found = [e.proto.json for e in at.get("bidi_component") if e.proto.component_name.endswith("run_table")]
    return json.loads(found[0]) if found else {"columns": [], "rows": []}


def run_column(at: AppTest, title: str) -> list:
    """What stands in a column of it, from top to bottom: texts, or lists of tags. KeyError without such a column."""
    table = run_table(at)
    place = {column["title"]: place for place, column in enumerate(table["columns"])}[title] - 1
    cells = [row["cells"][place] for row in table["rows"]]
    return [cell if isinstance(cell, list) else cell["text"] for cell in cells]
