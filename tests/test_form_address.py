"""The form of a run stands in the address: a refresh and a link bring it back, and nothing in an address breaks the page."""

import random
import string

import pytest

from core.config import KNOBS
from core.runs.recipes import changes_of
from pages.shared import form_address
from tests.followed import no_machine, open_page, put_run, text_of
from tests.train_form import can_queue, choose_recipe, widgets

PAGES = ("train", "split", "augment", "network")


class Waiting:
    is_alive = staticmethod(lambda: True)
    join = staticmethod(lambda seconds: None)


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    monkeypatch.setattr("pages.shared.open_data.warm_up", lambda: Waiting)        # torch is always still on its way
    return no_machine(monkeypatch)


def address(at) -> dict[str, str]:
    return {name: value[0] if isinstance(value, list) else value for name, value in at.query_params.items()}


def test_what_was_changed_stands_in_the_address_and_a_refresh_brings_it_back():
    at = open_page("train")
    assert address(at) == {"dataset": "phantom"}, "defaults are not written"
    widgets(at)["train.epochs"].set_value(7)
    widgets(at)["optim.lr"].set_value(3e-4)
    widgets(at)["name"].set_value("a&b=c / ü")
    at.run()
    widgets(at)["train.class_weights"].set_value(True)
    at.run()
    assert address(at) == {"dataset": "phantom", "train.epochs": "7", "optim.lr": "0.0003", "name": "a&b=c / ü",
                           "train.class_weights": "True"}
    again = open_page("train", **address(at))                     # another session, as after a refresh
    drawn = widgets(again)
    assert (drawn["train.epochs"].value, drawn["optim.lr"].value, drawn["name"].value) == (7, 3e-4, "a&b=c / ü")
    assert drawn["train.class_weights"].value is True and address(again) == address(at)
    widgets(again)["train.epochs"].set_value(KNOBS["train.epochs"].default)
    assert "train.epochs" not in address(again.run())


@pytest.mark.parametrize("key", ["quick", "r001-cnn", "r002-resnet18-simple", "r004-cut-20"])
def test_a_recipe_comes_back(key):
    at = choose_recipe(open_page("train"), key)
    again = open_page("train", **address(at.run())).session_state["form_of_a_run"]
    assert {name: again[name] for name in changes_of(key)} == changes_of(key)


def test_a_click_that_comes_with_an_older_address_does_not_undo_the_form():
    at = open_page("train", **{"train.epochs": "7"})
    widgets(at)["train.epochs"].set_value(8)
    at.run()
    at.query_params["train.epochs"] = "7"                         # the browser has not heard of the change yet
    widgets(at)["train.batch_size"].set_value(16)
    at.run()
    assert (widgets(at)["train.epochs"].value, widgets(at)["train.batch_size"].value) == (8, 16)
    assert address(at)["train.epochs"] == "8"


def test_a_link_replaces_what_the_form_held():
    at = open_page("train", **{"train.epochs": "7", "model.name": "densenet121"})
    for name in ("train.epochs", "model.name"):
        del at.query_params[name]
    at.query_params["optim.lr"] = "0.01"
    at.run()
    drawn = widgets(at)
    assert (drawn["optim.lr"].value, drawn["train.epochs"].value, drawn["model.name"].value) == (0.01, 10, "resnet18")


def test_a_link_to_a_run_and_a_set_of_another_kind_still_work():
    run = put_run("finished", **{"train.epochs": 3})
    assert address(open_page("train", run=run.id, again="1"))["train.epochs"] == "3"
    at = open_page("train", dataset="breastmnist", **{"data.target": "nothing", "train.epochs": "4"})
    assert widgets(at)["train.epochs"].value == 4


def test_a_link_may_name_a_recipe_and_change_it():
    drawn = widgets(open_page("train", recipe="quick", **{"train.epochs": "2"}))
    assert (drawn["model.name"].value, drawn["train.epochs"].value) == ("squeezenet1_1", 2)


@pytest.mark.parametrize("given, said", [({"train.epoch": "7"}, "There is no setting called train.epoch."),
                                         ({"train.epochs": "many"}, "train.epochs is 'many'."),
                                         ({"train.epochs": "100000"}, "train.epochs is 100000. It must lie between"),
                                         ({"optim.lr": "nan"}, "Give a finite number"), ({"data.dataset": "x"}, "no setting"),
                                         ({"model.name": "alexnet"}, "There is no network called alexnet."),
                                         ({"train.class_weights": "perhaps"}, "train.class_weights is 'perhaps'"),
                                         ({"data.label_map": "x" * 5000}, "data.label_map is too long")])
@pytest.mark.parametrize("page", ["train", "network"])
def test_what_is_not_understood_is_a_sentence_and_the_default(page, given, said):
    at = open_page(page, dataset="breastmnist", **given)
    assert said in text_of(at).replace("\\", "") and said in text_of(at.run()).replace("\\", "")
    assert not set(given) & set(address(at))
    if page == "train":
        assert can_queue(at)


@pytest.mark.parametrize("page", PAGES)
def test_nothing_in_an_address_breaks_a_page(page):
    rng = random.Random(page)
    junk = ["", "-1", "1e999", "None", "<b>$x$</b>", "\x00", "run:../..", "file:/dev/zero", "9" * 400, "a,b=c", "layer9", "[]",
            "".join(rng.choices(string.printable, k=200))]
    for _ in range(4):
        given = {name: rng.choice(junk) for name in rng.sample(sorted(KNOBS), 12)}
        at = open_page(page, dataset="breastmnist", **{name: value for name, value in given.items() if name != "data.dataset"},
                       **{f"model.{rng.choice(junk)[:20]}": "1"})
        assert len("&".join(f"{name}={value}" for name, value in address(at).items())) < form_address.LENGTH + 100


def test_the_address_stays_short_and_says_what_it_has_no_room_for():
    at = open_page("train", dataset="breastmnist")
    at.session_state["form_of_a_run"] |= {"data.label_map": ", ".join(f"{k}=class {k}" for k in range(200)), "train.epochs": 9}
    at.run()
    assert address(at)["train.epochs"] == "9" and "data.label_map" not in address(at)
    assert "forgets it: edit classes" in text_of(at).replace("\\", "")
