"""The door for images: each kind of file comes out as the stated rule says, and each bad one as its code and a sentence."""

import io
import os
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from core.datasets.decode import MAX_BYTES, decode_image
from core.decoding.picture import TURNS
from core.errors import LightboxError

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, (20, 30), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)


def saved(image: Image.Image | np.ndarray, kind: str, **options) -> bytes:
    file = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(file, kind, **options)
    return file.getvalue()


def encoded(values: np.ndarray, ending: str) -> bytes:
    """By OpenCV, which writes 16-bit colour; `values` are RGB or RGBA."""
    return cv2.imencode(ending, values[..., [2, 1, 0, 3][:values.shape[2]]])[1].tobytes()


def refused(data, code: str) -> LightboxError:
    with pytest.raises(LightboxError) as caught:
        decode_image(data)
    assert caught.value.code == code, caught.value
    assert caught.value.message.endswith(".") and caught.value.hint.endswith(".")
    return caught.value


# What is exact comes out exact

@pytest.mark.parametrize("kind, options", [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("WEBP", {"lossless": True}), ("GIF", {})])
def test_gray_comes_out_as_it_went_in(kind, options):
    picture = decode_image(saved(GRAY, kind, **options))
    assert picture.pixels.dtype == np.uint8
    np.testing.assert_array_equal(picture.pixels, GRAY[..., None])


@pytest.mark.parametrize("kind, options", [("PNG", {}), ("BMP", {}), ("TIFF", {"compression": "tiff_lzw"}),
                                           ("WEBP", {"lossless": True})])
def test_colour_comes_out_as_it_went_in_and_without_a_note(kind, options):
    picture = decode_image(saved(COLOUR, kind, **options))
    np.testing.assert_array_equal(picture.pixels, COLOUR)
    assert picture.notes == ()


def test_jpeg_agrees_with_opencv():
    smooth = cv2.GaussianBlur(cv2.resize(COLOUR, (240, 160)), (0, 0), 5)
    data = saved(smooth, "JPEG", quality=90)
    theirs = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.abs(decode_image(data).pixels.astype(int) - theirs).max() <= 2


def test_a_path_and_its_bytes_give_the_same(tmp_path):
    path = tmp_path / "named.like.nothing"
    path.write_bytes(saved(GRAY, "PNG"))
    np.testing.assert_array_equal(decode_image(path).pixels, decode_image(path.read_bytes()).pixels)


def test_colour_with_three_equal_channels_is_gray():
    picture = decode_image(saved(np.repeat(GRAY[..., None], 3, 2), "PNG"))
    np.testing.assert_array_equal(picture.pixels, GRAY[..., None])
    assert "equal" in picture.notes[0]


# Deep values: scaled from the image's own darkest to its own brightest

@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_16_bit_ramp_stays_a_ramp(kind):
    ramp = np.linspace(100, 4095, 256 * 4).reshape(4, 256).round().astype(np.uint16)
    picture = decode_image(saved(ramp, kind))
    np.testing.assert_array_equal(picture.pixels[..., 0], np.round((ramp - 100.0) / (4095 - 100) * 255))
    assert "100 to 4,095" in picture.notes[0] and "16-bit" in picture.notes[0]


@pytest.mark.parametrize("order, black_is_zero", [("<", 1), (">", 1), ("<", 0)])
def test_16_bit_tiff_of_both_byte_orders_and_counted_from_white(order, black_is_zero):
    ramp = np.arange(0, 60000, 1000).reshape(6, 10)
    body = ramp.astype(order + "u2").tobytes()
    tags = {256: 10, 257: 6, 258: 16, 259: 1, 262: black_is_zero, 273: 8, 278: 6, 279: len(body)}      # all as 32-bit numbers
    data = ((b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8 + len(body)) + body
            + struct.pack(order + "H", len(tags)) + b"".join(struct.pack(order + "HHII", t, 4, 1, v) for t, v in tags.items())
            + b"\0\0\0\0")
    expected = np.round(ramp / 59000 * 255)
    np.testing.assert_array_equal(decode_image(data).pixels[..., 0], expected if black_is_zero else 255 - expected)


def test_float_tiff_with_values_that_are_no_numbers():
    values = np.linspace(-2.5, 7.5, 64, dtype=np.float32).reshape(8, 8)
    values[3, 3], values[4, 4] = np.nan, np.inf
    picture = decode_image(saved(values, "TIFF"))
    expected = np.round((np.linspace(-2.5, 7.5, 64).reshape(8, 8) + 2.5) / 10 * 255)
    expected[3, 3] = expected[4, 4] = 0
    np.testing.assert_array_equal(picture.pixels[..., 0], expected)
    assert any("2 values" in note for note in picture.notes)
    refused(saved(np.full((4, 4), np.nan, np.float32), "TIFF"), "image.broken")


def test_32_bit_integers():
    picture = decode_image(saved(np.array([[-1000, 0], [500, 3000]], np.int32), "TIFF"))
    np.testing.assert_array_equal(picture.pixels[..., 0], [[0, 64], [96, 255]])


def test_a_constant_16_bit_image_is_black_and_says_so():
    picture = decode_image(saved(np.full((5, 5), 777, np.uint16), "PNG"))
    assert not picture.pixels.any() and "777" in picture.notes[0]


@pytest.mark.parametrize("ending", [".png", ".tiff"])
def test_16_bit_colour_is_not_cut_to_its_high_byte(ending):
    values = RNG.integers(1000, 2000, (20, 30, 3)).astype(np.uint16)      # all high bytes lie in 3..7
    picture = decode_image(encoded(values, ending))
    low, high = int(values.min()), int(values.max())
    np.testing.assert_array_equal(picture.pixels, np.round((values - float(low)) / (high - low) * 255))


def test_16_bit_colour_with_alpha_lies_over_black():
    values = np.zeros((2, 2, 4), np.uint16)
    values[..., 0], values[..., 3] = 60000, [[0, 65535], [65535 // 3, 65535]]
    picture = decode_image(encoded(values, ".png"))
    np.testing.assert_array_equal(picture.pixels[..., 0], [[0, 255], [85, 255]])


# Rules for the rest

def test_one_bit_becomes_black_and_white():
    bits = GRAY > 128
    picture = decode_image(saved(Image.fromarray(bits), "PNG"))
    np.testing.assert_array_equal(picture.pixels[..., 0], bits * 255)


def test_palette_with_transparency_lies_over_black():
    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), "P")
    image.putpalette([10, 20, 30, 200, 100, 50, 255, 255, 255])
    picture = decode_image(saved(image, "PNG", transparency=2))
    np.testing.assert_array_equal(picture.pixels, [[[10, 20, 30], [200, 100, 50]], [[0, 0, 0], [200, 100, 50]]])
    assert len(picture.notes) == 2


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_alpha_lies_over_black(kind):
    alpha = np.tile(np.linspace(0, 255, 30).astype(np.uint8), (20, 1))
    data = saved(np.dstack([COLOUR, alpha]), kind, **({"lossless": True, "exact": True} if kind == "WEBP" else {}))
    expected = np.round(COLOUR * (alpha[..., None] / 255.0))
    assert np.abs(decode_image(data).pixels - expected).max() <= 0.5
    options = {"lossless": True} if kind == "WEBP" else {}
    opaque = decode_image(saved(np.dstack([COLOUR, np.full_like(alpha, 255)]), kind, **options))
    np.testing.assert_array_equal(opaque.pixels, COLOUR)
    assert opaque.notes == ()


def test_gray_with_alpha_and_gray_with_one_see_through_value():
    picture = decode_image(saved(Image.merge("LA", [Image.fromarray(GRAY), Image.new("L", (30, 20), 128)]), "PNG"))
    np.testing.assert_array_equal(picture.pixels[..., 0], np.round(GRAY * (128 / 255)))
    keyed = decode_image(saved(np.array([[7, 9]], np.uint8), "PNG", transparency=9))
    np.testing.assert_array_equal(keyed.pixels[..., 0], [[7, 0]])


def test_cmyk_jpeg_has_the_colours_of_its_inks():
    inks = Image.merge("CMYK", [Image.new("L", (16, 16), v) for v in (0, 255, 255, 0)])      # magenta and yellow: red
    picture = decode_image(saved(inks, "JPEG", quality=100))
    assert np.abs(picture.pixels.reshape(-1, 3).mean(0) - [255, 0, 0]).max() < 4
    assert "CMYK" in picture.notes[0]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_photograph_stands_upright(kind, orientation):
    """Corners are told apart: the scene is stored as a camera would, and comes out as the scene."""
    scene = np.zeros((32, 48), np.uint8)
    scene[:16, :24], scene[:16, 24:], scene[16:, :24] = 80, 160, 240
    undo = {6: 8, 8: 6}.get(orientation, orientation)      # all others are their own inverse
    stored = scene if orientation == 1 else TURNS[undo][1](scene)
    image = Image.fromarray(np.ascontiguousarray(stored))
    exif = image.getexif()
    exif[0x0112] = orientation
    options = {"quality": 100} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    picture = decode_image(saved(image, kind, exif=exif, **options))
    assert picture.pixels.shape == (32, 48, 1)
    assert np.abs(picture.pixels[..., 0].astype(int) - scene).max() <= 2
    assert any("EXIF" in note for note in picture.notes) == (orientation > 1)


@pytest.mark.parametrize("orientation", [3, 6])
def test_16_bit_colour_tiff_stands_upright(orientation):
    values = RNG.integers(0, 65536, (4, 6, 3)).astype(np.uint16)
    values[0, 0], values[0, 1] = 0, 65535
    data = encoded(values, ".tiff")
    upright = decode_image(data).pixels
    byte_order = "<" if data[:2] == b"II" else ">"
    ifd = struct.unpack(byte_order + "I", data[4:8])[0]
    count = struct.unpack(byte_order + "H", data[ifd:ifd + 2])[0]
    tags = [data[ifd + 2 + 12 * i:ifd + 14 + 12 * i] for i in range(count)]
    tags = [t for t in tags if struct.unpack(byte_order + "H", t[:2])[0] != 274]
    tags.append(struct.pack(byte_order + "HHIHH", 274, 3, 1, orientation, 0))
    tags.sort(key=lambda t: struct.unpack(byte_order + "H", t[:2]))
    moved = data + struct.pack(byte_order + "H", len(tags)) + b"".join(tags) + b"\0\0\0\0"
    moved = moved[:4] + struct.pack(byte_order + "I", len(data)) + moved[8:]
    np.testing.assert_array_equal(decode_image(moved).pixels, TURNS[orientation][1](upright))


def test_turns_agree_with_pillow():
    from PIL import ImageOps
    for orientation, (_, turn) in TURNS.items():
        image = Image.fromarray(GRAY)
        image.getexif()[0x0112] = orientation
        np.testing.assert_array_equal(turn(GRAY), np.asarray(ImageOps.exif_transpose(image)))


def test_an_animated_gif_gives_its_first_frame():
    frames = [Image.new("L", (8, 8), v) for v in (50, 100, 150)]
    picture = decode_image(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert (picture.pixels == 50).all() and "first of 3" in picture.notes[0]


# Refused, in words

@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_a_cut_off_file_is_broken(kind, share):
    data = saved(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8), kind)
    refused(data[:max(16, int(len(data) * share))], "image.broken")


def test_a_cut_off_16_bit_colour_png_is_broken():
    data = encoded(RNG.integers(0, 65536, (64, 64, 3)).astype(np.uint16), ".png")
    refused(data[:len(data) // 2], "image.broken")


@pytest.mark.filterwarnings("ignore")      # Pillow wonders aloud
def test_random_damage_never_raises_anything_else():
    noise = RNG.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    for data in [saved(noise, kind) for kind in ("PNG", "JPEG", "TIFF", "GIF", "WEBP")]:
        for _ in range(150):
            bad = bytearray(data)
            for at in RNG.integers(0, len(bad), 8):
                bad[at] = RNG.integers(0, 256)
            try:
                pixels = decode_image(bytes(bad)).pixels
                assert pixels.dtype == np.uint8 and pixels.ndim == 3
            except LightboxError as error:
                assert error.code.startswith("image.")


def test_text_named_png_is_no_image(tmp_path):
    path = tmp_path / "x.png"
    path.write_text("These are words.")
    refused(path, "image.not_an_image")
    refused(b"", "image.not_an_image")


def test_a_bomb_is_stopped_at_its_header():
    def png(width, height):
        chunk = lambda kind, body: struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))  # noqa: E731
        return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
                + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b""))
    refused(png(30000, 30000), "image.too_large")
    assert "6,000 x 5,000" in str(refused(png(6000, 5000), "image.too_large"))
    refused(png(2**31 - 1, 2**31 - 1), "image.too_large")


def test_too_many_bytes_are_not_read(tmp_path):
    path = tmp_path / "large.png"
    with open(path, "wb") as file:
        file.truncate(MAX_BYTES + 1)      # takes no space
    refused(path, "image.too_large")


def test_dicom_and_others_are_named():
    assert "DICOM" in str(refused(b"\0" * 128 + b"DICM" + b"\0" * 100, "image.no_pixels"))
    assert "PDF" in str(refused(b"%PDF-1.7", "image.unsupported"))
    assert "HEIC" in str(refused(b"\0\0\0\x18ftypheic" + b"\0" * 20, "image.broken"))


def test_what_is_no_file_is_not_opened(tmp_path):
    (tmp_path / "x.png").mkdir()
    refused(tmp_path / "x.png", "image.unreadable")
    refused(tmp_path / "nowhere.png", "image.unreadable")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    refused(tmp_path / "loop.png", "image.unreadable")
    os.mkfifo(tmp_path / "pipe.png")      # opening it would wait for ever
    refused(tmp_path / "pipe.png", "image.unreadable")


def test_real_x_rays_agree_with_pillow(real_data):
    paths = sorted((real_data / "chest_pneumonia/train/PNEUMONIA").iterdir())[::400]
    assert paths
    for path in paths:
        np.testing.assert_array_equal(decode_image(path).pixels[..., 0], np.asarray(Image.open(path).convert("L")))
