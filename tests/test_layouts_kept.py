"""A set that is kept is read again as it was seen before it was kept, whatever was guessed."""

import pytest

from core.config import DataConfig
from core.datasets import open_source
from core.datasets.formats import FORMATS, detect_format
from core.datasets.scan import add_custom_dataset, scan_source
from core.errors import LightboxError
from tests.layout_support import layout
from tests.test_folder_layouts import LAYOUTS as FOLDERS
from tests.test_folder_layouts_more import LAYOUTS as MORE_FOLDERS
from tests.test_layouts_tables import LAYOUTS as TABLES
from tests.test_layouts_tables_more import LAYOUTS as MORE_TABLES

BUILD = {name: lambda root, images=images: layout(root, images) for name, (images, *_) in {**FOLDERS, **MORE_FOLDERS}.items()}
BUILD |= {build.__name__: build for build in (*TABLES, *MORE_TABLES)}


@pytest.mark.parametrize("name", BUILD)
def test_a_kept_set_is_the_one_that_was_seen(tmp_path, name):
    root = tmp_path / "set"
    expect = BUILD[name](root)
    if isinstance(expect, dict):
        root = root / expect.get("path", expect.get("path2", ""))
    try:
        kind, place = detect_format(root)
        seen = scan_source(FORMATS[kind].build(place, FORMATS[kind].options()))
    except LightboxError:
        return
    add_custom_dataset(kind, place, FORMATS[kind].options(), "kept", "Kept")
    kept = scan_source(open_source(DataConfig("kept")))
    assert list(kept.index.table["path"]) == list(seen.index.table["path"])
    assert list(kept.index.table["split"]) == list(seen.index.table["split"])
    assert list(kept.index.table["patient"]) == list(seen.index.table["patient"])
    assert {name: (t.class_names, t.labels.tolist()) for name, t in kept.index.targets.items()} == {
        name: (t.class_names, t.labels.tolist()) for name, t in seen.index.targets.items()}
