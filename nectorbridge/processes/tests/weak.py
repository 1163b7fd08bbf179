"""Settings and tasks of a real cluster in which something goes wrong by itself: the tests of django-q2's weak spots use them.

As an app it makes CleverTap's packing kill its process, with a real segmentation fault, at an event titled so.
"""

from __future__ import annotations

import ctypes
import time
from concurrent.futures import ThreadPoolExecutor

from nectorbridge.settings import *  # noqa: F403
from nectorbridge.settings import INSTALLED_APPS

POISON = "kills whoever packs it"
INSTALLED_APPS = [*INSTALLED_APPS, "nectorbridge.processes.tests.poison.Poison"]


def stuck_in_threads(seconds: float) -> None:
    """Wait for a thread that does not come back, as django-q2's own time limit then does, too."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(time.sleep, seconds)


def crash() -> None:
    """Read where nothing is."""
    ctypes.string_at(0)
