"""Sets of one's own: kept under a name, never changed, removed without touching an image; and what lies at a path."""

import dataclasses
import json

import cv2
import numpy as np
import pytest

from core.__main__ import main
from core.config import DataConfig
from core.datasets import DATASETS, list_datasets, open_dataset, open_source
from core.datasets.custom import (
    CustomDataset,
    free_name,
    list_custom_datasets,
    load_custom_dataset,
    remove_custom_dataset,
    save_custom_dataset,
)
from core.datasets.formats import FORMATS, detect_format, options_to_json, parse_options
from core.errors import LightboxError


@pytest.fixture
def folder(tmp_path):
    """Two classes of twelve images of 20 x 30 px; the name says the patient in a way that no known collection uses."""
    rng = np.random.default_rng(0)
    for k, name in enumerate(("healthy", "ill")):
        (tmp_path / "knees" / name).mkdir(parents=True)
        for i in range(12):
            file = tmp_path / "knees" / name / f"p{k}{i // 3}_view{i % 3}.png"
            cv2.imwrite(str(file), rng.integers(0, 256, (20, 30), np.uint8))
    return tmp_path / "knees"


def test_a_set_is_opened_by_its_name_and_read_as_was_said(folder):
    options = {"pattern": r"(?P<patient>p\d+)_view(?P<view>\d)"}
    save_custom_dataset(CustomDataset("my-knees", "My knees", "folder", str(folder), options))
    data = open_dataset(DataConfig("my-knees", size=16))
    assert (data.name, data.title, len(data)) == ("my-knees", "My knees", 24)
    assert set(data.table["patient"]) == {f"p{k}{i}" for k in (0, 1) for i in range(4)} and set(data.table["view"]) == set("012")
    assert not any(open_dataset(DataConfig(str(folder), size=16)).table["patient"]), "without the pattern no patient is known"
    info = next(info for info in list_datasets() if info.name == "my-knees")
    assert info.title == "My knees" and info.available and str(folder) in info.description


def test_a_saved_set_never_changes(folder):
    first = CustomDataset("my-knees", "My knees", "folder", str(folder), {"ordinal": True})
    save_custom_dataset(first)
    save_custom_dataset(first)                                    # the same again is no mistake
    with pytest.raises(LightboxError) as caught:
        save_custom_dataset(dataclasses.replace(first, options={}))
    assert caught.value.code == "custom.exists" and load_custom_dataset("my-knees") == first
    assert free_name("My knees!") == "my-knees-2" and free_name("Breast MNIST") == "breast-mnist"


@pytest.mark.parametrize("name", ["", "../up", "a/b", "A", "a" * 61, "a.b", "ä", "a\n"])
def test_a_name_is_only_a_name(folder, name, lightbox_home):
    with pytest.raises(LightboxError) as caught:
        save_custom_dataset(CustomDataset(name, "x", "folder", str(folder)))
    assert caught.value.code == "custom.name" and load_custom_dataset(name) is None
    with pytest.raises(LightboxError):
        remove_custom_dataset(name)
    assert not list(lightbox_home.rglob("*.json"))


def test_names_of_the_sets_that_come_with_the_app_are_taken(folder):
    for name in ("phantom", "breastmnist"):
        with pytest.raises(LightboxError) as caught:
            save_custom_dataset(CustomDataset(name, "x", "folder", str(folder)))
        assert caught.value.code == "custom.exists"
        assert free_name(name) == f"{name}-2"


def test_removing_forgets_the_description_and_no_image(folder):
    before = sorted(folder.rglob("*"))
    save_custom_dataset(CustomDataset("my-knees", "My knees", "folder", str(folder)))
    remove_custom_dataset("my-knees")
    assert sorted(folder.rglob("*")) == before and load_custom_dataset("my-knees") is None and list_custom_datasets() == []
    with pytest.raises(LightboxError) as caught:
        open_source(DataConfig("my-knees"))
    assert caught.value.code == "dataset.unknown"
    with pytest.raises(LightboxError) as caught:
        remove_custom_dataset("my-knees")
    assert caught.value.code == "custom.unknown"


@pytest.mark.parametrize("content", ["", "[]", "{", '{"title": 3, "kind": "folder", "path": "", "reading": {}}', "[" * 100_000,
                                     '{"title": "a", "kind": "folder", "path": "/"}', "\0"])
def test_a_damaged_description_is_answered_in_words_and_hides_no_other(folder, lightbox_home, content):
    save_custom_dataset(CustomDataset("good", "Good", "folder", str(folder)))
    (lightbox_home / "sets" / "bad.json").write_text(content)
    assert [own.name for own in list_custom_datasets()] == ["good"]
    with pytest.raises(LightboxError) as caught:
        open_source(DataConfig("bad"))
    assert caught.value.code == "custom.damaged"


def test_a_set_whose_images_are_gone_says_so(folder):
    save_custom_dataset(CustomDataset("gone", "Gone", "folder", str(folder / "moved")))
    assert not next(info for info in list_datasets() if info.name == "gone").available
    with pytest.raises(LightboxError, match="not connected"):
        open_source(DataConfig("gone"))


def test_a_reading_goes_through_json_and_words_and_back():
    for kind in FORMATS:
        default = FORMATS[kind].options()
        assert parse_options(kind, {}) == default and options_to_json(default) == {}
    reading = parse_options("folder", {"pattern": r"(?P<patient>\d+)", "ordinal": "yes"})
    assert reading.ordinal is True and parse_options("folder", json.loads(json.dumps(options_to_json(reading)))) == reading
    for values in ({"pattern": 3}, {"ordinal": "perhaps"}, {"nothing": 1}):
        with pytest.raises(LightboxError) as caught:
            parse_options("folder", values)
        assert caught.value.code == "custom.option"


def test_kind_of_real_places(real_data, folder):
    assert detect_format(real_data / "chest_pneumonia")[0] == "folder"
    assert detect_format(real_data / "knee_oa")[0] == "folder"
    assert detect_format(real_data / "medmnist" / "breastmnist.npz")[0] == "npz"
    assert detect_format(real_data / "nih_cxr14")[0] == "table"
    assert detect_format(real_data / "covid_mortality" / "labels.csv")[0] == "table"


# ----------------------------------------------------------------------------------------------------------- command line

def said(capsys, *words, code=0):
    assert main(["datasets", *map(str, words)]) == code
    out = capsys.readouterr()
    return out.err if code else out.out


def test_real_sets_are_added_and_counted_on_the_command_line(real_data, capsys):
    """Counts as shared/data/README.md states them."""
    said(capsys, "add", real_data / "knee_oa", "--name", "knees", "--title", "Knee grades", "--set", "ordinal=yes")
    knees = json.loads(said(capsys, "knees", "--json"))
    assert (knees["images"], knees["patients"], knees["title"]) == (2752, 1376, "Knee grades")
    grades = knees["targets"]["class"]
    assert grades["task"] == "ordinal-regression" and list(grades["counts"]) == [*"01234", "total"]

    said(capsys, "add", real_data / "chest_pneumonia", "--name", "chest",
         "--set", r"pattern=(?P<patient>(person|IM-|NORMAL2-IM-)\d+)")
    chest = json.loads(said(capsys, "chest", "--json"))
    assert chest["targets"]["class"]["counts"] == {"NORMAL": {"train": 1341, "test": 234, "total": 1575}, "PNEUMONIA": {
        "train": 3875, "test": 390, "total": 4265}, "total": {"train": 5216, "test": 624, "total": 5840}}
    assert chest["reading"] == {"pattern": r"(?P<patient>(person|IM-|NORMAL2-IM-)\d+)"} and chest["patients"] > 1000

    said(capsys, "add", real_data / "nih_cxr14", "--name", "nih")
    nih = json.loads(said(capsys, "nih", "--json"))
    assert nih["images"] == 621 and len(nih["targets"]["finding_labels"]["counts"]) == 15
    assert nih["reading"]["separator"] == "|" and nih["reading"]["labels"] == ["finding_labels"], "guesses are written down"

    covid = said(capsys, real_data / "covid_mortality")
    assert "157 images, 78 patients" in covid and "died" in covid
    listed = json.loads(said(capsys, "--json"))
    assert {"knees", "chest", "nih"} < {info["name"] for info in listed} and len(listed) == len(DATASETS) + 3
    assert "Knee grades" in said(capsys)


def test_the_list_counts_sets_of_ones_own_and_the_phantoms(real_data, capsys):
    main(["datasets", "add", str(real_data / "covid_mortality"), "--name", "covid"])
    main(["datasets", "add", str(real_data / "knee_oa"), "--name", "knees", "--set", "ordinal=true"])
    capsys.readouterr()
    main(["datasets", "--json"])
    infos = {info["name"]: info for info in json.loads(capsys.readouterr().out)}
    assert infos["covid"]["counts"]["not split"] == 157 and infos["covid"]["class_names"] == ["0", "1"]
    assert infos["knees"]["task"] == "ordinal-regression" and sum(infos["knees"]["counts"].values()) == 2752
    phantom = open_source(DataConfig("phantom")).scan().table["split"]
    assert infos["phantom"]["counts"] == {part: int((phantom == part).sum()) for part in ("train", "val", "test")}


def test_a_folder_with_a_dot_in_its_name_keeps_it(tmp_path, capsys):
    for label in ("a", "b"):
        (tmp_path / "Knees-v1.1" / label).mkdir(parents=True)
        for k in range(4):
            cv2.imwrite(str(tmp_path / "Knees-v1.1" / label / f"{k}.png"), np.full((9, 9), 20 * k, np.uint8))
    said(capsys, "add", tmp_path / "Knees-v1.1")
    assert [custom.title for custom in list_custom_datasets()] == ["Knees-v1.1"]


def test_mistakes_on_the_command_line_end_with_a_sentence(folder, capsys):
    for code, words in {"custom.option": ("add", folder, "--name", "a", "--set", "colour=red"),
                        "cli.set": ("add", folder, "--name", "a", "--set", "ordinal"),
                        "custom.name": ("add", folder, "--name", "Mine!"),
                        "dataset.unknown": ("add", folder / "nowhere", "--name", "a"), "cli.datasets": ("a", "b", "c")}.items():
        sentence = said(capsys, *words, code=2)
        assert "[" not in sentence and said(capsys, *words, "--json", code=2) == f"{sentence.strip()} [{code}]\n"
    assert "[dataset.unknown]" in said(capsys, "nowhere", "--json", code=2)
    assert list_custom_datasets() == []
    said(capsys, "add", folder)
    assert [own.name for own in list_custom_datasets()] == ["knees"]


def test_phantoms_with_faults_are_a_set_of_ones_own(capsys):
    said(capsys, "add", "phantom", "--name", "with-letters", "--set", "letters=0.9", "--set", "patients=12")
    facts = json.loads(said(capsys, "with-letters", "--json"))
    assert facts["kind"] == "phantom" and facts["reading"] == {"letters": 0.9, "patients": 12} and facts["images"] > 20
