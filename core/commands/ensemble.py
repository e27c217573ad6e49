"""Ensembles: several finished runs that predict together, as a run of their own."""

from __future__ import annotations

import sys
from argparse import Namespace

from core.commands.options import JSON, Command, argument
from core.commands.output import Bar, print_result
from core.errors import LightboxError


def ensemble(options: Namespace) -> None:
    """Make an ensemble and print its scores beside its members'; the last line is its id."""
    from core.evaluation.ensembles import make_ensemble
    from core.evaluation.members import members_of
    if options.meta and options.how != "stacking":
        raise LightboxError("cli.meta", "--meta says what stacks.", "Use it with --how stacking.")
    how = "mlp" if options.meta == "mlp" else options.how
    column, learned = _gate(options)
    bar = Bar()
    members = members_of(_addresses(options), column)
    run = make_ensemble(members, how, name=options.name or "", gate=column, learned=learned, draws=options.tta,
                        on_features=options.meta == "features", progress=bar.count)
    bar.end()
    for line in [*_shared_epochs(members), *(note for start in run.records("start") for note in start.get("notes", ()))]:
        print(line, file=sys.stderr)
    data, words = _scores(run, members, options.tta)
    print_result(options, data, words)
    print(run.id)


def _addresses(options: Namespace) -> list[str]:
    """Ids as they were given; with --snapshots each stands for all epochs that it has kept."""
    if not options.snapshots:
        return options.runs
    from core.runs import checkpoints
    from core.runs.store import RunStore
    store = RunStore()
    return [f"{run}@{epoch}" for run in options.runs for epoch in checkpoints.snapshots(store.get(run).checkpoints)]


def _gate(options: Namespace) -> tuple[str, bool]:
    """(column, whether the gate is learned). "learned" takes the column for whose values the runs are experts."""
    if options.how != "experts":
        if options.gate:
            raise LightboxError("cli.gate", "--gate is for experts.", "Use it with --how experts.")
        return "", False
    from core.runs.store import RunStore
    columns = {RunStore().get(run).config.data.only.partition(":")[0] for run in options.runs}
    if len(columns) != 1 or columns == {""}:
        raise LightboxError("ensemble.expert", "These runs are not experts for the values of one column.",
                            "Train one network for each value: python -m core train --grid data.only=body_part:*.")
    column, = columns
    if options.gate not in (None, "learned", column):
        raise LightboxError("ensemble.expert", f"These runs are experts for values of {column}, not of {options.gate}.",
                            f"Write --gate {column}, or --gate learned.")
    return column, options.gate == "learned"


def _shared_epochs(members) -> list[str]:
    """A sentence where members are epochs of one run: they differ little."""
    runs = [member.run for member in members]
    if len(set(runs)) < len(runs):
        return ["Epochs of one run are alike: their ensemble gains less than networks that were trained apart."]
    return []


def _scores(run, members, draws: int) -> tuple[dict, list[str]]:
    from core.evaluation.ensemble_scores import member_scores, score, tie_count
    from core.evaluation.member_predictions import gather
    from core.evaluation.predictions import load_predictions
    spec = run.ensemble
    said = gather(members, "val", draws=draws)
    preds = load_predictions(run, "val")
    place = {name: i for i, name in enumerate(preds.image_ids)}
    own = score(said, preds.probs[[place[name] for name in said.image_ids]], spec.how, run.name)
    rows = [*member_scores(said), own]
    width = max(len(row.title) for row in rows)
    words = [f"{'validation':<{width}}  {'n':>7}  ROC AUC  95 % interval    accuracy"]
    words += [f"{row.title:<{width}}  {row.estimates['roc_auc'].n:>7,}  {_number(row.value())}    {_interval(row)}   "
              f"{_number(row.value('accuracy'))}" for row in rows]
    if spec.how == "hard" and (n := tie_count(said)):
        words.append(f"{n:,} of {len(said.labels):,} images end in a tie, which goes to the class that comes first.")
    return {"run": run.id, "name": run.name, "how": spec.how, "n": len(said.labels), "ensemble": own.as_dict(),
            "members": [row.as_dict() for row in rows[:-1]]}, words


def _number(value: float | None) -> str:
    return "  -  " if value is None else f"{value:.3f}"


def _interval(row) -> str:
    found = row.estimates["roc_auc"]
    return "       -       " if found.low is None else f"{found.low:.3f} to {found.high:.3f}"


HOW = ("soft", "hard", "weighted", "logits", "rank", "greedy", "stacking", "experts", "soup", "greedy_soup")
COMMANDS = (
    Command("ensemble", "combine finished runs into a run of their own; prints its id last", ensemble, (
        argument("runs", nargs="+", metavar="RUN", help="a run's id, or RUN@EPOCH for an epoch that it has kept"),
        argument("--how", choices=HOW, default="soft", help="way to combine; default: soft"),
        argument("--gate", metavar="COLUMN|learned", help="of experts: the known value of a column chooses one (default), or a "
                 "gate that is learned from the image weighs all"),
        argument("--meta", choices=("logistic", "mlp", "features"), help="of stacking: a logistic regression (default) or a "
                 "small network on the members' probabilities, or a regression on their features"),
        argument("--tta", type=int, default=0, metavar="N", help="each member sees N augmented copies of an image"),
        argument("--snapshots", action="store_true", help="all epochs that the runs have kept, instead of the best"),
        argument("--name", help="what to call the ensemble"), JSON)),
)
