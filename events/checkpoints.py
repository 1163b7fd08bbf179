"""Moving what SQLite has logged into its file, beside a drain: otherwise now and then a commit does, and waits for the disk.

Every tenth of a second instead of every thousandth page: so a power cut takes no more with it than before. (A process that dies
takes nothing, with either.)
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from django.db import DatabaseError, connection

logger = logging.getLogger(__name__)
EVERY_SECONDS = 0.1  # a drain that is shorter needs none
MOST_PAGES = 8000  # of 4 KiB: with so much in the log a commit moves it after all, so that it cannot grow for ever
MOVE = "PRAGMA wal_checkpoint(PASSIVE)"  # waits for nobody, and nobody for it


@contextmanager
def beside() -> Iterator[None]:
    """Have a thread do it as long as this lasts. Not on another database, nor within a transaction."""
    if connection.vendor != "sqlite" or connection.in_atomic_block or connection.is_in_memory_db():  # type: ignore[attr-defined]
        yield
        return
    over = Event()
    thread = Thread(target=_keep_moving, args=[over], name="checkpoints", daemon=True)
    usual = _set_limit(MOST_PAGES)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        _set_limit(usual)


def _set_limit(pages: int) -> int:
    """Have commits over this connection move the log from so many pages on. Returns the limit until now."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA wal_autocheckpoint")
        before = int(cursor.fetchone()[0])
        cursor.execute(f"PRAGMA wal_autocheckpoint = {int(pages)}")
    return before


def _keep_moving(over: Event) -> None:
    """Move what is in the log until told to stop. With a connection of its own."""
    try:
        while not over.wait(EVERY_SECONDS):
            with connection.cursor() as cursor:
                cursor.execute(MOVE)
    except DatabaseError:  # a thread's edge: commits do it then, from their limit on
        logger.exception("What SQLite has logged could not be moved into its file beside a drain.")
    finally:
        connection.close()
