"""The finder on a page: what it starts, what it reads, and what a person is told and may take."""

import json
import sys
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.__main__ import parser
from core.commands.options import settings
from core.config import KNOBS, RunConfig
from pages.train import lr_finder
from tests.drawn import Drawn, charts
from tests.tiny import tiny_config, tiny_npz

PAGE = Path(__file__).with_name("finding_page.py")
STEPS = [{"kind": "step", "step": i + 1, "steps": 100, "lr": 1e-7 * 1.2 ** i, "loss": 0.7 - 0.005 * i, "smooth": 0.7 - 0.004 * i}
         for i in range(90)]
FOUND = {"kind": "suggestion", "lr": 0.0042, "tenth": 0.001, "sentence": "It falls fastest at 0.0042 [so *there*]."}


@pytest.fixture
def page():
    at = AppTest.from_file(str(PAGE), default_timeout=60).run()
    assert not at.exception
    return at


def says(monkeypatch, lines, then="", code=0, words=""):
    """A search that prints these lines, does something and ends."""
    program = (f"import sys, time\nfor line in {[json.dumps(line) for line in lines]!r}: print(line, flush=True)\n{then}\n"
               f"print({words!r}, file=sys.stderr)\nsys.exit({code})")
    monkeypatch.setattr(lr_finder, "_command", lambda config: [sys.executable, "-c", program])


def press(at: AppTest, key: str) -> AppTest:
    at = at.button(key=key).click().run()
    assert not at.exception, at.exception
    return at


def wait(at: AppTest, for_what=lambda search: not search.live) -> AppTest:
    search, until = at.session_state["lr_search"], time.monotonic() + 60
    while not for_what(search):
        assert time.monotonic() < until
        time.sleep(0.05)
    at = at.run()
    assert not at.exception, at.exception
    return at


def keys(at: AppTest) -> set[str]:
    return {button.key for button in at.button}


def curve(at: AppTest) -> Drawn:
    chart, = charts(at)
    return chart


def test_the_command_says_exactly_the_settings():
    config = tiny_config("/a b/c=d.npz", **{"optim.name": "sgd", "train.class_weights": True, "augment.rotate": 7.5,
                                            "model.weights": "run:x=y", "data.size": 100})
    options = parser().parse_args(lr_finder._command(config)[3:])
    assert RunConfig().with_(**{"data.dataset": options.dataset} | settings(options.set)) == config and options.json


def test_what_a_search_depends_on():
    config = RunConfig()
    same = config.with_(**{"optim.lr": 0.5, "train.epochs": 99, "optim.schedule": "step", "name": "x"})
    assert lr_finder.relevant(same) == lr_finder.relevant(config) != lr_finder.relevant(config.with_(**{"train.batch_size": 8}))
    fields = set(json.loads(lr_finder.relevant(config)))
    assert lr_finder.IRRELEVANT <= set(KNOBS) and not fields & lr_finder.IRRELEVANT


def test_the_curve_grows_while_the_form_can_be_used_and_stop_stops(page, monkeypatch):
    says(monkeypatch, [{"kind": "phase", "phase": "Opening", "done": 3, "total": 9}, *STEPS[:20]], then="time.sleep(60)")
    at = wait(press(page, "find_lr"), lambda search: len(search.records) == 20)
    assert keys(at) == {"find_lr_stop"} and "Step 20 of at most 100" in at.get("progress")[0].proto.text
    assert curve(at).alt.startswith("Training loss from 0.7")
    at.number_input[0].set_value(0.02).run()
    assert at.session_state["lr_search"].live and "rate 0.02" in at.text[0].value
    process = at.session_state["lr_search"]._process
    at = press(at, "find_lr_stop").run()
    assert process.poll() is not None and "find_lr" in keys(at) and not at.error
    assert "Stopped" in " ".join(c.value for c in at.caption)


def test_the_suggestion_is_marked_said_and_can_be_taken(page, monkeypatch):
    says(monkeypatch, [*STEPS, FOUND])
    at = wait(press(page, "find_lr"))
    drawn = curve(at)
    assert drawn.rows("marks") == [{"rate": 0.001, "what": "in the form"}, {"rate": 0.0042, "what": "suggested"}]
    assert all(layer["encoding"]["x"]["scale"]["type"] == "log" for layer in drawn.spec["layer"])
    assert "Suggested: 0.0042." in drawn.alt
    assert any("0\\.0042 \\[so \\*there\\*\\]" in m.value for m in at.markdown)
    assert keys(at) == {"find_lr", "find_lr_use_lr"}                       # the careful one is in the form already
    at = press(at, "find_lr_use_lr").run()
    assert at.text[0].value == "rate 0.0042" and at.number_input[0].value == 0.0042
    assert keys(at) == {"find_lr", "find_lr_use_tenth"}
    at = press(at, "find_lr_use_tenth").run()
    assert at.text[0].value == "rate 0.001"


def test_a_curve_of_other_settings_says_so(page, monkeypatch):
    says(monkeypatch, [*STEPS, FOUND])
    at = wait(press(page, "find_lr"))
    assert not any("search again" in c.value for c in at.caption)
    at.session_state["lr_search"].settings = lr_finder.relevant(RunConfig().with_(**{"train.batch_size": 7}))
    assert any("search again" in c.value for c in at.run().caption)


def test_without_a_suggestion_there_is_nothing_to_take(page, monkeypatch):
    says(monkeypatch, [*STEPS, FOUND | {"lr": None, "tenth": None, "sentence": "At no rate."}])
    at = wait(press(page, "find_lr"))
    assert keys(at) == {"find_lr"} and any("At no rate" in m.value for m in at.markdown)


@pytest.mark.parametrize("code, words, told", [
    (2, "Preparing\nThere is no data set called 'x'. Did you mean y? [dataset.unknown]",
     "There is no data set called 'x'. Did you mean y?"),
    (2, "The loss is no number before anything was learned. [finder.nan]", "The loss is no number before anything was learned."),
    (1, "Traceback\nValueError: <b>odd", "The search failed: ValueError: <b>odd"),
    (1, "", "The search failed: no error message"),
])
def test_what_goes_wrong_is_said_in_words(page, monkeypatch, code, words, told):
    says(monkeypatch, STEPS[:1], code=code, words=words)
    at = wait(press(page, "find_lr"))
    assert at.error[0].value == lr_finder.escape(told) and "find_lr" in keys(at)


def test_a_search_that_nobody_looks_at_is_given_up(monkeypatch):
    says(monkeypatch, STEPS[:2], then="time.sleep(60)")
    monkeypatch.setattr(lr_finder, "UNWATCHED", -1.0)
    search = lr_finder.Search(RunConfig())
    search._reader.join(20)
    assert not search.live and search._process.poll() is not None


def test_a_real_search_from_the_button_to_the_rate(tmp_path, monkeypatch):
    config = tiny_config(tiny_npz(tmp_path), **{"model.name": "small_cnn"})
    search = lr_finder.Search(config)
    search._reader.join(90)
    assert search.error == "" and search.suggestion["lr"] is not None and 30 < len(search.records) <= 100
    assert 1e-5 < search.suggestion["lr"] < 1
    assert search.phase == "Timing a few steps to find the fastest settings"
