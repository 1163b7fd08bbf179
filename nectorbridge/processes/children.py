"""A process that this one starts, in a session of its own, and ends for certain."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from nectorbridge.processes import tied

LOOK_SECONDS = 0.05


class Child:
    """A Python module running as a child. It dies with this process (see `tied`); a terminal's Ctrl-C does not reach it.

    Start it from the main thread: the kernel takes the end of the starting thread for the end of the parent.
    """

    def __init__(self, command: Sequence[str], pass_fds: Sequence[int] = (), env: dict[str, str] | None = None) -> None:
        """Start `command`, a module's name and its arguments. `env` replaces the environment; standard output is dropped."""
        launcher = [sys.executable, str(Path(tied.__file__)), str(os.getpid())]
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(  # noqa: S603 - our own interpreter with our own arguments
            [*launcher, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=pass_fds,
            env=env,
        )

    @property
    def uptime(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self.started_at

    @property
    def exit_code(self) -> int | None:
        """Return how the process ended (negative: by which signal), or None while it runs."""
        return self.process.poll()

    def ask_to_stop(self, number: int = signal.SIGTERM) -> None:
        """Send SIGTERM to the process alone: it knows how to end its own children."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def kill(self) -> None:
        """Kill the process and everything in its group, and reap it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def end_all(
    children: Iterable[Child], grace: float, is_urgent: Callable[[], bool] = lambda: False, number: int = signal.SIGTERM
) -> None:
    """Ask all to stop, wait up to `grace` seconds (not at all once `is_urgent()`), then kill what is left of them."""
    children = list(children)
    deadline = time.monotonic() + grace
    for child in children:
        child.ask_to_stop(number)
    while any(child.exit_code is None for child in children) and time.monotonic() < deadline and not is_urgent():
        time.sleep(LOOK_SECONDS)
    for child in children:
        child.kill()
