"""Do several networks read better than one? Ensembles on real images and on the phantom, evaluated on test, which is opened once.

    python -m bench.readers DATA_FOLDER [--only KEY ...] [--seeds 5] [--threads 1]

DATA_FOLDER holds medmnist/, chest_pneumonia/, knee_oa/. Each network is a run of the app, in LIGHTBOX_HOME: who stops this
program and starts it again goes on where it was. Everything is chosen and fitted on validation.

    breast, pneumonia, chest    seeds of one network; three different networks: each way to combine beside the best member
                                (best on validation) and the mean member, with the difference to that best member, its 95 %
                                interval and p (DeLong's test, by patient)
    parts, sides                one expert for each part beside one network for all parts (R001's strategies 2 and 1), each on its
                                own part, and together: by the known part, by a learned gate
    views                       a prediction for each study: the mean and the maximum of an image network's probabilities, and
                                networks that are trained on studies with mean, maximum and attention pooling; Cohen's kappa
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np

from bench.machine import line, noise_set, options_of
from bench.results import run_of
from core.config import RunConfig
from core.datasets import open_dataset
from core.evaluation.compare import auc_of
from core.evaluation.ensemble_scores import QUICK, best_of, mean_of, member_scores, pair_of, score
from core.evaluation.ensembles import combine, fit, make_ensemble, rows_of
from core.evaluation.gate import fit_gate, gate_confusion, gate_of
from core.evaluation.member_predictions import gather
from core.evaluation.members import members_of
from core.evaluation.predictions import load_predictions, predict_split
from core.metrics.estimates import estimate
from core.models.combine import WAYS
from core.runs.store import RunStore

BASE = {"train.device": "cpu", "train.batch_size": 64, "train.monitor": "roc_auc", "optim.lr": 1e-3}
SMALL, RESNET = {"model.name": "small_cnn", "optim.lr": 2e-3}, {"model.name": "resnet18", "optim.lr": 5e-4}
SQUEEZE = {"model.name": "squeezenet1_1", "model.weights": "imagenet", "optim.lr": 3e-4}
# key -> (title, settings of the set, epochs of small CNN, of SqueezeNet and ResNet-18)
SETS = {
    "noise": ("Noise with a bar that says the class", {"data.dataset": "noise.npz", "data.size": 28}, 1, 1),
    "breast": ("BreastMNIST, 28 px", {"data.dataset": "medmnist/breastmnist.npz", "data.size": 28}, 30, 15),
    "pneumonia": ("Pneumonia, 28 px", {"data.dataset": "medmnist/pneumonia_28.npz", "data.size": 28}, 8, 3),
    "chest": ("Chest X-rays, 64 px", {"data.dataset": "chest_pneumonia", "data.size": 64}, 8, 2),
}
# key -> (title, settings, column, its values)
EXPERTS = {
    "parts": ("Phantom in MURA's layout, seven parts, 64 px, SqueezeNet 1.1", SQUEEZE | {
        "data.dataset": "phantom-mura", "data.size": 64, "train.epochs": 12, "train.batch_size": 32}, "body_part",
        ("elbow", "finger", "forearm", "hand", "humerus", "shoulder", "wrist")),
    "sides": ("Knee grades by side, 64 px, SqueezeNet 1.1", SQUEEZE | {
        "data.dataset": "knee_oa", "data.size": 64, "train.epochs": 8, "train.batch_size": 32, "data.channels": 1}, "view",
        ("L", "R")),
}
VIEWS = SQUEEZE | {"data.dataset": "phantom", "data.size": 64, "train.epochs": 8, "train.batch_size": 32}


def trained(store: RunStore, base: dict, name: str, changes: dict):
    """Return the finished run of these settings."""
    return run_of(store, RunConfig().with_(**(BASE | base | changes | {"name": name})))


def numbers(estimate) -> str:
    limits = f" ({estimate.low:.3f} to {estimate.high:.3f})" if estimate.interval else ""
    return f"{estimate.value:.3f}{limits}" if estimate.value is not None else "undefined"


def ways(title: str, runs: list, hows: tuple[str, ...] = QUICK) -> None:
    """Print each way on test beside the best and the mean member; fitted on validation."""
    members = members_of([run.id for run in runs])
    said = {split: gather(members, split) for split in ("val", "test")}
    scores = {split: member_scores(said[split]) for split in said}
    place = scores["val"].index(best_of(scores["val"]))
    best = scores["test"][place]
    print(f"\n{title}: {len(said['test'].labels):,} test images; AUC, accuracy, AUC less the best member's")
    print(f"  {'mean member':18} {mean_of(scores['test'], 'roc_auc'):.3f}, "
          f"sd {np.std([one.value() for one in scores['test']], ddof=1):.3f}; accuracy {mean_of(scores['test'], 'accuracy'):.3f}")
    print(f"  {'best on validation':18} {numbers(best.estimates['roc_auc'])}; {numbers(best.estimates['accuracy'])}   "
          f"{best.title}")
    for how in hows:
        probs = combine(how, said["test"], fit(how, said["val"]))
        one, test = score(said["test"], probs, how, how), auc_of(pair_of(said["test"], probs, best.probs), "test")
        known = test is not None and test["p"] is not None
        against = f"{test['difference']:+.4f} ({test['low']:+.4f} to {test['high']:+.4f}), p = {test['p']:.2g}" if known else "-"
        print(f"  {WAYS[how].title:18} {numbers(one.estimates['roc_auc'])}; {numbers(one.estimates['accuracy'])}   {against}",
              flush=True)


def seeds(store: RunStore, key: str, folder: Path, options) -> None:
    """Seeds of one network, then three different networks."""
    title, base, few, many = SETS[key]
    base = base | {"data.dataset": str(folder / base["data.dataset"]), "train.threads": options.threads}
    small = [trained(store, base, f"{key}: small CNN, seed {seed}", SMALL | {"train.seed": seed, "train.epochs": few})
             for seed in range(options.seeds)]
    ways(f"{title}: {options.seeds} seeds of the small CNN", small)
    if key == "noise":
        return
    others = [trained(store, base, f"{key}: {name}", changes | {"train.epochs": many})
              for name, changes in (("SqueezeNet 1.1", SQUEEZE), ("ResNet-18", RESNET))]
    ways(f"{title}: small CNN, SqueezeNet 1.1, ResNet-18", [small[0], *others])


def experts(store: RunStore, key: str, folder: Path, options) -> None:
    """One network for all parts beside one for each, over seeds."""
    title, base, column, values = EXPERTS[key]
    place = folder / base["data.dataset"]
    base = base | {"train.threads": options.threads} | ({"data.dataset": str(place)} if place.is_dir() else {})
    rows: dict[str, list] = {}
    for seed in range(options.seeds):
        every = trained(store, base, f"{key}: all, seed {seed}", {"train.seed": seed})
        runs = [trained(store, base, f"{key}: {value}, seed {seed}", {"train.seed": seed, "data.only": f"{column}:{value}"})
                for value in values]
        members = members_of([run.id for run in runs], column)
        said = gather(members, "test")
        own = tested(every)
        at = {name: i for i, name in enumerate(own.image_ids)}
        alone = own.probs[[at[name] for name in said.image_ids]]
        known, learned = (make_ensemble(members, "experts", gate=column, learned=flag) for flag in (False, True))
        mixtures = {"experts, known part": predict_split(known, "test").probs,
                    "experts, learned gate": predict_split(learned, "test").probs}
        gate_right(learned, column, said, rows)
        for part, value in enumerate((*values, "all")):
            inside = np.flatnonzero(said.parts == part) if value != "all" else np.arange(len(said.labels))
            some = rows_of(said, inside)
            for name, probs in {"one network": alone, **mixtures}.items():
                rows.setdefault((value, name, len(inside)), []).append(score(some, probs[inside], "", name).estimates)
    print(f"\n{title}: test, mean over {options.seeds} seeds (sd); in brackets the 95 % interval of seed 0")
    for where, found in rows.items():
        if where[0] == "gate":
            print(f"  the learned gate finds the part of {np.mean(found):.3f} of {where[2]:,} test images")
            continue
        area, accuracy = ([one[metric] for one in found] for metric in ("roc_auc", "accuracy"))
        print(f"  {where[0]:9} {where[1]:22} n {where[2]:5,}  AUC {spread(area)} [{numbers(area[0])}]  "
              f"accuracy {spread(accuracy)}", flush=True)


def gate_right(run, column: str, said, rows: dict) -> None:
    """Add how often the learned gate finds the part of a test image."""
    data = open_dataset(run.config.data)
    matrix = gate_confusion(gate_of(data, said.image_ids, fit_gate(data, column, said.members)), said.parts)
    rows.setdefault(("gate", "", int(matrix.sum())), []).append(matrix.trace() / matrix.sum())


def views(store: RunStore, key: str, folder: Path, options) -> None:
    """Cohen's kappa by study of one network's images pooled, and of networks of studies."""
    rows: dict[str, list] = {}
    for seed in range(options.seeds):
        base = VIEWS | {"train.threads": options.threads, "train.seed": seed}
        preds = tested(trained(store, base, f"views: images, seed {seed}", {}))
        for name, pool in (("mean of probabilities", np.mean), ("maximum of probabilities", np.max)):
            rows.setdefault(name, []).append(by_study(preds, pool))
        for how in ("mean", "max", "attention"):
            study = {"data.unit": "study", "model.views": how, "train.batch_size": 16}
            found = tested(trained(store, base, f"views: {how}, seed {seed}", study))
            rows.setdefault(f"trained on studies, {how}", []).append(kappa_of(found.labels, found.probs, found.patients))
    n = rows["mean of probabilities"][0].n
    print(f"\nPhantom, 64 px, SqueezeNet 1.1: {n:,} test studies; Cohen's kappa, mean over {options.seeds} seeds (sd)")
    for name, found in rows.items():
        print(f"  {name:28} n {found[0].n:,}  {spread(found)} [{numbers(found[0])}]", flush=True)


def tested(run):
    """Return the predictions of test, which is opened once."""
    return load_predictions(run, "test") or predict_split(run, "test")


def by_study(preds, pool):
    """Return the kappa of studies whose probability of class 1 is pooled over their images."""
    names, first, study = np.unique(preds.studies, return_index=True, return_inverse=True)
    positive = np.array([pool(preds.probs[study == k, 1]) for k in range(len(names))])
    return kappa_of(preds.labels[first], np.stack([1 - positive, positive], axis=1), [preds.patients[i] for i in first])


def kappa_of(labels: np.ndarray, probs: np.ndarray, patients):
    found, _ = estimate(labels, probs, "binary-class", patients, names=["cohen_kappa"], each=())
    return found["cohen_kappa"]


def spread(estimates: list) -> str:
    values = [one.value for one in estimates if one.value is not None]
    deviation = f" ({np.std(values, ddof=1):.3f})" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{deviation}" if values else "undefined"


WORK = {"views": views} | dict.fromkeys(SETS, seeds)


def main() -> None:
    parser = options_of(__doc__, only=["noise"], seeds=2)
    parser.add_argument("folder", type=Path, nargs="?", default=Path())
    parser.add_argument("--only", nargs="+", choices=(*SETS, *EXPERTS, "views"), default=[*SETS, *EXPERTS, "views"][1:])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    print(line(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        if options.quick:
            os.environ["LIGHTBOX_HOME"] = folder
            options.folder = noise_set(Path(folder) / "noise.npz", 96, 48).parent
        store = RunStore()
        for key in options.only:
            work = WORK.get(key, experts)
            work(store, key, options.folder.resolve(), options)


if __name__ == "__main__":
    main()
