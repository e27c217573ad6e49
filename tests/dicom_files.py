"""DICOM files for tests: made ones, and what is expected of them."""

import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from core.datasets.decode import decode_image
from core.errors import LightboxError

RNG = np.random.default_rng(0)
EXAMPLES = Path(pydicom.__file__).parent / "data" / "test_files"      # come with the package
SECRETS = {"PatientName": "Zaphod^Beeblebrox", "PatientID": "PID-31415926", "PatientBirthDate": "19420131",
           "InstitutionName": "Betelgeuse General", "AccessionNumber": "ACC-27182", "ReferringPhysicianName": "Dent^Arthur",
           "StudyInstanceUID": "1.2.3.4444.55555", "PatientAddress": "Fenchurch Street", "StudyDate": "20010511",
           "WindowCenterWidthExplanation": "Window-of-Zaphod"}


def dicom_bytes(stored: np.ndarray, syntax=ExplicitVRLittleEndian, **elements) -> bytes:
    """A file with these stored values, as an X-ray detector would write it; `elements` are added or replaced, None removes."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = syntax, "1.2.840.10008.5.1.4.1.1.1.1"
    meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    file = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    file.Rows, file.Columns = stored.shape[:2]
    file.SamplesPerPixel = 3 if stored.ndim == 3 else 1
    file.PhotometricInterpretation = "RGB" if stored.ndim == 3 else "MONOCHROME2"
    if stored.ndim == 3:
        file.PlanarConfiguration = 0
    file.BitsAllocated = file.BitsStored = 8 * stored.dtype.itemsize
    file.HighBit, file.PixelRepresentation = file.BitsAllocated - 1, int(stored.dtype.kind == "i")
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    data = stored.astype(stored.dtype.newbyteorder(order)).tobytes()
    file.PixelData = data + b"\0" * (len(data) % 2)
    file["PixelData"].VR = "OW"
    for name, value in elements.items():
        if value is None:
            delattr(file, name)
        else:
            setattr(file, name, value)
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, file, enforce_file_format=False, implicit_vr=syntax == ImplicitVRLittleEndian,
                     little_endian=order == "<")
    return buffer.getvalue()


def refused(data, code: str, *words: str) -> LightboxError:
    with pytest.raises(LightboxError) as caught:
        decode_image(data)
    assert caught.value.code == code and all(word in str(caught.value) for word in words), caught.value
    return caught.value


def theirs(data: bytes, most: float) -> np.ndarray:
    """pydicom's own way from stored values to gray. `most` is the top of the range that its result has."""
    file = pydicom.dcmread(io.BytesIO(data))
    values = pydicom.pixels.apply_voi_lut(pydicom.pixels.apply_modality_lut(file.pixel_array, file), file)
    least = -2.0 ** (file.BitsStored - 1) if file.PixelRepresentation else 0.0
    slope, intercept = float(file.get("RescaleSlope", 1)), float(file.get("RescaleIntercept", 0))
    low, high = (0.0, most) if "VOILUTSequence" in file else (least * slope + intercept, (least + most) * slope + intercept)
    gray = (values - low) / (high - low)
    return np.round(255 * (1 - gray if file.PhotometricInterpretation == "MONOCHROME1" else gray)).astype(int)
