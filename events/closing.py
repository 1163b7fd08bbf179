"""Whether this process is about to end: then no further call may leave, and what is claimed goes back to the queue.

Whoever runs the tasks says so (`nectorbridge.processes.closing`); in any other process it never happens.
"""

from __future__ import annotations

import threading

_begun = threading.Event()


def begin() -> None:
    """Say that this process is about to end."""
    _begun.set()


def is_closing() -> bool:
    """Tell whether it is."""
    return _begun.is_set()
