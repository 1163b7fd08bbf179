"""Run a module in a process that never outlives its parent, and whose own children never outlive it.

django-q2 leaves its workers running, unguarded, when its sentinel is killed, and nobody tidies up after a supervisor that
was killed with -9. Here the kernel does: each process asks to be killed when its parent dies, and so does whatever it forks.

Run by path, as a script (`tied.py PARENT_PID MODULE ARGUMENT...`), so that it needs neither Django nor a working directory.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys
import threading
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1  # prctl(2)
LOOK_SECONDS = 0.5  # how often a process looks for its parent where the kernel does not tell
PROJECT_DIR = Path(__file__).resolve().parent.parent.parent
libc = ctypes.CDLL(None) if sys.platform == "linux" else None
_forking: list[int] = []


def tie_to(parent: int) -> None:
    """Have this process killed when the process `parent`, which started it, dies. Ends at once if that has happened already."""
    if libc is not None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    else:
        threading.Thread(target=_watch, args=(parent,), name="parent watch", daemon=True).start()
    if os.getppid() != parent:
        os._exit(1)


def tie_children() -> None:
    """Tie every process that this one forks from now on, and those that they fork."""
    os.register_at_fork(
        before=lambda: _forking.__setitem__(slice(None), [os.getpid()]), after_in_child=lambda: tie_to(_forking[0])
    )


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


def main(arguments: list[str]) -> None:
    """Tie this process to the first argument's process and become the module named by the second."""
    parent, module = int(arguments[0]), arguments[1]
    tie_to(parent)
    tie_children()
    sys.path[0] = str(PROJECT_DIR)
    sys.argv = arguments[1:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
