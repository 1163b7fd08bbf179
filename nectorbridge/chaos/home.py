"""A throw-away installation for one run: a folder, keys and ports of its own, and compressed time. Gone afterwards."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from nectorbridge.chaos.servers import DATABASE, LOOPBACK, OWNER, free_port
from nectorbridge.chaos.world import SHARES

KEPT_VARIABLES = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV")
# What takes minutes in production takes seconds here. A resend waits longer than a call may take, as in production; budgets
# are large, since whatever is not sent at the end must be a fault of ours.
SHORT_TIMES = {
    "DELIVERY_LEASE_SECONDS": "8",
    "DELIVERY_HTTP_TIMEOUT_SECONDS": "2.5",
    "DELIVERY_SWEEP_SECONDS": "1",
    "DELIVERY_RETRY_STEPS": "0.5" + ",3" * 30,
    "DELIVERY_UNCERTAIN_RESENDS": "25",
    "DELIVERY_ORDER_HOLD_SECONDS": "3600",
    "DELIVERY_WORKERS": "2",
    "WORKER_STALL_SECONDS": "4",
}


@contextmanager
def temporary_home(store: str) -> Iterator[tuple[Path, Mapping[str, str]]]:
    """Yield a folder and the whole environment of the run's processes."""
    with tempfile.TemporaryDirectory(prefix="nectorbridge_chaos_") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL's own user passes through
        home = Path(folder)
        yield home, _environment(home, store)


def _environment(folder: Path, store: str) -> dict[str, str]:
    """Return an environment that shares nothing with the user's installation."""
    sandbox = free_port()
    providers = {f"{slug.upper()}_BASE_URL": f"http://{LOOPBACK}:{sandbox}/{slug}" for slug in SHARES}
    urls = {"DATABASE_URL": f"sqlite:///{folder / 'chaos.sqlite3'}", "REDIS_URL": ""}
    if store == "postgres":
        postgres, redis = free_port(), free_port()
        urls = {
            "DATABASE_URL": f"postgres://{OWNER}@{LOOPBACK}:{postgres}/{DATABASE}",
            "REDIS_URL": f"redis://{LOOPBACK}:{redis}/0",
        }
    kept = {key: os.environ[key] for key in KEPT_VARIABLES if key in os.environ}
    return (kept | providers | SHORT_TIMES | urls) | {
        "DJANGO_SETTINGS_MODULE": "nectorbridge.settings",
        "DATA_DIR": str(folder),
        "SECRET_KEY": secrets.token_urlsafe(40),
        "FERNET_KEYS": secrets.token_urlsafe(40),
        "ALLOWED_HOSTS": LOOPBACK,
        "DEBUG": "false",
        "SECURE_SSL_REDIRECT": "false",
        "LOG_LEVEL": "CRITICAL",
        "PUBLIC_URL": "https://chaos.example",
    }
