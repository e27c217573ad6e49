"""What a person takes away from a run or from a comparison: one HTML page, tables as CSV, figures, a zip of everything.

    report(run)            one self-contained HTML page, to be read, printed and handed in
    comparison(runs)       the same for several runs beside each other
    bundle(run)            a zip: the page, tables, figures, config, curves, weights with their card, as report R001 laid them out

    what = contents(run)   everything that the three are made of, computed once

Nothing here opens the test split: what somebody has opened is in it, otherwise validation, and it says which.
"""

from core.report.comparison import comparison
from core.report.contents import Contents, contents
from core.report.html import report
from core.report.zip_bundle import bundle

__all__ = ["Contents", "bundle", "comparison", "contents", "report"]
