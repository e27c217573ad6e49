"""The page that queues runs: the form is the config, what was typed stays, one press makes one run."""


import pytest

from core.config import KNOBS, Knob, RunConfig, TrainConfig
from core.errors import LightboxError
from core.runs.recipes import RECIPES, changes_of
from core.runs.store import RunStore
from pages.shared import config_form, preview
from pages.shared.layout import escape
from pages.train import queue_button, sweep
from tests import train_form
from tests.followed import CPU, epoch_record, open_page, put_run, start_record, text_of
from tests.train_form import by_key, can_queue, choose_recipe, queue, recipe_of, type_in, widgets

machine, tiny = train_form.machine, train_form.tiny          # fixtures


# -------------------------------------------------------------------------------------------------------------------- the form

# What must be chosen before a knob means anything and is shown.
STATES = [{}, {"model.name": "cnn"}, {"model.name": "densenet121", "model.weights": "imagenet", "model.freeze": "all"},
          {"optim.name": "sgd", "optim.schedule": "every"}, {"train.loss": "focal", "data.folds": 5},
          {"model.freeze": "all", "model.unfreeze_epoch": 3},
          {"optim.schedule": "cyclic"}, {"data.unit": "study", "data.view_column": "view"}]


def test_every_knob_can_be_chosen_and_shows_the_default_the_words_and_the_limits_of_the_config():
    seen = set()
    at = open_page("train")
    for state in STATES:
        at.session_state["form_of_a_run"] = {"data.dataset": "phantom", **state}
        drawn = widgets(at.run())
        assert not at.exception
        seen |= set(drawn)
        for name, widget in drawn.items():
            if name in ("name", "data.target"):              # has no knob; is the set's first task
                continue
            knob = KNOBS[name]
            wanted = state.get(name, knob.default)
            assert widget.value == wanted and type(widget.value) is type(wanted), name
            assert widget.label == knob.title and widget.proto.help == escape(knob.help)
            if hasattr(widget, "min"):
                assert (widget.min, widget.max) == (knob.low, knob.high), name
    seen |= {"data.only"}                                   # only where a set has columns with few values: see the grid below
    assert seen - {"name"} == {name for name, knob in KNOBS.items() if knob.group not in ("header", "augment")}


def test_a_new_knob_appears_in_the_form_and_in_the_grid_by_itself(monkeypatch):
    """Nothing but the table names it: a slider in the open group, and a menu in a folded one, once its condition holds."""
    monkeypatch.setitem(KNOBS, "train.ema", Knob(0.5, "Weight averaging", "Decay.", low=0.0, high=1.0, step=0.1,
                                                 group="training", name="train.ema", grid=(0.5, 0.9)))
    monkeypatch.setitem(KNOBS, "train.sam", Knob("off", "SAM", "Sharpness.", choices={"off": "Off", "on": "On"}, group="train",
                                                 name="train.sam", shown_if={"train.loss": "focal"}))
    for name, default in (("ema", 0.5), ("sam", "off")):
        monkeypatch.setattr(TrainConfig, name, default, raising=False)
    at = open_page("train")
    drawn = widgets(at)
    assert (drawn["train.ema"].label, drawn["train.ema"].value) == ("Weight averaging", 0.5) and "train.sam" not in drawn
    at.session_state["form_of_a_run"]["train.loss"] = "focal"
    assert widgets(at.run())["train.sam"].options == ["Off", "On"]
    by_key(at, "multiselect", "grid_fields").set_value(["train.ema"]).run()
    assert by_key(at, "multiselect", "grid_train.ema").options == ["0.5", "0.9"]


def test_what_has_no_effect_is_not_shown():
    def shown(**state) -> set:
        at.session_state["form_of_a_run"] = {"data.dataset": "phantom", **{k.replace("__", "."): v for k, v in state.items()}}
        return set(widgets(at.run()))
    at = open_page("train")
    plain = shown()
    assert not {"model.cnn_layers", "model.blocks", "optim.momentum", "optim.every", "optim.factor", "train.focal_gamma",
                "model.unfreeze_epoch", "data.fold", "train.copies", "optim.backbone_lr"} & plain
    cnn = shown(model__name="cnn")
    assert cnn - plain == set(config_form.names_in("cnn")) and "model.stem" not in cnn
    assert shown(optim__schedule="every") - plain == {"optim.every", "optim.factor"}
    cyclic = shown(optim__schedule="cyclic")
    assert cyclic - plain == {"optim.cycles"} and plain - cyclic == {"optim.warmup"}
    assert shown(optim__name="sgd") - plain == {"optim.momentum"}
    assert plain - shown(optim__schedule="one_cycle") == {"optim.warmup"}
    assert plain - shown(data__folds=5) == {"data.val_fraction"}


def test_a_folded_group_says_what_of_it_is_not_at_its_default():
    at = open_page("train")
    assert any(e.label.endswith(escape(": default")) for e in at.expander)
    at.session_state["form_of_a_run"] |= {"model.head": "mlp", "model.dropout": 0.5}
    assert any(escape("head MLP (1024, 512), dropout 0.5") in e.label for e in at.run().expander)


def test_another_network_has_other_stages():
    at = open_page("train")
    at.session_state["form_of_a_run"] |= {"model.freeze": "layer2", "model.cut": "layer3"}
    drawn = widgets(at.run())
    assert drawn["model.freeze"].value == "layer2"
    drawn["model.name"].set_value("resnet50")
    assert widgets(at.run())["model.freeze"].value == "layer2"
    widgets(at)["model.name"].set_value("densenet121")
    drawn = widgets(at.run())
    assert (drawn["model.freeze"].value, drawn["model.cut"].value) == ("none", "")


def test_weights_from_a_file_are_a_path_that_is_typed():
    at = open_page("train")
    widgets(at)["model.weights"].set_value("file:")
    by_key(at.run(), "text_input", "weights_file").set_value(" /data/chexnet.safetensors ")
    assert widgets(at.run())["model.weights"].value == "file:/data/chexnet.safetensors"
    assert by_key(at, "text_input", "weights_file").value == "/data/chexnet.safetensors"


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


def test_the_second_click_of_a_double_click_makes_no_second_run_and_no_second_grid(tiny, monkeypatch):
    state = {"run_token": "a", "grid_token": "a", "form_of_a_run": {"data.dataset": str(tiny)}, "grid_train.seed": [1, 2]}
    monkeypatch.setattr(config_form.st, "session_state", state)
    for key, create, made in (("run", lambda store: store.create(config_form.read()).id, 1), ("grid", sweep.create_runs, 2)):
        before = len(RunStore().list())
        queue_button.press(key, "a", create)
        queue_button.press(key, "a", create)                  # came while the first was at work, with the same button
        assert len(RunStore().list()) == before + made and state["queue_made"] in {run.id for run in RunStore().list()}
        queue_button.press(key, state[f"{key}_token"], create)             # the button as it was drawn the next time
        assert len(RunStore().list()) == before + 2 * made


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
    at.switch_page("runs/page.py").run()
    at.switch_page("train/page.py").run()
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
    assert not can_queue(at) and RunStore().list() == []
    assert at.button("mend").label == escape(f"Set {KNOBS[name].label.lower()} to {config_form.words(name, KNOBS[name].default)}")
    at.button("mend").click().run()
    assert widgets(at)[name].value == KNOBS[name].default and can_queue(at)


def test_a_size_of_ones_own_may_be_typed(tiny, monkeypatch):
    at = open_page("train", dataset=str(tiny))
    with monkeypatch.context() as patch:
        patch.setattr(config_form.st, "session_state", {"form_of_a_run": at.session_state["form_of_a_run"]})
        config_form._edit("data.size", "96")
    queue(at.run())
    assert RunStore().list()[0].config.data.size == 96


def test_images_open_at_their_own_size_and_are_not_enlarged_unasked(tiny):
    at = open_page("train", dataset=str(tiny))                    # 28 px
    size = widgets(at)["data.size"]
    assert size.value == 28 and size.options == ["28 (original size)"] and "data.size" not in at.query_params
    choose_recipe(at, "quick")
    assert "28 px: enlarged to 64 px they show no more and take about 5 times as long" in text_of(at).replace("\\", "")
    at = open_page("train", dataset=str(tiny), **{"data.size": "64"})
    assert widgets(at)["data.size"].value == 64, "a link says what was chosen"
    at = open_page("train", dataset="breastmnist")                # not on this disk: the smallest file is fetched unasked
    assert widgets(at)["data.size"].value == 28 and len(widgets(at)["data.size"].options) == 4
    by_key(at, "selectbox", "chip_dataset").set_value("phantom").run()
    assert widgets(at)["data.size"].value == 64 == KNOBS["data.size"].default


@pytest.mark.parametrize("dataset, said", [("nowhere/at/all", "no data set, folder or file"), ("<script>$x$", "<script>$x$"),
                                           ("breastmnits", "Did you mean breastmnist?")])
def test_a_data_set_that_does_not_exist_is_a_sentence(dataset, said):
    at = open_page("train", dataset=dataset)
    assert said in text_of(at).replace("\\", "") and not can_queue(at)


def test_a_full_disk_is_said_where_the_button_is(tiny, monkeypatch):
    def full(self, config):
        raise LightboxError("disk.full", "The disk is full.", "Free some space.")
    at = open_page("train", dataset=str(tiny))
    widgets(at)["train.epochs"].set_value(7)
    monkeypatch.setattr(RunStore, "create", full)
    queue(at.run())
    assert at.title[0].value == "Train" and "The disk is full" in text_of(at) and widgets(at)["train.epochs"].value == 7


# ------------------------------------------------------------------------------------------------------------ recipes and runs

@pytest.mark.parametrize("key", ["quick", "r000-densenet169", "r001-cnn", "r002-resnet18-simple", "r004-cut-20"])
def test_a_recipe_sets_its_fields_and_is_lit(key):
    at = choose_recipe(open_page("train"), key)
    assert not at.exception
    kept, drawn = at.session_state["form_of_a_run"], widgets(at)
    assert {name: kept[name] for name in changes_of(key)} == changes_of(key)
    assert {name: drawn[name].value for name in changes_of(key) if name in drawn}.items() <= kept.items()
    group = RECIPES[key].report
    assert recipe_of(at, group).value == key and escape(RECIPES[key].help) in [c.value for c in at.caption]
    drawn["train.epochs"].set_value(77)
    assert recipe_of(at.run(), group).value is None


def test_no_recipe_looks_chosen_where_none_was_loaded():
    at = open_page("train")
    assert [recipe_of(at, group).value for group in ("", "R000")] == [None, None]
    choose_recipe(at, "r001-cnn")
    assert [recipe_of(at, group).value for group in ("", "R000")] == [None, "r001-cnn"]
    assert escape("report R001") not in "".join(pill for pills in at.pills for pill in pills.options)


def test_a_recipe_leaves_nothing_of_another_and_keeps_the_data(tiny):
    at = open_page("train", dataset=str(tiny))
    choose_recipe(at, "careful")
    choose_recipe(at, "medmnist")
    drawn = widgets(at)
    assert drawn["augment.rotate"].value == 0 and drawn["model.weights"].value == "none"
    assert (drawn["optim.name"].value, drawn["optim.lr"].value, drawn["train.batch_size"].value) == ("adam", 1e-3, 128)
    queue(at)
    assert RunStore().list()[0].config == RunConfig().with_(**{"data.dataset": str(tiny)} | changes_of("medmnist"))


def test_a_recipe_of_mura_runs_on_the_phantom_with_one_click_more():
    at = choose_recipe(open_page("train", dataset="breastmnist"), "r001-densenet169")
    assert "accuracy 0.722, kappa 0.436" in text_of(at).replace("\\", "")
    at.button("recipe_set_phantom-mura").click().run()
    kept = at.session_state["form_of_a_run"]
    assert (kept["data.dataset"], kept["data.target"], kept["model.name"]) == ("phantom-mura", "abnormality", "densenet169")
    assert at.query_params["dataset"] in ("phantom-mura", ["phantom-mura"])
    assert "recipe_set" not in str([b.key for b in at.button])


def test_a_recipe_done_right_is_the_same_without_the_mistakes():
    at = choose_recipe(open_page("train"), "r000-resnet50")
    assert at.session_state["form_of_a_run"]["data.split"] == "image"
    by_key(at, "toggle", "recipe_corrected").set_value(True).run()
    kept = at.session_state["form_of_a_run"]
    right = changes_of("r000-resnet50", corrected=True)
    assert {name: kept[name] for name in right} == right
    assert by_key(at, "toggle", "recipe_corrected").value is True and recipe_of(at, "R000").value == "r000-resnet50"
    assert kept["data.target"] == "body_part"


def test_the_code_of_a_run_fills_the_form_or_is_a_sentence():
    at = open_page("train")
    by_key(at, "text_input", "recipe_code").set_value("DenseNet169_da_0_ts_224_224_t_0_s_1_bs_16_XR_HUMERUS_binary").run()
    drawn = widgets(at)
    said = {"model.name": "densenet169", "data.size": 224, "train.batch_size": 16, "model.freeze": "all"}
    assert {name: drawn[name].value for name in said} == said
    assert "trained on XR_HUMERUS" in text_of(at).replace("\\", "")
    by_key(at, "text_input", "recipe_code").set_value("AlexNet_bs_4").run()
    assert "does not begin with a known network" in text_of(at)
    assert by_key(at, "text_input", "recipe_code").value == "AlexNet_bs_4"


# ------------------------------------------------------------------------------------------------------------------- the grid

def test_a_link_to_a_run_fills_the_form_once():
    run = put_run("finished", [start_record(), epoch_record(1, 0.7)], **{"optim.lr": 0.02})
    at = open_page("train", run=run.id, again="1")
    assert widgets(at)["optim.lr"].value == 0.02 and "run" not in at.query_params
    widgets(at)["optim.lr"].set_value(0.03)
    assert widgets(at.run())["optim.lr"].value == 0.03


def test_without_a_gpu_the_first_button_trains_a_quick_network(tiny, monkeypatch):
    at = open_page("train", dataset=str(tiny))
    first = next(b for b in at.button if b.proto.type == "primary")
    # 96 images, 5 epochs, 28 of 64 px: 96 * 5 * (28 / 64)^2 / 58 = 1.6 s
    assert first.key == "queue_quick" and first.label.replace("\\", "") == "Train a quick network (about 10 s)"
    assert at.button("queue_run").proto.type == "secondary"
    first.click().run()
    assert at.title[0].value == "Runs"
    recipe = {name: value for name, value in changes_of("quick").items() if name != "data.size"}
    config = RunStore().list()[0].config
    assert {name: config.get(name) for name in recipe} == recipe and config.data.size == 28 and config.data.dataset == str(tiny)

    at = open_page("train", dataset=str(tiny))
    widgets(at)["train.epochs"].set_value(3)                      # from here on the form is the person's
    assert "queue_quick" not in [b.key for b in at.run().button] and at.button("queue_run").proto.type == "primary"
    at = open_page("train", dataset="phantom")
    assert "(1 min to 5 min)" in at.button("queue_quick").label   # 1,695 images, 5 epochs: 73 to 292 s
    at.session_state["form_of_a_run"]["data.target"] = "body_part"
    assert "queue_quick" not in [b.key for b in at.run().button], "its weights know that task already"
    monkeypatch.setattr("pages.shared.preview.devices", lambda: [{"device": "cuda:0", "name": "GPU", "memory_bytes": None},
                                                                 *CPU["devices"]])
    monkeypatch.setattr("core.runs.preflight.machine", lambda: {"devices": preview.devices()})
    at = open_page("train", dataset="phantom")
    assert "queue_quick" not in [b.key for b in at.button] and at.button("queue_run").proto.type == "primary"


def test_a_link_to_a_run_that_is_gone_is_a_sentence():
    at = open_page("train", run="20200101-000000-0000")
    assert "There is no run 20200101" in text_of(at).replace("\\", "")
