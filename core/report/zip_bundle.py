"""Everything of a run in one zip, in the folders of report R001.

    <code>/architecture_plots/architecture.png, .svg, layers.csv
    <code>/checkpoints/weights.safetensors, meta.json, config.json, card.md
    <code>/logs/metrics.jsonl, log.txt
    <code>/report/report.html
    <code>/report/images/*.png, *.svg                     curves and figures
    <code>/report/summaries/*.csv                         evaluation report, predictions report, each image, each epoch
    <code>/config.json

Of an ensemble core/report/ensembles.py says what stands in place of one network and its checkpoint.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import LightboxError
from core.files import to_csv
from core.report import export
from core.report.comparison import comparison
from core.report.contents import Contents, contents
from core.report.ensembles import ensemble_files, members_csv
from core.report.figures import architecture, as_png, as_svg, figures
from core.report.html import report
from core.report.pictures import as_trained
from core.report.tables import evaluation_report, reports_of_runs, tables_of
from core.runs.store import Run

if TYPE_CHECKING:
    from core.models.classifier import Classifier


def bundle(run: Run, split: str = "", progress: Callable[[str, int, int], None] | None = None) -> bytes:
    """A zip of the report, its tables and figures, the weights with their card, config, curves and log.

    Args:
        split: as in `contents`
        progress: called with (sentence, parts done, parts); may raise to stop

    Raises:
        LightboxError: as `contents`; "checkpoint.missing", "checkpoint.damaged"
    """
    def say(sentence: str, done: int) -> None:
        if progress:
            progress(sentence, done, 4)
    say("Computing metrics", 0)
    what = contents(run, split)
    files: dict[str, str | bytes] = {"config.json": (run.folder / "config.json").read_bytes()}
    say("Drawing figures", 1)
    for name, (_, figure) in figures(what).items():
        files |= {f"report/images/{name}.png": as_png(figure), f"report/images/{name}.svg": as_svg(figure)}
    files["report/report.html"] = report(what)
    files |= {f"report/summaries/{name}": table(what) for name, (_, table) in tables_of(run).items()}
    say("Describing the network", 2)
    files |= {f"architecture_plots/{name}": content for name, content in _architecture(run).items()}
    say("Packing the weights", 3)
    if run.ensemble and not run.ensemble.is_soup:
        files |= ensemble_files(run)
    else:
        files |= {f"checkpoints/{name}": content for name, content in _weights(run, what).items()}
    logs = [run.folder / name for name in ("metrics.jsonl", "log.txt")]
    files |= {f"logs/{path.name}": path.read_bytes() for path in logs if path.is_file()}
    root = run.code
    packed = zipped({f"{root}/{name}": content for name, content in files.items()})
    say("Done", 4)
    return packed


def comparison_bundle(runs: Sequence[Run], split: str = "val") -> bytes:
    """A zip of a comparison: its page, the measures of all runs in one table, report R001's two tables where the runs are of one
    task, and each run's config, tables and figures.

    Raises LightboxError as `core.report.comparison`.
    """
    page, all_of = comparison(runs, split), [contents(run, split) for run in runs]
    files: dict[str, str | bytes] = {"comparison.html": page, "measures.csv": measures_of_all(all_of)}
    with contextlib.suppress(LightboxError):
        files |= reports_of_runs(runs, split)
    for what in all_of:
        files[f"{what.run.id}/config.json"] = (what.run.folder / "config.json").read_bytes()
        files |= {f"{what.run.id}/{name}": table(what) for name, (_, table) in tables_of(what.run).items()}
        for name, (_, figure) in figures(what).items():
            files |= {f"{what.run.id}/{name}.png": as_png(figure),
                      f"{what.run.id}/{name}.svg": as_svg(figure)}
    return zipped(files)


def measures_of_all(all_of: Sequence[Contents]) -> str:
    """The evaluation reports of several runs as one table."""
    parts = [evaluation_report(what).splitlines(keepends=True) for what in all_of]
    return "".join([parts[0][0], *(line for part in parts for line in part[1:])])


def _architecture(run: Run) -> dict[str, str | bytes]:
    from core.models.layers import stage_table
    if run.ensemble and not run.ensemble.is_soup:
        return {"members.csv": members_csv(run)}
    model = as_trained(run)
    drawing = architecture(stage_table(model))
    return {"architecture.png": as_png(drawing), "architecture.svg": as_svg(drawing),
            "layers.csv": layers(model)}


def layers(model: Classifier) -> str:
    """The network, layer by layer, as CSV."""
    from core.models.layers import layer_table
    rows = layer_table(model)
    return to_csv(("layer", "kind", "output_shape", "parameters", "trainable", "multiply_adds"),
                  [(row.name, row.kind, " x ".join(map(str, row.output_shape)), row.parameters, row.trainable,
                    row.flops)
                   for row in rows])


def weights_zip(run: Run) -> bytes:
    """The weights of the best epoch as safetensors with their model card, zipped; what
    `core.runs.classifiers` can load again. Raises LightboxError as `core.report.export.export`."""
    return zipped(_weights(run, contents(run)), zipfile.ZIP_STORED)        # random numbers do not get smaller


def zipped(files: Mapping[str, str | bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Name -> content as one zip."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", how) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def _weights(run: Run, what: Contents) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        export.export(run, Path(folder), what.run.name, _about(what), evaluations={what.split: what.result})
        return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def _about(what: Contents) -> str:
    licence = f"Licence of the images: {what.licence}." if what.licence else "The licence of the images is not known."
    return f"Trained on {what.about['title']}. {licence} {what.citation}".strip()


def file_name(run: Run, ending: str) -> str:
    """A name for a download that says what it is: the run's code and id."""
    try:
        return f"{run.code}_{run.id}{ending}"
    except LightboxError:
        return f"{run.id}{ending}"
