"""What the evaluation of a run comes to: the metrics of its predictions, with what is known of the run besides."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace

from core.evaluation.copies import CopyEvaluation
from core.metrics import Evaluation
from core.metrics.estimates import Estimates
from core.metrics.evaluation import Note
from core.metrics.groups import GroupEvaluation

LOGISTIC = "logistic regression on 16 x 16 pixels"


@dataclass(frozen=True)
class Baseline:
    """What a network must beat: "majority", or LOGISTIC."""
    name: str
    accuracy: float | None
    roc_auc: float | None
    cohen_kappa: float | None
    accuracy_interval: tuple[float, float] | None


@dataclass(frozen=True)
class RunEvaluation(Evaluation):
    """The Evaluation of a run's predictions at the run's threshold.

    Args:
        epoch: whose weights predicted
        by_study, by_patient: None where images are all there is, or these were not asked for
        warnings: see core/evaluation/warnings.py
        times_test_opened, validation: of test: how often it was opened, and accuracy and roc_auc of the same
            epoch on validation, empty where not known
        copies: with and without the images that have a copy in training; None where nobody has searched for copies
        untrained: classes that had no training image, where the run noted that
        data_note: what has changed about the images since, the first of the warnings; see core/evaluation/data_state.py
        fitted: whether the logistic baseline was fitted, or could not be
    """
    run: str = ""
    split: str = "val"
    epoch: int = 0
    baselines: tuple[Baseline, ...] = ()
    warnings: tuple[Note, ...] = ()
    by_study: GroupEvaluation | None = None
    by_patient: GroupEvaluation | None = None
    times_test_opened: int = 0
    validation: Estimates = field(default_factory=dict)
    copies: CopyEvaluation | None = None
    untrained: tuple[str, ...] = ()
    data_note: Note | None = None
    fitted: bool = False

    def for_positive(self, k: int) -> RunEvaluation:
        """Do as `Evaluation.for_positive`, for the images without copies and by study and patient too."""
        found = super().for_positive(k)
        if found is self:
            return self
        return replace(found, copies=self.copies and self.copies.turned(),
                       by_study=self.by_study and self.by_study.for_positive(k),
                       by_patient=self.by_patient and self.by_patient.for_positive(k))

    def as_dict(self) -> dict:
        """Return it for JSON."""
        of_test = {}
        if self.split == "test":
            of_test = {"times_test_opened": self.times_test_opened,
                       "validation": {name: one.as_dict() for name, one in self.validation.items()}}
        return super().as_dict() | of_test | {
            "run": self.run, "split": self.split, "epoch": self.epoch,
            "by_study": self.by_study and self.by_study.as_dict(),
            "by_patient": self.by_patient and self.by_patient.as_dict(),
            "copies": self.copies and self.copies.as_dict(), "untrained_classes": list(self.untrained),
            "baselines": [asdict(one) for one in self.baselines],
            "data_note": self.data_note and asdict(self.data_note),
            "alarms": [one.text for one in self.warnings]}
