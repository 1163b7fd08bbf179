"""Which real parts this machine has: PostgreSQL, Redis, Chromium. Each missing one is a reason to skip, in words."""

from __future__ import annotations

import os
import shutil
import socket
from functools import cache
from urllib.parse import urlsplit

POSTGRES_URL = os.environ.get("TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432/postgres")
REDIS_URL = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/9")

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


@cache
def postgres_missing() -> str:
    """Return why PostgreSQL cannot be used, or an empty text."""
    import psycopg

    try:
        psycopg.connect(POSTGRES_URL, connect_timeout=2).close()
    except psycopg.Error:
        return "PostgreSQL is not reachable (TEST_POSTGRES_URL)"
    return ""


@cache
def redis_missing() -> str:
    """Return why Redis cannot be used, or an empty text."""
    parts = urlsplit(REDIS_URL)
    try:
        socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 6379), timeout=2).close()
    except OSError:
        return "Redis is not reachable (TEST_REDIS_URL)"
    return ""


@cache
def browser_missing() -> str:
    """Return why no browser can be driven, or an empty text."""
    try:
        import playwright  # noqa: F401
    except ImportError:
        return "playwright is not installed (manage.py setup --dev)"
    return "" if chromium() else "Chromium is not installed (Debian: apt-get install chromium)"


def chromium() -> str:
    """Return the path of the browser, or an empty text."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome") or ""


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_ready(port: int) -> bool:
    """Tell whether the installation on that port can do all it is for."""
    import requests

    try:
        return requests.get(f"http://127.0.0.1:{port}/readyz", timeout=2).status_code == 200
    except requests.RequestException:
        return False
