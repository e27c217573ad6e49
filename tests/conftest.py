"""What several tests share: a home of their own, and the real images where there are some."""

import os
from pathlib import Path

# Two tests run at a time, on as few as two cores: threads that wait for each other by spinning would take most of the time.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest  # noqa: E402

from core.runs.device import machine  # noqa: E402

# Here and not in each file: one browser for the whole session.
from tests.browser_support import app, browser, page  # noqa: E402, F401
from tests.readers import readers, trained_readers  # noqa: E402, F401

REAL = Path(os.environ.get("LIGHTBOX_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data")


def pytest_report_header() -> str:
    return f"real images: {REAL}" if REAL.is_dir() else f"real images: none in {REAL}; set LIGHTBOX_TEST_DATA to test with them"


# Files go to two workers in this order: a long one that came last would run alone. The rest keeps the order of the alphabet.
LONG_FIRST = ("test_browser_story.py", "test_parallel.py", "test_kill.py", "test_bench.py", "test_fuzz_images.py",
              "test_worker.py", "test_browser_data.py",
              "test_browser_shell.py", "test_cli.py", "test_methods.py", "test_resume.py", "test_trainer.py",
              "test_browser_runs.py", "test_browser_gradcam.py", "test_browser_network.py", "test_browser_add.py",
              "test_hostile.py")


def pytest_collection_modifyitems(items) -> None:
    place = {name: i for i, name in enumerate(LONG_FIRST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


# Their subject is what a home holds, or asking the machine.
EMPTY = {"test_device.py", "test_archive.py", "test_custom_datasets.py"}


@pytest.fixture(scope="session")
def machine_json(tmp_path_factory) -> bytes:
    """What this machine can train on, asked once: each page of a new home would start a process that imports torch to ask."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTBOX_HOME", str(home := tmp_path_factory.mktemp("machine")))
        machine()
    return (home / "machine.json").read_bytes()


@pytest.fixture(autouse=True)
def lightbox_home(tmp_path_factory, monkeypatch, request, machine_json) -> Path:
    """A LIGHTBOX_HOME for each test, outside its tmp_path. It is empty but for what is known of the machine."""
    home = tmp_path_factory.mktemp("lightbox-home")
    monkeypatch.setenv("LIGHTBOX_HOME", str(home))
    monkeypatch.delenv("MEDMNIST_ROOT", raising=False)
    if request.path.name not in EMPTY:
        (home / "machine.json").write_bytes(machine_json)
    return home


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real images; the test is skipped with a sentence where it is absent."""
    if not REAL.is_dir():
        pytest.skip(f"There are no real images in {REAL}. Set LIGHTBOX_TEST_DATA to the folder that holds them.")
    return REAL
