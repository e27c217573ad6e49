"""The examples in docstrings run and print what they say. A module of core with examples is a row of MODULES."""

import doctest
from importlib import import_module

import cv2
import numpy as np
import pytest

MODULES = (
    "core.audit.audit",
    "core.audit.imbalance",
    "core.audit.leakage",
    "core.audit.official",
    "core.augment.augmentations",
    "core.augment.images",
    "core.augment.presets",
    "core.charts.axes",
    "core.charts.curves",
    "core.charts.palette",
    "core.config.optim",
    "core.datasets.bootstrap",
    "core.datasets.external",
    "core.datasets.file_index",
    "core.datasets.file_names",
    "core.datasets.fingerprints",
    "core.datasets.formats",
    "core.datasets.geometry",
    "core.datasets.groups",
    "core.datasets.level_names",
    "core.datasets.inspection.outliers",
    "core.datasets.mura",
    "core.datasets.opening",
    "core.datasets.phantom.render",
    "core.datasets.source",
    "core.datasets.splits",
    "core.datasets.statistics",
    "core.datasets.stratify",
    "core.datasets.table_header",
    "core.datasets.table_options",
    "core.datasets.table_values",
    "core.datasets.text",
    "core.evaluation.compare",
    "core.evaluation.experts",
    "core.evaluation.neighbours",
    "core.explain.deletion",
    "core.explain.gradcam",
    "core.explain.methods",
    "core.files",
    "core.metrics",
    "core.metrics.agreement",
    "core.metrics.calibration",
    "core.metrics.confident_learning",
    "core.metrics.confusion",
    "core.metrics.estimates",
    "core.metrics.evaluation",
    "core.metrics.folds",
    "core.metrics.functions",
    "core.metrics.groups",
    "core.metrics.intervals",
    "core.metrics.operating_points",
    "core.metrics.paired_tests",
    "core.metrics.ranking",
    "core.metrics.table",
    "core.metrics.table_check.matrices",
    "core.metrics.table_check.totals",
    "core.models.build",
    "core.runs.store",
    "core.trainers.classifier",
    "core.trainers.diagnostics",
    "core.trainers.soup",
    "core.augment.tta",
    "core.trainers.validation",
)


@pytest.fixture
def folder(tmp_path) -> str:
    """24 images of noise in the folders normal and fracture; two are equal. Examples call it `folder`."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (24, 40, 32), np.uint8)
    images[23] = images[22]
    for i, pixels in enumerate(images):
        path = tmp_path / "images" / ("fracture", "normal")[i % 2] / f"{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), pixels)
    return str(tmp_path / "images")


@pytest.mark.parametrize("name", MODULES)
def test_examples_print_what_they_say(name, folder):
    result = doctest.testmod(import_module(name), extraglobs={"folder": folder})
    assert result.attempted and not result.failed
