"""R001's code of a run, printed and read back."""

import csv
import io
import itertools
import zipfile

import pytest

from core.__main__ import main
from core.config import DataConfig, RunConfig
from core.datasets import open_dataset, open_source
from core.datasets.custom import CustomDataset, save_custom_dataset
from core.datasets.mura import PARTS
from core.errors import LightboxError
from core.evaluation.leaderboard import ungrouped
from core.models import MODELS
from core.report import bundle, contents, report, zip_bundle
from core.report.tables import evaluation_report, predictions_report, reports_of_runs
from core.runs.codes import class_code, name_code, network_code, parse, parts_code, read_parts, run_code
from core.runs.store import RunStore
from core.runs.summary import summarize
from pages.shared import run_feed
from pages.shared.run_table import RUNS, as_csv
from tests import judged
from tests.drawn import run_table
from tests.judged import change_json, open_page, text_of
from tests.test_mura import small

run, trained = judged.run, judged.trained          # fixtures

# Codes as they stand in the reports, the last ones as their tables shorten them: what each says.
WRITTEN = [
    ("DenseNet169_da_0_ts_224_224_t_0_s_1_bs_16_XR_HUMERUS_binary",
     {"model.name": "densenet169", "data.size": 224, "model.freeze": "all", "train.batch_size": 16, "augment.rotate": 0.0},
     "XR_HUMERUS", "binary-class"),
    ("CNN_da_0_ts_224_224_t_1_s_1_bs_8_cl_5_kg_funnel_in_fg_constant_lp_avg_gp_avg_sd_05_fcd_05_all_binary_training",
     {"model.name": "cnn", "model.cnn_layers": 5, "model.cnn_kernels": "funnel_in", "model.cnn_filters": "constant",
      "model.cnn_pool": "avg", "model.cnn_global_pool": "avg", "model.cnn_spatial_dropout": 0.5, "model.dropout": 0.5,
      "train.batch_size": 8, "model.freeze": "none"}, "all", "binary-class"),
    ("CNN da0 bs8 cl5 kg_funnel_in fg_constant lp_avg gp_avg sd05 fcd05 all",
     {"model.name": "cnn", "train.batch_size": 8, "model.cnn_layers": 5, "model.cnn_pool": "avg", "model.dropout": 0.5},
     "all", ""),
    ("DenseNet201 bs4 all", {"model.name": "densenet201", "train.batch_size": 4}, "all", ""),
    ("DenseNet201 da1 bs4 all", {"model.name": "densenet201", "augment.rotate": 30.0, "augment.flip_vertical": 0.5}, "all", ""),
    ("DenseNet169 bs4 WRIST", {"model.name": "densenet169", "train.batch_size": 4}, "WRIST", ""),
    ("DenseNet121 bs32 WRIST", {"model.name": "densenet121", "train.batch_size": 32}, "WRIST", ""),
    ("DenseNet201 bs16 FOREARM", {"model.name": "densenet201", "train.batch_size": 16}, "FOREARM", ""),
]


@pytest.mark.parametrize("code, changes, classname, task", WRITTEN)
def test_the_codes_of_the_report_are_read(code, changes, classname, task):
    parsed = parse(code)
    assert changes.items() <= parsed.changes.items()
    assert (parsed.classname, parsed.task) == (classname, task)


def test_the_code_of_the_report_is_printed_from_its_config():
    config = RunConfig().with_(**{"model.name": "densenet169", "data.size": 224, "model.freeze": "all", "train.batch_size": 16})
    assert name_code(config, "XR_HUMERUS", "binary-class") == "DenseNet169_da_0_ts_224_224_t_0_s_1_bs_16_XR_HUMERUS_binary"


def test_what_is_printed_is_read_back():
    """Every network; and a grid over all that the code can say of a CNN."""
    for name in MODELS:
        for freeze, size, batch, on in itertools.product(("none", "all"), (28, 224), (4, 128), (0, 1)):
            if name == "cnn" and freeze == "all":
                continue
            changes = {"model.name": name, "model.freeze": freeze, "data.size": size, "train.batch_size": batch,
                       **({"augment.rotate": 30.0, "augment.flip": 0.5, "augment.flip_vertical": 0.5} if on else {})}
            config = RunConfig().with_(**changes)
            assert RunConfig().with_(**parse(name_code(config, "XR_HAND", "multi-class")).changes) == config
    words = {"model.cnn_layers": (3, 5, 7), "model.cnn_kernels": ("constant", "funnel_in", "funnel_out"),
             "model.cnn_filters": ("constant", "funnel_in", "funnel_out"), "model.cnn_pool": ("max", "avg", "min"),
             "model.cnn_global_pool": ("max", "avg"), "model.cnn_spatial_dropout": (0.0, 0.5, 0.25), "model.dropout": (0.0, 0.05)}
    for values in itertools.product(*words.values()):
        config = RunConfig().with_(**{"model.name": "cnn", **dict(zip(words, values))})
        parsed = parse(name_code(config, "all", "binary-class"))
        assert RunConfig().with_(**parsed.changes) == config and parsed.classname == "all" and parsed.task == "binary-class"


def test_what_a_code_does_not_say_is_not_invented():
    parsed = parse("DenseNet169_bs_16_XR_HUMERUS_binary")
    assert parsed.changes == {"model.name": "densenet169", "train.batch_size": 16}
    assert "initial weights" in parsed.notes[0]
    before = RunConfig().with_(**{"optim.lr": 0.5, "model.weights": "imagenet", "data.size": 64})
    after = before.with_(**parsed.changes)
    assert (after.optim.lr, after.model.weights, after.data.size) == (0.5, "imagenet", 64)


def test_what_follows_a_comma_is_for_people():
    assert parse("ResNet18_bs_8_all_binary, seed 3, learning rate 0.01") == parse("ResNet18_bs_8_all_binary")


@pytest.mark.parametrize("code, said", [("s_0", "shuffl"), ("t_0", "frozen")])
def test_what_is_read_in_another_way_is_said(code, said):
    assert any(said in sentence for sentence in parse(f"CNN_{code}_bs_8_all").notes)


@pytest.mark.parametrize("code, said", [
    ("", "does not begin with a known network"), ("AlexNet_bs_4_all", "does not begin with a known network"),
    ("ResNet18_ts_224_112_bs_4_all", "224 x 112"), ("ResNet18_bs_4_da_1_all", "da_1"), ("ResNet18_da_2_bs_4_all", "da_2"),
    ("ResNet18_bs_4_cl_5_all", "belong to the network CNN only"), ("ResNet18_bs_100000_all", "train.batch_size is 100000"),
    ("CNN_bs_4_cl_5_kg_sideways_all", "kg_sideways"), ("ResNet180_bs_4_all", "does not begin with a known network"),
])
def test_a_code_that_is_none_is_a_sentence(code, said):
    with pytest.raises(LightboxError) as raised:
        parse(code)
    assert said in str(raised.value)


def test_names_of_sets_and_networks_can_be_written():
    assert [class_code(name) for name in ("XR_HAND", "/data/My set.npz", "breastmnist", "/a/b/", "???")] == [
        "XR_HAND", "My-set", "breastmnist", "b", "images"]
    assert len({network_code(name).lower() for name in MODELS}) == len(MODELS)
    assert [network_code(name) for name in ("densenet169", "squeezenet1_1", "own_resnet18")] == [
        "DenseNet169", "SqueezeNet1_1", "OwnResNet18"]
    assert parse(name_code(RunConfig().with_(**{"data.dataset": "/x/t_cell.npz"}))).classname == "t_cell"


# ------------------------------------------------------------------------------------------------ the same everywhere

def test_parts_of_the_body_are_written_as_in_the_report_and_read_back():
    assert parts_code(PARTS) == "all_classes"
    assert [parts_code([part]) for part in PARTS] == [f"XR_{part.upper()}" for part in PARTS]
    subsets = [parts for n in range(1, 8) for parts in itertools.combinations(PARTS, n)]
    assert len({parts_code(parts) for parts in subsets}) == 127                   # 2^7 - 1: no two say the same
    for parts in subsets:
        parsed = parse(name_code(RunConfig(), parts_code(parts[::-1]), "binary-class"))
        assert (parsed.parts, parsed.task) == (parts, "binary-class")
    assert [read_parts(word) for word in ("all", "WRIST", "xr_wrist", "breastmnist", "my_wrist", "")] == [
        PARTS, ("wrist",), ("wrist",), (), (), ()]


def test_a_set_of_mura_knows_its_parts_before_and_after_a_run_has_started(tmp_path):
    """The small copy of MURA has elbow, hand and wrist; an added set may be narrowed to one of them."""
    root = small(tmp_path)
    save_custom_dataset(CustomDataset("wrists", "Wrists", "mura", str(root), {"parts": ["wrist"]}))
    for dataset, word in ((str(root), "XR_ELBOW_HAND_WRIST"), ("wrists", "XR_WRIST"), ("breastmnist", "breastmnist")):
        config = RunConfig().with_(**{"data.dataset": dataset})
        assert run_code(config, {}) == name_code(config, word)
    data = open_dataset(DataConfig("wrists", size=28))
    assert data.source.body_parts == ("wrist",) and open_source(DataConfig(str(root))).body_parts == ("elbow", "hand", "wrist")
    config = RunConfig().with_(**{"data.dataset": "wrists"})
    root.rename(tmp_path / "elsewhere")                                  # what a run noted at its start counts
    assert run_code(config, {"body_parts": ["wrist"], "task": "binary-class"}) == name_code(config, "XR_WRIST", "binary-class")
    assert run_code(config, {}) == name_code(config)


def test_a_run_has_one_code_wherever_it_stands(run, capsys):
    change_json(run, "config", name="planted")
    change_json(run, "data", body_parts=list(PARTS))
    code = "SqueezeNet1_1_da_0_ts_28_28_t_1_s_1_bs_16_all_classes_binary"
    assert run.code == summarize(run).code == code
    assert main(["name", run.id]) == 0 and capsys.readouterr().out.strip() == code
    what = contents(run)
    for table in (evaluation_report, predictions_report):
        assert {row["code"] for row in csv.DictReader(io.StringIO(table(what)))} == {code}
    assert code in report(what) and zip_bundle.file_name(run, ".zip") == f"{code}_{run.id}.zip"
    with zipfile.ZipFile(io.BytesIO(bundle(run))) as packed:
        assert {name.split("/")[0] for name in packed.namelist()} == {code}
    evaluation, predictions = reports_of_runs([run]).values()
    assert next(csv.DictReader(io.StringIO(evaluation)))["code"] == code
    assert f"{code}_{run.id} predicted" in predictions.splitlines()[0]
    at = open_page("runs", run=run.id)
    assert code in text_of(at)
    rows, = csv.DictReader(io.StringIO(as_csv(RUNS, ungrouped(run_feed.all_runs(RunStore())))))
    assert rows["Code"] == code
    at = open_page("compare")
    at.session_state["compare_table"] |= {"columns": ["code"]}
    shown = run_table(at.run())
    place = [column["key"] for column in shown["columns"]].index("code") - 1
    assert shown["rows"][0]["cells"][place]["text"] == code



def test_a_network_has_one_name_on_pages(run):
    at = open_page("runs", run=run.id)
    settings = next(d.value for d in at.dataframe if "setting" in d.value)
    assert settings.set_index("setting")["value"]["Network"] == "SqueezeNet 1.1"
    at = open_page("compare")
    at.session_state["compare_table"] |= {"columns": ["network"]}
    cells = run_table(at.run())["rows"][0]["cells"]
    assert cells[0]["small"].startswith("SqueezeNet 1.1, 28 px") and cells[1] == {"text": "SqueezeNet 1.1"}
    assert "SqueezeNet 1.1" in report(run) and "squeezenet1_1" not in report(run).partition("Full configuration")[0]
    assert summarize(run).matches("squeezenet 1.1") and summarize(run).matches("squeezenet1_1")
