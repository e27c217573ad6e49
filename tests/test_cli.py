"""The command line as a script relies on it: a real process, its last line, its exit code, its JSON."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.metrics import confusion_matrix, roc_auc_score

from core.__main__ import parser
from core.errors import LightboxError
from core.evaluation.decision import chosen_for
from core.evaluation.predictions import load_predictions
from core.evaluation.thresholds import freeze, unfreeze
from core.metrics.operating_points import Threshold
from core.runs.store import RunStore
from tests.judged import plant
from tests.tiny import tiny_npz


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


def lightbox(place: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess:
    answer = subprocess.run([sys.executable, "-m", "core", *map(str, words)], capture_output=True, text=True,
                            cwd=Path(__file__).parents[1],
                            env={**os.environ, "LIGHTBOX_HOME": str(place), "OMP_NUM_THREADS": "1"})
    assert answer.returncode == code, answer.stderr[-3000:]
    return answer


@pytest.fixture(scope="module")
def run_id(place):
    answer = lightbox(place, "train", "--dataset", tiny_npz(place), "--model", "squeezenet1_1", "--size", 28, "--epochs", 4,
                      "--seed", 3, "--device", "cpu", "--set", "train.batch_size=16", "--set", "train.threads=1")
    assert "epoch 4/4" in answer.stderr or "finished" in answer.stderr
    return answer.stdout.strip().splitlines()[-1]


@pytest.fixture
def images(tmp_path):
    image = np.full((40, 60), 30, np.uint8)
    image[10:20, 10:20] = 255
    cv2.imwrite(str(tmp_path / "good.png"), image)
    (tmp_path / "bad.png").write_text("this is a letter, not a picture")
    return tmp_path


def test_datasets_lists_the_phantom_and_the_twelve(place):
    infos = {info["name"]: info for info in json.loads(lightbox(place, "datasets", "--json").stdout)}
    assert infos["phantom"]["available"] and len(infos) == 14
    assert infos["breastmnist"]["counts"] == {"train": 546, "val": 78, "test": 156}
    assert "phantom" in lightbox(place, "datasets").stdout


def test_train_prints_the_id_of_a_finished_run_with_the_settings_given(place, run_id):
    run = RunStore(place).get(run_id)
    config = run.config
    assert run.status().state == "finished"
    assert (config.train.seed, config.train.epochs, config.train.batch_size, config.data.size) == (3, 4, 16, 28)


@pytest.mark.parametrize("split", ["val", "test"])
def test_evaluate_equals_scikit_learn(place, run_id, split):
    result = json.loads(lightbox(place, "evaluate", run_id, "--split", split, "--json").stdout)
    found = load_predictions(RunStore(place).get(run_id), split)
    assert result["n"] == 24
    assert result["accuracy"] == pytest.approx((found.probs.argmax(1) == found.labels).mean())
    assert result["roc_auc"] == pytest.approx(roc_auc_score(found.labels, found.probs[:, 1]))
    assert result["confusion_matrix"] == confusion_matrix(found.labels, found.probs.argmax(1)).tolist()
    assert "rows: true class" in lightbox(place, "evaluate", run_id, "--split", split).stdout


def test_explain_writes_a_picture(place, run_id, images):
    lightbox(place, "explain", run_id, images / "good.png", "--target", "1", "--out", images / "map.png")
    assert cv2.imread(str(images / "map.png")).shape == (28, 28, 3)
    answer = lightbox(place, "explain", run_id, images / "good.png", "--layer", "nowhere", "--out", images / "x.png", code=2)
    assert "network.features" in answer.stderr and "Traceback" not in answer.stderr
    answer = lightbox(place, "explain", run_id, images / "good.png", "--layer", "network", "--out",
                      images / "x.png", code=2)
    assert "Traceback" not in answer.stderr and "--layer" in answer.stderr


def test_explain_takes_any_method_and_compares_two_classes(place, run_id, images, monkeypatch, capsys):
    from core.__main__ import main  # in this process: four starts of torch would take longer than this
    monkeypatch.setenv("LIGHTBOX_HOME", str(place))
    said = []
    for how in ([], ["--method", "occlusion"], ["--method", "occlusion", "--against", "1"]):
        assert main(["explain", run_id, str(images / "good.png"), "--target", "0", "--out", str(images / "m.png"), *how]) == 0
        said.append(capsys.readouterr().out)
    plain, covered, compared = said
    assert "Grad-CAM, why 0 (" in plain and "logits" in plain
    assert "Occlusion, why 0 (" in covered and "the lowest" in covered and "why 0 and not 1" in compared
    assert covered.split("value is")[1] != compared.split("value is")[1]


def test_explain_writes_the_maps_of_a_split(place, run_id, images, monkeypatch, capsys):
    from core.__main__ import main
    monkeypatch.setenv("LIGHTBOX_HOME", str(place))
    run = RunStore(place).get(run_id)
    opened = run.times_test_opened()
    assert main(["explain", run_id, "--split", "val", "--out", str(images / "maps")]) == 0
    rows = list(csv.DictReader(open(images / "maps" / "maps.csv")))
    assert len(rows) == run.data()["n"]["val"] == len(list((images / "maps").glob("*.png")))
    stored = load_predictions(run, "val")
    place_of = {name: k for k, name in enumerate(stored.image_ids)}
    for row in rows:
        k = place_of[row["image_id"]]
        assert row["explained"] == str(stored.probs[k].argmax()) and row["true"] == str(stored.labels[k])
        assert float(row["probability"]) == pytest.approx(stored.probs[k].max(), abs=2e-3)
        assert cv2.imread(str(images / "maps" / row["file"])) is not None
    assert run.times_test_opened() == opened
    capsys.readouterr()
    assert main(["explain", run_id, "--out", "x.png"]) == main(["explain", run_id, "a.png", "--split", "val", "--out", "x"]) == 2
    assert "--split val or test" in capsys.readouterr().err


def test_predict_gives_a_bad_file_its_own_error_column(place, run_id, images):
    text = lightbox(place, "predict", run_id, images / "good.png", images / "bad.png", images / "none.png").stdout
    good, bad, none = csv.DictReader(io.StringIO(text))
    assert good["predicted"] in ("0", "1") and good["error"] == ""
    assert sum(float(v) for k, v in good.items() if k.startswith("prob_")) == pytest.approx(1, abs=1e-5)
    assert bad["predicted"] == none["predicted"] == "" and bad["error"] and none["error"]
    lightbox(place, "predict", run_id, images / "good.png", "--out", images / "answers.csv")
    assert (images / "answers.csv").read_text().splitlines()[0].startswith("file,predicted,prob_0")


def test_predict_answers_at_the_threshold_that_was_chosen_and_calibrated_on_request(place, run_id, images, monkeypatch, capsys):
    from core.__main__ import main
    monkeypatch.setenv("LIGHTBOX_HOME", str(place))
    run = RunStore(place).get(run_id)

    def predict(*more: str) -> tuple[str, float]:
        assert main(["predict", run_id, str(images / "good.png"), *more]) == 0
        row, = csv.DictReader(io.StringIO(capsys.readouterr().out))
        return row["predicted"], float(row["prob_1"])
    _, p = predict()
    stored = (run.folder / "predictions.npz").read_bytes()
    labels = np.arange(24) % 2
    sure = np.where(np.arange(24) % 8 < 6, labels, 1 - labels) * 0.98 + 0.01           # 99 % sure, right in three of four
    plant(run, "val", labels, np.stack([1 - sure, sure], axis=1))
    try:
        for threshold, answer in ((p / 2, "1"), ((p + 1) / 2, "0")):
            freeze(run, Threshold(threshold))
            assert predict() == (answer, p) and predict("--calibrated")[0] == answer
        t = chosen_for(run_id).temperature
        assert t > 2 and predict("--calibrated")[1] == pytest.approx(expit(logit(p) / t), abs=2e-6)
    finally:
        unfreeze(run)
        (run.folder / "predictions.npz").write_bytes(stored)
    assert main(["predict", "phantom-body-part", str(images / "good.png"), "--calibrated"]) == 2
    assert "[" not in capsys.readouterr().err                                       # a person reads a sentence
    with pytest.raises(LightboxError, match="temperature") as refused:
        options = parser().parse_args(["predict", "phantom-body-part", str(images / "good.png"), "--calibrated"])
        options.function(options)
    assert refused.value.code == "temperature.none"


def test_a_set_that_is_not_there_is_refused_before_a_run_exists(place, tmp_path):
    for words in (("--dataset", "nope"), ("--dataset", tmp_path / "nope.zip"), ("--grid", "train.seed=0,1", "--dataset", "nope")):
        answer = lightbox(tmp_path, "train", *words, code=2)
        assert "nope" in answer.stderr and "Traceback" not in answer.stderr and not answer.stdout
    assert RunStore(tmp_path).list() == [] and not list(tmp_path.glob("runs/*"))


def test_a_code_is_for_programs(tmp_path):
    assert "[" not in lightbox(tmp_path, "evaluate", "nobody", code=2).stderr
    assert "[run.gone]" in lightbox(tmp_path, "evaluate", "nobody", "--json", code=2).stderr


def test_queue_prints_the_id_and_lets_the_run_train_by_itself(place):
    words = ("--dataset", tiny_npz(place), "--model", "small_cnn", "--size", 28, "--epochs", 300, "--device", "cpu")
    ids = [lightbox(place, "train", *words, "--set", "train.threads=1", "--queue").stdout.split() for _ in range(2)]
    runs = [RunStore(place).get(run_id) for run_id, in ids]
    assert all(run.status().state in ("queued", "starting", "running") for run in runs)
    for run in reversed(runs):
        run.stop()


def test_a_finished_run_is_not_resumed_but_told(place, run_id):
    answer = lightbox(place, "train", "--resume", run_id)
    assert answer.stdout.strip() == run_id and "finished" in answer.stderr


def test_a_run_resumes_with_more_epochs_and_no_other_setting(place, run_id):
    run = RunStore(place).get(run_id)
    has = run.config.train.epochs
    refused = lightbox(place, "train", "--resume", run_id, "--epochs", has + 1, "--set", "optim.lr=0.5", code=2)
    assert "but for more --epochs, and --set was given" in refused.stderr
    assert f"has {has} epochs" in lightbox(place, "train", "--resume", run_id, "--epochs", has, code=2).stderr
    assert run.config.train.epochs == has and run.status().state == "finished"


def test_network_prints_the_summary_of_report_r004_and_resnets_of_their_paper(capsys):
    """The totals that R004 prints for its SqueezeNet at 320 px, and He et al.'s table 1."""
    from core.__main__ import main
    assert main(["network", "--model", "squeezenet1_0", "--size", "320", "--layers", "--set", "model.head=concat", "--set",
                 "model.freeze=all", "--set", "model.stem=standard"]) == 0
    said = capsys.readouterr().out
    assert "1,263,808 parameters: 528,384 trained, 735,424 frozen" in said and "96 x 157 x 157" in said and "524,288" in said
    for model, gflops, layers in (("resnet18", 1.8, 18), ("resnet50", 3.8, 50), ("resnet152", 11.3, 152)):
        assert main(["network", "--model", model, "--size", "224", "--classes", "1000", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert [stage["output_shape"][1] for stage in found["stages"][:-1]] == [56, 56, 28, 14, 7]
        assert found["totals"]["flops"] / 1e9 == pytest.approx(gflops, rel=0.09)        # torchvision's stride is in the 3 x 3
        assert sum(stage["depth"] for stage in found["stages"]) == layers + 4 - (layers == 18)      # and the shortcuts


@pytest.mark.parametrize("words, sentence", [
    (("train", "--dataset", "phantom", "--set", "optim.rl=1"), "no setting called optim.rl"),
    (("train", "--dataset", "phantom", "--set", "optim.lr=fast"), "optim.lr is 'fast'"),
    (("train", "--dataset", "phantom", "--set", "optim.lr"), "has no value"),
    (("train", "--dataset", "phantom", "--device", "cuda:9"), "no device cuda:9"),
    (("evaluate", "nosuchrun"), "There is no run nosuchrun"),
    (("predict", "../../etc/passwd", "x.png"), "There is no run"),
    (("train", "--resume", "nosuchrun"), "There is no run nosuchrun"),
])
def test_mistakes_are_one_sentence_and_exit_code_2(place, words, sentence):
    answer = lightbox(place, *words, code=2)
    assert sentence in answer.stderr and "Traceback" not in answer.stderr


def test_a_run_that_fails_gives_exit_code_1(place):
    for name in ("a", "b"):                       # that no image can be read shows only when they are decoded
        (place / "unreadable" / name).mkdir(parents=True)
        for k in range(8):
            (place / "unreadable" / name / f"{k}.png").write_bytes(b"no image")
    answer = lightbox(place, "train", "--dataset", place / "unreadable", "--size", 28, "--device", "cpu", code=1)
    assert "could be read" in answer.stderr and RunStore(place).get(answer.stdout.split()[-1]).status().state == "failed"


@pytest.mark.parametrize("words, said", [
    (("network", "--classes", "-1"), "cannot be shown"), (("network", "--classes", "10000000000"), "cannot be shown"),
    (("predict", "{run}", ""), "empty name"), (("predict", "{run}", "{good}", "--frame", "-4"), "no frame -4"),
    (("predict", "{run}", "{good}", "--out", "{bad}/x.csv"), "{bad}"), (("compare", "{run}", "{run}", "--out", "{bad}"), "{bad}"),
    (("explain", "{run}", "--split", "val", "--out", "{bad}"), "{bad}"), (("export", "{run}", "{bad}", "--title", "x"), "{bad}"),
    (("export", "{run}", "{bad}2", "--title", "x", "--about", "/nowhere.md"), "/nowhere.md")])
def test_what_cannot_be_is_refused_with_a_sentence_and_before_the_work(place, run_id, images, monkeypatch, capsys, words, said):
    from core.__main__ import main
    monkeypatch.setenv("LIGHTBOX_HOME", str(place))
    names = {"run": run_id, "good": images / "good.png", "bad": images / "bad.png"}
    before = RunStore(place).get(run_id).times_test_opened()
    assert main([word.format(**names) for word in words]) == 2
    out = capsys.readouterr()
    assert said.format(**names) in out.err and "Traceback" not in out.err
    assert RunStore(place).get(run_id).times_test_opened() == before


def test_results_find_their_folder_and_odd_names_end_in_a_row(place, run_id, images, tmp_path, monkeypatch, capsys):
    from core.__main__ import main
    monkeypatch.setenv("LIGHTBOX_HOME", str(place))
    odd = tmp_path / "=cmd|x.png"
    odd.write_bytes((images / "good.png").read_bytes())
    out = tmp_path / "new" / "folder" / "p.csv"
    monkeypatch.chdir(tmp_path)
    assert main(["predict", run_id, "=cmd|x.png", "x" * 5000, "--out", str(out)]) == 0
    rows = list(csv.reader(out.open()))
    assert rows[1][0] == "'=cmd|x.png" and rows[1][1] and rows[2][0] == "x" * 200 and "too long" in rows[2][-2]
    assert main(["predict", run_id, "/nowhere.png"]) == 1 and "0 of 1 files classified" in capsys.readouterr().err
