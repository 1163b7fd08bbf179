"""A throw-away installation: a temporary folder, a database, keys and ports of its own. Gone afterwards.

The user's database is never opened for reading or writing. Where it is PostgreSQL, a temporary database is created next
to it; where Redis rings the bell, the tasks travel under a name of their own.
"""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import redis
from django.conf import settings
from psycopg import sql

PREFIX = "nectorbridge_bench_"
SECOND = "_second"  # a benchmark may make another database of this name beside its own
LOOPBACK = "127.0.0.1"
CONNECT_SECONDS = 5
KEPT_VARIABLES = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV", "REDIS_URL", "SYSTEMROOT")


@dataclass(frozen=True)
class Home:
    """Where a benchmark runs, and the whole environment of its processes."""

    folder: Path
    environment: Mapping[str, str]


def described() -> str:
    """Return which database and which bell are measured."""
    database = "SQLite" if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3") else "PostgreSQL"
    return f"{database}, {'Redis' if settings.REDIS_URL else 'ORM'} broker"


@contextmanager
def temporary_home(extra: Mapping[str, str]) -> Iterator[Home]:
    """Make an installation for one benchmark and remove it. `extra` goes into the environment."""
    name = f"{PREFIX}{secrets.token_hex(4)}"
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / name
        folder.mkdir()
        with _database(name, folder) as url:
            try:
                yield Home(folder, _environment(folder, url) | dict(extra))
            finally:
                _forget_tasks(name)


def _environment(folder: Path, database_url: str) -> dict[str, str]:
    """Return an environment that shares nothing with the user's installation but its Redis server."""
    kept = {key: os.environ[key] for key in KEPT_VARIABLES if key in os.environ}
    sandbox = f"http://{LOOPBACK}:{_free_port()}"
    providers = {f"{slug.upper()}_BASE_URL": f"{sandbox}/{slug}" for slug in settings.PROVIDER_BASE_URLS}
    return (kept | providers) | {
        "DJANGO_SETTINGS_MODULE": "nectorbridge.bench.settings",
        "DATABASE_URL": database_url,
        "REDIS_URL": settings.REDIS_URL,
        "DATA_DIR": str(folder),
        "SECRET_KEY": secrets.token_urlsafe(40),
        "FERNET_KEYS": secrets.token_urlsafe(40),
        "ALLOWED_HOSTS": LOOPBACK,
        "DEBUG": "false",  # with it on, Django remembers every statement
        "SECURE_SSL_REDIRECT": "false",
        "LOG_LEVEL": "ERROR",
        "PUBLIC_URL": "https://bench.example",
    }


@contextmanager
def _database(name: str, folder: Path) -> Iterator[str]:
    """Yield the address of an empty database."""
    if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        yield f"sqlite:///{folder / f'{name}.sqlite3'}"
        return
    administer("CREATE DATABASE {}", name)
    try:
        yield urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()
    finally:
        for suffix in ("", SECOND):
            administer("DROP DATABASE IF EXISTS {} WITH (FORCE)", f"{name}{suffix}")


def administer(statement: str, name: str) -> None:
    """Run one statement about a database on the user's server. Raises psycopg.Error."""
    database = settings.DATABASES["default"]
    given = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD", "dbname": "NAME"}
    parameters = {key: database[setting] for key, setting in given.items() if database.get(setting)}
    with psycopg.connect(**parameters, autocommit=True, connect_timeout=CONNECT_SECONDS) as connection:
        connection.execute(sql.SQL(statement).format(sql.Identifier(name)))


def _forget_tasks(name: str) -> None:
    """Delete the tasks that a benchmark may have left in Redis. They would disturb nobody: nobody listens to this name."""
    if settings.REDIS_URL:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=CONNECT_SECONDS) as client:
            client.delete(f"django_q:{name}:q")


def _free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def is_throw_away() -> bool:
    """Tell whether this process runs in an installation made here, so that a benchmark may write to its database."""
    name = str(settings.DATABASES["default"]["NAME"])
    return Path(name).name.startswith(PREFIX) and settings.DATA_DIR.name.startswith(PREFIX)
