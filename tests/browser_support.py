"""A server of its own and a real browser, as the fixtures `app`, `browser` and `page` (conftest.py hands them out).

A test that uses `page` also fails when the browser reports an error in its console, an exception in a script, or when the page
asks anything of another machine.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
# Streamlit's browser side tries each level of the address for the server's own pages: on /train it asks for
# /train/_stcore/health first and gets 404. That is its way to find the server, not a fault of a page.
PROBES = re.compile(r"/\w+/_stcore/(health|host-config)$")


@dataclass(frozen=True)
class Server:
    """A running app. `home` is its LIGHTBOX_HOME, `log` what it printed."""

    url: str
    home: Path
    log: Path
    pid: int


@contextmanager
def serve(script: Path, folder: Path, *flags: str, cwd: Path = ROOT, **env: str) -> Iterator[Server]:
    """Run a Streamlit script on a free port until the block ends. Nothing is taken from or left in the person's own home."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home, log = folder / "lightbox", folder / "server.log"
    (folder / "home").mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.port", str(port), *flags]
    # BROWSER: where there is a desktop, Streamlit opens a browser of its own; here that is a program that does nothing.
    surroundings = os.environ | {"LIGHTBOX_HOME": str(home), "HOME": str(folder / "home"), "BROWSER": "true",
                                 "PYTHONPATH": str(cwd)} | env
    with open(log, "wb") as out:
        process = subprocess.Popen(command, cwd=cwd, env=surroundings, stdin=subprocess.PIPE, stdout=out, stderr=out)
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(300):
            if process.poll() is not None:
                raise AssertionError(f"the server ended: {log.read_text(errors='replace')}")
            try:
                urllib.request.urlopen(f"{url}/_stcore/health", timeout=1).read()
                break
            except OSError:
                time.sleep(0.1)
        else:
            raise AssertionError(f"no server after 30 s: {log.read_text(errors='replace')}")
        yield Server(url, home, log, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


@pytest.fixture(scope="session")
def browser():
    """Chromium without a window. Where it is missing the test is skipped with what to install; CI must have it."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if not found:
        say = "There is no Chromium for the browser tests. Install Debian's package chromium: apt-get install chromium."
        pytest.fail(say) if os.environ.get("CI") else pytest.skip(say)
    from playwright.sync_api import expect, sync_playwright
    expect.set_options(timeout=20_000)           # a busy machine is slow, not wrong
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=CHROMIUM)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def app(tmp_path_factory) -> Iterator[Server]:
    """Lightbox itself with an empty LIGHTBOX_HOME, one server for the tests of a file."""
    with serve(ROOT / "app.py", tmp_path_factory.mktemp("app"), "--server.headless", "true") as server:
        yield server


@pytest.fixture
def page(browser):
    """A page of 1440 x 900 that must stay without errors."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    faults: list[str] = []
    watch(page, faults)
    yield page
    context.close()
    assert not faults, f"the browser reports: {faults}"


def watch(page, faults: list[str]) -> None:
    """Collect what a page does wrong into `faults`."""
    def on_response(response):
        if response.status >= 400 and not PROBES.search(response.url.split("?")[0]):
            faults.append(f"{response.status} {response.url}")

    def on_console(message):
        if message.type == "error" and "Failed to load resource" not in message.text:     # on_response has the address
            faults.append(message.text)

    def on_request(request):
        if not re.match(r"(https?|wss?)://(127\.0\.0\.1|localhost)[:/]|data:|blob:", request.url):
            faults.append(f"asks another machine: {request.url}")
    page.on("response", on_response)
    page.on("console", on_console)
    page.on("request", on_request)
    page.on("pageerror", lambda error: faults.append(str(error)))


def wait_idle(page, timeout: float = 30_000) -> None:
    """Wait until the script has run and the page shows its result."""
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]", timeout=timeout)
    assert page.locator("[data-testid=stException]").count() == 0, page.locator("[data-testid=stException]").first.inner_text()


def choose(page, menu, option: str | re.Pattern) -> None:
    """Choose an option of a menu (a locator), which is opened anew where a run of the script has closed it."""
    from playwright.sync_api import Error

    name = option if isinstance(option, re.Pattern) else re.compile(rf"^{re.escape(option)}$")
    for _ in range(5):
        wait_idle(page)
        menu.click(timeout=60_000)
        try:
            page.get_by_role("option", name=name).click(timeout=6_000)
            return
        except Error:
            page.keyboard.press("Escape")
    raise AssertionError(f"the menu has no option {option}")


class SlowLine:
    """Between a page and its server: what the page says goes out at once, what it would hear waits from `hold` to `let_go`.

    Lay it before the page is opened.
    """

    def __init__(self, page):
        self._holds, self._late, self._page = False, [], None
        page.route_web_socket(re.compile("_stcore/stream"), self._connect)

    def hold(self) -> None:
        self._holds = True

    def let_go(self) -> None:
        self._holds = False
        for message in self._late:
            self._page.send(message)
        self._late.clear()

    def _connect(self, page) -> None:
        self._page, server = page, page.connect_to_server()
        server.on_message(lambda message: self._late.append(message) if self._holds else page.send(message))
