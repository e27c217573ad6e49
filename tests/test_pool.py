"""Workers that decode: warm, limited, replaced when they end, gone when we are; from threads, forks and daemonic processes."""

import io
import json
import os
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.datasets.decode import decode_image
from core.decoding import pool as pools
from core.decoding.pool import Pool
from core.errors import LightboxError

ROOT = Path(__file__).parents[1]
GRAY = np.random.default_rng(0).integers(0, 256, (20, 30), np.uint8)
unix = pytest.mark.skipif(sys.platform == "win32", reason="only Unix has it")


def png(values=GRAY) -> bytes:
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue()


def request(data: bytes) -> dict:
    return {"path": None, "bytes": len(data)}


@pytest.fixture
def pool(monkeypatch):
    """A pool of one worker that does what the first byte of a file says: crash, hang, write, take memory; else it decodes."""
    program = textwrap.dedent("""
        import os, sys, time
        sys.path.insert(0, sys.argv[1])
        from core.decoding import picture, worker
        decode = picture.decode
        def acting(data, *rest, **named):
            if data == b"crash": os.kill(os.getpid(), 11)
            if data == b"exit": os._exit(3)
            if data == b"hang":
                while True: pass
            if data == b"sleep": time.sleep(60)
            if data == b"memory": return bytearray(3 * 10**9)
            if data == b"bug": raise KeyError("a secret of the file")
            if data.startswith(b"write"):
                with open(data[5:], "wb") as file:
                    file.write(b"x" * 100_000)
            return decode(data, *rest, **named)
        picture.decode = acting
        worker.main()
    """)
    monkeypatch.setattr(pools, "PROGRAM", program)
    pool = Pool(1)
    yield pool
    pool.close()


def refused(pool: Pool, data: bytes) -> str:
    began = time.monotonic()
    try:
        answer, _ = pool.ask(request(data), data)
        code, sentence = answer["error"][:2]
    except LightboxError as error:
        code, sentence = error.code, str(error)
    assert sentence.endswith(".") and "secret" not in sentence and time.monotonic() - began < 20
    return code


@unix
@pytest.mark.parametrize("act, code", [("crash", "image.crashed"), ("exit", "image.crashed"), ("hang", "image.too_slow"),
                                       ("memory", "image.too_large"), ("bug", "image.broken")])
def test_whatever_a_file_does_is_one_sentence_and_the_next_is_read(pool, act, code):
    for _ in range(2):
        assert refused(pool, act.encode()) == code
        np.testing.assert_array_equal(pool.ask(request(png()), png())[1][..., 0], GRAY)


@unix
def test_a_worker_that_waits_for_ever_is_ended(pool, monkeypatch):
    monkeypatch.setattr(pools, "PATIENCE", 0.5)
    assert refused(pool, b"sleep") == "image.too_slow"
    monkeypatch.setattr(pools, "PATIENCE", 30)
    assert pool.ask(request(png()), png())[1].shape == (20, 30, 1)


@unix
def test_a_worker_writes_no_byte(pool, tmp_path):
    assert refused(pool, b"write" + os.fsencode(tmp_path / "x")) == "image.broken"
    assert not (tmp_path / "x").exists() or (tmp_path / "x").stat().st_size == 0


@unix
def test_a_worker_that_others_end_costs_no_image(pool):
    pool.ask(request(png()), png())
    for worker in pool.all:
        worker.process.kill()
    np.testing.assert_array_equal(pool.ask(request(png()), png())[1][..., 0], GRAY)


def test_many_threads_get_their_own_images():
    pool = Pool(2)
    images = [png(np.full((8 + k % 5, 9), k, np.uint8)) for k in range(200)]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda data: pool.ask(request(data), data)[1], images))
    assert [(a.shape[0], int(a[0, 0, 0])) for a in answers] == [(8 + k % 5, k) for k in range(200)]
    assert len(pool.all) <= 2
    pool.close()


def test_an_interrupted_answer_is_not_taken_for_the_next(pool):
    class Stop(BaseException):
        pass

    def interrupted(self, buffer):
        raise Stop
    pool.ask(request(png()), png())
    worker, = pool.all
    worker._read = interrupted.__get__(worker)
    with pytest.raises(Stop):
        pool.ask(request(png()), png())
    other = png(GRAY[:4])
    assert pool.ask(request(other), other)[1].shape == (4, 30, 1)


def test_a_worker_imports_neither_torch_nor_streamlit_nor_pandas_nor_opencv():
    program = ("import sys; sys.path.insert(0, sys.argv[1]); import core.decoding.worker, core.decoding.picture; "
               "print([m for m in ('torch', 'streamlit', 'pandas', 'cv2', 'scipy', 'core.datasets') if m in sys.modules])")
    assert subprocess.run([sys.executable, "-P", "-c", program, str(ROOT)], capture_output=True, text=True).stdout == "[]\n"


PROGRAM = """
import multiprocessing, os, sys, threading
sys.path.insert(0, {root!r})
from core.datasets.decode import decode_image
from core.decoding.pool import pool

def child(data, queue):
    queue.put((decode_image(data).pixels.shape, [w.process.pid for w in pool().all]))

if __name__ == "__main__":
    data = open({file!r}, "rb").read()
    decode_image(data)
    mine = [w.process.pid for w in pool().all]
    for method in multiprocessing.get_all_start_methods():
        context = multiprocessing.get_context(method)
        queue = context.Queue()
        process = context.Process(target=child, args=(data, queue), daemon=True)
        process.start()
        shape, theirs = queue.get(timeout=60)
        process.join(60)
        assert shape == (20, 30, 1) and not set(theirs) & set(mine), (method, theirs, mine)
        assert decode_image(data).pixels.shape == (20, 30, 1)
        mine += theirs
    print(*mine)
    {end}
"""


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@unix
@pytest.mark.parametrize("end", ["pass", "os.kill(os.getpid(), 9)", *(pytest.param(end, marks=pytest.mark.slow) for end in (
    "os._exit(0)", "raise SystemExit(3)", "threading.Thread(target=decode_image, args=(data,), daemon=True).start()"))])
def test_from_every_kind_of_process_and_none_stays_behind(tmp_path, end):
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "program.py").write_text(PROGRAM.format(root=str(ROOT), file=str(tmp_path / "a.png"), end=end))
    done = subprocess.run([sys.executable, str(tmp_path / "program.py")], capture_output=True, text=True, timeout=100)
    assert done.stdout.strip() and "Traceback" not in done.stderr, done.stderr
    workers = [int(pid) for pid in done.stdout.split()]
    assert len(workers) >= 4
    until = time.monotonic() + 5
    while any(map(alive, workers)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not [pid for pid in workers if alive(pid)]


def test_a_warm_drop_is_answered_at_once(real_data):
    data = next((real_data / "chest_pneumonia/test/NORMAL").iterdir()).read_bytes()
    decode_image(data)
    began = time.perf_counter()
    for _ in range(10):
        decode_image(data)
    assert (time.perf_counter() - began) / 10 < 0.1


def test_an_answer_is_bounded(monkeypatch):
    """A worker that was taken over may say anything."""
    lie = "import os, struct; os.read(0, 4); os.write(1, struct.pack('<I', 4 * 10**9)); os.read(0, 10**6)"
    text = json.dumps({"shape": [10**6, 10**6, 3], "notes": []})
    large = f"import os, struct; os.read(0, 4); os.write(1, struct.pack('<I', {len(text)}) + {text.encode()!r}); os.read(0, 9)"
    for program in (lie, large):
        monkeypatch.setattr(pools, "PROGRAM", program)
        pool = Pool(1)
        with pytest.raises(LightboxError):
            pool.ask(request(b"x"), b"x")
        pool.close()
    assert not [t for t in threading.enumerate() if t.name == "decoding" and not t.daemon]
