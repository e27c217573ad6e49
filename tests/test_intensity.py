"""How intensities are read: planted values through each way, in a file, a set, its store, a run, the pages; and frames."""

import csv
import io
import json

import cv2
import numpy as np
import pytest

from core.config import DataConfig
from core.datasets import open_dataset
from core.datasets.custom import CustomDataset, save_custom_dataset
from core.datasets.decode import decode_image
from core.datasets.fingerprints import options_text
from core.datasets.folder import Folder, FolderOptions
from core.datasets.formats import options_to_json, parse_options
from core.datasets.intensity import any_deep, parse_intensity
from core.datasets.source import Source
from core.datasets.table import Table, TableOptions
from core.errors import LightboxError
from core.models.classifier import Preprocessing
from core.runs.checkpoints import checksum
from core.runs.classifiers import classify, decode_for, load_classifier
from core.runs.initial_weights import build_for
from tests import judged
from tests.dicom_files import dicom_bytes
from tests.judged import maps, open_page, text_of
from tests.test_page_classify import drop, only_this_run, png, said  # noqa: F401 - a fixture
from tests.tiny import tiny_arrays

run, trained = judged.run, judged.trained          # fixtures

# 4,000 pixels from 1,000 to 4,999; two of them hot: fewer than 1 in 1,000, so that only the whole range shows them
VALUES = np.arange(1000, 5000, dtype=np.uint16).reshape(50, 80)
VALUES[0, :2] = 0, 60_000


def scaled(black: float, white: float) -> np.ndarray:
    return np.round(np.clip((VALUES - float(black)) / (white - black), 0, 1) * 255).astype(np.uint8)


ORDERED = np.sort(VALUES.reshape(-1))
WAYS = {"percentiles": (float(ORDERED[5]), float(ORDERED[-6])), "whole range": (0, 60_000), "3000 1000": (2500, 3500)}


def deep_png() -> bytes:
    return cv2.imencode(".png", VALUES)[1].tobytes()


@pytest.mark.parametrize("intensity, ends", WAYS.items())
@pytest.mark.parametrize("make", [deep_png, lambda: dicom_bytes(VALUES, WindowCenter=100, WindowWidth=10)])
def test_each_way_scales_planted_values_as_it_says(make, intensity, ends):
    picture = decode_image(make(), intensity=intensity)
    assert np.abs(picture.pixels[..., 0].astype(int) - scaled(*ends)).max() <= 1
    assert picture.values == (0, 60_000) and picture.frames == 1


@pytest.mark.parametrize("text, kept", [("", ""), (" Whole  Range", "whole range"), ("40.0, 400", "40 400"),
                                        ("40,5 400", "40.5 400"), ("-600/1500", "-600 1500"), ("(40,400)", "40 400")])
def test_a_way_is_kept_in_one_form(text, kept):
    for name in ("folder", "table"):
        options = parse_options(name, {"intensity": text})
        assert options.intensity == kept and options_to_json(options) == ({"intensity": kept} if kept else {})
        assert parse_intensity(options.intensity) == parse_intensity(text)


@pytest.mark.parametrize("text", ["bright", "40", "40 0", "40 -1", "1 2 3", "nan 4", "own window", "inf 1"])
def test_what_is_no_way_is_refused(text):
    for options in (FolderOptions, TableOptions):
        with pytest.raises(LightboxError) as caught:
            options(intensity=text)
        assert caught.value.code == "image.option"


def test_the_default_is_in_no_fingerprint():
    assert "intensity" not in options_text(FolderOptions()) + options_text(TableOptions())
    assert "intensity='40 400'" in options_text(FolderOptions(intensity="40 400"))


@pytest.fixture
def deep_set(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for k in range(3):
            (tmp_path / "set" / name / f"{k}.png").write_bytes(deep_png())
    (tmp_path / "set.csv").write_text("file,label\n" + "".join(f"{n}/{k}.png,{n}\n" for n in "ab" for k in range(3)))
    return tmp_path / "set"


def test_a_set_reads_all_its_images_in_its_way(deep_set, lightbox_home):
    sources = {"folder": (deep_set, FolderOptions), "table": (deep_set.with_suffix(".csv"), TableOptions)}
    for kind, (path, _) in sources.items():
        folder = {"folder": str(deep_set)} if kind == "table" else {}
        stored = {}
        for intensity, ends in ({"": WAYS["percentiles"]} | WAYS).items():
            name = f"{kind}-{intensity.replace(' ', '-')}"
            options = folder | ({"intensity": intensity} if intensity else {})
            save_custom_dataset(CustomDataset(name, name, kind, str(path), options))
            data = open_dataset(DataConfig(name, size=32))
            assert np.abs(data.original(0)[..., 0].astype(int) - scaled(*ends)).max() <= 1
            assert data.source.intensity == intensity
            stored[data.fingerprint] = int(np.asarray(data.images).astype(int).sum())
            told, = (one for one in data.source.scan().understood if one.code == "intensity")
            assert told.option == "intensity"
        assert len(stored) == 4 and len(set(stored.values())) == 3      # as the file asks is by percentiles here: two hot pixels


def test_only_where_it_matters_it_is_said(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(png(np.zeros((9, 9), np.uint8)))
    assert not any_deep(tmp_path, ["a/1.png", "b/1.png"])
    assert "intensity" not in [one.code for one in Folder(tmp_path).scan().understood]
    (tmp_path / "a" / "2.dcm").write_bytes(dicom_bytes(VALUES))
    assert "intensity" in [one.code for one in Folder(tmp_path).scan().understood]


def frames_dcm(count: int = 3) -> tuple[bytes, list[np.ndarray]]:
    """Frame k has a bright square at another place."""
    frames = [np.zeros((28, 28), np.uint16) for _ in range(count)]
    for k, frame in enumerate(frames):
        frame[4 + 6 * k:12 + 6 * k, 4:24] = 900 + k
        frame[0, 0] = 4000
    return dicom_bytes(frames[0], NumberOfFrames=count, PixelData=b"".join(f.tobytes() for f in frames)), frames


def test_frames_of_a_file_in_a_table_are_images_with_its_labels(tmp_path, lightbox_home):
    data, frames = frames_dcm()
    lines = ["file,label,other"]
    for k in range(6):
        (tmp_path / f"{k}.dcm").write_bytes(data if k < 4 else dicom_bytes(frames[0]))
        lines.append(f"{k}.dcm,{'xy'[k % 2]},{k}")
    (tmp_path / "table.csv").write_text("\n".join(lines))
    source = Table(tmp_path / "table.csv")
    index = source.scan()
    assert len(index.table) == 4 * 3 + 2 and index.table["image_id"].is_unique
    assert len({source.original(i).tobytes() for i in range(3)}) == 3
    labels = index.targets["label"]
    assert [labels.class_names[k] for k in labels.labels] == ["xy"[int(k) % 2] for k in index.table["other"]]
    assert sorted(index.table.groupby("patient").size()) == [2, 3, 3, 3, 3]      # frames stay together; "" is not known
    assert "frames" in [one.code for one in index.understood]
    rows = {path: i for i, path in enumerate(index.table["path"])}
    for k in range(3):
        shown = source.original(rows[f"1.dcm#frame={k + 1}"])[..., 0]
        np.testing.assert_array_equal(shown, decode_image(dicom_bytes(frames[k])).pixels[..., 0])


def trained_by(run, intensity: str) -> None:
    """Have the run remember that its set was read in a way."""
    files = list(run.checkpoints.glob("*/meta.json"))
    assert files
    for file in files:
        content = json.loads(file.read_text())
        content["meta"]["classifier"]["preprocessing"]["intensity"] = intensity
        file.write_text(json.dumps(content | {"sha256": checksum(content["meta"])}))


def test_a_run_remembers_how_its_set_was_read(run, deep_set):
    save_custom_dataset(CustomDataset("deep", "Deep", "folder", str(deep_set), {"intensity": "3000 1000"}))
    config = run.config.with_(**{"data.dataset": "deep"})
    assert build_for(config, open_dataset(config.data)).preprocessing.intensity == "3000 1000"
    assert Source().intensity == Preprocessing(8, "pad", 1, (0,), (1,)).intensity == ""


def test_an_image_is_decoded_as_in_training_and_says_so(run):
    assert load_classifier(run.id).model.preprocessing.intensity == ""      # a run of before
    trained_by(run, "3000 1000")
    model = load_classifier(run.id).model
    picture = decode_for(model, deep_png())
    np.testing.assert_array_equal(picture.pixels[..., 0], scaled(2500, 3500))
    assert [note.code for note in picture.notes] == ["window.own", "intensity"]
    other = decode_for(model, deep_png(), "whole range")
    np.testing.assert_array_equal(other.pixels[..., 0], scaled(0, 60_000))
    assert [note.code for note in other.notes] == ["range", "intensity.other"]
    assert not decode_for(model, png(np.eye(9, dtype=np.uint8) * 255)).notes      # 8 bits: nothing to say


def test_predict_reads_in_the_ways_that_are_asked_for(run, tmp_path, capsys, monkeypatch):
    from core.__main__ import main
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.dcm").write_bytes(frames_dcm()[0])
    model = load_classifier(run.id).model

    def predict(*more: str) -> list[dict]:
        assert main(["predict", run.id, "x.dcm", *more]) == 0
        return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))

    rows = predict()
    assert [row["file"] for row in rows] == [f"x.dcm#frame={k}" for k in (1, 2, 3)] and all(row["notes"] for row in rows)
    row, = predict("--frame", "3", "--intensity", "500 1000")
    pixels = decode_image(frames_dcm()[0], intensity="500 1000", frame=2).pixels
    assert float(row["prob_1"]) == pytest.approx(float(classify(model, [pixels])[0][1]), abs=1e-6)
    assert main(["predict", run.id, "x.dcm", "--intensity", "bright"]) == 2


def of(at, kind: str, label: str):
    return next((one for one in getattr(at, kind) if one.label.startswith(label)), None)


def test_classify_offers_frame_and_intensity_and_the_answer_follows(run):
    images, labels = tiny_arrays(40, seed=9)
    planted = [images[np.flatnonzero(labels == label)[0]].astype(np.uint16) * 200 for label in (0, 1, 0)]
    data = dicom_bytes(planted[0], NumberOfFrames=3, PixelData=b"".join(frame.tobytes() for frame in planted))
    at = drop(open_page("classify", run=run.id), "x.dcm", data)
    frame, way = of(at, "number_input", "Frame"), of(at, "selectbox", "Intensities")
    assert (frame.min, frame.max, frame.value, way.value) == (1, 3, 1, "") and "The first of 3 frames" in text_of(at)
    assert at.header[0].value.startswith("0,")
    at = frame.set_value(2).run()
    assert not at.exception and "Frame 2 of 3" in text_of(at) and at.header[0].value.startswith("1,")
    at = of(at, "selectbox", "Intensities").set_value("own window").run()
    least, most = planted[0].min(), planted[0].max()
    assert of(at, "number_input", "Centre").value == (int(least) + int(most)) / 2
    at = of(at, "number_input", "Width").set_value(1000.0).run()
    at = of(at, "number_input", "Centre").set_value(500_000.0).run()      # all black
    assert not at.exception and "centre 500,000, width 1,000" in text_of(at).replace("\\", "") and len(maps(at)) == 1
    black = np.zeros((28, 28, 1), np.uint8)
    np.testing.assert_array_equal(at.session_state["image_read"][1].pixels, black)
    probs = classify(load_classifier(run.id).model, [black])[0]
    assert at.header[0].value.replace("\\", "") == f"{probs.argmax()}, {said(probs.max())}"


def test_classify_begins_as_in_training_and_asks_nothing_of_an_ordinary_image(run):
    trained_by(run, "3000 1000")
    at = drop(open_page("classify", run=run.id), "deep.png", deep_png())
    way = of(at, "selectbox", "Intensities")
    assert way.value == "3000 1000" and of(at, "number_input", "Frame") is None
    np.testing.assert_array_equal(at.session_state["image_read"][1].pixels[..., 0], scaled(2500, 3500))
    at = drop(at, "plain.png", png(np.eye(28, dtype=np.uint8) * 255))
    assert of(at, "selectbox", "Intensities") is None and of(at, "number_input", "Frame") is None


def test_add_offers_it_where_it_matters(deep_set, lightbox_home):
    at = open_page("add", path=str(deep_set))
    at = of(at, "selectbox", "Intensities").set_value("own window").run()
    assert not at.exception, at.exception
    assert (of(at, "number_input", "Centre").value, of(at, "number_input", "Width").value) == (30_000, 60_000)
    assert at.session_state["add_form"]["values"]["intensity"] == "30000 60000"
    assert "centre 30,000, width 60,000" in text_of(at).replace("\\", "")
