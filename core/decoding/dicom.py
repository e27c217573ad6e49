"""DICOM files: the pixels and nothing else. Names, IDs and dates of patients are not even read from the file.

One frame is decoded (here), then made gray or colour (dicom_gray.py). Functional groups of enhanced files count like elements of
the file. Reading needs the package pydicom, which is optional; JPEG Lossless, JPEG-LS and 12-bit JPEG need pylibjpeg beside it.
"""

from __future__ import annotations

import io
import logging
import struct
import warnings
from collections.abc import Callable
from functools import cache

import numpy as np

from core.decoding.depth import Reading
from core.decoding.dicom_gray import colour, gray
from core.decoding.note import MAX_PIXELS, Note
from core.errors import LightboxError

INSTALL = "Install it with pip install pydicom."
BROKEN = "Export it again, or save it as PNG."
DEFLATED = b"1.2.840.10008.1.2.1.99"      # the whole file is compressed: nothing bounds what comes out of it
MAX_READS = 300_000                       # elements before the pixels, about; a second of reading
MAX_FRAGMENTS = 100_000
MAX_SCANS = 100                           # of a JPEG
ITEM = b"\xfe\xff\x00\xe0"

TAGS = ("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames",
        "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit",
        "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction",
        "VOILUTSequence", "PresentationLUTShape", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
        "RedPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableDescriptor",
        "BluePaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData",
        "BluePaletteColorLookupTableData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths", "PixelData")


def is_dicom(data: bytes) -> bool:
    """Return whether a file is DICOM: by the mark after the preamble, or, where that is missing, by its first element."""
    if data[128:132] == b"DICM":
        return True
    if len(data) < 16:
        return False
    for order in "<>":
        group, element = struct.unpack(order + "HH", data[:4])
        explicit = data[4:6] in (b"UL", b"UI", b"OB", b"CS", b"DA", b"TM", b"LO", b"SH")
        length = struct.unpack(order + "I", data[4:8])[0]
        if group in (2, 8) and element < 0x60 and (explicit or group == 8 and length <= 64):
            return True
    return False


def decode_dicom(data: bytes, reading: Reading, notes: list[Note], allow: Callable[[int], None]) -> np.ndarray:
    """Decode one frame of a DICOM file to (H, W, 1 or 3) uint8.

    Args:
        notes: how the values were converted is appended, in sentences without a word from the file

    Raises:
        LightboxError: "image.unsupported" without pydicom, for a compression that cannot be undone here, for more than 16 bits;
            "image.no_pixels", "image.no_frame", "image.too_large", "image.broken"
    """
    pydicom = _pydicom()
    if DEFLATED in data:
        raise LightboxError("image.unsupported", "This DICOM file is compressed as a whole (deflated), which is not supported.",
                            "Export it uncompressed.")
    try:
        file = pydicom.dcmread(_Bounded(data), force=True, specific_tags=list(TAGS))
        notes.append(Note("dicom", "It is a DICOM file: only its pixels were read."))
        frame = _frame(file, reading, notes)
        stored = _stored_values(file, frame, allow, notes)
        if stored.ndim == 3:
            return colour(stored, notes)
        if file.PhotometricInterpretation == "PALETTE COLOR":
            notes.append(Note("palette", "Its palette was converted to colours."))
            return colour(pydicom.pixels.apply_color_lut(stored, file), notes)
        return gray(stored, file, _groups(file, frame), notes, reading)[..., None]
    except (LightboxError, MemoryError):
        raise
    except Exception:      # pydicom raises nearly everything; its words may quote the file, so they are dropped
        raise LightboxError("image.broken", "The DICOM file is damaged, incomplete, or of an unsupported variant.",
                            BROKEN) from None


def _frame(file, reading: Reading, notes: list[Note]) -> int:
    """Return the number of the frame to read, from 0, and note it where there are several."""
    frames = max(1, int(file.get("NumberOfFrames") or 1))
    if not 0 <= reading.frame < frames:
        raise LightboxError("image.no_frame", f"The DICOM file has no frame {reading.frame + 1}; it has {frames:,}.",
                            "Choose another frame.")
    if frames > 1:
        which = f"Frame {reading.frame + 1} of {frames:,}" if reading.frame else f"The first of {frames:,} frames"
        notes.append(Note("frames", f"{which} was used.", frames=frames))
    return reading.frame


def _groups(file, frame: int) -> list:
    """Return where the elements of a frame stand: its functional groups, those that all frames share, the file itself."""
    places = []
    for name, number in (("PerFrameFunctionalGroupsSequence", frame), ("SharedFunctionalGroupsSequence", 0)):
        items = file.get(name) or ()
        if number < len(items):
            for group in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
                places += list(items[number].get(group) or ())[:1]
    return [*places, file]


@cache
def _pydicom():
    """Return the package, kept from logging anything about what it reads."""
    try:
        import pydicom
        import pydicom.pixels
    except ImportError:
        raise LightboxError("image.unsupported", "This is a DICOM file; reading it needs the package pydicom.",
                            INSTALL) from None
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", module="pydicom")
    return pydicom


class _Bounded(io.BytesIO):
    """A file in memory that gives up on a header of millions of elements, which would take minutes."""

    reads = 0

    def read(self, size: int | None = -1) -> bytes:
        self.reads += 1
        if self.reads > MAX_READS:
            raise LightboxError("image.broken", f"The DICOM file has more than {MAX_READS:,} entries before its pixels.", BROKEN)
        return super().read(size)


def _stored_values(file, number: int, allow: Callable[[int], None], notes: list[Note]) -> np.ndarray:
    """Return a frame as stored: (H, W) or (H, W, 3), of 8 or 16 bits. Bounded by the header, before it is decoded."""
    from pydicom.pixels import pixel_array

    if "PixelData" not in file or not file.PixelData:
        raise LightboxError("image.no_pixels", "This DICOM file holds no image.",
                            "It may be a report, a plan or a list of other files; use the image files.")
    height, width, samples, bits = _announced(file)
    _fill_in(file, bits, samples, notes)
    allow(height * width)
    syntax = _transfer_syntax(file.file_meta, file.original_encoding)
    if syntax.is_compressed:
        _check_coded(_coded_frame(file, number), syntax, (height, width), bits)
    try:
        return pixel_array(file, index=number)
    except RuntimeError:
        if not syntax.is_compressed:
            raise
        raise LightboxError("image.broken", f"The compressed image in this DICOM file ({syntax.name}) is damaged, or of a "
                            "variant that the installed decoders do not read.", BROKEN) from None


def _announced(file) -> tuple[int, int, int, int]:
    """Return height, width, values a pixel and bits a value, as the header says them, where they are such as can be read."""
    height, width, samples = int(file.Rows), int(file.Columns), int(file.get("SamplesPerPixel", 1))
    if height * width > MAX_PIXELS:
        raise LightboxError("image.too_large", f"The image has {width:,} x {height:,} pixels; the limit is "
                            f"{MAX_PIXELS / 1e6:.0f} million.", "Export a smaller one.")
    if not height or not width or samples not in (1, 3):
        raise ValueError("no such image")
    bits = int(file.BitsAllocated)
    if bits > 16:
        raise LightboxError("image.unsupported", f"The DICOM image has {bits} bits a value; up to 16 are supported.",
                            "Export it with 16 bits, or as PNG.")
    return height, width, samples, bits


def _transfer_syntax(meta, original_encoding: tuple[bool, bool]):
    """Return how the pixels are written (a pydicom UID), which is added where old devices left it out."""
    import pydicom
    from pydicom.uid import UID

    if "TransferSyntaxUID" not in meta:
        implicit, little = original_encoding
        meta.TransferSyntaxUID = UID("1.2.840.10008.1.2" if implicit else f"1.2.840.10008.1.2.{1 if little else 2}")
    if meta.TransferSyntaxUID not in pydicom.uid.AllTransferSyntaxes:
        raise _not_decoded("")
    return meta.TransferSyntaxUID


def _check_coded(frame: bytes, syntax, size: tuple[int, int], bits: int) -> None:
    """Raise where a compressed frame is not what the header says, or more than a decoder should be given."""
    import pydicom

    (height, width), coded = size, coded_size(frame)
    if coded and coded != size:
        raise LightboxError("image.broken", f"The DICOM file says {width:,} x {height:,} pixels and holds {coded[1]:,} x "
                            f"{coded[0]:,}.", BROKEN)
    if syntax == pydicom.uid.RLELossless:
        _check_runs(frame, height * width)
    if frame.count(b"\xff\xda") > MAX_SCANS and frame.startswith(b"\xff\xd8"):
        raise ValueError("too many scans")
    if not _can_decode(syntax, bits):
        raise _not_decoded(f" ({syntax.name})")


def _fill_in(file, bits: int, samples: int, notes: list[Note]) -> None:
    """Set what old or careless programs leave out and nothing can be read without."""
    wanted = {"SamplesPerPixel": samples, "PhotometricInterpretation": "RGB" if samples == 3 else "MONOCHROME2",
              "PixelRepresentation": 0, "BitsStored": bits, "HighBit": int(file.get("BitsStored") or bits) - 1}
    if samples == 3:
        wanted["PlanarConfiguration"] = 0
    missing = [name for name in wanted if file.get(name) in (None, "")]
    for name in missing:
        setattr(file, name, wanted[name])
    if {"BitsStored", "PhotometricInterpretation"} & set(missing):
        notes.append(Note("dicom.missing", f"It does not say its {' and '.join(sorted(missing))}; the usual was taken."))


def _not_decoded(how: str) -> LightboxError:
    return LightboxError("image.unsupported", f"The compression of this DICOM image cannot be decoded here{how}.",
                         "Export it uncompressed, or install decoders: pip install pylibjpeg pylibjpeg-libjpeg "
                         "pylibjpeg-openjpeg.")


def _can_decode(syntax, bits: int) -> bool:
    from pydicom.pixels import get_decoder
    from pydicom.uid import JPEGExtended12Bit
    try:
        plugins = get_decoder(syntax).available_plugins
    except NotImplementedError:
        return False
    return bool(set(plugins) - ({"pillow"} if syntax == JPEGExtended12Bit and bits > 8 else set()))


def _coded_frame(file, number: int) -> bytes:
    from pydicom.encaps import get_frame
    if file.PixelData.count(ITEM) > MAX_FRAGMENTS:
        raise ValueError("too many fragments")
    extended = {"extended_offsets": (file.ExtendedOffsetTable, file.ExtendedOffsetTableLengths)} if (
        "ExtendedOffsetTable" in file and "ExtendedOffsetTableLengths" in file) else {}
    return get_frame(file.PixelData, number, number_of_frames=int(file.get("NumberOfFrames") or 1), **extended)


def coded_size(frame: bytes) -> tuple[int, int] | None:
    """Return (height, width) from the header of a JPEG, JPEG-LS or JPEG 2000 stream, None for other streams."""
    if frame.startswith(b"\xff\xd8"):
        at = 2
        while at + 9 <= len(frame) and frame[at] == 0xFF:
            marker, length = frame[at + 1], int.from_bytes(frame[at + 2:at + 4], "big")
            if marker == 0xF7 or 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):      # start of frame
                return struct.unpack(">HH", frame[at + 5:at + 9])
            at += 2 + length if marker != 0xFF else 1
        raise ValueError("no start of frame")
    start = frame[:4096].find(b"\xff\x4f\xff\x51")
    if start >= 0:
        right, bottom, left, top = struct.unpack(">4I", frame[start + 8:start + 24])
        return bottom - top, right - left
    return None


def _check_runs(frame: bytes, expected: int) -> None:
    """Raise ValueError where a run-length coded frame (PS3.5 G) would decode to more than its header says."""
    count, *starts = struct.unpack("<16I", frame[:64])
    if count > 15:
        raise ValueError("too many segments")
    for begin, end in zip(starts[:count], [*starts[1:count], len(frame)]):
        at, n = begin, 0
        while at < min(end, len(frame)):
            code = frame[at]
            at, n = (at + code + 2, n + code + 1) if code < 128 else (at + 2, n + 257 - code) if code > 128 else (at + 1, n)
            if n > expected + 128:
                raise ValueError("too long a segment")


