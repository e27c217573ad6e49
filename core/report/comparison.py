"""Several runs side by side as one HTML page, with the paired tests of each against the first."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from core.config import KNOBS
from core.errors import LightboxError
from core.evaluation.compare import compare
from core.evaluation.leaderboard import COUNTS
from core.metrics import METRICS
from core.report.contents import SPLIT_WORDS, Contents, changed_settings, contents, with_interval
from core.report.html import figures_of, references, results_by_split
from core.report.markup import document, head, numbered, table, warnings
from core.report.tables import counts_of
from core.runs.names import network_title
from core.runs.store import Run

HEADLINE = ("accuracy", "balanced_accuracy", "macro_precision", "macro_f1", "sensitivity", "specificity", "roc_auc",
            "cohen_kappa", "loss")


def comparison(runs: Sequence[Run], split: str = "") -> str:
    """Return several runs side by side as a page of HTML, with the paired tests of each against the first.

    Args:
        runs: at least two; each with stored predictions
        split: "val" (the default) or "test", where all of them were opened

    Raises:
        LightboxError: "report.two" for fewer than two runs, as `contents` otherwise
    """
    if len(runs) < 2:
        raise LightboxError("report.two", "A comparison needs two runs.", "Choose a second run.")
    split = split or "val"
    all_of = [contents(run, split) for run in runs]
    parts = [head("Comparison", f"{len(runs)} runs on {SPLIT_WORDS[split]} images"),
             "<h2>Side by side</h2>", _side_by_side(all_of), "<h2>Paired tests</h2>", _paired(runs, split),
             "<h2>Differences</h2>", _differences(all_of)]
    for what in all_of:
        parts += [f"<h2>{escape(what.run.name)}</h2>", warnings(what.result.warnings),
                  figures_of(what, ("roc", "confusion", "loss"))]
    parts += ["<h2>References</h2>", numbered(references(all_of))]
    return document("Comparison of runs", parts)


def _side_by_side(all_of: Sequence[Contents]) -> str:
    rows = [(METRICS[name].title, *(with_interval(what.result.estimates[name]) for what in all_of))
            for name in HEADLINE
            if any(what.result.value(name) is not None for what in all_of)]
    counts = [counts_of(what) for what in all_of]
    rows += [(title, *(f"{one[title]:,}" if one else "" for one in counts)) for title in COUNTS.values() if any(counts)]
    rows.append(("Network", *(what.run.network_title for what in all_of)))
    rows.append(("Best epoch", *("ensemble" if what.run.ensemble else str(what.preds.epoch) for what in all_of)))
    rows += results_by_split(all_of)
    if any(what.result.positive_class for what in all_of):
        rows.append(("Positive class", *(what.result.positive_class or "" for what in all_of)))
    rows.append(("Majority class", *(f"{what.result.majority_accuracy:.3f}" for what in all_of)))
    rows.append(("Images", *(f"{what.result.n:,}" for what in all_of)))
    rows.append(("Split hash", *(what.about["split_hash"][:12] for what in all_of)))
    return table(("", *(what.run.name for what in all_of)), rows)


def _paired(runs: Sequence[Run], split: str) -> str:
    said = []
    for other in runs[1:]:
        try:
            found = compare(runs[0], other, split)
        except LightboxError as error:
            said.append(f"<p><b>{escape(runs[0].name)}</b> and <b>{escape(other.name)}</b>: {escape(str(error))}</p>")
            continue
        sentences = [test["sentence"] for test in (found["roc_auc"], found["accuracy"])
                     if test] + found["notes"]
        said.append(f"<p><b>A</b> is {escape(runs[0].name)}, <b>B</b> is {escape(other.name)}. {escape(' '.join(sentences))}</p>")
    return "".join(said)


def _differences(all_of: Sequence[Contents]) -> str:
    """Settings in which not all runs are equal."""
    changed = [dict((name, value) for name, _, value in changed_settings(what.config)
                    if not what.run.ensemble or name.startswith("data.")) for what in all_of]
    names = [name for name in dict.fromkeys(name for one in changed for name in one)
             if len({one.get(name) for one in changed}) > 1]
    datasets = [what.config.data.dataset for what in all_of]
    rows = [("Data set", *datasets)] if len(set(datasets)) > 1 else []
    if any(what.run.ensemble for what in all_of):
        rows += [("Network", *(what.run.network_title for what in all_of)), ("Members", *(_members(what) for what in all_of))]
        names = [name for name in names if name != "model.name"]
    rows += [(KNOBS[name].label, *(_setting(what, name, one) for what, one in zip(all_of, changed))) for name in names]
    return table(("", *(what.run.name for what in all_of)), rows) if rows else "<p>Only their names.</p>"


def _setting(what: Contents, name: str, changed: dict[str, str]) -> str:
    """The value of a setting; an ensemble has settings of its images alone."""
    if what.run.ensemble and not name.startswith("data."):
        return "-"
    return changed.get(name, network_title(str(KNOBS[name].default)))


def _members(what: Contents) -> str:
    return ", ".join(member.name for member in what.run.ensemble.members) if what.run.ensemble else "-"
