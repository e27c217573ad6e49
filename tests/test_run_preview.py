"""The preview beside the form: numbers, time, and what the preflight checks warn of."""

import threading

import pytest

from core.config import RunConfig
from core.datasets import open_dataset
from core.runs.recipes import apply
from core.runs.store import RunStore
from pages.shared import preview
from pages.shared.preflight import Facts, warnings_of
from tests import train_form
from tests.followed import epoch_record, no_machine, open_page, put_run, start_record, text_of
from tests.tiny import tiny_config, tiny_npz
from tests.train_form import choose_recipe, type_in, widgets

machine, tiny = train_form.machine, train_form.tiny          # fixtures


# ---------------------------------------------------------------------------------------------------------------- the preview

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
    monkeypatch.setattr("pages.shared.open_data.warm_up", lambda: threading.Thread())      # has ended
    shown = {m.label: m.value for m in at.run().metric}
    # ResNet-18 without its thousand classes (513,000) and 7x7 colour filters (9,408), with two classes and 3x3 gray filters
    assert shown["Parameters"] == f"{(11_689_512 - 513_000 - 9_408 + 2 * 513 + 64 * 9) / 1e6:.3g} M" == "11.2 M"


def test_a_learning_rate_can_be_looked_for_where_the_form_makes_sense():
    at = open_page("train")
    assert "find_lr" in [b.key for b in at.button]
    type_in(at, "optim.lr", -1.0)
    assert "find_lr" not in [b.key for b in at.run().button]


def test_counts_of_a_known_set_are_there_before_its_images():
    at = open_page("train", dataset="breastmnist")
    shown = {m.label: m.value for m in at.metric}
    assert (shown["Training"], shown["Validation"], shown["Test"]) == ("546", "78", "156")
    assert "not prepared" in text_of(at)


def test_preparing_the_images_from_the_page(tmp_path):
    at = open_page("train", dataset=str(tiny_npz(tmp_path)))
    assert {m.label: m.value for m in at.metric}["Training"] == "96" and "not prepared" in text_of(at)
    at.button("prepare").click().run()
    assert not at.exception and {m.label: m.value for m in at.metric}["Training"] == "96"


def test_samples_take_classes_in_turn(tiny):
    data = open_dataset(tiny_config(tiny).data)
    rows = preview.sample(data, 6)
    assert data.labels[rows].tolist() == [0, 1] * 3 and set(rows) <= set(data.indices("train"))


@pytest.mark.parametrize("changes, said", [
    ({"model.freeze": "all"}, "stay random"),
    ({"model.freeze": "all", "model.weights": "imagenet", "model.unfreeze_epoch": 10}, "Unfreezing after 10 epochs"),
    ({"train.snapshots": 11}, "each of the 10 epochs is kept"),
    ({"train.snapshots": 5, "train.patience": 3}, "only those up to the last epoch are kept"),
    ({"train.snapshots": 5, "optim.schedule": "cyclic", "optim.cycles": 2}, "choose 2 snapshots"),
    ({"train.patience": 10}, "Early stopping after 10 epochs never happens"),
    ({"train.class_weights": True, "train.sampling": "balanced"}, "only one of them"),
    ({"augment.flip_vertical": 0.5}, "diaphragm above the lungs"),
    ({"model.weights": "imagenet"}, "ImageNet weights for ResNet-18 are not on this machine"),
    ({"data.split": "image"}, "ignores patients"),
])
def test_what_seldom_ends_well_is_said(changes, said, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert warnings_of(Facts(RunConfig())) == ()
    assert any(said in sentence for sentence in warnings_of(Facts(RunConfig().with_(**changes))))


def test_what_depends_on_the_images_and_the_machine_is_said(tiny):
    data = open_dataset(tiny_config(tiny).data)
    data.labels[data.indices("train")] = 0
    config = tiny_config(tiny, **{"train.monitor": "accuracy", "train.batch_size": 100})
    said = " ".join(warnings_of(Facts(config, data, 96, lambda n: 3e6 * n, 2 * 10**8)))
    assert "100% of the training images are" in said and "not by accuracy" in said
    assert "100 images needs about 300 MB; the device has 200 MB. A batch size of 32 fits" in said
    assert "larger than the training set (96 images)" in said
    rare = " ".join(warnings_of(Facts(config.with_(**{"train.monitor": "roc_auc", "train.batch_size": 16}), data, 96)))
    assert "Class weights or balanced sampling" in rare and "MB" not in rare


def test_random_numbers_instead_of_weights_that_are_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    at = choose_recipe(open_page("train"), "r004-resnet18")
    assert "checkpoints/resnet18-f37072fd.pth" in text_of(at).replace("\\", "")
    at.button("from_random").click().run()
    drawn = widgets(at)
    assert (drawn["model.weights"].value, drawn["model.freeze"].value) == ("none", "none")
    assert "from_random" not in [b.key for b in at.button]


def test_a_mirror_image_is_warned_of():
    at = open_page("train")
    widgets(at)["augment.flip"].set_value(0.5)
    assert "heart" in at.run().warning[0].value


def test_how_many_wait_is_said():
    put_run("queued")
    put_run("queued")
    assert "2 runs already in the queue" in text_of(open_page("train"))


def test_the_device_is_named_in_words(monkeypatch):
    from pages.shared.preview import name_of
    known = [{"device": "cuda:0", "name": "NVIDIA H200"}, {"device": "cpu", "name": "2 CPU cores"}]
    assert [name_of(d, known) for d in ("cuda:0", "cpu", "cuda:7")] == ["NVIDIA H200 (cuda:0)", "2 CPU cores", "cuda:7"]


def test_a_set_that_cannot_be_opened_leaves_the_foot_of_the_page(tmp_path, monkeypatch):
    """Nothing in it can be read: that shows only when the images are prepared."""
    no_machine(monkeypatch)
    for name in ("a", "b"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for k in range(8):
            (tmp_path / "set" / name / f"{k}.png").write_bytes(b"no image")
    at = open_page("train", dataset=str(tmp_path / "set"))
    at = at.button("prepare").click().run()
    assert "None of the 16 images could be read" in text_of(at).replace("\\", "")
    assert [link.label for link in at.get("page_link")][-1] == "Next: watch it learn"


def test_the_time_of_a_grid_is_that_of_its_runs(monkeypatch):
    run = put_run("finished", [start_record(), epoch_record(1, 0.7, seconds=4.0)])
    from pages.shared import run_feed
    from tests.followed import CPU
    rows = run_feed.all_runs(RunStore())
    like = run.config.with_(**{"train.epochs": 10})
    frozen = like.with_(**{"model.freeze": "all"})                    # is of another speed
    seconds, unknown = preview.time_of_all([like, like, frozen], CPU["devices"], rows[0].n_train, rows)
    assert (seconds, unknown) == (pytest.approx(80.0), 1)


def test_another_networks_speed_gives_a_range_or_nothing(monkeypatch):
    """Twice the arithmetic takes twice as long; a network of a thousandth, or an epoch of a moment, says nothing."""
    from pages.shared import run_feed
    flops = {"slow": 2e8, "fast": 1e8, "tiny": 1e5}
    for tag, seconds in (("slow", 40.0), ("fast", 10.0), ("tiny", 40.0), ("fast", 0.5)):
        put_run("finished", [start_record(), epoch_record(1, 0.7, seconds=seconds)], tags=(tag,))
    rows = run_feed.all_runs(RunStore())
    monkeypatch.setattr(preview, "_flops_of", lambda run_id: flops[RunStore().get(run_id).notes().tags[0]])
    config = rows[0].config.with_(**{"model.name": "vgg16", "train.epochs": 3})
    text, note = preview.time_hint(config, rows[0].device, rows[0].n_train, rows, int(2e8))
    # an epoch takes 20 s at the speed of the fast one, 40 s at that of the slow one; half to twice of that
    assert text == f"{preview.format_seconds(3 * 20 / 2)} to {preview.format_seconds(3 * 40 * 2)}" and "2 runs" in note
    assert preview.time_hint(config, rows[0].device, rows[0].n_train, rows, int(1e12))[0] == "-"


def test_weights_that_know_the_task_already_are_said_to(monkeypatch):
    quick = apply(RunConfig(), "quick").with_(**{"data.dataset": "phantom"})

    def said(config):
        return [one for one in warnings_of(Facts(config)) if "trained for this very task" in one]
    body_part = quick.with_(**{"data.target": "body_part"})                    # weights/phantom-body-part/config.json
    assert len(said(body_part)) == 1 and "choose the task Normal or abnormal" in said(body_part)[0]
    assert not said(quick) and not said(quick.with_(**{"data.target": "abnormality"}))          # the set's first task is another
    assert not said(body_part.with_(**{"data.dataset": "breastmnist", "data.target": ""}))
    assert not said(body_part.with_(**{"model.weights": "none"}))
    run = put_run("finished", [start_record(), epoch_record(1, 0.7)])
    own = run.config.with_(**{"model.weights": f"run:{run.id}"})
    assert "use Train longer on the page Runs" in said(own)[0]
    at = choose_recipe(open_page("train"), "quick")
    assert "from_random" not in [b.key for b in at.button]
    at.session_state["form_of_a_run"]["data.target"] = "body_part"
    at.run().button("from_random").click().run()
    assert widgets(at)["model.weights"].value == "none" and "very task" not in text_of(at)
