"""How the app holds up when a class opens it at once. `python -m bench.load [--clients 1 30 100] [--app OTHER/app.py]`

Each client is a websocket that speaks Streamlit's own messages, as a browser does: it opens a page at some moment of
the first three seconds, keeps the fragments alive that the page asks for, and runs the page again a few times, after a
pause of one to two seconds each. Nothing but the server is measured: no picture is fetched and nothing is drawn.

    first content   from opening the connection to the first element of the page (what comes after the navigation)
    whole page      from opening the connection to the end of the first script run
    rerun           from asking for a rerun to its end
    server          its processor time, all threads together, for each finished run of a page or a fragment

Every page is opened once before anything is measured, so that everything is imported. --training yes also has a network
train in its own process, with the same home. --app measures another checkout, with its own code and settings;
--watcher gives Streamlit's server.fileWatcherType. Who has not finished within --limit seconds is counted as late, and
with the limit as the time. Only this machine is asked.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from bench.machine import ROOT, finished_run, line, noise_set, options_of, processor_seconds, train_one, training
from tests.browser_support import serve

OPENING = 3.0              # seconds within which all clients come
PAUSE = 1.0, 2.0           # seconds between the end of a run and the next rerun


class Client:
    """One person with one page open."""

    def __init__(self, url: str, page: str, query: str):
        self.address = url.replace("http", "ws") + "/_stcore/stream"
        self.page, self.query, self.script = page, query, ""
        self.first = self.whole = None             # seconds, once they are known
        self.reruns: list[float] = []
        self.runs = 0                              # finished runs, of the page and of its fragments
        self.fault = ""                            # the first exception that the page showed
        self._fragments: dict[str, asyncio.Task] = {}
        self._hashes: set[str] = set()             # messages that need not be sent again
        self._navigated, self._finished = False, asyncio.Event()

    async def visit(self, delay: float, reruns: int) -> None:
        """Open the page after `delay` seconds and run it again so many times."""
        await asyncio.sleep(delay)
        begun = time.perf_counter()
        async with connect(self.address, subprotocols=["streamlit"], max_size=None, compression=None,
                           open_timeout=None, ping_interval=None) as self.socket:
            self._listening = listening = asyncio.create_task(self._listen(begun))
            try:
                await self._run()
                self.whole = time.perf_counter() - begun
                for _ in range(reruns):
                    await asyncio.sleep(random.uniform(*PAUSE))
                    asked = time.perf_counter()
                    await self._run()
                    self.reruns.append(time.perf_counter() - asked)
            finally:
                for task in (listening, *self._fragments.values()):
                    task.cancel()

    async def _run(self) -> None:
        """Ask for a run of the whole page and wait for its end."""
        self._finished.clear()
        await self._ask()
        finished = asyncio.create_task(self._finished.wait())
        await asyncio.wait((finished, self._listening), return_when=asyncio.FIRST_COMPLETED)
        if not finished.done():
            finished.cancel()
            raise self._listening.exception() or ConnectionError("the server has closed the connection")

    async def _ask(self, fragment: str = "") -> None:
        message = BackMsg()
        state = message.rerun_script
        state.query_string, state.page_name, state.page_script_hash = self.query, self.page, self.script
        state.fragment_id, state.is_auto_rerun = fragment, bool(fragment)
        state.cached_message_hashes.extend(self._hashes)
        await self.socket.send(message.SerializeToString())

    async def _listen(self, begun: float) -> None:
        async for packed in self.socket:
            message = ForwardMsg.FromString(packed)
            kind = message.WhichOneof("type")
            if message.hash and message.metadata.cacheable:
                self._hashes.add(message.hash)
            if kind == "new_session":
                self.script = message.new_session.page_script_hash
                if not message.metadata.run.fragment_ids:
                    self._stop_fragments(tuple(self._fragments))
            elif kind == "navigation":
                self._navigated = True
            elif kind == "delta":
                if self._navigated and self.first is None:
                    self.first = time.perf_counter() - begun
                if message.delta.new_element.HasField("exception"):
                    self.fault = self.fault or message.delta.new_element.exception.message
            elif kind == "auto_rerun":
                self._stop_fragments((message.auto_rerun.fragment_id,))
                timer = asyncio.create_task(self._keep_alive(message.auto_rerun))
                self._fragments[message.auto_rerun.fragment_id] = timer
            elif kind == "stop_auto_rerun":
                self._stop_fragments(message.stop_auto_rerun.fragment_ids)
            elif kind == "script_finished":
                self.runs += message.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN
                if message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY:
                    self._finished.set()

    async def _keep_alive(self, auto_rerun) -> None:
        while True:
            await asyncio.sleep(auto_rerun.interval)
            await self._ask(auto_rerun.fragment_id)

    def _stop_fragments(self, fragments: Iterable[str]) -> None:
        for fragment in fragments:
            if timer := self._fragments.pop(fragment, None):
                timer.cancel()


async def crowd(url: str, page: str, query: str, clients: int, reruns: int, limit: float) -> list[Client]:
    """Let so many clients come; return them when all are through, or after `limit` seconds."""
    random.seed(0)
    people = [Client(url, page, query) for _ in range(clients)]
    delays = [OPENING * k / clients for k in range(clients)]
    tasks = [asyncio.create_task(person.visit(delay, reruns)) for person, delay in zip(people, delays)]
    done, late = await asyncio.wait(tasks, timeout=limit)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    for task in done:
        if not isinstance(task.exception(), ConnectionError | ConnectionClosed):       # else late as well
            task.result()
    if fault := next((person.fault for person in people if person.fault), ""):
        sys.exit(f"The page {page} shows an error: {fault}")
    return people


def wait_for_rest(pid: int) -> None:
    """Wait until the server has done what those asked for who have left, at most a minute."""
    for _ in range(60):
        used = processor_seconds(pid)
        time.sleep(1)
        if processor_seconds(pid) - used < 0.2:
            return


def figures(seconds: list[float]) -> str:
    """Return median, 95th percentile and largest, in milliseconds."""
    if not seconds:
        return f"{'-':>7}{'-':>7}{'-':>7}"
    return "".join(f"{1000 * value:7.0f}" for value in (*np.percentile(seconds, (50, 95)), max(seconds)))


def report(page: str, people: list[Client], busy: str, reruns: int, limit: float, used: float) -> None:
    late = sum(len(person.reruns) < reruns for person in people)
    first = [person.first or limit for person in people]
    whole = [person.whole or limit for person in people]
    again = [taken for person in people for taken in person.reruns]
    again += [limit] * sum(person.whole is not None and len(person.reruns) < reruns for person in people)
    runs = sum(person.runs for person in people)
    print(f"{page:9} {len(people):4} {busy:>9} {figures(first)}  {figures(whole)}  {figures(again)} "
          f"{1000 * used / max(1, runs):8.0f} {runs:6} {late:5}", flush=True)


def main() -> None:
    parser = options_of(__doc__, clients=[3], reruns=1, pages=["browse", "runs", "evaluate"])
    parser.add_argument("--app", type=Path, default=ROOT / "app.py", help="the app.py of another checkout")
    parser.add_argument("--home", type=Path, help="a LIGHTBOX_HOME with a finished run on the phantom radiographs")
    parser.add_argument("--pages", nargs="+", default=["browse", "runs", "evaluate"])
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 30, 100], metavar="N")
    parser.add_argument("--training", nargs="+", choices=["no", "yes"], default=["no", "yes"])
    parser.add_argument("--watcher", choices=["none", "auto", "poll", "watchdog"], help="else as the checkout says")
    parser.add_argument("--reruns", type=int, default=2, help="of each client")
    parser.add_argument("--limit", type=float, default=40, help="seconds for a table row")
    options = parser.parse_args()
    if max(options.clients) > 200 or options.limit > 300:
        sys.exit("At most 200 clients and 300 seconds a row.")
    app = options.app.resolve()
    flags = ["--server.headless", "true", *(["--server.fileWatcherType", options.watcher] * bool(options.watcher))]
    print(line())
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        if options.quick:
            dataset, how = str(noise_set(Path(folder) / "noise.npz", 96, 96)), ("--model", "small_cnn", "--size", "28")
        else:
            dataset, how = "phantom", ("--model", "squeezenet1_1", "--size", "64")
        if options.home:
            home, dataset = options.home.resolve(), "phantom"
        run = finished_run(home, dataset) or train_one(home, dataset, *how, checkout=app.parent)
        query = f"dataset={dataset}&run={run}&split=val"
        with serve(app, Path(folder), *flags, cwd=app.parent, LIGHTBOX_HOME=str(home)) as server:
            for page in options.pages:
                asyncio.run(crowd(server.url, page, query, 1, 1, 120))
            print(f"watcher {options.watcher or 'as set'}; milliseconds: median, 95th percentile, largest\n"
                  f"{'page':9} {'n':>4} {'training':>9} {'first content':>21}  {'whole page':>21}  {'rerun':>21} "
                  f"{'ms a run':>8} {'runs':>6} {'late':>5}")
            for busy in options.training:
                beside = training(home, dataset, *how, checkout=app.parent) if busy == "yes" else nullcontext()
                with beside:
                    for page in options.pages:
                        for clients in options.clients:
                            wait_for_rest(server.pid)
                            used = processor_seconds(server.pid)
                            people = asyncio.run(crowd(server.url, page, query, clients, options.reruns, options.limit))
                            used = processor_seconds(server.pid) - used
                            report(page, people, busy, options.reruns, options.limit, used)


if __name__ == "__main__":
    main()
