"""The processes of one worker, looked at from outside through /proc."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from django.conf import settings

SOCKET = "socket:["
ESTABLISHED = "01"


def children(pid: int) -> list[int]:
    """Return the live children of a process, in the order in which they were started."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append((int(fields[19]), int(entry.name)))
    return [child for _, child in sorted(found)]


class Family:
    """A supervisor's cluster, by the order in which django-q2 starts its parts."""

    def __init__(self, supervisor: int) -> None:
        """Look at it now. Raises ValueError where it is not complete."""
        self.supervisor = supervisor
        (self.main,) = children(supervisor)
        (self.sentinel,) = children(self.main)
        *self.workers, self.monitor, self.pusher = children(self.sentinel)
        if len(self.workers) != settings.WORKER_PROCESSES:
            raise ValueError(f"{len(self.workers)} workers run, not {settings.WORKER_PROCESSES}")

    def talking_to(self, port: int) -> int:
        """Return the worker that has a connection to this local port. Raises LookupError where none has."""
        wanted = _sockets_to(port)
        for pid in self.workers:
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(FileNotFoundError):
                    if str(descriptor.readlink()).removeprefix(SOCKET).removesuffix("]") in wanted:
                        return pid
        raise LookupError(f"no worker is connected to port {port}")


def _sockets_to(port: int) -> set[str]:
    """Return the inodes of established connections to a port."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {row[9] for row in rows if row[3] == ESTABLISHED and int(row[2].rpartition(":")[2], 16) == port}


def kill(pid: int) -> None:
    """Kill a process that this run has started, the hard way."""
    os.kill(pid, signal.SIGKILL)
