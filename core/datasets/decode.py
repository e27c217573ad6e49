"""Decoding: the one door for images. Bytes come out as plain uint8 pixels, or as one clear sentence.

The store decodes training images here and the classify page decodes a dropped file here, so both follow the same rules:

    format       by the first bytes, never by the name: PNG, JPEG, BMP, TIFF, WebP, GIF; DICOM in core/datasets/dicom.py
    size         read from the header and bounded before anything is decoded
    frames       the first one
    orientation  turned upright as the camera noted it (EXIF)
    depth        8 bits stay as they are; 16-bit, 32-bit and float values are scaled linearly from the image's own darkest
                 to its own brightest pixel; an image of one single value becomes 0
    alpha        laid over black
    palette, CMYK and other colour spaces become RGB
    gray         a colour image whose three channels are equal is gray

Everything that was done to an image is in its notes.
"""

from __future__ import annotations

import io
import stat
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from core.datasets.dicom import is_dicom, read_dicom
from core.errors import LightboxError

MAX_PIXELS = 25_000_000      # a full-resolution digital radiograph has some 12 million
MAX_SCANS = 100              # of a JPEG; a progressive one has some ten
MAX_FRAMES = 100             # more are not counted
MAX_BYTES = 200_000_000      # 25 million pixels of three 16-bit channels are 150 MB

READ = {"PNG": (b"\x89PNG\r\n\x1a\n",), "JPEG": (b"\xff\xd8\xff",), "BMP": (b"BM",), "GIF": (b"GIF87a", b"GIF89a"),
        "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), "WEBP": (b"RIFF",)}      # Pillow's name -> first bytes
NOT_READ = (      # (name, offset, bytes there): known, so that the sentence can name it
    ("PDF", 0, b"%PDF"), ("JPEG 2000", 0, b"\0\0\0\x0cjP  "), ("JPEG 2000", 0, b"\xff\x4f\xff\x51"),
    ("HEIC or AVIF", 4, b"ftyp"), ("zip", 0, b"PK\x03\x04"), ("gzip (perhaps NIfTI)", 0, b"\x1f\x8b"), ("SVG", 0, b"<svg"))
PLAIN = "Save it as PNG or JPEG and try again."


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """A decoded image.

    Args:
        pixels: (H, W, C) uint8, C = 1 gray or 3 red, green, blue; upright
        notes: how the file's values were converted, in plain sentences; empty for an ordinary 8-bit image
    """

    pixels: np.ndarray
    notes: tuple[str, ...] = ()


def decode_image(data: bytes | Path) -> DecodedImage:
    """Decode an image file by the rules above.

    Args:
        data: the file's bytes, or its path

    Raises:
        LightboxError:
            "image.not_an_image": the content is not an image, whatever its name
            "image.unsupported": a format that is not supported, such as PDF
            "image.broken": damaged or cut off
            "image.no_pixels": a DICOM file without an image
            "image.too_large": more than MAX_PIXELS or MAX_BYTES
            "image.unreadable": the file does not exist or may not be opened
    """
    if isinstance(data, Path):
        data = read_file(data, MAX_BYTES)
    if len(data) > MAX_BYTES:
        raise _too_large(f"The file has {len(data) / 1e6:,.0f} MB")
    kind = sniff(data)
    try:
        if kind == "DICOM":
            pixels, notes = read_dicom(data, MAX_PIXELS)
            return DecodedImage(*_gray_if_equal(pixels, notes))
        image = Image.open(io.BytesIO(data), formats=[kind])      # reads the header only
        if image.width * image.height > MAX_PIXELS:
            raise _too_large(f"The image has {image.width:,} x {image.height:,} pixels")
        return _decode(image, data)
    except LightboxError:
        raise
    except Image.DecompressionBombError:
        raise _too_large("The image has more than 100 million pixels") from None
    except MemoryError:
        raise _too_large("The image needs more memory than there is") from None
    except Exception as error:      # Pillow raises OSError, ValueError, TypeError, SyntaxError, EOFError, struct.error ... here
        raise LightboxError("image.broken", f"The {kind} image is damaged, incomplete, or of an unsupported variant.",
                            "Copy or download it again, or open it in an image viewer and save it again.") from error


def read_file(path: Path, limit: int) -> bytes:
    """Read a regular file of at most `limit` bytes. A folder, a pipe or a device is refused before it is opened."""
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise LightboxError("image.unreadable", f"{path.name} is not a file.", "Choose an image file.")
        if facts.st_size > limit:
            raise _too_large(f"The file has {facts.st_size / 1e6:,.0f} MB")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise LightboxError("image.unreadable", f"{path.name} cannot be opened: {reason}.",
                            "Check that it exists and that you may read it.") from error


def sniff(data: bytes) -> str:
    """Return Pillow's name of the format, or "DICOM", by the first bytes. Raises LightboxError for other formats."""
    if data[128:132] == b"DICM":      # before the others: some devices put the head of a TIFF in front
        return "DICOM"
    for kind, starts in READ.items():
        if data.startswith(starts) and (kind != "WEBP" or data[8:12] == b"WEBP"):
            return kind
    if is_dicom(data):
        return "DICOM"
    for kind, offset, mark in NOT_READ:
        if data[offset:offset + len(mark)] == mark:
            raise LightboxError("image.unsupported", f"This is a {kind} file, which is not supported.", PLAIN)
    what = "The file is empty." if not data else "The file is not an image, despite its name."
    raise LightboxError("image.not_an_image", what, "Use a PNG, JPEG, BMP, TIFF, WebP, GIF or DICOM image.")


def _too_large(what: str) -> LightboxError:
    return LightboxError("image.too_large", f"{what}; the limit is {MAX_PIXELS / 1e6:.0f} million pixels and "
                         f"{MAX_BYTES / 1e6:.0f} MB.", "Make it smaller in an image editor; networks use a few hundred "
                         "pixels a side.")


def _decode(image: Image.Image, data: bytes) -> DecodedImage:
    notes: list[str] = []
    if image.format == "JPEG" and data.count(b"\xff\xda") > MAX_SCANS:
        raise LightboxError("image.broken", f"The JPEG image has more than {MAX_SCANS} scans, as no camera writes.",
                            PLAIN)
    frames = _frames(image)
    if frames > 1:
        notes.append(f"The first of {frames if frames < MAX_FRAMES else f'{MAX_FRAMES} or more'} frames was used.")
    deep = _bits(image, data) > 8 and len(image.getbands()) > 1
    orientation = _orientation(image)
    image.load()      # a cut-off file ends here, also where another decoder follows
    values = _deep_colour(data) if deep else _values(image, notes)      # (H, W) or (H, W, C), of any depth
    if orientation in TURNS:
        words, turn = TURNS[orientation]
        notes.append(f"It was {words}, according to its EXIF orientation.")
        if image.format != "TIFF":      # both decoders have turned a TIFF already
            values = turn(values)
    values = values.reshape(*values.shape[:2], -1)
    if values.shape[2] in (2, 4):
        values = _over_black(values, notes)
    return DecodedImage(*_gray_if_equal(_to_8_bits(values, notes), notes))


def _gray_if_equal(pixels: np.ndarray, notes: list[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    if pixels.shape[2] == 3:
        red, green, blue = cv2.split(pixels)      # nine times as fast as comparing the channels in place
        if np.array_equal(red, green) and np.array_equal(green, blue):
            pixels = red[..., None]
            notes.append("Its three colour channels are equal: it was read as gray.")
    return np.ascontiguousarray(pixels), tuple(notes)


def _frames(image: Image.Image) -> int:
    """Return how many frames there are, counted up to MAX_FRAMES."""
    if image.format != "TIFF":
        return getattr(image, "n_frames", 1)
    try:      # each page has a head of its own, and there may be a hundred thousand
        for k in range(1, MAX_FRAMES):
            image.seek(k)
        return MAX_FRAMES
    except EOFError:
        return k
    finally:
        image.seek(0)


TURNS = {      # EXIF orientation -> what is done to stand it upright
    2: ("mirrored left to right", lambda a: a[:, ::-1]),
    3: ("turned by 180 degrees", lambda a: a[::-1, ::-1]),
    4: ("mirrored top to bottom", lambda a: a[::-1]),
    5: ("mirrored along its diagonal", lambda a: a.swapaxes(0, 1)),
    6: ("turned by 90 degrees clockwise", lambda a: np.rot90(a, -1)),
    7: ("mirrored along its other diagonal", lambda a: a[::-1, ::-1].swapaxes(0, 1)),
    8: ("turned by 90 degrees anticlockwise", lambda a: np.rot90(a))}


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(0x0112, 1)
    except Exception:      # damaged EXIF is no reason to refuse the image
        return 1


def _bits(image: Image.Image, data: bytes) -> int:
    """Return the bits of one value. Only PNG and TIFF have more than 8; Pillow hides it for colour images."""
    if image.format == "PNG":
        return data[24]      # the IHDR chunk always comes first
    return max(image.tag_v2.get(258, (8,))) if image.format == "TIFF" else 8


def _deep_colour(data: bytes) -> np.ndarray:
    """Decode 16 bits in several channels, of which Pillow would keep the high bytes only: (H, W, 3 or 4) uint16."""
    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    return cv2.cvtColor(values, cv2.COLOR_BGR2RGB if values.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)


def _values(image: Image.Image, notes: list[str]) -> np.ndarray:
    """Return Pillow's pixels in one of few forms: gray of any depth (H, W), or 8-bit gray + alpha, RGB, RGBA (H, W, 2|3|4)."""
    mode = image.mode
    if mode in ("P", "PA"):
        notes.append("Its palette was converted to colours.")
        image = image.convert("RGBA" if mode == "PA" or "transparency" in image.info else "RGB")
    elif mode == "1":
        notes.append("Its two values became black (0) and white (255).")
        image = image.convert("L")
    elif "transparency" in image.info and mode in ("L", "RGB"):      # one colour means transparent
        image = image.convert("LA" if mode == "L" else "RGBA")
    elif mode == "RGBa":
        image = image.convert("RGBA")
    elif mode == "RGBX" or mode not in ("L", "LA", "RGB", "RGBA", "I", "F") and not mode.startswith("I;16"):
        notes.append(f"Its {'CMYK inks' if mode == 'CMYK' else mode + ' values'} were converted to red, green and blue.")
        image = image.convert("RGB")
    values = np.asarray(image)
    if mode.startswith("I;16") and image.format == "TIFF" and image.tag_v2.get(262) == 0:      # Pillow does it for 8 bits only
        notes.append("The file stores white as 0: it was inverted.")
        values = np.iinfo(np.uint16).max - values
    return values


def _over_black(values: np.ndarray, notes: list[str]) -> np.ndarray:
    """Drop the last channel, alpha, by laying the others over black: value * alpha / largest, rounded."""
    opaque = np.iinfo(values.dtype).max
    alpha = values[..., -1:].astype(np.uint64)
    values = values[..., :-1]
    if (alpha == opaque).all():
        return values
    notes.append("Its transparent parts were laid over black.")
    return ((values * alpha + opaque // 2) // opaque).astype(values.dtype)


def _to_8_bits(values: np.ndarray, notes: list[str]) -> np.ndarray:
    """uint8 stays; everything else is scaled linearly so that its darkest finite value is 0 and its brightest 255."""
    if values.dtype == np.uint8:
        return values
    kind = "float" if values.dtype.kind == "f" else f"{values.dtype.itemsize * 8}-bit"
    finite = np.isfinite(values)
    if not finite.any():
        raise LightboxError("image.broken", "The image has no finite value.", "Check how it was exported.")
    low, high = values[finite].min(), values[finite].max()
    if not finite.all():
        notes.append(f"{(~finite).sum():,} values that are not finite became black.")
    if low == high:
        notes.append(f"All its {kind} values are {low:,}: it became black.")
        return np.zeros(values.shape, np.uint8)
    notes.append(f"Its {kind} values {low:,.6g} to {high:,.6g} were scaled to 0 to 255.")
    if values.dtype == np.uint16:      # worked out once for each value that can be: 25 million pixels fit in little memory
        levels = np.clip((np.arange(65536.0) - float(low)) * (255.0 / (float(high) - float(low))), 0, 255)
        return np.round(levels).astype(np.uint8)[values]
    wide = np.where(finite, values, low).astype(np.float64)
    wide -= float(low)
    wide *= 255.0 / (float(high) - float(low))
    return np.round(wide, out=wide).astype(np.uint8)
