"""Train a small network, then say how good it is, and how sure one can be. `python -m docs.evaluate_with_intervals`

The images of one patient look alike, so that fifty images of nine patients tell less than fifty images of fifty. The interval
by image does not know that and is too narrow; the interval by patient draws patients, not images. Beside the network stands
what always giving the most frequent class would reach.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from core import RunConfig, build_model, open_dataset, train
from core.datasets.phantom import PhantomConfig
from core.datasets.phantom.export import Plan, export
from core.metrics import METRICS, majority_baseline
from core.metrics.estimates import Estimate, estimate
from core.trainers.batches import Batches, SplitData
from core.trainers.validation import predict

NAMES = ("accuracy", "balanced_accuracy", "roc_auc", "average_precision")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(PhantomConfig(patients=60, parts=("elbow", "wrist")), "table", 64, "body_part")
        table = export(plan, Path(folder) / "phantom")
        config = RunConfig().with_(**{"data.dataset": str(table), "data.size": 64, "data.split": "patient",
                                      "model.name": "small_cnn", "train.epochs": 6})
        data = open_dataset(config.data)
        model = build_model(config, data)
        for record in train(model, data, config):
            print(f"epoch {record.epoch}: validation ROC AUC {record.val['roc_auc']:.3f}")
        test = SplitData.of(data, "test")
        *_, (_, probs) = predict(model, Batches(test, model.device), batch_size=64)
        patients = data.table["patient"].to_numpy()[test.indices]

    majority, _ = majority_baseline(test.labels, len(data.class_names))
    print(f"{len(test)} test images of {len(set(patients))} patients; always the most frequent class: accuracy {majority:.3f}")
    by_image, _ = estimate(test.labels, probs, data.task, names=NAMES)
    by_patient, _ = estimate(test.labels, probs, data.task, patients, names=NAMES)
    for name in NAMES:
        print(f"{METRICS[name].title}: {by_image[name].value:.3f}, by image {in_brackets(by_image[name])}, "
              f"by patient {in_brackets(by_patient[name])}")


def in_brackets(metric: Estimate) -> str:
    return f"[{metric.low:.3f} to {metric.high:.3f}]" if metric.interval else "(no interval)"


if __name__ == "__main__":
    main()
