"""DICOM: gray values as pydicom's own functions give them, each variant as pixels or one sentence, not a word about a patient."""

import io
import struct
import sys
import time
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from core.config import DataConfig
from core.datasets import open_dataset
from core.datasets.decode import decode_image
from core.decoding import dicom
from core.decoding.picture import decode
from core.errors import LightboxError
from tests.dicom_files import EXAMPLES, RNG, SECRETS, dicom_bytes, refused, theirs

RAMP = np.arange(0, 4096, dtype=np.uint16).reshape(64, 64)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("elements", [
    {"WindowCenter": 1000, "WindowWidth": 12}, {"WindowCenter": [2000, 90], "WindowWidth": [3000, 50]},
    {"WindowCenter": 100, "WindowWidth": 700, "RescaleSlope": 0.5, "RescaleIntercept": -300},
    {"WindowCenter": 1500, "WindowWidth": 900, "VOILUTFunction": "SIGMOID"},
    {"WindowCenter": 1500, "WindowWidth": 12, "VOILUTFunction": "LINEAR_EXACT"}])
def test_windows_are_those_of_the_standard(photometric, elements):
    data = dicom_bytes(RAMP, PhotometricInterpretation=photometric, BitsStored=12, HighBit=11, **elements)
    picture = decode_image(data)
    assert np.abs(picture.pixels[..., 0].astype(int) - theirs(data, 4095)).max() <= 1
    assert picture.pixels.min() < 5 and picture.pixels.max() > 250 and "window" in " ".join(picture.notes)


def test_signed_values_and_their_window():
    stored = np.arange(-2048, 2048, dtype=np.int16).reshape(64, 64)
    data = dicom_bytes(stored, WindowCenter=40, WindowWidth=400, RescaleSlope=1, RescaleIntercept=-10)
    gray = decode_image(data).pixels[..., 0].astype(int)
    assert np.abs(gray - theirs(data, 65535)).max() <= 1 and (gray.min(), gray.max()) == (0, 255)


@pytest.mark.parametrize("bits, first", [(8, 0), (12, 100), (16, 1000)])
def test_a_table_of_gray_values(bits, first):
    table = Dataset()
    table.LUTDescriptor = [2000, first, bits]
    table.LUTData = [int(round((2 ** bits - 1) * (k / 1999) ** 2)) for k in range(2000)]
    table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
    data = dicom_bytes(RAMP, BitsStored=12, HighBit=11, VOILUTSequence=[table], WindowCenter=5, WindowWidth=5)
    expected = np.round(255 * np.array(table.LUTData)[np.clip(RAMP.astype(int) - first, 0, 1999)] / (2 ** bits - 1))
    assert np.abs(decode_image(data).pixels[..., 0] - expected).max() <= 1
    if bits > 8:      # pydicom numbers its 8-bit tables with 8 bits
        assert np.abs(decode_image(data).pixels[..., 0].astype(int) - theirs(data, 2 ** bits - 1)).max() <= 1


def test_a_modality_table_comes_before_the_window():
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [4096, 0, 16], [4095 - k for k in range(4096)]
    table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
    table.ModalityLUTType = "US"
    gray = decode_image(dicom_bytes(RAMP, ModalityLUTSequence=[table], WindowCenter=2048, WindowWidth=4096)).pixels[..., 0]
    np.testing.assert_allclose(gray.ravel(), np.linspace(255, 0, 4096), atol=1)


def test_without_a_window_its_own_range():
    stored = RNG.integers(300, 900, (20, 30)).astype(np.uint16)
    stored[0, 0], stored[0, 1] = 300, 899
    expected = np.round((stored - 300.0) / 599 * 255)
    np.testing.assert_array_equal(decode_image(dicom_bytes(stored)).pixels[..., 0], expected)
    inverted = decode_image(dicom_bytes(stored, PhotometricInterpretation="MONOCHROME1"))
    assert np.abs(inverted.pixels[..., 0] - (255 - expected)).max() <= 1 and "inverted" in inverted.notes[-1]
    nonsense = decode_image(dicom_bytes(stored, WindowCenter=60000, WindowWidth=2))      # would be all black
    np.testing.assert_array_equal(nonsense.pixels[..., 0], expected)
    assert any("one single gray" in note for note in nonsense.notes)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_each_way_of_writing_with_and_without_what_should_stand_in_front(syntax, tmp_path):
    stored = RNG.integers(0, 4096, (20, 30)).astype(np.uint16)
    data = dicom_bytes(stored, syntax, SOPClassUID="1.2.840.10008.5.1.4.1.1.1.1")
    whole = decode_image(data).pixels
    np.testing.assert_array_equal(whole[..., 0], np.round((stored - float(stored.min())) / np.ptp(stored) * 255))
    (tmp_path / "no ending").write_bytes(data)
    np.testing.assert_array_equal(decode_image(tmp_path / "no ending").pixels, whole)
    np.testing.assert_array_equal(decode_image(data[132:]).pixels, whole)      # without the preamble
    if syntax != ExplicitVRBigEndian:                                          # nor the file's meta group
        np.testing.assert_array_equal(decode_image(data[data.index(b"\x08\x00\x16\x00"):]).pixels, whole)


def test_colour_palette_frames_and_run_lengths():
    colour = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    np.testing.assert_array_equal(decode_image(dicom_bytes(colour)).pixels, colour)
    np.testing.assert_array_equal(decode_image(dicom_bytes(np.repeat(colour[..., :1], 3, 2))).pixels, colour[..., :1])
    frames = RNG.integers(0, 256, (3, 20, 30), dtype=np.uint8)
    several = dicom_bytes(frames[0], NumberOfFrames=3, PixelData=frames.tobytes())
    span = frames[0].min(), frames[0].max()
    expected = np.round((frames[0] - float(span[0])) / (span[1] - float(span[0])) * 255)
    picture = decode_image(several)
    np.testing.assert_array_equal(picture.pixels[..., 0], expected)
    assert any("first of 3 frames" in note for note in picture.notes)
    file = pydicom.dcmread(io.BytesIO(dicom_bytes(RAMP)))
    file.compress(RLELossless)
    buffer = io.BytesIO()
    file.save_as(buffer)
    np.testing.assert_array_equal(decode_image(buffer.getvalue()).pixels, decode_image(dicom_bytes(RAMP)).pixels)


@pytest.mark.parametrize("name, shape", [
    ("CT_small", (128, 128, 1)), ("MR_small_jp2klossless", (64, 64, 1)), ("MR_small_RLE", (64, 64, 1)),
    ("SC_rgb_jpeg_dcmtk", (100, 100, 3)), ("examples_palette", (350, 800, 3)), ("examples_ybr_color", (240, 320, 3))])
def test_files_from_real_devices(name, shape):
    assert decode_image(EXAMPLES / f"{name}.dcm").pixels.shape == shape


def test_one_scan_in_five_encodings_is_one_image():
    same = [decode_image(EXAMPLES / f"MR_small{k}.dcm").pixels for k in ("", "_RLE", "_bigendian", "_implicit", "_jp2klossless")]
    assert all(np.array_equal(same[0], other) for other in same[1:])


@pytest.mark.parametrize("name, word", [
    ("MR_small_jpeg_ls_lossless", "JPEG-LS"), ("SC_rgb_jpeg_gdcm", "JPEG Lossless"), ("JPEG-lossy", "JPEG Extended")])
def test_without_its_decoder_a_sentence_names_the_compression_and_the_package(name, word, monkeypatch):
    """In this process, where the decoder can be hidden."""
    monkeypatch.setattr(dicom, "_can_decode", lambda syntax, bits: False)
    with pytest.raises(LightboxError) as caught:
        decode((EXAMPLES / f"{name}.dcm").read_bytes())
    assert caught.value.code == "image.unsupported" and word in str(caught.value) and "pip install pylibjpeg" in str(caught.value)


def test_lossless_jpeg_and_jpeg_ls_agree_with_the_same_scan_uncompressed():
    pytest.importorskip("libjpeg", reason="pylibjpeg-libjpeg is not installed")
    plain = decode_image(EXAMPLES / "MR_small.dcm").pixels
    np.testing.assert_array_equal(decode_image(EXAMPLES / "MR_small_jpeg_ls_lossless.dcm").pixels, plain)
    lossless = decode_image(EXAMPLES / "SC_rgb_jpeg_gdcm.dcm").pixels
    np.testing.assert_array_equal(lossless, pydicom.dcmread(EXAMPLES / "SC_rgb_jpeg_gdcm.dcm").pixel_array)


@pytest.mark.parametrize("name, code, word", [
    ("image_dfl", "image.unsupported", "deflated"),
    ("rtdose", "image.unsupported", "32 bits"), ("reportsi", "image.no_pixels", "no image"),
    ("MR_truncated", "image.broken", "")])
def test_files_that_cannot_be_read_say_why(name, code, word):
    refused(EXAMPLES / f"{name}.dcm", code, word)


def test_every_example_is_pixels_or_a_sentence():
    for path in EXAMPLES.glob("*.dcm"):
        try:
            assert decode_image(path).pixels.dtype == np.uint8
        except LightboxError as error:
            assert error.code.startswith("image.")


# Hostile

def test_a_size_that_is_not_there_or_is_too_large():
    data = dicom_bytes(RAMP)
    refused(dicom_bytes(RAMP, Rows=65), "image.broken")
    refused(dicom_bytes(RAMP, Rows=0), "image.broken")
    refused(dicom_bytes(RAMP, Rows=60000, Columns=60000), "image.too_large", "60,000")
    refused(dicom_bytes(RAMP, PixelData=None), "image.no_pixels")
    refused(dicom_bytes(RAMP, Rows=None), "image.broken")
    for share in (0.02, 0.3, 0.7, 0.99):
        refused(data[:max(200, int(len(data) * share))], "image.broken" if share > 0.1 else "image.no_pixels")


def test_what_unfolds_to_more_than_it_says():
    """A JPEG 2000 stream of another size than the head, and run lengths that would never end."""
    head = b"\xff\x4f\xff\x51" + struct.pack(">HH4I", 47, 0, 60000, 60000, 0, 0) + b"\0" * 40
    assert dicom.coded_size(head) == (60000, 60000)
    wrapped = pydicom.encaps.encapsulate([head])
    refused(_encapsulated(wrapped, "1.2.840.10008.1.2.4.90"), "image.broken", "60,000 x 60,000")
    runs = struct.pack("<16I", 2, 64, 1_000_064, *[0] * 13) + b"\x81\x00" * 1_000_000      # 128 values for each two bytes
    refused(_encapsulated(pydicom.encaps.encapsulate([runs]), RLELossless), "image.broken")


def _encapsulated(data: bytes, syntax: str) -> bytes:
    file = pydicom.dcmread(io.BytesIO(dicom_bytes(RAMP)))
    file.file_meta.TransferSyntaxUID, file.PixelData = syntax, data
    file["PixelData"].is_undefined_length = True
    buffer = io.BytesIO()
    file.save_as(buffer)
    return buffer.getvalue()


def test_a_million_entries_before_the_pixels():
    entry = struct.pack("<HH2sH", 0x0009, 0x1001, b"LO", 0)
    began = time.monotonic()
    refused(b"\0" * 128 + b"DICM" + entry * 2_000_000, "image.broken", "entries")
    assert time.monotonic() - began < 2


def test_random_damage_never_raises_anything_else():
    data = dicom_bytes(RAMP[:16], WindowCenter=100, WindowWidth=50, RescaleSlope=2, RescaleIntercept=0)
    for _ in range(300):
        bad = bytearray(data)
        for at in RNG.integers(128, 600, 4):
            bad[at] = RNG.integers(0, 256)
        try:
            assert decode_image(bytes(bad)).pixels.dtype == np.uint8
        except LightboxError as error:
            assert error.code.startswith("image.")


# Nobody's name

def test_nothing_about_a_patient_is_kept_shown_or_logged(tmp_path, lightbox_home, capfd, caplog):
    caplog.set_level(0)
    for k in range(12):
        stored = RNG.integers(0, 4000, (20, 30)).astype(np.uint16)
        data = dicom_bytes(stored, WindowCenter=2000, WindowWidth=4000, **SECRETS)
        if k == 3:
            data = data[:-200]                                # broken behind the names
        if k == 4:
            data = data.replace(b"\x28\x00\x50\x10DS", b"\x28\x00\x50\x10XX")
        (tmp_path / "ab"[k % 2]).mkdir(exist_ok=True)
        (tmp_path / "ab"[k % 2] / f"{k}").write_bytes(data)
    assert all(word.encode() in data for word in SECRETS.values())      # else the search below proves nothing
    dataset = open_dataset(DataConfig(str(tmp_path), size=16))
    assert len(dataset) >= 10 and dataset.skipped
    printed = capfd.readouterr()
    shown = [repr(dataset), str(dataset.skipped), str(dataset.notes), dataset.table.to_csv(), caplog.text, printed.out,
             printed.err, *(str(n) for p in tmp_path.glob("?/*") for n in _notes(p))]
    kept = [path.read_bytes() for path in lightbox_home.rglob("*") if path.is_file()]
    assert kept
    for secret in SECRETS.values():
        for word in secret.replace("^", " ").split():
            assert not any(word in text for text in shown), word
            assert not any(word.encode() in content for content in kept), word


def _notes(path: Path) -> list[str]:
    try:
        return list(decode_image(path).notes)
    except LightboxError as error:
        return [repr(error.args), repr(error.__cause__)]


def test_without_pydicom_a_sentence_says_how_to_get_it(monkeypatch):
    dicom._pydicom.cache_clear()
    monkeypatch.setitem(sys.modules, "pydicom", None)
    try:
        with pytest.raises(LightboxError) as caught:
            decode(dicom_bytes(RAMP))
        assert caught.value.code == "image.unsupported" and "pip install pydicom" in str(caught.value)
    finally:
        dicom._pydicom.cache_clear()


