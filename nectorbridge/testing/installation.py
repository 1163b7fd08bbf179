"""A whole installation of its own, on SQLite or on PostgreSQL with Redis, run as real processes beside a real sandbox."""

from __future__ import annotations

import atexit
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from nectorbridge.processes.tied import PROJECT_DIR
from nectorbridge.testing.parts import POSTGRES_URL, REDIS_URL

STORE = {
    "sqlite": "SQLite, ORM broker",
    "postgres": "PostgreSQL, Redis broker",
}
FAST = {  # compressed time, so that a journey through retries takes seconds
    "DELIVERY_SWEEP_SECONDS": "0.5",
    "DELIVERY_RETRY_STEPS": "0.3,0.6,1,1,2,2,4,4",
    "DELIVERY_LEASE_SECONDS": "4",
    "DELIVERY_HTTP_TIMEOUT_SECONDS": "2",
    "DELIVERY_WORKERS": "2",
    "WORKER_STALL_SECONDS": "4",
}
HEAD = """
import json
from events.models import *
from integrations.models import *
from nectorbridge.loyalty.models import *
from nectorbridge.loyalty import services
"""
# One shell answers all questions of a journey: starting Django for each would take most of its time on a small machine.
ANSWERING = """
import io, json, sys, traceback
from contextlib import redirect_stdout
from django.db import connections
for line in sys.stdin:
    printed, failed = io.StringIO(), ""
    try:
        with redirect_stdout(printed):
            exec(json.loads(line), {"__name__": "question"})
    except Exception:
        failed = traceback.format_exc()
    connections.close_all()
    print(json.dumps([printed.getvalue(), failed]), flush=True)
"""


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> float:
    """Wait until the condition holds; return how long that took. Raises AssertionError when it takes too long."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"{what}: not within {seconds} s"
        time.sleep(0.1)
    return time.monotonic() - began


class Outside:
    """An installation as its operator sees it: commands, processes, rows."""

    def __init__(self, folder: Path, database_url: str, redis_url: str = "", **environment: str) -> None:
        """Keep folder and environment; nothing runs yet."""
        self.folder = folder
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self.environment = {
            **kept,
            **FAST,
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "DATA_DIR": str(folder),
            "SECRET_KEY": secrets.token_urlsafe(40),
            "FERNET_KEYS": secrets.token_urlsafe(40),
            "ALLOWED_HOSTS": "127.0.0.1",
            "SECURE_SSL_REDIRECT": "false",
            "SECURE_COOKIES": "false",
            "LOG_LEVEL": "WARNING",
            **environment,
        }
        self._shell: subprocess.Popen[str] | None = None

    def command(self, *arguments: str) -> list[str]:
        """Return a management command's argument list."""
        return [sys.executable, str(PROJECT_DIR / "manage.py"), *arguments]

    def run(self, *arguments: str) -> str:
        """Run a command to its end and return what it printed. Raises AssertionError where it failed."""
        result = subprocess.run(  # noqa: S603 - our own command
            self.command(*arguments),
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def ask(self, code: str) -> Any:
        """Run Python in the installation; it must `print(json.dumps(...))` one value, which is returned.

        All questions are answered by one process, each in a namespace and on a connection of its own. Raises
        AssertionError where the code failed.
        """
        if self._shell is None:
            with (self.folder / "shell.log").open("ab") as log:
                self._shell = subprocess.Popen(  # noqa: S603 - our own command
                    self.command("shell", "--no-imports", "-c", ANSWERING),
                    env=self.environment,
                    cwd=self.folder,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                )
        asking, answering = self._shell.stdin, self._shell.stdout
        assert asking and answering
        asking.write(json.dumps(HEAD + code) + "\n")
        asking.flush()
        answer = answering.readline()
        assert answer, f"the shell ended: {self.log('shell')}"
        printed, failed = json.loads(answer)
        assert not failed, failed
        return json.loads(printed.strip().splitlines()[-1])

    def close(self) -> None:
        """End the process that answers questions; the next question starts another."""
        if self._shell is not None:
            self._shell.kill()
            self._shell.communicate()
            self._shell = None

    @contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a command in a group of its own until the block ends; whatever is left of it then is killed."""
        with (self.folder / f"{arguments[0]}.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own command
                self.command(*arguments), env=self.environment, cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()

    def log(self, name: str) -> str:
        """Return what a command has printed so far."""
        return (self.folder / f"{name}.log").read_text()


@contextmanager
def installation(store: str, folder: Path, **environment: str) -> Iterator[Outside]:
    """Make a migrated installation on `store` and remove its database afterwards."""
    with _database(store, folder) as (database_url, redis_url):
        outside = Outside(folder, database_url, redis_url, **environment)
        try:
            yield outside
        finally:
            outside.close()


@contextmanager
def unmigrated(store: str, folder: Path, redis_url: str = REDIS_URL, **environment: str) -> Iterator[Outside]:
    """Make an installation on `store` whose database is empty, and remove it afterwards. The Redis is PostgreSQL's alone."""
    with ExitStack() as stack:
        if store == "sqlite":
            outside = Outside(folder, f"sqlite:///{folder}/journey.sqlite3", **environment)
        else:
            name = _new_name()
            with _admin() as admin:
                admin.execute(f'CREATE DATABASE "{name}"')
            stack.callback(_drop, name)
            outside = Outside(folder, _url_of(name), redis_url, **environment)
        stack.callback(outside.close)
        yield outside


@contextmanager
def _database(store: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the URLs of a migrated, empty database and of its broker; on PostgreSQL the database goes with the block."""
    if store == "sqlite":
        file = folder / "journey.sqlite3"
        shutil.copyfile(_migrated_file(), file)
        yield f"sqlite:///{file}", ""
        return
    with _admin() as admin:
        name = _new_name()
        admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{_migrated_database()}"')
        try:
            yield _url_of(name), REDIS_URL
        finally:
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@cache
def _migrated_file() -> Path:
    """Migrate an SQLite file that all journeys of this process begin with a copy of."""
    folder = Path(tempfile.mkdtemp(prefix="nectorbridge-journeys-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    file = folder / "migrated.sqlite3"
    Outside(folder, f"sqlite:///{file}").run("migrate", "-v0")
    return file


@cache
def _migrated_database() -> str:
    """Migrate a database that all of PostgreSQL begin with a copy of; return its name."""
    name = _new_name()
    with _admin() as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
    atexit.register(_drop, name)
    folder = Path(tempfile.mkdtemp(prefix="nectorbridge-journeys-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    Outside(folder, _url_of(name)).run("migrate", "-v0")
    return name


def _drop(name: str) -> None:
    """Drop a database."""
    with _admin() as admin:
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def _admin() -> Any:
    """Return a connection that makes and drops databases."""
    import psycopg

    return psycopg.connect(POSTGRES_URL, autocommit=True)


def _new_name() -> str:
    """Return a name that no database has."""
    return f"nectorbridge_{uuid.uuid4().hex[:12]}"


def _url_of(name: str) -> str:
    """Return the URL of a database of this name."""
    return f"{POSTGRES_URL.rsplit('/', 1)[0]}/{name}"
