"""A whole installation of its own, on SQLite or on PostgreSQL with Redis, run as real processes beside a real sandbox."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
        """Run Python in the installation; it must `print(json.dumps(...))` one value, which is returned."""
        head = (
            "import json\nfrom events.models import *\nfrom integrations.models import *\n"
            "from nectorbridge.loyalty.models import *\nfrom nectorbridge.loyalty import services\n"
        )
        return json.loads(self.run("shell", "--no-imports", "-c", head + code).strip().splitlines()[-1])

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
    if store == "sqlite":
        outside = Outside(folder, f"sqlite:///{folder / 'journey.sqlite3'}", **environment)
        outside.run("migrate", "-v0")
        yield outside
        return
    import psycopg

    name = f"nectorbridge_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(POSTGRES_URL, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
        try:
            outside = Outside(folder, f"{POSTGRES_URL.rsplit('/', 1)[0]}/{name}", REDIS_URL, **environment)
            outside.run("migrate", "-v0")
            yield outside
        finally:
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
