"""A PostgreSQL and a Redis server of this run's own, to be killed and started again without bothering anybody."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import redis

from nectorbridge.processes.children import Child

LOOPBACK = "127.0.0.1"
NATIVE = "nectorbridge.chaos.native"
START_SECONDS = 30.0
LOOK_SECONDS = 0.1
OWNER = "postgres"  # PostgreSQL refuses to run as root
DATABASE = "chaos"


class Missing(RuntimeError):
    """This machine lacks a server's program. The message says which, and how to get it."""


def program(name: str) -> str:
    """Return the path of a server's program, also where Debian keeps PostgreSQL's. Raises Missing."""
    homes = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    found = shutil.which(name, path=os.pathsep.join([*map(str, homes), os.environ.get("PATH", "")]))
    if found is None:
        raise Missing(f"{name} is not installed (Debian: apt-get install postgresql redis-server).")
    return found


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _wait_for(server: Server) -> None:
    """Wait until a server answers. Raises TimeoutError."""
    deadline = time.monotonic() + START_SECONDS
    while not server.answers():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{type(server).__name__} does not answer")
        time.sleep(LOOK_SECONDS)


class Server(ABC):
    """A native program that can be killed and started again on the same port."""

    user = ""

    def __init__(self, folder: Path, port: int) -> None:
        """Prepare in an existing folder."""
        self.folder = folder
        self.port = port
        self.child: Child | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """Return the program and its arguments."""

    @abstractmethod
    def answers(self) -> bool:
        """Tell whether it serves."""

    def start(self) -> None:
        """Start it, and wait until it serves. From the main thread only (see `Child`)."""
        self.child = Child([NATIVE, str(os.getpid()), self.user, *self.command()])
        _wait_for(self)

    def end(self, number: int = signal.SIGKILL) -> None:
        """End it with this signal, and all it started."""
        if self.child is None:
            return
        with suppress(ProcessLookupError):
            self.child.process.send_signal(number)
        if number != signal.SIGKILL:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.child.process.wait(START_SECONDS)
        self.child.kill()
        self.child = None

    def restart(self, number: int, away: float) -> None:
        """End it, stay away for some seconds, and come back."""
        self.end(number)
        time.sleep(away)
        self.start()


class Postgres(Server):
    """A cluster of databases in a temporary folder. Everybody on this machine may connect: nothing in it is worth a secret."""

    def __init__(self, folder: Path, port: int) -> None:
        """Make the cluster. Raises Missing."""
        super().__init__(folder, port)
        self.data = folder / "postgres"
        self.data.mkdir(mode=0o700)
        self.user = OWNER if os.geteuid() == 0 else ""
        if self.user:
            account = pwd.getpwnam(self.user)
            os.chown(self.data, account.pw_uid, account.pw_gid)
        make = [
            program("initdb"),
            "-D",
            str(self.data),
            "-U",
            OWNER,
            "--auth=trust",
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C",
        ]
        options = {"user": self.user, "group": self.user, "extra_groups": []} if self.user else {}
        subprocess.run(make, check=True, capture_output=True, cwd="/", **options)  # type: ignore[call-overload]  # noqa: S603

    def command(self) -> list[str]:
        """Return the server's command. Without fsync: it is processes that die here, not machines."""
        settings = {
            "port": self.port,
            "listen_addresses": LOOPBACK,
            "unix_socket_directories": "",
            "fsync": "off",
            "shared_buffers": "64MB",
            "max_connections": 100,
            "restart_after_crash": "on",
            "logging_collector": "off",
            "log_min_messages": "panic",
        }
        return [program("postgres"), "-D", str(self.data), *(f"--{name}={value}" for name, value in settings.items())]

    def answers(self) -> bool:
        """Tell whether it takes connections."""
        try:
            self._run("SELECT 1")
        except psycopg.Error:
            return False
        return True

    def begin(self) -> None:
        """Start it for the first time, with an empty database."""
        self.start()
        self._run(f"CREATE DATABASE {DATABASE}")

    def cut_connections(self) -> None:
        """End every session but this one."""
        self._run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL")

    def _run(self, statement: str) -> None:
        """Run one statement as the owner. Raises psycopg.Error."""
        with psycopg.connect(
            host=LOOPBACK, port=self.port, user=OWNER, dbname=OWNER, autocommit=True, connect_timeout=5
        ) as connection:
            connection.execute(statement.encode())


class Redis(Server):
    """A Redis that keeps nothing: whoever restarts it has flushed it."""

    def command(self) -> list[str]:
        """Return the server's command."""
        quiet = ["--save", "", "--appendonly", "no", "--dir", str(self.folder), "--loglevel", "warning"]
        return [program("redis-server"), "--bind", LOOPBACK, "--port", str(self.port), *quiet]

    def answers(self) -> bool:
        """Tell whether it answers."""
        try:
            with self._client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def flush(self) -> None:
        """Forget everything."""
        with self._client() as client:
            client.flushall()

    def _client(self) -> redis.Redis:
        return redis.Redis(host=LOOPBACK, port=self.port, socket_timeout=5)


@dataclass(frozen=True)
class Servers:
    """What the installation of this run stands on. None of them: a SQLite file, and tasks in it."""

    postgres: Postgres | None = None
    redis: Redis | None = None


@contextmanager
def running(folder: Path, database_url: str, redis_url: str) -> Iterator[Servers]:
    """Run the servers at these addresses for the length of a block; none for a SQLite file. Raises Missing."""
    if database_url.startswith("sqlite"):
        yield Servers()
        return
    with ExitStack() as stack:
        postgres, bell = Postgres(folder, urlsplit(database_url).port or 0), Redis(folder, urlsplit(redis_url).port or 0)
        for server in (postgres, bell):
            stack.callback(server.end)
        postgres.begin()
        bell.start()
        yield Servers(postgres, bell)
