"""The units of docs/systemd run as written, where no systemd is: a stand-in that does what these files ask of it.

`python -m nectorbridge.testing.units start NAME ...` understands as much of `systemctl` as docs/upgrade.md uses. What it needs
to know comes from `UNITS_DIR` (the unit files), `UNITS_RUN_DIR` (its own notes) and `UNITS_WEB_PORT`.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

from nectorbridge.processes.tied import PROJECT_DIR

HOME = "/srv/nectorbridge"  # where docs/install.md puts the project
WEB_ADDRESS = "127.0.0.1:8000"
START_SECONDS = 90.0  # systemd's own default of TimeoutStartSec


class Service:
    """One service. `folder` is where it keeps notes, so that another process can stop what this one started."""

    def __init__(self, unit: Path, folder: Path, port: int) -> None:
        """Read the unit."""
        lines = [line.partition("=") for line in unit.read_text().splitlines() if not line.startswith("#")]
        self.directives = {name: value for name, mark, value in lines if mark}
        self.name, self.folder, self.port = unit.stem, folder, port
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def command(self) -> list[str]:
        """Return ExecStart, with this machine's interpreter, and a port that is free here."""
        interpreter, *arguments = shlex.split(self.directives["ExecStart"])
        assert interpreter == f"{HOME}/.venv/bin/python", interpreter
        return [sys.executable, *(argument.replace(WEB_ADDRESS, f"127.0.0.1:{self.port}") for argument in arguments)]

    @property
    def seconds_to_stop(self) -> float:
        """Return how long it may take to stop."""
        return float(self.directives["TimeoutStopSec"])

    def start(self, environment: Mapping[str, str]) -> None:
        """Start it; where it promised to say when it is up, wait for that. Raises AssertionError or TimeoutError."""
        invocation = uuid.uuid4().hex
        given = {**environment, "INVOCATION_ID": invocation}
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, (self.folder / f"{self.name}.log").open("ab") as log:
            if self.directives.get("Type") == "notify":
                path = self.folder / f"{invocation[:8]}.sock"
                manager.bind(str(path))
                manager.settimeout(START_SECONDS)
                given["NOTIFY_SOCKET"] = str(path)
            assert self.directives["WorkingDirectory"] == HOME
            self.process = subprocess.Popen(  # noqa: S603 - our own unit
                self.command, cwd=PROJECT_DIR, env=given, stdout=log, stderr=log, start_new_session=True
            )
            self._note.write_text(f"{self.process.pid} {invocation}")
            while "NOTIFY_SOCKET" in given and b"READY=1" not in manager.recv(1000):
                pass

    def stop(self) -> float:
        """Send KillSignal to the main process alone, as KillMode=mixed says; return the seconds until all of it had ended.

        Raises AssertionError where something is left after TimeoutStopSec: systemd would kill it. It is killed here, too.
        """
        if not self._note.exists():
            return 0.0
        main, invocation = self._note.read_text().split()
        assert self.directives["KillMode"] == "mixed"
        began = time.monotonic()
        if int(main) in self._left(invocation):
            os.kill(int(main), getattr(signal, self.directives.get("KillSignal", "SIGTERM")))
        while left := self._left(invocation):
            if time.monotonic() - began > self.seconds_to_stop:
                for pid in left:
                    os.kill(pid, signal.SIGKILL)
                raise AssertionError(f"{self.name}: {left} did not end within {self.seconds_to_stop} s")
            time.sleep(0.1)
        if self.process is not None:
            self.process.wait(self.seconds_to_stop)  # it may have ended after it was last asked for
        self._note.unlink()
        return time.monotonic() - began

    @property
    def _note(self) -> Path:
        return self.folder / f"{self.name}.pid"

    def _left(self, invocation: str) -> list[int]:
        """Return the processes that are left of one start, as its control group would have them."""
        if self.process is not None:
            self.process.poll()  # a child of ours is there until it was asked for
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                is_ours = f"INVOCATION_ID={invocation}".encode() in (folder / "environ").read_bytes().split(b"\0")
                is_ended = b") Z " in (folder / "stat").read_bytes()
            except OSError:
                continue
            if is_ours and not is_ended:
                found.append(int(folder.name))
        return found


def main(verb: str, *names: str) -> None:
    """Do what `systemctl VERB NAME ...` does, in that order. Raises KeyError for a verb that no page uses."""
    where, folder, port = (os.environ[f"UNITS_{name}"] for name in ("DIR", "RUN_DIR", "WEB_PORT"))
    if verb == "daemon-reload":
        return
    for name in names:
        service = Service(Path(where) / f"{name.removesuffix('.service')}.service", Path(folder), int(port))
        {"start": lambda one=service: one.start(os.environ), "stop": lambda one=service: one.stop()}[verb]()


if __name__ == "__main__":
    main(*sys.argv[1:])
