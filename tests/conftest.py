"""What several tests share: a home of their own, and the real images where there are some."""

import os
from pathlib import Path

import pytest

# Here and not in each file: one browser for the whole session.
from tests.browser_support import app, browser, page  # noqa: F401

REAL = Path(os.environ.get("LIGHTBOX_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data")


def pytest_report_header() -> str:
    return f"real images: {REAL}" if REAL.is_dir() else f"real images: none in {REAL}; set LIGHTBOX_TEST_DATA to test with them"


@pytest.fixture(autouse=True)
def lightbox_home(tmp_path_factory, monkeypatch) -> Path:
    """An empty LIGHTBOX_HOME for each test, outside its tmp_path."""
    home = tmp_path_factory.mktemp("lightbox-home")
    monkeypatch.setenv("LIGHTBOX_HOME", str(home))
    monkeypatch.delenv("MEDMNIST_ROOT", raising=False)
    return home


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real images; the test is skipped with a sentence where it is absent."""
    if not REAL.is_dir():
        pytest.skip(f"There are no real images in {REAL}. Set LIGHTBOX_TEST_DATA to the folder that holds them.")
    return REAL
