"""What every page of HTML that is handed out is made of: head, style, tables, lists. It loads nothing from elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from html import escape

from core.metrics.evaluation import Note

NOT_CLINICAL = "Not for clinical use. Made for teaching; no diagnosis may rest on it."

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, "Source Sans 3", Arial, sans-serif; color: #15191c; background: #fff; max-width: 60rem;
  margin: 2.5rem auto; padding: 0 1.5rem; font-variant-numeric: tabular-nums; }
h1 { font-size: 1.7rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; border-bottom: 1px solid #d8dcdf; }
p, li { max-width: 46rem; } .quiet { color: #59616a; }
.warn { border-left: 4px solid #d65f2a; padding: .1rem .9rem; background: #fdf3ee; }
table { border-collapse: collapse; margin: .6rem 0; font-size: .92rem; }
th, td { padding: .22rem .7rem .22rem 0; text-align: left;
  vertical-align: top; border-bottom: 1px solid #e6e9eb; } td.n, th.n { text-align: right; white-space: nowrap; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); gap: 1.2rem; }
.mistakes { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr)); gap: 1rem; }
.mistakes div { display: flex; gap: 2px; } .mistakes img { width: calc(50% - 1px); image-rendering: pixelated; }
figure { margin: 0; break-inside: avoid; } figure svg { max-width: 100%; height: auto; }
figcaption { font-size: .85rem; color: #59616a; }
pre { white-space: pre-wrap; font-size: .8rem; background: #f5f6f7; padding: .8rem; }
tr, .warn { break-inside: avoid; } h2 { break-after: avoid; }
@media screen and (max-width: 700px) { table { display: block; overflow-x: auto; } }
@media print { body { margin: 0; max-width: none; font-size: 10.5pt; } details > *:not(summary) { display: block; } }
"""


def document(title: str, parts: Iterable[str]) -> str:
    return (f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>\n" + "\n".join(filter(None,
                                                                                                      parts))
            + f'\n<p class="quiet">{NOT_CLINICAL}</p>\n</body></html>\n')


def head(title: str, under: str) -> str:
    return (f"<h1>{escape(title)}</h1><p class='quiet'>{escape(under)} · {time.strftime('%d %B %Y')} · made with Lightbox</p>"
            f"<p class='warn'><b>{NOT_CLINICAL}</b></p>")


def warnings(warnings: Sequence[Note]) -> str:
    return "".join(f"<p class='warn'>{escape(one.text)}</p>" for one in warnings)


def table(header: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}{' class=n' if i in numbers else ''}>{escape(str(cell))}</{tag}>"
                                for i, cell in enumerate(cells)) + "</tr>"
    return f"<table><thead>{line(header, 'th')}</thead><tbody>{''.join(line(row, 'td') for row in rows)}</tbody></table>"


def numbered(items: Iterable[str]) -> str:
    return "<ol>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ol>"
