"""What must be true before the processes start: free ports, a database with tables, somebody who may log in."""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

DEFAULT_USERNAME = "admin"
PASSWORD_BYTES = 12
PORTS = 65_536


class NotReadyError(Exception):
    """Something is in the way. The message is one line for a person."""


@dataclass(frozen=True)
class Administrator:
    """Who may log in. `new_password` is set only when one was made up just now."""

    username: str
    is_new: bool
    new_password: str = ""


def check_port(host: str, port: int, option: str = "--port") -> None:
    """Raise NotReadyError unless a server could listen there; `option` names what chooses another port."""
    if not 0 < port < PORTS:
        raise NotReadyError(f"{port} is no port number; choose one below {PORTS} with {option}.")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        message = f"Cannot listen on {host}:{port} ({reason}). Stop what uses it, or choose another with {option}."
        raise NotReadyError(message) from None


def migrate() -> int:
    """Bring the database up to date; return how many migrations that took."""
    executor = MigrationExecutor(connection)
    missing = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    if missing:
        call_command("migrate", interactive=False, verbosity=0)
    return missing


def ensure_administrator() -> Administrator:
    """Return who may log in, created from ADMIN_USERNAME, ADMIN_EMAIL and ADMIN_PASSWORD if there is nobody yet."""
    users = get_user_model().objects
    username = os.environ.get("ADMIN_USERNAME") or DEFAULT_USERNAME
    superusers = users.filter(is_superuser=True, is_active=True)
    existing = superusers.filter(username=username).first() or superusers.order_by("pk").first()
    if existing is not None:
        return Administrator(existing.get_username(), is_new=False)
    if users.filter(username=username).exists():
        raise NotReadyError(f"There is a user {username}, but no administrator. Set ADMIN_USERNAME to another name.")
    given = os.environ.get("ADMIN_PASSWORD", "")
    password = given or secrets.token_urlsafe(PASSWORD_BYTES)
    users.create_superuser(username, os.environ.get("ADMIN_EMAIL", ""), password)
    return Administrator(username, is_new=True, new_password="" if given else password)
