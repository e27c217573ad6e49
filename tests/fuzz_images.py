"""A fuzzer of the door for images: seeded mutants of every format and depth, decoded by a worker as a person's file is.

    python -m tests.fuzz_images --mutants 1000000 --keep FOLDER        some twenty minutes on one core

prints how far it is, then the counts. What must be 0: "worker ended" (a decoder crashed: this process goes on all the same),
"above 700 MB", "above 2 s", "no words" (an exception that is no LightboxError). "limit of memory" and "limit of time" were
answered by a sentence.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import struct
import time
import zlib
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, features

from core.decoding.pool import Pool
from core.errors import LightboxError
from tests.hostile.dicom import dicom

MEMORY, SECONDS = 700, 2.0
CODES = {"image.crashed": "worker ended", "image.too_slow": "limit of time", "image.no_worker": "no worker"}
NUMBERS = (0, 1, 2, 3, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def seeds() -> dict[str, bytes]:
    """A small valid file of every format, depth and kind of colour."""
    rng = np.random.default_rng(0)
    gray, deep = rng.integers(0, 256, (12, 16), np.uint8), rng.integers(0, 65536, (12, 16, 4)).astype(np.uint16)
    colour = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8))
    images = {"1": Image.fromarray(gray > 99), "L": Image.fromarray(gray), "RGB": colour, "P": colour.quantize(16),
              "LA": Image.fromarray(gray).convert("LA"), "RGBA": colour.convert("RGBA"), "CMYK": colour.convert("CMYK"),
              "I;16": Image.fromarray(deep[..., 0].copy()), "F": Image.fromarray(gray.astype(np.float32)),
              "I": Image.fromarray(gray.astype(np.int32))}
    written = {"PNG": ("1", "L", "RGB", "P", "LA", "RGBA", "I;16"), "JPEG": ("L", "RGB", "CMYK"), "BMP": ("1", "L", "P", "RGB"),
               "GIF": ("L", "P"), "WEBP": ("RGB", "RGBA"), "PPM": ("1", "L", "RGB", "I;16"), "JPEG2000": ("L", "RGB", "I;16"),
               "TIFF": ("1", "L", "RGB", "P", "LA", "RGBA", "CMYK", "I;16", "F", "I")}
    if features.check("avif"):
        written["AVIF"] = ("L", "RGBA")
    found = {}
    for kind, modes in written.items():
        for mode in modes:
            options = {"compression": "tiff_lzw"} if (kind, mode) == ("TIFF", "RGB") else {}
            file = io.BytesIO()
            images[mode].save(file, kind, **options)
            found[f"{kind} {mode}"] = file.getvalue()
    for ending in (".png", ".tiff"):
        for channels in (3, 4):
            found[f"{ending} {channels} x 16"] = cv2.imencode(ending, deep[..., :channels])[1].tobytes()
    file = io.BytesIO()
    images["RGB"].save(file, "PNG", save_all=True, append_images=[images["RGB"].rotate(90)])
    found["APNG"] = file.getvalue()
    return found | {"DICOM": dicom(), "DICOM window": dicom(window=(b"100", b"50"))} | more_dicom(gray)


def more_dicom(gray: np.ndarray) -> dict[str, bytes]:
    try:
        import pydicom
    except ImportError:
        return {}
    found = {}
    for name in ("MR_small_RLE", "MR_small_jp2klossless", "SC_rgb_jpeg_dcmtk", "MR_small_jpeg_ls_lossless"):
        path = Path(pydicom.__file__).parent / "data" / "test_files" / f"{name}.dcm"
        if path.exists() and path.stat().st_size < 30_000:
            found[name] = path.read_bytes()
    return found


def mutant(data: bytes, rng: np.random.Generator) -> bytes:
    """Change a file in one to five places: bytes, numbers, bits, pieces taken out, doubled, or the end cut off."""
    bad = bytearray(data)
    for kind in rng.integers(0, 8, rng.integers(1, 6)):
        if len(bad) < 8:
            break
        at = int(rng.integers(0, min(len(bad), 300) if rng.random() < 0.6 else len(bad)))      # mostly in the head
        length = int(rng.integers(1, 16))
        if kind < 3:
            bad[at] = int(rng.integers(0, 256))
        elif kind == 3:
            bad[at] ^= 1 << int(rng.integers(0, 8))
        elif kind == 4:
            number = NUMBERS[int(rng.integers(len(NUMBERS)))]
            form = ("<H", ">H", "<I", ">I")[int(rng.integers(4))]
            packed = struct.pack(form, number & (0xFFFF if form[1] == "H" else 0xFFFFFFFF))
            bad[at:at + len(packed)] = packed
        elif kind == 5:
            del bad[at:at + length]
        elif kind == 6:
            bad[at:at] = bad[at:at + length]
        elif rng.random() < 0.3:
            del bad[at:]
    return with_checksums(bytes(bad)) if bad[:4] == b"\x89PNG" and rng.random() < 0.8 else bytes(bad)


def with_checksums(data: bytes) -> bytes:
    """Make the checksums of a PNG right, so that the mutant comes further than the first chunk."""
    out, at = [data[:8]], 8
    while at + 12 <= len(data):
        length = min(int.from_bytes(data[at:at + 4], "big"), len(data) - at - 12)
        body = data[at + 4:at + 8 + length]
        out.append(data[at:at + 4] + body + struct.pack(">I", zlib.crc32(body)))
        at += 12 + length
    return b"".join(out) + data[at:]


def worker_facts(pool: Pool) -> tuple[float, float]:
    """Return the largest memory of the worker in MB, and its seconds of the processor."""
    for worker in pool.all:
        try:
            status = Path(f"/proc/{worker.process.pid}/status").read_text()
            fields = Path(f"/proc/{worker.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        peak = next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0) / 1000
        return peak, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0, 0.0


def fuzz(mutants: int, seed: int = 0, seconds: float = float("inf"), keep: Path | None = None,
         say=lambda counts: None) -> Counter:
    """Decode so many mutants, or for so many seconds, and count what came of them. `keep` gets the files that hurt."""
    pool, counts, files, began, told = Pool(1), Counter(), seeds(), time.monotonic(), 0.0
    names, codes = list(files), Counter()
    for k in range(mutants):
        name = names[k % len(names)]
        data = mutant(files[name], np.random.default_rng((seed, k)))
        faults, start = [], time.monotonic()
        try:
            answer, _ = pool.ask({"path": None, "bytes": len(data)}, data)
            codes["decoded" if "shape" in answer else answer["error"][0]] += 1
            if "bug" in answer:
                faults.append("no words")
                codes[answer["bug"]] += 1
            if "memory" in str(answer.get("error")):
                counts["limit of memory"] += 1
        except LightboxError as error:
            counts[CODES[error.code]] += 1
            faults += ["worker ended"] if error.code == "image.crashed" else []
        late = time.monotonic() - start > SECONDS
        if late or k % 100 == 99:
            peak, busy = worker_facts(pool)
            counts["largest MB"] = max(counts["largest MB"], round(peak))
            faults += ["above 700 MB"] if peak > MEMORY else []
            faults += ["above 2 s"] if late and time.monotonic() - start > 5 * SECONDS else []      # others may be busy
        counts["mutants"] += 1
        for fault in faults:
            counts[fault] += fault not in ("worker ended",)
            if keep:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{fault.replace(' ', '-')}-{seed}-{k}").write_bytes(data)
        if time.monotonic() - told > 10:
            told = time.monotonic()
            counts["seconds"] = round(told - began)
            say(counts | codes)
        if time.monotonic() - began > seconds:
            break
    counts["seconds"] = round(time.monotonic() - began)
    pool.close()
    return counts | codes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    counts = fuzz(options.mutants, options.seed, options.seconds, options.keep, lambda c: print(json.dumps(c), flush=True))
    print(json.dumps(counts), flush=True)


if __name__ == "__main__":
    main()
