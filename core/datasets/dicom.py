"""DICOM files: the pixels and nothing else. Names, IDs and dates of patients are not even read from the file.

From stored values to gray, as PS3.3 C.11 of the standard has it (https://dicom.nema.org/medical/dicom/current):

    stored value -> rescale slope and intercept, or modality table -> window, or VOI table -> 0..255 -> inverted for MONOCHROME1

The first frame is used; the first window where there are several; where there is none, the image's own darkest to its own
brightest value, as for other images of more than 8 bits. All of it is worked out once for each value that occurs (at most
65,536), then looked up for each pixel. Reading needs the package pydicom, which is optional.
"""

from __future__ import annotations

import io
import logging
import struct
import warnings
from functools import cache

import numpy as np

from core.errors import LightboxError

INSTALL = "Install it with pip install pydicom."
BROKEN = "Export it again, or save it as PNG."
DEFLATED = b"1.2.840.10008.1.2.1.99"      # the whole file is compressed: nothing bounds what comes out of it
MAX_READS = 300_000                       # elements before the pixels, about; a second of reading
MAX_FRAGMENTS = 100_000
MAX_SCANS = 100                           # of a JPEG
ITEM = b"\xfe\xff\x00\xe0"

TAGS = ("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames",
        "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "RescaleSlope", "RescaleIntercept",
        "ModalityLUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence",
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


def read_dicom(data: bytes, max_pixels: int) -> tuple[np.ndarray, list[str]]:
    """Read the first frame of a DICOM file.

    Returns:
        (H, W, 1 or 3) uint8, and how the values were converted, in sentences without a word from the file

    Raises:
        LightboxError: "image.unsupported" without pydicom, for a compression that cannot be undone here, for more than 16 bits;
            "image.no_pixels", "image.too_large", "image.broken"
    """
    pydicom = _pydicom()
    if DEFLATED in data:
        raise LightboxError("image.unsupported", "This DICOM file is compressed as a whole (deflated), which is not supported.",
                            "Export it uncompressed.")
    try:
        file = pydicom.dcmread(_Bounded(data), force=True, specific_tags=list(TAGS))
        stored = _stored_values(file, max_pixels)
        notes = ["It is a DICOM file: only its pixels were read."]
        frames = int(file.get("NumberOfFrames") or 1)
        if frames > 1:
            notes.append(f"The first of {frames:,} frames was used.")
        if stored.ndim == 3:
            return _colour(stored, notes), notes
        if file.PhotometricInterpretation == "PALETTE COLOR":
            notes.append("Its palette was converted to colours.")
            return _colour(pydicom.pixels.apply_color_lut(stored, file), notes), notes
        return _gray(stored, file, notes)[..., None], notes
    except (LightboxError, MemoryError):
        raise
    except Exception:      # pydicom raises nearly everything; its words may quote the file, so they are dropped
        raise LightboxError("image.broken", "The DICOM file is damaged, incomplete, or of an unsupported variant.",
                            BROKEN) from None


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


def _stored_values(file, max_pixels: int) -> np.ndarray:
    """Return the first frame as stored: (H, W) or (H, W, 3), of 8 or 16 bits. Bounded by the header, before it is decoded."""
    import pydicom
    from pydicom.pixels import pixel_array
    from pydicom.uid import UID

    if "PixelData" not in file or not file.PixelData:
        raise LightboxError("image.no_pixels", "This DICOM file holds no image.",
                            "It may be a report, a plan or a list of other files; use the image files.")
    height, width, samples = int(file.Rows), int(file.Columns), int(file.get("SamplesPerPixel", 1))
    if height * width > max_pixels:
        raise LightboxError("image.too_large", f"The image has {width:,} x {height:,} pixels; the limit is "
                            f"{max_pixels / 1e6:.0f} million.", "Export a smaller one.")
    if not height or not width or samples not in (1, 3):
        raise ValueError("no such image")
    bits = int(file.BitsAllocated)
    if bits > 16:
        raise LightboxError("image.unsupported", f"The DICOM image has {bits} bits a value; up to 16 are supported.",
                            "Export it with 16 bits, or as PNG.")
    meta = file.file_meta
    if "TransferSyntaxUID" not in meta:      # as old devices wrote it
        implicit, little = file.original_encoding
        meta.TransferSyntaxUID = UID("1.2.840.10008.1.2" if implicit else f"1.2.840.10008.1.2.{1 if little else 2}")
    syntax = meta.TransferSyntaxUID
    if syntax not in pydicom.uid.AllTransferSyntaxes:
        raise _not_decoded("")
    if syntax.is_compressed:
        frame = _first_frame(file)
        coded = coded_size(frame)
        if coded and coded != (height, width):
            raise LightboxError("image.broken", f"The DICOM file says {width:,} x {height:,} pixels and holds {coded[1]:,} x "
                                f"{coded[0]:,}.", BROKEN)
        if syntax == pydicom.uid.RLELossless:
            _check_runs(frame, height * width)
        if frame.count(b"\xff\xda") > MAX_SCANS and frame.startswith(b"\xff\xd8"):
            raise ValueError("too many scans")
        if not _can_decode(syntax, bits):
            raise _not_decoded(f" ({syntax.name})")
    return pixel_array(file, index=0)


def _not_decoded(how: str) -> LightboxError:
    return LightboxError("image.unsupported", f"The compression of this DICOM image cannot be decoded here{how}.",
                         "Export it uncompressed, or install a decoder: pip install pylibjpeg[all].")


def _can_decode(syntax, bits: int) -> bool:
    from pydicom.pixels import get_decoder
    from pydicom.uid import JPEGExtended12Bit
    try:
        plugins = get_decoder(syntax).available_plugins
    except NotImplementedError:
        return False
    return bool(set(plugins) - ({"pillow"} if syntax == JPEGExtended12Bit and bits > 8 else set()))


def _first_frame(file) -> bytes:
    from pydicom.encaps import generate_frames
    if file.PixelData.count(ITEM) > MAX_FRAGMENTS:
        raise ValueError("too many fragments")
    return next(generate_frames(file.PixelData, number_of_frames=int(file.get("NumberOfFrames") or 1)))


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


def _gray(stored: np.ndarray, file, notes: list[str]) -> np.ndarray:
    """Return (H, W) uint8 from (H, W) stored values."""
    low, high = int(stored.min()), int(stored.max())
    values = _modality(np.arange(low, high + 1), file)
    shown = _window(values, file, notes)
    if shown is None:
        least, most = float(values.min()), float(values.max())
        shown = (values - least) / ((most - least) or 1.0)
        if least == most:
            notes.append(f"All its values are {least:,.6g}: it became black.")
        elif stored.dtype.itemsize > 1 or (least, most) != (0, 255):
            notes.append(f"Its values {least:,.6g} to {most:,.6g} were scaled to 0 to 255.")
    if file.PhotometricInterpretation == "MONOCHROME1" and low < high:
        shown = 1 - shown
        notes.append("The file stores white as 0 (MONOCHROME1): it was inverted.")
    gray = np.round(255 * shown).astype(np.uint8)
    offset = stored.astype(np.int32)
    offset -= low
    return gray[offset]


def _modality(values: np.ndarray, file) -> np.ndarray:
    """Return (V,) float64, what the stored values mean."""
    table = file.get("ModalityLUTSequence")
    if table:
        return _lookup(values, table[0], file)[0]
    values = values * float(_first(file.get("RescaleSlope"), 1)) + float(_first(file.get("RescaleIntercept"), 0))
    if not np.isfinite(values).all():
        raise ValueError("rescaled to infinity")
    return values


def _window(values: np.ndarray, file, notes: list[str]) -> np.ndarray | None:
    """Return (V,) in 0..1 by the file's table or window; None where it has none that shows anything."""
    table = file.get("VOILUTSequence")
    if table:
        shown, most = _lookup(np.round(values), table[0], file)
        shown, words = shown / most, "lookup table"
    else:
        centre, width = (_first(file.get(name), np.nan) for name in ("WindowCenter", "WindowWidth"))
        c, w = float(centre), float(width)
        if not (np.isfinite(c) and np.isfinite(w) and w > 0):
            return None
        function = str(file.get("VOILUTFunction") or "LINEAR").upper()
        if function == "SIGMOID":
            shown = 1 / (1 + np.exp(np.clip(-4 * (values - c) / w, -700, 700)))
        elif function == "LINEAR_EXACT" or w <= 1:
            shown = np.clip((values - c) / w + 0.5, 0, 1)
        else:
            shown = np.clip((values - (c - 0.5)) / (w - 1) + 0.5, 0, 1)      # PS3.3 C.11.2.1.2.1
        words = f"window (centre {c:,.6g}, width {w:,.6g})"
    if len(values) > 1 and round(255 * shown.min()) == round(255 * shown.max()):
        notes.append("Its window would show one single gray value and was ignored.")
        return None
    notes.append(f"Its own {words} was applied.")
    return shown


def _lookup(values: np.ndarray, table, file) -> tuple[np.ndarray, int]:
    """Look up a table of PS3.3 C.11.1.1: (V,) float64 of its entries for whole values, and the largest that an entry can be."""
    count, first, bits = (int(v) for v in table.LUTDescriptor)
    entries = table.LUTData
    if isinstance(entries, bytes):
        entries = np.frombuffer(entries, "<u2" if file.original_encoding[1] else ">u2")
    entries = np.asarray(entries, np.float64)[:count or 65536]
    return entries[np.clip(values - first, 0, len(entries) - 1).astype(np.int64)], 2 ** bits - 1


def _first(value, default):
    """Return the first of several values, or the only one; `default` where there is none."""
    if value is None or value == "":
        return default
    return (value[0] if len(value) else default) if hasattr(value, "__len__") and not isinstance(value, (str, bytes)) else value


def _colour(values: np.ndarray, notes: list[str]) -> np.ndarray:
    """Return (H, W, 3) uint8; of 16 bits the high byte is used, so that colours keep their proportions."""
    values = values[..., :3]
    if values.dtype.itemsize == 1:
        return np.ascontiguousarray(values)
    notes.append("The upper 8 of its 16 bits were used.")
    return (values >> 8).astype(np.uint8)
