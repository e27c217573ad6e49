"""The report as one HTML page: self-contained, printable, every number with its interval and n."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from html import escape

from core.datasets.intensity import in_words
from core.errors import LightboxError
from core.evaluation.external import COMPARED, evaluate_kept
from core.evaluation.external_predictions import list_external
from core.evaluation.leaderboard import summarize_scored
from core.metrics import METRICS, MULTI_LABEL
from core.report.contents import (
    SPLIT_WORDS,
    Contents,
    changed_settings,
    class_weights,
    contents,
    settings_json,
    split_table,
    with_interval,
)
from core.report.ensembles import PAPERS, combination, member_networks, settings_of, summary_of
from core.report.figures import as_svg, figures
from core.report.markup import document, head, numbered, table, warnings
from core.report.pictures import Mistake, as_address, of_network
from core.report.tables import counts_of, title_of
from core.runs.names import network_title
from core.runs.store import Run

FEW = ("accuracy", "roc_auc", "cohen_kappa")

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
        head(what.run.name,
             f"{about['title']} · {what.run.network_title} · {SPLIT_WORDS[what.split]} images"),
        _summary(what),
        warnings(result.warnings),
        "<h2>Results</h2>", _metrics(what), _copies(what), _baselines(what), _grouped(what),
        _classes(what),
        *_elsewhere(what),
        "<h2>Figures</h2>", figures_of(what),
        *(["<h2>Members</h2>", combination(what)] if what.run.ensemble else []),
        *_network(what),
        "<h2>Data</h2>", _data(what), _split(what),
        *([] if what.run.ensemble else ["<h2>Training</h2>", _training(what), _weights(what)]),
        "<h2>References</h2>", numbered(references([what])),
        f"<details><summary>Full configuration</summary><pre>{escape(_settings(what))}</pre></details>",
    ]
    return document(f"{what.run.name}: report", parts)


def _settings(what: Contents) -> str:
    return settings_of(what) if what.run.ensemble else settings_json(what.config)


# -------------------------------------------------------------------------------------------------- the parts

def _summary(what: Contents) -> str:
    """The one sentence to read."""
    estimates, result, spec = what.result.estimates, what.result, what.run.ensemble
    shut = ""
    if what.split == "val":
        chosen = "the epochs of its members were" if spec else "the epoch was"
        shut = (f"<p class='quiet'>These are the validation images, on which {chosen} chosen, so the "
                "numbers are slightly optimistic.</p>")
    weights = summary_of(spec) if spec else f"The weights are those of epoch {what.preds.epoch}, chosen on validation."
    images = f"{result.n:,} {SPLIT_WORDS[what.split]} images"
    return (f"<p>On {images} the accuracy is {with_interval(estimates['accuracy'])}; always "
            f"predicting the most frequent class gives {result.majority_accuracy:.3f}. "
            f"ROC AUC {with_interval(estimates['roc_auc'])}, "
            f"Cohen's kappa {with_interval(estimates['cohen_kappa'])}. "
            f"{escape(weights)}</p>{shut}")


def _metrics(what: Contents) -> str:
    rows = [(title_of(name), with_interval(one), f"{one.n:,}", "" if one.n_positive is None
             else f"{one.n_positive:,}",
             one.method or "none") for name, one in what.result.estimates.items() if one.value is not None]
    return _positive(what) + table(("Metric", "Value (95 % interval)", "n", "n positive", "Method"), rows, (2, 3)) + (
        f"<p>{'' if what.run.ensemble else 'At the best epoch. '}Empty: the training images were not evaluated in the same way, "
        "or the test set was not opened.</p>"
        + table(("", what.run.name), results_by_split([what]), (1,)))


def _positive(what: Contents) -> str:
    """Which of two classes the metrics are of."""
    name = what.result.positive_class
    return "" if name is None else (f"<p>Positive class: <b>{escape(name)}</b>. Sensitivity, precision (PPV), F1 and average "
                                    "precision are of it. "
                                    + ", ".join(f"{title} {count:,}" for title, count in counts_of(what).items()) + ".</p>")


def _copies(what: Contents) -> str:
    """With and without the images that have a copy in training, side by side, where somebody has searched for copies."""
    found = what.result.copies
    if found is None:
        return "<p class='quiet'>Nobody has searched these images for copies: page Split, or python -m core audit.</p>"
    if not found.without:
        return f"<p>{escape(found.sentence)}</p>"
    rows = [(title_of(name), with_interval(one), with_interval(found.without[name])) for name, one in found.every.items()]
    return f"<p>{escape(found.sentence)}</p>" + table(
        ("Metric", f"All {found.n:,} images", f"Without copies in training ({found.n - found.copied:,})"), rows)


def _baselines(what: Contents) -> str:
    rows = [(row.name, *("" if getattr(row, name) is None else f"{getattr(row, name):.3f}" for name in FEW))
            for row in what.result.baselines]
    return "<p>Baselines:</p>" + table(("Baseline", "Accuracy", "ROC AUC", "Kappa"), rows,
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
            + table(("Unit", "n", "Accuracy", "ROC AUC", "Kappa"), rows, (1,)))


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
        parts += [f"<p><b>{escape(one.title)}</b></p>", warnings(found.result.warnings),
                  table(("Metric", "There", own), rows),
                  "".join(f"<p class='quiet'>{escape(sentence)}</p>" for sentence in found.sentences())]
    return ["<h2>On other data sets</h2>", *parts] if parts else []


def _classes(what: Contents) -> str:
    names = ("sensitivity", "specificity", "precision", "f1", "roc_auc")
    rows = [(row.name, f"{row.n:,}", *(with_interval(row.estimates[name]) for name in names))
            for row in what.result.per_class]
    return "<p>Each class against the rest:</p>" + table(
        ("Class", "n", "Sensitivity", "Specificity", "Precision", "F1", "ROC AUC"), rows, (1,))


def figures_of(what: Contents, names: Sequence[str] = ()) -> str:
    """Return the figures of a run as HTML; of `names` alone, where some are given."""
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
    return table(("", ""), rows).replace("<thead><tr><th></th><th></th></tr></thead>", "")


def _split(what: Contents) -> str:
    """The images of each class and split."""
    found = split_table(what)
    if found is None:
        return "<p class='quiet'>How many images of each class each split has is not known: the images are not at hand.</p>"
    rows, is_sum = found
    head_of = ("Class", *(SPLIT_WORDS[split].capitalize() for split in SPLIT_WORDS), "Total")
    cells = [(row[0], *(f"{n:,}" for n in row[1:])) for row in rows]
    return "<p>Images of each class and split:</p>" + table(head_of, cells, (1, 2, 3, 4)) + (
        "" if is_sum else "<p class='quiet'>An image may have several findings, so the total is of images and no sum.</p>")


def _weights(what: Contents) -> str:
    """The class weights of the loss beside scikit-learn's definition."""
    rows, used = class_weights(what), what.config.train.class_weights
    if rows is None:
        return "<p class='quiet'>Class weights: the number of images of each class is not known.</p>"
    several = what.about["task"] == MULTI_LABEL
    formula = "images without / images with the finding" if several else \
        "images / (classes x images of the class), scikit-learn's class_weight='balanced'"
    said = "were used" if used else "were not used: every class has weight 1"
    return f"<p>Class weights {said}. Balanced weights are {escape(formula)}, of the training images:</p>" + table(
        ("Class", "Training images", "Balanced", "Used"),
        [(name, f"{n:,}", f"{balanced:.8f}", f"{weight:.8f}" if used else "1") for name, n, balanced, weight in rows], (1, 2, 3))


def _network(what: Contents) -> list[str]:
    """The drawing of the network, and its most confident mistakes beside their maps."""
    try:
        found = of_network(what)
    except LightboxError as error:
        return ["<h2>Mistakes</h2>" if what.run.ensemble else "<h2>Network</h2>", f"<p class='quiet'>{escape(str(error))}</p>"]
    title = escape(network_title(what.config.model.name))
    drawing = ["<h2>Network</h2>", f"<figure>{found.drawing}<figcaption>{title}, stage by stage: "
               "as high as the side of what it puts out; below, its parameters.</figcaption></figure>"] if found.drawing else []
    parts = [*drawing, "<h2>Mistakes</h2>"]
    if not found.all_mistakes:
        return [*parts, f"<p>Each of the {len(what.preds.labels):,} {SPLIT_WORDS[what.split]} images is predicted correctly.</p>"]
    shown = len(found.mistakes)
    parts.append(f"<p>The {shown} most confident of {found.all_mistakes:,} mistakes on the {SPLIT_WORDS[what.split]} images.</p>")
    if what.data is None:
        return [*parts, table(("Image", "Mistake", "Probability"), [(one.image_id, one.said, f"{one.probability:.3f}")
                                                                      for one in found.mistakes], (2,)),
                "<p class='quiet'>The images are not at hand, so they are not shown.</p>"]
    other = "" if found.epoch == what.preds.epoch else f" The maps are of epoch {found.epoch}."
    mean = "" if found.drawing else " A map is the mean of the members' maps, each as much as its member counts."
    return [*parts, f"<p class='quiet'>Left the image as the network sees it, right under Grad-CAM of what was predicted, at the "
            f"last layer, the brightest colour its own maximum.{mean}{other}</p>",
            "<div class='mistakes'>" + "".join(map(_mistake, found.mistakes)) + "</div>"]


def _mistake(one: Mistake) -> str:
    pictures = "".join(f'<img src="{as_address(picture)}" alt="{escape(f"{words} {one.image_id}")}">'
                       for words, picture in (("Image", one.picture), ("Grad-CAM of image", one.map)))
    return (f"<figure><div>{pictures}</div><figcaption><b>{escape(one.image_id)}</b>: {escape(one.said)} "
            f"({one.probability:.3f})</figcaption></figure>")


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
    return table(("", ""), rows).replace("<thead><tr><th></th><th></th></tr></thead>", "")


def references(all_of: Sequence[Contents]) -> list[str]:
    """Return what to cite: of the images, the networks, the software and the statistics; each once."""
    found = [what.citation for what in all_of if what.citation]
    found += [paper for what in all_of for family, paper in NETWORK_PAPERS.items()
              if any(family in name for name in _networks(what))]
    found += [PAPERS[what.run.ensemble.how] for what in all_of if what.run.ensemble and what.run.ensemble.how in PAPERS]
    return list(dict.fromkeys([*found, *REFERENCES]))


def _networks(what: Contents) -> list[str]:
    return member_networks(what.run) if what.run.ensemble else [what.config.model.name]


def results_by_split(all_of: Sequence[Contents]) -> list[tuple[str, ...]]:
    """Return ROC AUC and accuracy of each run on each split; empty where training was not measured or test not opened."""
    runs = [summarize_scored(what.run) for what in all_of]
    values = {(split, name): [run.value(name, split) for run in runs]
              for split, name in itertools.product(SPLIT_WORDS, ("roc_auc", "accuracy"))}
    return [(f"{METRICS[name].title}, {SPLIT_WORDS[split]}", *("" if x is None else f"{x:.3f}" for x in row))
            for (split, name), row in values.items()]
