"""What was imported is left out of the collections that follow each run of a page."""

import gc
import sys
import types

from pages.shared import gc_tuning


def test_imports_are_spared_once_and_again_when_many_have_come(monkeypatch):
    monkeypatch.setattr(gc_tuning, "_seen", 0)
    gc.unfreeze()                # a page may have run in this process before
    gc_tuning.spare_imports()
    assert gc.get_freeze_count() > 10_000
    frozen = []
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append(len(sys.modules)))
    gc_tuning.spare_imports()
    assert frozen == [], "nothing has come since"
    for k in range(21):
        monkeypatch.setitem(sys.modules, f"brought_{k}", types.ModuleType(f"brought_{k}"))
    gc_tuning.spare_imports()
    assert len(frozen) == 1
