"""Who waits for which device: one SQLite table, first come, first served.

The run folders are the truth; this file only keeps the order and can be made again from them
(`RunStore.recover`). SQLite's write lock makes a claim atomic: sixteen workers that ask at once get sixteen
different runs.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from core.files import Lock, disk_errors

T = TypeVar("T")
BROKEN = (sqlite3.DatabaseError, UnicodeDecodeError)
# what is wrong with the disk or the moment, not with the file
OF_THE_MOMENT = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL,
                 sqlite3.SQLITE_PERM, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_CANTOPEN}


class Queue:
    """Runs that wait.

    Every call opens and closes the file, so that any process and thread may use it at any time.
    """

    def __init__(self, path: Path):
        self.path = Path(path)

    def put(self, run_id: str, device: str) -> None:
        """Add a run at the end; one that waits already keeps its place."""
        self._do(lambda db: db.execute("INSERT OR IGNORE INTO queue (run_id, device) VALUES (?, ?)", (run_id, device)))

    def claim(self, device: str) -> str | None:
        """Take the run that has waited longest for a device, or None."""
        row = self._do(lambda db: db.execute(
            "DELETE FROM queue WHERE place = (SELECT min(place) FROM queue WHERE device = ?) RETURNING run_id",
            (device,)).fetchone())
        return row[0] if row else None

    def remove(self, run_id: str) -> bool:
        """Take a run out; False when it was not waiting (any more)."""
        return self._do(lambda db: db.execute("DELETE FROM queue WHERE run_id = ?", (run_id,)).rowcount > 0)

    def move_first(self, run_id: str) -> bool:
        """Let a run go before all others; False when it was not waiting (any more)."""
        return self._do(lambda db: db.execute(
            "UPDATE queue SET place = (SELECT min(place) FROM queue) - 1 WHERE run_id = ?", (run_id,)).rowcount > 0)

    def move_up(self, run_id: str) -> bool:
        """Let a run go before the one that stands in front of it for the same device; False where it is not waiting, or is the
        first."""
        def move(db: sqlite3.Connection) -> bool:
            here = db.execute("SELECT place, device FROM queue WHERE run_id = ?", (run_id,)).fetchone()
            if here is None:
                return False
            place, device = here
            before = db.execute("SELECT max(place) FROM queue WHERE device = ? AND place < ?", (device, place)).fetchone()[0]
            if before is None:
                return False
            # two runs never share a place
            free = db.execute("SELECT min(place) - 1 FROM queue").fetchone()[0]
            for old, new in ((before, free), (place, before), (free, place)):
                db.execute("UPDATE queue SET place = ? WHERE place = ?", (new, old))
            return True
        return self._do(move)

    def waiting(self) -> list[tuple[str, str]]:
        """Return (run id, device) of all that wait, first come first."""
        if not self.path.exists():
            return []
        return self._do(lambda db: db.execute("SELECT run_id, device FROM queue ORDER BY place").fetchall())

    def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do something in one transaction. A damaged file is put aside, and it is done in a new one: nothing is lost, the
        folders say who waits."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with disk_errors(self.path):
            try:
                return self._try(work)
            except BROKEN as error:
                if self._is_of_the_moment(error):
                    raise
            with Lock(self.path.with_suffix(".lock")):
                try:
                    return self._try(work)               # somebody else was quicker
                except BROKEN as error:
                    if self._is_of_the_moment(error):
                        raise
                    self._put_aside()
                    return self._try(work)

    def _try(self, work: Callable[[sqlite3.Connection], T]) -> T:
        db = self._open()
        try:
            result = work(db)
            db.execute("COMMIT")
            return result
        finally:
            db.close()          # without COMMIT this rolls back

    def _is_of_the_moment(self, error: Exception) -> bool:
        """Whether the disk or the moment is to blame and not the file. One that claims to be read-only and is not is damaged."""
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xff
        if code == sqlite3.SQLITE_READONLY:
            return not (os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK))
        return code in OF_THE_MOMENT and not self.path.is_dir()

    def _put_aside(self) -> None:
        aside = self.path.with_suffix(".broken")
        while aside.exists():
            aside = self.path.with_suffix(f".{secrets.token_hex(2)}.broken")
        for end in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self.path}{end}").replace(f"{aside}{end}")

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("CREATE TABLE IF NOT EXISTS queue "
                       "(place INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT UNIQUE, device TEXT)")
            db.execute("BEGIN IMMEDIATE")
            if db.execute("SELECT count(*) FROM queue WHERE typeof(run_id) != 'text' OR typeof(device) != 'text'").fetchone()[0]:
                raise sqlite3.DatabaseError("a row is no run")
            if db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("the file is damaged")
            return db
        except BaseException:
            db.close()
            raise
