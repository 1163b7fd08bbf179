"""A whole installation on a temporary SQLite file, run as real processes, and looked at from outside through /proc."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from nectorbridge.processes.tied import PROJECT_DIR

STALL_SECONDS = 3
WORKERS = 2


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> float:
    """Wait until `condition()` is true; return how long that took."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, f"{what}: not within {seconds} s"
        time.sleep(0.05)
    return time.monotonic() - start


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def stat(pid: int) -> tuple[int, str, str] | None:
    """Return (parent, state, start time) of a process, or None if there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(fields[1]), fields[0], fields[19]


def children(pid: int) -> list[int]:
    """Return the live children of a process, oldest first."""
    found = []
    for entry in Path("/proc").iterdir():
        facts = stat(int(entry.name)) if entry.name.isdigit() else None
        if facts and facts[0] == pid and facts[1] != "Z":
            found.append((int(facts[2]), int(entry.name)))
    return [child for _, child in sorted(found)]


class Tree:
    """The processes below one, remembered: a number that the kernel has given to somebody else does not count."""

    def __init__(self, root: int) -> None:
        pids, todo = [], [root]
        while todo:
            pid = todo.pop()
            pids.append(pid)
            todo += children(pid)
        self.members = {pid: stat(pid)[2] for pid in pids if stat(pid)}

    def alive(self) -> list[int]:
        facts = {pid: stat(pid) for pid in self.members}
        return [pid for pid, fact in facts.items() if fact and fact[1] != "Z" and fact[2] == self.members[pid]]

    def wait_until_gone(self, seconds: float) -> float:
        return wait_for(lambda: not self.alive(), seconds, f"processes {self.alive()} to end")


class Installation:
    """One data folder with its environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "bridge.sqlite3"
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self.environment = kept | {
            "DATABASE_URL": f"sqlite:///{self.file}",
            "DATA_DIR": str(folder),
            "SECRET_KEY": secrets.token_urlsafe(40),
            "FERNET_KEYS": secrets.token_urlsafe(40),
            "ALLOWED_HOSTS": "127.0.0.1",
            "SECURE_SSL_REDIRECT": "false",
            "SECURE_COOKIES": "false",
            "WORKER_STALL_SECONDS": str(STALL_SECONDS),
            "DELIVERY_WORKERS": str(WORKERS),
        }

    def use(self, migrated: Path) -> None:
        shutil.copy(migrated, self.file)

    def start(self, *arguments: str) -> subprocess.Popen:
        """Start a command; its output goes to a file of the command's name."""
        with (self.folder / arguments[0]).open("ab") as output:
            command = [sys.executable, str(PROJECT_DIR / "manage.py"), *arguments]
            return subprocess.Popen(command, env=self.environment, cwd=self.folder, stdout=output, stderr=subprocess.STDOUT)

    def run(self, *arguments: str) -> int:
        return self.start(*arguments).wait(60)

    def output(self, command: str) -> str:
        return (self.folder / command).read_text()

    def rows(self, query: str, *values: object) -> list[tuple]:
        with closing(sqlite3.connect(self.file, timeout=20)) as connection:
            return connection.execute(query, values).fetchall()

    def restarts(self, process: subprocess.Popen) -> int:
        return max(
            (row[0] for row in self.rows("SELECT restarts FROM events_worker WHERE name LIKE ?", f"%:{process.pid}")), default=0
        )

    def worked_since(self, process: subprocess.Popen, moment: datetime) -> bool:
        """Whether the worker's canary has run after `moment`."""
        rows = self.rows("SELECT canary_at FROM events_worker WHERE name LIKE ?", f"%:{process.pid}")
        return any(row[0] and datetime.fromisoformat(row[0]).replace(tzinfo=UTC) > moment for row in rows)

    def wait_for_work(self, process: subprocess.Popen, seconds: float = 20) -> float:
        """Wait for a canary that begins to run from now on."""
        now = datetime.now(UTC)
        return wait_for(lambda: self.worked_since(process, now), seconds, "a canary")

    @contextmanager
    def worker(self, *arguments: str) -> Iterator[subprocess.Popen]:
        """Run a worker that works; whatever the test left of it is killed at the end."""
        process = self.start("worker", *arguments)
        try:
            self.wait_for_work(process)
            yield process
        finally:
            tree = Tree(process.pid)
            process.kill()
            process.wait()
            for pid in tree.alive():
                os.kill(pid, signal.SIGKILL)


class Cluster:
    """The parts of a worker's cluster, by the order in which django-q2 starts them."""

    def __init__(self, supervisor: subprocess.Popen) -> None:
        (self.main,) = children(supervisor.pid)
        (self.sentinel,) = children(self.main)
        *self.workers, self.monitor, self.pusher = children(self.sentinel)
        assert len(self.workers) == WORKERS
