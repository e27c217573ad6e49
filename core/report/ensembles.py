"""What reports and zips say of an ensemble: how it combines, its members, and the files from which it can be built again.

    ensemble.json                       how it combines, its members by hash, and where each one's folder is
    fitted/weights.safetensors          what was learned on validation
    members/<n>_<run>/                  of each member weights.safetensors, meta.json, config.json and card.md, as
                                        `core.report.export` writes them, and data.json
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from html import escape
from pathlib import Path

from core.config import ModelConfig
from core.errors import LightboxError
from core.evaluation.member_table import MemberRow, coefficients_of, member_rows
from core.files import to_csv
from core.report.contents import Contents, with_interval
from core.report.export import export_epoch
from core.report.markup import table
from core.runs import checkpoints
from core.runs.ensembles import fitted_of, load_member
from core.runs.members import EPOCH, EnsembleSpec
from core.runs.run import Run
from core.runs.store import RunStore

EVERY = 10**9            # images: the intervals of all members are computed for a report

# Sources of the ways to combine.
PAPERS = {
    "greedy": "Caruana R, Niculescu-Mizil A, Crew G, Ksikes A. Ensemble selection from libraries of models. ICML 2004.",
    "stacking": "Wolpert DH. Stacked generalization. Neural Networks 5, 1992.",
    "mlp": "Wolpert DH. Stacked generalization. Neural Networks 5, 1992.",
    "experts": "Jacobs RA, Jordan MI, Nowlan SJ, Hinton GE. Adaptive mixtures of local experts. Neural Computation 3, 1991.",
    "weighted": "Dempster AP, Laird NM, Rubin DB. Maximum likelihood from incomplete data via the EM algorithm. J R Stat Soc B "
                "39, 1977.",
    "soup": "Wortsman M, Ilharco G, Gadre SY, et al. Model soups: averaging weights of multiple fine-tuned models improves "
            "accuracy without increasing inference time. ICML 2022.",
}
PAPERS["greedy_soup"] = PAPERS["soup"]


# ------------------------------------------------------------------------------------------------- the page

def summary_of(spec: EnsembleSpec) -> str:
    """Return what stands in a report in place of the epoch whose weights are used."""
    many = "networks whose weights were averaged" if spec.is_soup else "networks"
    return f"This is an ensemble, made from {len(spec.members)} {many}: {spec.title}."


def combination(what: Contents) -> str:
    """Return how an ensemble combines, as HTML: in sentences, its members, what was fitted."""
    spec, run = what.run.ensemble, what.run
    rows = member_rows(run, EVERY)
    parts = [f"<p>{escape(spec.about)}</p>", members_table(rows)]
    parts += [f"<p class='warn'>{escape(row.problem)}</p>" for row in rows if row.problem]
    fitted = {} if spec.is_soup else fitted_of(run)
    if "order" in fitted:
        kept = [spec.columns[int(m)][0].name for m in fitted["order"][:int(fitted["kept"])]]
        parts.append(f"<p>Selected one after the other: {escape(', '.join(kept))}.</p>")
    if found := coefficients_of(spec, fitted):
        title, values = found
        parts.append(table(("Member", title), [(group[0].name, f"{value:+.3f}")
                                               for group, value in zip(spec.columns, values)], (1,)))
    seconds = sum(record.get("seconds") or 0 for record in what.epochs)
    parts.append(table(("", ""), [("Code", run.code), ("Time", f"{seconds:,.0f} s of training and validation of all members"),
                                  ("Fitted on validation", f"{sum(v.size for v in fitted.values()):,} numbers" if fitted
                                   else "nothing")]).replace("<thead><tr><th></th><th></th></tr></thead>", ""))
    return "".join(parts)


def members_table(rows: Sequence[MemberRow]) -> str:
    """Return the members of an ensemble with their networks, their weights and how good each is alone, as HTML."""
    return table(("Member", "Run", "Network", "Input", "Trained on", "Parameters", "Multiply-adds", "Weight",
                  "ROC AUC on its own validation", "n"), [_cells(row) for row in rows], (5, 6, 7, 9)) + (
        "<p class='quiet'>The ROC AUC of a member is on its own validation images, with a 95 % interval; of a part or a fold "
        "where it learned only that.</p>")


def _cells(row: MemberRow) -> tuple[str, ...]:
    parameters, flops = cost_of(row)
    return (row.member.name, f"{row.member.run}, epoch {row.member.epoch}", row.network or "deleted",
            f"{row.size} px" if row.size else "", row.images or "all", "" if parameters is None else f"{parameters:,}",
            "" if flops is None else f"{flops:,}", "" if row.weight is None else f"{row.weight:.3f}",
            with_interval(row.auc) if row.auc.n else "", f"{row.auc.n:,}" if row.auc.n else "")


def cost_of(row: MemberRow) -> tuple[int | None, int | None]:
    """Return parameters and multiply-adds of an image of a member, None where its run was deleted."""
    try:
        run = RunStore().get(row.member.run)
        about = run.data()
        return _cost(run.config.model, len(about["class_names"]), about["size"], about["channels"])
    except (LightboxError, KeyError):
        return None, None


@lru_cache(maxsize=64)
def _cost(model: ModelConfig, classes: int, size: int, channels: int) -> tuple[int, int]:
    from core.models.costs import build_on_meta
    from core.models.layers import layer_table, totals
    found = totals(layer_table(build_on_meta(model, classes, size, channels)))
    return found.parameters, found.flops


def settings_of(what: Contents) -> str:
    """Return what makes an ensemble, as JSON: its spec and the settings of its images. Each member has settings of its own."""
    return json.dumps({"ensemble": what.run.ensemble.as_dict(), "data": asdict(what.config.data)}, indent=2)


def member_networks(run: Run) -> list[str]:
    """Return the keys of core.models.MODELS of the members that are there, each once."""
    found, store = [], RunStore()
    for member in run.ensemble.members:
        try:
            found.append(store.get(member.run).config.model.name)
        except LightboxError:
            continue
    return list(dict.fromkeys(found))


# ------------------------------------------------------------------------------------------------- the files

def ensemble_files(run: Run) -> dict[str, bytes]:
    """Return file name -> content of everything from which an ensemble can be built again; see the top of this file.

    Raises LightboxError "ensemble.member" for a member that was deleted or changed, "checkpoint.damaged".
    """
    spec = run.ensemble
    checkpoints.load_best(run.checkpoints)                 # proves what was fitted
    source = run.checkpoints / checkpoints.name_of(EPOCH)
    files = {f"fitted/{name}": (source / name).read_bytes() for name in ("weights.safetensors", "meta.json")}
    places = []
    for number, member in enumerate(spec.members):
        load_member(member)                                # proves that it is the one with which the ensemble was made
        place = f"members/{number}_{member.run}_e{member.epoch}"
        places.append(place)
        with tempfile.TemporaryDirectory() as folder:
            trained = RunStore().get(member.run)
            export_epoch(trained, member.epoch, Path(folder), member.name)
            card = f"# {member.name}\n\nMember {number + 1} of {len(spec.members)} of the ensemble {run.name} ({run.id}).\n"
            (Path(folder) / "card.md").write_text(card)
            files |= {f"{place}/{path.name}": path.read_bytes() for path in sorted(Path(folder).iterdir())}
        data = trained.folder / "data.json"
        files[f"{place}/data.json"] = data.read_bytes()
    about = {"title": spec.title, "about": spec.about, "run": run.id, "name": run.name, "spec": spec.as_dict(),
             "members": places, "fitted": {name: list(value.shape) for name, value in fitted_of(run).items()}}
    return files | {"ensemble.json": json.dumps(about, indent=2).encode()}


def members_csv(run: Run) -> str:
    """Return the members as CSV: name, run, epoch, network, cost, weight, and how good each is alone."""
    return to_csv(("member", "run", "epoch", "sha256", "column", "network", "size", "images", "parameters", "multiply_adds",
                   "weight", "val_roc_auc", "low", "high", "n"),
                  [(row.member.name, row.member.run, row.member.epoch, row.member.sha256, row.member.column, row.network,
                    row.size, row.images, *cost_of(row), row.weight, row.auc.value, row.auc.low, row.auc.high, row.auc.n)
                   for row in member_rows(run, EVERY)])
