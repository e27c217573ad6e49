"""Maps for the pages: made once, kept in bounds, one class against another, with progress that does not disturb."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.evaluation import maps as core_maps
from core.explain import METHODS
from pages.shared import heatmaps
from pages.shared.heatmap_image import scale_of
from tests import judged

run, trained = judged.run, judged.trained          # fixtures


def test_the_cache_keeps_what_was_used_last_and_no_more_than_it_may():
    cache = heatmaps.MapCache(limit=3 * 16)
    for key in "abc":
        cache.put(key, np.full((2, 2), ord(key), np.float32))             # 16 bytes each
    assert cache.get("a")[0, 0] == ord("a")
    cache.put("d", np.zeros((2, 2), np.float32))
    assert cache.get("b") is None and cache.get("a") is not None and cache.get("d") is not None
    cache.put("d", np.ones((2, 2), np.float32))                           # again: counted once
    assert cache.get("c") is not None and cache.get("d")[0, 0] == 1
    with pytest.raises(ValueError):
        cache.get("d")[0, 0] = 5                                          # everybody's


def page(run: str) -> None:
    import numpy as np
    import streamlit as st

    from core.datasets import open_dataset
    from core.runs.store import RunStore
    from pages.shared.heatmaps import map_of, maps_of
    data = open_dataset(RunStore().get(run).config.data)
    rows = data.indices("val")[:20]
    targets = np.arange(20) % 2
    found = {method: maps_of(run, data, rows[:3], targets[:3], "network.features", method)
             for method in st.session_state.wanted}
    found["plain"] = maps_of(run, data, rows, targets, "network.features")
    found["against"] = maps_of(run, data, rows, targets, "network.features", against=1 - targets)
    found["one"] = map_of(run, data.images[rows[1]], "x", 1, "network.features", against=0)
    st.session_state.found = found


def test_the_pages_get_what_the_methods_give(run, monkeypatch):
    import torch

    from core.datasets import open_dataset
    from core.explain import explain
    from core.runs.classifiers import as_input, load_classifier
    asked = []
    monkeypatch.setattr(core_maps, "explain", lambda method, *rest, **how: asked.append(method) or explain(method, *rest, **how))
    at = AppTest.from_function(page, args=(run.id,), default_timeout=60)
    at.session_state.wanted = list(METHODS)
    found = at.run().session_state.found
    assert not at.exception
    data = open_dataset(run.config.data)
    rows, targets = data.indices("val")[:20], torch.arange(20) % 2
    model = load_classifier(run.id).model
    images = as_input(model, list(data.images[rows]))
    for method in METHODS:
        expected = explain(method, model, images[:3], targets[:3], "network.features").numpy()
        np.testing.assert_allclose(found[method], expected, atol=1e-3, rtol=1e-4, err_msg=method)     # logits near 50
    expected = explain("grad_cam", model, images, targets, "network.features", against=1 - targets).numpy()
    assert expected.any() and not np.allclose(found["plain"], found["against"])
    np.testing.assert_allclose(found["against"], expected, atol=1e-4)
    np.testing.assert_allclose(found["one"], expected[1], atol=1e-4)
    assert asked.count("grad_cam") == 1 + 3 + 3 + 1                        # three images; the other seventeen in three steps
    asked.clear()
    assert not at.run().exception and asked == [], "they were made before"


def test_the_scale_is_said_in_the_methods_own_unit_and_covers_both_signs():
    maps = np.zeros((3, 4, 4), np.float32)
    maps[0, 0, 0], maps[1, 0, 0] = -0.5, 0.25
    peak, said = scale_of(maps, "occlusion")
    assert peak == 0.5 and "0.5 logits" in said and "against" in said
    assert "units of the layer, the same for every class" in scale_of(np.abs(maps), "eigen_cam")[1]


