"""Giving memory back to the machine. What a large drain has freed, glibc keeps: in pieces, a little more after each, for ever.

See malloc_trim(3). Other C libraries give back what is free by themselves, or have no such call; there it does nothing.
"""

from __future__ import annotations

import ctypes
import sys

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def give_back() -> bool:
    """Give back to the machine what this process has freed. Takes some milliseconds. Returns whether there was any."""
    trim = getattr(_libc, "malloc_trim", None)
    return bool(trim(0)) if trim else False
