"""Charts as SVG and PNG, for reports: on white, without a browser and without a network connection.

The fonts are Liberation Sans, which the converter brings along, and in SVG whatever of its kind the reader
has. The same data gives the same bytes.
"""

from __future__ import annotations

from core.charts.chart import Chart

DOTS_PER_INCH = 200
FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
INK, GRID = "#15191c", "#e6e9eb"
PAPER = {"background": "#ffffff", "font": FONT, "view": {"stroke": None}, "text": {"color": INK},
         "axis": {"labelColor": INK, "titleColor": INK, "labelFontSize": 10, "titleFontSize": 11,
                  "titleFontWeight": "normal",
                  "gridColor": GRID, "domainColor": "#8a9097", "tickColor": "#8a9097"},
         "legend": {"labelColor": INK, "titleColor": INK, "labelFontSize": 10, "titleFontSize": 10}}


def as_svg(chart: Chart) -> str:
    """Return the chart as an <svg> element, its text as text."""
    import vl_convert
    return vl_convert.vegalite_to_svg(_on_paper(chart), config=PAPER, allowed_base_urls=[])


def as_png(chart: Chart) -> bytes:
    """Return the chart as a PNG of 200 dots per inch."""
    import vl_convert
    return vl_convert.vegalite_to_png(_on_paper(chart), config=PAPER, ppi=DOTS_PER_INCH, allowed_base_urls=[])


def _on_paper(chart: Chart) -> dict:
    spec = chart.vega_lite()
    rows = {name: table.to_pylist() for name, table in spec["datasets"].items()}
    width, height = chart.paper
    return spec | {"datasets": rows, "width": width, "height": height, "padding": 8, "autosize": {"type": "pad"}}
