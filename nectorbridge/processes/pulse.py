"""What a cluster's processes tell their supervisor: a few bytes through an inherited pipe, which no lock can block.

A database or a shared lock will not do here: a process killed with -9 takes its locks along, and that is what is looked for.
"""

from __future__ import annotations

import os
import select
import struct
from collections.abc import Iterator
from enum import Enum

RECORD = struct.Struct("=cI")  # what happened, process id; far below the size up to which a pipe's writes are atomic
READ_BYTES = RECORD.size * 1024


class Sign(Enum):
    """What happened in the cluster."""

    TAKEN = b"t"  # a worker took a task
    DONE = b"d"  # a worker handed in a task's result
    ACKNOWLEDGED = b"a"  # the monitor acknowledged a result
    QUEUE_AWAY = b"q"  # the pusher or the monitor could not reach the queue


class PulseWriter:
    """The cluster's end of the pipe."""

    def __init__(self, descriptor: int) -> None:
        """Write to an inherited file descriptor."""
        self.descriptor = descriptor
        os.set_blocking(descriptor, False)

    def send(self, sign: Sign) -> None:
        """Tell what this process did. A supervisor that does not read, or is gone, must not hold up the work."""
        try:
            os.write(self.descriptor, RECORD.pack(sign.value, os.getpid()))
        except OSError:
            return


class PulseReader:
    """The supervisor's end of one cluster's pipe."""

    def __init__(self) -> None:
        """Open the pipe; the child inherits `writing_end`."""
        self.reading_end, self.writing_end = os.pipe()
        self.is_closed_by_writers = False

    def close_writing_end(self) -> None:
        """Leave the writing to the child, so that its end is noticed."""
        os.close(self.writing_end)

    def wait(self, seconds: float) -> Iterator[tuple[Sign, int]]:
        """Wait for news, yield what came as (sign, process id)."""
        readable, _, _ = select.select([self.reading_end], [], [], seconds)
        if readable:
            data = os.read(self.reading_end, READ_BYTES)
            self.is_closed_by_writers = not data
            for kind, pid in RECORD.iter_unpack(data):
                yield Sign(kind), pid

    def close(self) -> None:
        """Forget this cluster."""
        os.close(self.reading_end)
