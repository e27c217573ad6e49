"""The page that queues runs: the form is the config, what was typed stays, one press makes one run."""

import threading

import pytest

from core.config import RunConfig, knob_of, knobs
from core.datasets import open_dataset
from core.errors import LightboxError
from core.runs import RunStore
from tests.followed import epoch_record, no_machine, open_page, put_run, start_record, text_of
from tests.tiny import tiny_config, tiny_npz
from ui import forms, outlook
from ui.shell import escape


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    monkeypatch.setattr("ui.loaders.warm_up", threading.current_thread)        # torch is always still on its way
    return no_machine(monkeypatch)


@pytest.fixture
def tiny(tmp_path):
    """The path of a small .npz whose pixels are in the store already."""
    path = tiny_npz(tmp_path)
    open_dataset(tiny_config(path).data)
    return path


def widgets(at) -> dict:
    """Knob -> its widget, for all that the page draws."""
    found = [*at.number_input, *at.selectbox, *at.slider, *at.toggle, *at.text_input]
    return {w.key.removeprefix("knob_").split("~")[0].removesuffix("_as_typed"): w
            for w in found if w.key and w.key.startswith("knob_")}


def recipe_of(at):
    """The pills; their key changes with what is lit."""
    return next(pills for pills in at.pills if pills.key.split("~")[0] == "recipe")


def type_in(at, name: str, value) -> None:
    """What a browser sends when somebody types what is not among the options; AppTest only takes an option."""
    at.session_state["form_of_a_run"][name] = value


def queue(at):
    at.button("queue_run").click().run()
    assert not at.exception, at.exception
    return at


# -------------------------------------------------------------------------------------------------------------------- the form

def test_every_widget_shows_the_default_the_words_and_the_limits_of_its_knob():
    drawn = widgets(open_page("train"))
    elsewhere = {f"augment.{f.name}" for s, f in knobs() if s == "augment"} - {"augment.rotate", "augment.shift", "augment.flip"}
    assert set(drawn) - {"name"} == {f"{s}.{f.name}" for s, f in knobs()} - {"data.dataset", "data.target"} - elsewhere
    for name, widget in drawn.items():
        if name == "name":
            continue
        f = knob_of(name)
        assert widget.value == f.default and type(widget.value) is type(f.default), name
        assert widget.label == (f"{f.metadata['label']} ({f.metadata['unit']})" if f.metadata["unit"] else f.metadata["label"])
        assert widget.proto.help == escape(f.metadata["help"])
        if hasattr(widget, "min"):
            assert (widget.min, widget.max) == (f.metadata["low"], f.metadata["high"]), name


def test_what_is_queued_is_what_the_form_says(tiny, machine):
    at = open_page("train", dataset=str(tiny))
    drawn = widgets(at)
    drawn["data.size"].set_value(28)
    drawn["model.name"].set_value("squeezenet1_1")
    drawn["train.epochs"].set_value(4)
    drawn["optim.lr"].set_value(0.00025)
    drawn["optim.name"].set_value("sgd")
    drawn["augment.rotate"].set_value(10.0)
    drawn["train.class_weights"].set_value(True)
    drawn["name"].set_value("<b>mine</b> $x$")
    queue(at.run())
    assert at.title[0].value == "Runs"
    run, = RunStore().list()
    wanted = {"data.dataset": str(tiny), "data.size": 28, "model.name": "squeezenet1_1", "train.epochs": 4, "optim.lr": 0.00025,
              "optim.name": "sgd", "augment.rotate": 10.0, "train.class_weights": True, "name": "<b>mine</b> $x$"}
    assert run.config == RunConfig().with_(**wanted)
    assert RunStore().queue.waiting() == [(run.id, "cpu")] and set(machine) == {"cpu"}
    assert at.query_params["run"] in (run.id, [run.id])


def test_the_second_click_of_a_double_click_makes_no_second_run(tiny, monkeypatch):
    state = {"queue_token": "a", "form_of_a_run": {"data.dataset": str(tiny)}}
    monkeypatch.setattr(forms.st, "session_state", state)
    forms._queue("a")
    forms._queue("a")                                   # came while the first was at work, with the same button
    assert len(RunStore().list()) == 1 and state["queue_made"] == RunStore().list()[0].id
    forms._queue(state["queue_token"])                  # the button as it was drawn the next time
    assert len(RunStore().list()) == 2


def test_two_tabs_that_press_at_once_make_two_runs(tiny):
    tabs = [open_page("train", dataset=str(tiny)) for _ in range(2)]
    for at in tabs:
        queue(at)
    assert len(RunStore().list()) == len(RunStore().queue.waiting()) == 2


def test_values_outlast_a_change_of_page_and_an_error():
    at = open_page("train")
    widgets(at)["optim.lr"].set_value(0.5)
    at.run()
    type_in(at, "data.size", "huge")
    at.run()
    assert "data.size is 'huge'" in text_of(at).replace("\\", "")
    at.switch_page("screens/train/runs.py").run()
    at.switch_page("screens/train/train.py").run()
    assert widgets(at)["optim.lr"].value == 0.5 and widgets(at)["data.size"].value == "huge"


@pytest.mark.parametrize("name, value, said", [("data.size", "9999", "data.size is 9999. It must lie between 16 and 512."),
                                               ("data.size", "tiny", "data.size is 'tiny'."),
                                               ("train.epochs", 100000, "train.epochs is 100000."),
                                               ("optim.lr", -1.0, "optim.lr is -1.0.")])
def test_a_value_that_is_not_allowed_is_a_sentence_and_no_run(name, value, said):
    at = open_page("train")
    type_in(at, name, value)
    at.run()
    assert not at.exception and said in text_of(at).replace("\\", "")
    assert widgets(at)[name].value == value
    assert "queue_run" not in [b.key for b in at.button] and RunStore().list() == []


def test_a_size_of_ones_own_may_be_typed(tiny, monkeypatch):
    at = open_page("train", dataset=str(tiny))
    with monkeypatch.context() as patch:
        patch.setattr(forms.st, "session_state", {"form_of_a_run": at.session_state["form_of_a_run"]})
        forms._take("data.size", "96")
    queue(at.run())
    assert RunStore().list()[0].config.data.size == 96


@pytest.mark.parametrize("dataset, said", [("nowhere/at/all", "no data set, folder or file"), ("<script>$x$", "<script>$x$"),
                                           ("breastmnits", "Did you mean breastmnist?")])
def test_a_data_set_that_does_not_exist_is_a_sentence(dataset, said):
    at = open_page("train", dataset=dataset)
    assert said in text_of(at).replace("\\", "") and "queue_run" not in [b.key for b in at.button]


def test_a_full_disk_is_said_where_the_button_is(tiny, monkeypatch):
    def full(self, config):
        raise LightboxError("disk.full", "The disk is full.", "Free some space.")
    at = open_page("train", dataset=str(tiny))
    widgets(at)["train.epochs"].set_value(7)
    monkeypatch.setattr(RunStore, "create", full)
    queue(at.run())
    assert at.title[0].value == "Train" and "The disk is full" in text_of(at) and widgets(at)["train.epochs"].value == 7


# ------------------------------------------------------------------------------------------------------------ recipes and runs

@pytest.mark.parametrize("key", forms.RECIPES)
def test_a_recipe_sets_its_fields_and_is_lit(key):
    at = open_page("train")
    recipe_of(at).set_value(key).run()
    drawn = widgets(at)
    kept = at.session_state["form_of_a_run"]                        # some knobs stand on another page
    held = {name: drawn[name].value if name in drawn else kept[name] for name in forms.RECIPES[key].changes}
    assert held == dict(forms.RECIPES[key].changes)
    assert recipe_of(at).value == key
    drawn["train.epochs"].set_value(77)
    assert recipe_of(at.run()).value is None


def test_a_recipe_leaves_nothing_of_another():
    for key in forms.RECIPES:
        RunConfig().with_(**forms.RECIPES[key].changes)             # allowed values
    at = open_page("train")
    recipe_of(at).set_value("careful").run()
    recipe_of(at).set_value("medmnist").run()
    drawn = widgets(at)
    assert drawn["augment.rotate"].value == 0 and drawn["model.weights"].value == "none"
    assert (drawn["optim.name"].value, drawn["optim.lr"].value, drawn["train.batch_size"].value) == ("adam", 1e-3, 128)


def test_a_link_to_a_run_fills_the_form_once():
    run = put_run("finished", [start_record(), epoch_record(1, 0.7)], **{"optim.lr": 0.02})
    at = open_page("train", run=run.id, again="1")
    assert widgets(at)["optim.lr"].value == 0.02 and "run" not in at.query_params
    widgets(at)["optim.lr"].set_value(0.03)
    assert widgets(at.run())["optim.lr"].value == 0.03


def test_going_on_with_another_network_is_advised_against():
    run = put_run("finished", [start_record(), epoch_record(1, 0.7)])
    at = open_page("train", run=run.id)
    assert not at.warning
    widgets(at)["model.name"].set_value("resnet18")
    at.run()
    assert "do not fit a ResNet" in at.warning[0].value.replace("\\", "")
    widgets(at)["data.split_seed"].set_value(5)
    widgets(at)["model.name"].set_value("squeezenet1_1")
    assert "another split" in at.run().warning[0].value


def test_a_link_to_a_run_that_is_gone_is_a_sentence():
    at = open_page("train", run="20200101-000000-0000")
    assert "There is no run 20200101" in text_of(at).replace("\\", "")


# ----------------------------------------------------------------------------------------------------------------- the outlook

def test_the_numbers_beside_the_form(tiny, monkeypatch):
    at = open_page("train", dataset=str(tiny))
    widgets(at)["data.size"].set_value(28)
    widgets(at)["train.batch_size"].set_value(20)
    at.run()
    shown = {m.label: m.value for m in at.metric}
    assert (shown["Training"], shown["Validation"], shown["Test"]) == ("96", "24", "24")
    assert shown["Steps"] == "5"                        # 96 / 20, rounded up
    assert shown["Parameters"] == "11.7 M" and shown["Time"] == "-"
    import torch  # noqa: F401
    monkeypatch.setattr("ui.loaders.warm_up", lambda: threading.Thread())      # has ended
    shown = {m.label: m.value for m in at.run().metric}
    # ResNet-18 without its thousand classes (513,000) and 7x7 colour filters (9,408), with two classes and 3x3 gray filters
    assert shown["Parameters"] == f"{(11_689_512 - 513_000 - 9_408 + 2 * 513 + 64 * 9) / 1e6:.3g} M" == "11.2 M"


def test_counts_of_a_known_set_are_there_before_its_images():
    at = open_page("train", dataset="breastmnist")
    shown = {m.label: m.value for m in at.metric}
    assert (shown["Training"], shown["Validation"], shown["Test"]) == ("546", "78", "156")
    assert "not prepared" in text_of(at)


def test_preparing_the_images_from_the_page(tmp_path):
    at = open_page("train", dataset=str(tiny_npz(tmp_path)))
    assert {m.label: m.value for m in at.metric}["Training"] == "-"
    at.button("prepare").click().run()
    assert not at.exception and {m.label: m.value for m in at.metric}["Training"] == "96"


def test_samples_take_classes_in_turn(tiny):
    data = open_dataset(tiny_config(tiny).data)
    rows = outlook.sample(data, 6)
    assert data.labels[rows].tolist() == [0, 1] * 3 and set(rows) <= set(data.indices("train"))


def test_a_mirror_image_is_warned_of():
    at = open_page("train")
    widgets(at)["augment.flip"].set_value(0.5)
    assert "heart" in at.run().warning[0].value


def test_how_many_wait_is_said():
    put_run("queued")
    put_run("queued")
    assert "2 runs wait there already" in text_of(open_page("train"))


def test_the_device_is_named_in_words(monkeypatch):
    from ui.outlook import name_of
    known = [{"device": "cuda:0", "name": "NVIDIA H200"}, {"device": "cpu", "name": "2 CPU cores"}]
    assert [name_of(d, known) for d in ("cuda:0", "cpu", "cuda:7")] == ["NVIDIA H200 (cuda:0)", "2 CPU cores", "cuda:7"]


def test_a_set_that_cannot_be_opened_leaves_the_foot_of_the_page(tmp_path, monkeypatch):
    """Nothing in it can be read: that shows only when the images are prepared."""
    no_machine(monkeypatch)
    for name in ("a", "b"):
        (tmp_path / "set" / name).mkdir(parents=True)
        (tmp_path / "set" / name / "x.png").write_bytes(b"no image")
    at = open_page("train", dataset=str(tmp_path / "set"))
    at = at.button("prepare").click().run()
    assert "None of the 2 images could be read" in text_of(at).replace("\\", "")
    assert [link.label for link in at.get("page_link")][-1] == "Next: watch it learn"
