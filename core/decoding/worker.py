"""A process that decodes images and can do little else: what it is sent, one request after the other, until its input ends.

    request    u32 length, JSON {"path": ... or null, "bytes": n, "frame": ..., ...}, then n bytes of the file
    answer     u32 length, JSON {"shape": [H, W, C], "notes": [[code, sentence], ...]}, then H * W * C bytes,
               or JSON {"error": [code, message, hint]}

Where the system has them, limits are set before the first byte is read: memory, seconds of the processor for each file, no
growth of any file, no core dump. Whoever breaks a limit ends this process and nothing else.
"""

from __future__ import annotations

import io
import json
import os
import struct
import sys

from core.errors import LightboxError

MEMORY = 600 * 10**6          # bytes of address space on top of what the libraries take
SECONDS = 1.6                 # of the processor, for a small file ...
SECONDS_A_PIXEL = 0.5e-6      # ... and on top, for each pixel and each eighth of a byte that the file has
FILES = 64                    # open at once


def main() -> None:
    """Serve requests from the standard input on the standard output."""
    requests, answers = _own_pipes()
    from core.decoding import picture  # numpy and Pillow
    _set_limits()
    while head := requests.read(4):
        request = json.loads(requests.read(struct.unpack("<I", head)[0]))
        data = requests.read(request["bytes"]) if request["path"] is None else None
        answer, pixels = _answer(picture, request, data)
        text = json.dumps(answer).encode()
        answers.write(struct.pack("<I", len(text)) + text)
        if pixels is not None:
            answers.write(memoryview(pixels).cast("B"))
        answers.flush()
        del data, pixels


def _own_pipes() -> tuple[io.BufferedReader, io.BufferedWriter]:
    """Keep the pipes; what a library prints goes nowhere: it may quote the file."""
    pipes = os.fdopen(os.dup(0), "rb", 2**16), os.fdopen(os.dup(1), "wb", 2**16)
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    os.close(nothing)
    if os.name == "nt":
        import msvcrt
        for pipe in pipes:
            msvcrt.setmode(pipe.fileno(), os.O_BINARY)
    return pipes


def _answer(picture, request: dict, data: bytes | None) -> tuple[dict, object]:
    try:
        if data is None:
            data = picture.read_file(request["path"])
        _allow(SECONDS + SECONDS_A_PIXEL * len(data))
        image = picture.decode(data, picture.Reading.of(request), allow=lambda pixels: _allow(SECONDS + SECONDS_A_PIXEL * pixels))
        return {"shape": image.pixels.shape, "notes": [[note.code, str(note), note.facts] for note in image.notes]}, image.pixels
    except LightboxError as error:
        return {"error": [error.code, error.message, error.hint]}, None
    except MemoryError:
        return {"error": list(picture.too_large("The image needs more memory than decoding may have").args)}, None
    except Exception as error:      # a bug of ours; nothing of its words, which may quote the file, but its kind and place
        frame = error.__traceback__
        while frame.tb_next is not None:
            frame = frame.tb_next
        where = f"{type(error).__name__} in {os.path.basename(frame.tb_frame.f_code.co_filename)}:{frame.tb_lineno}"
        return {"error": ["image.broken", "The image is damaged, incomplete, or of an unsupported variant.",
                          "Copy or download it again, or open it in an image viewer and save it again."], "bug": where}, None
    finally:
        _allow(0)


def _allow(seconds: float) -> None:
    """End this process after so many more seconds of the processor; 0 takes the limit away."""
    if _timer is not None:
        _timer.setitimer(_timer.ITIMER_PROF, seconds)


_timer = None


def _set_limits() -> None:
    global _timer
    import signal
    signal.signal(signal.SIGINT, signal.SIG_IGN)      # Ctrl-C in a terminal reaches the whole group; the parent ends us
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        _timer = signal
    try:
        import resource
    except ImportError:      # Windows
        return
    limits = {"RLIMIT_FSIZE": 0, "RLIMIT_CORE": 0, "RLIMIT_NOFILE": FILES}
    try:
        with open("/proc/self/statm") as file:
            limits["RLIMIT_AS"] = int(file.read().split()[0]) * resource.getpagesize() + MEMORY
    except OSError:
        limits["RLIMIT_AS"] = 2 * 10**9
    for name, most in limits.items():
        try:
            resource.setrlimit(getattr(resource, name), (most, most))
        except (ValueError, OSError, AttributeError):      # macOS knows RLIMIT_AS and refuses it
            pass


if __name__ == "__main__":
    sys.exit(main())
