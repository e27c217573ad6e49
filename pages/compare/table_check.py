"""Check a published table: are its numbers consistent? One row typed in, or a whole table pasted."""

from __future__ import annotations

import html
from pathlib import Path

import pandas as pd
import streamlit as st

from core.errors import LightboxError
from core.metrics.table_check.check import RATES, WORDS, Claim, Finding, Verdict, check
from core.metrics.table_check.matrices import AVERAGES
from core.metrics.table_check.parse import Row, TableVerdict, check_table
from core.metrics.table_check.tables import PRINTED_TABLES
from pages.shared.layout import escape, format_interval, show_error
from pages.shared.widget_state import follow

ONE, WHOLE = "One row", "A whole table"
# A row of R001 to begin with: an impossible one.
FIRST_ROW = {"n": "3197", "positive": "1530", "accuracy": "0.73", "precision": ".742", "recall": ".694",
             "specificity": "",
             "f1": ".684", "kappa": ".395", "average": ""}
WIDTH = 118              # of the field of one number, in pixels
HELP = {
    "n": "Number of images that were evaluated.",
    "positive": "How many of them are positive. Leave it empty if it is not published.",
    "accuracy": "As published, with all digits: 0.70 is more precise than 0.7. Percentages work too.",
    "precision": "Share of the positive predictions that are correct.",
    "recall": "Share of the positive images that are predicted positive; also called sensitivity.",
    "specificity": "Share of the negative images that are predicted negative.",
    "f1": "Harmonic mean of precision and recall.",
    "kappa": "Cohen's kappa: agreement beyond chance.",
    "average": "Whether precision, recall and F1 are of the positive class or a mean over both classes. Most tables do not say.",
}


def draw_check_table() -> None:
    """The whole check: what it is, the fields, and what is found, at once."""
    st.caption("Published numbers can be checked without the data. An accuracy is a whole number of images "
               "divided by n; accuracy, precision, recall, F1 and kappa must come from one confusion matrix; "
               "totals must add up.")
    kept = st.session_state.setdefault("printed", {"how": WHOLE, "row": dict(FIRST_ROW), "table": "r001",
                                                   "text": "", "n": "", "positive": ""})
    st.segmented_control("What to check", [WHOLE, ONE], required=True, label_visibility="collapsed",
                         **follow("printed_how", kept["how"], kept.__setitem__, "how"))
    if kept["how"] == ONE:
        _draw_one(kept["row"])
    else:
        _draw_whole(kept)


# ---------------------------------------------------------------------------------------------------- one row

def _draw_one(row: dict[str, str]) -> None:
    with st.container(horizontal=True):
        for name in ("n", "positive", *RATES):
            st.text_input({"n": "Images", "positive": "Positive"}.get(name) or WORDS[name].capitalize(),
                          width=WIDTH,
                          help=HELP[name], placeholder={"n": "3197", "accuracy": "0.724"}.get(name, ""),
                          **follow(f"printed_{name}", row[name], row.__setitem__, name))
        st.selectbox("Average", ["", *AVERAGES], width=230, help=HELP["average"],
                     format_func=lambda a: AVERAGES[a][0].split(",")[0].capitalize() if a
                     else "Not stated: try all",
                     **follow("printed_average", row["average"], row.__setitem__, "average"))
    if not any(row[name].strip() for name in RATES) or not row["n"].strip():
        st.caption("Enter the number of images and at least one other number, as published.")
        return
    try:
        with st.spinner("Trying every confusion matrix", show_time=True):
            verdict = _check_row(tuple(row.items()))
    except LightboxError as error:
        show_error(error)
        return
    _show(verdict)


@st.cache_data(max_entries=64, show_spinner=False)
def _check_row(row: tuple[tuple[str, str], ...]) -> Verdict:
    cells = {name: text.strip() for name, text in row}
    return check(Claim("", {name: cells[name] for name in RATES if cells[name]}, _images(cells["n"]),
                       _images(cells["positive"]), average=cells["average"]))


def _images(text: str) -> int | None:
    """Return a number of images that was typed in, None for nothing. Raises LightboxError "printed.n"."""
    plain = text.replace(",", "").replace(" ", "")
    if plain and not plain.isdecimal():
        raise LightboxError("printed.n", f"{text!r} is not a number of images.", "Give a whole number, such as 3197.")
    return int(plain) if plain else None


def _show(verdict: Verdict) -> None:
    """The answer in one line, then why; then what the numbers would mean if they are true."""
    if verdict.possible:
        st.success("These numbers are consistent.", icon=":material/check:")
    else:
        st.error("These numbers are impossible together.", icon=":material/close:")
    _show_findings(verdict.findings)
    if verdict.intervals:
        st.markdown("95 % intervals (Wilson): " + "; ".join(
            f"{name} {format_interval(*limits)}" for name, limits in verdict.intervals.items()) + ".")
    for average, tables in verdict.matrices.items():
        frame = pd.DataFrame(tables, columns=["TN", "FP", "FN", "TP"])
        frame["Sensitivity"] = frame["TP"] / (frame["TP"] + frame["FN"]).clip(lower=1)
        frame["Specificity"] = frame["TN"] / (frame["TN"] + frame["FP"]).clip(lower=1)
        with st.expander(f"{len(frame):,} {'matrix' if len(frame) == 1 else 'matrices'}, read as "
                         f"{AVERAGES[average][0].split(',')[0]}"):
            st.dataframe(frame, hide_index=True, height=240, alt="Confusion matrices that give these numbers",
                         column_config={
                name: st.column_config.NumberColumn(format="%.3f")
                for name in ("Sensitivity", "Specificity")})


def _show_findings(findings: tuple[Finding, ...]) -> None:
    if findings:
        st.markdown("\n".join(f"- {'**Impossible.** ' if f.fault else ''}{escape(f.sentence)}"
                              for f in findings))


# ---------------------------------------------------------------------------------------------- a whole table

def _draw_whole(kept: dict) -> None:
    tables = {**{key: table.title for key, table in PRINTED_TABLES.items()}, "": "My own table"}
    st.selectbox("Table", list(tables), format_func=tables.get, width=520,
                 **follow("printed_table", kept["table"], kept.__setitem__, "table"),
                 help="Tables of the four reports, as published; or paste your own.")
    if kept["table"]:
        text, note = PRINTED_TABLES[kept["table"]].text, PRINTED_TABLES[kept["table"]].note
    else:
        st.text_area("Table with headings", height=180,
                     placeholder="Run, accuracy, kappa, n, positive\nA, 0.724, 0.443, 3197, 1530",
                     help="Paste it from a document, a spreadsheet, Markdown or HTML. Measures may be columns or rows: "
                          + ", ".join((*RATES, "n", "positive", "tp", "fn", "fp", "tn"))
                          + ". A row or column called Total is added up.",
                     **follow("printed_text", kept["text"], kept.__setitem__, "text"))
        with st.container(horizontal=True):
            for name, label in (("n", "Images"), ("positive", "Positive")):
                st.text_input(label, width=WIDTH, help=f"{HELP[name]} For rows that do not say it themselves.",
                              **follow(f"printed_table_{name}", kept[name], kept.__setitem__, name))
        text, note = kept["text"], ""
        if not text.strip():
            return
    try:
        with st.spinner("Trying every confusion matrix", show_time=True):
            found = _check_table(text, *(None if kept["table"] else _images(kept[name]) for name in ("n", "positive")))
    except LightboxError as error:
        show_error(error)
        return
    if note:
        st.caption(escape(note))
    _show_table(found)


@st.cache_data(max_entries=64, show_spinner=False)
def _check_table(text: str, n: int | None, positive: int | None) -> TableVerdict:
    return check_table(text, n, positive)


def _show_table(found: TableVerdict) -> None:
    wrong = sum(1 for row in found.rows if row.error or not row.verdict.possible)
    off = sum(finding.fault for finding in found.findings)
    said = [f"{wrong} of {len(found.rows)} rows are impossible as published." if wrong else
            "Every row is possible as published."] if found.rows else []
    if found.findings:
        said.append(f"{off} of {len(found.findings)} totals do not add up." if off else "All totals add up.")
    (st.error if wrong or off else st.success)(" ".join(said), icon=":material/close:" if wrong or off
                                               else ":material/check:")
    if found.rows:                # in HTML, whose cells wrap and, on a telephone, stand below each other
        st.html(Path(__file__).with_suffix(".css"))
        st.html("<table class='lightbox-checked'><thead><tr><th>Row</th><th>Verdict</th>"
                "<th>Accuracy, 95 %</th><th>Why</th></tr></thead>"
                f"<tbody>{''.join(map(_line, found.rows))}</tbody></table>")
    _show_findings(found.findings)


def _line(row: Row) -> str:
    """A row in HTML: of an impossible one only the reasons, since the rest does not matter then."""
    limits = row.verdict.intervals.get("accuracy") if row.verdict else None
    if row.error:
        kind, verdict, why = "fault", "unreadable", row.error
    elif row.verdict.possible:
        shown = row.verdict.findings[-1:] if row.verdict.matrices else row.verdict.findings
        kind, verdict, why = "fits", "possible", " ".join(finding.sentence for finding in shown)
    else:
        kind, verdict = "fault", "impossible"
        why = " ".join(finding.sentence for finding in row.verdict.findings if finding.fault)
    accuracy = format_interval(*limits) if limits else ""
    return (f"<tr><th scope='row'>{html.escape(row.claim.name)}</th><td><b class='{kind}'>{verdict}</b></td><td>{accuracy}</td>"
            f"<td>{html.escape(why)}</td></tr>")
