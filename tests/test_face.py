"""The face of core: six lines from a config to a trained, evaluated and explained classifier, and no torch
before it is needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from sklearn.metrics import roc_auc_score

import core
from core import RunConfig, build_model, evaluate, explain, open_dataset, train
from core.models.classifier import Classifier
from tests.tiny import tiny_config, tiny_npz


def test_six_lines_train_evaluate_and_explain(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path))
    config = tiny_config(tiny_npz(tmp_path), **{"model.name": "small_cnn", "train.epochs": 3, "optim.lr": 0.01})
    data = open_dataset(config.data)
    model = build_model(config, data)
    records = list(train(model, data, config))
    assert isinstance(model, Classifier) and isinstance(config, RunConfig)
    assert [record.epoch for record in records] == [1, 2, 3]
    again, last = evaluate(model, data), records[-1].val
    assert again.keys() == last.keys()
    for name, value in last.items():      # batches may be of another size
        assert again[name] == (value if value is None else pytest.approx(value, rel=1e-6)), name
    rows = data.indices("test")
    images = torch.from_numpy(data.images[rows]).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        probs = model.eval().probabilities(model(images)).numpy()
    assert evaluate(model, data, "test")["roc_auc"] == pytest.approx(roc_auc_score(data.labels[rows], probs[:, 1]))
    assert explain.grad_cam(model, images[:2], torch.tensor([0, 1])).shape == (2, 28, 28)


def test_the_face_imports_nothing_heavy_and_knows_its_names():
    code = "import sys, core; core.RunConfig, core.open_dataset; assert 'torch' not in sys.modules; print(core.__version__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1], capture_output=True, text=True)
    assert done.stdout.strip() == core.__version__, done.stderr
    assert all(getattr(core, name) for name in core.__all__)
    with pytest.raises(AttributeError):
        _ = core.nothing


def test_the_example_of_the_readme_is_that_of_the_docstring():
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    example = readme.split("```python\n")[1].split("```")[0]
    assert [line.strip() for line in example.splitlines()] == [
        line.strip() for line in core.__doc__.split("\n\n", 1)[1].rsplit("\n\n", 1)[0].splitlines()]
    compile(example, "README.md", "exec")
