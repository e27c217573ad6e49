"""`python -m core evaluate RUN --on D`: what it prints, and what it says of mistakes."""

import json

import pytest

from core.__main__ import main
from core.evaluation.external import evaluate_external
from tests import judged
from tests.test_external_evaluation import class_folders

run, trained = judged.run, judged.trained  # fixtures


def test_the_command_line_says_the_same(run, tmp_path, capsys):
    class_folders(tmp_path / "other")
    asked = [str(tmp_path / "other"), "--map", "zero=0", "--map", "ONE =1"]
    assert main(["evaluate", run.id, "--on", *asked, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    found = evaluate_external(run, str(tmp_path / "other"))  # the map is remembered
    assert said["map"] == {"Zero": "0", "ONE ": "1", "other": None} == dict(found.classes.pairs)
    assert said["left_out"] == {"other": 3} and said["own_split"] == "val" and said["n"] == 27
    assert said["roc_auc"] == found.result.value("roc_auc") and 0 <= said["unlike"]["share"] <= 1
    assert main(["evaluate", run.id, "--on", *asked]) == 0
    text = capsys.readouterr().out
    assert f"{found.result.value('roc_auc'):.4f}" in text and f"{found.own.value('roc_auc'):.4f}" in text


@pytest.mark.parametrize(
    "arguments, code",
    [
        (["--map", "a"], "cli.set"),
        (["--map", "Zero=7"], "map.class"),
        ([], "map.none"),
        (["--map", "Zero=0", "--split", "val", "--on", "nowhere"], "dataset.unknown"),
    ],
)
def test_mistakes_on_the_command_line_end_with_a_sentence(run, tmp_path, capsys, arguments, code):
    class_folders(tmp_path / "other")
    assert main(["evaluate", run.id, "--on", str(tmp_path / "other"), *arguments, "--json"]) == 2
    assert f"[{code}]" in capsys.readouterr().err
    assert main(["evaluate", run.id, "--map", "a=b", "--json"]) == 2 and "[cli.map]" in capsys.readouterr().err
