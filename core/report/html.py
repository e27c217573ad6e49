"""The report as one HTML page: self-contained, printable, every number with its interval and n."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Sequence
from html import escape

from core.config import KNOBS
from core.datasets.intensity import in_words
from core.errors import LightboxError
from core.evaluation.compare import compare
from core.evaluation.external import COMPARED, evaluate_kept
from core.evaluation.external_predictions import list_external
from core.evaluation.leaderboard import COUNTS, summarize_scored
from core.metrics import METRICS
from core.metrics.evaluation import Note
from core.report.contents import SPLIT_WORDS, Contents, changed_settings, contents, settings_json, with_interval
from core.report.figures import as_svg, figures
from core.report.tables import counts_of, title_of
from core.runs.names import network_title
from core.runs.store import Run

HEADLINE = ("accuracy", "balanced_accuracy", "macro_precision", "macro_f1", "sensitivity", "specificity", "roc_auc",
            "cohen_kappa", "loss")
FEW = ("accuracy", "roc_auc", "cohen_kappa")
NOT_CLINICAL = "Not for clinical use. Made for teaching; no diagnosis may rest on it."

# The libraries that a run was computed with, and what its networks and explanations come from.
REFERENCES = (
    "Paszke A, Gross S, Massa F, et al. PyTorch: an imperative style, high-performance deep learning library. NeurIPS 2019.",
    "Selvaraju RR, Cogswell M, Das A, et al. Grad-CAM: visual explanations from deep networks via gradient-based localization. "
    "ICCV 2017.",
    "Wilson EB. Probable inference, the law of succession, and statistical inference. J Am Stat Assoc 22, 1927.",
    "Efron B, Tibshirani RJ. An introduction to the bootstrap. 1993.",
    "DeLong ER, DeLong DM, Clarke-Pearson DL. Comparing the areas under two or more correlated ROC curves. Biometrics 44, 1988.",
)
NETWORK_PAPERS = {
    "densenet": "Huang G, Liu Z, van der Maaten L, Weinberger KQ. Densely connected convolutional networks. CVPR 2017.",
    "resnet": "He K, Zhang X, Ren S, Sun J. Deep residual learning for image recognition. CVPR 2016.",
    "squeezenet": "Iandola FN, Han S, Moskewicz MW, et al. SqueezeNet: AlexNet-level accuracy with 50x fewer parameters. "
                  "arXiv:1602.07360, 2016.",
    "vgg": "Simonyan K, Zisserman A. Very deep convolutional networks for large-scale image recognition. ICLR 2015.",
}

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
figure { margin: 0; break-inside: avoid; } figure svg { max-width: 100%; height: auto; }
figcaption { font-size: .85rem; color: #59616a; }
pre { white-space: pre-wrap; font-size: .8rem; background: #f5f6f7; padding: .8rem; }
tr, .warn { break-inside: avoid; } h2 { break-after: avoid; }
@media screen and (max-width: 700px) { table { display: block; overflow-x: auto; } }
@media print { body { margin: 0; max-width: none; font-size: 10.5pt; } details > *:not(summary) { display: block; } }
"""


def report(run: Run | Contents, split: str = "") -> str:
    """Return the report of one run as a page of HTML.

    Args:
        split: as in `contents`

    Raises:
        LightboxError: as `contents`
    """
    what = run if isinstance(run, Contents) else contents(run, split)
    about, result = what.about, what.result
    parts = [
        _head(what.run.name,
              f"{about['title']} · {network_title(what.config.model.name)} · {SPLIT_WORDS[what.split]} images"),
        _summary(what),
        _warnings(result.warnings),
        "<h2>Results</h2>", _metrics(what), _copies(what), _baselines(what), _grouped(what),
        _classes(what),
        *_elsewhere(what),
        "<h2>Figures</h2>", _figures(what),
        "<h2>Data</h2>", _data(what),
        "<h2>Training</h2>", _training(what),
        "<h2>References</h2>", _list(_references([what])),
        f"<details><summary>Full configuration</summary><pre>{escape(settings_json(what.config))}</pre></details>",
    ]
    return _document(f"{what.run.name}: report", parts)


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
    parts = [_head("Comparison", f"{len(runs)} runs on {SPLIT_WORDS[split]} images"),
             "<h2>Side by side</h2>", _side_by_side(all_of), "<h2>Paired tests</h2>", _paired(runs, split),
             "<h2>Differences</h2>", _differences(all_of)]
    for what in all_of:
        parts += [f"<h2>{escape(what.run.name)}</h2>", _warnings(what.result.warnings),
                  _figures(what, ("roc", "confusion", "loss"))]
    parts += ["<h2>References</h2>", _list(_references(all_of))]
    return _document("Comparison of runs", parts)


# -------------------------------------------------------------------------------------------------- the parts

def _document(title: str, parts: Iterable[str]) -> str:
    return (f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>\n" + "\n".join(filter(None,
                                                                                                      parts))
            + f'\n<p class="quiet">{NOT_CLINICAL}</p>\n</body></html>\n')


def _head(title: str, under: str) -> str:
    return (f"<h1>{escape(title)}</h1><p class='quiet'>{escape(under)} · {time.strftime('%d %B %Y')} · made with Lightbox</p>"
            f"<p class='warn'><b>{NOT_CLINICAL}</b></p>")


def _summary(what: Contents) -> str:
    """The one sentence to read."""
    estimates, result = what.result.estimates, what.result
    shut = ""
    if what.split == "val":
        shut = ("<p class='quiet'>These are the validation images, on which the epoch was chosen, so the "
                "numbers are slightly optimistic.</p>")
    images = f"{result.n:,} {SPLIT_WORDS[what.split]} images"
    return (f"<p>On {images} the accuracy is {with_interval(estimates['accuracy'])}; always "
            f"predicting the most frequent class gives {result.majority_accuracy:.3f}. "
            f"ROC AUC {with_interval(estimates['roc_auc'])}, "
            f"Cohen's kappa {with_interval(estimates['cohen_kappa'])}. "
            f"The weights are those of epoch {what.preds.epoch}, chosen on validation.</p>{shut}")


def _warnings(warnings: Sequence[Note]) -> str:
    return "".join(f"<p class='warn'>{escape(one.text)}</p>" for one in warnings)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}{' class=n' if i in numbers else ''}>{escape(str(cell))}</{tag}>"
                                for i, cell in enumerate(cells)) + "</tr>"
    return f"<table><thead>{line(header, 'th')}</thead><tbody>{''.join(line(row, 'td') for row in rows)}</tbody></table>"


def _metrics(what: Contents) -> str:
    rows = [(title_of(name), with_interval(one), f"{one.n:,}", "" if one.n_positive is None
             else f"{one.n_positive:,}",
             one.method or "none") for name, one in what.result.estimates.items() if one.value is not None]
    return _positive(what) + _table(("Metric", "Value (95 % interval)", "n", "n positive", "Method"), rows, (2, 3))


def _positive(what: Contents) -> str:
    """Which of two classes the metrics are of."""
    name = what.result.positive_class
    return "" if name is None else (f"<p>Positive class: <b>{escape(name)}</b>. Sensitivity, precision (PPV), F1 and average "
                                    "precision are of it.</p>")


def _copies(what: Contents) -> str:
    """With and without the images that have a copy in training, side by side, where somebody has searched for copies."""
    found = what.result.copies
    if found is None:
        return "<p class='quiet'>Nobody has searched these images for copies: page Split, or python -m core audit.</p>"
    if not found.without:
        return f"<p>{escape(found.sentence)}</p>"
    rows = [(title_of(name), with_interval(one), with_interval(found.without[name])) for name, one in found.every.items()]
    return f"<p>{escape(found.sentence)}</p>" + _table(
        ("Metric", f"All {found.n:,} images", f"Without copies in training ({found.n - found.copied:,})"), rows)


def _baselines(what: Contents) -> str:
    rows = [(row.name, *("" if getattr(row, name) is None else f"{getattr(row, name):.3f}" for name in FEW))
            for row in what.result.baselines]
    return "<p>Baselines:</p>" + _table(("Baseline", "Accuracy", "ROC AUC", "Kappa"), rows,
                                        (1, 2, 3)) if rows else ""


def _grouped(what: Contents) -> str:
    """By study and by patient, where images come in groups."""
    rows = []
    for word, group in (("by study", what.result.by_study), ("by patient", what.result.by_patient)):
        if group:
            rows.append((word, f"{group.n:,}", *(with_interval(group.estimates[name]) for name in FEW)))
    if not rows:
        return ""
    rows.insert(0, ("by image", f"{what.result.n:,}",
                    *(with_interval(what.result.estimates[name]) for name in FEW)))
    return ("<p>With the mean probability over all images of a study, or of a patient:</p>"
            + _table(("Unit", "n", "Accuracy", "ROC AUC", "Kappa"), rows, (1,)))


def _elsewhere(what: Contents) -> list[str]:
    """What the run reaches on other data sets that it was judged on; nothing where there are none."""
    parts = []
    for one in list_external(what.run):
        if not one.has_labels or one.epoch != what.preds.epoch:
            continue
        try:
            found = evaluate_kept(what.run, one, each=())
        except LightboxError as error:
            parts.append(f"<p><b>{escape(one.title)}</b>: {escape(str(error))}</p>")
            continue
        own = {"": "", "test": "Its own test set", "val": "Its own validation"}[found.own_split]
        rows = [(METRICS[name].title, with_interval(found.result.estimates[name]),
                 with_interval(found.own.estimates[name]) if found.own else "") for name in COMPARED
                if found.result.value(name) is not None]
        rows.append(("Images", f"{found.result.n:,}", f"{found.own.n:,}" if found.own else ""))
        parts += [f"<p><b>{escape(one.title)}</b></p>", _warnings(found.result.warnings),
                  _table(("Metric", "There", own), rows),
                  "".join(f"<p class='quiet'>{escape(sentence)}</p>" for sentence in found.sentences())]
    return ["<h2>On other data sets</h2>", *parts] if parts else []


def _classes(what: Contents) -> str:
    names = ("sensitivity", "specificity", "precision", "f1", "roc_auc")
    rows = [(row.name, f"{row.n:,}", *(with_interval(row.estimates[name]) for name in names))
            for row in what.result.per_class]
    return "<p>Each class against the rest:</p>" + _table(
        ("Class", "n", "Sensitivity", "Specificity", "Precision", "F1", "ROC AUC"), rows, (1,))


def _figures(what: Contents, names: Sequence[str] = ()) -> str:
    return "<div class='figures'>" + "".join(
        f"<figure>{as_svg(figure)}<figcaption>{escape(caption)}</figcaption></figure>"
        for name, (caption, figure) in figures(what).items() if not names or name in names) + "</div>"


def _data(what: Contents) -> str:
    about = what.about
    counts = ", ".join(f"{SPLIT_WORDS[split]} {n:,}" for split, n in about["n"].items())
    classes = " ".join([", ".join(about["class_names"]) + ".", *about.get("labels", [])])
    deep = f"; more than 8 bits read {in_words(about['intensity'])}" if about.get("intensity") else ""
    rows = [("Images", about["title"]), ("Classes", classes), ("Task", about["task"]),
            ("Size",
             f"{about['size']} x {about['size']} px, {'gray' if about['channels'] == 1 else 'colour'}, "
             f"{about['resize']}{deep}"),
            ("Split", f"{counts}. {about['split_note']}"), ("Split hash (SHA-256)", about["split_hash"]),
            ("Fingerprint of the images", about["fingerprint"]),
            ("Licence", what.licence or "unknown: ask the owner of the images"),
            ("Citation", what.citation or "as the owner of the images requests")]
    return _table(("", ""), rows).replace("<thead><tr><th></th><th></th></tr></thead>", "")


def _training(what: Contents) -> str:
    start = next((record for record in what.records if record["kind"] == "start"), {})
    seconds = sum(record.get("seconds") or 0 for record in what.epochs)
    how = start.get("how", {})
    rows = [("Code of report R001", what.run.code),
            ("Parameters", f"{start.get('parameters', 0):,}"),
            ("Epochs",
             f"{len(what.epochs)} of {what.config.train.epochs}, best {what.preds.epoch} by validation "
                       f"{METRICS[what.config.train.monitor].title}"),
            ("Time", f"{seconds:,.0f} s of training and validation"),
            ("Device",
             f"{start.get('device', 'not known')}, {how.get('precision', '')}, {how.get('threads', '')} threads"),
            ("Seed", str(what.config.train.seed)),
            ("Trained with", ", ".join(f"{name} {version}"
                                       for name, version in what.trained_with.items()) or "not recorded"),
            ("Non-default settings", "; ".join(f"{label} {value}"
                                               for _, label, value in changed_settings(what.config))
             or "none")]
    return _table(("", ""), rows).replace("<thead><tr><th></th><th></th></tr></thead>", "")


def _references(all_of: Sequence[Contents]) -> list[str]:
    """Of the images, the networks, the software and the statistics; each once."""
    found = [what.citation for what in all_of if what.citation]
    found += [paper for what in all_of for family, paper in NETWORK_PAPERS.items()
              if family in what.config.model.name]
    return list(dict.fromkeys([*found, *REFERENCES]))


def _list(items: Iterable[str]) -> str:
    return "<ol>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ol>"


# ----------------------------------------------------------------------------------------------- a comparison

def _side_by_side(all_of: Sequence[Contents]) -> str:
    rows = [(METRICS[name].title, *(with_interval(what.result.estimates[name]) for what in all_of))
            for name in HEADLINE
            if any(what.result.value(name) is not None for what in all_of)]
    counts = [counts_of(what) for what in all_of]
    rows += [(title, *(f"{one[title]:,}" if one else "" for one in counts)) for title in COUNTS.values() if any(counts)]
    rows.append(("Best epoch", *(str(what.preds.epoch) for what in all_of)))
    runs = [summarize_scored(what.run) for what in all_of]
    for split, name in itertools.product(SPLIT_WORDS, ("roc_auc", "accuracy")):         # empty: not measured, or not opened
        values = [run.value(name, split) for run in runs]
        rows.append((f"{METRICS[name].title}, {SPLIT_WORDS[split]}", *("" if x is None else f"{x:.3f}" for x in values)))
    if any(what.result.positive_class for what in all_of):
        rows.append(("Positive class", *(what.result.positive_class or "" for what in all_of)))
    rows.append(("Majority class", *(f"{what.result.majority_accuracy:.3f}" for what in all_of)))
    rows.append(("Images", *(f"{what.result.n:,}" for what in all_of)))
    rows.append(("Split hash", *(what.about["split_hash"][:12] for what in all_of)))
    return _table(("", *(what.run.name for what in all_of)), rows)


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
    changed = [dict((name, value) for name, _, value in changed_settings(what.config)) for what in all_of]
    names = [name for name in dict.fromkeys(name for one in changed for name in one)
             if len({one.get(name) for one in changed}) > 1]
    datasets = [what.config.data.dataset for what in all_of]
    rows = [("Data set", *datasets)] if len(set(datasets)) > 1 else []
    rows += [(KNOBS[name].label, *(one.get(name, network_title(str(KNOBS[name].default))) for one in changed))
             for name in names]
    return _table(("", *(what.run.name for what in all_of)), rows) if rows else "<p>Only their names.</p>"
