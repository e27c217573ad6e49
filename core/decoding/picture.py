"""The rules by which bytes become pixels; core/datasets/decode.py states them. Runs in the worker."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, features

from core.decoding import netpbm, png, tiff
from core.decoding.depth import Reading, over_black, to_8_bits
from core.decoding.dicom import decode_dicom, is_dicom
from core.decoding.note import AGAIN, MAX_BYTES, MAX_PIXELS, PLAIN, Note, damaged, too_large, unsupported
from core.errors import LightboxError

__all__ = ["Picture", "Reading", "decode", "read_file", "sniff", "too_large"]

MAX_SCANS = 100              # of a JPEG; a progressive one has some ten
MAX_FRAMES = 100             # more are not counted
FRACTION = 8192              # no format packs more pixels in a byte than so many, but for a few hundred bytes

READ = {"PNG": (png.SIGNATURE,), "JPEG": (b"\xff\xd8\xff",), "BMP": (b"BM",), "GIF": (b"GIF87a", b"GIF89a"),
        "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), "WEBP": (b"RIFF",),      # Pillow's name -> first bytes
        "JPEG2000": (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"), "PPM": (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6", b"Pf")}
BRANDS = {"AVIF": (b"avif", b"avis"), "HEIF": (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")}
TITLES = {"HEIF": "HEIC", "PPM": "PGM or PPM", "JPEG2000": "JPEG 2000", "WEBP": "WebP"}
NOT_READ = (      # (name, offset, bytes there): known, so that the sentence can name it
    ("PDF", 0, b"%PDF"), ("zip", 0, b"PK\x03\x04"), ("NIfTI", 344, b"n+1\0"), ("NIfTI", 344, b"ni1\0"),
    ("gzip (perhaps NIfTI)", 0, b"\x1f\x8b"), ("SVG", 0, b"<svg"), ("NumPy", 0, b"\x93NUMPY"), ("HDF5", 0, b"\x89HDF\r\n\x1a\n"),
    ("MetaImage", 0, b"ObjectType"), ("NRRD", 0, b"NRRD000"), ("JPEG-LS", 0, b"\xff\xd8\xff\xf7"), ("JPEG XL", 0, b"\xff\x0a"),
    ("JPEG XL", 4, b"JXL "), ("Photoshop", 0, b"8BPS"), ("video", 4, b"ftypmp4"), ("video", 4, b"ftypisom"),
    ("Git LFS pointer", 0, b"version https://git-lfs"), ("netCDF", 0, b"CDF\x01"))
REMEDY = {"NIfTI": "Save its slices as PNG.", "gzip (perhaps NIfTI)": "Unpack it; save the slices of a volume as PNG.",
          "NumPy": "Save each image as PNG, or all in one .npz in MedMNIST's layout.",
          "video": "Save the frames that matter as PNG.", "MetaImage": "Save its slices as PNG.",
          "NRRD": "Save its slices as PNG.",
          "Git LFS pointer": "The image itself was not downloaded: run git lfs pull."}


class Picture(NamedTuple):
    """(H, W, 1 or 3) uint8, upright, and what was done to it."""

    pixels: np.ndarray
    notes: list[Note]


class _Values(NamedTuple):
    """What a format gives: values (H, W) or (H, W, 3) of any depth, alpha (H, W) or None, how it is turned, as EXIF has it."""

    values: np.ndarray
    alpha: np.ndarray | None = None
    orientation: int = 1


def decode(data: bytes, reading: Reading = Reading(), allow: Callable[[int], None] = lambda pixels: None) -> Picture:      # noqa: B008
    """Decode an image. `allow` is told how many pixels it has before they are unpacked. Raises LightboxError."""
    if len(data) > MAX_BYTES:
        raise too_large(f"The file has {len(data) / 1e6:,.0f} MB")
    kind, notes = sniff(data), []
    Image.MAX_IMAGE_PIXELS = None      # bounded here, more closely
    try:
        if kind == "DICOM":
            pixels = decode_dicom(data, reading, notes, allow)
        else:
            pixels = _finished(FORMATS.get(kind, _by_pillow)(data, kind, reading, notes, allow), notes, reading)
        return Picture(_gray_if_equal(pixels, notes), notes)
    except (LightboxError, MemoryError):
        raise
    except Exception as error:      # Pillow raises OSError, ValueError, TypeError, SyntaxError, EOFError, struct.error ... here
        if "truncated" in str(error).lower():
            raise damaged(TITLES.get(kind, kind), "it is cut off") from None
        raise LightboxError("image.broken", f"The {TITLES.get(kind, kind)} image is damaged, incomplete, or of an "
                            "unsupported variant.", AGAIN) from error


def read_file(path: str) -> bytes:
    """Read a file that the parent has looked at already."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise LightboxError("image.unreadable", f"{Path(path).name} cannot be opened: {error.strerror}.",
                            "Check that it exists and that you may read it.") from None


def sniff(data: bytes) -> str:
    """Return Pillow's name of the format, or "DICOM", by the first bytes. Raises LightboxError for other formats."""
    if data[128:132] == b"DICM":      # before the others: some devices put the head of a TIFF in front
        return "DICOM"
    if not data.startswith(b"\xff\xd8\xff\xf7"):
        for kind, starts in READ.items():
            if data.startswith(starts) and (kind != "WEBP" or data[8:12] == b"WEBP") and (
                    kind != "PPM" or data[2:3].isspace() or data[2:3] == b"#"):
                return kind
    if data[4:8] == b"ftyp":
        brands = {data[8:12], *(data[at:at + 4] for at in range(16, min(int.from_bytes(data[:4], "big"), 128), 4))}
        for kind, known in BRANDS.items():
            if brands & set(known):
                return kind
    if is_dicom(data):
        return "DICOM"
    for kind, offset, mark in NOT_READ:
        if data[offset:offset + len(mark)] == mark:
            raise unsupported(f"This is a {kind} file, which is not read as an image.", REMEDY.get(kind, PLAIN))
    what = "The file is empty." if not data else "The file is not an image, despite its name."
    raise LightboxError("image.not_an_image", what, "Use a PNG, JPEG, BMP, TIFF, WebP, GIF, PGM, JPEG 2000, AVIF, HEIC or DICOM "
                        "image.")


def _finished(read: _Values, notes: list[Note], reading: Reading) -> np.ndarray:
    """Return (H, W, C) uint8: over black, of 8 bits, upright."""
    values = read.values if read.alpha is None else over_black(read.values, read.alpha, notes)
    pixels = to_8_bits(values, notes, reading)
    if read.orientation in TURNS:
        words, turn = TURNS[read.orientation]
        notes.append(Note("turned", f"It was {words}, according to its EXIF orientation."))
        pixels = turn(pixels)
    return pixels.reshape(*pixels.shape[:2], -1)


def _gray_if_equal(pixels: np.ndarray, notes: list[Note]) -> np.ndarray:
    if pixels.shape[2] == 3:
        red, green, blue = (np.ascontiguousarray(pixels[..., k]) for k in range(3))
        if np.array_equal(red, green) and np.array_equal(green, blue):
            pixels = red[..., None]
            notes.append(Note("gray", "Its three colour channels are equal: it was read as gray."))
    return np.ascontiguousarray(pixels)


TURNS = {      # EXIF orientation -> what is done to stand it upright
    2: ("mirrored left to right", lambda a: a[:, ::-1]),
    3: ("turned by 180 degrees", lambda a: a[::-1, ::-1]),
    4: ("mirrored top to bottom", lambda a: a[::-1]),
    5: ("mirrored along its diagonal", lambda a: a.swapaxes(0, 1)),
    6: ("turned by 90 degrees clockwise", lambda a: np.rot90(a, -1)),
    7: ("mirrored along its other diagonal", lambda a: a[::-1, ::-1].swapaxes(0, 1)),
    8: ("turned by 90 degrees anticlockwise", lambda a: np.rot90(a))}


def note_frames(frames: int, reading: Reading, notes: list[Note], others: bool = True) -> int:
    """Note which of several frames is used and return its number. Raises LightboxError "image.no_frame".

    Args:
        others: whether others than the first can be read
    """
    if reading.frame and not 0 <= reading.frame < frames:
        raise LightboxError("image.no_frame", f"The image has no frame {reading.frame + 1}; it has {frames:,}.",
                            "Choose another frame.")
    if frames > 1:
        of = f"{frames:,}" if frames < MAX_FRAMES else f"{MAX_FRAMES} or more"
        which = f"Frame {reading.frame + 1} of {of}" if reading.frame else f"The first of {of} frames"
        notes.append(Note("frames", f"{which} was used.", **({"frames": frames} if others else {})))
    return reading.frame


def _check_size(width: int, height: int, data: bytes, kind: str, allow: Callable[[int], None]) -> None:
    if width * height > MAX_PIXELS:
        raise too_large(f"The image has {width:,} x {height:,} pixels")
    if kind in ("BMP", "JPEG", "GIF") and width * height > FRACTION * len(data) + 65536:
        raise damaged(kind, "it says that it has more pixels than so few bytes can hold")
    allow(width * height)


# A function a format: (data, kind, reading, notes, allow) -> _Values

def _png(data: bytes, kind: str, reading: Reading, notes: list[Note], allow: Callable[[int], None]) -> _Values:
    chunks = png.read_chunks(data)
    _check_size(chunks.width, chunks.height, data, kind, allow)
    if chunks.frames > 1:
        note_frames(chunks.frames, reading, notes, others=False)
        if reading.frame:
            raise unsupported("The later frames of an animated PNG are not read.", "Save the frame as an image of its own.")
    values, alpha = png.decode_png(chunks)
    if chunks.kind == 3:
        notes.append(Note("palette", "Its palette was converted to colours."))
    elif chunks.depth == 1:
        notes.append(Note("two_values", "Its two values became black (0) and white (255)."))
    exif = Image.Exif()
    try:
        exif.load(chunks.exif[:100_000])
        orientation = exif.get(0x0112, 1)
    except Exception:      # damaged EXIF is no reason to refuse the image
        orientation = 1
    return _Values(values, alpha, orientation)


def _tiff(data: bytes, kind: str, reading: Reading, notes: list[Note], allow: Callable[[int], None]) -> _Values:
    starts = tiff.page_starts(data)
    if not starts:
        raise damaged("TIFF", "it is cut off")
    frame = note_frames(len(starts), reading, notes)
    page = tiff.read_page(data, starts[frame])
    allow(tiff.check_size(page))
    if not tiff.is_plain(page):
        values, alpha = tiff.decode_deep(data, page, notes)
        return _Values(values, alpha, page.one(274, 1))
    with Image.open(io.BytesIO(data), formats=["TIFF"]) as image:
        if frame:
            image.seek(frame)
        _check_size(image.width, image.height, data, kind, allow)
        orientation = _orientation(image)
        image.load()      # turns it upright
        if orientation in TURNS:
            notes.append(Note("turned", f"It was {TURNS[orientation][0]}, according to its EXIF orientation."))
        return _Values(*_values(image, notes))


def _ppm(data: bytes, kind: str, reading: Reading, notes: list[Note], allow: Callable[[int], None]) -> _Values:
    allow(len(data))
    values = netpbm.read_deep(data)
    return _by_pillow(data, kind, reading, notes, allow) if values is None else _Values(values)


def _heif(data: bytes, kind: str, reading: Reading, notes: list[Note], allow: Callable[[int], None]) -> _Values:
    try:
        import pillow_heif
    except ImportError:
        raise unsupported("This is a HEIC image, as phones make them; reading it needs the package pillow-heif.",
                          "Install it with pip install pillow-heif, or save the image as JPEG.") from None
    pillow_heif.register_heif_opener(thumbnails=False)
    return _by_pillow(data, kind, reading, notes, allow)


def _by_pillow(data: bytes, kind: str, reading: Reading, notes: list[Note], allow: Callable[[int], None]) -> _Values:
    needs = {"AVIF": "avif", "JPEG2000": "jpg_2000", "WEBP": "webp"}.get(kind)
    if needs and not features.check(needs):
        raise unsupported(f"This is a {TITLES.get(kind, kind)} image, which the Pillow on this computer cannot read.",
                          "Update it with pip install -U pillow, or save the image as PNG.")
    if kind == "JPEG" and data.count(b"\xff\xda") > MAX_SCANS:
        raise LightboxError("image.broken", f"The JPEG image has more than {MAX_SCANS} scans, as no camera writes.", PLAIN)
    with Image.open(io.BytesIO(data), formats=[kind]) as image:      # reads the header only
        _check_size(image.width, image.height, data, kind, allow)
        frame = note_frames(getattr(image, "n_frames", 1), reading, notes)
        if frame:
            image.seek(frame)
        if kind == "JPEG2000":
            _note_jpeg2000(data, image, notes)
        orientation = _orientation(image)
        image.load()
        return _Values(*_values(image, notes), orientation)


def _note_jpeg2000(data: bytes, image: Image.Image, notes: list[Note]) -> None:
    at = data.find(b"\xff\x4f\xff\x51")      # SIZ: the depth of each component is the first of its three bytes
    bits = max((byte & 0x7f) + 1 for byte in data[at + 42:at + 42 + 3 * len(image.getbands()):3]) if at >= 0 else 8
    if bits > 8 and len(image.getbands()) > 1:
        notes.append(Note("upper_bits", f"The upper 8 of its {bits} bits were used."))


FORMATS = {"PNG": _png, "TIFF": _tiff, "PPM": _ppm, "HEIF": _heif}


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(0x0112, 1)
    except Exception:      # damaged EXIF is no reason to refuse the image
        return 1


def _values(image: Image.Image, notes: list[Note]) -> tuple[np.ndarray, np.ndarray | None]:
    """Return Pillow's pixels, (H, W) or (H, W, 3), and alpha, (H, W) or None."""
    mode = image.mode
    if mode in ("P", "PA"):
        notes.append(Note("palette", "Its palette was converted to colours."))
        image = image.convert("RGBA" if mode == "PA" or "transparency" in image.info else "RGB")
    elif mode == "1":
        notes.append(Note("two_values", "Its two values became black (0) and white (255)."))
        image = image.convert("L")
    elif "transparency" in image.info and mode in ("L", "RGB"):      # one colour means transparent
        image = image.convert("LA" if mode == "L" else "RGBA")
    elif mode == "RGBX" or mode not in ("L", "LA", "RGB", "RGBA", "RGBa", "I", "F") and not mode.startswith("I;16"):
        notes.append(Note("converted", f"Its {'CMYK inks' if mode == 'CMYK' else mode + ' values'} were converted to red, green "
                          "and blue."))
        image = image.convert("RGB")
    values = np.asarray(image)
    if image.mode == "RGBa":      # multiplied in the file: they lie over black
        if (values[..., 3] != 255).any():
            notes.append(Note("alpha", "Its transparent parts were laid over black."))
        return values[..., :3], None
    if image.mode in ("LA", "RGBA"):
        return (values[..., 0] if image.mode == "LA" else values[..., :3]), values[..., -1]
    return values, None
