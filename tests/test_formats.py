"""Every row of docs/formats.md: files written by another library come out as the values that went in, by the stated rule."""

import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import png as pypng
import pytest
import tifffile
from PIL import Image, features

from core.datasets.decode import decode_image
from core.errors import LightboxError

RNG = np.random.default_rng(0)
DOCS = Path(__file__).parents[1] / "docs" / "formats.md"
H, W = 30, 44
G8, G16 = RNG.integers(0, 256, (H, W), np.uint8), RNG.integers(40, 60000, (H, W)).astype(np.uint16)
C8, C16 = RNG.integers(0, 256, (H, W, 3), np.uint8), RNG.integers(40, 60000, (H, W, 3)).astype(np.uint16)
A8, A16 = RNG.integers(0, 256, (H, W, 1), np.uint8), RNG.integers(0, 65536, (H, W, 1)).astype(np.uint16)
FLOAT = RNG.normal(5, 20, (H, W)).astype(np.float32)


def scaled(values: np.ndarray) -> np.ndarray:
    """The whole range, in floats."""
    values = values.astype(np.float64)
    return (values - values.min()) / np.ptp(values) * 255


def over_black(values: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    most = np.iinfo(values.dtype).max
    return values.reshape(H, W, -1) * (alpha / most)


def png_of(values: np.ndarray, depth: int, interlace: bool = False, **options) -> bytes:
    """By pypng. values: (H, W) or (H, W, C)."""
    flat, channels = values.reshape(H, -1), values.shape[2] if values.ndim == 3 else 1
    file = io.BytesIO()
    pypng.Writer(W, H, greyscale=channels < 3 and "palette" not in options, alpha=channels in (2, 4), bitdepth=depth,
                 interlace=interlace, **options).write(file, flat.tolist())
    theirs = np.vstack([np.asarray(row) for row in pypng.Reader(bytes=file.getvalue()).read()[2]])
    np.testing.assert_array_equal(theirs, flat)
    return file.getvalue()


def tiff_of(values: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, values, **{"photometric": "rgb" if values.ndim == 3 and 3 in (values.shape[2], values.shape[0]) or
                                      values.shape[-1] == 4 else "minisblack"} | options)
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(file.getvalue())), values)
    return file.getvalue()


def by_pillow(image: Image.Image | np.ndarray, kind: str, **options) -> bytes:
    file = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(file, kind, **options)
    return file.getvalue()


def assoc(values: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Colours that are multiplied with their alpha already."""
    return np.dstack([np.round(over_black(values, alpha)).astype(values.dtype), alpha])


def palette(alpha: bool) -> tuple[bytes, np.ndarray]:
    colours = [tuple(int(v) for v in row) for row in RNG.integers(0, 256, (16, 4 if alpha else 3))]
    index = RNG.integers(0, 16, (H, W), np.uint8)
    table = np.array(colours)
    return png_of(index, 4, palette=colours), (table[index][..., :3] * (table[index][..., 3:] / 255) if alpha else table[index])


def floats_with_predictor(values: np.ndarray) -> bytes:
    import imagecodecs  # noqa: F401   tifffile needs it for the predictor
    return tiff_of(values, predictor=3, compression="zlib")


CASES = []      # (row of the table in the docs, id, makes the file and what is expected in floats)


def case(row: str, name: str, make) -> None:
    CASES.append(pytest.param(row, make, id=name))


for d in (1, 2, 4):
    case("PNG gray, 1, 2, 4, 8 bits", f"png {d}", lambda d=d: (png_of(v := G8 >> (8 - d), d), v.astype(float) * 255 / (2**d - 1)))
    case("PNG gray, 1, 2, 4, 8 bits", f"png {d} interlaced",
         lambda d=d: (png_of(v := G8 >> (8 - d), d, True), v.astype(float) * 255 / (2**d - 1)))
    case("PNG gray, 1, 2, 4, 8 bits", f"png {d} with a clear value",
         lambda d=d: (png_of(v := G8 >> (8 - d), d, transparent=1), np.where(v == 1, 0, v * 255.0 / (2**d - 1))))
for lace in (False, True):
    case("PNG gray, 1, 2, 4, 8 bits", f"png 8 {lace}", lambda lace=lace: (png_of(G8, 8, lace), G8))
    case("PNG RGB, 8 bits", f"png rgb {lace}", lambda lace=lace: (png_of(C8, 8, lace), C8))
    case("PNG gray or RGB with alpha, 8 bits", f"png la {lace}",
         lambda lace=lace: (png_of(np.dstack([G8, A8]), 8, lace), over_black(G8, A8)))
    case("PNG gray or RGB with alpha, 8 bits", f"png rgba {lace}",
         lambda lace=lace: (png_of(np.dstack([C8, A8]), 8, lace), over_black(C8, A8)))
    case("PNG gray, RGB, with or without alpha, 16 bits", f"png 16 {lace}",
         lambda lace=lace: (png_of(G16, 16, lace), scaled(G16)))
    case("PNG gray, RGB, with or without alpha, 16 bits", f"png rgb 16 {lace}",
         lambda lace=lace: (png_of(C16, 16, lace), scaled(C16)))
    case("PNG gray, RGB, with or without alpha, 16 bits", f"png la 16 {lace}",
         lambda lace=lace: (png_of(np.dstack([G16, A16]), 16, lace), scaled(np.round(over_black(G16, A16)))))
    case("PNG gray, RGB, with or without alpha, 16 bits", f"png rgba 16 {lace}",
         lambda lace=lace: (png_of(np.dstack([C16, A16]), 16, lace), scaled(np.round(over_black(C16, A16)))))
case("PNG gray, RGB, with or without alpha, 16 bits", "png 16 with a clear value", lambda: (
    png_of(G16, 16, transparent=int(G16[3, 3])), scaled(np.where(G16 == G16[3, 3], 0, G16))))
case("PNG palette, 1, 2, 4, 8 bits, with or without alpha", "png palette", lambda: palette(False))
case("PNG palette, 1, 2, 4, 8 bits, with or without alpha", "png palette alpha", lambda: palette(True))

for order in "<>":
    for packed in (None, "zlib", "lzw", "packbits"):
        for predictor in (False, True) if packed in ("zlib", "lzw") else (False,):
            options = {"byteorder": order, "compression": packed, "predictor": predictor}
            label = f"{order} {packed} {predictor}"
            case("TIFF gray, 16, 32 bits, signed or not", f"tiff 16 {label}", lambda o=options: (tiff_of(G16, **o), scaled(G16)))
            case("TIFF gray, 16, 32 bits, signed or not", f"tiff i16 {label}",
                 lambda o=options: (tiff_of(v := (G16.astype(int) - 30000).astype(np.int16), **o), scaled(v)))
            case("TIFF gray, 16, 32 bits, signed or not", f"tiff u32 {label}",
                 lambda o=options: (tiff_of(v := G16.astype(np.uint32) * 60000, **o), scaled(v)))
            case("TIFF RGB, 16 bits, chunky or planar", f"tiff rgb {label}", lambda o=options: (tiff_of(C16, **o), scaled(C16)))
            case("TIFF RGB, 16 bits, chunky or planar", f"tiff planar {label}", lambda o=options: (
                tiff_of(np.moveaxis(C16, 2, 0).copy(), planarconfig="separate", **o), scaled(C16)))
            case("TIFF RGB, 16 bits, chunky or planar", f"tiff tiled {label}",
                 lambda o=options: (tiff_of(C16, tile=(16, 16), **o), scaled(C16)))
        case("TIFF gray, float of 16, 32, 64 bits", f"tiff f32 {order} {packed}",
             lambda o=order, p=packed: (tiff_of(FLOAT, byteorder=o, compression=p), scaled(FLOAT)))
    case("TIFF gray, float of 16, 32, 64 bits", f"tiff f64 {order}",
         lambda o=order: (tiff_of(v := FLOAT.astype(np.float64) * 1e9, byteorder=o), scaled(v)))
    case("TIFF gray, float of 16, 32, 64 bits", f"tiff f16 {order}",
         lambda o=order: (tiff_of(v := FLOAT.astype(np.float16), byteorder=o), scaled(v)))
    for kind in ("u1", "u2"):
        alpha, colours = (A8, C8) if kind == "u1" else (A16, C16)
        shown = (lambda v: v) if kind == "u1" else (lambda v: scaled(np.round(v)))
        case("TIFF RGB with alpha, 8, 16 bits", f"tiff rgba {kind} {order}", lambda o=order, a=alpha, c=colours, s=shown: (
            tiff_of(np.dstack([c, a]), byteorder=o, extrasamples=["unassalpha"]), s(over_black(c, a))))
        case("TIFF RGB with alpha, 8, 16 bits", f"tiff associated {kind} {order}", lambda o=order, a=alpha, c=colours, s=shown: (
            tiff_of(v := assoc(c, a), byteorder=o, extrasamples=["assocalpha"]), s(v[..., :3])))
case("TIFF gray, float of 16, 32, 64 bits", "tiff f32 predictor", lambda: (floats_with_predictor(FLOAT), scaled(FLOAT)))
case("TIFF gray, float of 16, 32, 64 bits", "tiff f32 predictor tiles", lambda: (
    tiff_of(FLOAT, predictor=3, compression="zlib", tile=(16, 16)), scaled(FLOAT)))
case("TIFF gray, float of 16, 32, 64 bits", "tiff f64 predictor", lambda: (
    tiff_of(v := FLOAT.astype(np.float64), predictor=3, compression="lzw", byteorder=">"), scaled(v)))
case("TIFF gray, 1 to 14 bits", "tiff 1", lambda: (
    by_pillow(Image.fromarray(G8 > 99), "TIFF", compression="group4"), (G8 > 99) * 255))
case("TIFF gray, 1 to 14 bits", "tiff 8", lambda: (tiff_of(G8), G8))
case("TIFF gray, 1 to 14 bits", "tiff 12", lambda: (packed_12(G16 >> 4), scaled(G16 >> 4)))
case("TIFF gray, 1 to 14 bits", "tiff i8", lambda: (tiff_of(v := G8.view(np.int8)), scaled(v)))
case("TIFF gray, 1 to 14 bits", "tiff white is zero 16", lambda: (
    tiff_of(G16, photometric="miniswhite"), scaled(-G16.astype(int))))
case("TIFF palette, RGB, CMYK, 8 bits, chunky or planar", "tiff rgb 8", lambda: (tiff_of(C8, compression="lzw"), C8))
case("TIFF palette, RGB, CMYK, 8 bits, chunky or planar", "tiff planar 8", lambda: (
    tiff_of(np.moveaxis(C8, 2, 0).copy(), planarconfig="separate", byteorder=">"), C8))
case("BigTIFF", "bigtiff 16", lambda: (tiff_of(C16, bigtiff=True, compression="zlib"), scaled(C16)))
case("BigTIFF", "bigtiff 8", lambda: (tiff_of(C8, bigtiff=True), C8))

for kind, options in (("BMP", {}), ("GIF", {}), ("WEBP", {"lossless": True, "exact": True}),
                      ("JPEG2000", {"irreversible": False})):
    case({"JPEG2000": "JPEG 2000, 8 to 16 bits", "WEBP": "WebP"}.get(kind, kind), f"{kind} gray",
         lambda k=kind, o=options: (by_pillow(G8, k, **o), G8))
    if kind != "GIF":
        case({"JPEG2000": "JPEG 2000, 8 to 16 bits", "WEBP": "WebP"}.get(kind, kind), f"{kind} colour",
             lambda k=kind, o=options: (by_pillow(C8, k, **o), C8))
case("JPEG 2000, 8 to 16 bits", "JPEG2000 16", lambda: (by_pillow(G16, "JPEG2000", irreversible=False), scaled(G16)))
case("PGM, PPM, PBM, PFM", "pgm", lambda: (b"P5\n# made by hand\n44 30\n255\n" + G8.tobytes(), G8))
case("PGM, PPM, PBM, PFM", "pgm text", lambda: (b"P2 44 30 255\n" + " ".join(map(str, G8.reshape(-1))).encode(), G8))
case("PGM, PPM, PBM, PFM", "ppm", lambda: (b"P6 44 30 255\n" + C8.tobytes(), C8))
case("PGM, PPM, PBM, PFM", "pgm 16", lambda: (b"P5 44 30 65535\n" + G16.astype(">u2").tobytes(), scaled(G16)))
case("PGM, PPM, PBM, PFM", "ppm 16", lambda: (b"P6 44 30 65535\n" + C16.astype(">u2").tobytes(), scaled(C16)))
case("PGM, PPM, PBM, PFM", "pfm", lambda: (b"Pf\n44 30\n-1.0\n" + FLOAT[::-1].astype("<f4").tobytes(), scaled(FLOAT)))


def packed_12(values: np.ndarray) -> bytes:
    """A TIFF of 12 bits a value, by hand: three bytes hold two values."""
    pairs = values.reshape(-1, 2).astype(np.uint32)
    joined = pairs[:, 0] << 12 | pairs[:, 1]
    body = np.stack([joined >> 16, joined >> 8 & 255, joined & 255], 1).astype(np.uint8).tobytes()
    tags = {256: W, 257: H, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: H, 279: len(body)}
    head = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<I", 8 + len(body)) + body + struct.pack("<H", len(tags)) + head + bytes(4)


@pytest.mark.parametrize("row, make", CASES)
def test_pixels_are_those_that_went_in(row, make):
    data, expected = make()
    expected = np.asarray(expected, np.float64).reshape(H, W, -1)
    if expected.shape[2] == 3 and (expected == expected[..., :1]).all():
        expected = expected[..., :1]
    pixels = decode_image(data).pixels
    assert pixels.shape == expected.shape
    assert np.abs(pixels - expected).max() <= 0.51


@pytest.mark.parametrize("kind, tolerance", [("JPEG", 3), ("WEBP", 12), ("AVIF", 6)])
def test_lossy_formats_agree_with_another_decoder(kind, tolerance):
    codecs = pytest.importorskip("imagecodecs")
    if not features.check({"JPEG": "jpg"}.get(kind, kind.lower())):
        pytest.skip(f"Pillow cannot write {kind}")
    smooth = np.asarray(Image.fromarray(C8).resize((8, 6)).resize((96, 64), Image.Resampling.BICUBIC))
    data = by_pillow(smooth, kind, quality=90)
    theirs = {"JPEG": codecs.jpeg_decode, "WEBP": codecs.webp_decode, "AVIF": codecs.avif_decode}[kind](data)
    assert np.abs(decode_image(data).pixels.astype(int) - theirs[..., :3]).max() <= tolerance


def test_heic_agrees_with_its_own_library():
    heif = pytest.importorskip("pillow_heif")
    smooth = np.asarray(Image.fromarray(C8).resize((8, 6)).resize((96, 64), Image.Resampling.BICUBIC))
    file = io.BytesIO()
    heif.from_pillow(Image.fromarray(smooth)).save(file, quality=-1)
    assert np.abs(decode_image(file.getvalue()).pixels.astype(int) - smooth).max() <= 6


@pytest.mark.parametrize("make, code", [
    (lambda: tiff_of(np.stack([G16] * 5, axis=2), photometric="minisblack", planarconfig="contig"), "image.unsupported"),
    (lambda: tiff_of(np.dstack([C16, A16]), photometric="separated"), "image.unsupported"),
    (lambda: tiff_of(FLOAT.astype(np.complex64)), "image.unsupported"),
    (lambda: tiff_of(G16)[:1000], "image.broken"),
    (lambda: tiff_of(G16, compression="zlib")[:1000], "image.broken"),
    (lambda: b"P5 44 30 65535\n" + bytes(100), "image.broken"),
    (lambda: b"P5 44000 30000 65535\n" + bytes(100), "image.too_large"),
    (lambda: b"n".rjust(345, b"\0") + b"+1\0" + bytes(100), "image.unsupported")])
def test_what_is_not_read_is_said(make, code):
    with pytest.raises(LightboxError) as caught:
        decode_image(make())
    assert caught.value.code == code, caught.value


@pytest.mark.parametrize("part", [b"IHDR", b"IDAT", b"IEND"])
def test_each_part_of_a_png_is_held_against_its_checksum(part):
    data = bytearray(png_of(G8, 8))
    at = data.index(part) + len(part) + (8 if part == b"IHDR" else 0)
    data[at] ^= 1 if part != b"IHDR" else 0
    data[at + 4 if part == b"IHDR" else at] ^= 16 if part == b"IHDR" else 0
    with pytest.raises(LightboxError) as caught:
        decode_image(bytes(data))
    assert caught.value.code == "image.broken"


def test_any_flipped_bit_of_a_png_is_said():
    """Of 150 files with one flipped bit Pillow's error used to reach the person once."""
    data = png_of(C8, 8)
    for k in range(150):
        bad = bytearray(data)
        bad[int(RNG.integers(33, len(data) - 12))] ^= 1 << k % 8
        with pytest.raises(LightboxError):
            decode_image(bytes(bad))


def test_few_bytes_that_say_they_are_many_pixels_are_refused_before_anything_is_allocated():
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    head = struct.pack(">IIBBBBB", 5000, 5000, 16, 6, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    with pytest.raises(LightboxError) as caught:
        decode_image(data)
    assert caught.value.code == "image.broken" and "pixels" in str(caught.value)


def test_the_table_in_the_docs_has_each_row_that_is_tested():
    rows = {cells.split("|")[1].strip() for cells in re.findall(r"^\|.*\|$", DOCS.read_text(), re.M)}
    missing = {param.values[0] for param in CASES} - rows
    assert not missing
