"""The memory of a process, and giving it back to the machine.

What a large drain has freed, glibc keeps: in pieces, a little more after each, for ever. See malloc_trim(3). Other C libraries
give back what is free by themselves, or have no such call; there nothing happens.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def give_back() -> bool:
    """Give back to the machine what this process has freed. Takes some milliseconds. Returns whether there was any."""
    trim = getattr(_libc, "malloc_trim", None)
    return bool(trim(0)) if trim else False


def resident() -> float:
    """Return this process's own memory in megabytes, without files that are mapped, as SQLite maps its own. Linux only."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024
