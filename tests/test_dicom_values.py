"""DICOM: padding, hot pixels, windows, frames and what else decides how bright a value is."""

import io
import os
import struct

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from core.config import DataConfig
from core.datasets import open_dataset
from core.datasets.decode import count_frames, decode_image
from core.errors import LightboxError
from tests.dicom_files import dicom_bytes

RAMP = np.arange(0, 4096, dtype=np.uint16).reshape(64, 64)



# What public complaints were about

def spread(low: int, high: int) -> np.ndarray:
    return np.linspace(low, high, 64 * 64).round().astype(np.int16).reshape(64, 64)


@pytest.mark.parametrize("padding, stored", [(-2000, -2000), (63536, -2000), (-32768, -32768)])
def test_padding_is_left_out_of_the_range_and_black(padding, stored):
    body = spread(1000, 1500)
    body[:8] = stored
    picture = decode_image(_padded(body, padding))
    assert not picture.pixels[:8].any() and picture.pixels.max() == 255
    inside = body[8:].astype(float)
    np.testing.assert_array_equal(picture.pixels[8:, :, 0], np.round((inside - inside.min()) / np.ptp(inside) * 255))
    assert "padding" in [note.code for note in picture.notes]


def _padded(body: np.ndarray, padding: int) -> bytes:
    """The value as it stands in files, with or without its sign."""
    data = dicom_bytes(body)
    element = struct.pack("<HH2sHH", 0x28, 0x120, b"SS" if padding < 0 else b"US", 2, padding % 65536)
    at = data.index(struct.pack("<HH", 0x7FE0, 0x10))
    return data[:at] + element + data[at:]


def test_padding_of_a_whole_range_of_values():
    body = spread(0, 3000).astype(np.uint16)
    picture = decode_image(dicom_bytes(body, PixelPaddingValue=0, PixelPaddingRangeLimit=999))
    kept = body > 999
    assert not picture.pixels[..., 0][~kept].any() and picture.pixels.max() == 255
    assert picture.pixels[..., 0][kept].min() == 0 and "1,000" in " ".join(picture.notes)


@pytest.mark.parametrize("intensity, window, low, high", [
    ("", None, 0, 1023), ("percentiles", None, 0, 1023), ("whole range", None, 0, 65535), ("own window", (500, 200), 400, 600)])
def test_a_hot_pixel_and_the_ways_to_read_intensities(intensity, window, low, high):
    stored = (np.arange(64 * 64, dtype=np.uint16) // 4).reshape(64, 64)
    stored[5, 5] = 65535
    for data in (dicom_bytes(stored), _png(stored)):
        picture = decode_image(data, intensity=intensity, window=window)
        expected = np.clip((stored - float(low)) / (high - low), 0, 1) * 255
        assert np.abs(picture.pixels[..., 0] - expected).max() <= 1.01
        code, = {note.code for note in picture.notes} & {"percentiles", "range", "window.own"}
        assert code == {"": "percentiles", "whole range": "range", "own window": "window.own"}.get(intensity, intensity)
    assert len(np.unique(decode_image(_png(stored)).pixels)) > 200


def _png(values: np.ndarray) -> bytes:
    from PIL import Image
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("options", [{"intensity": "nonsense"}, {"intensity": "own window"}, {"window": (1, 2)},
                                     {"intensity": "own window", "window": (1, 0)}, {"frame": 3}])
def test_what_cannot_be_asked_for(options):
    with pytest.raises(LightboxError) as caught:
        decode_image(dicom_bytes(RAMP), **options)
    assert caught.value.code in ("image.option", "image.no_frame")


@pytest.mark.parametrize("raw", [b"40,5", b"WIDE", b"nan ", b"4 0 "])
def test_a_window_that_is_no_number_is_left_out(raw):
    data = dicom_bytes(RAMP, WindowCenter="1234", WindowWidth="1111").replace(b"1234", raw.ljust(4))
    picture = decode_image(data)
    np.testing.assert_array_equal(picture.pixels, decode_image(dicom_bytes(RAMP)).pixels)
    assert "window.left_out" in [note.code for note in picture.notes]


@pytest.mark.parametrize("missing", [("BitsStored",), ("HighBit", "PixelRepresentation"), ("PhotometricInterpretation",)])
def test_what_old_programs_leave_out(missing):
    data = dicom_bytes(RAMP, **dict.fromkeys(missing))
    np.testing.assert_array_equal(decode_image(data).pixels, decode_image(dicom_bytes(RAMP)).pixels)


def enhanced(**of_frames) -> bytes:
    """Two frames, each with its own slope."""
    frames = np.stack([RAMP, RAMP[::-1]])
    per_frame = []
    for slope in (-1, 1):
        values, windows, item = Dataset(), Dataset(), Dataset()
        values.RescaleSlope, values.RescaleIntercept, values.RescaleType = slope, 100, "US"
        windows.WindowCenter, windows.WindowWidth = (100 - 2048 if slope < 0 else 2148), 4096
        item.PixelValueTransformationSequence, item.FrameVOILUTSequence = [values], [windows]
        per_frame.append(item)
    return dicom_bytes(RAMP, NumberOfFrames=2, PixelData=frames.tobytes(), PerFrameFunctionalGroupsSequence=per_frame,
                       **of_frames)


def test_functional_groups_of_each_frame_count():
    first, second = (decode_image(enhanced(), frame=k).pixels[..., 0].astype(int) for k in (0, 1))
    assert np.abs(first - (255 - RAMP / 4095 * 255)).max() <= 1
    assert np.abs(second - (RAMP / 4095 * 255)[::-1]).max() <= 1


def test_presentation_luts_and_monochrome_1():
    plain, inverse, one, both = (decode_image(dicom_bytes(RAMP, **elements)).pixels.astype(int) for elements in (
        {"PresentationLUTShape": "IDENTITY"}, {"PresentationLUTShape": "INVERSE"}, {"PhotometricInterpretation": "MONOCHROME1"},
        {"PresentationLUTShape": "INVERSE", "PhotometricInterpretation": "MONOCHROME1"}))
    assert np.abs(plain - (255 - inverse)).max() <= 1
    np.testing.assert_array_equal(one, inverse)
    np.testing.assert_array_equal(both, one)


def test_frames_are_counted_and_are_images_of_a_set(tmp_path):
    several = [np.full((20, 30), 100 * k, np.uint16) + np.arange(30, dtype=np.uint16) for k in range(6)]
    for name, syntax in (("a", ExplicitVRLittleEndian), ("b", ImplicitVRLittleEndian)):
        (tmp_path / name).mkdir()
        for k in range(4):
            data = dicom_bytes(several[0], syntax, NumberOfFrames=3, PixelData=b"".join(f.tobytes() for f in several[:3]))
            (tmp_path / name / f"1.2.276.{k}").write_bytes(data)
        (tmp_path / name / "single.dcm").write_bytes(dicom_bytes(several[1], syntax))
        assert count_frames(tmp_path / name / "1.2.276.0") == 3 and count_frames(tmp_path / name / "single.dcm") == 1
    data = open_dataset(DataConfig(str(tmp_path), size=16))
    assert len(data) == 26 and not data.skipped
    assert "frames" in [said.code for said in data.source.scan().understood]
    groups = data.table.groupby("patient").size()
    assert (groups[[name for name in groups.index if name]] == 3).all() and len(groups) == 8 + 1
    assert decode_image(tmp_path / "a" / "1.2.276.0#frame=2").pixels.shape == (20, 30, 1)
    (tmp_path / "big").write_bytes(dicom_bytes(several[0], ExplicitVRBigEndian, NumberOfFrames=3,
                                               PixelData=np.stack(several[:3]).astype(">u2").tobytes()))
    assert count_frames(tmp_path / "big") == 3 and count_frames(tmp_path / "nowhere") == 1
    if hasattr(os, "mkfifo"):      # opening it would wait for ever
        os.mkfifo(tmp_path / "pipe")
        assert count_frames(tmp_path / "pipe") == 1


def test_what_decoding_said_of_many_images_is_said_of_the_set(tmp_path):
    hot = (np.arange(64 * 64, dtype=np.uint16) // 4).reshape(64, 64)
    hot[0, 0] = 65535
    for k in range(8):
        (tmp_path / "ab"[k % 2]).mkdir(exist_ok=True)
        (tmp_path / "ab"[k % 2] / f"{k}.png").write_bytes(_png(hot if k < 3 else RAMP))
    data = open_dataset(DataConfig(str(tmp_path), size=16))
    assert any("3 of 8" in note and "percentiles" in note for note in data.notes)
