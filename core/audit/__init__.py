"""Audit a data set and its split before anything is trained on it: patient overlap, duplicates, outliers, class balance.

    result = audit(open_dataset(DataConfig("phantom")))
    result.overlaps["test"].patients       # images of test that show a patient who is also in training
    result.to_json()

`overlaps` and `image_level` need only the table; `inspect` is the one pass over all pixels, the same for any split.
"""

from core.audit.audit import Audit, absent_classes, audit, audit_split
from core.audit.imbalance import Imbalance, imbalance
from core.audit.leakage import Overlap, image_level, overlaps
from core.datasets.inspection import DuplicatePair, Inspection, Outlier, inspect

__all__ = ["Audit", "DuplicatePair", "Imbalance", "Inspection", "Outlier", "Overlap", "absent_classes", "audit",
           "audit_split", "image_level", "imbalance", "inspect", "overlaps"]
